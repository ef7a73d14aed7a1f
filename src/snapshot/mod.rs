//! What a late-comer needs: the last value of every state topic, also of those whose last event has long left the log.
//!
//! The writer of a lane tells a [`Keeper`] of every frame of a state topic. The keeper copies it behind those that came
//! since the last [`Block`]; when they are twice the bytes of that block (at least 64 KiB), or the log is about to let go
//! of the first of them, it merges both into a new block and publishes that. So a value is copied once when it comes
//! and, on average, at most once more for every byte that comes: the cost does not grow with the number of topics, but
//! for what the caches make of it.
//!
//! Whoever loads the block and then reads the log up to a position P at or above its base has the last value of every
//! topic at P, without a gap: from the log for topics with a record between base and P, from the block for all others.
//! Nobody waits for anybody; a block that somebody holds stays as it is.
//!
//! Never: decides which topics have a last value, or knows a connection.

use crate::encode::{LogEnd, ValueSink};
use crate::log::Entry;
use crate::sync::{Arc, ArcSwap};

/// A block is renewed when more than this many bytes have come since, and more than twice what it has itself.
const PENDING_BYTES_MIN: usize = 64 * 1024;

/// Where a value stands in a block, and what is known of it.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    index: u64,
    seq: u64,
    time_us: u64,
    start: usize,
    /// 0: the topic has no value.
    length: u32,
}

/// A last value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value<'a> {
    /// Index of its record in the lane's log.
    pub index: u64,
    /// Place within the topic.
    pub seq: u64,
    /// Publish time, microseconds since the Unix epoch.
    pub time_us: u64,
    /// The frame, WebSocket header included.
    pub frame: &'a [u8],
}

/// The last value of every topic at one position of the lane. Immutable.
#[derive(Debug, Default)]
pub struct Block {
    base: u64,
    places: Vec<Place>,
    bytes: Vec<u8>,
}

impl Block {
    /// The position: a value is of a record below this index, and no record below it is a newer one of its topic.
    #[must_use]
    pub fn base(&self) -> u64 {
        self.base
    }

    /// The last value of the topic of this index, if it had one below the base.
    #[must_use]
    pub fn value(&self, topic: u16) -> Option<Value<'_>> {
        let place = self.places.get(usize::from(topic)).filter(|place| place.length > 0)?;
        let Place { index, seq, time_us, start, length } = *place;
        let frame = &self.bytes[start..start + length as usize];
        Some(Value { index, seq, time_us, frame })
    }

    /// All values, in order of their topics' indices.
    pub fn values(&self) -> impl Iterator<Item = (u16, Value<'_>)> {
        (0..=u16::MAX)
            .take(self.places.len())
            .filter_map(|topic| self.value(topic).map(|value| (topic, value)))
    }
}

/// Where the newest block of a lane is found. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Values(Arc<ArcSwap<Block>>);

impl Values {
    /// The newest block; later ones do not change it. Never blocks.
    #[must_use]
    pub fn load(&self) -> Arc<Block> {
        self.0.load_full()
    }
}

/// The writer's end: keeps what came since the last block, and makes the next one.
#[derive(Debug)]
pub struct Keeper {
    published: Arc<ArcSwap<Block>>,
    current: Arc<Block>,
    /// The block before the current one: its memory is used again if nobody holds it.
    retired: Option<Arc<Block>>,
    /// Frames since the current block, one behind the other, superseded ones included.
    pending: Vec<u8>,
    /// By topic: the newest of its pending frames.
    newest: Vec<Place>,
    /// Topics with a pending frame.
    touched: Vec<u16>,
    /// Segments of the log that may be written before a block has to come.
    segments_max: u64,
    /// Segment in which the first pending frame stands.
    first_segment: u64,
}

impl Keeper {
    /// A keeper for a lane whose log keeps `log_segments_max` segments, and where its blocks are found.
    #[must_use]
    pub fn new(log_segments_max: usize) -> (Self, Values) {
        let current = Arc::new(Block::default());
        let published = Arc::new(ArcSwap::new(current.clone()));
        let keeper = Self {
            published: published.clone(),
            current,
            retired: None,
            pending: Vec::new(),
            newest: Vec::new(),
            touched: Vec::new(),
            segments_max: log_segments_max as u64 / 2,
            first_segment: 0,
        };
        (keeper, Values(published))
    }

    /// Merges what is pending into a new block of the values below `base`.
    fn renew(&mut self, base: u64) {
        let mut block = self.retired.take().unwrap_or_default();
        if Arc::get_mut(&mut block).is_none() {
            block = Arc::default();
        }
        if let Some(Block { base: new_base, places, bytes }) = Arc::get_mut(&mut block) {
            places.clear();
            bytes.clear();
            *new_base = base;
            places.resize(self.newest.len().max(self.current.places.len()), Place::default());
            for (topic, place) in places.iter_mut().enumerate() {
                let pending = self.newest.get(topic).filter(|place| place.length > 0);
                let (source, from) = match pending {
                    Some(place) => (*place, &self.pending),
                    None => match self.current.places.get(topic) {
                        Some(place) if place.length > 0 => (*place, &self.current.bytes),
                        _ => continue,
                    },
                };
                *place = Place { start: bytes.len(), ..source };
                bytes.extend_from_slice(&from[source.start..source.start + source.length as usize]);
            }
        }
        self.published.store(block.clone());
        self.retired = Some(std::mem::replace(&mut self.current, block));
        for topic in self.touched.drain(..) {
            self.newest[usize::from(topic)].length = 0;
        }
        self.pending.clear();
    }
}

impl ValueSink for Keeper {
    fn keep(&mut self, entry: &Entry, at: LogEnd, frame: &[u8]) {
        if self.touched.is_empty() {
            self.first_segment = at.segment;
        }
        let topic = usize::from(entry.topic);
        if self.newest.len() <= topic {
            self.newest.resize(topic + 1, Place::default());
        }
        if self.newest[topic].length == 0 {
            self.touched.push(entry.topic);
        }
        self.newest[topic] = Place {
            index: at.index,
            seq: entry.seq,
            time_us: entry.time_us,
            start: self.pending.len(),
            length: u32::try_from(frame.len()).expect("frames are shorter than 4 GiB"),
        };
        self.pending.extend_from_slice(frame);
    }

    fn commit(&mut self, end: LogEnd) {
        if self.touched.is_empty() {
            return;
        }
        let is_large = self.pending.len() > (2 * self.current.bytes.len()).max(PENDING_BYTES_MIN);
        if is_large || end.segment - self.first_segment >= self.segments_max {
            self.renew(end.index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry(topic: u16, seq: u64) -> Entry {
        Entry { topic, seq, time_us: seq * 10, ..Entry::default() }
    }

    /// The newest of each topic: from the block, and from what the keeper would find in the log.
    fn newest(block: &Block, log: &[(u16, u64, Vec<u8>)], topic: u16) -> Option<(u64, Vec<u8>)> {
        let base = usize::try_from(block.base()).expect("short");
        let in_log = log[base..].iter().rev().find(|(other, ..)| *other == topic);
        in_log
            .map(|(_, seq, frame)| (*seq, frame.clone()))
            .or_else(|| block.value(topic).map(|value| (value.seq, value.frame.to_vec())))
    }

    proptest! {
        #[test]
        fn block_and_log_together_give_the_last_value_at_every_time(
            events in prop::collection::vec((0..6u16, 1..40_000usize), 1..60),
            segments_max in 2..16usize,
            holds in any::<bool>(),
        ) {
            let (mut keeper, values) = Keeper::new(segments_max);
            let (mut log, mut seqs, mut held) = (Vec::new(), [0; 6], Vec::new());
            for (index, (topic, length)) in (0u64..).zip(events) {
                seqs[usize::from(topic)] += 1;
                let seq = seqs[usize::from(topic)];
                let frame = vec![u8::try_from(seq).expect("few"); length];
                keeper.keep(&entry(topic, seq), LogEnd { index, segment: index }, &frame);
                log.push((topic, seq, frame));
                keeper.commit(LogEnd { index: index + 1, segment: index });
                let block = values.load();
                let unkept = log[usize::try_from(block.base()).expect("short")..].len();
                prop_assert!(unkept <= (segments_max / 2).max(1), "{} would leave the log", unkept);
                for topic in 0..6 {
                    let expected = log.iter().rev().find(|(other, ..)| *other == topic);
                    let expected = expected.map(|(_, seq, frame)| (*seq, frame.clone()));
                    prop_assert_eq!(newest(&block, &log, topic), expected);
                }
                if holds {
                    held.push(block);
                }
            }
            for block in held {
                for (topic, value) in block.values() {
                    let (of, seq, frame) = &log[usize::try_from(value.index).expect("short")];
                    prop_assert_eq!((topic, value.seq, value.frame), (*of, *seq, &frame[..]));
                }
            }
        }
    }

    #[test]
    fn a_block_is_renewed_one_byte_above_the_larger_of_its_size_and_the_least() {
        for (bytes, is_renewed) in [
            (PENDING_BYTES_MIN - 1, false),
            (PENDING_BYTES_MIN, false),
            (PENDING_BYTES_MIN + 1, true),
        ] {
            let (mut keeper, values) = Keeper::new(64);
            keeper.keep(&entry(3, 1), LogEnd { index: 0, segment: 0 }, &vec![1; bytes]);
            keeper.commit(LogEnd { index: 1, segment: 0 });
            assert_eq!(values.load().base() == 1, is_renewed, "{bytes} bytes");
        }
    }

    #[test]
    fn a_block_comes_before_the_log_lets_go_of_what_is_pending() {
        for (segment, is_renewed) in [(4, false), (5, false), (6, true)] {
            let (mut keeper, values) = Keeper::new(8);
            keeper.keep(&entry(0, 1), LogEnd { index: 0, segment: 2 }, b"x");
            keeper.commit(LogEnd { index: 9, segment });
            assert_eq!(values.load().base() == 9, is_renewed, "in segment {segment}");
        }
    }
}
