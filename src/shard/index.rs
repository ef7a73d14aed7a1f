//! All groups of a shard, and the inverted index from topic to groups.
//!
//! Routing costs a table look-up per record and a few nanoseconds per group that wants it; connections are never
//! scanned. A topic becomes known to the shard with its first record, and selections take it in at that position,
//! so all shards agree on where a wildcard subscription starts to see it.

use super::group::{Group, Key};
use super::lanes::Lane;
use crate::event::{Class, Topic, Topics};
use crate::log::{Reader, Record};
use crate::session::Rate;
use crate::sync::Arc;
use std::collections::{HashMap, VecDeque};
use std::ops::Range;

/// What is known of a topic's newest routed v1 record.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Head {
    /// Its seq.
    pub(super) seq: u64,
    /// Its index in the log plus one; 0: there is none.
    pub(super) newest: u64,
}

/// Topics that moved since the last tick of a conflated view.
#[derive(Debug, Default)]
struct Touched {
    topics: Vec<u16>,
    /// By topic index, one bit each.
    bits: Vec<u64>,
}

impl Touched {
    fn has(&self, topic: u16) -> bool {
        self.bits.get(usize::from(topic / 64)).is_some_and(|word| word >> (topic % 64) & 1 == 1)
    }

    fn add(&mut self, topic: u16) {
        let word = usize::from(topic / 64);
        if self.bits.len() <= word {
            self.bits.resize(word + 1, 0);
        }
        if self.bits[word] >> (topic % 64) & 1 == 0 {
            self.bits[word] |= 1 << (topic % 64);
            self.topics.push(topic);
        }
    }
}

/// The groups of one shard.
#[derive(Debug)]
pub(super) struct Groups {
    topics: Arc<Topics>,
    slots: Vec<Option<Group>>,
    free: Vec<u32>,
    by_key: HashMap<Key, u32>,
    /// By lane and topic.
    by_topic: [Vec<Vec<u32>>; Lane::COUNT],
    /// Groups that get everything, by lane.
    all: [Vec<u32>; Lane::COUNT],
    /// Groups to which topics may come that they do not name.
    open: Vec<u32>,
    /// Groups that name a topic nobody has published yet.
    waiting: HashMap<Box<str>, Vec<u32>>,
    /// Groups with visits remaining, in the order in which they are served.
    pub(super) due: VecDeque<u32>,
    /// By topic index, of all topics the shard has met.
    heads: Vec<Head>,
    /// By topic index: whether its last value matters.
    is_state: Vec<bool>,
    /// Rates with a group.
    rates: Vec<Rate>,
    touched: [Touched; Rate::HZ.len()],
    /// Groups that may have lost their last connection.
    emptied: Vec<u32>,
}

impl Groups {
    pub(super) fn new(topics: Arc<Topics>) -> Self {
        Self {
            topics,
            slots: Vec::new(),
            free: Vec::new(),
            by_key: HashMap::new(),
            by_topic: Default::default(),
            all: Default::default(),
            open: Vec::new(),
            waiting: HashMap::new(),
            due: VecDeque::new(),
            heads: Vec::new(),
            is_state: Vec::new(),
            rates: Vec::new(),
            touched: Default::default(),
            emptied: Vec::new(),
        }
    }

    /// The group of slot `g`, which is in use.
    pub(super) fn at(&self, g: u32) -> &Group {
        self.slots[g as usize].as_ref().expect("connections and queues name groups in use only")
    }

    /// The group of slot `g`, which is in use.
    pub(super) fn at_mut(&mut self, g: u32) -> &mut Group {
        self.slots[g as usize].as_mut().expect("connections and queues name groups in use only")
    }

    /// Topics the shard has met: all below this index.
    pub(super) fn known(&self) -> u32 {
        u32::try_from(self.heads.len()).expect("topics are numbered in 16 bits")
    }

    /// What is known of a topic's newest record.
    pub(super) fn head(&self, topic: u16) -> Head {
        self.heads.get(usize::from(topic)).copied().unwrap_or_default()
    }

    /// The same of all topics.
    pub(super) fn heads(&self) -> &[Head] {
        &self.heads
    }

    /// Finds or makes the group of `key`, whose lane `reader` reads.
    pub(super) fn find_or_make(&mut self, key: Key, reader: &Reader) -> u32 {
        if let Some(&g) = self.by_key.get(&key) {
            return g;
        }
        let mut group = Group::new(key.clone(), reader.head(), reader.head_bytes());
        let g = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            u32::try_from(self.slots.len() - 1).expect("no more groups than connections")
        });
        let lane = key.lane.place();
        if group.is_all {
            self.all[lane].push(g);
        } else {
            for topic in group.match_topics(&self.topics, self.known()) {
                takers(&mut self.by_topic[lane], topic).push(g);
            }
            if key.selection.is_open() {
                self.open.push(g);
            }
            for name in key.selection.names() {
                let topic = self.topics.find(name);
                if topic.is_none_or(|topic| u32::from(topic.index()) >= self.known()) {
                    self.waiting.entry(name.into()).or_default().push(g);
                }
            }
        }
        if let Lane::Latest(rate) = key.lane
            && !self.rates.contains(&rate)
        {
            self.rates.push(rate);
        }
        self.slots[g as usize] = Some(group);
        self.by_key.insert(key, g);
        g
    }

    /// Notes that a connection joined `g`.
    pub(super) fn note_joined(&mut self, g: u32) {
        self.at_mut(g).population += 1;
    }

    /// Notes that a connection left `g`.
    pub(super) fn note_left(&mut self, g: u32) {
        let group = self.at_mut(g);
        group.population -= 1;
        if group.population == 0 {
            self.emptied.push(g);
        }
    }

    /// Removes groups that nobody is in. Called between slices, never inside one.
    pub(super) fn remove_empty(&mut self) {
        while let Some(g) = self.emptied.pop() {
            if self.slots[g as usize].as_ref().is_none_or(|group| group.population > 0) {
                continue;
            }
            let group = self.slots[g as usize].take().expect("looked at just now");
            if group.is_queued {
                self.due.retain(|&queued| queued != g);
            }
            let lane = group.key.lane.place();
            for topic in group.topics() {
                takers(&mut self.by_topic[lane], topic).retain(|&other| other != g);
            }
            self.all[lane].retain(|&other| other != g);
            self.open.retain(|&other| other != g);
            for name in group.key.selection.names() {
                if let Some(groups) = self.waiting.get_mut(name) {
                    groups.retain(|&other| other != g);
                    if groups.is_empty() {
                        self.waiting.remove(name);
                    }
                }
            }
            self.by_key.remove(&group.key);
            self.free.push(g);
            if let Lane::Latest(rate) = group.key.lane
                && !self.by_key.keys().any(|key| key.lane == group.key.lane)
            {
                self.rates.retain(|&other| other != rate);
            }
        }
    }

    /// Routes the records `fresh`, all of which are in the reader's window.
    pub(super) fn route(&mut self, lane: Lane, reader: &Reader, fresh: Range<u64>) {
        let mut at = fresh.start;
        while at < fresh.end {
            let segment = reader.segment(at).expect("fresh records are in the window");
            let skip = usize::try_from(at - segment.base()).expect("segments are small");
            let records = &segment.records()[skip..];
            let count = records.len().min(usize::try_from(fresh.end - at).unwrap_or(usize::MAX));
            let records = &records[..count];
            let (Some(first), Some(last)) = (records.first(), records.last()) else { break };
            let end = at + count as u64;
            for place in 0..self.all[lane.place()].len() {
                let g = self.all[lane.place()][place];
                self.push(g, at, end, first.offset, last.offset + last.length);
            }
            if lane == Lane::V1 {
                self.note_heads(at, records);
            }
            if !self.by_topic[lane.place()].is_empty() {
                self.route_records(lane.place(), at, records);
            }
            at = end;
        }
    }

    /// Notes the newest record of each topic, and which topics the conflated views have to say something about.
    fn note_heads(&mut self, first: u64, records: &[Record]) {
        for (index, record) in (first..).zip(records) {
            if usize::from(record.topic) >= self.heads.len() {
                self.learn(record.topic);
            }
            self.heads[usize::from(record.topic)] = Head { seq: record.seq, newest: index + 1 };
            if !self.rates.is_empty() {
                self.touch(record.topic);
            }
        }
    }

    fn route_records(&mut self, lane: usize, first: u64, records: &[Record]) {
        for (index, record) in (first..).zip(records) {
            let topic = usize::from(record.topic);
            if topic >= self.heads.len() {
                // A legacy record can be in sight before the v1 record of the same event.
                self.learn(record.topic);
            }
            // By place, not by iterator: pushing needs the whole of `self`, and no group moves meanwhile.
            for place in 0..self.by_topic[lane].get(topic).map_or(0, Vec::len) {
                let g = self.by_topic[lane][topic][place];
                self.push(g, index, index + 1, record.offset, record.offset + record.length);
            }
        }
    }

    fn push(&mut self, g: u32, first: u64, end: u64, start: u32, stop: u32) {
        let group = self.slots[g as usize].as_mut().expect("the index names groups in use only");
        group.push(first, end, start, stop);
        if group.remaining > 0 && !group.is_queued {
            group.is_queued = true;
            self.due.push_back(g);
        }
    }

    /// Notes that a state topic has news for each conflated view that somebody has it in.
    fn touch(&mut self, topic: u16) {
        if !self.is_state[usize::from(topic)] {
            return;
        }
        for place in 0..self.rates.len() {
            let rate = self.rates[place];
            if self.has_takers(rate, topic) {
                self.touched[rate.place()].add(topic);
            }
        }
    }

    /// Whether somebody has this topic in the view of `rate`.
    fn has_takers(&self, rate: Rate, topic: u16) -> bool {
        let lane = Lane::Latest(rate).place();
        !self.all[lane].is_empty()
            || self.by_topic[lane].get(usize::from(topic)).is_some_and(|groups| !groups.is_empty())
    }

    /// Whether a topic has news that the view of `rate` has not told.
    pub(super) fn is_touched(&self, rate: Rate, topic: u16) -> bool {
        self.touched[rate.place()].has(topic)
    }

    /// Whether the view of `rate` has something to tell.
    pub(super) fn has_touched(&self, rate: Rate) -> bool {
        !self.touched[rate.place()].topics.is_empty()
    }

    /// The topics with news for the view of `rate`, those that nobody has any more left out; none has news then.
    pub(super) fn take_touched(&mut self, rate: Rate) -> Vec<u16> {
        let touched = std::mem::take(&mut self.touched[rate.place()]);
        touched.topics.into_iter().filter(|&topic| self.has_takers(rate, topic)).collect()
    }

    /// Records of `topic` up to `head` will never be routed: the shard was away for too long.
    pub(super) fn note_lost(&mut self, topic: u16, head: Head) {
        self.learn(topic);
        self.heads[usize::from(topic)] = head;
        self.touch(topic);
    }

    /// Takes notice of all topics up to and including `topic`.
    fn learn(&mut self, topic: u16) {
        while self.heads.len() <= usize::from(topic) {
            let index = u16::try_from(self.heads.len()).expect("topics are numbered in 16 bits");
            let topics = self.topics.clone();
            let info = topics.info(Topic::from_index(index));
            self.heads.push(Head::default());
            self.is_state.push(info.class == Class::State);
            let mut groups = self.waiting.remove(&info.name).unwrap_or_default();
            groups.extend_from_slice(&self.open);
            groups.sort_unstable();
            groups.dedup();
            for g in groups {
                let group = self.at_mut(g);
                if group.key.selection.wants(&info.name, info.class) {
                    group.add_topic(index);
                    let lane = group.key.lane.place();
                    takers(&mut self.by_topic[lane], index).push(g);
                }
            }
        }
    }
}

/// The groups that want `topic`, in one lane's part of the index.
fn takers(by_topic: &mut Vec<Vec<u32>>, topic: u16) -> &mut Vec<u32> {
    let topic = usize::from(topic);
    if by_topic.len() <= topic {
        by_topic.resize_with(topic + 1, Vec::new);
    }
    &mut by_topic[topic]
}
