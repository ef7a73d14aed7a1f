// Plays the worked example of the protocol's document to the JavaScript of the same document, in a page without a
// network: sockets that a test feeds, timers that a test fires. Standard input: {"code": …, "lines": […]}.
import { deepStrictEqual as same, strictEqual as is, ok } from "node:assert";
import { readFileSync } from "node:fs";

const { code, lines } = JSON.parse(readFileSync(0, "utf8"));
const sockets = [];
let timers = new Map();
let shown = [];
class Socket {
  constructor() { this.sent = []; sockets.push(this); }
  send(text) { this.sent.push(JSON.parse(text)); }
  close(code) { this.closed = code ?? 1000; }
}
const page = {
  WebSocket: Socket,
  setTimeout: (act) => { const key = Symbol(); timers.set(key, act); return key; },
  clearTimeout: (key) => timers.delete(key),
  console: { log: (topic, payload) => shown.push([topic, payload]), warn() {}, debug() {} },
};
const open = () => { timers.clear(); shown = []; new Function(...Object.keys(page), code)(...Object.values(page)); return sockets.at(-1); };
const tell = (socket, frame) => socket.onmessage({ data: JSON.stringify(frame) });
const fire = () => { const acts = [...timers.values()]; timers.clear(); acts.forEach((act) => act()); };

// The worked example: each subscribe of the page goes on where that of the document does, and every payload is shown.
let socket = open();
let is_first = true;
const payloads = [];
for (const line of lines) {
  const [mark, rest] = [line[0], line.slice(2)];
  if (line === "* connect") {
    if (!is_first) fire();
    is_first = false;
    socket = sockets.at(-1);
  } else if (line === "* lose") socket.onclose({ code: 1006 });
  else if (line === "* restart") socket.onclose({ code: 1001 });
  else if (mark === ">") same(socket.sent.at(-1).from, JSON.parse(rest).from, rest);
  else if (mark === "<") {
    const frame = JSON.parse(rest);
    tell(socket, frame);
    if (frame.seq) payloads.push([frame.topic, frame.payload]);
  } else is(mark, "!", line);
}
is(sockets.length, 3);
same(shown, payloads);
is(payloads.length, 5);

const welcome = { type: "welcome", payload: { epoch: "k3f9" } };
const ack = { type: "ack", payload: { op: "subscribe", pos: 9, topics: [{ topic: "a", seq: 4 }] } };
const event = (seq, pos) => ({ type: "event", topic: "a", seq, pos, payload: seq });
const gap = (action) => ({ type: "gap", topic: "a", payload: { from: 6, to: 8, reason: "slow", action } });
const begin = () => { const socket = open(); [welcome, ack, event(5, 10)].forEach((frame) => tell(socket, frame)); return socket; };
const resumed = (socket) => { socket.onclose({ code: 1006 }); fire(); tell(sockets.at(-1), welcome); return sockets.at(-1).sent[0].from; };

// A hole without a gap is noticed; what comes twice is not shown.
socket = begin();
tell(socket, event(7, 12));
is(socket.closed, 4000);
socket = begin();
tell(socket, event(5, 10));
ok(!("closed" in socket));
same(shown, [["a", 5]]);

// A gap of events is passed; one that owes a value holds the position until the value, or a heartbeat, has come.
socket = begin();
[gap("resume"), event(9, 20)].forEach((frame) => tell(socket, frame));
same(resumed(socket), { epoch: "k3f9", pos: 20 });
const other = { type: "event", topic: "b", seq: 1, pos: 21, payload: 1 };
const snapshot = { ...event(8, 19), type: "snapshot" };
const heartbeat = { type: "heartbeat", payload: { pos: 30 } };
for (const [frames, pos] of [[[other], 10], [[other, snapshot], 10], [[snapshot, other], 21], [[heartbeat], 30]]) {
  socket = begin();
  [gap("snapshot"), ...frames].forEach((frame) => tell(socket, frame));
  same(resumed(socket), { epoch: "k3f9", pos }, JSON.stringify(frames));
}

// Silence closes; some codes are for good.
socket = begin();
fire();
is(socket.closed, 1000);
for (const [code, is_back] of [[1001, true], [1006, true], [4008, true], [4010, true], [4001, false], [4003, false], [4011, false]]) {
  begin().onclose({ code });
  is(timers.size, is_back ? 1 : 0, String(code));
}
