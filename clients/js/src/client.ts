/**
 * The client as a program sees it: takes its calls, and gives the states to its callbacks and iterators.
 *
 * Decides nothing: the stream knows what to say to the server, the connection how to reach it.
 */
import { Queue } from "./queue.js";
import { Stream } from "./stream.js";
import type { Options, Position, State, StateOf, SubscribeOptions, Transport } from "./types.js";

/**
 * Connects, and stays connected. Returns at once; everything else is reported as states.
 *
 * @param url `ws://host:9001/v1`; in a browser also relative to the page, such as `/v1`.
 * @throws When the URL is none, or nothing is there to connect with.
 */
export function connect<P = unknown>(url: string, options: Options = {}): LineageClient<P> {
  return new LineageClient(url, options);
}

/** See {@link connect}. */
export class LineageClient<P = unknown> implements AsyncIterable<State<P>> {
  #stream: Stream;
  #callbacks = new Map<string, Set<(state: any) => void>>();
  #queues = new Set<Queue<P>>();
  #options: Options;
  #isClosed = false;

  /** Use {@link connect}. */
  constructor(url: string, options: Options) {
    const { signal } = options;
    this.#options = options;
    this.#stream = new Stream(url, options, (state) => this.#report(state));
    signal?.addEventListener("abort", this.#abort);
    // Later, so that whoever called sees everything that comes of it.
    queueMicrotask(() => (signal?.aborted ? this.close() : this.#stream.connection.open()));
  }

  /** Where the stream stands: to go on from with another client. Undefined before anything came. */
  get position(): Position | undefined {
    return this.#stream.position;
  }

  /** What is in use, or will be tried next. */
  get transport(): Transport {
    return this.#stream.connection.transport;
  }

  /** Calls back on every state of that name. Returns what ends that. */
  on<Name extends State["state"]>(name: Name, callback: (state: StateOf<Name, P>) => void): () => void {
    let callbacks = this.#callbacks.get(name);
    if (!callbacks) this.#callbacks.set(name, (callbacks = new Set()));
    callbacks.add(callback);
    return () => callbacks.delete(callback);
  }

  /** All states from here on. Ends after `closed`. */
  [Symbol.asyncIterator](): AsyncIterableIterator<State<P>, undefined, undefined> {
    const queue = new Queue<P>(
      this.#options.bufferMax ?? 65_536,
      (left) => this.#queues.delete(left),
      (topic) => this.#stream.isState(topic),
    );
    if (this.#isClosed) queue.end();
    else this.#queues.add(queue);
    return queue;
  }

  /** Subscribes to topics and patterns, also to ones already subscribed to with other options. */
  subscribe(topics: readonly string[], options: SubscribeOptions = {}): void {
    if (topics.length) this.#stream.subscribe(topics, options);
  }

  /** Ends subscriptions, named as they were made. */
  unsubscribe(topics: readonly string[]): void {
    this.#stream.unsubscribe(topics);
  }

  /** Ends everything. The last state is `closed`. */
  close(): void {
    this.#report({ state: "closed", code: 1000, reason: "closed by the program" });
  }

  #report(state: State<P>): void {
    if (this.#isClosed) return;
    if (state.state === "closed") this.#end();
    for (const queue of this.#queues) queue.push(state);
    for (const callback of this.#callbacks.get(state.state) ?? []) {
      try {
        callback(state);
      } catch (error) {
        // The program's own error is for the program to see, and no reason to lose the rest.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
    if (!this.#isClosed) return;
    for (const queue of this.#queues) queue.end();
    this.#queues.clear();
  }

  #end(): void {
    this.#isClosed = true;
    this.#stream.connection.close();
    this.#options.signal?.removeEventListener("abort", this.#abort);
  }

  #abort = (): void => this.close();
}
