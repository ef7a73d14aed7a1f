// How a program sees the types of the ES module; a mistake in them does not compile. Without the types of browsers.
import { type AbortSignalLike, connect, type Gap, type MarketPayload, type State } from "lineage-client";

const client = connect<MarketPayload>("ws://127.0.0.1:9001/v1", { topics: ["market:*"], mode: "latest", maxHz: 10 });

const stop: () => void = client.on("event", ({ topic, seq, payload }) => {
  const price: number = payload.price;
  const name: string = topic;
  const number: number = seq;
  [price, name, number];
});
client.on("gap", (gap: Gap) => gap.to - gap.from);
client.on("connected", ({ recovered }) => recovered === undefined);
// @ts-expect-error There is no such state.
client.on("disconnected", () => {});
// @ts-expect-error Events have no such member.
client.on("event", ({ delay }) => delay);
// @ts-expect-error There is no such rate.
client.subscribe(["a"], { mode: "latest", maxHz: 7 });

export async function read(): Promise<void> {
  for await (const state of client) {
    const any: State<MarketPayload> = state;
    if (any.state === "reconnecting") any.delay.toFixed();
    if (any.state === "closed") stop();
  }
}

declare const abort: AbortSignalLike;
connect("ws://127.0.0.1:9001/v1", { signal: abort });
// @ts-expect-error That is no signal.
connect("ws://127.0.0.1:9001/v1", { signal: "abort" });

const unknown = connect("ws://127.0.0.1:9001/v1");
// @ts-expect-error What is not said to be something has to be looked at.
unknown.on("event", ({ payload }) => payload.price);
