// Goal: whatever a network does to the connection, nothing is lost, nothing comes twice, and every gap is told.
// Method: the program itself behind a proxy that cuts, holds and refuses; what came is checked number by number.
import assert from "node:assert/strict";
import { test } from "node:test";
import { WebSocket } from "ws";
import { connect } from "../dist/esm/index.js";
import { running } from "./lineage.mjs";
import { proxied } from "./proxy.mjs";
import { brief, network, Reader } from "./support.mjs";

const LIMIT = { timeout: 60_000 };
/** Length of the long run. Longer by hand: LINEAGE_RUN_S=60. */
const RUN_MS = 1_000 * Number(process.env.LINEAGE_RUN_S ?? 10);
const SEED = Number(process.env.LINEAGE_SEED ?? Date.now() % 1_000_000);
const NEVER_MS = 3_600_000;

const numbers = (from, to) => Array.from({ length: to - from + 1 }, (_, n) => from + n);

function client(t, proxy, options) {
  const started = connect(proxy.url, { WebSocket, httpUrl: proxy.httpUrl, snapshot: false, ...options });
  t.after(() => started.close());
  return new Reader(started);
}

/** Reads on to the event `to`; from `from` on every one has to come, once and in order, and no gap or error. */
async function events(reader, topic, from, to) {
  for (let seq = from; seq <= to; ) {
    const state = await reader.next();
    if (state.state === "event" && state.topic === topic) assert.equal(state.seq, seq++);
    else assert.ok(["connected", "reconnecting"].includes(state.state), JSON.stringify(state));
  }
}

/** Reads on to the next `connected`, without waiting between tries. */
async function connected(reader, online) {
  for (;;) {
    const state = await reader.next();
    if (state.state === "connected") return state;
    if (state.state === "reconnecting") online();
  }
}

test("where WebSockets are blocked events come as a stream, where that is blocked too by long poll, without a loss", LIMIT, async (t) => {
  const server = await running(t);
  const proxy = await proxied(t, server);
  const online = network(t);
  proxy.blocked.add("ws");
  const reader = client(t, proxy, { topics: ["desk:*"], upgradeInterval: NEVER_MS });
  assert.equal(brief(await connected(reader, online)), "connected sse undefined");
  let last = 0;
  const publish = () => server.publish("desk:a", numbers(last + 1, (last += 100)));
  let next = 1;
  for (const transport of ["sse", "poll"]) {
    if (transport === "poll") proxy.blocked.add("sse");
    for (let round = 0; round < 5; round++) {
      await publish();
      assert.ok(proxy.cut() > 0);
      await publish();
      while (next <= last) {
        const state = await reader.next();
        if (state.state === "event") assert.equal(state.seq, next++);
        else if (state.state === "reconnecting") online();
        else if (state.state === "connected") assert.equal(brief(state), `connected ${transport} true`);
        else assert.equal(brief(state), "error http_502");
      }
      // A cut between two polls may go unnoticed.
      assert.equal(reader.client.transport, transport);
    }
  }
  // And back, when the network lets it.
  proxy.blocked.clear();
  const late = client(t, proxy, { topics: ["desk:*"], from: reader.client.position });
  assert.equal(brief(await late.until("connected")), "connected ws true");
  await publish();
  await events(late, "desk:a", last - 99, last);
});

test("a client that had to leave a WebSocket that worked is back on it as soon as it works again", LIMIT, async (t) => {
  const server = await running(t);
  const proxy = await proxied(t, server);
  const online = network(t);
  const reader = client(t, proxy, { topics: ["desk:*"], upgradeInterval: NEVER_MS });
  assert.equal((await connected(reader, online)).transport, "ws");
  await server.publish("desk:a", numbers(1, 10));
  await events(reader, "desk:a", 1, 10);
  proxy.blocked.add("ws");
  proxy.cut();
  assert.equal(brief(await connected(reader, online)), "connected sse true");
  proxy.blocked.clear();
  await server.publish("desk:a", numbers(11, 20));
  await events(reader, "desk:a", 11, 20);
  if (reader.client.transport !== "ws") assert.equal(brief(await reader.until("connected")), "connected ws true");
  await server.publish("desk:a", numbers(21, 30));
  await events(reader, "desk:a", 21, 30);
});

test("the server's heartbeats keep an idle connection, and move its position", LIMIT, async (t) => {
  const server = await running(t, ["--heartbeat-interval", "1s"]);
  const proxy = await proxied(t, server);
  for (const transport of ["ws", "sse"]) {
    const reader = client(t, proxy, { topics: ["desk:a"], transports: [transport] });
    await reader.until("connected");
    for (let round = 0; round < 2; round++) {
      const { pos } = reader.client.position;
      await server.publish("desk:other", [round]);
      while (reader.client.position.pos === pos) await new Promise((done) => setTimeout(done, 10));
    }
    reader.client.close();
    assert.deepEqual([brief(await reader.next()), reader.seen.length], ["closed", 2], JSON.stringify(reader.seen));
  }
});

test("a network that holds everything up is noticed by the missing heartbeats, and left without a loss", LIMIT, async (t) => {
  const server = await running(t, ["--heartbeat-interval", "1s"]);
  const proxy = await proxied(t, server);
  const reader = client(t, proxy, { topics: ["desk:*"] });
  await reader.until("connected");
  await server.publish("desk:a", numbers(1, 100));
  await events(reader, "desk:a", 1, 100);
  proxy.hold();
  await server.publish("desk:a", numbers(101, 200));
  assert.equal((await reader.until("reconnecting")).reason, "the server is silent");
  proxy.release();
  assert.equal(brief(await reader.until("connected")), "connected ws true");
  await events(reader, "desk:a", 101, 200);
});

test("a client that is too slow is told what it missed, and has the newest values", LIMIT, async (t) => {
  const server = await running(t, ["--lag-bytes-max", "64KiB"]);
  const proxy = await proxied(t, server);
  const reader = client(t, proxy, { topics: ["desk:*"], snapshot: true });
  await reader.until("connected");
  await server.publish("desk:price", [1], "state");
  await server.publish("desk:trade", [1]);
  await reader.until("event", ({ topic }) => topic === "desk:trade");
  proxy.hold();
  // More than all buffers between the two can hold.
  const pad = "x".repeat(50_000);
  await server.publish("desk:price", numbers(2, 300), "state", pad);
  await server.publish("desk:trade", numbers(2, 300), "event", pad);
  proxy.release();
  // The newest one may come as an event, or be the end of the gap.
  for (let state; !(state?.topic === "desk:trade" && (state.to ?? state.seq) === 300); ) state = await reader.next();
  await server.publish("desk:price", [301], "state");
  await server.publish("desk:trade", [301]);
  await reader.until("event", ({ topic, seq }) => topic === "desk:trade" && seq === 301);
  assert.deepEqual(reader.seen.filter(({ state }) => state === "error"), []);
  for (const topic of ["desk:price", "desk:trade"]) {
    const states = reader.seen.filter((state) => state.topic === topic);
    const gaps = states.filter(({ state }) => state === "gap");
    assert.ok(gaps.length > 0 && gaps.every(({ reason }) => reason === "slow"), JSON.stringify(gaps));
    assert.deepEqual(covered(states), [1, 301]);
    const isState = topic === "desk:price";
    assert.ok(gaps.every(({ action }) => action === (isState ? "snapshot" : "resume")));
    assert.equal(states.some(({ state, seq }) => state === "snapshot" && seq === gaps.at(-1).to), isState);
  }
});

/** First and last number that events and gaps account for, each number once and in order; snapshots repeat a gap's end. */
function covered(states) {
  let [first, next] = [];
  for (const { state, seq, from = seq, to = seq } of states) {
    if (state === "snapshot") assert.equal(seq, (next ??= seq + 1) - 1);
    else assert.equal(from, (next ??= from), `${state} ${from}..${to}`);
    first ??= from;
    next = to + 1;
  }
  return [first, next - 1];
}

test("a client that was away for too long is told what it missed", LIMIT, async (t) => {
  const server = await running(t, ["--log-segments", "4"]);
  const proxy = await proxied(t, server);
  const reader = client(t, proxy, { topics: ["desk:*"] });
  await reader.until("connected");
  await server.publish("desk:a", numbers(1, 10));
  await events(reader, "desk:a", 1, 10);
  proxy.blocked.add("ws").add("sse").add("poll");
  proxy.cut();
  await reader.until("reconnecting");
  for (let n = 0; n < 20; n++) await server.publish("desk:a", numbers(11 + 10 * n, 20 + 10 * n), "event", "x".repeat(20_000));
  proxy.blocked.clear();
  assert.equal((await reader.until("connected")).recovered, false);
  assert.equal(brief(await reader.next()), "gap desk:a 11..210 expired resume");
  await server.publish("desk:a", [211]);
  await events(reader, "desk:a", 211, 211);
});

test("an iterator that is too slow accounts for every event that it does not give", LIMIT, async (t) => {
  const server = await running(t);
  const proxy = await proxied(t, server);
  const reader = client(t, proxy, { topics: ["desk:*"], bufferMax: 100 });
  let all;
  const came = new Promise((done) => (all = done));
  reader.client.on("event", ({ topic, seq }) => topic === "desk:b" && seq === 2_000 && all());
  await reader.until("connected");
  for (let n = 0; n < 20; n++) {
    await server.publish("desk:a", numbers(100 * n + 1, 100 * n + 100));
    await server.publish("desk:b", numbers(100 * n + 1, 100 * n + 100));
  }
  await came;
  await reader.until("event", ({ topic, seq }) => topic === "desk:b" && seq === 2_000);
  const states = reader.seen.filter(({ topic }) => topic);
  assert.ok(states.length <= 101, `${states.length} states waited`);
  for (const name of ["desk:a", "desk:b"]) {
    const own = states.filter(({ topic }) => topic === name);
    assert.equal(own.at(0).reason, "overrun");
    assert.deepEqual(covered(own), [1, 2_000]);
  }
});

test(`${RUN_MS / 1_000} s at 1,000 events/s through a network that is cut at random: none lost, none repeated`, { timeout: RUN_MS + 60_000 }, async (t) => {
  t.diagnostic(`LINEAGE_SEED=${SEED}`);
  const random = generator(SEED);
  const server = await running(t);
  const runs = [];
  for (const transport of ["ws", "sse", "poll"]) {
    const proxy = await proxied(t, server);
    const reader = client(t, proxy, { topics: ["desk:*"], transports: [transport] });
    await reader.until("connected");
    runs.push({ transport, proxy, reader, cuts: 0, cutAt: 0 });
  }
  const reading = runs.map(({ reader }) => reader.until("event", ({ topic }) => topic === "desk:end"));
  const [TOPICS, EVERY_MS] = [5, 20];
  const start = performance.now();
  let [sent, at] = [0, 0];
  for (; at < RUN_MS; at += EVERY_MS) {
    for (const run of runs) {
      if (at < run.cutAt) continue;
      run.cuts += run.proxy.cut() > 0;
      run.cutAt = at + 100 + random() * Math.min(at, 3_000);
    }
    // 20 events each 20 ms, by the schedule and not by how long publishing takes.
    await server.publish(`desk:${(at / EVERY_MS) % TOPICS}`, numbers(sent + 1, (sent += EVERY_MS)));
    const wait = start + at - performance.now();
    if (wait > 0) await new Promise((done) => setTimeout(done, wait));
  }
  await server.publish("desk:end", [1]);
  await Promise.all(reading);
  for (const { transport, reader, cuts } of runs) {
    const events = reader.seen.filter(({ state, topic }) => state === "event" && topic !== "desk:end");
    const got = events.map(({ payload }) => payload.n);
    const distinct = new Set(got).size;
    const again = reader.seen.filter(({ state }) => state === "connected").length - 1;
    t.diagnostic(`${transport}: ${sent} events, ${sent - distinct} lost, ${got.length - distinct} repeated, ${cuts} cuts, ${again} times back`);
    assert.deepEqual(got, numbers(1, sent));
    assert.deepEqual(reader.seen.filter(({ state, recovered }) => ["gap", "error"].includes(state) || recovered === false), []);
    assert.ok(cuts > 0 && again > 0, `${transport} was not cut`);
  }
});

/** Numbers from 0 to 1, the same ones for the same seed. */
function generator(seed) {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}
