//! A piece of the log: records and the bytes they name.
//!
//! For: holding frames so that a committed one can be read as a plain slice by any thread, without
//! a copy and without a lock, while the writer appends behind it.
//!
//! Never: grows, moves, or changes a committed byte. Knows nothing of other segments but the slot
//! of its successor.
//!
//! Invariants: F1 and F4 of the module. Why the slices are sound: a slice covers committed places
//! only, the writer writes to places at or above the committed count only, and both go through
//! `UnsafeCell`s of their own, so that no reference to a written place exists. A slice borrows the
//! segment, hence an `Arc` of it lives, hence `Arc::get_mut` refuses the writer the exclusive
//! access that starting anew takes.
//!
//! Called by the writer's thread and by every reader's; each call costs a few nanoseconds and never
//! blocks.

use std::cell::UnsafeCell;
use std::fmt;
use std::ops::Range;
use std::slice;

#[cfg(not(lineage_loom))]
use bytes::Bytes;

#[cfg(not(lineage_loom))]
use crate::sync::Arc;
use crate::sync::{AtomicU64, CachePadded, Ordering, weakened};

/// A frame's place in its segment and what is known of it beside its bytes: 32 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub struct Record {
    /// First byte in the segment.
    pub offset: u32,
    /// Bytes, WebSocket header included.
    pub length: u32,
    /// Place within the topic.
    pub seq: u64,
    /// Publish time, microseconds since the Unix epoch.
    pub time_us: u64,
    /// Interned topic.
    pub topic: u16,
    /// Free for the encoder.
    pub flags: u16,
    /// Key within the topic (0: none).
    pub key: u32,
}

const _: () = assert!(size_of::<Record>() == 32, "two records fill a cache line");

impl Record {
    /// The frame's bytes in its segment, for [`Segment::bytes`].
    #[inline]
    #[must_use]
    pub const fn range(&self) -> Range<u32> {
        self.offset..self.end()
    }

    /// The byte behind the frame.
    #[inline]
    pub(super) const fn end(&self) -> u32 {
        self.offset + self.length
    }
}

/// What a segment's word says: records committed (low half) and, once sealed, the successor's slot
/// plus one (high).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct State(u64);

impl State {
    /// `records` are committed and more may follow.
    pub(super) const fn open(records: u32) -> Self {
        Self(records as u64)
    }

    /// `records` are all there will be; the successor stands in `slot` of the directory.
    pub(super) const fn sealed(records: u32, slot: u32) -> Self {
        Self((slot as u64 + 1) << 32 | records as u64)
    }

    /// Records committed.
    #[expect(clippy::cast_possible_truncation, reason = "the low half is the value")]
    pub(super) const fn records(self) -> u32 {
        self.0 as u32
    }

    /// The slot of the successor, if the segment is sealed.
    #[expect(clippy::cast_possible_truncation, reason = "the high half has 32 bits")]
    pub(super) const fn successor(self) -> Option<usize> {
        match self.0 >> 32 {
            0 => None,
            slot => Some(slot as usize - 1),
        }
    }
}

/// A piece of the log; its committed part never changes while anybody holds the `Arc`.
pub struct Segment {
    /// Written once per commit by the writer, polled by all readers: on a line of its own.
    state: CachePadded<AtomicU64>,
    id: u64,
    base: u64,
    base_bytes: u64,
    records: Box<[UnsafeCell<Record>]>,
    bytes: Box<[UnsafeCell<u8>]>,
    /// One cell per record that tells the model checker of every access to the record and its
    /// bytes.
    #[cfg(lineage_loom)]
    watched: Box<[crate::sync::UnsafeCell<()>]>,
}

// SAFETY: places at or above the committed count are touched by the one writer only (F2, the
// contract of `write`), places below it are only read (F1), and the count is passed on with Release
// and Acquire. `reset` has `&mut self`.
unsafe impl Sync for Segment {}

impl Segment {
    /// An empty segment with id 0 and base 0; its memory is zero pages until it is written.
    pub(super) fn new(records: usize, bytes: usize) -> Self {
        let zeroed_records = Box::<[UnsafeCell<Record>]>::new_zeroed_slice(records);
        let zeroed_bytes = Box::<[UnsafeCell<u8>]>::new_zeroed_slice(bytes);
        Self {
            state: CachePadded::new(AtomicU64::new(State::open(0).0)),
            id: 0,
            base: 0,
            base_bytes: 0,
            // SAFETY: zero is a valid value of every field of a record.
            records: unsafe { zeroed_records.assume_init() },
            // SAFETY: zero is a valid byte.
            bytes: unsafe { zeroed_bytes.assume_init() },
            #[cfg(lineage_loom)]
            watched: (0..records).map(|_| crate::sync::UnsafeCell::new(())).collect(),
        }
    }

    /// Starts anew; nobody else holds the segment.
    pub(super) fn reset(&mut self, id: u64, base: u64, base_bytes: u64) {
        // Relaxed: exclusive here, and readers get the segment through the lock of a slot.
        self.state.store(State::open(0).0, Ordering::Relaxed);
        self.id = id;
        self.base = base;
        self.base_bytes = base_bytes;
    }

    /// Number of the segment: 0, 1, 2 …
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// Records and bytes that fit.
    pub(super) fn capacity(&self) -> (usize, usize) {
        (self.records.len(), self.bytes.len())
    }

    /// Index of the first record.
    #[inline]
    #[must_use]
    pub fn base(&self) -> u64 {
        self.base
    }

    /// Log bytes before this segment.
    #[inline]
    #[must_use]
    pub fn base_bytes(&self) -> u64 {
        self.base_bytes
    }

    /// The committed records: `records()[0]` has index [`base`](Self::base). One Acquire load.
    #[inline]
    #[must_use]
    pub fn records(&self) -> &[Record] {
        self.records_in(self.observe())
    }

    /// Committed bytes of one frame or of several that follow each other, for example
    /// [`Record::range`].
    ///
    /// # Panics
    /// When the range is not committed.
    #[inline]
    #[must_use]
    pub fn bytes(&self, range: Range<u32>) -> &[u8] {
        let committed = self.bytes_in(self.observe());
        assert!(
            range.start <= range.end && range.end <= committed,
            "bytes {range:?} of a segment with {committed} committed ones"
        );
        let cells = &self.bytes[range.start as usize..range.end as usize];
        // SAFETY: `UnsafeCell<u8>` has the layout of `u8`; the places are committed, so they are
        // initialised and not written while `self` is borrowed (F1).
        unsafe { slice::from_raw_parts(cells.as_ptr().cast(), cells.len()) }
    }

    /// One frame as `Bytes` over the segment's own memory, header included.
    ///
    /// Allocates the small owner that keeps the segment; the segment is not recycled before the
    /// last `Bytes` is gone.
    ///
    /// # Panics
    /// When there is no committed record of that number.
    #[cfg(not(lineage_loom))] // Not with the checker's `Arc`, which cannot be a receiver.
    #[must_use]
    pub fn frame(self: &Arc<Self>, record: u32) -> Bytes {
        let range = self.records()[record as usize].range();
        Bytes::from_owner(Frame { segment: self.clone(), range })
    }

    /// What the writer has published, and with it the records and bytes below the count.
    #[inline]
    pub(super) fn observe(&self) -> State {
        // Acquire: pairs with the Release in `publish`.
        State(self.state.load(weakened("log-observe-relaxed", Ordering::Acquire)))
    }

    /// What the writer has published, for comparison only.
    #[inline]
    pub(super) fn glimpse(&self) -> State {
        // Relaxed: nothing is read on the strength of it; who must not miss a commit puts a fence
        // before.
        State(self.state.load(Ordering::Relaxed))
    }

    /// Makes records visible, and the end of the segment when `state` is sealed. The writer's only.
    #[inline]
    pub(super) fn publish(&self, state: State) {
        // Release: pairs with the Acquire in `observe`; the records below the count and their bytes
        // were written.
        self.state.store(state.0, weakened("log-commit-relaxed", Ordering::Release));
    }

    /// Writes a frame and its record.
    ///
    /// # Safety
    /// The caller is the one writer, and neither the place nor the bytes from `record.offset` on
    /// are committed.
    ///
    /// # Panics
    /// When place or bytes do not fit.
    #[inline]
    pub(super) unsafe fn write(&self, place: u32, record: Record, frame: &[u8]) {
        let place = place as usize;
        let offset = record.offset as usize;
        let cells = &self.bytes[offset..offset + frame.len()];
        self.watch_write(place);
        let start = UnsafeCell::raw_get(cells.as_ptr()).cast::<u8>();
        // SAFETY: the cells are as many as the frame has bytes, the frame is not part of the
        // segment's unwritten places, and by the contract nobody else touches these.
        unsafe { start.copy_from_nonoverlapping(frame.as_ptr(), frame.len()) };
        // SAFETY: as above; the index is checked.
        unsafe { self.records[place].get().write(record) };
    }

    /// The records that `state` counts; `state` was observed on this segment since its start.
    #[inline]
    pub(super) fn records_in(&self, state: State) -> &[Record] {
        let cells = &self.records[..state.records() as usize];
        self.watch_read(cells.len());
        // SAFETY: `UnsafeCell<Record>` has the layout of `Record`; the places are committed, so
        // they are not written while `self` is borrowed (F1).
        unsafe { slice::from_raw_parts(cells.as_ptr().cast(), cells.len()) }
    }

    /// The bytes that `state` counts.
    #[inline]
    pub(super) fn bytes_in(&self, state: State) -> u32 {
        self.records_in(state).last().map_or(0, Record::end)
    }

    #[cfg(not(lineage_loom))]
    #[inline(always)]
    #[expect(clippy::unused_self, reason = "the model checker's version uses it")]
    fn watch_read(&self, _records: usize) {}

    #[cfg(not(lineage_loom))]
    #[inline(always)]
    #[expect(clippy::unused_self, reason = "the model checker's version uses it")]
    fn watch_write(&self, _place: usize) {}

    #[cfg(lineage_loom)]
    fn watch_read(&self, records: usize) {
        self.watched[..records].iter().for_each(|cell| cell.with(|_| ()));
    }

    #[cfg(lineage_loom)]
    fn watch_write(&self, place: usize) {
        self.watched[place].with_mut(|_| ());
    }
}

impl fmt::Debug for Segment {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Segment")
            .field("id", &self.id)
            .field("base", &self.base)
            .field("base_bytes", &self.base_bytes)
            .field("state", &self.glimpse())
            .finish_non_exhaustive()
    }
}

/// Keeps a segment for as long as a `Bytes` of one of its frames lives.
#[cfg(not(lineage_loom))]
struct Frame {
    segment: Arc<Segment>,
    range: Range<u32>,
}

#[cfg(not(lineage_loom))]
impl AsRef<[u8]> for Frame {
    fn as_ref(&self) -> &[u8] {
        self.segment.bytes(self.range.clone())
    }
}
