/**
 * Keeps a link to the server open: opens it, notices when it is dead, waits, tries again, and turns to another
 * transport and back. Goes on until it is closed, or until the server says that there is no sense in it.
 *
 * Has one link in use at a time. Knows nothing of what the frames mean; whose connection it is does.
 */
import { backoff, RESTART_TRIES, within } from "./backoff.js";
import { isEnough, upgradeMs, usable } from "./fallback.js";
import { type End, type Ends, type Link, openEvents, openPoll, openSnapshot, openWebSocket } from "./transport.js";
import type { Options, State, Transport, WebSocketConstructor } from "./types.js";

/** Codes after which the server would only refuse again. */
const FINAL = [4001, 4003, 4011];
/** Codes after which a try at once is of no use: a program at fault, or a full server. */
const PATIENT = [1002, 1007, 1008, 1009, 4009];
/** A connection that lasted for so long ends a series of failures. */
const LASTING_MS = 5_000;
const HEARTBEAT_MS = 15_000;

/** What to ask a fallback for. */
export interface Ask {
  /** The query of the next request. */
  query(): string;
  /** Where what is resumed comes without last values that are owed: the query to have them before. */
  aside: (() => string) | undefined;
  /** Takes these. */
  take(frames: unknown[]): void;
}

/** Whose connection it is: what it is told, and what it wants. */
export interface Owner {
  /** One frame, as text or parsed. */
  frame(frame: unknown): void;
  /** The stream's identity, where no frame says it. */
  epoch(epoch: string): void;
  /** The link is gone, and with it whatever was under way. */
  lost(): void;
  /** The program is to see that. After `closed` comes nothing more. */
  report(state: State<any>): void;
  /** What to ask a fallback for on a new link, where there is anything. */
  ask(): Ask | undefined;
}

export class Connection implements Ends {
  /** Least and most time until the next try, in milliseconds, where the server has named them. */
  window: [number, number] | undefined;
  #owner: Owner;
  #options: Options;
  #url: URL;
  #http: URL;
  #socket: WebSocketConstructor | undefined;
  #transports: Transport[];
  #isClosed = false;

  // Of the link that is in use.
  #transport: Transport;
  #link: Link | undefined;
  /** When the server first said something; 0 before. */
  #upSince = 0;
  #isReopening = false;

  // Of the series of tries.
  #attempt = 0;
  #failures = 0;
  #proven = new Set<Transport>();

  // Of time.
  #heardAt = 0;
  #heartbeatMs = HEARTBEAT_MS;
  #isPinged = false;
  #watchdog: ReturnType<typeof setTimeout> | undefined;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #upgrade: ReturnType<typeof setTimeout> | undefined;
  #probe: Link | undefined;

  /** Opens nothing yet. @throws When the URL is none, or nothing is there to connect with. */
  constructor(url: string, options: Options, owner: Owner) {
    const page = globalThis.location?.href.startsWith("http") ? location : undefined;
    this.#url = new URL(url, page?.href);
    this.#url.protocol = this.#url.protocol.replace("http", "ws");
    this.#http = new URL(options.httpUrl ?? page?.origin ?? this.#url);
    this.#http.protocol = this.#http.protocol.replace("ws", "http");
    if (options.httpUrl === undefined && !page && this.#http.port === "9001") this.#http.port = "8000";
    this.#options = options;
    this.#owner = owner;
    this.#socket = options.WebSocket ?? (globalThis.WebSocket as WebSocketConstructor | undefined);
    this.#transports = usable(options.transports ?? ["ws", "sse", "poll"], !!this.#socket);
    if (!this.#transports[0]) throw new Error("there is neither a WebSocket nor fetch to connect with");
    this.#transport = this.#transports[0];
    globalThis.addEventListener?.("online", this.#online);
    globalThis.document?.addEventListener("visibilitychange", this.#seen);
  }

  /** What is in use, or will be tried next. */
  get transport(): Transport {
    return this.#transport;
  }

  frame(frame: unknown): void {
    this.#heard();
    this.#owner.frame(frame);
  }

  epoch(epoch: string): void {
    this.#owner.epoch(epoch);
  }

  open(): void {
    clearTimeout(this.#retry);
    this.#retry = undefined;
    if (this.#isClosed) return;
    const ask = this.#transport === "ws" ? undefined : this.#owner.ask();
    // A fallback without topics would be a bad request. `change` comes back here.
    if (this.#transport !== "ws" && !ask) return;
    this.#isReopening = false;
    this.#heard();
    this.#watch(this.#options.connectTimeout ?? 10_000);
    try {
      this.#link = ask ? this.#openFallback(ask) : this.#openSocket(this);
    } catch (error) {
      this.down({ reason: `${error}` });
    }
  }

  /** Sends a message, where the link can. */
  send(message: object): void {
    this.#link?.send?.(JSON.stringify(message));
  }

  /** Applies a change of what is wanted: over a WebSocket by what `say` sends, over a fallback by opening it anew. */
  change(say: () => void): void {
    if (!this.#link?.send) this.#reopen();
    // Before that, nothing that it would have to change was said.
    else if (this.#upSince) say();
  }

  /** The server has answered. */
  up(heartbeatS = 0): void {
    if (heartbeatS > 0) this.#heartbeatMs = 1000 * heartbeatS;
    if (this.#upSince) return;
    this.#upSince = Date.now();
    this.#proven.add(this.#transport);
    this.#watch(2 * this.#heartbeatMs);
    this.#planUpgrade();
  }

  /** Ends the link, and tries again after a while. */
  down({ code, reason, problem, retryMs = 0 }: End): void {
    if (this.#upSince) {
      if (Date.now() - this.#upSince >= LASTING_MS) this.#attempt = 0;
      this.#failures = 0;
    } else this.#fail();
    this.#drop();
    if (problem) this.#owner.report({ state: "error", code: problem, message: reason, topic: undefined });
    if (code && FINAL.includes(code)) return this.#owner.report({ state: "closed", code, reason });
    const attempt = (this.#attempt += 1);
    const skipped = code && PATIENT.includes(code) ? RESTART_TRIES - 1 : 0;
    const delay = this.window ? within(...this.window) : Math.max(backoff(attempt + skipped), retryMs);
    this.window = undefined;
    if (this.#isClosed) return;
    this.#retry = setTimeout(() => this.open(), delay);
    this.#owner.report({ state: "reconnecting", attempt, delay, transport: this.#transport, code, reason });
  }

  /** While a fallback is in use: looks now and then whether the first transport works again. */
  #planUpgrade(): void {
    clearTimeout(this.#upgrade);
    if (this.#transport === "ws" || this.#transports[0] !== "ws") return;
    const delay = upgradeMs(this.#options.upgradeInterval ?? 60_000, this.#proven.has("ws"));
    this.#upgrade = setTimeout(() => this.#tryUpgrade(), delay);
  }

  close(): void {
    this.#isClosed = true;
    this.#drop();
    clearTimeout(this.#retry);
    globalThis.removeEventListener?.("online", this.#online);
    globalThis.document?.removeEventListener("visibilitychange", this.#seen);
  }

  /** There is a WebSocket: else it were not among the transports. */
  #openSocket(ends: Ends): Link {
    return openWebSocket(this.#socket as WebSocketConstructor, this.#url.href, this.#options.token, ends);
  }

  #openFallback({ query, aside, take }: Ask): Link {
    const { token } = this.#options;
    const at = (name: string) => new URL(`/v1/${name}`, this.#http).href;
    const open = () =>
      this.#transport === "sse"
        ? openEvents(at("sse") + query(), token, this)
        : openPoll((waitMs) => `${at("poll")}${query()}&wait_ms=${waitMs}`, token, this);
    if (!aside) return open();
    return openSnapshot(at("snapshot") + aside(), token, this, (frames) => {
      this.#heard();
      take(frames);
      const link = open();
      this.#link?.close();
      this.#link = link;
    });
  }

  /** Counts a try without an answer, and turns to the next transport after some. */
  #fail(): void {
    this.#failures += 1;
    if (!isEnough(this.#failures, this.#proven.has(this.#transport))) return;
    this.#failures = 0;
    const at = this.#transports.indexOf(this.#transport) + 1;
    this.#transport = this.#transports[at % this.#transports.length] as Transport;
  }

  #reopen(): void {
    if (this.#isReopening || this.#retry) return;
    this.#isReopening = true;
    queueMicrotask(() => {
      if (!this.#isReopening || this.#retry) return;
      this.#drop();
      this.open();
    });
  }

  #drop(): void {
    clearTimeout(this.#watchdog);
    clearTimeout(this.#upgrade);
    this.#probe?.close();
    this.#link?.close();
    this.#probe = this.#link = undefined;
    this.#upSince = 0;
    this.#isReopening = false;
    this.#owner.lost();
  }

  /** The network is back: there is no reason to wait. */
  #online = (): void => {
    if (!this.#retry) return;
    this.#attempt = 0;
    this.open();
  };

  /** A page that is looked at again: a browser lets the timers of hidden ones wait for a minute. */
  #seen = (): void => {
    if (document.visibilityState === "visible") this.#online();
  };

  #heard(): void {
    this.#heardAt = Date.now();
    this.#isPinged = false;
  }

  /** Ends a link that says nothing for `limitMs`. */
  #watch(limitMs: number): void {
    clearTimeout(this.#watchdog);
    const silentMs = Date.now() - this.#heardAt;
    if (silentMs >= limitMs) return this.down({ reason: "the server is silent" });
    const half = limitMs / 2;
    // Without a subscription there are no heartbeats, but an answer there is.
    if (silentMs >= half && this.#upSince && !this.#isPinged) {
      this.#isPinged = true;
      this.send({ op: "ping" });
    }
    const next = this.#upSince && silentMs < half ? half : limitMs;
    this.#watchdog = setTimeout(() => this.#watch(limitMs), next - silentMs);
  }

  /** Opens a WebSocket beside the fallback. Its first frame makes it the link that is in use. */
  #tryUpgrade(): void {
    const failed = () => {
      this.#probe?.close();
      this.#probe = undefined;
      this.#proven.delete("ws");
      this.#planUpgrade();
    };
    let isAdopted = false;
    try {
      this.#probe = this.#openSocket({
        epoch: () => {},
        frame: (frame) => {
          if (!isAdopted) {
            isAdopted = true;
            const probe = this.#probe;
            this.#probe = undefined;
            this.#drop();
            this.#link = probe;
            this.#transport = "ws";
          }
          this.frame(frame);
        },
        down: (end) => (isAdopted ? this.down(end) : failed()),
      });
      this.#upgrade = setTimeout(failed, this.#options.connectTimeout ?? 10_000);
    } catch {
      failed();
    }
  }
}
