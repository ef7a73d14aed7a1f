//! A load generator that judges: N WebSocket clients on one thread, everything that arrives is counted, and the order
//! of every topic is checked at every client.
//!
//! It sees only sockets and shares no code with the server, so that a mistake there cannot hide here. User memory per
//! client is a few hundred bytes (8 more per topic): what is kept of the stream is only the bytes of a frame that has
//! not arrived in full.
//!
//! In the order of a run:

// What was asked for.
pub mod options;
// Up to the 101.
pub mod handshake;
// Bytes to messages, and back.
pub mod frame;
// What a v1 message is, by the position of its keys.
pub mod envelope;
// Whether it may come now.
pub mod order;
// One connection.
mod client;
// All of them.
pub mod run;
// What became of it.
pub mod report;
