//! `lineage::client` through real sockets: what its owner is told when servers come, go, fall silent and make mistakes.
//!
//! Method: servers here follow a script, one connection after another, and say exactly what the test wants; a few tests
//! run against a whole engine. Nothing waits for time to pass, only for the other side, with a deadline.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise, its helpers too")]

mod comebacks;
mod engine;
mod losses;
mod refusals;
mod server;
mod streams;
