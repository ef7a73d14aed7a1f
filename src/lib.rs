//! Lineage: one event, encoded once, to ten thousand sockets.
//!
//! An embedding program starts an [`Engine`], takes a [`Publisher`] and publishes [`Event`]s; clients connect over
//! WebSocket and subscribe to topics. `examples/embed.rs` is such a program.
//!
//! # Life of an event
//! | stop | module | what happens there |
//! |---|---|---|
//! | 1 | [`event`] | what happened, as plain data under an interned topic |
//! | 2 | [`ring`] | it waits in the publisher's bounded ring |
//! | 3 | [`encode`] | whoever is awake takes the encoder role: position, seq, JSON, WebSocket frame, once |
//! | 4 | [`log`] | the frame's bytes are kept in segments that every reader shares |
//! | 5 | [`shard`] | one thread per core routes it to groups and writes the bytes to their members |
//! | 6 | [`session`] | what a v1 client asked for, as a state machine without IO |
//! | 7 | [`snapshot`] | the last value of every state topic, for who comes late |
//! | 8 | [`server`] | how its socket came in: listeners, HTTP front, upgrade |
//!
//! Beside the path: [`client`] (the other end of the socket), [`wake`] (sleeping shards), [`source`] and [`simulation`]
//! (who writes), [`pipeline`] (candles, indicators and alerts, made of what was written), [`feeds`] (recorded messages
//! as typed trades, quotes and books), [`store`] (what is kept in a file), [`http`] (metrics, health, REST, publishing,
//! streams), [`api`] (what parts answer there), [`telemetry`], [`clock`], [`config`], [`engine`] (wiring), [`sync`]
//! (atomics as verbs), [`kernel`].
//!
//! # Words, one meaning each
//! event: what happened · topic: what it is about · position: place in the whole stream · seq: place within a topic ·
//! frame: an event as bytes with its WebSocket header · lane: one encoding of the stream · segment: a piece of the log ·
//! cursor: a connection's place in the log · group: connections with equal subscriptions · sweep: one round of writes ·
//! laggard: a connection that is behind · shard: a thread and its connections · session: protocol state · source: a
//! writer of events · gap: a notice of what a client did not get · replay: a recording published again.

#![cfg_attr(
    lineage_loom,
    allow(dead_code, reason = "only the lock-free parts compile for the model checker")
)]

#[cfg(not(lineage_loom))]
pub mod event;

#[allow(unsafe_code, reason = "slots pass between threads by stamp, see the module's invariants")]
pub mod ring;

#[cfg(not(lineage_loom))]
pub mod encode;

#[allow(
    unsafe_code,
    reason = "committed bytes are shared without copies, see the module's invariants"
)]
pub mod log;

#[cfg(not(lineage_loom))]
pub mod shard;

#[cfg(not(lineage_loom))]
pub mod session;

#[cfg(not(lineage_loom))]
pub mod snapshot;

#[cfg(not(lineage_loom))]
pub mod server;

// Beside the path of an event.
pub mod sync;
pub mod wake;

#[cfg(not(lineage_loom))]
pub mod api;
#[cfg(not(lineage_loom))]
pub mod client;
#[cfg(not(lineage_loom))]
pub mod clock;
#[cfg(not(lineage_loom))]
pub mod config;
#[cfg(not(lineage_loom))]
pub mod engine;
#[cfg(not(lineage_loom))]
pub mod error;
#[cfg(not(lineage_loom))]
pub mod feeds;
#[cfg(not(lineage_loom))]
pub mod http;
#[cfg(not(lineage_loom))]
#[allow(unsafe_code, reason = "a system call without a safe wrapper")]
pub mod kernel;
#[cfg(not(lineage_loom))]
pub mod pipeline;
#[cfg(not(lineage_loom))]
pub mod simulation;
#[cfg(not(lineage_loom))]
pub mod source;
#[cfg(not(lineage_loom))]
pub mod store;
#[cfg(not(lineage_loom))]
pub mod telemetry;

// The model checker sees the role without the encoder around it.
#[cfg(lineage_loom)]
#[path = "encode/role.rs"]
pub mod role;

#[cfg(not(lineage_loom))]
pub use {config::Config, encode::Publisher, engine::Engine, error::Error, event::Event};
