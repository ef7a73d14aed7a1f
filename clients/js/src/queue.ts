/**
 * What waits for a slow iterator. Bounded: where it is full, older frames of a topic give way to its newest one, and
 * a gap says which are missing.
 */
import type { Event, Gap, Snapshot, State } from "./types.js";

export class Queue<P> implements AsyncIterableIterator<State<P>, undefined, undefined> {
  #waiting: State<P>[] = [];
  /** How many of them have been taken; moving the rest each time would cost more. */
  #taken = 0;
  /** Whoever asked while nothing was there. */
  #asking: (() => void)[] = [];
  #isEnded = false;
  #max: number;
  #full: number;
  #left: (queue: Queue<P>) => void;
  #isState: (topic: string) => boolean;

  constructor(max: number, left: (queue: Queue<P>) => void, isState: (topic: string) => boolean) {
    this.#max = this.#full = max;
    this.#left = left;
    this.#isState = isState;
  }

  push(state: State<P>): void {
    this.#waiting.push(state);
    if (this.#waiting.length - this.#taken > this.#full) {
      this.#waiting = newest(this.#waiting.slice(this.#taken), this.#isState);
      this.#taken = 0;
      // As many as there are topics may have to stay.
      this.#full = Math.max(this.#max, 2 * this.#waiting.length);
    }
    this.#wake();
  }

  /** Nothing more will come; what waits is still taken. */
  end(): void {
    this.#isEnded = true;
    this.#wake();
  }

  async next(): Promise<IteratorResult<State<P>, undefined>> {
    for (;;) {
      const value = this.#waiting[this.#taken];
      if (value) {
        this.#taken += 1;
        if (this.#taken === this.#waiting.length || this.#taken > 1024) {
          this.#waiting.splice(0, this.#taken);
          this.#taken = 0;
        }
        return { done: false, value };
      }
      if (this.#isEnded) return { done: true, value: undefined };
      await new Promise<void>((wake) => this.#asking.push(wake));
    }
  }

  async return(): Promise<IteratorResult<State<P>, undefined>> {
    this.#left(this);
    this.#waiting = [];
    this.#taken = 0;
    this.end();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #wake(): void {
    for (const wake of this.#asking.splice(0)) wake();
  }
}

/** What is left of one topic's frames. */
interface Rest<P> {
  restart?: Gap;
  /** First `seq` left out, if any was. */
  from?: number | undefined;
  to?: number;
  last?: Event<P> | Snapshot<P> | undefined;
}

function newest<P>(states: readonly State<P>[], isState: (topic: string) => boolean): State<P>[] {
  const kept: State<P>[] = [];
  const topics = new Map<string, Rest<P>>();
  for (const state of states) {
    if (state.state !== "event" && state.state !== "snapshot" && state.state !== "gap") {
      kept.push(state);
      continue;
    }
    let rest = topics.get(state.topic);
    if (!rest) topics.set(state.topic, (rest = {}));
    if (state.state === "gap" && state.reason === "restart") {
      topics.set(state.topic, { restart: state });
      continue;
    }
    if (rest.last) leaveOut(rest, rest.last.seq, rest.last.seq);
    rest.last = state.state === "gap" ? undefined : state;
    if (state.state === "gap") leaveOut(rest, state.from, state.to);
  }
  for (const [topic, { restart, from, to = 0, last }] of topics) {
    if (restart) kept.push(restart);
    if (from !== undefined) {
      const action = last && isState(topic) ? "snapshot" : "resume";
      kept.push({ state: "gap", topic, from, to, reason: "overrun", action });
    }
    if (last) kept.push(last);
  }
  return kept;
}

function leaveOut<P>(rest: Rest<P>, from: number, to: number): void {
  rest.from ??= from;
  rest.to = to;
}
