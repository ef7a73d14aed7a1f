//! All groups of a shard, and the inverted index from topic to groups.
//!
//! Routing costs a table look-up per record and a few nanoseconds per group that wants it; connections are never
//! scanned. A topic becomes known to the shard with its first record, and patterns take it in at that position,
//! so all shards agree on where a wildcard subscription starts to see it.

use super::Lane;
use super::group::{Group, Key};
use crate::event::{Topic, Topics};
use crate::log::{Reader, Record};
use crate::sync::Arc;
use std::collections::{HashMap, VecDeque};
use std::ops::Range;

/// The groups of one shard.
#[derive(Debug)]
pub(super) struct Groups {
    topics: Arc<Topics>,
    slots: Vec<Option<Group>>,
    free: Vec<u32>,
    by_key: HashMap<Key, u32>,
    by_topic: Vec<Vec<u32>>,
    /// Groups that get everything, by lane.
    all: [Vec<u32>; 2],
    /// Groups with a wildcard other than `*`.
    wildcards: Vec<u32>,
    /// Groups that name a topic nobody has published yet.
    waiting: HashMap<Box<str>, Vec<u32>>,
    /// Groups with visits remaining, in the order in which they are served.
    pub(super) due: VecDeque<u32>,
    /// Topics the shard has met: all below this index.
    known: u32,
    /// By topic index: the seq of its newest routed record.
    pub(super) seqs: Vec<u64>,
    /// Groups that may have lost their last connection.
    emptied: Vec<u32>,
    population: u64,
}

impl Groups {
    pub(super) fn new(topics: Arc<Topics>) -> Self {
        Self {
            topics,
            slots: Vec::new(),
            free: Vec::new(),
            by_key: HashMap::new(),
            by_topic: Vec::new(),
            all: [Vec::new(), Vec::new()],
            wildcards: Vec::new(),
            waiting: HashMap::new(),
            due: VecDeque::new(),
            known: 0,
            seqs: Vec::new(),
            emptied: Vec::new(),
            population: 0,
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

    /// Topics the shard has met.
    pub(super) fn known(&self) -> u32 {
        self.known
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
        if group.is_all {
            self.all[key.lane as usize].push(g);
        } else {
            for topic in group.match_topics(&self.topics, self.known) {
                self.by_topic[usize::from(topic)].push(g);
            }
            if group.key.patterns.iter().any(|pattern| !pattern.is_exact()) {
                self.wildcards.push(g);
            } else {
                self.wait_for_unknown(&group, g);
            }
        }
        self.slots[g as usize] = Some(group);
        self.by_key.insert(key, g);
        g
    }

    fn wait_for_unknown(&mut self, group: &Group, g: u32) {
        for pattern in &group.key.patterns {
            let is_known = self
                .topics
                .find(pattern.as_str())
                .is_some_and(|topic| u32::from(topic.index()) < self.known);
            if !is_known {
                self.waiting.entry(pattern.as_str().into()).or_default().push(g);
            }
        }
    }

    /// Connections in all groups.
    pub(super) fn population(&self) -> u64 {
        self.population
    }

    /// Notes that a connection joined `g`.
    pub(super) fn note_joined(&mut self, g: u32) {
        self.at_mut(g).population += 1;
        self.population += 1;
    }

    /// Notes that a connection left `g`.
    pub(super) fn note_left(&mut self, g: u32) {
        self.population -= 1;
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
            for topic in group.topics() {
                self.by_topic[usize::from(topic)].retain(|&other| other != g);
            }
            self.all[group.key.lane as usize].retain(|&other| other != g);
            self.wildcards.retain(|&other| other != g);
            if group.key.patterns.iter().all(crate::event::Pattern::is_exact) {
                for pattern in &group.key.patterns {
                    if let Some(groups) = self.waiting.get_mut(pattern.as_str()) {
                        groups.retain(|&other| other != g);
                        if groups.is_empty() {
                            self.waiting.remove(pattern.as_str());
                        }
                    }
                }
            }
            self.by_key.remove(&group.key);
            self.free.push(g);
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
            for place in 0..self.all[lane as usize].len() {
                let g = self.all[lane as usize][place];
                self.push(g, at, end, first.offset, last.offset + last.length);
            }
            if lane == Lane::V1 {
                self.route_records(at, records);
            }
            at = end;
        }
    }

    fn route_records(&mut self, first: u64, records: &[Record]) {
        for (index, record) in (first..).zip(records) {
            if u32::from(record.topic) >= self.known {
                self.learn(record.topic);
            }
            self.seqs[usize::from(record.topic)] = record.seq;
            // By place, not by iterator: pushing needs the whole of `self`, and no group moves meanwhile.
            for place in 0..self.by_topic[usize::from(record.topic)].len() {
                let g = self.by_topic[usize::from(record.topic)][place];
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

    /// Records of `topic` up to `seq` will never be routed: the shard was away for too long.
    pub(super) fn note_lost(&mut self, topic: u16, seq: u64) {
        self.learn(topic);
        self.seqs[usize::from(topic)] = seq;
    }

    /// Takes notice of all topics up to and including `topic`.
    fn learn(&mut self, topic: u16) {
        while self.known <= u32::from(topic) {
            let index = u16::try_from(self.known).expect("topics are numbered in 16 bits");
            self.known += 1;
            self.seqs.push(0);
            self.by_topic.push(Vec::new());
            let name = &self.topics.info(Topic::from_index(index)).name;
            let mut takers = self.waiting.remove(name).unwrap_or_default();
            takers.extend(self.wildcards.iter().copied().filter(|&g| {
                let group = self.slots[g as usize].as_ref();
                group.is_some_and(|group| group.key.patterns.iter().any(|p| p.matches(name)))
            }));
            for &g in &takers {
                self.at_mut(g).add_topic(index);
            }
            self.by_topic[usize::from(index)] = takers;
        }
    }
}
