// The real server: the program that LINEAGE_BIN names, on ports of its own, ended with the test.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { accessSync, constants, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

function program() {
  const path = process.env.LINEAGE_BIN;
  if (!path) throw new Error("LINEAGE_BIN has to name the program `lineage` (cargo build --bin lineage)");
  accessSync(path, constants.X_OK);
  return path;
}

export class Lineage {
  #folder = mkdtempSync(join(tmpdir(), "lineage-js-"));
  #child;
  #options;

  constructor(options = []) {
    this.#options = options;
  }

  /** Starts it; again on the same ports, where it ran before. */
  async start() {
    const file = join(this.#folder, "ports.json");
    rmSync(file, { force: true });
    const { ws = "127.0.0.1:0", http = "127.0.0.1:0" } = this;
    const listen = ["--ws", ws, "--http", http, "--metrics", "off", "--ports-file", file];
    const all = ["serve", ...listen, "--source", "none", "--publish", "loopback", ...this.#options];
    this.#child = spawn(program(), all, { stdio: ["ignore", "ignore", "pipe"] });
    let said = "";
    this.#child.stderr.setEncoding("utf8").on("data", (text) => (said += text));
    for (let ports; !ports; ) {
      if (this.#child.exitCode !== null) throw new Error(`the server ended early: ${said}`);
      try {
        ports = JSON.parse(readFileSync(file, "utf8"));
      } catch {
        await new Promise((done) => setTimeout(done, 5));
        continue;
      }
      this.ws = ports.ws;
      this.http = ports.http;
    }
    this.url = `ws://${this.ws}/v1`;
    this.httpUrl = `http://${this.http}`;
    return this;
  }

  /** Ends it: SIGKILL leaves it no time to say so, SIGTERM does. */
  async end(signal) {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = once(this.#child, "exit");
    this.#child.kill(signal);
    await gone;
  }

  async remove() {
    await this.end("SIGKILL");
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** Publishes numbers, one event each; `pad` makes them longer. */
  async publish(topic, numbers, kind = "event", pad) {
    const lines = numbers.map((n) => `${JSON.stringify({ topic, payload: { n, pad }, class: kind })}\n`);
    const response = await fetch(`${this.httpUrl}/v1/publish`, { method: "POST", body: lines.join("") });
    const answer = await response.json();
    if (answer.accepted !== numbers.length) throw new Error(`publishing failed: ${JSON.stringify(answer)}`);
  }
}

/** Gives a test a running server. */
export async function running(test, options) {
  const server = new Lineage(options);
  test.after(() => server.remove());
  return server.start();
}
