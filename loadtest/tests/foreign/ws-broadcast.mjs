// A broadcast server on the npm package `ws`, as its documentation shows one: every client gets every event.
//
// Arguments: events per second, and with how many clients it drops an event (0: never). Prints its port. Events carry when they were
// due (`ts`, nanoseconds), when they were sent (`sent`) and their number (`seq`).
import { WebSocketServer, WebSocket } from "ws";

const [rate, clients] = process.argv.slice(2).map(Number);
const server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
server.on("listening", () => console.log(server.address().port));

const wallNs = () => BigInt(Math.round((performance.timeOrigin + performance.now()) * 1e3)) * 1000n;
const begunNs = wallNs();
const periodNs = BigInt(Math.round(1e9 / rate));
const pad = "x".repeat(100);
let seq = 0;
// The hundredth event that all clients are there for.
let until = clients > 0 ? 100 : Infinity;

function publishDue() {
  for (;;) {
    const dueNs = begunNs + BigInt(seq) * periodNs;
    const nowNs = wallNs();
    if (dueNs > nowNs) break;
    seq += 1;
    if (server.clients.size === clients) until -= 1;
    if (until === 0) {
      until = Infinity;
      continue;
    }
    const text = `{"ts":${dueNs},"sent":${nowNs},"seq":${seq},"topic":"news","pad":"${pad}"}`;
    for (const client of server.clients) {
      if (client.readyState === WebSocket.OPEN) client.send(text);
    }
  }
  setTimeout(publishDue, 1);
}
publishDue();

// Ends with whoever started it.
process.stdin.on("end", () => process.exit(0)).resume();
