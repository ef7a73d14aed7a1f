//! What the HTTP side sees of the v1 lane: one reader for all streams, and how far each topic is.
//!
//! While a stream is open, the window has everything that the log keeps, so that a client can resume from it, and grows
//! to no more than that. While none is open it holds one segment and is not moved; the next stream finds the log's whole
//! window again, and learns what was published meanwhile from it, or, if that was more than the log keeps, from the
//! encoder. Never: a second copy of a frame.
//!
//! Costs: a few nanoseconds per event while a stream is open, some hundred microseconds when the first one opens.

use crate::encode::{Encoder, Lane};
use crate::event::{Class, Topic, TopicInfo};
use crate::log::{Reader, Record, Segment};
use crate::shard::Source;
use crate::snapshot::{Block, Values};
use crate::sync::Arc;
use std::collections::HashMap;
use std::ops::Range;

/// What is known of a topic's newest record.
#[derive(Debug, Clone, Copy, Default)]
struct Head {
    seq: u64,
    /// Its index plus one; 0: it has left the log.
    newest: u64,
}

/// What came.
#[derive(Debug)]
pub(super) enum News {
    /// These records; all of them are in the window.
    Fresh(Range<u64>),
    /// More than the log keeps; the window has been begun anew.
    Lapse(Lapse),
}

/// What was there before more came than the log keeps.
#[derive(Debug)]
pub(super) struct Lapse {
    /// The window there was, and what follows the hole behind it.
    pub(super) reader: Reader,
    /// Where the hole begins.
    pub(super) end: u64,
    /// By topic: the seq of the newest record in it, or before it.
    pub(super) seqs: Vec<u64>,
}

#[derive(Debug)]
pub(super) struct Window {
    encoder: Arc<Encoder>,
    values: Values,
    reader: Reader,
    /// By topic.
    heads: Vec<Head>,
}

impl Window {
    /// A window at the log's end, at rest.
    pub(super) fn new(encoder: Arc<Encoder>, values: Values) -> Self {
        let reader = encoder.log(Lane::V1).reader();
        let mut window = Self { encoder, values, reader, heads: Vec::new() };
        window.renew();
        window.rest();
        window
    }

    /// Lets go of everything but the newest segment.
    pub(super) fn rest(&mut self) {
        self.reader.release_before(self.reader.head());
    }

    /// Takes notice of everything that the log keeps.
    pub(super) fn renew(&mut self) {
        let known = self.reader.head();
        let reader = self.encoder.log(Lane::V1).reader_from_oldest();
        if reader.oldest() > known {
            self.begin_anew();
        } else {
            self.reader = reader;
            self.learn(known..self.reader.head());
        }
    }

    /// Takes notice of what was committed. The last values that are returned go with the window: none is newer than its
    /// head, and those that it does not have itself are among them.
    pub(super) fn advance(&mut self) -> (News, Arc<Block>) {
        // The block before the log: its base is then in the window.
        let block = self.values.load();
        let found = self.reader.advance();
        let Some(lapped) = found.lapped else {
            self.learn(found.fresh.clone());
            return (News::Fresh(found.fresh), block);
        };
        let seqs = self.heads.iter().map(|head| head.seq).collect();
        let (reader, block) = self.begin_anew();
        (News::Lapse(Lapse { reader, end: lapped.start, seqs }), block)
    }

    /// Begins with what the log keeps, when records have left it that were never in the window; what was there, and
    /// the last values that go with what is. All of it is of one moment, at which nothing is committed.
    fn begin_anew(&mut self) -> (Reader, Arc<Block>) {
        let (seqs, reader, block) = self.encoder.between_batches(|seqs| {
            let reader = self.encoder.log(Lane::V1).reader_from_oldest();
            (seqs.to_vec(), reader, self.values.load())
        });
        let before = std::mem::replace(&mut self.reader, reader);
        self.heads = seqs.into_iter().map(|seq| Head { seq, newest: 0 }).collect();
        self.learn(self.reader.oldest()..self.reader.head());
        (before, block)
    }

    fn learn(&mut self, fresh: Range<u64>) {
        let heads = &mut self.heads;
        visit(&self.reader, fresh, |index, record, _| {
            let topic = usize::from(record.topic);
            if heads.len() <= topic {
                heads.resize(topic + 1, Head::default());
            }
            heads[topic] = Head { seq: record.seq, newest: index + 1 };
            true
        });
    }

    /// Whether something was committed that the window does not have. Exact behind a `SeqCst` fence.
    pub(super) fn is_behind(&self) -> bool {
        self.reader.is_behind()
    }

    /// Behind the newest record.
    pub(super) fn head(&self) -> u64 {
        self.reader.head()
    }

    /// From which position on a client can resume.
    pub(super) fn oldest(&self) -> u64 {
        self.reader.oldest()
    }

    pub(super) fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Below which index the window has more than the log keeps.
    pub(super) fn surplus(&self) -> Option<u64> {
        self.reader.surplus()
    }

    /// Drops what lies below `index`.
    pub(super) fn release_before(&mut self, index: u64) {
        self.reader.release_before(index);
    }

    /// Where the newest value of a state topic is, if it has one; `block` goes with the window.
    pub(super) fn value(&self, topic: u16, block: &Arc<Block>) -> Option<Source> {
        debug_assert!(block.base() <= self.head(), "a block from behind the window");
        if !self.is_state(topic) {
            return None;
        }
        let newest = self.heads.get(usize::from(topic)).map_or(0, |head| head.newest);
        if let Some(index) = newest.checked_sub(1).filter(|&index| index >= block.base())
            && let Some(segment) = self.reader.segment(index)
        {
            return Some(source(segment, index));
        }
        block.value(topic).is_some().then(|| Source::Block(block.clone(), topic))
    }

    /// Seq of the newest record of a topic; 0: there is none.
    pub(super) fn seq(&self, topic: u16) -> u64 {
        self.heads.get(usize::from(topic)).map_or(0, |head| head.seq)
    }

    /// Topics that have been met, and perhaps a few between them.
    pub(super) fn topics(&self) -> impl Iterator<Item = u16> + use<> {
        (0..=u16::MAX).take(self.heads.len())
    }

    /// A topic that has been met.
    pub(super) fn find(&self, name: &str) -> Option<u16> {
        let topic = self.encoder.topics().find(name).map(Topic::index);
        topic.filter(|&topic| usize::from(topic) < self.heads.len())
    }

    /// Whether the last value of a topic matters.
    pub(super) fn is_state(&self, topic: u16) -> bool {
        self.info(topic).class == Class::State
    }

    pub(super) fn info(&self, topic: u16) -> &TopicInfo {
        self.encoder.topics().info(Topic::from_index(topic))
    }

    /// All topics.
    pub(super) fn table(&self) -> &crate::event::Topics {
        self.encoder.topics()
    }

    /// Of the topics that have records at or above `at`: their seqs there.
    pub(super) fn seqs_at(&self, at: u64) -> HashMap<u16, u64> {
        let mut seqs = HashMap::new();
        visit(&self.reader, at..self.head(), |_, record, _| {
            seqs.entry(record.topic).or_insert(record.seq - 1);
            true
        });
        seqs
    }
}

/// The record of this index as the source of a value.
pub(super) fn source(segment: &Arc<Segment>, index: u64) -> Source {
    let record = u32::try_from(index - segment.base()).expect("segments are small");
    Source::Segment(segment.clone(), record)
}

/// Calls `each` with every record of `range` that is in the reader's window, until it returns false.
pub(super) fn visit(
    reader: &Reader,
    range: Range<u64>,
    mut each: impl FnMut(u64, &Record, &Arc<Segment>) -> bool,
) {
    let mut at = range.start.max(reader.oldest());
    let end = range.end.min(reader.head());
    while at < end {
        let Some(segment) = reader.segment(at) else { return };
        let skip = usize::try_from(at - segment.base()).expect("segments are small");
        for record in &segment.records()[skip..] {
            if at == end || !each(at, record, segment) {
                return;
            }
            at += 1;
        }
    }
}
