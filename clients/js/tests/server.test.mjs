// Goal: the client and the real server understand each other.
// Method: the program itself, events published over HTTP; what the client reports is compared with what was published.
import assert from "node:assert/strict";
import { test } from "node:test";
import { WebSocket } from "ws";
import { connect } from "../dist/esm/index.js";
import { running } from "./lineage.mjs";
import { brief, network, Reader } from "./support.mjs";

const LIMIT = { timeout: 60_000 };

/** WebSockets whose last one a test can cut off. */
class Cuttable extends WebSocket {
  constructor(...all) {
    super(...all);
    Cuttable.last = this;
  }
}

function client(t, server, options) {
  const started = connect(server.url, { WebSocket: Cuttable, httpUrl: server.httpUrl, ...options });
  t.after(() => started.close());
  return new Reader(started);
}

const numbers = (from, to) => Array.from({ length: to - from + 1 }, (_, n) => from + n);

/** Reads until the event with this payload; nothing but events, one by one, may come. */
async function events(reader, topic, from, to) {
  const got = [];
  for (let n = from; n <= to; n++) {
    const state = await reader.next();
    assert.deepEqual([brief(state).split(" ")[0], state.topic, state.payload?.n], ["event", topic, n], JSON.stringify(state));
    got.push(state.seq);
  }
  return got;
}

test("events come in order, and only of what was subscribed to", LIMIT, async (t) => {
  const server = await running(t);
  const reader = client(t, server, { topics: ["desk:a", "desk:b:*"] });
  assert.equal(brief(await reader.next()), "connected ws undefined");
  await server.publish("desk:c", [1]);
  await server.publish("desk:a", numbers(1, 500));
  await events(reader, "desk:a", 1, 500);
  await server.publish("desk:b:x", numbers(1, 500));
  const seqs = await events(reader, "desk:b:x", 1, 500);
  assert.deepEqual(seqs, numbers(1, 500));
  assert.equal(typeof reader.seen.at(-1).us, "number");
});

test("subscriptions change while the client runs", LIMIT, async (t) => {
  const server = await running(t);
  const reader = client(t, server, {});
  await reader.until("connected");
  reader.client.subscribe(["desk:a"]);
  reader.client.subscribe(["desk:b", "no topic"]);
  assert.equal((await reader.until("error")).code, "bad_topic");
  await server.publish("desk:a", [1]);
  await events(reader, "desk:a", 1, 1);
  reader.client.unsubscribe(["desk:a"]);
  await server.publish("desk:a", [2]);
  await server.publish("desk:b", [1]);
  await events(reader, "desk:b", 1, 1);
});

test("a state topic begins with its last value", LIMIT, async (t) => {
  const server = await running(t);
  await server.publish("desk:price", [1, 2, 3], "state");
  const reader = client(t, server, { topics: ["desk:*"] });
  const states = await reader.take(2);
  assert.deepEqual(states.map(brief), ["connected ws undefined", "snapshot desk:price 3"]);
  assert.deepEqual(states[1].payload, { n: 3 });
  await server.publish("desk:price", [4], "state");
  assert.deepEqual(await events(reader, "desk:price", 4, 4), [4]);
});

test("what follows a snapshot is what came after it, also while events come", LIMIT, async (t) => {
  const server = await running(t);
  const topics = Array.from({ length: 20 }, (_, n) => `desk:price-${n}`);
  for (const topic of topics) await server.publish(topic, [1], "state");
  let last = 1;
  for (let round = 0; round < 5; round++) {
    const reader = client(t, server, { topics: ["desk:*"] });
    const publishing = (async () => {
      for (let n = 0; n < 20; n++) {
        last += 1;
        for (const topic of topics) await server.publish(topic, [last], "state");
      }
    })();
    await publishing;
    const left = new Set(topics);
    while (left.size) {
      const { topic } = await reader.until("event", ({ seq }) => seq === last);
      left.delete(topic);
    }
    for (const topic of topics) {
      const frames = reader.seen.filter((state) => state.topic === topic);
      assert.deepEqual([frames[0].state, frames.slice(1).every(({ state }) => state === "event")], ["snapshot", true]);
      assert.deepEqual(frames.map(({ payload }) => payload.n), numbers(frames[0].seq, last));
    }
    reader.client.close();
  }
});

test("the latest value comes at a rate, and the newest one comes at last", LIMIT, async (t) => {
  const server = await running(t);
  await server.publish("desk:price", [1], "state");
  const reader = client(t, server, { topics: ["desk:*"], mode: "latest", maxHz: 20 });
  await reader.until("snapshot");
  await server.publish("desk:price", numbers(2, 2_000), "state");
  const last = await reader.until("event", ({ payload }) => payload.n === 2_000);
  assert.equal(last.seq, 2_000);
  const frames = reader.seen.filter(({ topic }) => topic === "desk:price");
  assert.equal(frames[0].state, "snapshot");
  assert.deepEqual(frames.slice(1).map(({ prev }) => prev), frames.slice(0, -1).map(({ seq }) => seq), "each names the one before");
  assert.ok(frames.length < 1_000, `${frames.length} frames are not conflated`);
  assert.deepEqual(reader.seen.filter(({ state }) => state === "error"), []);
});

test("a connection that is cut off is resumed without a loss, again and again", LIMIT, async (t) => {
  const server = await running(t);
  const online = network(t);
  const reader = client(t, server, { topics: ["desk:*"], snapshot: false });
  await reader.until("connected");
  let published = 0;
  for (let round = 0; round < 20; round++) {
    await server.publish("desk:a", numbers(published + 1, published + 50));
    await events(reader, "desk:a", published + 1, published + 50);
    Cuttable.last.terminate();
    await server.publish("desk:a", numbers(published + 51, published + 100));
    assert.equal(brief(await reader.next()), "reconnecting");
    // Connections as short as these would soon be twenty seconds apart.
    online();
    assert.equal(brief(await reader.next()), "connected ws true");
    await events(reader, "desk:a", published + 51, published + 100);
    published += 100;
  }
});

for (const signal of ["SIGKILL", "SIGTERM"]) {
  test(`a restart after ${signal} is told as a gap, and the stream goes on`, LIMIT, async (t) => {
    const server = await running(t);
    const reader = client(t, server, { topics: ["desk:*"] });
    await reader.until("connected");
    await server.publish("desk:a", numbers(1, 5));
    await events(reader, "desk:a", 1, 5);
    const { epoch } = reader.client.position;
    await server.end(signal);
    await server.start();
    const connected = await reader.until("connected");
    assert.equal(connected.recovered, false);
    assert.notEqual(connected.epoch, epoch);
    assert.equal(brief(await reader.next()), "gap desk:a 0..0 restart resume");
    await server.publish("desk:a", [1]);
    assert.deepEqual(await events(reader, "desk:a", 1, 1), [1]);
  });
}

for (const transport of ["sse", "poll"]) {
  test(`${transport}: snapshots, events, changes and a restart`, LIMIT, async (t) => {
    const server = await running(t);
    await server.publish("desk:price", [1, 2, 3], "state");
    const reader = client(t, server, { topics: ["desk:price"], transports: [transport] });
    assert.deepEqual((await reader.take(2)).map(brief), [`connected ${transport} undefined`, "snapshot desk:price 3"]);
    await server.publish("desk:price", numbers(4, 500), "state");
    assert.deepEqual(await events(reader, "desk:price", 4, 500), numbers(4, 500));
    await server.publish("desk:b", [1, 2], "state");
    reader.client.subscribe(["desk:b"]);
    await reader.until("snapshot", ({ topic, seq }) => topic === "desk:b" && seq === 2);
    assert.equal((await reader.until("connected")).recovered, true);
    await server.publish("desk:price", numbers(501, 510), "state");
    await events(reader, "desk:price", 501, 510);
    await server.end("SIGKILL");
    await server.start();
    await reader.until("gap", ({ topic, reason }) => topic === "desk:price" && reason === "restart");
    await server.publish("desk:price", [7], "state");
    await reader.until("event", ({ topic, seq, payload }) => topic === "desk:price" && seq === 1 && payload.n === 7);
    assert.deepEqual(reader.seen.filter(({ code }) => code === "gap_proof"), []);
  });
}

test("a fallback and the WebSocket pass the stream on to each other without a loss", LIMIT, async (t) => {
  const server = await running(t);
  let isBlocked = true;
  class Blocked extends WebSocket {
    constructor(url, protocols) {
      super(isBlocked ? "ws://127.0.0.1:1/" : url, protocols);
    }
  }
  const reader = client(t, server, { topics: ["desk:*"], snapshot: false, WebSocket: Blocked, upgradeInterval: 50 });
  assert.equal((await reader.until("connected")).transport, "sse");
  await server.publish("desk:a", numbers(1, 100));
  await events(reader, "desk:a", 1, 100);
  isBlocked = false;
  assert.equal(brief(await reader.until("connected")), "connected ws true");
  await server.publish("desk:a", numbers(101, 200));
  await events(reader, "desk:a", 101, 200);
});
