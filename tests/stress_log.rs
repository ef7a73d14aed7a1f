//! Goal: real threads on real memory find no torn, stale or reused frame in the log, and
//! ThreadSanitizer finds no race. Method: one writer, three readers that check
//! every frame while they are being lapped: one releases at once, one holds all the log keeps and
//! single frames beyond that, one joins anew again and again. Without a harness, because the
//! standard library, which ThreadSanitizer does not see into, must take no part.
//!
//! `LINEAGE_STRESS_OPS` is the number of frames (default 200,000). With ThreadSanitizer:
//! `RUSTFLAGS="-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer" cargo +nightly test
//! --target x86_64-unknown-linux-gnu --test stress_log`
#![allow(clippy::print_stdout, reason = "a program that reports")]
#![allow(unsafe_code, reason = "the sanitizer looks for a symbol of this name")]

use std::collections::VecDeque;
use std::thread;
use std::time::Instant;

use lineage::log::{Entry, Log, Options, Reader, Record, Segment, Writer, log};

/// Small enough to be lapped all the time, large enough to be followed for a while.
const SIZES: Options =
    Options { segment_bytes: 4_096, segment_records: 64, segments_max: 8, shared_frame_max: 1_024 };
/// Frames are 8 to 263 bytes; every 1,000th is longer than what segments share.
const LENGTHS: u64 = 256;
const FRAMES_HELD: usize = 100;
/// The writer lets others run after so many, or readers on a busy machine would see laps alone.
const PAUSE_FRAMES: u64 = 256;

/// Tells ThreadSanitizer what it cannot see: the standard library, compiled without it, frees what
/// an `Arc` holds behind an Acquire *fence*, which the sanitizer does not model. All else counts.
/// Runs before the sanitizer has started, so it must not call anything.
// SAFETY: nothing else defines the symbol; it has the signature of sanitizer/tsan_interface.h.
#[unsafe(no_mangle)]
extern "C" fn __tsan_default_suppressions() -> *const std::ffi::c_char {
    const { c"race:alloc::sync::Arc*::drop_slow".as_ptr() }
}

fn main() {
    let frames = std::env::var("LINEAGE_STRESS_OPS")
        .map_or(200_000, |text| text.parse().expect("a number of frames"));
    let (mut writer, log) = log(SIZES);
    let start = Instant::now();
    let readers = [
        spawn(&log, move |_| Stay::Release, frames),
        spawn(&log, move |_| Stay::Hold, frames),
        spawn(&log, move |round| if round % 50 == 0 { Stay::Rejoin } else { Stay::Hold }, frames),
    ];
    write(&mut writer, frames);
    let totals = readers.map(|reader| reader.join().expect("a reader found a wrong frame"));
    let seconds = start.elapsed().as_secs_f64();
    for (name, total) in ["prompt", "holding", "rejoining"].iter().zip(totals) {
        assert!(total.checked > 0, "the {name} reader checked nothing");
        println!("{name}: {total:?}");
    }
    let per_hundred_million = seconds * 1e8 / frames as f64;
    println!(
        "{frames} frames in {seconds:.2} s ({per_hundred_million:.0} s per 10^8), {} segments made",
        writer.segments_made()
    );
}

/// What a reader does with its window after a round.
enum Stay {
    Release,
    Hold,
    Rejoin,
}

#[derive(Debug, Default)]
struct Total {
    checked: u64,
    laps: u64,
    missed: u64,
}

fn write(writer: &mut Writer, frames: u64) {
    let mut frame = Vec::new();
    for index in 0..frames {
        fill(&mut frame, index);
        let entry =
            Entry { seq: index, time_us: mix(index), key: frame[0].into(), ..Entry::default() };
        assert_eq!(writer.append(entry, &frame), index);
        if mix(index).is_multiple_of(16) {
            writer.commit();
        }
        if index % PAUSE_FRAMES == 0 {
            thread::yield_now();
        }
    }
    writer.commit();
}

fn spawn(
    log: &Log,
    stay: impl Fn(u64) -> Stay + Send + 'static,
    frames: u64,
) -> thread::JoinHandle<Total> {
    let (log, mut reader) = (log.clone(), log.reader());
    thread::spawn(move || {
        let mut total = Total::default();
        let mut held = VecDeque::new();
        for round in 1.. {
            check_news(&mut reader, &mut total, &mut held);
            if reader.head() == frames {
                break;
            }
            match stay(round) {
                Stay::Release => reader.release_before(reader.head()),
                Stay::Hold => {
                    if let Some(index) = reader.surplus() {
                        reader.release_before(index);
                    }
                }
                Stay::Rejoin => {
                    let anew = log.reader();
                    assert!(
                        anew.head() >= reader.head(),
                        "a new reader starts behind what others have seen"
                    );
                    reader = anew;
                }
            }
            if round % 64 == 0 {
                thread::yield_now();
            }
        }
        held.into_iter().for_each(|(index, bytes): (u64, bytes::Bytes)| check_bytes(&bytes, index));
        total
    })
}

fn check_news(reader: &mut Reader, total: &mut Total, held: &mut VecDeque<(u64, bytes::Bytes)>) {
    let from = reader.head();
    let advance = reader.advance();
    if let Some(missed) = advance.lapped.clone() {
        assert_eq!(missed, from..advance.fresh.start);
        total.laps += 1;
        total.missed += missed.end - missed.start;
    } else {
        assert_eq!(advance.fresh.start, from);
    }
    for index in advance.fresh {
        let segment = reader.segment(index).expect("fresh frames are in the window");
        let place = u32::try_from(index - segment.base()).expect("few records");
        let record = segment.records()[place as usize];
        check(segment, record, index);
        total.checked += 1;
        if index % 512 == 0 {
            held.push_back((index, segment.frame(place)));
        }
    }
    if held.len() > FRAMES_HELD {
        held.drain(..FRAMES_HELD / 2).for_each(|(index, bytes)| check_bytes(&bytes, index));
    }
}

fn check(segment: &Segment, record: Record, index: u64) {
    assert_eq!((record.seq, record.time_us), (index, mix(index)), "the record of frame {index}");
    check_bytes(segment.bytes(record.range()), index);
}

fn check_bytes(bytes: &[u8], index: u64) {
    let (seed, fill) = (mix(index), mix(index).to_be_bytes()[0]);
    assert_eq!(bytes.len(), length(index), "the length of frame {index}");
    assert_eq!(bytes[..8], seed.to_le_bytes(), "the start of frame {index}");
    assert!(bytes[8..].iter().all(|&byte| byte == fill), "the bytes of frame {index}");
}

/// The frame of an index: its length and bytes follow from it.
fn fill(frame: &mut Vec<u8>, index: u64) {
    frame.clear();
    frame.extend_from_slice(&mix(index).to_le_bytes());
    frame.resize(length(index), mix(index).to_be_bytes()[0]);
}

fn length(index: u64) -> usize {
    let length = if index % 1_000 == 999 { 2_000 } else { 8 + mix(index) % LENGTHS };
    usize::try_from(length).expect("frames are short")
}

/// A number that looks like no other index's (the finaliser of splitmix64).
fn mix(index: u64) -> u64 {
    let mut z = index.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
