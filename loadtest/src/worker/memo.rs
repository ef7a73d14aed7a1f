//! Messages that were read before: a broadcast sends the same bytes to many, and bytes that are equal mean the same.
//!
//! Recent events are kept by their position in the stream, each with the position that followed it at some client. A
//! client at position p compares what arrives with the event that followed p elsewhere: when the bytes are equal it
//! takes over what they meant, checksum included, for the price of the comparison (some 10 ns for 200 bytes, a third of
//! reading them). When they are not, they are read in full: a client with other topics pays, and no verdict changes.

use crate::proof::{StreamId, TopicId};
use crate::wire::stamps::Stamps;

/// Events that are kept, a power of two.
const SLOTS: usize = 1_024;
/// Longer messages are not kept.
const TEXT_BYTES_MAX: usize = 4_096;

/// What an event's bytes mean.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) topic: TopicId,
    pub(crate) seq: u64,
    /// Its place in the stream; 0: unknown, never kept.
    pub(crate) pos: u64,
    /// When it was published, microseconds, as the envelope says; 0: it does not.
    pub(crate) us: u64,
    pub(crate) stamps: Stamps,
    /// Its checksum is wrong.
    pub(crate) is_corrupt: bool,
}

#[derive(Debug, Clone, Default)]
struct Slot {
    known: Known,
    stream: StreamId,
    /// The position that followed at some client.
    next: u64,
    text: Vec<u8>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Memo(Vec<Slot>);

impl Default for Memo {
    fn default() -> Self {
        Self(vec![Slot::default(); SLOTS])
    }
}

impl Memo {
    /// What the text means, if it is the event that followed `pos` before.
    #[inline]
    pub(crate) fn after(&self, stream: StreamId, pos: u64, text: &[u8]) -> Option<Known> {
        let before = self.slot(stream, pos)?;
        let slot = self.slot(stream, before.next)?;
        (slot.text == text).then_some(slot.known)
    }

    /// Keeps what the text means: the event that follows `pos`.
    pub(crate) fn learn(&mut self, stream: StreamId, pos: u64, known: Known, text: &[u8]) {
        if known.pos == 0 || text.len() > TEXT_BYTES_MAX {
            return;
        }
        let before = &mut self.0[at(pos)];
        if before.known.pos == pos && before.stream == stream {
            before.next = known.pos;
        }
        let slot = &mut self.0[at(known.pos)];
        if slot.known.pos != known.pos || slot.stream != stream {
            slot.next = known.pos + 1;
        }
        (slot.known, slot.stream) = (known, stream);
        slot.text.clear();
        slot.text.extend_from_slice(text);
    }

    #[inline]
    fn slot(&self, stream: StreamId, pos: u64) -> Option<&Slot> {
        let slot = &self.0[at(pos)];
        (slot.known.pos == pos && slot.stream == stream && pos > 0).then_some(slot)
    }
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "cut to the number of slots")]
fn at(pos: u64) -> usize {
    pos as usize & (SLOTS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(pos: u64) -> Known {
        Known { pos, seq: pos * 10, ..Known::default() }
    }

    #[test]
    fn the_same_bytes_after_the_same_event_are_known_and_nothing_else() {
        let mut memo = Memo::default();
        memo.learn(0, 4, known(5), b"five");
        memo.learn(0, 5, known(8), b"eight");
        assert_eq!(memo.after(0, 5, b"eight"), Some(known(8)));
        assert_eq!(memo.after(0, 5, b"eighT"), None);
        assert_eq!(memo.after(0, 5, b"eight and more"), None);
        assert_eq!(memo.after(1, 5, b"eight"), None, "another stream");
        assert_eq!(memo.after(0, 4, b"five"), None, "what came before is unknown");
        assert_eq!(memo.after(0, 0, b"eight"), None);
    }

    #[test]
    fn a_position_a_whole_round_later_takes_the_place() {
        let mut memo = Memo::default();
        memo.learn(0, 0, known(5), b"five");
        memo.learn(0, 5, known(6), b"six");
        memo.learn(0, 5, known(6 + SLOTS as u64), b"later");
        assert_eq!(memo.after(0, 5, b"six"), None);
        assert_eq!(memo.after(0, 5, b"later"), Some(known(6 + SLOTS as u64)));
    }

    #[test]
    fn only_messages_up_to_the_limit_are_kept() {
        for length in [TEXT_BYTES_MAX - 1, TEXT_BYTES_MAX, TEXT_BYTES_MAX + 1] {
            let (mut memo, text) = (Memo::default(), vec![b'x'; length]);
            memo.learn(0, 0, known(1), b"one");
            memo.learn(0, 1, known(2), &text);
            assert_eq!(memo.after(0, 1, &text).is_some(), length <= TEXT_BYTES_MAX, "{length}");
        }
    }
}
