//! Reading: one consumer's window on the log.
//!
//! For: a shard, or any other consumer, on its own thread. `advance` without news and `is_behind`
//! cost one load; following into the next segment costs one lock of a slot, held by nobody for
//! longer than a pointer clone.
//!
//! Never: drops a segment by itself, copies a byte, or holds up the writer.
//!
//! Invariants: F5 of the module; the window is never empty; `head` lies in its last segment or
//! directly behind it. Indices in the window ascend without a hole, but for the frames missed in a
//! lap.

use std::collections::VecDeque;
use std::ops::Range;

use crate::sync::Arc;

use super::directory::Directory;
use super::segment::{Segment, State};

/// What [`Reader::advance`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advance {
    /// Indices of the newly visible frames; all of them are in the window.
    pub fresh: Range<u64>,
    /// Frames directly before `fresh` that the reader missed because it was away for more than the
    /// whole log.
    pub lapped: Option<Range<u64>>,
}

/// A segment in the window and the indices it stands for; they are here so that a search stays
/// within the window's own memory.
#[derive(Debug)]
struct Held {
    base: u64,
    /// Behind the last index; of the newest segment it is not yet known, see [`Reader::head`].
    end: u64,
    segment: Arc<Segment>,
}

/// One reader's view: a window of segments it holds, up to the newest frame it has seen.
///
/// The window grows with every segment that [`advance`](Self::advance) enters and shrinks by
/// [`release_before`](Self::release_before) alone: a reader that advances without releasing holds
/// ever more memory. [`surplus`](Self::surplus) says when and how far to release.
#[derive(Debug)]
pub struct Reader {
    directory: Arc<Directory>,
    window: VecDeque<Held>,
    /// What was last seen of the newest segment in the window.
    seen: State,
    head: u64,
}

impl Reader {
    /// A reader that starts behind the last committed frame.
    pub(super) fn join(directory: Arc<Directory>) -> Self {
        let mut reader = Self::join_from_oldest(directory);
        reader.release_before(reader.head);
        reader
    }

    /// The same, with everything that is kept in its window.
    pub(super) fn join_from_oldest(directory: Arc<Directory>) -> Self {
        let window = VecDeque::with_capacity(directory.slots() + 2);
        let mut reader = Self { directory, window, seen: State::open(0), head: 0 };
        reader.rejoin(0);
        reader.catch_up();
        reader
    }

    /// Takes notice of newly committed frames.
    ///
    /// When the writer has gone once around the directory since the last call, the window goes on
    /// with the oldest kept segment and `lapped` names the frames in between, for which
    /// [`segment`](Self::segment) finds nothing. What was in the window before stays there until it
    /// is released, so that whoever stood in it can be told exactly what is missing.
    #[inline]
    pub fn advance(&mut self) -> Advance {
        if self.newest().observe() == self.seen {
            return Advance { fresh: self.head..self.head, lapped: None };
        }
        self.catch_up()
    }

    /// Whether `advance` would find something. One Relaxed load: exact behind a `SeqCst` fence,
    /// else a hint.
    ///
    /// It is also true when the writer has only gone on to a new segment; `advance` then finds no
    /// frame.
    #[inline]
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.newest().glimpse() != self.seen
    }

    /// The index behind the newest frame seen.
    #[inline]
    #[must_use]
    pub fn head(&self) -> u64 {
        self.head
    }

    /// Cumulative bytes of the log up to `head`.
    #[inline]
    #[must_use]
    pub fn head_bytes(&self) -> u64 {
        let newest = self.newest();
        newest.base_bytes() + u64::from(newest.bytes_in(self.seen))
    }

    /// The oldest index in the window; equal to `head` when the window holds no frame.
    #[inline]
    #[must_use]
    pub fn oldest(&self) -> u64 {
        self.window[0].base
    }

    /// The segment that holds `index`, if `oldest <= index < head` and it was not missed in a lap.
    ///
    /// Compares with the newest segment first, then searches the window: at most seven steps for 64
    /// segments.
    #[inline]
    #[must_use]
    pub fn segment(&self, index: u64) -> Option<&Arc<Segment>> {
        if index >= self.head {
            return None;
        }
        let newest = self.window.back()?;
        if index >= newest.base {
            return Some(&newest.segment);
        }
        let behind = self.window.partition_point(|held| held.base <= index);
        let held = &self.window[behind.checked_sub(1)?];
        (index < held.end).then_some(&held.segment)
    }

    /// When the window is longer than the log keeps: the index up to which it should be released.
    ///
    /// Until then the window costs nothing, because the log keeps the same segments.
    #[inline]
    #[must_use]
    pub fn surplus(&self) -> Option<u64> {
        let excess = self.window.len().checked_sub(self.directory.slots())?;
        (excess > 0).then(|| self.window[excess].base)
    }

    /// Drops the segments that lie wholly below `index`, but never the newest.
    pub fn release_before(&mut self, index: u64) {
        while self.window.len() > 1 && self.window[0].end <= index {
            self.window.pop_front();
        }
    }

    #[inline]
    fn newest(&self) -> &Segment {
        &self.window[self.window.len() - 1].segment
    }

    fn catch_up(&mut self) -> Advance {
        let expected = self.head;
        let mut start = self.head;
        loop {
            self.see();
            let Some(slot) = self.seen.successor() else { break };
            match self.directory.find(slot, self.newest().id() + 1) {
                Some(next) => self.hold(next),
                None => start = self.rejoin(expected),
            }
        }
        let lapped = (start > expected).then_some(expected..start);
        Advance { fresh: start..self.head, lapped }
    }

    /// Takes notice of what the newest segment in the window now says.
    fn see(&mut self) {
        self.seen = self.newest().observe();
        self.head = self.newest().base() + u64::from(self.seen.records());
    }

    /// Goes on, behind what was in the window up to `expected`, with all that the log keeps;
    /// returns the first index of that.
    fn rejoin(&mut self, expected: u64) -> u64 {
        while self.window.back().is_some_and(|held| held.base >= expected) {
            self.window.pop_back();
        }
        if let Some(held) = self.window.back_mut() {
            held.end = held.end.min(expected);
        }
        let known = self.window.len();
        for segment in self.directory.run() {
            self.hold(segment);
        }
        self.window[known].base
    }

    /// Goes on with the next segment.
    fn hold(&mut self, segment: Arc<Segment>) {
        let base = segment.base();
        if let Some(newest) = self.window.back_mut() {
            newest.end = newest.end.min(base);
        }
        self.window.push_back(Held { base, end: u64::MAX, segment });
    }
}
