//! Conflated views: for each rate a lane of the newest values, encoded once for everybody who has it.
//!
//! A view is written by its shard. At most `hz` times a second it takes the topics that moved since its last tick and
//! that somebody has in it, and appends for each one frame: the newest event's message with `prev`, the seq of the
//! view's previous frame of that topic. From there on it is a lane like any other: groups, cursors, the sweep and the
//! lag budget know no difference. The first event after a pause is told at once, the next after a whole period.
//!
//! A topic that nobody has is not followed. When somebody joins it again, the value of that moment becomes the view's
//! last frame, which nobody but the newcomer sees, as a snapshot; so `prev` is exact for everybody.

use super::lanes::Lane;
use super::pieces::Source;
use super::planted::planted;
use super::{Shard, Transport};
use crate::encode::frame::{self, FrameBuffer};
use crate::encode::{LogEnd, ValueSink};
use crate::event::{Class, Topic};
use crate::log::{Entry, Options, Reader, Writer, log};
use crate::session::Rate;
use crate::snapshot::{Block, Keeper, Values};
use crate::sync::Arc;
use crate::telemetry::ShardCounter;

/// Sizes of a view's log: at most 4 MiB, and only as much as it is used.
const LOG: Options = Options {
    segment_bytes: 128 * 1024,
    segment_records: 1_024,
    segments_max: 32,
    shared_frame_max: 64 * 1024,
};

/// The view's newest frame of a topic.
#[derive(Debug, Clone, Copy, Default)]
struct Told {
    /// Its seq; 0: there is none.
    seq: u64,
    /// Its index in the view's log plus one.
    newest: u64,
}

/// One view.
#[derive(Debug)]
pub(super) struct Latest {
    writer: Writer,
    keeper: Keeper,
    values: Values,
    buffer: FrameBuffer,
    /// By topic index.
    told: Vec<Told>,
    /// Before this it says nothing, microseconds.
    due_us: u64,
    /// Everything up to here it has told.
    pub(super) pos: u64,
}

/// All views, slowest first, and a reader of each.
pub(super) fn views(now_us: u64) -> impl Iterator<Item = (Latest, Reader)> {
    Rate::all().map(move |_| {
        let (writer, log) = log(LOG);
        let (keeper, values) = Keeper::new(LOG.segments_max);
        let latest = Latest {
            writer,
            keeper,
            values,
            buffer: FrameBuffer::default(),
            told: Vec::new(),
            due_us: now_us,
            pos: 0,
        };
        (latest, log.reader())
    })
}

impl Latest {
    fn told(&self, topic: u16) -> Told {
        self.told.get(usize::from(topic)).copied().unwrap_or_default()
    }

    /// Seq of the view's newest frame of a topic; 0: there is none.
    pub(super) fn seq(&self, topic: u16) -> u64 {
        self.told(topic).seq
    }

    /// Appends the message `json`, a v1 event of `topic` whose text up to the seq is `head_bytes` long, with `prev`.
    fn append(&mut self, topic: u16, seq: u64, now_us: u64, head_bytes: usize, json: &[u8]) {
        if self.told.len() <= usize::from(topic) {
            self.told.resize(usize::from(topic) + 1, Told::default());
        }
        let prev = self.told[usize::from(topic)].seq;
        let mut digits = itoa::Buffer::new();
        let (head, tail) = json.split_at(head_bytes + digits.format(seq).len());
        let out = self.buffer.begin();
        out.extend_from_slice(head);
        out.extend_from_slice(b",\"prev\":");
        out.extend_from_slice(digits.format(prev).as_bytes());
        out.extend_from_slice(tail);
        let frame = self.buffer.finish();
        // Its time is that of the tick: how long a view waits is no delay of its delivery.
        let key = u32::try_from(seq - prev).unwrap_or(u32::MAX);
        let entry = Entry { topic, key, seq, time_us: now_us, flags: 0 };
        let index = self.writer.append(entry, frame);
        if !planted("prev is not kept") {
            self.told[usize::from(topic)] = Told { seq, newest: index + 1 };
        }
        self.keeper.keep(&entry, LogEnd { index, segment: self.writer.segment_id() }, frame);
    }

    fn commit(&mut self) {
        self.writer.commit();
        let (index, segment) = (self.writer.next_index(), self.writer.segment_id());
        self.keeper.commit(LogEnd { index, segment });
    }
}

impl<T: Transport> Shard<T> {
    /// Lets every view say what is due; true when one did.
    pub(super) fn tell_latest(&mut self) -> bool {
        let mut is_busy = false;
        for rate in Rate::all() {
            if self.groups.has_touched(rate) && self.now_us >= self.latest[rate.place()].due_us {
                let topics = self.groups.take_touched(rate);
                self.tell(rate, &topics);
                self.latest[rate.place()].due_us = self.now_us + 1_000_000 / rate.hz();
                is_busy = true;
            }
            if !self.groups.has_touched(rate) {
                self.latest[rate.place()].pos = self.readers[Lane::V1].head();
            }
        }
        is_busy
    }

    /// Microseconds until a view has something to say.
    pub(super) fn latest_timeout_us(&self) -> u64 {
        let due = Rate::all().filter(|rate| self.groups.has_touched(*rate));
        let due_us = due.map(|rate| self.latest[rate.place()].due_us.saturating_sub(self.now_us));
        due_us.min().unwrap_or(u64::MAX)
    }

    /// Makes the views of `rate` follow topics that somebody is about to join; at their newest value from now on.
    pub(super) fn follow(&mut self, rate: Rate, topics: &[u16]) {
        let is_stale = |&topic: &u16| {
            self.latest[rate.place()].seq(topic) < self.groups.head(topic).seq
                && !self.groups.is_touched(rate, topic)
        };
        let stale: Vec<u16> = topics.iter().copied().filter(is_stale).collect();
        self.tell(rate, &stale);
    }

    /// Appends the newest value of `topics` to a view and routes it.
    fn tell(&mut self, rate: Rate, topics: &[u16]) {
        if topics.is_empty() {
            return;
        }
        let block = self.block_at_head();
        let mut conflated = 0;
        for &topic in topics {
            let Some(source) = self.value(topic, &block) else { continue };
            let seq = self.groups.head(topic).seq;
            let head_bytes = self.topics.info(Topic::from_index(topic)).prefix.len();
            let latest = &mut self.latest[rate.place()];
            conflated += (seq - latest.seq(topic)).saturating_sub(1);
            latest.append(topic, seq, self.now_us, head_bytes, frame::payload(source.frame()));
        }
        self.telemetry.add(ShardCounter::Conflated, conflated);
        self.latest[rate.place()].commit();
        self.advance_lane(Lane::Latest(rate));
    }

    /// Where the newest value of a state topic stands; `block` is not older than what the shard has routed.
    pub(super) fn value(&self, topic: u16, block: &Arc<Block>) -> Option<Source> {
        find(&self.readers[Lane::V1], self.groups.head(topic).newest, topic, block)
    }

    /// Where a view's newest frame of a topic stands.
    pub(super) fn latest_value(&self, rate: Rate, topic: u16) -> Option<Source> {
        let latest = &self.latest[rate.place()];
        let block = latest.values.load();
        find(&self.readers[Lane::Latest(rate)], latest.told(topic).newest, topic, &block)
    }

    /// Whether the last value of a topic matters.
    pub(super) fn is_state(&self, topic: u16) -> bool {
        self.topics.info(Topic::from_index(topic)).class == Class::State
    }
}

/// The record of index `newest` - 1 in the reader's window, or what the block has of the topic.
fn find(reader: &Reader, newest: u64, topic: u16, block: &Arc<Block>) -> Option<Source> {
    let index = newest.checked_sub(1)?;
    let is_old = index < block.base() || planted("a snapshot is stale");
    if !is_old && let Some(segment) = reader.segment(index) {
        let record = u32::try_from(index - segment.base()).expect("segments are small");
        return Some(Source::Segment(segment.clone(), record));
    }
    block.value(topic).is_some().then(|| Source::Block(block.clone(), topic))
}
