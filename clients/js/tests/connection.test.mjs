// Goal: the client comes back when it may, as fast as it may, by whatever way is open.
// Method: a scripted server refuses, closes or says nothing; where time matters, a WebSocket that always fails under
// a clock that the test sets.
import assert from "node:assert/strict";
import { test } from "node:test";
import { connect } from "../dist/esm/index.js";
import { ack, brief, event, gap, heartbeat, Inbox, network, Reader, scripted, snapshot, TIMESTAMP, welcome } from "./support.mjs";

const LIMIT = { timeout: 30_000 };

for (const [code, mayReconnect] of [
  [1000, true], [1001, true], [1009, true], [1011, true], [4008, true], [4009, true], [4010, true],
  [4001, false], [4003, false], [4011, false],
]) {
  test(`after close code ${code} the client ${mayReconnect ? "comes back" : "stays away"}`, LIMIT, async (t) => {
    const { server, start } = await scripted(t);
    const reader = start({ topics: ["a"] });
    const peer = await server.peers.next();
    await peer.accept();
    peer.socket.close(code, "word and more");
    await reader.until("connected");
    const state = await reader.next();
    assert.equal(state.code, code);
    assert.equal(state.reason, "word and more");
    if (mayReconnect) {
      assert.equal(state.state, "reconnecting");
      await (await server.peers.next()).accept();
      await reader.until("connected");
    } else {
      assert.equal(state.state, "closed");
      assert.equal((await reader.states.next()).done, true);
    }
  });
}

test("a silent connection is asked, then given up", LIMIT, async (t) => {
  const { server, start } = await scripted(t);
  const reader = start({ topics: ["a"] });
  const peer = await server.peers.next();
  await peer.accept({ welcome: { heartbeat_s: 0.05 } });
  // An answer is a sign of life.
  for (let n = 0; n < 3; n++) {
    assert.equal((await peer.received.next()).op, "ping");
    assert.deepEqual(reader.seen.map(brief).filter((state) => state === "reconnecting"), []);
    peer.send({ type: "pong", payload: { head: 100, lag: 0 } });
  }
  const lost = await reader.until("reconnecting");
  assert.equal(lost.reason, "the server is silent");
  await peer.closed;
  assert.deepEqual((await (await server.peers.next()).accept()).from, { epoch: "aaaa", pos: 100 });
});

test("heartbeats keep a connection without questions", LIMIT, async (t) => {
  const { server, start } = await scripted(t);
  t.mock.timers.enable({ apis: ["setTimeout", "Date"], now: TIMESTAMP });
  const reader = start({ topics: ["a"] });
  const peer = await server.peers.next();
  await peer.accept();
  await reader.until("connected");
  for (let n = 1; n <= 5; n++) {
    t.mock.timers.tick(14_999);
    peer.send(heartbeat(100 + n), event("a", n, 200 + n));
    await reader.until("event");
  }
  t.mock.timers.tick(15_000);
  assert.equal((await peer.received.next()).op, "ping", "the first message since the subscribe");
  t.mock.timers.tick(14_999);
  assert.equal(reader.seen.filter(({ state }) => state === "reconnecting").length, 0);
  t.mock.timers.tick(1);
  await reader.until("reconnecting");
});

test("a try that nobody answers is given up", LIMIT, async (t) => {
  const { server, start } = await scripted(t);
  const reader = start({ topics: ["a"], connectTimeout: 20 });
  await server.peers.next();
  assert.equal((await reader.until("reconnecting")).reason, "the server is silent");
  await server.peers.next();
});

test("a shutdown says when to come back", LIMIT, async (t) => {
  const { server, start } = await scripted(t);
  const reader = start({ topics: ["a"] });
  const peer = await server.peers.next();
  await peer.accept();
  await reader.until("connected");
  peer.send({ type: "shutdown", payload: { reconnect_ms: [300, 310] } });
  peer.socket.close(1001);
  const { delay } = await reader.until("reconnecting");
  assert.ok(delay >= 300 && delay <= 310, `${delay}`);
  const again = await server.peers.next();
  await again.accept();
  again.socket.close(1001);
  await reader.until("connected");
  const next = await reader.until("reconnecting");
  assert.ok(next.delay <= 500, `the window holds once: ${next.delay}`);
});

/** A WebSocket that cannot be opened. */
class Failing {
  constructor() {
    Failing.tries += 1;
    queueMicrotask(() => this.onclose?.({ code: 1006, reason: "" }));
  }
  close() {}
}

test("tries are three within half a second, then at most two seconds apart up to the sixteenth, then up to twenty", LIMIT, async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"], now: TIMESTAMP });
  for (let series = 0; series < 50; series++) {
    const client = connect("ws://192.0.2.1/v1", { WebSocket: Failing, transports: ["ws"] });
    const reader = new Reader(client);
    const delays = [];
    for (let attempt = 1; attempt <= 30; attempt++) {
      const state = await reader.next();
      assert.deepEqual([state.state, state.attempt], ["reconnecting", attempt]);
      delays.push(state.delay);
      const tries = Failing.tries;
      t.mock.timers.tick(Math.ceil(state.delay));
      assert.equal(Failing.tries, tries + 1);
    }
    client.close();
    assert.ok(delays[0] + delays[1] + delays[2] <= 500, `${delays}`);
    const limits = [500, 1_000, ...Array(11).fill(2_000), 4_000, 8_000, 16_000];
    assert.ok(limits.every((limit, n) => delays[3 + n] <= limit), `${delays}`);
    assert.ok(delays.every((delay) => delay >= 0 && delay <= 20_000), `${delays}`);
    Failing.late.push(...delays.slice(19));
  }
  // 550 draws: that none is in the first or the last tenth has a chance of less than 1 in 10^25.
  assert.ok(Failing.late.some((delay) => delay < 2_000) && Failing.late.some((delay) => delay > 18_000));
});
Failing.tries = 0;
Failing.late = [];

test("a connection that lasted ends the series of tries, one that did not goes on with it", LIMIT, async (t) => {
  const { server, start } = await scripted(t);
  t.mock.timers.enable({ apis: ["setTimeout", "Date"], now: TIMESTAMP });
  const reader = start({ topics: ["a"] });
  const attempts = [];
  for (const lasts of [0, 4_999, 5_000, 5_001, 0]) {
    const peer = await server.peers.next();
    await peer.accept();
    await reader.until("connected");
    t.mock.timers.tick(lasts);
    peer.socket.close(1001);
    const { attempt, delay } = await reader.until("reconnecting");
    attempts.push(attempt);
    t.mock.timers.tick(Math.ceil(delay));
  }
  assert.deepEqual(attempts, [1, 2, 1, 1, 2]);
});

test("the event `online` causes a try at once", LIMIT, async (t) => {
  const { server, start } = await scripted(t);
  const online = network(t);
  const reader = start({ topics: ["a"] });
  const peer = await server.peers.next();
  await peer.accept();
  peer.send({ type: "shutdown", payload: { reconnect_ms: [3_600_000, 3_600_000] } });
  peer.socket.close(1001);
  assert.equal((await reader.until("reconnecting")).delay, 3_600_000);
  online();
  await (await server.peers.next()).accept();
  await reader.until("connected");
});

// ---- Fallbacks.

/** Answers requests for events with a stream that the test writes. */
function streams(server) {
  const open = new Inbox();
  server.answer = (request, response) => {
    if (!request.url.startsWith("/v1/sse")) return response.writeHead(404).end();
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write("retry: 1000\n\n");
    open.push({
      request,
      response,
      send: (...frames) => {
        for (const frame of frames) response.write(`id: aaaa.${frame.pos ?? 0}\ndata: ${JSON.stringify(frame)}\n\n`);
      },
    });
  };
  return open;
}

test("where no WebSocket can be opened, events come as a stream, then by long poll", LIMIT, async (t) => {
  const { server, start } = await scripted(t);
  server.isDeaf = true;
  const reader = start({ topics: ["a", "b:*"], httpUrl: server.url.replace("ws", "http") });
  const urls = [];
  for (let n = 0; n < 4; n++) urls.push((await server.requests.next()).url);
  assert.equal(server.refused, 2);
  assert.deepEqual(urls, [...Array(2).fill("/v1/sse?topics=a,b:*"), ...Array(2).fill("/v1/poll?topics=a,b:*&wait_ms=0")]);
  const tried = [];
  while (tried.length < 4) {
    const state = await reader.next();
    if (state.state === "reconnecting") tried.push(state.transport);
    else assert.equal(state.code, "http_404");
  }
  assert.deepEqual(tried, ["ws", "sse", "sse", "poll"]);
  // All the way round: the WebSocket gets its turn again.
  server.isDeaf = false;
  await (await server.peers.next()).accept();
  assert.equal((await reader.until("connected")).transport, "ws");
});

test("a WebSocket that has worked is not given up after two failures", LIMIT, async (t) => {
  const { server, start } = await scripted(t);
  const reader = start({ topics: ["a"] });
  const peer = await server.peers.next();
  await peer.accept();
  server.isDeaf = true;
  peer.socket.terminate();
  for (let n = 0; n < 4; n++) assert.equal((await reader.until("reconnecting")).transport, "ws");
  server.isDeaf = false;
  await (await server.peers.next()).accept();
});

for (const [name, token] of [["by fetch", undefined], ["by fetch, with a token", "s3cret"]]) {
  test(`a stream of events ${name} is resumed, and tells of a restart`, LIMIT, async (t) => {
    const { server, start } = await scripted(t);
    const open = streams(server);
    const reader = start({ topics: ["a"], transports: ["sse"], snapshot: false, httpUrl: server.url, token });
    const stream = await open.next();
    assert.equal(stream.request.url, "/v1/sse?topics=a&snapshot=false");
    assert.equal(stream.request.headers.authorization, token && `Bearer ${token}`);
    stream.send(welcome(), ack(undefined, { topics: [{ topic: "a", seq: 3 }] }), event("a", 4, 101));
    // A frame in pieces, cut within a character.
    const bytes = Buffer.from(`data: ${JSON.stringify({ ...event("a", 5, 102), payload: "\u00e9" })}\r\n\r\n`);
    const cut = bytes.indexOf(0xc3) + 1;
    stream.response.write(bytes.subarray(0, cut));
    await reader.until("event");
    stream.response.write(bytes.subarray(cut));
    assert.equal((await reader.until("event")).payload, "\u00e9");
    stream.response.end();
    assert.equal((await reader.until("reconnecting")).reason, "the stream ended");
    const again = await open.next();
    assert.equal(again.request.url, "/v1/sse?topics=a&from=aaaa.102&snapshot=false");
    again.send(welcome(), ack(undefined, { recovered: true, pos: 102 }), event("a", 6, 103));
    assert.deepEqual((await reader.take(2)).map(brief), ["connected sse true", "event a 6"]);
    again.response.destroy();
    const third = await open.next();
    third.send(welcome({ epoch: "bbbb" }), ack(undefined, { recovered: false, pos: 7 }), gap("a", 0, 0, "restart"), event("a", 1, 8));
    await reader.until("connected");
    assert.deepEqual((await reader.take(2)).map(brief), ["gap a 0..0 restart resume", "event a 1"]);
    assert.deepEqual(reader.client.position, { epoch: "bbbb", pos: 8 });
  });
}

test("where there is an EventSource, it is used, and never tries again by itself", LIMIT, async (t) => {
  const { start } = await scripted(t);
  const sources = new Inbox();
  globalThis.EventSource = class {
    constructor(url) {
      this.url = url;
      sources.push(this);
    }
    close() {
      this.isClosed = true;
    }
  };
  t.after(() => delete globalThis.EventSource);
  const reader = start({ topics: ["a"], transports: ["sse"], httpUrl: "http://192.0.2.1:8000" });
  const source = await sources.next();
  assert.equal(source.url, "http://192.0.2.1:8000/v1/sse?topics=a");
  for (const frame of [welcome(), ack(undefined, {}), event("a", 1, 101)]) source.onmessage({ data: JSON.stringify(frame) });
  await reader.until("event");
  source.onerror({});
  assert.equal(source.isClosed, true);
  assert.equal((await sources.next()).url, "http://192.0.2.1:8000/v1/sse?topics=a&from=aaaa.101");
});

test("a long poll goes on from where the last answer ended", LIMIT, async (t) => {
  const { server, start } = await scripted(t);
  const polls = new Inbox();
  server.answer = (request, response) => {
    polls.push({
      url: request.url,
      reply: (next, ...frames) => response.writeHead(200, { "lineage-next": next }).end(JSON.stringify(frames)),
    });
  };
  const reader = start({ topics: ["a"], transports: ["poll"], httpUrl: server.url });
  const first = await polls.next();
  assert.equal(first.url, "/v1/poll?topics=a&wait_ms=0");
  first.reply("aaaa.100", ack(undefined, { topics: [{ topic: "a", seq: 3 }] }), snapshot("a", 3, 90), heartbeat(100));
  const second = await polls.next();
  assert.equal(second.url, "/v1/poll?topics=a&from=aaaa.100&wait_ms=20000");
  second.reply("aaaa.117", ack(undefined, { recovered: true }), event("a", 4, 101), heartbeat(117));
  const third = await polls.next();
  assert.equal(third.url, "/v1/poll?topics=a&from=aaaa.117&wait_ms=20000");
  third.reply("bbbb.9", ack(undefined, { recovered: false, pos: 8 }), gap("a", 0, 0, "restart", "snapshot"), snapshot("a", 2, 7), heartbeat(9));
  const fourth = await polls.next();
  assert.equal(fourth.url, "/v1/poll?topics=a&from=bbbb.9&wait_ms=20000");
  fourth.reply("bbbb.12", ack(undefined, { recovered: true }), event("a", 4, 10), heartbeat(12));
  assert.deepEqual((await reader.take(7)).map(brief), [
    "connected poll undefined", "snapshot a 3", "event a 4", "gap a 0..0 restart snapshot", "snapshot a 2", "error gap_proof", "event a 4",
  ]);
});

for (const [status, code] of [[401, 4001], [403, 4003]]) {
  test(`a fallback that is refused with ${status} ends like close code ${code}`, LIMIT, async (t) => {
    const { server, start } = await scripted(t);
    server.answer = (_, response) => response.writeHead(status).end('{"error":{"code":"auth","message":"no"}}');
    const reader = start({ topics: ["a"], transports: ["poll"], httpUrl: server.url });
    const states = await reader.take(2);
    assert.deepEqual(states.map(brief), ["error auth", "closed"]);
    assert.equal(states[1].code, code);
  });
}

test("a server without room says how long to wait", LIMIT, async (t) => {
  const { server, start } = await scripted(t);
  server.answer = (_, response) => response.writeHead(503, { "retry-after": "7" }).end("busy");
  const reader = start({ topics: ["a"], transports: ["poll"], httpUrl: server.url });
  const [problem, { delay }] = await reader.take(2);
  assert.equal(problem.code, "http_503");
  assert.equal(delay, 7_000);
});

test("a fallback gives way to the WebSocket when that works again, and nothing is lost", LIMIT, async (t) => {
  const { server, start } = await scripted(t);
  const open = streams(server);
  server.isDeaf = true;
  const reader = start({ topics: ["a"], httpUrl: server.url, snapshot: false, upgradeInterval: 20 });
  const stream = await open.next();
  stream.send(welcome(), ack(undefined, {}), event("a", 1, 101));
  await reader.until("event");
  const refused = server.refused;
  const ended = new Promise((done) => stream.response.on("close", done));
  stream.send(event("a", 2, 102));
  await reader.until("event");
  while (server.refused < refused + 2) await new Promise(setImmediate);
  stream.send(event("a", 3, 103));
  await reader.until("event");
  server.isDeaf = false;
  const peer = await server.peers.next();
  assert.deepEqual((await peer.accept({ ack: { recovered: true, pos: 103 } })).from, { epoch: "aaaa", pos: 103 });
  await ended;
  peer.send(event("a", 4, 104));
  assert.deepEqual((await reader.take(2)).map(brief), ["connected ws true", "event a 4"]);
});

test("subscriptions change while a fallback is in use, with their snapshots", LIMIT, async (t) => {
  const { server, start } = await scripted(t);
  const open = streams(server);
  const stream = server.answer;
  const asked = [];
  server.answer = (request, response) => {
    if (!request.url.startsWith("/v1/snapshot")) return stream(request, response);
    asked.push(request.url);
    const frames = [snapshot("a", 2, 102), snapshot("b:x", 9, 103)];
    response.writeHead(200, { "lineage-next": "aaaa.105" }).end(JSON.stringify(frames));
  };
  const reader = start({ topics: [], transports: ["sse"], httpUrl: server.url });
  reader.client.subscribe(["a"]);
  const first = await open.next();
  first.send(welcome(), ack(undefined, {}), event("a", 1, 101));
  await reader.until("event");
  reader.client.subscribe(["b:*"]);
  reader.client.subscribe(["*"]);
  const second = await open.next();
  assert.deepEqual([asked, second.request.url], [["/v1/snapshot?topics=b:*,*"], "/v1/sse?topics=a,b:*,*&from=aaaa.101"]);
  second.send(welcome(), ack(undefined, { recovered: true, pos: 101 }), event("a", 2, 102), event("b:x", 9, 103), event("b:x", 10, 106));
  assert.deepEqual((await reader.take(4)).map(brief), ["snapshot b:x 9", "connected sse true", "event a 2", "event b:x 10"]);
  reader.client.unsubscribe(["*", "b:*"]);
  const third = await open.next();
  assert.equal(third.request.url, "/v1/sse?topics=a&from=aaaa.106");
  assert.equal(asked.length, 1);
});

for (const [url, options, expected] of [
  ["ws://127.0.0.1:9001/v1", {}, "http://127.0.0.1:8000"],
  ["wss://example.com/v1", {}, "https://example.com"],
  ["ws://example.com:8000/v1", {}, "http://example.com:8000"],
  ["ws://example.com:9001/v1", { httpUrl: "https://other.example:9001/x" }, "https://other.example:9001"],
]) {
  test(`the fallbacks of ${url} ${JSON.stringify(options)} are at ${expected}`, LIMIT, async (t) => {
    const asked = new Inbox();
    t.mock.method(globalThis, "fetch", (url) => {
      asked.push(url);
      return new Promise(() => {});
    });
    const client = connect(url, { topics: ["a"], transports: ["sse"], ...options });
    t.after(() => client.close());
    assert.equal(await asked.next(), `${expected}/v1/sse?topics=a`);
  });
}

test("a URL that is none, and nothing to connect with, are errors at once", LIMIT, () => {
  assert.throws(() => connect("no url"), TypeError);
  assert.throws(() => connect("ws://127.0.0.1/v1", { transports: [] }), /neither/);
});
