//! What the shard has to do for a client: requests that were checked, in types that are only ever valid.
//!
//! A session makes them, the shard acts on them and gives them back to have them answered. Data only.

#[cfg(doc)]
use super::Session;
use super::message::{Named, Rejected, RequestId};
use super::{CloseCode, Mode};
use crate::event::{Class, Json, Pattern};

/// What the shard has to do for the client.
#[derive(Debug, PartialEq)]
pub enum Command {
    /// Join the topics; [`Session::subscribed`] answers when the cursor is at the head seen now.
    Subscribe(Subscribe),
    /// Leave them; [`Session::unsubscribed`] answers.
    Unsubscribe(Unsubscribe),
    /// Say how the connection fares; [`Session::stats`] answers.
    Stats(Option<RequestId>),
    /// Hand the event to the ring; [`Session::published`] answers.
    Publish(Publish),
    /// Send what was appended, then this close frame, and end the connection. The reason starts with the word of
    /// the code.
    Close(CloseCode, &'static str),
}

/// A checked subscribe.
#[derive(Debug, PartialEq)]
pub struct Subscribe {
    pub(super) id: Option<RequestId>,
    pub(super) patterns: Vec<Pattern>,
    pub(super) rejected: Vec<Rejected>,
    /// How many of the patterns were not in the set when it was read.
    pub(super) asked: u32,
    /// In which mode.
    pub mode: Mode,
    /// Whether the last value of every matching state topic is to come first.
    pub wants_snapshot: bool,
    /// Where the stream is to go on; of the first subscribe alone.
    pub from: Option<Resume>,
    pub(super) on_lag: Option<OnLag>,
}

/// A position that a client has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resume {
    /// The stream it is of.
    pub epoch: Box<str>,
    /// Everything up to here was received.
    pub pos: u64,
}

/// What a client that is too slow wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnLag {
    /// To be told what it missed, and to go on.
    Gap,
    /// To be closed with 4008.
    Disconnect,
}

/// What became of a subscribe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Joined {
    /// The position the stream goes on from.
    pub pos: u64,
    /// Whether it goes on where the client asked; none where it did not ask.
    pub recovered: Option<bool>,
}

/// How a connection fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fare {
    /// Milliseconds since it connected.
    pub age_ms: u64,
    /// Events of its topics that it has not been sent.
    pub lag_events: u64,
    /// Their bytes.
    pub lag_bytes: u64,
    /// Age of the oldest of them, in milliseconds.
    pub lag_ms: u64,
    /// Gap notices sent to it.
    pub gaps: u64,
    /// Events of state topics that it missed and had made good by a newer value.
    pub conflated: u64,
}

impl Subscribe {
    /// What to join, distinct, in the order asked. Some may be joined already; there may be none at all.
    #[must_use]
    pub fn patterns(&self) -> &[Pattern] {
        &self.patterns
    }
}

/// A checked unsubscribe.
#[derive(Debug, PartialEq)]
pub struct Unsubscribe {
    pub(super) id: Option<RequestId>,
    pub(super) patterns: Vec<Pattern>,
    pub(super) rejected: Vec<Rejected>,
}

impl Unsubscribe {
    /// What to leave, distinct, in the order asked. Some may not be joined.
    #[must_use]
    pub fn patterns(&self) -> &[Pattern] {
        &self.patterns
    }
}

/// A checked publish.
#[derive(Debug, PartialEq)]
pub struct Publish {
    pub(super) id: Option<RequestId>,
    /// Name of an exact topic.
    pub topic: String,
    /// Class asked for.
    pub class: Option<Class>,
    /// The payload, byte for byte.
    pub payload: Json,
}

/// What a pattern stands at when it is joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Matched {
    /// One topic.
    Topic {
        /// Seq of its newest event, 0 where there is none: the next one that comes is `seq + 1`.
        seq: u64,
    },
    /// Any number of topics.
    Pattern {
        /// How many there are now.
        count: u64,
    },
}

/// Parts the names that were taken from those that were not.
pub(super) fn split(names: impl IntoIterator<Item = Named>) -> (Vec<Pattern>, Vec<Rejected>) {
    let (mut patterns, mut rejected) = (Vec::new(), Vec::new());
    for name in names {
        match name {
            Ok(pattern) => patterns.push(pattern),
            Err(refused) => rejected.push(refused),
        }
    }
    (patterns, rejected)
}
