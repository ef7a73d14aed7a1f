/** What goes in and out of the client: options, and the states that it reports. Types only. */

/** How events come: over a WebSocket, as Server-Sent Events, or by long poll. */
export type Transport = "ws" | "sse" | "poll";

/** A place in the stream, to go on from. */
export interface Position {
  /** Identity of the stream; another one after every start of the server. */
  epoch: string;
  /** Position in the whole stream. */
  pos: number;
}

/** How the topics of one subscription come. */
export interface SubscribeOptions {
  /**
   * `all` (the default): every event. `latest`: the newest value per topic, at most `maxHz` times per second.
   * The fallbacks know no rates: over them `latest` comes as `all` does.
   */
  mode?: "all" | "latest";
  /** Frames per second and topic at most, in mode `latest`. The server's default is 10. */
  maxHz?: 1 | 2 | 5 | 10 | 20 | 50 | 100;
  /** Whether the last value of every state topic comes first. The default is true. */
  snapshot?: boolean;
}

/** Options of {@link connect}. Times are in milliseconds. */
export interface Options extends SubscribeOptions {
  /** Topics and patterns to subscribe to from the start. */
  topics?: readonly string[];
  /** Where to go on from: a `position` that an earlier client had. */
  from?: Position;
  /** Ends the client when it aborts, as `close` does. */
  signal?: AbortSignalLike;
  /** Access token. Goes as a sub-protocol, and as `Authorization` header over the fallbacks. */
  token?: string;
  /** What the server does when this client is too slow: send a gap (the default), or close with 4008. */
  onLag?: "gap" | "disconnect";
  /**
   * Where the fallbacks are asked. The default is the page's own origin in a browser, else the host of the
   * WebSocket URL, with port 8000 in place of 9001.
   */
  httpUrl?: string;
  /** What may be used, in the order of preference. The default is all: `ws`, `sse`, `poll`. */
  transports?: readonly Transport[];
  /** A try that is not answered within this time has failed. The default is 10,000. */
  connectTimeout?: number;
  /** While a fallback is in use: how often the first transport is tried again. The default is 60,000. */
  upgradeInterval?: number;
  /** States that may wait for an iterator before older ones of the same topic become a gap. The default is 65,536. */
  bufferMax?: number;
  /** The WebSocket to use where there is no global one (Node.js before version 22): that of package `ws`. */
  WebSocket?: WebSocketConstructor;
}

/** The part of an `AbortSignal` that the client uses. */
export interface AbortSignalLike {
  readonly aborted: boolean;
  addEventListener(type: "abort", listener: () => void): void;
  removeEventListener(type: "abort", listener: () => void): void;
}

/** The part of a WebSocket that the client uses. */
export interface WebSocketLike {
  onmessage: ((message: any) => void) | null;
  onclose: ((end: any) => void) | null;
  onerror: ((error: any) => void) | null;
  send(text: string): void;
  close(code?: number): void;
}

/** Makes a WebSocket. */
export type WebSocketConstructor = new (url: string, protocols: string[]) => WebSocketLike;

/** The stream is open and the subscriptions are in effect. */
export interface Connected {
  state: "connected";
  transport: Transport;
  epoch: string;
  /** The server's name of this connection; a long poll has none. */
  connection: string | undefined;
  /**
   * True: every event since the last connection follows. False: it could not be resumed, gaps and snapshots follow.
   * Undefined: there was nothing to resume.
   */
  recovered: boolean | undefined;
}

/** An event. Besides `state` it is the frame as it came. */
export interface Event<P = unknown> {
  state: "event";
  type: string;
  topic: string;
  /** Number of the event within its topic. */
  seq: number;
  /** In mode `latest`: the `seq` of the frame of this topic before. */
  prev?: number;
  pos: number;
  /** When it was published, in microseconds since the Unix epoch. */
  us: number;
  payload: P;
  /** When it was published, in milliseconds since the Unix epoch. */
  timestamp: number;
}

/** The last value of a topic, at the start or after a gap. */
export interface Snapshot<P = unknown> {
  state: "snapshot";
  type: "snapshot";
  topic: string;
  seq: number;
  pos: number;
  us: number;
  payload: P;
  timestamp: number;
}

/** Events that will not come. */
export interface Gap {
  state: "gap";
  topic: string;
  /** First `seq` missed; 0 where it is not known. */
  from: number;
  /** Last `seq` missed; 0 after a restart. */
  to: number;
  /**
   * `slow`, `overrun`: this client was too slow. `expired`: it was away for longer than the server remembers.
   * `restart`: the server began anew, and so do the `seq`s.
   */
  reason: "slow" | "overrun" | "expired" | "restart";
  /** `snapshot`: a newer value follows, nothing to do. `resume`: what was missed has to be had elsewhere. */
  action: "snapshot" | "resume";
}

/** The connection was lost, or a try failed; there will be another one. */
export interface Reconnecting {
  state: "reconnecting";
  /** Number of the try to come, 1 for the first since the last connection that lasted. */
  attempt: number;
  /** Time until then, in milliseconds. */
  delay: number;
  /** What will be tried. */
  transport: Transport;
  /** Close code, where there was one. */
  code: number | undefined;
  reason: string;
}

/**
 * Something is wrong, and the client goes on. `code` is the server's, or one of the client's own: `gap_proof` (events
 * are missing or came twice, and the server did not say so) and `bad_frame` (what came is no frame).
 */
export interface Problem {
  state: "error";
  code: string;
  message: string;
  /** What it is about, where it is about one topic or pattern. */
  topic: string | undefined;
}

/** The end: by `close`, or by a code after which reconnecting makes no sense (4001, 4003, 4011). */
export interface Closed {
  state: "closed";
  code: number;
  reason: string;
}

/** Everything that a client reports. */
export type State<P = unknown> = Connected | Event<P> | Snapshot<P> | Gap | Reconnecting | Problem | Closed;

/** The state of that name. */
export type StateOf<Name extends State["state"], P = unknown> = Extract<State<P>, { state: Name }>;

/** Payload of topics `market:*`. */
export interface MarketPayload {
  symbol: string;
  price: number;
}

/** Payload of topics `agent:*`. */
export interface AgentPayload {
  agent: string;
  name: string;
  capital: number;
  trades: number;
  /** 0 to 1. */
  win_rate: number;
  scars: number;
  status: "active" | "resting";
  action: string;
}

/** Payload of topics `trade:*`. */
export interface TradePayload {
  agent: string;
  symbol: string;
  side: "buy" | "sell";
  price: number;
  quantity: number;
  pnl: number;
  won: boolean;
}
