/**
 * Which transport is used: the next one after tries that nobody answered, and a WebSocket again when there is hope.
 *
 * Rules only: opens nothing, and keeps neither time nor state.
 */
import type { Transport } from "./types.js";

/** Tries without an answer after which the next transport gets its turn. */
const FAILURES_MAX = 2;
/** The same for a transport that has worked before: then it is rather the server that is away. */
const FAILURES_OF_PROVEN_MAX = 8;
/** After this time on a fallback a WebSocket that has worked before is tried, once. */
const UPGRADE_OF_PROVEN_MS = 1_000;

/** Those of `preferred` that can be used here. */
export function usable(preferred: readonly Transport[], hasSocket: boolean): Transport[] {
  const canFetch = typeof fetch === "function";
  const can: Record<Transport, boolean> = { ws: hasSocket, sse: canFetch, poll: canFetch };
  return preferred.filter((name) => can[name]);
}

/** Whether so many tries in a row without an answer are enough of one transport. */
export function isEnough(failures: number, isProven: boolean): boolean {
  return failures >= (isProven ? FAILURES_OF_PROVEN_MAX : FAILURES_MAX);
}

/** The time after which a WebSocket is tried beside a fallback that works. */
export function upgradeMs(intervalMs: number, isProven: boolean): number {
  // Where it has worked before, it was rather the server that was away.
  return isProven ? Math.min(UPGRADE_OF_PROVEN_MS, intervalMs) : intervalMs;
}
