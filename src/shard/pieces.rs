//! Lists for one connection: the last value of many topics, and what it is told when it is moved past frames it did
//! not get, per topic one gap notice and, for a state topic, the newest value. Produced in pieces of at most 16 KiB as
//! the socket takes them, never queued whole: an entry is a few numbers and a reference to where the value stands.

use crate::encode::frame;
use crate::event::{Topic, Topics};
use crate::log::Segment;
use crate::session::{self, GapAction, GapReason};
use crate::snapshot::Block;
use crate::sync::Arc;
use std::collections::HashMap;

/// Most bytes produced at once, unless a single topic's gap and newest value are more.
pub(crate) const PIECE_BYTES_MAX: usize = 16 * 1024;

/// Where a value stands; it stays there as long as this is held.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// A record of a segment, by its place in it.
    Segment(Arc<Segment>, u32),
    /// The value of this topic in a block.
    Block(Arc<Block>, u16),
}

impl Source {
    /// The value's frame.
    pub(crate) fn frame(&self) -> &[u8] {
        match self {
            Self::Segment(segment, record) => {
                segment.bytes(segment.records()[*record as usize].range())
            }
            Self::Block(block, topic) => block.value(*topic).map_or(&[], |value| value.frame),
        }
    }
}

/// Events that will not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gap {
    /// First seq.
    pub(crate) from: u64,
    /// Last seq.
    pub(crate) to: u64,
    pub(crate) reason: GapReason,
}

/// What is said about one topic.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) topic: u16,
    pub(crate) gap: Option<Gap>,
    /// The value that follows.
    pub(crate) newest: Option<Source>,
}

/// The list for one connection.
#[derive(Debug, Default)]
pub(crate) struct Pieces {
    list: Vec<Piece>,
    next: usize,
    by_topic: HashMap<u16, usize>,
    /// Last values of all legacy topics, before everything else.
    values: Vec<u8>,
}

impl Pieces {
    /// A list that begins with the last value of every legacy topic, as whole frames.
    pub(crate) fn refreshed(values: Vec<u8>) -> Self {
        Self { values, ..Self::default() }
    }

    /// Adds what is to be said about a topic. Where something is still unsent about it, that is brought up to date:
    /// the gap is extended, the value replaced.
    pub(crate) fn add(&mut self, piece: Piece) {
        let place = self.by_topic.entry(piece.topic).or_insert(self.list.len());
        let known = self.list.get_mut(*place).filter(|_| *place >= self.next);
        // A restart says nothing of seqs: what is lost after it is another gap, unless a value makes it good.
        let is_separate = |known: &Piece| {
            known.gap.is_some_and(|gap| gap.reason == GapReason::Restart) && piece.newest.is_none()
        };
        match known {
            Some(known) if !is_separate(known) => {
                known.gap = match (known.gap, piece.gap) {
                    (Some(gap), _) if gap.reason == GapReason::Restart => Some(gap),
                    (Some(gap), Some(later)) => Some(Gap { to: later.to, ..gap }),
                    (earlier, later) => later.or(earlier),
                };
                known.newest = piece.newest;
            }
            _ => {
                *place = self.list.len();
                self.list.push(piece);
            }
        }
    }

    /// Gap notices in the list.
    pub(crate) fn gaps(&self) -> usize {
        self.list.iter().filter(|piece| piece.gap.is_some()).count()
    }

    /// Values in the list.
    pub(crate) fn values(&self) -> usize {
        self.list.iter().filter(|piece| piece.newest.is_some()).count()
    }

    /// Whether nothing is left.
    pub(crate) fn is_done(&self) -> bool {
        self.next == self.list.len() && self.values.is_empty()
    }

    /// Appends the next frames to `out`. A legacy client gets newest values alone.
    pub(crate) fn produce(&mut self, topics: &Topics, is_v1: bool, now_us: u64, out: &mut Vec<u8>) {
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
        let newest = self.newest.as_ref().map(Source::frame);
        if !is_v1 {
            return out.extend_from_slice(newest.unwrap_or_default());
        }
        if let Some(Gap { from, to, reason }) = self.gap {
            let name = &topics.info(Topic::from_index(self.topic)).name;
            let action = if newest.is_some() { GapAction::Snapshot } else { GapAction::Resume };
            session::gap(name, from, to, reason, action, now_us, out);
        }
        if let Some(newest) = newest {
            session::snapshot_frame(frame::payload(newest), out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{Entry, Options, log};

    fn slow(from: u64, to: u64) -> Option<Gap> {
        Some(Gap { from, to, reason: GapReason::Slow })
    }

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
            let newest = Some(Source::Segment(segment, record));
            pieces.add(Piece { topic, gap: slow(1, 1), newest });
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
            let gap = || Piece { topic, gap: slow(1, 9), newest: None };
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
        let gap = |from, to| Piece { topic: 0, gap: slow(from, to), newest: None };
        let topics = Topics::new();
        topics.register("desk:note", None).expect("a valid name");
        let mut pieces = Pieces::default();
        pieces.add(gap(1, 2));
        pieces.add(gap(3, 4));
        assert_eq!(pieces.list.iter().map(|piece| piece.gap).collect::<Vec<_>>(), [slow(1, 4)]);
        pieces.produce(&topics, true, 0, &mut Vec::new());
        pieces.add(gap(5, 6));
        assert!(!pieces.is_done());
        assert_eq!(pieces.list[1].gap, slow(5, 6));
    }
}
