/**
 * The three ways in which frames come. Each turns a URL into calls of `Ends`; none knows what a frame means, waits or
 * tries again. A link that was closed calls nobody.
 */
import type { WebSocketConstructor } from "./types.js";

/** An open way to the server. */
export interface Link {
  /** Only a WebSocket can. */
  send?(text: string): void;
  close(): void;
}

/** Why a link ended. */
export interface End {
  reason: string;
  /** Close code. */
  code?: number | undefined;
  /** The server's word for what is wrong with the request. */
  problem?: string;
  /** Wait at least so long, in milliseconds. */
  retryMs?: number;
}

/** Whom a link tells. */
export interface Ends {
  /** One frame, as text or parsed. */
  frame(frame: unknown): void;
  /** The stream's identity, where no frame says it. */
  epoch(epoch: string): void;
  down(end: End): void;
}

/** Answers a long poll's server waits for; below the time after which silence means that the server is gone. */
const POLL_WAIT_MS = 20_000;

/** Close codes for the refusals of HTTP. */
const REFUSALS: Record<number, number> = { 401: 4001, 403: 4003 };

export function openWebSocket(
  Socket: WebSocketConstructor,
  url: string,
  token: string | undefined,
  ends: Ends,
): Link {
  const socket = new Socket(url, token ? ["lineage.v1", `bearer.${token}`] : ["lineage.v1"]);
  socket.onmessage = ({ data }) => ends.frame(data);
  socket.onclose = ({ code, reason }) => ends.down({ code, reason });
  // A `close` follows, and says more. The package `ws` throws where nobody listens.
  socket.onerror = () => {};
  return {
    send: (text) => socket.send(text),
    close() {
      socket.onmessage = socket.onclose = null;
      socket.close(1000);
    },
  };
}

/** Server-Sent Events, over `EventSource` where there is one and no header has to be sent. */
export function openEvents(url: string, token: string | undefined, ends: Ends): Link {
  if (typeof EventSource === "undefined" || token) return openStream(url, token, ends);
  const source = new EventSource(url);
  source.onmessage = ({ data }) => ends.frame(data);
  source.onerror = () => {
    // It would try again by itself, and at its own pace.
    source.close();
    ends.down({ reason: "the event stream ended" });
  };
  return { close: () => source.close() };
}

function openStream(url: string, token: string | undefined, ends: Ends): Link {
  return run(ends, async (signal) => {
    const { body } = await request(url, token, signal);
    if (!body) return;
    const reader = body.getReader();
    const decoder = new TextDecoder();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const lines = (rest + decoder.decode(value, { stream: true })).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) {
        // A frame is one line; `id`, `retry` and comments say nothing that the frames do not say.
        if (line.startsWith("data:") && !signal.aborted) ends.frame(line.slice(5));
      }
    }
  });
}

/** Asks again and again; `url` knows from where. */
export function openPoll(url: (waitMs: number) => string, token: string | undefined, ends: Ends): Link {
  return run(ends, async (signal) => {
    // The first answer shows that polling works, hence comes at once.
    for (let waitMs = 0; !signal.aborted; waitMs = POLL_WAIT_MS) {
      const response = await request(url(waitMs), token, signal);
      const next = response.headers.get("lineage-next");
      if (!next) throw { reason: "the answer has no Lineage-Next" };
      const frames: unknown[] = await response.json();
      if (signal.aborted) return;
      ends.epoch(next.split(".")[0] ?? "");
      for (const frame of frames) if (!signal.aborted) ends.frame(frame);
    }
  });
}

/** The last values, once. */
export function openSnapshot(
  url: string,
  token: string | undefined,
  ends: Ends,
  done: (frames: unknown[]) => void,
): Link {
  return run(ends, async (signal) => {
    const frames = await (await request(url, token, signal)).json();
    if (!signal.aborted) done(frames);
    // Whoever is done has closed this link.
  });
}

function run(ends: Ends, work: (signal: AbortSignal) => Promise<void>): Link {
  const abort = new AbortController();
  const { signal } = abort;
  const down = (why: unknown) => {
    if (signal.aborted) return;
    // Nothing of a broken answer stays open.
    abort.abort();
    const end = why as Partial<End> | undefined;
    ends.down(end?.reason ? (end as End) : { reason: `${why}` });
  };
  work(signal).then(() => down({ reason: "the stream ended" }), down);
  return { close: () => abort.abort() };
}

async function request(url: string, token: string | undefined, signal: AbortSignal): Promise<Response> {
  const headers: Record<string, string> = token ? { authorization: `Bearer ${token}` } : {};
  const response = await fetch(url, { headers, signal, cache: "no-store" });
  const { status } = response;
  if (status === 200) return response;
  const answer = await response.json().catch(() => undefined);
  const { code = `http_${status}`, message = `HTTP status ${status}` } = answer?.error ?? {};
  const retryMs = 1000 * Number(response.headers.get("retry-after")) || 0;
  throw { reason: message, problem: code, retryMs, code: REFUSALS[status] } satisfies End;
}
