//! What does one publish of a 120-byte event cost the publisher, when nobody contends and no shard sleeps?
//!
//! Each figure is per event. The ring is emptied outside the measured time, so `baseline` shows what the measuring loop
//! and the making of an event cost. `clock` adds what a publisher pays for stamping each event with the wall clock.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lineage::ring::{Consumer, Intake, intake, pair};
use lineage::wake::Wake;

/// The size of an event.
type Event = [u64; 15];

/// Slots, as in the engine.
const CAPACITY: usize = 4_096;
/// Events measured in one go: half a ring, so that it is never full.
const RUN: u64 = 2_048;
/// Events in a batch.
const BATCH: u64 = 16;

fn event(number: u64) -> Event {
    black_box([number; 15])
}

fn rings() -> (Arc<Intake<Event>>, Consumer<Event>) {
    intake(CAPACITY, Arc::new(Wake::new(2)))
}

/// Takes everything, untimed.
fn empty(consumer: &mut Consumer<Event>) {
    consumer.drain(CAPACITY, |event| {
        black_box(event);
    });
}

/// Times `publish` for `count` steps, and calls `empty` after every `run` of them, untimed.
fn measure(
    count: u64,
    run: u64,
    mut publish: impl FnMut(u64),
    mut empty: impl FnMut(),
) -> Duration {
    let (mut left, mut spent) = (count, Duration::ZERO);
    while left > 0 {
        let steps = left.min(run);
        let start = Instant::now();
        for number in 0..steps {
            publish(number);
        }
        spent += start.elapsed();
        left -= steps;
        empty();
    }
    spent
}

fn publish(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("publish");
    group.throughput(Throughput::Elements(1));
    group.bench_function("baseline", |bencher| {
        let mut place = event(0);
        bencher
            .iter_custom(|count| measure(count, RUN, |n| *black_box(&mut place) = event(n), || ()));
    });
    group.bench_function("private", |bencher| {
        let (intake, mut consumer) = rings();
        let mut publisher = intake.publisher().expect("a free ring");
        bencher.iter_custom(|count| {
            let publish = |n| publisher.publish(event(n)).expect("half a ring is free");
            measure(count, RUN, publish, || empty(&mut consumer))
        });
    });
    group.bench_function("private, clock", |bencher| {
        let (intake, mut consumer) = rings();
        let mut publisher = intake.publisher().expect("a free ring");
        bencher.iter_custom(|count| {
            let publish =
                |_| publisher.publish(event(wall_clock_us())).expect("half a ring is free");
            measure(count, RUN, publish, || empty(&mut consumer))
        });
    });
    group.bench_function("shared", |bencher| {
        let (intake, mut consumer) = rings();
        let publisher = intake.shared_publisher();
        bencher.iter_custom(|count| {
            let publish = |n| publisher.publish(event(n)).expect("half a ring is free");
            measure(count, RUN, publish, || empty(&mut consumer))
        });
    });
    group.bench_function("pair", |bencher| {
        let (mut sender, mut receiver) = pair(CAPACITY);
        bencher.iter_custom(|count| {
            let publish = |n| sender.send(event(n)).expect("half a ring is free");
            measure(count, RUN, publish, || while black_box(receiver.receive()).is_some() {})
        });
    });
    group.finish();
}

fn publish_batch(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("publish a batch of 16");
    group.throughput(Throughput::Elements(BATCH));
    group.bench_function("baseline", |bencher| {
        let mut batch = Vec::with_capacity(16);
        let mut fill = |n| {
            batch.extend((0..BATCH).map(|_| event(n)));
            black_box(&mut batch).clear();
        };
        bencher.iter_custom(|count| measure(count, RUN / BATCH, &mut fill, || ()));
    });
    group.bench_function("private", |bencher| {
        let (intake, mut consumer) = rings();
        let mut publisher = intake.publisher().expect("a free ring");
        let mut batch = Vec::with_capacity(16);
        bencher.iter_custom(|count| {
            let publish = |n| {
                batch.extend((0..BATCH).map(|_| event(n)));
                assert_eq!(publisher.publish_batch(&mut batch), 16, "half a ring is free");
            };
            measure(count, RUN / BATCH, publish, || empty(&mut consumer))
        });
    });
    group.finish();
}

fn drain(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("drain");
    group.throughput(Throughput::Elements(1));
    group.bench_function("baseline", |bencher| {
        let place = event(0);
        let look = |_| {
            black_box(*black_box(&place));
        };
        bencher.iter_custom(|count| measure(count, RUN, look, || ()));
    });
    group.bench_function("private", |bencher| {
        let (intake, mut consumer) = rings();
        let mut publisher = intake.publisher().expect("a free ring");
        bencher.iter_custom(|count| {
            let (mut left, mut spent) = (count, Duration::ZERO);
            while left > 0 {
                let run = left.min(RUN);
                (0..run).for_each(|n| publisher.publish(event(n)).expect("half a ring is free"));
                let start = Instant::now();
                empty(&mut consumer);
                spent += start.elapsed();
                left -= run;
            }
            spent
        });
    });
    group.finish();
}

fn wall_clock_us() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "the cost of the very call is measured")]
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).expect("a date after 1970");
    elapsed.as_secs() * 1_000_000 + u64::from(elapsed.subsec_micros())
}

criterion_group!(benches, publish, publish_batch, drain);
criterion_main!(benches);
