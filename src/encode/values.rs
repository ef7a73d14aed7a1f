//! The last legacy frame of every topic, for clients that connect between two events.
//!
//! Owned by the encoder role and so never shared: a shard reads it in the same step in which it places the new
//! connection's cursor, so that the client sees the value at that position and then everything after it.

use crate::event::Topic;
use crate::log::Entry;

/// A place in a lane's log: behind the newest frame, or that of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogEnd {
    /// Index of a record.
    pub index: u64,
    /// Number of the segment in which it stands, or will.
    pub segment: u64,
}

/// Who keeps the last value of every state topic of a lane. Called by the lane's writer.
pub trait ValueSink: std::fmt::Debug + Send {
    /// Takes the frame just appended at `at`.
    fn keep(&mut self, entry: &Entry, at: LogEnd, frame: &[u8]);

    /// What was kept so far is committed to the log, which ends at `end`.
    fn commit(&mut self, end: LogEnd);
}

/// Last frames by topic; grows with the number of topics that have a legacy form.
#[derive(Debug, Default, Clone)]
pub struct LastValues {
    /// In order of first appearance.
    topics: Vec<Topic>,
    /// In the same order.
    frames: Vec<Vec<u8>>,
    /// By topic index: the place in `frames`.
    places: Vec<Option<u32>>,
}

impl LastValues {
    /// Keeps `frame` as the newest of `topic`; allocates only for a topic's first or a longer frame.
    pub(super) fn keep(&mut self, topic: Topic, frame: &[u8]) {
        let index = usize::from(topic.index());
        if self.places.len() <= index {
            self.places.resize(index + 1, None);
        }
        if let Some(place) = self.places[index] {
            let kept = &mut self.frames[place as usize];
            kept.clear();
            kept.extend_from_slice(frame);
        } else {
            self.places[index] = u32::try_from(self.frames.len()).ok();
            self.topics.push(topic);
            self.frames.push(frame.to_vec());
        }
    }

    /// Calls `each` with every topic's last frame, in order of first appearance.
    pub fn for_each(&self, mut each: impl FnMut(Topic, &[u8])) {
        for (topic, frame) in self.topics.iter().zip(&self.frames) {
            each(*topic, frame);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_frame_of_each_topic_is_kept_in_order_of_appearance() {
        let mut values = LastValues::default();
        values.keep(Topic::from_index(4), b"a1");
        values.keep(Topic::from_index(2), b"b1");
        values.keep(Topic::from_index(4), b"a2-longer");
        let mut out = Vec::new();
        values.for_each(|topic, frame| out.push((topic.index(), frame.to_vec())));
        assert_eq!(out, [(4, b"a2-longer".to_vec()), (2, b"b1".to_vec())]);
    }
}
