//! What a subscribe is about: its topics, where they stand, and where their values are.

use super::lanes::Lane;
use super::pieces::Source;
use super::{Shard, Transport, slice};
use crate::event::{Class, Pattern, Topic};
use crate::session::{Matched, Mode, Rules, Subscribe};
use crate::snapshot::Block;
use crate::sync::Arc;
use std::collections::HashMap;

/// Wildcards whose counts are remembered.
const COUNTED_MAX: usize = 4_096;

/// How many topics a wildcard names, of those the shard had met when it was last asked.
#[derive(Debug, Clone, Copy, Default)]
struct Count {
    met: u32,
    all: u64,
    state: u64,
}

/// Counts of wildcards: each topic is looked at once, however often one is asked for.
#[derive(Debug, Default)]
pub(super) struct Counts(HashMap<Pattern, Count>);

impl<T: Transport> Shard<T> {
    /// A topic that the shard has met.
    pub(super) fn known_topic(&self, name: &str) -> Option<u16> {
        let topic = self.topics.find(name).map(Topic::index);
        topic.filter(|&topic| u32::from(topic) < self.groups.known())
    }

    /// The topics of a subscribe that come to the client in the mode it asks for.
    pub(super) fn survey(&self, subscribe: &Subscribe, rules: &Rules) -> Vec<u16> {
        let mode = subscribe.mode;
        let mut asked = Rules::default();
        subscribe.patterns().iter().for_each(|pattern| asked.add(pattern.clone(), mode));
        // Most clients ask once: then what they ask for is what they have.
        let is_all_of_it = rules.len() == asked.len();
        let is_delivered = |&topic: &u16| {
            let info = self.topics.info(Topic::from_index(topic));
            rules.mode_of(&info.name, info.class) == Some(mode)
                && (is_all_of_it || asked.mode_of(&info.name, info.class).is_some())
        };
        if subscribe.patterns().iter().all(Pattern::is_exact) {
            let names = subscribe.patterns().iter().map(Pattern::as_str);
            return names.filter_map(|name| self.known_topic(name)).filter(is_delivered).collect();
        }
        (0..=u16::MAX).take(self.groups.known() as usize).filter(is_delivered).collect()
    }

    /// Seqs of the exact topics among `patterns` that have records at or above `at`, as they were there.
    pub(super) fn seqs_at(&self, at: u64, patterns: &[Pattern]) -> HashMap<u16, u64> {
        let reader = &self.readers[Lane::V1];
        if at == reader.head() {
            return HashMap::new();
        }
        let exact = patterns.iter().filter(|pattern| pattern.is_exact());
        let mut wanted: Vec<u16> =
            exact.filter_map(|pattern| self.known_topic(pattern.as_str())).collect();
        wanted.sort_unstable();
        let mut seqs = HashMap::new();
        if !wanted.is_empty() {
            slice::for_each(reader, at..reader.head(), |_, record| {
                if wanted.binary_search(&record.topic).is_ok() {
                    seqs.entry(record.topic).or_insert(record.seq - 1);
                }
            });
        }
        seqs
    }

    /// How many topics that can come in `mode` a wildcard names.
    pub(super) fn count(&mut self, wildcard: &Pattern, mode: Mode) -> u64 {
        if self.counts.0.len() >= COUNTED_MAX && !self.counts.0.contains_key(wildcard) {
            self.counts.0.clear();
        }
        let count = self.counts.0.entry(wildcard.clone()).or_default();
        let known = self.groups.known();
        for topic in (0..=u16::MAX).take(known as usize).skip(count.met as usize) {
            let info = self.topics.info(Topic::from_index(topic));
            if wildcard.matches(&info.name) {
                count.all += 1;
                count.state += u64::from(info.class == Class::State);
            }
        }
        count.met = known;
        if mode == Mode::All { count.all } else { count.state }
    }

    /// What a pattern stands at where the stream goes on; `seqs` are of that position.
    pub(super) fn matched(
        &mut self,
        pattern: &Pattern,
        mode: Mode,
        seqs: &HashMap<u16, u64>,
    ) -> Matched {
        if !pattern.is_exact() {
            return Matched::Pattern { count: self.count(pattern, mode) };
        }
        let Some(topic) = self.known_topic(pattern.as_str()) else {
            return Matched::Topic { seq: 0 };
        };
        let earlier = seqs.get(&topic).copied().filter(|_| mode == Mode::All);
        Matched::Topic { seq: earlier.unwrap_or_else(|| self.seq_in(mode, topic)) }
    }

    /// Seq of the newest event of a topic, or of the newest that a conflated view has told.
    pub(super) fn seq_in(&self, mode: Mode, topic: u16) -> u64 {
        match mode {
            Mode::All => self.groups.head(topic).seq,
            Mode::Latest(rate) => self.latest[rate.place()].seq(topic),
        }
    }

    pub(super) fn value_in(&self, mode: Mode, topic: u16, block: &Arc<Block>) -> Option<Source> {
        match mode {
            Mode::All => self.value(topic, block),
            Mode::Latest(rate) => self.latest_value(rate, topic),
        }
    }
}
