//! What happened: plain data, as sources publish it and the encoder reads it.
//!
//! An event is small and cheap to move: names are shared (`Arc`), foreign payloads ride as `Bytes`, money is an
//! integer. It knows nothing of encodings, sockets or clients, and nothing here does input or output.
//!
//! Invariants: [`Event`] takes at most 120 bytes, so that a ring slot with its stamp is two cache lines; a
//! [`Json`] is one whole JSON value without CR or LF; a [`Topic`] is an index into the one [`Topics`] table that
//! made it.
//!
//! Data path: sources make events on their own threads, the holder of the encoder role reads them. Making one
//! allocates nothing beyond what its payload already owns.

mod alert;
mod arena;
mod book;
mod candle;
mod chain;
mod exact;
pub mod hub;
mod indicator;
mod json;
mod tick;
mod tick_json;
mod topic;

pub use alert::{Alert, AlertHistory, AlertRecord, AlertState, Severity};
pub use arena::Round;
pub use book::{BOOK_LEVELS, Book};
pub use candle::{Bar, Candle, Interval, OlderCandles};
pub use chain::{
    ChainBlock, ChainNetwork, ChainTps, ChainUpdate, ChainValidators, NetworkHealth,
    write_chain_message, write_chain_welcome,
};
pub use exact::Exact;
pub use hub::HubStatus;
pub use indicator::Indicator;
pub use json::{DEPTH_MAX, Json, NotJson};
pub use tick::{Quote, Tick};
pub(crate) use topic::is_segment;
pub use topic::{
    Class, NAME_BYTES_MAX, Pattern, PatternError, TOPICS_MAX, Topic, TopicError, TopicInfo, Topics,
};

use std::any::Any;
use std::fmt;
use std::sync::Arc;

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// What it is about.
    pub topic: Topic,
    /// Key within the topic (0: none).
    pub key: u32,
    /// When it is published here, microseconds since the Unix epoch: what delays and ages are measured from.
    pub time_us: u64,
    /// What happened.
    pub body: Body,
}

impl Event {
    /// What clients read as `us`: when it was published, of a recorded event when it was published first.
    #[must_use]
    pub fn us(&self) -> u64 {
        match self.body {
            Body::Recorded { us, .. } => us,
            _ => self.time_us,
        }
    }
}

const _: () =
    assert!(size_of::<Event>() <= 120, "a ring slot with its stamp must fit two cache lines");

/// The kinds of event.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// A price.
    Market(Market),
    /// An agent's state.
    Agent(Agent),
    /// An agent's trade.
    Trade(Trade),
    /// JSON from outside, byte for byte.
    External(Json),
    /// What an earlier engine published, byte for byte.
    Recorded {
        /// When it was published first, microseconds since the Unix epoch: what clients read as `us`.
        us: u64,
        /// What it was published as.
        payload: Json,
    },
    /// Data that knows its own JSON, encoded once, when the event is.
    Typed(Typed),
}

/// Data that knows its own JSON: of an embedding program, or one of our own records that are too rare to be worth a
/// [`Body`] of their own.
pub trait Payload: Any + fmt::Debug + Send + Sync {
    /// Appends one JSON value, without raw CR or LF. Called once per event, by whoever encodes; must not block. A
    /// panic costs this event alone and is counted.
    fn write_json(&self, out: &mut Vec<u8>);
}

/// A shared [`Payload`]; equal to its clones alone.
#[derive(Debug, Clone)]
pub struct Typed(pub Arc<dyn Payload>);

impl Typed {
    /// Shares `payload`.
    pub fn new(payload: impl Payload) -> Self {
        Self(Arc::new(payload))
    }

    /// The payload, if it is a `T`: how a reader inside the process gets typed data back.
    #[must_use]
    pub fn get<T: Payload>(&self) -> Option<&T> {
        let payload: &dyn Any = &*self.0;
        payload.downcast_ref()
    }
}

impl PartialEq for Typed {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// An amount in hundredths of its unit: money in cents, a quantity in hundredths. Any `i64`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Cents(pub i64);

/// A price of a symbol.
#[derive(Debug, Clone, PartialEq)]
pub struct Market {
    /// Such as `BTC-USD`.
    pub symbol: Arc<str>,
    /// Price.
    pub price: Cents,
}

/// Who an agent is.
#[derive(Debug, PartialEq, Eq)]
pub struct AgentName {
    /// Name in topics: `momentum`.
    pub slug: Box<str>,
    /// Display name: `⚡ Momentum`.
    pub name: Box<str>,
}

/// An agent's state after one cycle.
#[derive(Debug, Clone, PartialEq)]
pub struct Agent {
    /// Who.
    pub agent: Arc<AgentName>,
    /// Money.
    pub capital: Cents,
    /// Trades so far.
    pub trades: u32,
    /// Trades won so far, at most `trades`.
    pub wins: u32,
    /// Losses that left a mark.
    pub scars: u32,
    /// Active or resting.
    pub status: Status,
    /// What it did in this cycle.
    pub action: Action,
}

/// Whether an agent trades.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It does.
    Active,
    /// It rests after a streak of losses.
    Resting,
}

/// What an agent did in a cycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// `<name> WON trade (+$450)`: whole dollars.
    Won(u32),
    /// `<name> LOSS trade (-$252)`: whole dollars.
    Lost(u32),
    /// `<name> holds`.
    Holds,
    /// `<name> rests`.
    Rests,
}

/// One trade of an agent.
#[derive(Debug, Clone, PartialEq)]
pub struct Trade {
    /// Who.
    pub agent: Arc<AgentName>,
    /// Such as `BTC-USD`.
    pub symbol: Arc<str>,
    /// Buy or sell.
    pub side: Side,
    /// Price.
    pub price: Cents,
    /// Quantity, in hundredths.
    pub quantity: Cents,
    /// Profit, or loss below zero.
    pub pnl: Cents,
    /// Whether it was won.
    pub won: bool,
}

/// The side of a trade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// `buy`
    Buy,
    /// `sell`
    Sell,
}
