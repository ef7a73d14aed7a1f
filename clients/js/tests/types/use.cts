// The same for CommonJS.
import client = require("lineage-client");

const started: client.LineageClient<number> = client.connect<number>("ws://127.0.0.1:9001/v1");
started.on("event", ({ payload }) => payload.toFixed());
// @ts-expect-error There is no such export.
client.nothing;
