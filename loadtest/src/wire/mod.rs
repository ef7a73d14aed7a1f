//! Bytes to messages, and back: the handshake, frames, and what a message says.
//!
//! `handshake` up to the 101 · `frame` bytes to payloads · `envelope` v1 messages · `fields` messages of any other
//! server, by the names of their fields · `stamps` when an event was due · `number` decimal digits.

pub mod envelope;
pub mod fields;
pub mod frame;
pub mod handshake;
mod number;
pub mod stamps;
