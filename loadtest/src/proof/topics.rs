//! Names of topics as small numbers, and the sets of topics that clients ask for.
//!
//! A topic belongs to a stream (an epoch of one server): two servers number their events apart. Clients that ask for
//! the same topics share one set, so that a client itself holds 8 bytes per topic and nothing else. Finding a topic
//! costs one comparison when it is the one of the message before, else one hash of its name.

use std::hash::BuildHasher as _;

use rustc_hash::{FxBuildHasher, FxHashMap};

use crate::worker::Head;

/// A topic of a stream, dense from 0 over all streams.
pub type TopicId = u32;
/// A stream, dense from 0.
pub type StreamId = u32;
/// A set of topics.
pub type SetId = u32;

/// What is known of a topic.
#[derive(Debug, Default)]
struct Topic {
    name: Box<str>,
    stream: StreamId,
    /// The highest seq that any client had.
    head: u64,
    /// The lowest seq that any client had; 0: none.
    first: u64,
    /// The lowest seq that an ack said the topic goes on from.
    base: Option<u64>,
    /// Where every client must have come at the end; 0: nowhere.
    goal: u64,
}

/// What a group of clients asked for.
#[derive(Debug)]
struct Set {
    stream: StreamId,
    /// Exact topics, in the order of their numbers.
    exact: Box<[TopicId]>,
    /// Whether there are patterns: then a slot is a topic's number.
    has_patterns: bool,
    patterns: Box<[Box<str>]>,
}

/// All topics and sets of a process.
#[derive(Debug, Default)]
pub struct Topics {
    numbers: Vec<FxHashMap<Box<str>, TopicId>>,
    topics: Vec<Topic>,
    epochs: FxHashMap<Box<str>, StreamId>,
    sets: Vec<Set>,
    /// By stream and hash of the list: equal lists are found without keeping their text.
    by_list: FxHashMap<(StreamId, u64), SetId>,
    last: TopicId,
}

impl Topics {
    /// The stream of this epoch.
    ///
    /// # Panics
    /// At the 2^32nd stream.
    pub fn stream(&mut self, epoch: &str) -> StreamId {
        if let Some(stream) = self.epochs.get(epoch) {
            return *stream;
        }
        let stream = StreamId::try_from(self.epochs.len()).expect("fewer streams than clients");
        self.epochs.insert(epoch.into(), stream);
        stream
    }

    /// A stream's epoch; empty for one that has none.
    #[must_use]
    pub fn epoch(&self, stream: StreamId) -> &str {
        let known = self.epochs.iter().find(|(_, number)| **number == stream);
        known.map_or("", |(epoch, _)| epoch)
    }

    /// The topic of this name.
    ///
    /// # Panics
    /// At the 2^32nd topic.
    pub fn topic(&mut self, stream: StreamId, name: &str) -> TopicId {
        if let Some(last) = self.topics.get(self.last as usize)
            && last.stream == stream
            && *last.name == *name
        {
            return self.last;
        }
        let at = stream as usize;
        if self.numbers.len() <= at {
            self.numbers.resize_with(at + 1, FxHashMap::default);
        }
        if let Some(number) = self.numbers[at].get(name) {
            self.last = *number;
            return *number;
        }
        let number = TopicId::try_from(self.topics.len()).expect("fewer than 2^32 topics");
        self.numbers[at].insert(name.into(), number);
        self.topics.push(Topic { name: name.into(), stream, ..Topic::default() });
        self.last = number;
        number
    }

    /// The set of these topics and patterns (`*` stands for one or more segments at the end).
    ///
    /// # Panics
    /// At the 2^32nd set.
    pub fn set(&mut self, stream: StreamId, list: &[String]) -> SetId {
        let key = (stream, FxBuildHasher.hash_one(list));
        if let Some(set) = self.by_list.get(&key) {
            return *set;
        }
        let (patterns, names): (Vec<_>, Vec<_>) = list.iter().partition(|name| name.contains('*'));
        let mut exact: Vec<TopicId> = names.iter().map(|name| self.topic(stream, name)).collect();
        exact.sort_unstable();
        exact.dedup();
        let set = SetId::try_from(self.sets.len()).expect("fewer than 2^32 sets");
        self.sets.push(Set {
            stream,
            exact: exact.into(),
            has_patterns: !patterns.is_empty(),
            patterns: patterns.iter().map(|pattern| pattern.as_str().into()).collect(),
        });
        self.by_list.insert(key, set);
        set
    }

    /// Where a client of the set keeps what it knows of the topic; none: the set does not hold the topic.
    #[must_use]
    pub fn slot(&self, set: SetId, topic: TopicId) -> Option<usize> {
        let set = &self.sets[set as usize];
        if set.has_patterns {
            return Some(topic as usize);
        }
        set.exact.binary_search(&topic).ok()
    }

    /// How many slots an own set has; with patterns there is one for each topic, as topics come.
    #[must_use]
    pub fn slots(&self, set: SetId) -> usize {
        let set = &self.sets[set as usize];
        if set.has_patterns { 0 } else { set.exact.len() }
    }

    /// The epoch of a topic's stream.
    #[must_use]
    pub fn epoch_of(&self, topic: TopicId) -> &str {
        self.epoch(self.topics[topic as usize].stream)
    }

    /// A topic's name.
    #[must_use]
    pub fn name(&self, topic: TopicId) -> &str {
        &self.topics[topic as usize].name
    }

    /// An event of the topic came, or was announced as the next one.
    pub fn reached(&mut self, topic: TopicId, seq: u64) {
        let topic = &mut self.topics[topic as usize];
        topic.head = topic.head.max(seq);
        if topic.first == 0 || seq < topic.first {
            topic.first = seq;
        }
    }

    /// An ack says that the topic goes on from here.
    pub fn goes_on_from(&mut self, topic: TopicId, seq: u64) {
        let base = &mut self.topics[topic as usize].base;
        *base = Some(base.map_or(seq, |base| base.min(seq)));
    }

    /// How far every topic has come.
    #[must_use]
    pub fn heads(&self) -> Vec<Head> {
        let mut epochs = vec![""; self.epochs.len().max(1)];
        for (epoch, stream) in &self.epochs {
            epochs[*stream as usize] = epoch;
        }
        let head = |topic: &Topic| Head {
            epoch: epochs[topic.stream as usize].to_owned(),
            topic: topic.name.to_string(),
            base: topic.base,
            head: topic.head,
        };
        self.topics.iter().map(head).collect()
    }

    /// The end has come: what any client has now, every client must have.
    pub fn set_goals(&mut self) {
        self.topics.iter_mut().for_each(|topic| topic.goal = topic.head);
    }

    /// What the clients of a set must have at the end: slot, topic, the first and the last seq of it. The first one
    /// counts for clients that never had the topic. Nothing before the goals are set.
    pub fn owed(&self, set: SetId) -> impl Iterator<Item = (usize, TopicId, u64, u64)> {
        let asked = &self.sets[set as usize];
        let patterns = if asked.has_patterns { 0..self.topics.len() } else { 0..0 };
        let by_pattern = patterns.filter_map(move |number| {
            let topic = &self.topics[number];
            let number = TopicId::try_from(number).ok()?;
            let is_asked = topic.stream == asked.stream
                && (asked.exact.contains(&number)
                    || asked.patterns.iter().any(|pattern| matches(pattern, &topic.name)));
            is_asked.then_some((number as usize, number))
        });
        let exact = if asked.has_patterns { &[][..] } else { &asked.exact };
        let all = exact.iter().copied().enumerate().chain(by_pattern);
        all.filter_map(|(slot, number)| {
            let topic = &self.topics[number as usize];
            (topic.goal > 0).then_some((slot, number, topic.first, topic.goal))
        })
    }
}

/// Whether a pattern stands for a name: `*` alone, or as the last segment.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some("") => true,
        Some(start) => name.len() > start.len() && name.starts_with(start),
        None => pattern == name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn topics_are_numbered_by_stream_and_name() {
        let mut topics = Topics::default();
        let (one, two) = (topics.stream("k3f9"), topics.stream("x"));
        assert_eq!((one, two, topics.stream("k3f9")), (0, 1, 0));
        let numbers = [(one, "a"), (one, "b"), (two, "a"), (one, "a"), (two, "a")];
        let numbers = numbers.map(|(stream, name)| topics.topic(stream, name));
        assert_eq!(numbers, [0, 1, 2, 0, 2]);
        topics.reached(2, 7);
        topics.reached(2, 5);
        topics.goes_on_from(2, 4);
        topics.goes_on_from(2, 6);
        let head = &topics.heads()[2];
        assert_eq!((head.epoch.as_str(), head.topic.as_str()), ("x", "a"));
        assert_eq!((head.base, head.head), (Some(4), 7));
    }

    #[test]
    fn a_set_has_a_slot_for_each_of_its_topics_and_none_for_others() {
        let mut topics = Topics::default();
        let set = topics.set(0, &list(&["b", "a", "b"]));
        assert_eq!(topics.set(0, &list(&["b", "a", "b"])), set);
        assert_ne!(topics.set(1, &list(&["b", "a", "b"])), set);
        let (a, b, c) = (topics.topic(0, "a"), topics.topic(0, "b"), topics.topic(0, "c"));
        assert_eq!(topics.slots(set), 2);
        assert!(topics.slot(set, a) != topics.slot(set, b) && topics.slot(set, c).is_none());
        topics.reached(a, 3);
        assert_eq!(topics.owed(set).count(), 0);
        topics.set_goals();
        topics.reached(a, 4);
        assert_eq!(topics.owed(set).map(|owed| owed.2..=owed.3).collect::<Vec<_>>(), [3..=3]);
    }

    #[test]
    fn a_pattern_owes_every_topic_it_stands_for() {
        let mut topics = Topics::default();
        let set = topics.set(0, &list(&["m:*", "x"]));
        for (name, head) in [("m:a", 2), ("m:a:b", 3), ("m", 4), ("n:a", 5), ("x", 6), ("m:c", 0)] {
            let number = topics.topic(0, name);
            if head > 0 {
                topics.reached(number, head);
            }
        }
        topics.set_goals();
        let mut heads: Vec<u64> = topics.owed(set).map(|owed| owed.3).collect();
        heads.sort_unstable();
        assert_eq!(heads, [2, 3, 6]);
    }
}
