//! The pipeline through a whole engine: trades in; candles, indicators and alerts out, to WebSocket clients, over HTTP,
//! in the metrics and to a webhook.
//!
//! Method: engines in this process on port 0 with a manual clock. What a test waits for is always something that can be
//! seen: a frame, an answer, a count, a request at a receiver of the test's own.

#[allow(dead_code, reason = "shared with the tests of the server, which use more of it")]
#[path = "../server/client.rs"]
mod client;
mod example;
mod flow;
mod life;
mod names;
mod receiver;
#[allow(dead_code, reason = "shared with the tests of the server, which use more of it")]
#[path = "../server/support.rs"]
mod support;
mod webhook;
mod world;
