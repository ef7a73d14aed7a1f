//! Goal: a log that is full allocates nothing while its readers let go of what they have released.
//! Method: an allocator that counts, and the writer's own count of segments.
#![allow(unsafe_code, reason = "an allocator that counts can only be written with it")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use lineage::log::{Entry, Options, Reader, log};

/// Counts the allocations of each thread.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promise, passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promise, passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise, passed on.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Four frames of 16 bytes fill a segment.
const SMALL: Options =
    Options { segment_bytes: 64, segment_records: 4, segments_max: 4, shared_frame_max: 32 };

/// Allocations and segments made while 10,000 frames are published to a reader that does `keep_up`
/// after each.
fn steady_state(mut keep_up: impl FnMut(&mut Reader)) -> (u64, u64) {
    let (mut writer, log) = log(SMALL);
    let mut reader = log.reader();
    let mut run = |frames| {
        for _ in 0..frames {
            writer.append(Entry::default(), &[7; 16]);
            writer.commit();
            reader.advance();
            keep_up(&mut reader);
        }
        (ALLOCATIONS.get(), writer.segments_made())
    };
    let (allocations, made) = run(100);
    let (allocations_then, made_then) = run(10_000);
    (allocations_then - allocations, made_then - made)
}

#[test]
fn nothing_is_allocated_while_a_reader_keeps_up_and_releases() {
    assert_eq!(
        steady_state(|reader| reader.release_before(reader.head())),
        (0, 0),
        "releasing at once"
    );
    let release_surplus = |reader: &mut Reader| {
        if let Some(index) = reader.surplus() {
            reader.release_before(index);
        }
    };
    assert_eq!(steady_state(release_surplus), (0, 0), "holding all that the log keeps");
}

#[test]
fn a_reader_that_never_releases_makes_the_writer_allocate_and_not_wait() {
    let (allocations, made) = steady_state(|_| ());
    assert_eq!(made, 10_000 / 4, "every segment is a new one");
    assert!(allocations >= made, "so the count of nothing above counts");
}
