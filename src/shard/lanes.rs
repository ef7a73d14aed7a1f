//! The lanes a shard reads: the encodings that all shards share, and the conflated views of this shard.
//!
//! A lane is a log of finished frames; a group picks the frames of its topics from one lane, and a connection has at
//! most one cursor in each.

use crate::encode::{self, Encoder};
use crate::log::Reader;
use crate::session::{Mode, Rate};
use std::ops::{Index, IndexMut};

/// One lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Lane {
    /// The v1 JSON of every event.
    V1,
    /// The legacy firehose.
    Legacy,
    /// The legacy firehose in its nested form.
    Nested,
    /// State topics in v1 JSON, each at most so often.
    Latest(Rate),
}

impl Lane {
    /// How many there are.
    pub(super) const COUNT: usize = Self::ENCODED.len() + Rate::HZ.len();
    /// Those that the encoder writes.
    pub(super) const ENCODED: [Self; 3] = [Self::V1, Self::Legacy, Self::Nested];

    /// A number below [`COUNT`](Self::COUNT).
    pub(super) fn place(self) -> usize {
        match self {
            Self::V1 => 0,
            Self::Legacy => 1,
            Self::Nested => 2,
            Self::Latest(rate) => 3 + rate.place(),
        }
    }

    /// The lane in which a v1 client gets topics in `mode`.
    pub(super) fn of(mode: Mode) -> Self {
        match mode {
            Mode::All => Self::V1,
            Mode::Latest(rate) => Self::Latest(rate),
        }
    }

    /// Whether its frames are legacy messages, which have no seq.
    pub(super) fn is_legacy(self) -> bool {
        matches!(self, Self::Legacy | Self::Nested)
    }

    /// What the encoder calls it, if the encoder writes it.
    pub(super) fn encoded(self) -> Option<encode::Lane> {
        match self {
            Self::V1 => Some(encode::Lane::V1),
            Self::Legacy => Some(encode::Lane::Legacy),
            Self::Nested => Some(encode::Lane::Nested),
            Self::Latest(_) => None,
        }
    }
}

/// The shard's readers, by lane.
#[derive(Debug)]
pub(super) struct Readers(Vec<Reader>);

impl Readers {
    /// Of the encoder's lanes, then of the conflated views, slowest first.
    pub(super) fn new(encoder: &Encoder, latest: impl Iterator<Item = Reader>) -> Self {
        let encoded = Lane::ENCODED.into_iter().filter_map(Lane::encoded);
        let readers: Vec<_> =
            encoded.map(|lane| encoder.log(lane).reader()).chain(latest).collect();
        assert_eq!(readers.len(), Lane::COUNT, "one reader for each lane");
        Self(readers)
    }

    /// Whether the encoder has written what the shard has not seen.
    pub(super) fn is_behind(&self) -> bool {
        self.0[..Lane::ENCODED.len()].iter().any(Reader::is_behind)
    }
}

impl Index<Lane> for Readers {
    type Output = Reader;
    fn index(&self, lane: Lane) -> &Reader {
        &self.0[lane.place()]
    }
}

impl IndexMut<Lane> for Readers {
    fn index_mut(&mut self, lane: Lane) -> &mut Reader {
        &mut self.0[lane.place()]
    }
}
