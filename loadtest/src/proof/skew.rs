//! Who had an event first and who last: of some events, the time at the earliest and at the latest client.
//!
//! One event in `every` is followed, chosen by its seq alone, so that several processes follow the same ones. An event
//! that is not followed costs a multiplication.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use super::topics::{TopicId, Topics};
use crate::measure::{SKEW_SAMPLES_MAX, SkewSample};

/// Follows some events.
#[derive(Debug)]
pub struct SkewSampler {
    every: u64,
    samples: FxHashMap<(TopicId, u64), SkewSample>,
}

impl SkewSampler {
    /// Follows one event in `every` (at least 1), up to [`SKEW_SAMPLES_MAX`].
    #[must_use]
    pub fn new(every: u64) -> Self {
        Self { every: every.max(1), samples: FxHashMap::default() }
    }

    /// A client had an event.
    pub fn arrived(&mut self, topic: TopicId, seq: u64, now_us: u64) {
        // Multiplied, so that topics with the same stride of seqs are not all chosen or all left out.
        let mixed = seq.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        if !mixed.is_multiple_of(self.every) {
            return;
        }
        let is_full = self.samples.len() >= SKEW_SAMPLES_MAX;
        match self.samples.get_mut(&(topic, seq)) {
            Some(sample) => {
                sample.first_us = sample.first_us.min(now_us);
                sample.last_us = sample.last_us.max(now_us);
                sample.clients += 1;
            }
            None if is_full => {}
            None => {
                let sample = SkewSample { first_us: now_us, last_us: now_us, clients: 1 };
                self.samples.insert((topic, seq), sample);
            }
        }
    }

    /// What was followed, by `epoch/topic#seq`.
    #[must_use]
    pub fn named(&self, topics: &Topics) -> BTreeMap<String, SkewSample> {
        let name = |(topic, seq): &(TopicId, u64)| {
            format!("{}/{}#{seq}", topics.epoch_of(*topic), topics.name(*topic))
        };
        self.samples.iter().map(|(event, sample)| (name(event), *sample)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_and_the_last_arrival_of_an_event_are_kept() {
        let mut topics = Topics::default();
        let topic = topics.topic(0, "t");
        let mut skew = SkewSampler::new(1);
        for now_us in [50, 40, 70] {
            skew.arrived(topic, 3, now_us);
        }
        let sample = SkewSample { first_us: 40, last_us: 70, clients: 3 };
        assert_eq!(skew.named(&topics), BTreeMap::from([("/t#3".to_owned(), sample)]));
    }

    #[test]
    fn one_event_in_so_many_is_followed_up_to_the_limit() {
        let topics = {
            let mut topics = Topics::default();
            topics.topic(0, "t");
            topics
        };
        let followed = |every, events: u64| {
            let mut skew = SkewSampler::new(every);
            (1..=events).for_each(|seq| skew.arrived(0, seq, 1));
            skew.named(&topics).len()
        };
        let about = followed(16, 16_000);
        assert!((900..1_100).contains(&about), "{about}");
        for events in [SKEW_SAMPLES_MAX - 1, SKEW_SAMPLES_MAX, SKEW_SAMPLES_MAX + 1] {
            assert_eq!(followed(1, events as u64), events.min(SKEW_SAMPLES_MAX));
        }
    }
}
