//! What a connection is told when it is moved past frames it did not get: per topic one gap notice and, for a
//! state topic, the newest value. Produced in pieces of at most 16 KiB as the socket takes them, never queued
//! whole: an entry is a few numbers and a reference to the segment that holds the newest value.

use crate::encode::frame;
use crate::event::{Topic, Topics};
use crate::log::Segment;
use crate::session::{self, GapAction, GapReason};
use crate::sync::Arc;
use std::collections::HashMap;

/// Most bytes produced at once, unless a single topic's gap and newest value are more.
const PIECE_BYTES_MAX: usize = 16 * 1024;

/// One topic's gap.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) topic: u16,
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) reason: GapReason,
    /// Segment and record of the newest value, as far as the log still has it.
    pub(super) newest: Option<(Arc<Segment>, u32)>,
}

/// The list for one connection.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    list: Vec<Piece>,
    next: usize,
    by_topic: HashMap<u16, usize>,
    /// Last values of all legacy topics, before everything else.
    values: Vec<u8>,
}

impl Pieces {
    /// A list that begins with the last value of every legacy topic, as whole frames.
    pub(super) fn refreshed(values: &[u8]) -> Self {
        Self { values: values.to_vec(), ..Self::default() }
    }

    /// Adds a gap; one that is still unsent for the same topic is extended.
    pub(super) fn add(&mut self, piece: Piece) {
        let place = self.by_topic.entry(piece.topic).or_insert(self.list.len());
        if *place >= self.next
            && let Some(known) = self.list.get_mut(*place)
        {
            known.to = piece.to;
            known.newest = piece.newest;
        } else {
            *place = self.list.len();
            self.list.push(piece);
        }
    }

    /// Whether nothing is left.
    pub(super) fn is_done(&self) -> bool {
        self.next == self.list.len() && self.values.is_empty()
    }

    /// Appends the next frames to `out`. A legacy client gets newest values alone.
    pub(super) fn produce(&mut self, topics: &Topics, is_v1: bool, now_us: u64, out: &mut Vec<u8>) {
        out.append(&mut self.values);
        let start = out.len();
        while let Some(piece) = self.list.get_mut(self.next) {
            let before = out.len();
            piece.write(topics, is_v1, now_us, out);
            if before > start && out.len() - start > PIECE_BYTES_MAX {
                out.truncate(before);
                return;
            }
            piece.newest = None;
            self.next += 1;
        }
    }
}

impl Piece {
    fn write(&self, topics: &Topics, is_v1: bool, now_us: u64, out: &mut Vec<u8>) {
        let newest = self.newest.as_ref().map(|(segment, record)| segment.frame(*record));
        if !is_v1 {
            return out.extend_from_slice(&newest.unwrap_or_default());
        }
        let info = topics.info(Topic::from_index(self.topic));
        // A state topic whose newest value is out of the log's reach is treated like an event topic.
        let action = if newest.is_some() { GapAction::of(info.class) } else { GapAction::Resume };
        session::gap(&info.name, self.from, self.to, self.reason, action, now_us, out);
        if let Some(frame) = newest.filter(|_| action == GapAction::Snapshot) {
            session::snapshot_frame(frame::payload(&frame), out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{Entry, Options, log};

    /// A list of gaps whose newest frames have these lengths.
    fn pieces(lengths: &[usize]) -> Pieces {
        let (mut writer, log) = log(Options::default());
        let mut reader = log.reader();
        let mut pieces = Pieces::default();
        for (topic, &length) in (0..).zip(lengths) {
            let index = writer.append(Entry { topic, ..Entry::default() }, &vec![b'x'; length]);
            writer.commit();
            reader.advance();
            let segment = reader.segment(index).expect("the newest segment").clone();
            let record = u32::try_from(index - segment.base()).expect("a short log");
            let newest = Some((segment, record));
            pieces.add(Piece { topic, from: 1, to: 1, reason: GapReason::Slow, newest });
        }
        pieces
    }

    /// Lengths of the portions in which a legacy client gets it all.
    fn portions(mut pieces: Pieces) -> Vec<usize> {
        let mut portions = Vec::new();
        while !pieces.is_done() {
            let mut out = b"what was there before".to_vec();
            let before = out.len();
            pieces.produce(&Topics::new(), false, 0, &mut out);
            portions.push(out.len() - before);
        }
        portions
    }

    #[test]
    fn a_portion_takes_frames_up_to_its_limit_and_a_longer_frame_alone() {
        const HALF: usize = PIECE_BYTES_MAX / 2;
        for (lengths, expected) in [
            (&[HALF, HALF - 1][..], &[PIECE_BYTES_MAX - 1][..]),
            (&[HALF, HALF], &[PIECE_BYTES_MAX]),
            (&[HALF, HALF + 1], &[HALF, HALF + 1]),
            (&[PIECE_BYTES_MAX, 1], &[PIECE_BYTES_MAX, 1]),
            (&[PIECE_BYTES_MAX + 1, 1], &[PIECE_BYTES_MAX + 1, 1]),
            (&[1, PIECE_BYTES_MAX + 1], &[1, PIECE_BYTES_MAX + 1]),
        ] {
            assert_eq!(portions(pieces(lengths)), expected, "{lengths:?}");
        }
    }

    #[test]
    fn portions_of_gap_notices_are_full_and_give_the_same_bytes_as_one_by_one() {
        let topics = Topics::new();
        let (mut all, mut singly, mut lengths) = (Pieces::default(), Vec::new(), Vec::new());
        for topic in 0..1_000u16 {
            topics.register(&format!("desk:note:{topic}"), None).expect("a valid name");
            let gap = || Piece { topic, from: 1, to: 9, reason: GapReason::Slow, newest: None };
            all.add(gap());
            let before = singly.len();
            gap().write(&topics, true, 5, &mut singly);
            lengths.push(singly.len() - before);
        }
        let (mut out, mut told) = (Vec::new(), 0);
        while !all.is_done() {
            let before = out.len();
            all.produce(&topics, true, 5, &mut out);
            let portion: usize = lengths[told..all.next].iter().sum();
            assert_eq!(out.len() - before, portion);
            assert!(portion <= PIECE_BYTES_MAX, "{portion} bytes at once");
            let next = lengths.get(all.next).copied().unwrap_or(PIECE_BYTES_MAX);
            assert!(portion + next > PIECE_BYTES_MAX, "{portion} bytes, and {next} would fit");
            told = all.next;
        }
        assert_eq!(out, singly);
    }

    #[test]
    fn a_gap_of_a_topic_that_is_still_unsent_is_extended_and_a_sent_one_is_not() {
        let gap = |from, to| Piece { topic: 0, from, to, reason: GapReason::Slow, newest: None };
        let topics = Topics::new();
        topics.register("desk:note", None).expect("a valid name");
        let mut pieces = Pieces::default();
        pieces.add(gap(1, 2));
        pieces.add(gap(3, 4));
        assert_eq!(pieces.list.iter().map(|gap| (gap.from, gap.to)).collect::<Vec<_>>(), [(1, 4)]);
        pieces.produce(&topics, true, 0, &mut Vec::new());
        pieces.add(gap(5, 6));
        assert!(!pieces.is_done());
        assert_eq!((pieces.list[1].from, pieces.list[1].to), (5, 6));
    }
}
