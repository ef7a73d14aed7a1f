/**
 * What the program wants: its topics and patterns, how each of them comes, and how far each has got.
 *
 * Knows no link and sends nothing. It says which messages a new connection needs, and in which order.
 */
import { isWildcard, matches } from "./pattern.js";
import type { Position, SubscribeOptions } from "./types.js";

/** Topics of one message, in bytes; the server takes messages of 16 KiB. */
const TOPICS_BYTES_MAX = 15_000;

interface Subscription extends SubscribeOptions {
  /** Whether the server has acknowledged it, on any connection. */
  isAcked: boolean;
  /** Whether snapshots are wanted that have not all come. */
  needsSnapshot: boolean;
}

/** A subscribe to be sent. */
interface Message {
  topics: string[];
  options: SubscribeOptions;
  from?: Position;
}

/** By topic or pattern, in the order in which they count. */
export type Subscriptions = Map<string, Subscription>;

export function add(
  all: Subscriptions,
  topics: readonly string[],
  { mode, maxHz, snapshot }: SubscribeOptions,
  isAcked: boolean,
): void {
  for (const pattern of topics) {
    // Among patterns the latest one counts, hence it moves to the end.
    all.delete(pattern);
    const subscription: Subscription = { isAcked, needsSnapshot: !isAcked && snapshot !== false };
    if (mode) subscription.mode = mode;
    if (maxHz) subscription.maxHz = maxHz;
    if (snapshot !== undefined) subscription.snapshot = snapshot;
    all.set(pattern, subscription);
  }
}

/** Those that a topic belongs to. */
export function matching(all: Subscriptions, topic: string): Subscription[] {
  return [...all].filter(([pattern]) => matches(pattern, topic)).map(([, subscription]) => subscription);
}

/** Whether none of `patterns` wants snapshots. */
export function isWithoutSnapshots(all: Subscriptions, patterns: Iterable<string>): boolean {
  return [...patterns].every((pattern) => all.get(pattern)?.snapshot === false);
}

/** Those whose snapshots have not all come. `awaited`: topics of which one was promised. */
export function wantingSnapshot(all: Subscriptions, awaited: readonly string[]): string[] {
  for (const topic of awaited) {
    for (const subscription of matching(all, topic)) subscription.needsSnapshot = true;
  }
  return [...all].filter(([, { needsSnapshot }]) => needsSnapshot).map(([pattern]) => pattern);
}

/**
 * What a new connection has to be told. The first message resumes from `position`, where there is anything to resume;
 * what is resumed comes without snapshots, so that those of `owed` are asked for beside it.
 */
export function messages(all: Subscriptions, position: Position | undefined, owed: readonly string[]): Message[] {
  const isOwed = new Set(owed);
  const resumed: string[] = [];
  const fresh: (Message & { key: string })[] = [];
  let isBehindLatest = false;
  for (const [pattern, options] of all) {
    const { mode, maxHz, snapshot, isAcked } = options;
    // Only the first message can resume, and of two wildcards the later one counts: their order has to stay.
    if (mode === "latest") isBehindLatest ||= isWildcard(pattern);
    const isResumed = !!position && isAcked && mode !== "latest" && !(isBehindLatest && isWildcard(pattern));
    if (isResumed) resumed.push(pattern);
    if (isResumed && !isOwed.has(pattern)) continue;
    const key = `${[mode, maxHz, snapshot]}`;
    const group = fresh.at(-1);
    if (group?.key === key) group.topics.push(pattern);
    else fresh.push({ key, options, topics: [pattern] });
  }
  if (!position || !resumed.length) return fresh;
  // Topics of patterns are not known one by one: these need the resume most, should one message not hold all.
  resumed.sort((a, b) => +isWildcard(b) - +isWildcard(a));
  const options = isWithoutSnapshots(all, resumed) ? { snapshot: false } : {};
  return [{ topics: resumed, options, from: position }, ...fresh];
}

/** Splits a list into parts that fit one message each. */
export function parts(topics: readonly string[]): string[][] {
  const all: string[][] = [];
  let bytes = Infinity;
  for (const topic of topics) {
    const more = 3 + 3 * topic.length;
    if (bytes + more > TOPICS_BYTES_MAX) {
      all.push([]);
      bytes = 0;
    }
    bytes += more;
    all.at(-1)?.push(topic);
  }
  return all;
}
