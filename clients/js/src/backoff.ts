/** How long to wait before a try to connect. Full jitter: anything from nothing to the limit is as likely. */

/** The first tries, and the time within which all of them are made. */
const QUICK_TRIES = 3;
const QUICK_MS = 500;
/** While a restart may be what is going on, a server that is back has its clients back within this time. */
const RESTART_MS = 2_000;
/** The last try that waits no longer than that; ten or so seconds have gone by then. */
export const RESTART_TRIES = 16;
const LIMIT_MS = 20_000;

/** A time within a window, in milliseconds. */
export function within(least: number, most: number): number {
  return least + Math.random() * (most - least);
}

/** The wait before try number `attempt` (1 is the first), in milliseconds. */
export function backoff(attempt: number): number {
  if (attempt <= QUICK_TRIES) return within(0, QUICK_MS / QUICK_TRIES);
  if (attempt <= RESTART_TRIES) return within(0, Math.min(QUICK_MS * 2 ** (attempt - QUICK_TRIES - 1), RESTART_MS));
  return within(0, Math.min(RESTART_MS * 2 ** Math.min(attempt - RESTART_TRIES, 10), LIMIT_MS));
}
