//! Bytes, once: whichever shard is awake takes the encoder role, drains the intake rings, gives every event its
//! place in the stream and writes it as one WebSocket frame per lane into the frame log.
//!
//! Follow an event: a [`Publisher`] puts it into its ring, [`Encoder::run`] moves it out ([`Role`]), `json` or
//! `legacy` writes its bytes, `frame` puts the WebSocket header before them, the log keeps them, the taps get
//! the typed event. Nothing here knows a connection.
//!
//! What is lock-free and what is not: rings and log are lock-free; the role is a try-lock that nobody ever waits
//! for. A thread that loses it goes on with what is committed; a descheduled holder delays new events by a
//! scheduling slice (`lineage_encoder_holds_total` counts the holds).

mod encoder;
pub mod frame;
pub mod json;
pub mod legacy;
mod publisher;
mod role;
mod tap;
mod values;

pub use encoder::{Encoder, Lane, Parts};
pub use publisher::{OnFull, Publisher, SharedPublisher};
pub use role::Role;
pub use tap::{Missed, Tap, Tapped};
pub use values::{LastValues, LogEnd, ValueSink};
