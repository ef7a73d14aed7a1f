//! The last legacy frame of every topic, for clients that connect between two events.
//!
//! Owned by the encoder role and so never shared: a shard reads it in the same step in which it places the new
//! connection's cursor, so that the client sees the value at that position and then everything after it.

use crate::event::Topic;

/// Last frames by topic; grows with the number of topics that have a legacy form.
#[derive(Debug, Default)]
pub struct LastValues {
    /// In order of first appearance.
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
            self.frames.push(frame.to_vec());
        }
    }

    /// Appends every topic's last frame, in order of first appearance.
    pub fn write_all(&self, out: &mut Vec<u8>) {
        for frame in &self.frames {
            out.extend_from_slice(frame);
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
        values.write_all(&mut out);
        assert_eq!(out, b"a2-longerb1");
    }
}
