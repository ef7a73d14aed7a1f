// Goal: the ES module works in a real browser, and comes back by itself after a server was away.
// Method: headless Chromium shows a page that imports the built module; the page keeps its states in a list.
import assert from "node:assert/strict";
import { accessSync, constants, readFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { createServer } from "node:http";
import { after, before, test } from "node:test";
import { chromium } from "playwright-core";
import { running } from "./lineage.mjs";
import { proxied } from "./proxy.mjs";
import { ack, event, gap, heartbeat, Scripted, snapshot, welcome } from "./support.mjs";

const LIMIT = { timeout: 60_000 };
const PROGRAMS = ["chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"];
/** After this time a server that is back has its clients back. */
const BACK_MS = 2_000;
/** What a busy machine may add to it. */
const SLACK_MS = 8_000;
const MODULE = readFileSync(new URL("../dist/esm/index.js", import.meta.url));
const EXAMPLE = readFileSync(new URL("../examples/plain.html", import.meta.url));
const PAGE = `<!doctype html><title>lineage-client</title><script type="module">
  import { connect } from "/client.js";
  window.states = [];
  window.start = async (url, options) => {
    window.client = connect(url, options);
    for await (const state of window.client) window.states.push({ at: Date.now(), ...state });
  };
  window.isReady = true;
</script>`;

let browser;
before(async () => {
  browser = await chromium.launch({ executablePath: program() });
});
after(() => browser?.close());

/** A browser that is installed. */
function program() {
  const folders = (process.env.PATH ?? "").split(delimiter);
  const all = [process.env.LINEAGE_BROWSER, ...PROGRAMS.flatMap((name) => folders.map((folder) => join(folder, name)))];
  for (const path of all) {
    try {
      if (path) accessSync(path, constants.X_OK);
      if (path) return path;
    } catch {
      // The next one.
    }
  }
  throw new Error(`no browser: none of ${PROGRAMS.join(", ")} is on PATH, and LINEAGE_BROWSER names none`);
}

const FILES = {
  "/": ["text/html", PAGE],
  "/client.js": ["text/javascript", MODULE],
  "/plain.html": ["text/html", EXAMPLE],
};

function serve(request, response) {
  const [type, text] = FILES[request.url.split("?")[0]] ?? [];
  if (type) response.writeHead(200, { "content-type": type }).end(text);
  return !!type;
}

/** A server of pages, as another origin than Lineage's. */
async function pages(t) {
  const server = createServer((request, response) => serve(request, response) || response.writeHead(404).end());
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${server.address().port}`;
}

async function open(t, url) {
  const context = await browser.newContext();
  t.after(() => context.close());
  const page = await context.newPage();
  page.on("pageerror", (error) => console.error(`the page: ${error}`));
  await page.goto(url);
  await page.waitForFunction(() => window.isReady);
  return page;
}

/** The first state from place `from` on that has all members of `like`. */
async function until(page, like, from = 0) {
  const handle = await page.waitForFunction(
    ([like, from]) => {
      const is = (state) => Object.entries(like).every(([key, value]) => state[key] === value);
      const at = window.states.slice(from).findIndex(is);
      return at >= 0 && { ...window.states[from + at], place: from + at };
    },
    [like, from],
    { timeout: 30_000, polling: 10 },
  );
  return handle.jsonValue();
}

const start = (page, url, options) => page.evaluate(([url, options]) => void window.start(url, options), [url, options]);

for (const [signal, tries] of [["SIGKILL", 1], ["SIGTERM", 1], ["SIGKILL", 8]]) {
  test(`a page is back soon after the server that ended by ${signal}, after ${tries} or more tries, and says that it restarted`, LIMIT, async (t) => {
    const origin = await pages(t);
    const server = await running(t, ["--origins", origin]);
    const page = await open(t, origin);
    await start(page, server.url, { topics: ["desk:*"], transports: ["ws"] });
    await until(page, { state: "connected" });
    await server.publish("desk:a", [1, 2]);
    await until(page, { state: "event", topic: "desk:a", seq: 2 });
    await server.end(signal);
    const lost = await until(page, { state: "reconnecting" });
    await until(page, { state: "reconnecting", attempt: tries }, lost.place);
    await server.start();
    const back = Date.now();
    const gap = await until(page, { state: "gap", topic: "desk:a", reason: "restart" }, lost.place);
    const connected = await until(page, { state: "connected", recovered: false }, lost.place);
    const [awayMs, connectedMs, gapMs] = [back - lost.at, connected.at - back, gap.at - back].map((ms) => Math.max(ms, 0));
    t.diagnostic(`away for ${awayMs} ms; connected ${connectedMs} ms and gap (restart) ${gapMs} ms after the server was back; promised: ${BACK_MS} ms`);
    assert.ok(Math.max(connectedMs, gapMs) <= BACK_MS + SLACK_MS, `${connectedMs} ms, ${gapMs} ms`);
    await server.publish("desk:a", [1]);
    await until(page, { state: "event", topic: "desk:a", seq: 1 }, gap.place);
    assert.deepEqual(await page.evaluate(() => window.states.filter(({ state }) => state === "error")), []);
  });
}

test("a page falls back to a stream, then to long poll, as its network gets narrower, and loses nothing", LIMIT, async (t) => {
  const server = await running(t);
  const proxy = await proxied(t, server, FILES);
  proxy.blocked.add("ws");
  const page = await open(t, `${proxy.httpUrl}/`);
  await start(page, "/v1", { topics: ["desk:*"], snapshot: false, upgradeInterval: 3_600_000 });
  await until(page, { state: "connected", transport: "sse" });
  let last = 0;
  const publish = () => server.publish("desk:a", Array.from({ length: 50 }, () => (last += 1)));
  for (const transport of ["sse", "poll"]) {
    if (transport === "poll") proxy.blocked.add("sse");
    for (let round = 0; round < 3; round++) {
      const place = await page.evaluate(() => window.states.length);
      await publish();
      proxy.cut();
      await publish();
      // Spares the test the waits between tries.
      const hurry = setInterval(() => page.evaluate(() => void window.dispatchEvent(new Event("online"))).catch(() => {}), 20);
      await until(page, { state: "event", seq: last }, place).finally(() => clearInterval(hurry));
      assert.equal(await page.evaluate(() => window.client.transport), transport);
    }
  }
  const seqs = await page.evaluate(() => window.states.filter(({ state }) => state === "event").map(({ seq }) => seq));
  assert.deepEqual(seqs, Array.from({ length: last }, (_, n) => n + 1));
  const others = await page.evaluate(() => window.states.filter(({ state, code }) => state === "gap" || (state === "error" && code !== "http_502")));
  assert.deepEqual(others, []);
});

for (const [name, cause] of [
  ["whose network comes back", (page) => comeOnline(page)],
  ["that is looked at again", (page) => page.evaluate(() => void document.dispatchEvent(new Event("visibilitychange")))],
]) {
  test(`a page ${name} tries at once`, LIMIT, async (t) => {
    const origin = await pages(t);
    const server = await new Scripted().listen();
    t.after(() => server.close());
    const page = await open(t, origin);
    await start(page, server.url, { topics: ["a"] });
    const peer = await server.peers.next();
    await peer.accept();
    await until(page, { state: "connected" });
    // Without the event there would be an hour to wait.
    peer.send({ type: "shutdown", payload: { reconnect_ms: [3_600_000, 3_600_000] } });
    peer.socket.close(1001);
    await until(page, { state: "reconnecting" });
    await cause(page);
    const again = await server.peers.next();
    assert.deepEqual((await again.accept({ ack: { recovered: true } })).from, { epoch: "aaaa", pos: 100 });
    await until(page, { state: "connected", recovered: true });
  });
}

async function comeOnline(page) {
  await page.context().setOffline(true);
  assert.equal(await page.evaluate(() => navigator.onLine), false);
  await page.context().setOffline(false);
}

for (const transport of ["sse", "poll"]) {
  test(`a page that can open no WebSocket asks its own origin: ${transport}`, LIMIT, async (t) => {
    const server = await new Scripted().listen();
    t.after(() => server.close());
    server.isDeaf = true;
    let polls = 0;
    server.answer = (request, response) => {
      const { pathname } = new URL(request.url, "http://a");
      if (serve(request, response)) return;
      if (pathname !== `/v1/${transport}`) response.writeHead(404).end();
      else if (transport === "sse") {
        response.writeHead(200, { "content-type": "text/event-stream" });
        for (const frame of [welcome(), ack(undefined, {}), event("a", 1, 101)]) response.write(`data: ${JSON.stringify(frame)}\n\n`);
      } else if (!polls++) {
        response.writeHead(200, { "lineage-next": "aaaa.101" });
        response.end(JSON.stringify([ack(undefined, {}), event("a", 1, 101)]));
      }
    };
    const page = await open(t, `http://127.0.0.1:${server.port}/`);
    await start(page, "/v1", { topics: ["a"] });
    await until(page, { state: "connected", transport });
    await until(page, { state: "event", topic: "a", seq: 1 });
    assert.equal(server.refused, 2);
  });
}

/** Opens the example on a scripted server. */
async function example(t) {
  const server = await new Scripted().listen();
  t.after(() => server.close());
  server.answer = serve;
  const context = await browser.newContext();
  t.after(() => context.close());
  const page = await context.newPage();
  page.on("pageerror", (error) => console.error(`the page: ${error}`));
  await page.goto(`http://127.0.0.1:${server.port}/plain.html?url=${encodeURIComponent(server.url)}`);
  return { server, page };
}

test("the example without the package shows events and resumes by hand", LIMIT, async (t) => {
  const { server, page } = await example(t);
  const peer = await server.peers.next();
  assert.equal((await peer.accept()).from, undefined);
  peer.send(event("market:BTC-USD", 5, 101));
  await page.waitForFunction(() => document.body.innerText.includes("market:BTC-USD"));
  peer.socket.close(1001);
  const again = await server.peers.next();
  assert.deepEqual((await again.accept({ ack: { recovered: true } })).from, { epoch: "aaaa", pos: 101 });
});

const BEFORE = [snapshot("market:a", 4, 90), event("market:a", 5, 101)];
const OWING = [...BEFORE, gap("market:a", 6, 9, "slow", "snapshot"), event("agent:b", 3, 120)];
for (const [name, frames, pos] of [
  ["nowhere, after an acknowledgement alone", [], undefined],
  ["nowhere, after a snapshot alone", BEFORE.slice(0, 1), undefined],
  ["its last event", BEFORE, 101],
  ["its last heartbeat", [heartbeat(117)], 117],
  ["the last event before a gap whose value has not come", OWING, 101],
  ["the last event, where the value of a gap has come", [...OWING, snapshot("market:a", 9, 119), event("agent:b", 4, 121)], 121],
  ["a heartbeat, where the value of a gap had come before", [...OWING, heartbeat(130)], 130],
  ["the last event, where a gap has no value", [...BEFORE, gap("agent:b", 3, 4, "slow"), event("agent:b", 5, 122)], 122],
]) {
  test(`the example without the package goes on from ${name}`, LIMIT, async (t) => {
    const { server } = await example(t);
    const first = await server.peers.next();
    assert.equal((await first.accept()).from, undefined);
    // The end of a connection comes after its frames.
    first.send(...frames);
    first.socket.close(1001);
    // The next one is cut off before the values that it owes after a restart.
    const from = pos && { epoch: "aaaa", pos };
    const second = await server.peers.next();
    assert.deepEqual((await second.accept({ welcome: { epoch: "bbbb" }, ack: { recovered: false, pos: 7 } })).from, from);
    second.send(gap("market:a", 0, 0, "restart", "snapshot"), event("agent:b", 1, 8));
    second.socket.close(1001);
    // What that one owed, the third does not.
    const third = await server.peers.next();
    assert.deepEqual((await third.accept({ welcome: { epoch: "bbbb" }, ack: { recovered: false, pos: 9 } })).from, from);
    third.send(event("agent:b", 2, 10));
    third.socket.close(1001);
    const fourth = await server.peers.next();
    assert.deepEqual((await fourth.accept({ ack: { recovered: true } })).from, { epoch: "bbbb", pos: 10 });
  });
}
