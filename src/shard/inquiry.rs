//! What an operator may ask of a shard: who is connected and how they fare, and to close somebody.
//!
//! An [`Inquiry`] reaches its shard through the inbox, as sockets do, carries the way its answer goes, and is answered
//! on the shard's thread (`census`): the delivery path shares nothing for it and counts nothing for it.

use crate::kernel::Vitals;
use crate::session::Fare;
use std::fmt;
use std::net::SocketAddr;
use uuid::Uuid;

/// Where an answer goes; called once on the shard's thread, must not block.
pub type Reply<A> = Box<dyn FnOnce(A) + Send>;

/// One question to one shard.
pub enum Inquiry {
    /// The connections that come first by `sort`, at most so many.
    List {
        /// By what.
        sort: Sort,
        /// At least 1.
        count_max: usize,
        /// Takes them, the first one first.
        reply: Reply<Census>,
    },
    /// Ends a connection with 1008.
    Close {
        /// Which one.
        id: ConnectionId,
        /// Whether it was here.
        reply: Reply<bool>,
    },
}

impl fmt::Debug for Inquiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::List { sort, count_max, .. } => {
                f.debug_struct("List").field("sort", sort).field("count_max", count_max).finish()
            }
            Self::Close { id, .. } => f.debug_struct("Close").field("id", id).finish(),
        }
    }
}

/// What connections are sorted by; the largest comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// Bytes owed by the shard, then those that the kernel has not sent.
    Lag,
    /// Bytes sent.
    Sent,
    /// Time since it was admitted.
    Age,
    /// Round trip time.
    Rtt,
}

/// Where a connection stands in a sort: the larger one comes first.
pub type Rank = (u64, u64);

impl Sort {
    /// The names there are.
    pub const NAMES: [(&'static str, Self); 4] =
        [("lag", Self::Lag), ("sent", Self::Sent), ("age", Self::Age), ("rtt", Self::Rtt)];

    /// The sort of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, sort)| *sort)
    }

    /// Where a connection stands.
    #[must_use]
    pub fn rank(self, age_ms: u64, lag_bytes: u64, vitals: &Vitals) -> Rank {
        match self {
            Self::Lag => (lag_bytes, vitals.unsent_bytes),
            Self::Sent => (vitals.sent_bytes, 0),
            Self::Age => (age_ms, 0),
            Self::Rtt => (vitals.rtt_us, 0),
        }
    }
}

/// What a shard answers to [`Inquiry::List`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Census {
    /// Connections that it has, those included that are not in `reports`.
    pub total: usize,
    /// The first ones, in order.
    pub reports: Vec<Report>,
}

/// One connection at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Which one.
    pub id: ConnectionId,
    /// What it speaks: `v1`, `legacy`, `legacy-nested` or `custom`.
    pub kind: &'static str,
    /// Where it comes from; none when the kernel has forgotten.
    pub peer: Option<SocketAddr>,
    /// Age, lag, gaps.
    pub fare: Fare,
    /// The first of the patterns it holds, by their text.
    pub topics: Vec<String>,
    /// How many patterns it holds.
    pub topics_total: usize,
    /// What the kernel knows.
    pub vitals: Vitals,
}

impl Report {
    /// Where it stands in a sort.
    #[must_use]
    pub fn rank(&self, sort: Sort) -> Rank {
        sort.rank(self.fare.age_ms, self.fare.lag_bytes, &self.vitals)
    }
}

/// Names a connection among those that are open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionId {
    /// Of a connection that was told it in its welcome.
    Told(Uuid),
    /// Of one that was told nothing.
    Slot {
        /// Its shard.
        shard: usize,
        /// Its slot there, which others had before it and will have after it.
        slot: u32,
        /// When it came, in milliseconds of the shard's clock.
        born_ms: u32,
    },
}

impl ConnectionId {
    /// Reads what [`Display`](fmt::Display) writes: a UUID, or three numbers with `-` between them.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(uuid) = Uuid::try_parse(text) {
            return Some(Self::Told(uuid));
        }
        let mut numbers = text.split('-');
        let id = Self::Slot {
            shard: numbers.next()?.parse().ok()?,
            slot: numbers.next()?.parse().ok()?,
            born_ms: numbers.next()?.parse().ok()?,
        };
        numbers.next().is_none().then_some(id)
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Told(uuid) => uuid.fmt(f),
            Self::Slot { shard, slot, born_ms } => write!(f, "{shard}-{slot}-{born_ms}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_whole_ids_are_read() {
        for text in ["", "1", "1-2", "1-2-3-4", "1-2-", "-1-2", "a-b-c", "1-2-4294967296", "v1"] {
            assert_eq!(ConnectionId::parse(text), None, "{text}");
        }
    }

    #[test]
    fn each_sort_looks_at_what_it_is_named_after() {
        let vitals = Vitals { sent_bytes: 3, unsent_bytes: 4, rtt_us: 5 };
        for (name, rank) in [("lag", (2, 4)), ("sent", (3, 0)), ("age", (1, 0)), ("rtt", (5, 0))] {
            let sort = Sort::named(name).expect(name);
            assert_eq!(sort.rank(1, 2, &vitals), rank, "{name}");
        }
        assert_eq!(Sort::named("Lag"), None);
    }

    proptest! {
        #[test]
        fn an_id_is_read_as_it_was_written(bits: u128, shard in 0..64_usize, slot: u32, born_ms: u32) {
            for id in [
                ConnectionId::Told(Uuid::from_u128(bits)),
                ConnectionId::Slot { shard, slot, born_ms },
            ] {
                prop_assert_eq!(ConnectionId::parse(&id.to_string()), Some(id));
            }
        }

        #[test]
        fn any_text_is_an_id_or_none(text in "[ -~é]{0,40}|[0-9-]{0,12}") {
            if let Some(id) = ConnectionId::parse(&text) {
                prop_assert_eq!(ConnectionId::parse(&id.to_string()), Some(id));
            }
        }
    }
}
