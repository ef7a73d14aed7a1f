// What the tests share: a server that does what a test tells it, and a reader of a client's states.
import { createServer } from "node:http";
import { WebSocket, WebSocketServer } from "ws";
import { connect } from "../dist/esm/index.js";

/** Things that come one after the other, awaited one by one. */
export class Inbox {
  #items = [];
  #wake = () => {};

  push(item) {
    this.#items.push(item);
    this.#wake();
  }

  async next() {
    while (!this.#items.length) await new Promise((wake) => (this.#wake = wake));
    return this.#items.shift();
  }
}

/** One WebSocket connection, seen from the server. */
class Peer {
  received = new Inbox();

  constructor(socket, request) {
    this.socket = socket;
    this.protocols = request.headers["sec-websocket-protocol"];
    socket.on("message", (data) => this.received.push(JSON.parse(data)));
    this.closed = new Promise((closed) => socket.on("close", closed));
  }

  send(...frames) {
    for (const frame of frames) this.socket.send(JSON.stringify(frame));
  }

  /** Greets, answers the next subscribe, and returns it. */
  async accept({ welcome: greeting, ack: answer } = {}) {
    this.send(welcome(greeting));
    const message = await this.received.next();
    this.send(ack(message.id, answer));
    return message;
  }
}

/** A server on a port of its own. Takes WebSockets unless `isDeaf`; answers HTTP with `answer`. */
export class Scripted {
  peers = new Inbox();
  all = [];
  requests = new Inbox();
  isDeaf = false;
  refused = 0;
  answer = (_request, response) => response.writeHead(404).end();

  async listen(port = 0) {
    this.http = createServer((request, response) => {
      this.requests.push(request);
      this.answer(request, response);
    });
    const sockets = new WebSocketServer({ noServer: true });
    this.http.on("upgrade", (request, socket, head) => {
      if (this.isDeaf) {
        this.refused += 1;
        socket.end("HTTP/1.1 502 Bad Gateway\r\nconnection: close\r\n\r\n");
      } else sockets.handleUpgrade(request, socket, head, (open) => {
        const peer = new Peer(open, request);
        this.all.push(peer);
        this.peers.push(peer);
      });
    });
    await new Promise((done) => this.http.listen(port, "127.0.0.1", done));
    this.port = this.http.address().port;
    this.url = `ws://127.0.0.1:${this.port}/v1`;
    return this;
  }

  async close() {
    for (const peer of this.all) peer.socket.terminate();
    // The timers of a socket end with it, and another test's clock would not let them.
    await Promise.all(this.all.map((peer) => peer.closed));
    this.http.closeAllConnections();
    await new Promise((done) => this.http.close(done));
  }
}

/** Reads a client's states in order. */
export class Reader {
  constructor(client) {
    this.client = client;
    this.states = client[Symbol.asyncIterator]();
    /** Everything read. */
    this.seen = [];
  }

  async next() {
    const { value } = await this.states.next();
    if (!value) throw new Error(`the client was closed; before: ${JSON.stringify(this.seen)}`);
    this.seen.push(value);
    return value;
  }

  /** The next state of that name; what comes before it is passed over. */
  async until(name, is = () => true) {
    for (;;) {
      const state = await this.next();
      if (state.state === name && is(state)) return state;
    }
  }

  /** The next `count` states, in order. */
  async take(count) {
    const states = [];
    while (states.length < count) states.push(await this.next());
    return states;
  }
}

/** Gives a test a scripted server and clients of it; both end with the test. */
export async function scripted(test) {
  const server = await new Scripted().listen();
  const clients = [];
  const ends = [];
  class Socket extends WebSocket {
    constructor(...all) {
      super(...all);
      ends.push(new Promise((done) => this.once("close", done)));
    }
  }
  test.after(async () => {
    for (const client of clients) client.close();
    await server.close();
    await Promise.all(ends);
  });
  const start = (options = {}) => {
    const client = connect(server.url, { WebSocket: Socket, ...options });
    clients.push(client);
    return new Reader(client);
  };
  return { server, start };
}

/** Stands in for a browser's word that the network is back; returns what says it. */
export function network(test) {
  const events = new EventTarget();
  globalThis.addEventListener = events.addEventListener.bind(events);
  globalThis.removeEventListener = events.removeEventListener.bind(events);
  test.after(() => {
    delete globalThis.addEventListener;
    delete globalThis.removeEventListener;
  });
  return () => events.dispatchEvent(new Event("online"));
}

/** Any time, milliseconds. */
export const TIMESTAMP = 1738512000123;

export function welcome({ epoch = "aaaa", head = 100, heartbeat_s = 15 } = {}) {
  const limits = { message_bytes: 16384, topics: 1024, topic_bytes: 128, messages_per_s: 50, burst: 200 };
  const payload = { protocol: 1, connection: "c1", epoch, head, ping_s: 20, heartbeat_s, limits };
  return { type: "welcome", payload, timestamp: TIMESTAMP };
}

export function ack(id, { pos = 100, topics = [], ...more } = {}) {
  return { type: "ack", ...(id === undefined ? {} : { id }), payload: { op: "subscribe", pos, topics, ...more }, timestamp: TIMESTAMP };
}

export function event(topic, seq, pos, more = {}) {
  const [type] = topic.split(":");
  return { type, topic, seq, ...more, pos, us: TIMESTAMP * 1000, payload: { n: seq }, timestamp: TIMESTAMP };
}

export function snapshot(topic, seq, pos) {
  return { ...event(topic, seq, pos), type: "snapshot" };
}

export function gap(topic, from, to, reason, action = "resume") {
  return { type: "gap", topic, payload: { from, to, reason, action }, timestamp: TIMESTAMP };
}

export function heartbeat(pos) {
  return { type: "heartbeat", payload: { pos }, timestamp: TIMESTAMP };
}

/** What a test compares of a state. */
export function brief(state) {
  const { state: name, topic, seq, from, to, reason, code } = state;
  switch (name) {
    case "event":
    case "snapshot":
      return `${name} ${topic} ${seq}`;
    case "gap":
      return `gap ${topic} ${from}..${to} ${reason} ${state.action}`;
    case "error":
      return `error ${code}`;
    case "connected":
      return `connected ${state.transport} ${state.recovered}`;
    default:
      return name;
  }
}
