// A network between client and server that a test can cut, hold up, and let refuse what some networks refuse.
import { createServer, connect } from "node:net";

const HEAD = /^GET (\S+) HTTP[^]*?\r\n\r\n/;

export class Proxy {
  /** Of `ws`, `sse`, `poll`: what does not get through. */
  blocked = new Set();
  refused = 0;
  #pairs = new Set();
  #isHeld = false;
  #pages;
  #target;

  /** `target`: where it leads, as `host:port`. `pages`: what it answers itself, by path. */
  constructor(target, pages = {}) {
    this.#target = target;
    this.#pages = pages;
  }

  async listen() {
    this.server = createServer((near) => this.#take(near));
    await new Promise((done) => this.server.listen(0, "127.0.0.1", done));
    this.host = `127.0.0.1:${this.server.address().port}`;
    this.url = `ws://${this.host}/v1`;
    this.httpUrl = `http://${this.host}`;
    return this;
  }

  /** Ends every connection, without a goodbye. Returns how many there were. */
  cut() {
    const { size } = this.#pairs;
    for (const pair of this.#pairs) for (const socket of pair) socket.destroy();
    return size;
  }

  /** Nothing passes any more, and nobody is told. */
  hold() {
    this.#isHeld = true;
    for (const pair of this.#pairs) for (const socket of pair) socket.pause();
  }

  release() {
    this.#isHeld = false;
    for (const pair of this.#pairs) for (const socket of pair) socket.resume();
  }

  async close() {
    this.cut();
    await new Promise((done) => this.server.close(done));
  }

  #take(near) {
    const [host, port] = this.#target.split(":");
    const far = connect(Number(port), host);
    const pair = [near, far];
    this.#pairs.add(pair);
    for (const socket of pair) {
      socket.setNoDelay();
      socket.on("error", () => {});
      socket.on("close", () => {
        this.#pairs.delete(pair);
        for (const other of pair) other.destroy();
      });
      if (this.#isHeld) socket.pause();
    }
    near.on("data", (data) => this.#isAnswered(near, data) || pass(near, far, data));
    far.on("data", (data) => pass(far, near, data));
  }

  /** Answers what does not get any further. The head of a request is what one piece of data begins with. */
  #isAnswered(near, data) {
    const [head, path] = HEAD.exec(data.toString("latin1")) ?? [];
    if (!head) return false;
    const page = this.#pages[path];
    const way = /^upgrade: *websocket/im.test(head) ? "ws" : /^\/v1\/(sse|poll)/.exec(path)?.[1];
    if (page) answer(near, "200 OK", ...page);
    else if (this.blocked.has(way)) {
      this.refused += 1;
      answer(near, "502 Bad Gateway", "text/plain", "blocked");
    } else return false;
    return true;
  }
}

function pass(from, to, data) {
  if (to.destroyed || to.write(data)) return;
  from.pause();
  to.once("drain", () => from.resume());
}

function answer(socket, status, type, body) {
  socket.write(`HTTP/1.1 ${status}\r\ncontent-type: ${type}\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n`);
  socket.end(body);
}

/** Gives a test a network to that server. */
export async function proxied(test, server, pages) {
  const proxy = await new Proxy(server.http, pages).listen();
  test.after(() => proxy.close());
  return proxy;
}
