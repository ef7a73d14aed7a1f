//! Bytes, kept: an append-only log of finished frames in segments; one writer, any number of
//! readers.
//!
//! For: the only queue of the engine. The encoder appends every frame once; shards send slices of
//! it, everybody else takes the same memory as zero-copy `Bytes`. One log per lane.
//!
//! Never: makes the writer wait for a reader, changes a byte that somebody may read, counts
//! references per frame, or knows what a frame means.
//!
//! Called by: the [`Writer`] belongs to whoever holds the encoder role; each shard owns a
//! [`Reader`], as does every other consumer. Costs: an append is a copy of the frame and of 32
//! bytes; a commit is one store; `advance` without news is one load; following the writer into the
//! next segment is one uncontended lock; a new segment is taken from the retired ones, without
//! allocation as long as readers let go of what they have released.
//!
//! ```text
//!  directory (segments_max slots)     Segment 7 (sealed)                 Segment 8 (open)
//!  ┌───┬───┬───┬───┬───┐              ┌──────────────────────────┐      ┌──────────────────────────┐
//!  │ 5 │ 6 │ 7 │ 8 │ 4 │              │ state: 3 records, slot 3 │─ ─ ─►│ state: 2 records, open   │
//!  └───┴───┴───┴───┴───┘              │ base 40, base_bytes 9000 │      │ base 43, base_bytes 9650 │
//!                ▲                    │ records ▪▪▪              │      │ records ▪▪▫ (▫ appended) │
//!            newest (hint)            │ bytes   ▬▬▬▬▬▬           │      │ bytes   ▬▬▬▭▭            │
//!                                     └──────────────────────────┘      └──────────────────────────┘
//! ```
//!
//! # How readers follow
//! Segments carry ids 0, 1, 2 … A full segment is sealed with the *slot* of the directory in which
//! its successor stands; a reader locks that slot for a pointer clone and compares the id. A
//! different id means that the writer has gone once around since: the reader was lapped, takes the
//! longest unbroken run of segments that still stand in the directory and reports what it missed. A
//! chain of owning links would need no directory, but then one held segment keeps all later ones
//! alive; with slots a stuck reader, or a forgotten `Bytes`, holds exactly what it points to. The
//! writer only ever *tries* a slot's lock and passes on to the next slot when a reader is inside,
//! which costs the log one kept segment for one round. (It could spin only while `segments_max - 1`
//! readers are all suspended inside a clone.)
//!
//! # Invariants
//! - **F1** Bytes and records below `state.records()` never change while any `Arc<Segment>` exists.
//!   The writer writes above only, and starts a segment anew only through `Arc::get_mut`, which
//!   succeeds when nobody else holds it.
//! - **F2** There is one writer: [`Writer`] is not `Clone` and appends through `&mut self`.
//! - **F3** When a segment is seen sealed, its successor has stood in the named slot; when a
//!   segment stands in the directory, everything before its base is visible.
//! - **F4** Indices are dense: a segment's base is its predecessor's base plus the predecessor's
//!   records. A frame never straddles segments. Only the very first segment can be sealed without a
//!   record.
//! - **F5** A reader's window is an unbroken run of segments that ends with the newest it has seen.
//!   Only a lap adds a second run, behind what the window held before.
//! - **F6** Memory: at most `segments_max` segments in the directory and [`Options::RETIRED_MAX`]
//!   retired ones, and beyond these only segments that readers hold.
//!
//! # Orderings
//! | word | written by | read by | ordering | what becomes visible |
//! |---|---|---|---|---|
//! | `Segment::state`, commit | writer | readers | Release, Acquire | records below the count and the bytes they name |
//! | `Segment::state`, seal | writer | readers | Release, Acquire | the same, and the successor in its slot |
//! | `Segment::state`, reset | writer | nobody | Relaxed | nothing: the segment is exclusive until it enters a slot |
//! | `Segment::state`, `is_behind` | writer | readers | Relaxed | nothing: a hint, exact behind a `SeqCst` fence |
//! | slots | writer | readers | lock | a segment's header, and that it was reset |
//! | reference count | readers, writer | writer | Release, Acquire (`Arc`) | a reader's last reads are over before the writer reuses the memory |
//! | `Directory::newest` | writer | joining readers | Relaxed | nothing: only where the search starts |

mod directory;
mod reader;
mod segment;
mod writer;

use crate::sync::Arc;
use directory::Directory;

pub use reader::{Advance, Reader};
pub use segment::{Record, Segment};
pub use writer::{Entry, Writer};

/// Sizes of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Bytes of a segment: 1 to 1 GiB (default 256 KiB).
    pub segment_bytes: usize,
    /// Records of a segment: 1 to 2^24 (default 2,048).
    pub segment_records: usize,
    /// Segments kept: 2 to 65,536 (default 64). With the default sizes 64 of them are 20 MiB.
    pub segments_max: usize,
    /// A frame longer than this gets a segment of its own size: at most `segment_bytes` (default
    /// 128 KiB). The bound keeps the unused end of a segment small beside its frames.
    pub shared_frame_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            segment_bytes: 256 * 1024,
            segment_records: 2_048,
            segments_max: 64,
            shared_frame_max: 128 * 1024,
        }
    }
}

impl Options {
    /// Segments that left the directory and wait for the last reader to let go, to be used again.
    /// More are not waited for: they are freed by whoever holds them last.
    pub const RETIRED_MAX: usize = 4;

    /// Whether the sizes are within their ranges.
    ///
    /// # Errors
    /// A sentence about the first size that is not.
    pub fn check(&self) -> Result<(), &'static str> {
        if !(1..=1 << 30).contains(&self.segment_bytes) {
            return Err("segment_bytes must be 1 to 1 GiB");
        }
        if !(1..=1 << 24).contains(&self.segment_records) {
            return Err("segment_records must be 1 to 2^24");
        }
        if !(2..=1 << 16).contains(&self.segments_max) {
            return Err("segments_max must be 2 to 65,536");
        }
        if self.shared_frame_max > self.segment_bytes {
            return Err("shared_frame_max must not exceed segment_bytes");
        }
        Ok(())
    }
}

/// Makes a log: its only writer, and where readers come from.
///
/// Allocates the directory and the first segment; the memory of a segment is touched as frames
/// arrive.
///
/// # Panics
/// When the options are out of range, see [`Options::check`].
#[must_use]
pub fn log(options: Options) -> (Writer, Log) {
    if let Err(problem) = options.check() {
        panic!("log options: {problem}");
    }
    let first = Arc::new(Segment::new(options.segment_records, options.segment_bytes));
    let directory = Arc::new(Directory::new(options.segments_max, first.clone()));
    let log = Log { directory: directory.clone() };
    (Writer::new(options, directory, first), log)
}

/// Where readers come from. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Log {
    directory: Arc<Directory>,
}

impl Log {
    /// A reader that starts behind the last committed frame.
    ///
    /// Its window begins with the segment in which it starts. Takes each lock of the directory once
    /// (a few microseconds); never holds up the writer.
    #[must_use]
    pub fn reader(&self) -> Reader {
        Reader::join(self.directory.clone())
    }

    /// A reader that starts behind the last committed frame, with everything that the log keeps in its window.
    ///
    /// Costs as much as [`reader`](Self::reader).
    #[must_use]
    pub fn reader_from_oldest(&self) -> Reader {
        Reader::join_from_oldest(self.directory.clone())
    }
}

#[cfg(all(test, not(lineage_loom)))]
mod tests {
    use super::{Log, Options, Reader, Segment, Writer, log};

    const SMALLEST: Options =
        Options { segment_bytes: 1, segment_records: 1, segments_max: 2, shared_frame_max: 1 };

    #[test]
    fn options_are_accepted_up_to_their_limits_and_not_beyond() {
        let largest = Options {
            segment_bytes: 1 << 30,
            segment_records: 1 << 24,
            segments_max: 1 << 16,
            shared_frame_max: 1 << 30,
        };
        for accepted in [Options::default(), SMALLEST, largest] {
            assert_eq!(accepted.check(), Ok(()), "{accepted:?}");
        }
        for refused in [
            Options { segment_bytes: 0, shared_frame_max: 0, ..SMALLEST },
            Options { segment_bytes: (1 << 30) + 1, ..SMALLEST },
            Options { segment_records: 0, ..SMALLEST },
            Options { segment_records: (1 << 24) + 1, ..SMALLEST },
            Options { segments_max: 1, ..SMALLEST },
            Options { segments_max: (1 << 16) + 1, ..SMALLEST },
            Options { shared_frame_max: 2, ..SMALLEST },
        ] {
            assert!(refused.check().is_err(), "{refused:?}");
        }
    }

    #[test]
    #[should_panic(expected = "segments_max must be 2 to 65,536")]
    fn a_log_of_one_segment_is_refused() {
        let _ = log(Options { segments_max: 1, ..SMALLEST });
    }

    #[test]
    fn the_ends_of_a_log_may_move_to_other_threads() {
        fn moves<T: Send>() {}
        fn is_shared<T: Send + Sync>() {}
        moves::<Writer>();
        moves::<Reader>();
        is_shared::<Log>();
        is_shared::<Segment>();
    }
}
