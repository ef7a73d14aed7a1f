//! Messages of the server as types. Pure: text in, data out; no text makes it panic.
//!
//! Unknown fields are ignored, unknown types are [`Frame::Other`], and so is what is no message at all: what a newer
//! server says must not stop an older client. An event costs one pass over its text and no copy.

use super::update::{Event, Gap, GapAction, GapReason, Rejected, Text, Trouble};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::HashMap;
use std::ops::Range;
use std::time::Duration;
use tokio_tungstenite::tungstenite::Utf8Bytes;

/// A message.
#[derive(Debug, PartialEq)]
pub(super) enum Frame {
    Welcome {
        epoch: String,
        connection: String,
        heartbeat: Option<Duration>,
    },
    Ack(Ack),
    Event(Event),
    Snapshot(Event),
    Gap(Gap),
    Error {
        id: Option<u64>,
        retry: Option<Duration>,
        trouble: Trouble,
    },
    /// Everything at or below `pos` came before it, and each of these topics is at this seq.
    Heartbeat {
        pos: u64,
        heads: HashMap<String, u64>,
    },
    /// Come back after at least and at most so long.
    Shutdown {
        from: Duration,
        to: Duration,
    },
    Other,
}

/// The answer to a subscribe.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Ack {
    #[serde(skip)]
    pub(super) id: u64,
    op: String,
    pub(super) pos: u64,
    pub(super) recovered: Option<bool>,
    pub(super) topics: Vec<Acknowledged>,
    pub(super) rejected: Vec<Refused>,
}

/// An entry of an ack; patterns have neither.
#[derive(Debug, PartialEq, Deserialize)]
pub(super) struct Acknowledged {
    pub(super) topic: Option<String>,
    pub(super) seq: Option<u64>,
}

/// An entry of an ack that was not taken.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Refused {
    topic: String,
    code: String,
}

impl From<Refused> for Rejected {
    fn from(refused: Refused) -> Self {
        Self { topic: refused.topic, code: refused.code }
    }
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    topic: Option<&'a str>,
    seq: Option<u64>,
    prev: Option<u64>,
    pos: Option<u64>,
    us: Option<u64>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Welcome {
    epoch: String,
    connection: String,
    heartbeat_s: u64,
}

#[derive(Deserialize)]
struct Missing {
    from: u64,
    to: u64,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    action: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Problem {
    code: String,
    message: String,
    retryable: bool,
    retry_ms: u64,
}

#[derive(Deserialize)]
struct Beat {
    pos: u64,
    #[serde(default)]
    heads: HashMap<String, u64>,
}

#[derive(Deserialize)]
struct Farewell {
    reconnect_ms: (u64, u64),
}

/// Reads one message.
pub(super) fn parse(text: &Utf8Bytes) -> Frame {
    let Ok(envelope) = serde_json::from_str::<Envelope<'_>>(text) else { return Frame::Other };
    let known = match envelope.kind {
        "welcome" => welcome(&envelope),
        "ack" => ack(&envelope),
        "error" => error(&envelope, text),
        "snapshot" => event(&envelope, text).map(Frame::Snapshot),
        "gap" => gap(&envelope, text),
        "heartbeat" => {
            inside::<Beat>(&envelope).map(|Beat { pos, heads }| Frame::Heartbeat { pos, heads })
        }
        "shutdown" => inside::<Farewell>(&envelope).map(|farewell| Frame::Shutdown {
            from: Duration::from_millis(farewell.reconnect_ms.0),
            to: Duration::from_millis(farewell.reconnect_ms.1),
        }),
        "pong" => None,
        _ => event(&envelope, text).map(Frame::Event),
    };
    known.unwrap_or(Frame::Other)
}

/// The payload as a type.
fn inside<'a, T: Deserialize<'a>>(envelope: &Envelope<'a>) -> Option<T> {
    serde_json::from_str(envelope.payload?.get()).ok()
}

fn welcome(envelope: &Envelope<'_>) -> Option<Frame> {
    let Welcome { epoch, connection, heartbeat_s } = inside(envelope)?;
    // Without an epoch it is no welcome of this protocol.
    (!epoch.is_empty()).then_some(())?;
    let heartbeat = (heartbeat_s > 0).then(|| Duration::from_secs(heartbeat_s));
    Some(Frame::Welcome { epoch, connection, heartbeat })
}

fn ack(envelope: &Envelope<'_>) -> Option<Frame> {
    let ack: Ack = inside(envelope)?;
    // Answers to what this client never asks are not for it.
    (ack.op == "subscribe").then_some(())?;
    Some(Frame::Ack(Ack { id: id(envelope)?, ..ack }))
}

fn error(envelope: &Envelope<'_>, text: &Utf8Bytes) -> Option<Frame> {
    let Problem { code, message, retryable, retry_ms } = inside(envelope)?;
    let retry = retryable.then(|| Duration::from_millis(retry_ms));
    let trouble = Trouble { code, message, text: Text(text.clone()) };
    Some(Frame::Error { id: id(envelope), retry, trouble })
}

fn id(envelope: &Envelope<'_>) -> Option<u64> {
    envelope.id.and_then(|id| id.get().parse().ok())
}

fn gap(envelope: &Envelope<'_>, text: &Utf8Bytes) -> Option<Frame> {
    let missing: Missing = inside(envelope)?;
    let reason = match &*missing.reason {
        "slow" => GapReason::Slow,
        "overrun" => GapReason::Overrun,
        "expired" => GapReason::Expired,
        "restart" => GapReason::Restart,
        _ => GapReason::Unknown,
    };
    let is_snapshot = missing.action == "snapshot";
    Some(Frame::Gap(Gap {
        topic: envelope.topic?.to_owned(),
        from: missing.from,
        to: missing.to,
        reason,
        action: if is_snapshot { GapAction::Snapshot } else { GapAction::Resume },
        text: Text(text.clone()),
    }))
}

fn event(envelope: &Envelope<'_>, text: &Utf8Bytes) -> Option<Event> {
    Some(Event {
        seq: envelope.seq?,
        prev: envelope.prev,
        pos: envelope.pos?,
        us: envelope.us.unwrap_or_default(),
        kind: place(text, envelope.kind)?,
        topic: place(text, envelope.topic?)?,
        payload: place(text, envelope.payload?.get())?,
        text: text.clone(),
    })
}

/// Where `part`, which was cut out of `text`, lies in it.
fn place(text: &Utf8Bytes, part: &str) -> Option<Range<usize>> {
    let start = part.as_ptr().addr().checked_sub(text.as_ptr().addr())?;
    text.get(start..start + part.len()).map(|_| start..start + part.len())
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
