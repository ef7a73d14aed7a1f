//! A load tester that judges: thousands of WebSocket clients, a publisher that never waits for them, and the proof that
//! each client got every event once and in order.
//!
//! It sees only sockets and shares no code with the server, so that a mistake there cannot hide here (`serve` alone
//! links the engine, behind a feature: it is the other side). User memory per client is a few hundred bytes (8 more per
//! topic): what is kept of the stream is only the bytes of a frame that has not arrived in full.
//!
//! In the order of a run:

// What can be asked for.
pub mod settings;
// Settings with a name.
pub mod scenario;
// What was asked for, checked.
pub mod plan;
// Bytes to messages, and back.
pub mod wire;
// Whether a message may come now.
pub mod proof;
// One connection.
mod client;
// Many of them on a thread.
pub mod worker;
// What is sent, and when.
pub mod publish;
// What is measured.
pub mod measure;
// What the run's report holds.
pub mod result;
// The run from end to end.
pub mod coordinator;
// What people and programs get to see.
pub mod output;
// The other side of a run.
#[cfg(feature = "engine")]
pub mod serve;
