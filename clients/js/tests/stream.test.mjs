// Goal: what comes over a WebSocket is reported rightly, and an interruption loses nothing without a word.
// Method: a scripted server on a socket; the client's states are compared in order.
import assert from "node:assert/strict";
import { test } from "node:test";
import { connect } from "../dist/esm/index.js";
import { ack, brief, event, gap, heartbeat, scripted, snapshot, welcome } from "./support.mjs";

const LIMIT = { timeout: 30_000 };

/** A client that is connected, subscribed to `topics`, and what the server answers first. */
async function begun(t, { answer, ...options }) {
  const { server, start } = await scripted(t);
  const reader = start(options);
  const peer = await server.peers.next();
  const message = await peer.accept({ ack: answer });
  await reader.until("connected");
  return { server, start, reader, peer, message };
}

async function briefs(reader, count) {
  return (await reader.take(count)).map(brief);
}

test("a client subscribes and reports what comes", LIMIT, async (t) => {
  const { server, start } = await scripted(t);
  const reader = start({ topics: ["market:BTC-USD", "agent:*"] });
  const peer = await server.peers.next();
  assert.equal(peer.protocols, "lineage.v1");
  const message = await peer.accept({ ack: { topics: [{ topic: "market:BTC-USD", seq: 4 }, { pattern: "agent:*", count: 1 }] } });
  assert.deepEqual(message, { op: "subscribe", id: 1, topics: ["market:BTC-USD", "agent:*"] });
  peer.send(snapshot("market:BTC-USD", 4, 90), snapshot("agent:momentum", 7, 91));
  peer.send({ type: "news", payload: {} }, event("market:BTC-USD", 5, 101), heartbeat(101), event("agent:momentum", 8, 102));
  const connected = await reader.next();
  assert.deepEqual(connected, { state: "connected", transport: "ws", epoch: "aaaa", connection: "c1", recovered: undefined });
  assert.deepEqual(await briefs(reader, 4), [
    "snapshot market:BTC-USD 4", "snapshot agent:momentum 7", "event market:BTC-USD 5", "event agent:momentum 8",
  ]);
  assert.deepEqual(reader.seen[3], { state: "event", ...event("market:BTC-USD", 5, 101) });
  assert.deepEqual(reader.client.position, { epoch: "aaaa", pos: 102 });
});

test("callbacks get the states of their name until they are taken back", LIMIT, async (t) => {
  const { reader, peer } = await begun(t, { topics: ["a"] });
  const heard = [];
  const end = reader.client.on("event", ({ topic, seq }) => heard.push(`${topic} ${seq}`));
  reader.client.on("gap", () => heard.push("gap"));
  peer.send(event("a", 1, 101));
  await reader.until("event");
  end();
  peer.send(event("a", 2, 102), gap("a", 3, 4, "slow"));
  await reader.until("gap");
  assert.deepEqual(heard, ["a 1", "gap"]);
});

test("a token goes as a sub-protocol", LIMIT, async (t) => {
  const { server, start } = await scripted(t);
  start({ topics: ["a"], token: "s3cret" });
  assert.equal((await server.peers.next()).protocols, "lineage.v1,bearer.s3cret");
});

for (const [name, frames, pos] of [
  ["the last event", [event("a", 1, 117)], 117],
  ["the last heartbeat", [event("a", 1, 117), heartbeat(140)], 140],
  ["the acknowledgement", [], 100],
]) {
  test(`a lost connection is resumed from ${name}`, LIMIT, async (t) => {
    const { server, reader, peer } = await begun(t, { topics: ["a", "b:*"], snapshot: false });
    peer.send(...frames, event("c", 9, 999));
    peer.socket.close(1001);
    assert.equal((await reader.until("reconnecting")).code, 1001);
    const again = await server.peers.next();
    const message = await again.accept({ ack: { recovered: true, pos } });
    assert.deepEqual(message, { op: "subscribe", id: 2, topics: ["b:*", "a"], snapshot: false, from: { epoch: "aaaa", pos } });
    again.send(event("a", frames.length ? 2 : 1, pos + 5));
    assert.deepEqual(await briefs(reader, 2), ["connected ws true", `event a ${frames.length ? 2 : 1}`]);
    assert.equal(reader.client.position.pos, pos + 5);
  });
}

test("a connection that breaks off is resumed", LIMIT, async (t) => {
  const { server, reader, peer } = await begun(t, { topics: ["a"], snapshot: false });
  peer.send(event("a", 1, 101));
  await reader.until("event");
  peer.socket.terminate();
  assert.equal((await reader.until("reconnecting")).code, 1006);
  assert.deepEqual((await (await server.peers.next()).accept()).from, { epoch: "aaaa", pos: 101 });
});

test("an earlier client's position is resumed from", LIMIT, async (t) => {
  const { message, start, server } = await begun(t, { topics: ["a"], from: { epoch: "aaaa", pos: 55 }, answer: { recovered: true, pos: 55 } });
  assert.deepEqual(message.from, { epoch: "aaaa", pos: 55 });
  const reader = start({ topics: ["a"], from: { epoch: "old1", pos: 55 } });
  const peer = await server.peers.next();
  await peer.accept({ ack: { recovered: false } });
  peer.send(gap("a", 0, 0, "restart", "snapshot"), snapshot("a", 3, 90));
  assert.deepEqual(await briefs(reader, 3), ["connected ws false", "gap a 0..0 restart snapshot", "snapshot a 3"]);
});

test("an expired gap is told from the first event that is missing", LIMIT, async (t) => {
  const { server, reader, peer } = await begun(t, { topics: ["*"] });
  peer.send(event("a", 4, 101), event("b", 6, 102));
  await reader.until("event", ({ topic }) => topic === "b");
  peer.socket.close(1001);
  const again = await server.peers.next();
  await again.accept({ ack: { recovered: false, pos: 900 } });
  again.send(gap("a", 0, 9, "expired", "snapshot"), gap("b", 0, 6, "expired"), gap("c", 0, 2, "expired"));
  again.send(snapshot("a", 9, 800), event("a", 10, 901), event("b", 7, 902), event("c", 3, 903));
  assert.equal((await reader.next()).state, "reconnecting");
  assert.deepEqual(await briefs(reader, 7), [
    "connected ws false", "gap a 5..9 expired snapshot", "gap c 0..2 expired resume",
    "snapshot a 9", "event a 10", "event b 7", "event c 3",
  ]);
});

test("a server that forgets to tell of an expired gap is made good for", LIMIT, async (t) => {
  const { server, reader, peer } = await begun(t, { topics: ["a", "b:*"], answer: { topics: [{ topic: "a", seq: 3 }] } });
  peer.send(event("a", 4, 101), event("b:x", 6, 102));
  await reader.until("event", ({ topic }) => topic === "b:x");
  peer.socket.close(1001);
  const again = await server.peers.next();
  await again.accept({ ack: { pos: 900, topics: [{ topic: "a", seq: 9 }] } });
  again.send(event("a", 10, 901), event("b:x", 9, 902));
  assert.equal((await reader.next()).state, "reconnecting");
  assert.deepEqual(await briefs(reader, 5), [
    "connected ws false", "gap a 5..9 expired resume", "event a 10", "gap b:x 7..8 expired resume", "event b:x 9",
  ]);
});

for (const says of [true, false]) {
  test(`a restart is told once for each topic, ${says ? "as the server does" : "also without the server's word"}`, LIMIT, async (t) => {
    const { server, reader, peer } = await begun(t, { topics: ["*"] });
    peer.send(snapshot("a", 4, 99), event("b", 6, 102));
    await reader.until("event");
    peer.socket.terminate();
    const again = await server.peers.next();
    const message = await again.accept({ welcome: { epoch: "bbbb", head: 3 }, ack: { recovered: false, pos: 3 } });
    assert.deepEqual(message.from, { epoch: "aaaa", pos: 102 });
    if (says) again.send(gap("a", 0, 0, "restart", "snapshot"), gap("c", 0, 0, "restart"));
    again.send(snapshot("a", 1, 2), event("b", 1, 4));
    assert.equal((await reader.next()).state, "reconnecting");
    assert.deepEqual(await briefs(reader, says ? 6 : 5), [
      "connected ws false", "gap a 0..0 restart snapshot", "gap b 0..0 restart resume",
      ...(says ? ["gap c 0..0 restart resume"] : []), "snapshot a 1", "event b 1",
    ]);
    assert.deepEqual(reader.client.position, { epoch: "bbbb", pos: 4 });
  });
}

for (const [name, frames, expected] of [
  ["the next number", [event("a", 4, 101)], ["event a 4"]],
  ["a jump", [event("a", 5, 101)], ["error gap_proof", "event a 5"]],
  ["a repeat", [event("a", 4, 101), event("a", 4, 102), event("a", 5, 103)], ["event a 4", "error gap_proof", "event a 5"]],
  ["a gap", [gap("a", 4, 8, "slow"), event("a", 9, 110)], ["gap a 4..8 slow resume", "event a 9"]],
  ["a jump behind a gap", [gap("a", 4, 8, "slow"), event("a", 10, 110)], ["gap a 4..8 slow resume", "error gap_proof", "event a 10"]],
  ["a gap that begins too late", [gap("a", 5, 8, "overrun")], ["error gap_proof", "gap a 5..8 overrun resume"]],
  ["a gap and its snapshot", [gap("a", 4, 8, "slow", "snapshot"), snapshot("a", 8, 105), event("a", 9, 110)], ["gap a 4..8 slow snapshot", "snapshot a 8", "event a 9"]],
  ["a snapshot ahead of the stream", [snapshot("a", 4, 105)], ["error gap_proof", "snapshot a 4"]],
  ["a stale snapshot", [snapshot("a", 2, 80), event("a", 4, 101)], ["error gap_proof", "event a 4"]],
  ["conflated frames", [event("a", 7, 101, { prev: 3 }), event("a", 12, 120, { prev: 7 })], ["event a 7", "event a 12"]],
  ["a lost conflated frame", [event("a", 7, 101, { prev: 3 }), event("a", 12, 120, { prev: 9 })], ["event a 7", "error gap_proof", "event a 12"]],
]) {
  test(`the gap proof: ${name}`, LIMIT, async (t) => {
    const { reader, peer } = await begun(t, { topics: ["a"], answer: { topics: [{ topic: "a", seq: 3 }] } });
    peer.send(...frames, { type: "error", payload: { code: "end", message: "", retryable: false } });
    const states = [];
    for (let state = await reader.next(); state.code !== "end"; state = await reader.next()) states.push(brief(state));
    assert.deepEqual(states, expected);
  });
}

test("a resume that leaves events out is found", LIMIT, async (t) => {
  const { server, reader, peer } = await begun(t, { topics: ["a", "b"], answer: { topics: [{ topic: "a", seq: 3 }, { topic: "b", seq: 8 }] } });
  peer.send(event("a", 4, 101));
  await reader.until("event");
  peer.socket.close(1001);
  const again = await server.peers.next();
  await again.accept({ ack: { recovered: true, pos: 101, topics: [{ topic: "a", seq: 5 }, { topic: "b", seq: 8 }] } });
  again.send(event("b", 10, 105));
  await reader.until("connected");
  assert.deepEqual(await briefs(reader, 3), ["error gap_proof", "error gap_proof", "event b 10"]);
});

test("events that a gap told of are left out when a resume brings them", LIMIT, async (t) => {
  const { server, reader, peer } = await begun(t, { topics: ["a"], snapshot: false });
  peer.send(event("a", 1, 101), gap("a", 2, 4, "slow"));
  await reader.until("gap");
  peer.socket.close(1001);
  const again = await server.peers.next();
  assert.equal((await again.accept({ ack: { recovered: true, pos: 101 } })).from.pos, 101);
  again.send(...[2, 3, 4, 5].map((seq) => event("a", seq, 100 + seq)));
  assert.equal((await reader.next()).state, "reconnecting");
  assert.deepEqual(await briefs(reader, 2), ["connected ws true", "event a 5"]);
});

for (const [name, frames] of [
  ["before the first snapshots", []],
  ["between a gap and its snapshot", [event("a", 5, 101), gap("a", 6, 8, "slow", "snapshot")]],
]) {
  test(`a connection lost ${name} is resumed and asks for the snapshots once more`, LIMIT, async (t) => {
    const { server, reader, peer } = await begun(t, { topics: ["a"], answer: { topics: [{ topic: "a", seq: 4 }] } });
    peer.send(...frames);
    peer.socket.close(1001);
    const again = await server.peers.next();
    const first = await again.accept({ ack: { recovered: true, pos: frames.length ? 101 : 100 } });
    const second = await again.received.next();
    assert.deepEqual([first.topics, !!first.from, second.topics, second.from], [["a"], true, ["a"], undefined]);
    const last = frames.length ? 8 : 4;
    again.send(ack(second.id, { pos: 120, topics: [{ topic: "a", seq: last }] }), snapshot("a", last, 100), event("a", last + 1, 121));
    await reader.until("connected");
    assert.deepEqual(await briefs(reader, 2), [`snapshot a ${last}`, `event a ${last + 1}`]);
    again.socket.close(1001);
    const third = await server.peers.next();
    const message = await third.accept({ ack: { recovered: true, pos: 121 } });
    third.send(event("a", last + 2, 122));
    await reader.until("event");
    assert.deepEqual(message.from, { epoch: "aaaa", pos: 121 });
    reader.client.close();
    await third.closed;
    assert.deepEqual(await reader.states.next().then(({ value }) => value.state), "closed");
  });
}

test("subscriptions change while the client runs, and last over a reconnect in their order", LIMIT, async (t) => {
  const { server, reader, peer } = await begun(t, { topics: ["a"], snapshot: false });
  reader.client.subscribe(["market:*"], { mode: "latest", maxHz: 20 });
  reader.client.subscribe(["c", "d"]);
  reader.client.unsubscribe(["d", "unknown"]);
  const messages = [await peer.received.next(), await peer.received.next(), await peer.received.next()];
  assert.deepEqual(messages, [
    { op: "subscribe", id: 2, topics: ["market:*"], mode: "latest", max_hz: 20 },
    { op: "subscribe", id: 3, topics: ["c", "d"] },
    { op: "unsubscribe", topics: ["d"] },
  ]);
  peer.send(ack(2), ack(3), event("c", 1, 101), event("d", 1, 102), event("market:X", 9, 400, { prev: 5 }), heartbeat(110));
  assert.deepEqual(await briefs(reader, 2), ["event c 1", "event market:X 9"]);
  peer.send({ type: "error", payload: { code: "end", message: "", retryable: false } });
  await reader.until("error");
  assert.deepEqual(reader.client.position, { epoch: "aaaa", pos: 110 });
  peer.socket.close(1001);
  const again = await server.peers.next();
  again.send(welcome());
  assert.deepEqual([await again.received.next(), await again.received.next()], [
    { op: "subscribe", id: 4, topics: ["a", "c"], from: { epoch: "aaaa", pos: 110 } },
    { op: "subscribe", id: 5, topics: ["market:*"], mode: "latest", max_hz: 20 },
  ]);
  // Conflated topics may go on from anywhere.
  again.send(ack(4, { recovered: true, pos: 110 }), ack(5, { pos: 130 }), snapshot("market:X", 14, 120), event("market:X", 17, 140, { prev: 14 }));
  await reader.until("connected");
  assert.deepEqual(await briefs(reader, 2), ["snapshot market:X 14", "event market:X 17"]);
});

test("what is subscribed to while there is no connection is not resumed", LIMIT, async (t) => {
  const { server, reader, peer } = await begun(t, { topics: ["a"], snapshot: false });
  peer.socket.close(1001);
  await reader.until("reconnecting");
  reader.client.subscribe(["b"]);
  const again = await server.peers.next();
  again.send(welcome());
  const [first, second] = [await again.received.next(), await again.received.next()];
  assert.deepEqual([first.topics, first.from?.pos, second.topics, second.from], [["a"], 100, ["b"], undefined]);
});

test("a wildcard behind a conflated one keeps its place", LIMIT, async (t) => {
  const { server, reader, peer } = await begun(t, { topics: ["a"], snapshot: false });
  reader.client.subscribe(["*"], { mode: "latest" });
  reader.client.subscribe(["market:*"], { snapshot: false });
  peer.send(ack((await peer.received.next()).id), ack((await peer.received.next()).id), event("market:X", 3, 101));
  await reader.until("event");
  peer.socket.close(1001);
  const again = await server.peers.next();
  again.send(welcome());
  const topics = [];
  for (let n = 0; n < 3; n++) topics.push((await again.received.next()).topics[0]);
  assert.deepEqual(topics, ["a", "*", "market:*"]);
});

test("refused topics are told and not asked for again", LIMIT, async (t) => {
  const { server, reader, peer } = await begun(t, { topics: ["a", "x y"], answer: { rejected: [{ topic: "x y", code: "bad_topic" }] } });
  const problem = await reader.until("error");
  assert.deepEqual([problem.code, problem.topic], ["bad_topic", "x y"]);
  peer.socket.close(1001);
  assert.deepEqual((await (await server.peers.next()).accept()).topics, ["a"]);
});

test("a subscribe that came too fast is repeated when the server says", LIMIT, async (t) => {
  const { reader, peer } = await begun(t, { topics: ["a"] });
  reader.client.subscribe(["b"]);
  const { id } = await peer.received.next();
  peer.send({ type: "error", id, payload: { code: "rate_limited", message: "", retryable: true, retry_ms: 5 } });
  assert.deepEqual(await peer.received.next(), { op: "subscribe", id: id + 1, topics: ["b"] });
});

test("where a resume is refused, the stream begins afresh and gaps say so", LIMIT, async (t) => {
  const { server, reader, peer } = await begun(t, { topics: ["a"], snapshot: false, answer: { topics: [{ topic: "a", seq: 3 }] } });
  peer.socket.close(1001);
  const again = await server.peers.next();
  again.send(welcome());
  const { id, from } = await again.received.next();
  assert.deepEqual(from, { epoch: "aaaa", pos: 100 });
  again.send({ type: "error", id, payload: { code: "not_supported", message: "", retryable: false } });
  const message = await again.received.next();
  assert.deepEqual(message, { op: "subscribe", id: id + 1, topics: ["a"] });
  again.send(ack(message.id, { pos: 140, topics: [{ topic: "a", seq: 7 }] }), event("a", 8, 141));
  await reader.until("reconnecting");
  assert.deepEqual(await briefs(reader, 4), ["error not_supported", "connected ws false", "gap a 4..7 expired resume", "event a 8"]);
});

test("a long list of topics is subscribed to in messages that the server takes", LIMIT, async (t) => {
  const { server, start } = await scripted(t);
  const topics = Array.from({ length: 1024 }, (_, n) => `market:${String(n).padStart(121, "x")}`);
  const reader = start({ topics: [...topics, "agent:*"], snapshot: false });
  for (const isFirst of [true, false]) {
    const peer = await server.peers.next();
    peer.send(welcome());
    const got = [];
    while (got.length < 1025) {
      const message = await peer.received.next();
      assert.ok(JSON.stringify(message).length <= 16384);
      assert.equal(message.from !== undefined, !isFirst && !got.length);
      if (!isFirst && !got.length) assert.equal(message.topics[0], "agent:*", "patterns need the resume most");
      got.push(...message.topics);
      peer.send(ack(message.id, message.from && { recovered: true }));
    }
    assert.deepEqual(got.sort(), [...topics, "agent:*"].sort());
    await reader.until("connected");
    peer.socket.close(1001);
  }
});

test("what is no frame is told, and the stream goes on", LIMIT, async (t) => {
  const { reader, peer } = await begun(t, { topics: ["a"] });
  peer.socket.send("{");
  peer.socket.send("null");
  peer.send(event("a", 1, 101));
  assert.deepEqual(await briefs(reader, 3), ["error bad_frame", "error bad_frame", "event a 1"]);
});

for (const [kind, action] of [["event", "resume"], ["state", "snapshot"]]) test(`a slow iterator of ${kind} topics gets gaps in place of what it left waiting, and the newest frames`, LIMIT, async (t) => {
  for (const extra of [-1, 0, 1]) {
    const { reader, peer } = await begun(t, { topics: ["*"], bufferMax: 8 });
    if (kind === "state") {
      peer.send(snapshot("a", 0, 100));
      await reader.until("snapshot");
    }
    let count = 0;
    const came = new Promise((done) => reader.client.on("event", () => ++count === 8 + extra && done()));
    for (let n = 1; n <= 8 + extra; n++) peer.send(event(n === 3 ? "b" : "a", n === 3 ? 1 : n < 3 ? n : n - 1, 100 + n));
    await came;
    const rest = await briefs(reader, extra === 1 ? 3 : 8 + extra);
    if (extra === 1) assert.deepEqual(rest, [`gap a 1..7 overrun ${action}`, "event a 8", "event b 1"]);
    else assert.equal(rest.at(-1), `event a ${7 + extra}`);
  }
});

test("an iterator answers everyone who asks, in their order", LIMIT, async (t) => {
  const { reader, peer } = await begun(t, { topics: ["a"] });
  const asked = [reader.states.next(), reader.states.next(), reader.states.next()];
  peer.send(event("a", 1, 101), event("a", 2, 102), event("a", 3, 103));
  assert.deepEqual((await Promise.all(asked)).map(({ value }) => value.seq), [1, 2, 3]);
  const last = [reader.states.next(), reader.states.next()];
  await reader.states.return();
  assert.deepEqual((await Promise.all(last)).map(({ done }) => done), [true, true]);
});

test("heartbeats are held to what came", LIMIT, async (t) => {
  const { reader, peer } = await begun(t, { topics: ["a", "b"] });
  const beat = (heads) => ({ ...heartbeat(110), payload: { pos: 110, heads } });
  peer.send(event("a", 1, 101), beat({ a: 1, c: 9 }), event("a", 2, 102), beat({ a: 3 }), event("a", 4, 111));
  assert.deepEqual(await briefs(reader, 4), ["event a 1", "event a 2", "error gap_proof", "event a 4"]);
});

test("a signal ends the client, also one that was given before", LIMIT, async (t) => {
  const abort = new AbortController();
  const { reader, peer } = await begun(t, { topics: ["a"], signal: abort.signal });
  abort.abort();
  assert.equal((await reader.next()).state, "closed");
  assert.equal((await reader.states.next()).done, true);
  await peer.closed;
  const { server, start } = await scripted(t);
  const late = start({ topics: ["a"], signal: abort.signal });
  assert.equal((await late.next()).state, "closed");
  assert.equal(server.all.length, 0);
});

test("what happens while connecting is told to whoever called", LIMIT, async (t) => {
  class Forbidden {
    constructor() {
      throw new Error("not from this page");
    }
  }
  const client = connect("ws://127.0.0.1:1/v1", { WebSocket: Forbidden, transports: ["ws"] });
  t.after(() => client.close());
  const { reason } = await new Promise((told) => client.on("reconnecting", told));
  assert.match(reason, /not from this page/);
});

test("a closed client says nothing more", LIMIT, async (t) => {
  const { reader, peer } = await begun(t, { topics: ["a"] });
  reader.client.on("event", () => reader.client.close());
  peer.send(event("a", 1, 101), event("a", 2, 102));
  await peer.closed;
  const rest = [];
  for await (const state of reader.states) rest.push(brief(state));
  assert.deepEqual(rest, ["event a 1", "closed"]);
});
