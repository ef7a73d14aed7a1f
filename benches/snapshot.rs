//! Goal: keeping the last value of every state topic costs the same per event, however many topics there are.
//!
//! Workload: events of 200 bytes over 50, 5,000 and 50,000 topics, in an order like that of a market; each is kept, and
//! every 64th is followed by a commit, which makes a block when one is due. The time is that of keeping and of making
//! blocks together, divided by the events: amortised, over at least three blocks. `one block` is the mean time that making
//! one takes: as long the encoder role is held.
//!
//! `baseline` copies the same frames to the end of a buffer as large as a block's pending part: what a log does.
//! `cargo bench --bench snapshot`
#![allow(missing_docs, reason = "criterion's macros make the entry points")]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use lineage::encode::{LogEnd, ValueSink};
use lineage::log::Entry;
use lineage::snapshot::{Keeper, Values};
use std::hint::black_box;
use std::io::Write as _;
use std::time::{Duration, Instant};

const FRAME: [u8; 200] = [b'x'; 200];
const BATCH: u64 = 64;

/// A stream of topics below `topics`, the same at every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, topics: u64) -> u16 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        u16::try_from(self.0 % topics).expect("topics are numbered in 16 bits")
    }
}

/// A keeper that has met every topic.
struct World {
    keeper: Keeper,
    numbers: Numbers,
    topics: u64,
    index: u64,
    values: Values,
    /// Blocks made so far, and the time of the commits that made them.
    blocks: (u32, Duration),
}

impl World {
    fn new(topics: u64) -> Self {
        let (keeper, values) = Keeper::new(1 << 20);
        let numbers = Numbers(0x9e37_79b9_7f4a_7c15);
        let blocks = (0, Duration::ZERO);
        let mut world = Self { keeper, numbers, topics, index: 0, values, blocks };
        for topic in 0..topics {
            world.keep(u16::try_from(topic).expect("topics are numbered in 16 bits"));
        }
        world.run(4 * topics);
        world.blocks = (0, Duration::ZERO);
        world
    }

    fn keep(&mut self, topic: u16) {
        let entry = Entry { topic, seq: self.index, ..Entry::default() };
        let at = LogEnd { index: self.index, segment: 0 };
        self.keeper.keep(&entry, at, black_box(&FRAME));
        self.index += 1;
    }

    fn run(&mut self, events: u64) -> Duration {
        let start = Instant::now();
        for event in 0..events {
            let topic = self.numbers.below(self.topics);
            self.keep(topic);
            if event % BATCH == BATCH - 1 {
                let before = Instant::now();
                self.keeper.commit(LogEnd { index: self.index, segment: 0 });
                if self.values.load().base() == self.index {
                    self.blocks = (self.blocks.0 + 1, self.blocks.1 + before.elapsed());
                }
            }
        }
        start.elapsed()
    }
}

fn keep(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("snapshot/keep");
    group.throughput(Throughput::Elements(1)).sample_size(10);
    group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    for topics in [50, 5_000, 50_000] {
        let mut world = World::new(topics);
        group.bench_function(BenchmarkId::from_parameter(topics), |bencher| {
            bencher.iter_custom(|wanted| {
                let events = wanted.max(4 * topics);
                world.run(events).mul_f64(wanted as f64 / events as f64)
            });
        });
        let mean = (world.blocks.1 / world.blocks.0.max(1)).as_micros();
        let line = format!("snapshot/keep/{topics}: one block {mean} us\n");
        let _ = std::io::stdout().write_all(line.as_bytes());
    }
    let mut buffer: Vec<u8> = Vec::with_capacity(5_000 * FRAME.len());
    group.bench_function("baseline", |bencher| {
        bencher.iter(|| {
            if buffer.len() + FRAME.len() > buffer.capacity() {
                buffer.clear();
            }
            buffer.extend_from_slice(black_box(&FRAME));
        });
    });
    group.finish();
}

criterion_group!(benches, keep);
criterion_main!(benches);
