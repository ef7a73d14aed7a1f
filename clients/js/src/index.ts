/** A client for Lineage's v1 stream. Start at {@link connect}. */
export { connect, LineageClient } from "./client.js";
export type * from "./types.js";
