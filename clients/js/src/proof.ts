/**
 * The gap proof: after a topic's frame with seq s comes s + 1, or a gap. Whatever else comes is reported.
 *
 * Knows nothing of connections. The client tells it what came; it reports what the program is to see, and makes the
 * gaps that only the client can know of (a restart, a subscription that could not be resumed).
 */
import { matches } from "./pattern.js";
import type { Event, Gap, Snapshot, State } from "./types.js";

interface Topic {
  /** The last `seq` that is accounted for. */
  seq: number;
  /** Up to here events may come again, and are left out: a snapshot or a gap has told of them. */
  floor: number;
  /** Whether its frames are conflated. */
  isLatest: boolean;
  /** Whether the next frame may be any later one, because the stream was interrupted. */
  isLoose: boolean;
  /** Whether it has snapshots. */
  isState: boolean;
  /** Whether a snapshot was promised and has not come. */
  isAwaited: boolean;
}

/** A gap as it comes from the server. */
export interface GapFrame {
  topic: string;
  payload: Pick<Gap, "from" | "to" | "reason" | "action">;
}

/** What an acknowledgement says about one topic or pattern. */
export interface AckEntry {
  topic?: string;
  seq?: number;
}

export class Proof {
  #topics = new Map<string, Topic>();
  /** Topics whose restart was reported; the server's own word on it would be the second. */
  #restarted = new Set<string>();
  #report: (state: State<any>) => void;

  constructor(report: (state: State<any>) => void) {
    this.#report = report;
  }

  /** A connection begins. Unless it was resumed, frames may be missing. */
  begin(isResumed: boolean): void {
    this.#restarted.clear();
    for (const known of this.#topics.values()) known.isLoose ||= !isResumed || known.isLatest;
  }

  /** The stream is another one: all that was known is void. */
  restart(): void {
    const topics = this.#topics;
    this.#topics = new Map();
    this.#restarted = new Set(topics.keys());
    for (const [topic, { isState }] of topics) this.#gap(topic, 0, 0, "restart", isState);
  }

  /** A subscription without resume is in effect. */
  subscribed(patterns: readonly string[], isLatest: boolean): void {
    for (const [topic, known] of this.#topics) {
      if (!patterns.some((pattern) => matches(pattern, topic))) continue;
      if (isLatest !== known.isLatest) this.#topics.delete(topic);
      else known.isLoose = true;
    }
  }

  /** Where topics stand. `isResumed`: nothing may have been left out up to there. */
  stands(entries: readonly AckEntry[], isResumed: boolean): void {
    for (const { topic, seq } of entries) {
      if (topic === undefined || seq === undefined) continue;
      const known = this.#topics.get(topic);
      if (!known) this.#learn(topic, seq, false);
      else if (!known.isLatest && seq > known.seq) {
        if (known.isLoose || !isResumed) this.#gap(topic, known.seq + 1, seq, "expired", known.isState);
        else this.#wrong(topic, `resumed at ${seq}, after ${known.seq}`);
        known.seq = known.floor = seq;
      }
      if (known && !isResumed) known.isLoose = false;
    }
  }

  /** An event came. */
  event(frame: Omit<Event<any>, "state">): void {
    const { topic, seq, prev } = frame;
    const known = this.#topics.get(topic);
    if (known) {
      if (seq <= known.seq) {
        if (seq > known.floor) this.#wrong(topic, `${seq} came again, after ${known.seq}`);
        return;
      }
      if (known.isLoose) this.#skipped(topic, known, seq - 1, prev !== undefined);
      else if ((prev ?? seq - 1) !== known.seq) {
        this.#wrong(topic, `${seq}${prev === undefined ? "" : ` with prev ${prev}`} follows ${known.seq} without a gap`);
      }
      known.seq = seq;
      known.isLatest = prev !== undefined;
      known.isLoose = known.isAwaited = false;
    } else this.#learn(topic, seq, prev !== undefined);
    this.#report(Object.assign(frame, { state: "event" as const }));
  }

  /** A snapshot came. */
  snapshot(frame: Omit<Snapshot<any>, "state">, isLatest: boolean): void {
    const { topic, seq } = frame;
    const known = this.#topics.get(topic) ?? this.#learn(topic, seq, isLatest);
    if (seq < known.seq) return this.#wrong(topic, `a snapshot of ${seq} follows ${known.seq}`);
    if (known.isLoose) this.#skipped(topic, known, seq, isLatest);
    else if (seq > known.seq && !isLatest) this.#wrong(topic, `a snapshot of ${seq} follows ${known.seq} without a gap`);
    known.seq = known.floor = seq;
    known.isState = true;
    known.isLoose = known.isAwaited = false;
    this.#report(Object.assign(frame, { state: "snapshot" as const }));
  }

  /** The server says that events will not come. */
  gap({ topic, payload: { from, to, reason, action } }: GapFrame, isLatest: boolean): void {
    const isState = action === "snapshot";
    if (reason === "restart") {
      if (!this.#restarted.delete(topic)) this.#gap(topic, from, to, reason, isState);
      return;
    }
    let first = from;
    let known = this.#topics.get(topic);
    if (known) {
      const isExact = from > 0;
      if (!isExact) first = known.seq + 1;
      else if (from !== known.seq + 1 && !known.isLoose && !isLatest) {
        this.#wrong(topic, `a gap from ${from} follows ${known.seq}`);
      }
    } else known = this.#learn(topic, 0, isLatest);
    if (to > known.seq) known.seq = known.floor = to;
    known.isState = known.isAwaited = isState;
    // What is conflated goes on from anywhere after a gap.
    known.isLoose = known.isLatest = isLatest;
    if (first <= to) this.#gap(topic, first, to, reason, isState);
  }

  /** A topic stands at `seq`, and everything up to there was sent. */
  head(topic: string, seq: number): void {
    const known = this.#topics.get(topic);
    if (!known || known.isLatest || known.isLoose || seq <= known.seq) return;
    this.#wrong(topic, `it stands at ${seq}, and ${known.seq} was the last that came`);
    known.seq = seq;
  }

  /** Whether a topic is known to have snapshots. */
  isState(topic: string): boolean {
    return !!this.#topics.get(topic)?.isState;
  }

  /** The last `seq` of a topic that is accounted for. */
  last(topic: string): number | undefined {
    return this.#topics.get(topic)?.seq;
  }

  /** Topics whose promised snapshot has not come. */
  awaited(): string[] {
    return [...this.#topics].filter(([, known]) => known.isAwaited).map(([topic]) => topic);
  }

  /** Forgets topics that nobody wants any more. */
  forget(isWanted: (topic: string) => boolean): void {
    for (const topic of this.#topics.keys()) if (!isWanted(topic)) this.#topics.delete(topic);
  }

  #learn(topic: string, seq: number, isLatest: boolean): Topic {
    const known = { seq, floor: seq, isLatest, isLoose: false, isState: false, isAwaited: false };
    this.#topics.set(topic, known);
    return known;
  }

  /** After an interruption: says which events did not come, up to `to`. Conflated ones were not promised. */
  #skipped(topic: string, known: Topic, to: number, isLatest: boolean): void {
    if (!known.isLatest && !isLatest && to > known.seq) {
      this.#gap(topic, known.seq + 1, to, "expired", known.isState);
    }
  }

  #gap(topic: string, from: number, to: number, reason: Gap["reason"], isState: boolean): void {
    this.#report({ state: "gap", topic, from, to, reason, action: isState ? "snapshot" : "resume" });
  }

  #wrong(topic: string, what: string): void {
    this.#report({ state: "error", code: "gap_proof", message: `${topic}: ${what}`, topic });
  }
}
