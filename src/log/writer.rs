//! Appending: the log's only writer.
//!
//! For: the holder of the encoder role, on whichever thread that is. An append copies the frame and
//! writes 32 bytes; a commit is one store; a roll, once per segment, takes a retired segment or
//! allocates one.
//!
//! Never: waits for a reader, blocks, or makes a frame visible in parts.
//!
//! Invariants: F2 and F4 of the module; `published <= records`; a roll publishes what was appended,
//! then puts the successor into the directory, then seals, so that whoever finds the successor can
//! see everything before it.

use crate::sync::{Arc, mutated};

use super::Options;
use super::directory::Directory;
use super::segment::{Record, Segment, State};

/// What is known of a frame beside its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Entry {
    /// Interned topic.
    pub topic: u16,
    /// Free for the encoder.
    pub flags: u16,
    /// Key within the topic (0: none).
    pub key: u32,
    /// Place within the topic.
    pub seq: u64,
    /// Publish time, microseconds since the Unix epoch.
    pub time_us: u64,
}

/// The only writer of a log.
#[derive(Debug)]
pub struct Writer {
    options: Options,
    directory: Arc<Directory>,
    current: Arc<Segment>,
    /// Records and bytes in `current`, visible or not.
    records: u32,
    bytes: u32,
    /// Visible records of `current`.
    published: u32,
    /// Segments that left the directory, oldest first.
    retired: Vec<Arc<Segment>>,
    segments_made: u64,
}

impl Writer {
    /// A writer whose first segment already stands in the directory.
    pub(super) fn new(options: Options, directory: Arc<Directory>, first: Arc<Segment>) -> Self {
        Self {
            options,
            directory,
            current: first,
            records: 0,
            bytes: 0,
            published: 0,
            retired: Vec::with_capacity(Options::RETIRED_MAX + 1),
            segments_made: 1,
        }
    }

    /// Appends a frame and returns its index (0, 1, 2 …). Never waits.
    ///
    /// The frame is visible after the next [`commit`](Self::commit), or earlier, as a whole and in
    /// order, when its segment is full and is sealed for a later frame.
    ///
    /// # Panics
    /// When the frame is longer than 4 GiB.
    #[inline]
    pub fn append(&mut self, entry: Entry, frame: &[u8]) -> u64 {
        let length = u32::try_from(frame.len()).expect("events are at most 1 MiB");
        if !self.fits(frame.len()) {
            self.roll(frame.len());
        }
        let Entry { topic, flags, key, seq, time_us } = entry;
        let record = Record { offset: self.bytes, length, seq, time_us, topic, flags, key };
        // SAFETY: this is the one writer (F2); `records` and `bytes` are at or above what was
        // published.
        unsafe { self.current.write(self.records, record, frame) };
        let index = self.next_index();
        self.records += 1;
        self.bytes += length;
        index
    }

    /// Makes everything appended visible: one Release store. Never waits.
    ///
    /// Who then wakes sleeping readers puts a `SeqCst` fence between the commit and the look at who
    /// sleeps.
    #[inline]
    pub fn commit(&mut self) {
        if self.published != self.records {
            self.published = self.records;
            self.current.publish(State::open(self.records));
        }
    }

    /// The index the next frame will get.
    #[inline]
    #[must_use]
    pub fn next_index(&self) -> u64 {
        self.current.base() + u64::from(self.records)
    }

    /// Number of the segment that is written to: 0, 1, 2 … Of the segments before it the log keeps the newest
    /// [`Options::segments_max`] at least in part.
    #[inline]
    #[must_use]
    pub fn segment_id(&self) -> u64 {
        self.current.id()
    }

    /// Bytes appended since the start, over all segments.
    #[inline]
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        self.current.base_bytes() + u64::from(self.bytes)
    }

    /// Segments allocated since the start. It stands still once the log is full, unless readers
    /// hold on to segments that they should have released, or frames need segments of their own.
    #[must_use]
    pub fn segments_made(&self) -> u64 {
        self.segments_made
    }

    #[inline]
    fn fits(&self, length: usize) -> bool {
        let (records, bytes) = self.current.capacity();
        (self.records as usize) < records
            && length <= self.options.shared_frame_max
            && length <= bytes - self.bytes as usize
    }

    /// Goes on in a segment that holds a frame of `length` bytes.
    #[cold]
    fn roll(&mut self, length: usize) {
        if !mutated("log-roll-uncommitted") {
            self.commit();
        }
        let next = self.fresh(length);
        let (sealed, records) = (std::mem::replace(&mut self.current, next.clone()), self.records);
        self.records = 0;
        self.bytes = 0;
        self.published = 0;
        if mutated("log-successor-late") {
            sealed.publish(State::sealed(records, 1));
        }
        let (slot, old) = self.directory.put(next);
        let slot = u32::try_from(slot).expect("a log has at most 65,536 slots");
        sealed.publish(State::sealed(records, slot));
        if let Some(old) = old {
            self.retire(old);
        }
    }

    /// An empty segment for a frame of `length` bytes, with the next id and base.
    fn fresh(&mut self, length: usize) -> Arc<Segment> {
        let (id, base, base_bytes) = (self.current.id() + 1, self.next_index(), self.total_bytes());
        let shared = length <= self.options.shared_frame_max;
        if shared {
            for place in 0..self.retired.len() {
                if let Some(segment) = exclusive(&mut self.retired[place]) {
                    segment.reset(id, base, base_bytes);
                    return self.retired.remove(place);
                }
            }
        }
        let (records, bytes) = if shared { self.shared_capacity() } else { (1, length) };
        let mut segment = Segment::new(records, bytes);
        segment.reset(id, base, base_bytes);
        self.segments_made += 1;
        Arc::new(segment)
    }

    /// Keeps a segment that left the directory for use in a later roll.
    fn retire(&mut self, segment: Arc<Segment>) {
        if segment.capacity() != self.shared_capacity() {
            return;
        }
        self.retired.push(segment);
        if self.retired.len() > Options::RETIRED_MAX {
            self.retired.remove(0);
        }
    }

    fn shared_capacity(&self) -> (usize, usize) {
        (self.options.segment_records, self.options.segment_bytes)
    }
}

/// The segment, if nobody else holds it (F1): the Acquire in `get_mut` pairs with the Release of
/// each dropped `Arc`.
fn exclusive(segment: &mut Arc<Segment>) -> Option<&mut Segment> {
    #[cfg(lineage_loom)]
    if mutated("log-recycle-held") {
        // SAFETY: there is none; the planted fault takes a segment that readers hold, and the model
        // must notice.
        return Some(unsafe { &mut *Arc::as_ptr(segment).cast_mut() });
    }
    Arc::get_mut(segment)
}
