//! What does it cost to append a frame and make it visible, and do readers slow the writer down?
//!
//! Workload: frames of 200 bytes into a log of the default sizes, a commit after each frame and
//! after every 16th, with no, one and two readers on threads of their own that follow and then pause
//! for some microseconds, as a shard does between slices; and with one that never pauses, so that
//! each commit has to fetch its cache line back. `baseline` copies the same bytes and nothing else.
//! Readers take cores: with fewer cores than threads the figures show the scheduler.
//! `cargo bench --bench log`
#![allow(missing_docs, reason = "criterion's macros make the entry points")]

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lineage::log::{Entry, Log, Options, log};

const FRAME_BYTES: usize = 200;
/// Spins between two looks of a reader.
const PAUSE: u32 = 100;

fn append_and_commit(criterion: &mut Criterion) {
    for batch in [1, 16] {
        let mut group = criterion.benchmark_group(format!("append, commit per {batch}"));
        group.throughput(Throughput::Elements(batch));
        let frame = [b'x'; FRAME_BYTES];
        group.bench_function("baseline", |bencher| {
            let mut memory = vec![0; Options::default().segment_bytes];
            let mut at = 0;
            bencher.iter(|| {
                for _ in 0..batch {
                    if at + FRAME_BYTES > memory.len() {
                        at = 0;
                    }
                    memory[at..at + FRAME_BYTES].copy_from_slice(black_box(&frame));
                    at += FRAME_BYTES;
                }
                black_box(&mut memory);
            });
        });
        let followed = [
            ("0 readers", 0, PAUSE),
            ("1 reader", 1, PAUSE),
            ("2 readers", 2, PAUSE),
            ("1 reader without pause", 1, 0),
        ];
        for (name, readers, pause) in followed {
            group.bench_function(name, |bencher| {
                let (mut writer, log) = log(Options::default());
                let followers = Followers::start(&log, readers, pause);
                let mut seq = 0;
                bencher.iter(|| {
                    for _ in 0..batch {
                        seq += 1;
                        writer.append(Entry { seq, ..Entry::default() }, black_box(&frame));
                    }
                    writer.commit();
                });
                followers.stop();
            });
        }
        group.finish();
    }
}

fn advance(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("advance");
    let (mut writer, log) = log(Options::default());
    let mut reader = log.reader();
    group.bench_function("baseline", |bencher| bencher.iter(|| black_box(&reader).head()));
    group
        .bench_function("nothing new", |bencher| bencher.iter(|| black_box(&mut reader).advance()));
    group.bench_function("one frame", |bencher| {
        bencher.iter(|| {
            writer.append(Entry::default(), b"");
            writer.commit();
            reader.release_before(reader.head());
            black_box(&mut reader).advance()
        });
    });
    for _ in 0..63 * Options::default().segment_records {
        writer.append(Entry::default(), b"");
    }
    writer.commit();
    let from = reader.advance().fresh;
    group.bench_function("segment of an index, anywhere in the window", |bencher| {
        let mut index = from.start;
        bencher.iter(|| {
            index = from.start + (index * 7_919 + 1) % (from.end - from.start);
            black_box(reader.segment(black_box(index)).map(|segment| segment.base()))
        });
    });
    group.finish();
}

/// Readers on threads that follow the log until they are stopped.
struct Followers {
    stop: Arc<AtomicBool>,
    threads: Vec<thread::JoinHandle<u64>>,
}

impl Followers {
    fn start(log: &Log, count: usize, pause: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let follow = |_| {
            let (mut reader, stop) = (log.reader(), stop.clone());
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let mut index = reader.advance().fresh.start;
                    while let Some(segment) = reader.segment(index) {
                        index = segment.base() + black_box(segment.records()).len() as u64;
                    }
                    if let Some(index) = reader.surplus() {
                        reader.release_before(index);
                    }
                    (0..pause).for_each(|_| std::hint::spin_loop());
                }
                reader.head()
            })
        };
        Self { threads: (0..count).map(follow).collect(), stop: stop.clone() }
    }

    fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            black_box(thread.join().expect("a reader does not panic"));
        }
    }
}

criterion_group!(benches, append_and_commit, advance);
criterion_main!(benches);
