/**
 * The stream: one for the program, over however many connections. Subscribes and resumes, tells frames apart, and knows
 * where the stream stands.
 *
 * Never loses an event without saying so: what comes is held to the proof, and what a connection owed when it broke is
 * asked for on the next one.
 */
import { type Ask, Connection, type Owner } from "./connection.js";
import { Proof } from "./proof.js";
import {
  add,
  isWithoutSnapshots,
  matching,
  messages,
  parts,
  type Subscriptions,
  wantingSnapshot,
} from "./subscriptions.js";
import type { Options, Position, SubscribeOptions } from "./types.js";

/** A message without an answer. */
interface Request {
  topics: readonly string[];
  hasFrom: boolean;
  isLatest: boolean;
}

export class Stream implements Owner {
  readonly connection: Connection;
  readonly report: Owner["report"];
  #position: Position | undefined;
  #subscriptions: Subscriptions = new Map();
  #onLag: Options["onLag"];
  #proof: Proof;
  /** Identity of the stream that the proof is about. */
  #provenEpoch: string | undefined;
  /** Whether no snapshot is outstanding. */
  #isSettled = false;
  #requestId = 0;

  // Of the link that is in use.
  #requests = new Map<number, Request>();
  #epoch = "";
  /** The server's name of it. */
  #name: string | undefined;
  #isConnected = false;
  /** Whether a resume was asked for. */
  #hasAsked = false;

  /** @throws As {@link Connection} does. */
  constructor(url: string, options: Options, report: Owner["report"]) {
    const { from, topics, onLag } = options;
    this.report = report;
    this.connection = new Connection(url, options, this);
    this.#position = from && { ...from };
    this.#provenEpoch = from?.epoch;
    this.#proof = new Proof(report);
    this.#onLag = onLag;
    add(this.#subscriptions, topics ?? [], options, from !== undefined);
  }

  /** Where the stream stands; undefined before anything came. */
  get position(): Position | undefined {
    return this.#position && { ...this.#position };
  }

  subscribe(topics: readonly string[], options: SubscribeOptions): void {
    add(this.#subscriptions, topics, options, false);
    this.connection.change(() => this.#sendSubscribe(topics, options));
  }

  unsubscribe(topics: readonly string[]): void {
    const left = topics.filter((pattern) => this.#subscriptions.delete(pattern));
    if (!left.length) return;
    this.#proof.forget((topic) => matching(this.#subscriptions, topic).length > 0);
    this.connection.change(() => {
      for (const part of parts(left)) this.connection.send({ op: "unsubscribe", topics: part });
    });
  }

  /** Whether a topic is known to have snapshots. */
  isState(topic: string): boolean {
    return this.#proof.isState(topic);
  }

  // ---- What the connection says and asks.

  frame(data: unknown): void {
    try {
      this.#handle(typeof data === "string" ? JSON.parse(data) : data);
    } catch (error) {
      this.#complain("bad_frame", `${error}`);
    }
  }

  epoch(epoch: string): void {
    this.#epoch = epoch;
  }

  lost(): void {
    this.#requests = new Map();
    this.#isConnected = this.#hasAsked = false;
  }

  ask(): Ask | undefined {
    if (!this.#subscriptions.size) return undefined;
    const topics = [...this.#subscriptions.keys()];
    const query = () => {
      const hasFrom = this.#canResume();
      // Acknowledged without an id.
      this.#requests.set(0, { topics, hasFrom, isLatest: false });
      return this.#query(topics, hasFrom);
    };
    const wanting = this.#wantingSnapshot();
    const aside = this.#canResume() && wanting.length ? () => this.#query(wanting, false) : undefined;
    const take = (frames: unknown[]) => {
      for (const frame of frames) this.#takeAside(frame);
      for (const pattern of wanting) {
        const subscription = this.#subscriptions.get(pattern);
        if (subscription) subscription.needsSnapshot = false;
      }
    };
    return { query, aside, take };
  }

  /** Whether a fallback can go on from the position. */
  #canResume(): boolean {
    return !!this.#position && [...this.#subscriptions.values()].some(({ isAcked }) => isAcked);
  }

  #query(topics: readonly string[], hasFrom: boolean): string {
    const position = this.#position;
    // Names of topics need no escapes, but what the program passes may.
    let query = `?topics=${topics.map(encodeURIComponent).join(",").replaceAll("%3A", ":")}`;
    if (hasFrom && position) query += `&from=${position.epoch}.${position.pos}`;
    return isWithoutSnapshots(this.#subscriptions, this.#subscriptions.keys()) ? `${query}&snapshot=false` : query;
  }

  #wantingSnapshot(): string[] {
    return wantingSnapshot(this.#subscriptions, this.#proof.awaited());
  }

  // ---- What is said.

  #sendSubscribe(topics: readonly string[], { mode, maxHz, snapshot }: SubscribeOptions, from?: Position): void {
    for (const part of parts(topics)) {
      const id = (this.#requestId += 1);
      this.#requests.set(id, { topics: part, hasFrom: !!from, isLatest: mode === "latest" });
      const on_lag = this.#onLag === "disconnect" ? "disconnect" : undefined;
      this.connection.send({ op: "subscribe", id, topics: part, mode, max_hz: maxHz, snapshot, on_lag, from });
      // Only the first one of a connection may resume.
      from = undefined;
    }
  }

  /** Subscribes to everything on a new connection. */
  #subscribeAll(): void {
    const wanting = this.#wantingSnapshot();
    // Of another stream nothing is resumed, hence nothing comes without its snapshots.
    const owed = this.#position?.epoch === this.#epoch ? wanting : [];
    for (const { topics, options, from } of messages(this.#subscriptions, this.#position, owed)) {
      this.#sendSubscribe(topics, options, from);
    }
  }

  #connected(recovered: boolean | undefined): void {
    this.#isConnected = true;
    const { transport } = this.connection;
    this.report({ state: "connected", transport, epoch: this.#epoch, connection: this.#name, recovered });
  }

  // ---- What is heard.

  #handle(frame: any): void {
    const { type, topic, payload } = frame;
    // What was under way when its topic was left. To look is cheap: known topics are wanted ones.
    const isUnknown = typeof topic === "string" && this.#proof.last(topic) === undefined;
    if (isUnknown && !matching(this.#subscriptions, topic).length) return;
    switch (type) {
      case "welcome":
        return this.#welcome(payload);
      case "ack":
        if (payload.op === "subscribe") this.#ack(frame.id ?? 0, payload);
        return;
      case "error":
        return this.#refused(frame.id, payload);
      case "snapshot":
        return this.#proof.snapshot(frame, this.#isLatest(topic));
      case "gap":
        return this.#proof.gap(frame, this.#isLatest(topic));
      case "heartbeat":
        for (const [name, seq] of Object.entries(payload.heads ?? {})) this.#proof.head(name, seq as number);
        return this.#reached(payload.pos);
      case "shutdown":
        this.connection.window = payload.reconnect_ms;
        return;
    }
    // Of other types only events have a number.
    if (typeof topic !== "string" || typeof frame.seq !== "number") return;
    this.#proof.event(frame);
    // What is conflated may be ahead of what is not.
    if (frame.prev === undefined) this.#reached(frame.pos);
  }

  /** The fallbacks know no rates. */
  #isLatest(topic: string): boolean {
    const chosen = this.#subscriptions.get(topic) ?? matching(this.#subscriptions, topic).pop();
    return this.connection.transport === "ws" && chosen?.mode === "latest";
  }

  #welcome({ epoch, connection, heartbeat_s }: any): void {
    this.#epoch = epoch;
    this.#name = connection;
    this.connection.up(heartbeat_s);
    if (this.connection.transport !== "ws") return;
    if (this.#subscriptions.size) this.#subscribeAll();
    else this.#connected(undefined);
  }

  #ack(id: number, { recovered, pos, topics = [], rejected = [] }: any): void {
    const request = this.#requests.get(id);
    if (!request) return;
    this.#requests.delete(id);
    this.connection.up();
    const { hasFrom, isLatest } = request;
    this.#hasAsked ||= hasFrom;
    const isResumed = hasFrom && recovered === true;
    const isNewStream = this.#provenEpoch !== undefined && this.#provenEpoch !== this.#epoch;
    this.#provenEpoch = this.#epoch;
    // A poll is a connection, but no news.
    if (!this.#isConnected) this.#connected(isResumed || (this.#hasAsked || isNewStream ? false : undefined));
    if (hasFrom || isNewStream || id === 0) this.#proof.begin(isResumed);
    if (isNewStream) {
      this.#proof.restart();
      this.#position = undefined;
    }
    if (!isLatest && !isResumed) this.#position = { epoch: this.#epoch, pos };
    this.#isSettled = false;
    for (const pattern of request.topics) {
      const subscription = this.#subscriptions.get(pattern);
      if (!subscription) continue;
      subscription.isAcked = true;
      if (!isResumed && subscription.snapshot !== false) subscription.needsSnapshot = true;
    }
    if (!hasFrom) this.#proof.subscribed(request.topics, isLatest);
    // Where a resume was refused, gaps say it.
    if (!isLatest && (isResumed || !hasFrom)) {
      const wanted = topics.filter(({ topic }: any) => this.#subscriptions.has(topic));
      this.#proof.stands(wanted, isResumed);
    }
    for (const { topic, code } of rejected) {
      this.#subscriptions.delete(topic);
      this.#complain(code, `the server refuses ${topic}`, topic);
    }
  }

  #refused(id: unknown, { code, message, retryable, retry_ms }: any): void {
    this.#complain(code, message);
    const requests = this.#requests;
    const request = requests.get(id as number);
    if (!request) return;
    this.#hasAsked ||= request.hasFrom;
    requests.delete(id as number);
    const topics = request.topics.filter((pattern) => this.#subscriptions.has(pattern));
    if (request.hasFrom) {
      if (retryable) return this.connection.down({ reason: code, retryMs: retry_ms });
      // Whatever is wrong with the resume, the stream can begin afresh; gaps say what that costs.
      return this.#sendSubscribe(topics, {});
    }
    if (!retryable) {
      // It would be refused again on every connection.
      for (const pattern of topics) this.#subscriptions.delete(pattern);
    } else {
      setTimeout(() => {
        const first = this.#subscriptions.get(topics[0] ?? "");
        // Another link has said it anew.
        if (first && requests === this.#requests) this.#sendSubscribe(topics, first);
      }, retry_ms ?? 1000);
    }
    if (!this.#isConnected) this.#connected(undefined);
  }

  #complain(code: string, message: string, topic?: string): void {
    this.report({ state: "error", code, message, topic });
  }

  /** Everything up to here has come. */
  #reached(pos: number): void {
    if (!this.#position || this.#position.epoch !== this.#epoch) return;
    this.#position.pos = Math.max(this.#position.pos, pos);
    // Snapshots come before events, and both before a heartbeat.
    if (this.#isSettled || this.#requests.size) return;
    this.#isSettled = true;
    for (const subscription of this.#subscriptions.values()) {
      if (subscription.isAcked) subscription.needsSnapshot = false;
    }
  }

  /** A snapshot from beside the stream: only of topics of which the stream itself has nothing to say. */
  #takeAside(frame: any): void {
    const { topic, seq } = frame;
    const last = this.#proof.last(topic);
    const isAlone = matching(this.#subscriptions, topic).every(({ isAcked, needsSnapshot }) => !isAcked || needsSnapshot);
    if (last === undefined ? isAlone : last === seq) this.frame(frame);
  }
}
