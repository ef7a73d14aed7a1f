//! Goal: no interleaving and no reordering that the memory model allows breaks the frame log.
//! Method: loom runs each model through all of them up to three preemptions; frames carry their
//! index, so a torn, stale or reused record shows. `tests/mutations.txt` lists the faults that must
//! make a model fail.
//!
//! `RUSTFLAGS="--cfg lineage_loom" cargo test --release --test loom_log --target-dir target/loom`
#![cfg(lineage_loom)]

use lineage::log::{Entry, Options, Reader, Segment, Writer, log};
use lineage::sync::{Arc, AtomicBool, AtomicU64, Ordering, fence, mutated};
use loom::thread;

/// One record per segment, so that every append but the first rolls.
const ONE_FRAME_EACH: Options = sizes(1, 4);
/// As small as a log gets: the third segment replaces the first.
const TWO_SEGMENTS: Options = sizes(1, 2);

const fn sizes(segment_records: usize, segments_max: usize) -> Options {
    Options { segment_bytes: 4, segment_records, segments_max, shared_frame_max: 4 }
}

fn model(body: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(body);
}

/// Appends frames that carry their index, `count` of them.
fn append(writer: &mut Writer, count: usize) {
    for _ in 0..count {
        let index = writer.next_index();
        writer.append(Entry { seq: index, ..Entry::default() }, &[low_byte(index)]);
    }
}

fn low_byte(index: u64) -> u8 {
    index.to_le_bytes()[0]
}

/// The segment's records are those of its indices, and so are their bytes.
fn check_segment(segment: &Segment) {
    for (index, record) in (segment.base()..).zip(segment.records()) {
        assert_eq!(record.seq, index, "a record of another frame");
        assert_eq!(segment.bytes(record.range()), [low_byte(index)], "bytes of another frame");
    }
}

/// Advances, checks what is fresh, and returns where the reader then stands; `None` stands for a
/// lap.
fn follow(reader: &mut Reader) -> Option<u64> {
    let from = reader.head();
    let advance = reader.advance();
    for index in advance.fresh.clone() {
        let segment = reader.segment(index).expect("fresh frames are in the window");
        assert!(
            index - segment.base() < segment.records().len() as u64,
            "fresh frames are committed"
        );
        check_segment(segment);
    }
    assert_eq!(advance.fresh.end, reader.head());
    match advance.lapped {
        None => {
            assert_eq!(advance.fresh.start, from, "no frame is skipped");
            Some(advance.fresh.end)
        }
        Some(missed) => {
            assert_eq!(missed, from..advance.fresh.start, "what is skipped is reported");
            None
        }
    }
}

#[test]
fn a_committed_frame_is_seen_whole() {
    model(|| {
        let (mut writer, log) = log(sizes(4, 2));
        let mut reader = log.reader();
        let thread = thread::spawn(move || {
            append(&mut writer, 2);
            writer.commit();
            append(&mut writer, 1);
            writer.commit();
        });
        let first = follow(&mut reader).expect("nothing rolls");
        assert!([0, 2, 3].contains(&first), "a batch is visible as a whole");
        follow(&mut reader);
        thread.join().unwrap();
        assert_eq!(follow(&mut reader), Some(3));
    });
}

#[test]
fn sealed_segments_are_followed_in_order() {
    model(|| {
        let (mut writer, log) = log(ONE_FRAME_EACH);
        let mut reader = log.reader();
        let thread = thread::spawn(move || {
            append(&mut writer, 3);
            writer.commit();
        });
        assert!(follow(&mut reader).is_some(), "four segments are kept, three are filled");
        thread.join().unwrap();
        assert_eq!(follow(&mut reader), Some(3));
    });
}

#[test]
fn a_held_segment_is_not_recycled() {
    model(|| {
        let (mut writer, log) = log(TWO_SEGMENTS);
        let mut reader = log.reader();
        append(&mut writer, 1);
        writer.commit();
        assert_eq!(follow(&mut reader), Some(1));
        let held = reader.segment(0).expect("just seen").clone();
        drop(reader);
        let thread = thread::spawn(move || {
            append(&mut writer, 3);
            writer.commit();
            writer.segments_made()
        });
        check_segment(&held);
        assert_eq!((held.base(), held.records().len()), (0, 1));
        drop(held);
        let made = thread.join().unwrap();
        assert!(made == 3 || made == 4, "recycled, or replaced because it was held: {made} made");
    });
}

#[test]
fn a_lapped_reader_reports_what_it_missed() {
    model(|| {
        let (mut writer, log) = log(TWO_SEGMENTS);
        let mut reader = log.reader();
        append(&mut writer, 1);
        writer.commit();
        let thread = thread::spawn(move || {
            append(&mut writer, 3);
            writer.commit();
            writer
        });
        follow(&mut reader);
        let mut writer = thread.join().unwrap();
        follow(&mut reader);
        assert_eq!(reader.head(), 4);
        append(&mut writer, 1);
        writer.commit();
        assert_eq!(follow(&mut reader), Some(5), "a reader that has been lapped follows again");
    });
}

#[test]
fn a_reader_made_during_a_roll_misses_no_later_frame() {
    model(|| {
        let (mut writer, log) = log(sizes(2, 3));
        let mut elder = log.reader();
        let committed = Arc::new(AtomicU64::new(0));
        let told = committed.clone();
        let thread = thread::spawn(move || {
            append(&mut writer, 1);
            writer.commit();
            told.store(1, Ordering::Release);
            append(&mut writer, 2);
            writer.commit();
        });
        let before = committed.load(Ordering::Acquire);
        let mut reader = log.reader();
        let start = reader.head();
        assert!(start >= before, "frames committed before are behind it");
        let seen = follow(&mut elder).expect("three segments are kept, two are filled");
        assert!(start <= seen, "frames not visible to others are ahead of it");
        follow(&mut reader);
        thread.join().unwrap();
        assert_eq!(follow(&mut reader), Some(3));
    });
}

#[test]
fn a_commit_wakes_a_reader_that_goes_to_sleep() {
    model(|| {
        let (mut writer, log) = log(sizes(1, 2));
        let reader = log.reader();
        let parked = Arc::new(AtomicBool::new(false));
        let sleeper = parked.clone();
        let thread = thread::spawn(move || {
            append(&mut writer, 1);
            writer.commit();
            if !mutated("log-wake-unfenced-commit") {
                fence(Ordering::SeqCst);
            }
            sleeper.load(Ordering::Relaxed)
        });
        parked.store(true, Ordering::Relaxed);
        if !mutated("log-wake-unfenced-park") {
            fence(Ordering::SeqCst);
        }
        let sleeps = !reader.is_behind();
        let woken = thread.join().unwrap();
        assert!(!sleeps || woken, "the reader sleeps and nobody wakes it");
    });
}
