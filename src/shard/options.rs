//! Limits of a shard, and the handler an embedding program may mount.

use crate::session::Limits;
use std::time::Duration;
pub use tokio_tungstenite::tungstenite::Message;

/// Limits and habits of a shard; each limit has a metric when it is hit.
#[derive(Debug, Clone)]
pub struct Options {
    /// Unsent bytes of a client's own frames beyond which its cursor moves to the head (default 1 MiB).
    pub lag_bytes_max: u64,
    /// Age of the oldest unsent frame beyond which the cursor moves to the head (default 10 s).
    pub lag_age_max: Duration,
    /// A client whose socket took nothing for so long is evicted by RST (default 10 s).
    pub write_stall_max: Duration,
    /// A client that sent nothing for so long is pinged (default 20 s).
    pub ping_interval: Duration,
    /// A client that sent nothing for so long is closed with 4010 (default 30 s).
    pub silence_max: Duration,
    /// Bytes written to a client in one visit of the sweep (default 64 KiB); a single longer frame goes alone.
    pub visit_bytes_max: u32,
    /// Writes in one slice of the sweep (default 64): between two slices the ring is drained.
    pub slice_writes_max: u64,
    /// Longest message a client may send (default 64 KiB; longer: 1009).
    pub message_bytes_max: usize,
    /// How often a revolution of the sweep may start.
    pub coalesce: Coalesce,
    /// Long snapshots under way at once; who asks for one more waits (default 32).
    pub snapshots_max: usize,
    /// Limits of a v1 session.
    pub limits: Limits,
    /// Whether v1 clients may publish: decided per connection by its address.
    pub publish: PublishRight,
}

/// Who may publish over v1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PublishRight {
    /// Nobody.
    #[default]
    Nobody,
    /// Clients on a loopback address.
    Loopback,
}

/// When the sweep starts a revolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Coalesce {
    /// At once; under load whatever came meanwhile goes out together.
    #[default]
    Adaptive,
    /// At most once in this time: fewer, larger writes for some latency.
    Every(Duration),
}

impl Default for Options {
    fn default() -> Self {
        Self {
            lag_bytes_max: 1 << 20,
            lag_age_max: Duration::from_secs(10),
            write_stall_max: Duration::from_secs(10),
            ping_interval: Duration::from_secs(20),
            silence_max: Duration::from_secs(30),
            visit_bytes_max: 64 * 1024,
            slice_writes_max: 64,
            message_bytes_max: 64 * 1024,
            coalesce: Coalesce::Adaptive,
            snapshots_max: 32,
            limits: Limits::default(),
            publish: PublishRight::Nobody,
        }
    }
}

/// What an embedding program does with the messages of [`Endpoint::Custom`](super::Endpoint) connections.
pub trait Handler: std::fmt::Debug + Send + Sync {
    /// Longest message it takes, in bytes; longer ones close the connection with 1009.
    fn message_bytes_max(&self) -> usize;

    /// Answers a text or binary message by appending whole frames (see [`crate::encode::frame`]) to `reply`. Runs
    /// on a shard's thread: it must not block. The connection is not read again before the reply is written.
    fn on_message(&self, message: &Message, reply: &mut Vec<u8>);
}
