//! The JSON Schemas of the protocol, held against its document and against what a server really sends.
//!
//! Method: every example of `docs/protocol.md` is validated and its key order compared with that of its schema; each
//! example is then spoilt in every way a schema has to notice; at last an engine is led through every frame it can
//! send, and each frame is validated by its type.

#[allow(dead_code, reason = "shared with the tests of the server, which use more of it")]
#[path = "../server/client.rs"]
mod client;
mod document;
mod examples;
mod live;
mod near_misses;
mod ordered;
mod page;
mod replay;
mod schemas;
#[allow(dead_code, reason = "shared with the tests of the server, which use more of it")]
#[path = "../server/support.rs"]
mod support;
