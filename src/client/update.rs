//! What a client tells its owner: plain data, one value per message of the server or turn of the connection.
//!
//! Values that came as a message keep its text, without a copy: they share the buffer that it was received in. Whoever
//! keeps many of them for long should copy what is needed.

use serde::Deserialize;
use std::fmt;
use std::ops::Range;
use std::str::FromStr;
use std::time::Duration;
use tokio_tungstenite::tungstenite::Utf8Bytes;

/// What happened, in the order in which it did.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Update {
    /// The subscription stands: gaps and snapshots follow, then events.
    Connected(Connected),
    /// One event, after all before it of its topic.
    Event(Event),
    /// The last value of a state topic.
    Snapshot(Event),
    /// Events of a topic that will not come.
    Gap(Gap),
    /// A topic or pattern that the server did not take. The others stand.
    Rejected(Rejected),
    /// The server could not do what was asked, and goes on.
    Trouble(Trouble),
    /// The server broke the gap proof: something was left out, repeated or turned round in silence. The message itself
    /// follows as if it were right.
    Broken(Broken),
    /// The connection is lost, or was never made; the client tries again by itself.
    Reconnecting(Reconnecting),
    /// The server is about to close. The client will come back when the server wants it.
    Shutdown(Text),
    /// Any other message: `welcome`, `heartbeat`, and what this version does not know.
    Other(Text),
}

impl Update {
    /// The message of the server that this is, as it came. Each message is exactly one update; `Rejected`, `Broken` and
    /// `Reconnecting` are none.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Connected(Connected { text, .. })
            | Self::Gap(Gap { text, .. })
            | Self::Trouble(Trouble { text, .. })
            | Self::Shutdown(text)
            | Self::Other(text) => Some(text.as_str()),
            Self::Event(event) | Self::Snapshot(event) => Some(event.text()),
            Self::Rejected(_) | Self::Broken(_) | Self::Reconnecting(_) => None,
        }
    }
}

/// A message as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text(pub(super) Utf8Bytes);

impl Text {
    /// The message: JSON, as far as the server keeps the protocol.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

/// The subscription stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connected {
    /// Identity of the server's stream; empty if it told none.
    pub epoch: String,
    /// The server's name for this connection, for its logs; empty if it told none.
    pub connection: String,
    /// None at the first connection without a position to resume from. `Some(true)`: every event since the last one
    /// follows. `Some(false)`: gaps say which topics missed events, and snapshots bring state topics up to date.
    pub recovered: Option<bool>,
    /// The epoch is another than that of the connection before: the server was restarted.
    pub has_new_epoch: bool,
    /// The position from which the stream goes on.
    pub pos: u64,
    pub(super) text: Text,
}

/// An event or a snapshot.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Place within the topic, from 1.
    pub seq: u64,
    /// In mode latest: the seq of the frame of this topic before this one.
    pub prev: Option<u64>,
    /// Place in the whole stream.
    pub pos: u64,
    /// When it was published, microseconds since the Unix epoch; 0 if the server did not tell.
    pub us: u64,
    pub(super) text: Utf8Bytes,
    pub(super) kind: Range<usize>,
    pub(super) topic: Range<usize>,
    pub(super) payload: Range<usize>,
}

impl Event {
    /// What it is about.
    #[must_use]
    pub fn topic(&self) -> &str {
        &self.text[self.topic.clone()]
    }

    /// The kind of event, `market` for example; `snapshot` for snapshots.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.text[self.kind.clone()]
    }

    /// What happened: JSON text, byte for byte as the source wrote it.
    #[must_use]
    pub fn payload(&self) -> &str {
        &self.text[self.payload.clone()]
    }

    /// The whole message as it came.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The payload as a type: one of [`payload`](super::payload), or any other.
    ///
    /// # Errors
    /// When the payload is not of that type.
    pub fn parse<'a, T: Deserialize<'a>>(&'a self) -> serde_json::Result<T> {
        serde_json::from_str(self.payload())
    }
}

/// Events of a topic that will not come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// Of which topic.
    pub topic: String,
    /// The first seq that is missing; where the server does not know it, what this client had last tells it. 0 when
    /// neither is known. More than `to` when nothing is missing after all.
    pub from: u64,
    /// The last seq that is missing; 0 when the seqs begin anew.
    pub to: u64,
    /// Why.
    pub reason: GapReason,
    /// What makes good for it.
    pub action: GapAction,
    pub(super) text: Text,
}

/// Why events are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum GapReason {
    /// This client was too slow.
    Slow,
    /// The server's log went on past what this client had.
    Overrun,
    /// The position to resume from is no longer retained.
    Expired,
    /// The server was restarted: its stream and all seqs begin anew.
    Restart,
    /// A reason that this version does not know.
    Unknown,
}

impl fmt::Display for GapReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Slow => "slow",
            Self::Overrun => "overrun",
            Self::Expired => "expired",
            Self::Restart => "restart",
            Self::Unknown => "unknown",
        })
    }
}

/// What makes good for a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum GapAction {
    /// The newest value follows as a snapshot.
    Snapshot,
    /// The stream goes on; whoever needs the rest resumes from a position of before the gap.
    Resume,
}

/// A topic or pattern that the server did not take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// The topic or pattern.
    pub topic: String,
    /// The server's word for why: `not_conflatable`, `too_many_topics`.
    pub code: String,
}

/// The server could not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// The server's word for what is wrong: `rate_limited`.
    pub code: String,
    /// For people.
    pub message: String,
    pub(super) text: Text,
}

/// Where the server broke the gap proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Of which topic.
    pub topic: String,
    /// In mode all the seq that was due; in mode latest the seq that the frame should have named as the one before.
    pub expected: u64,
    /// The seq that came.
    pub seq: u64,
}

/// The client will try to connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reconnecting {
    /// How long it waits first.
    pub after: Duration,
    /// Why there is no connection.
    pub why: Why,
    /// How many tries in a row this will have been, from 1. A connection that lasted five seconds ends the row.
    pub attempt: u32,
}

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Why {
    /// None could be made.
    Unreachable(String),
    /// The server answered the handshake with this HTTP status: it is full, or not well.
    Status(u16),
    /// The server closed.
    Closed {
        /// Close code; 1005 if there was none.
        code: u16,
        /// Begins with a machine word.
        reason: String,
    },
    /// The connection broke without a close frame.
    Broke(String),
    /// No frame came for so long.
    Silent(Duration),
    /// The server could not take the subscription just then.
    Refused {
        /// The server's word: `rate_limited`.
        code: String,
    },
    /// The server named more topics than the protocol allows.
    TooManyTopics,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(reason) => write!(f, "cannot connect: {reason}"),
            Self::Status(status) => write!(f, "the server answered {status}"),
            Self::Closed { code, reason } => {
                write!(f, "the server closed the connection: {code} {reason}")
            }
            Self::Broke(reason) => write!(f, "connection lost: {reason}"),
            Self::Silent(time) => write!(f, "no frame for {} s", time.as_secs()),
            Self::Refused { code } => write!(f, "the server did not subscribe: {code}"),
            Self::TooManyTopics => f.write_str("the server named more topics than it can have"),
        }
    }
}

/// A place in a server's stream, written `epoch.pos`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Position {
    /// Identity of the stream: 4 to 16 of `a` to `z` and `0` to `9`.
    pub epoch: String,
    /// The event at this place, and all before it, were had.
    pub pos: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.pos)
    }
}

/// Not of the form `epoch.pos`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAPosition;

impl fmt::Display for NotAPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not of the form epoch.position, such as k3f9.81234")
    }
}

impl std::error::Error for NotAPosition {}

impl FromStr for Position {
    type Err = NotAPosition;

    fn from_str(text: &str) -> Result<Self, NotAPosition> {
        let (epoch, pos) = text.split_once('.').ok_or(NotAPosition)?;
        let is_epoch = (4..=16).contains(&epoch.len())
            && epoch.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        let is_number = pos.bytes().all(|byte| byte.is_ascii_digit());
        let pos = pos.parse().ok().filter(|_| is_epoch && is_number).ok_or(NotAPosition)?;
        Ok(Self { epoch: epoch.to_owned(), pos })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_an_epoch_a_point_and_a_number() {
        let position = Position { epoch: "k3f9".to_owned(), pos: 81_234 };
        assert_eq!("k3f9.81234".parse(), Ok(position.clone()));
        assert_eq!(position.to_string(), "k3f9.81234");
        for (epoch, is_good) in [
            ("abc", false),
            ("abcd", true),
            ("abcdefghijklmnop", true),
            ("abcdefghijklmnopq", false),
        ] {
            assert_eq!(format!("{epoch}.0").parse::<Position>().is_ok(), is_good, "{epoch}");
        }
        for wrong in ["", "k3f9", "k3f9.", "K3F9.1", "k3f9.+1", "k3f9.-1", "k3f9.1.2", ".1"] {
            assert_eq!(wrong.parse::<Position>(), Err(NotAPosition), "{wrong}");
        }
    }
}
