//! How fast do one producer thread and one consumer thread pass 120-byte events through each ring?
//!
//! All rings have 4,096 slots, copy the same payload in and read it in full, lose nothing, and wait with the same
//! back-off; the time is from the first publish until the consumer has read the last event. `baseline` makes and reads
//! the events on one thread without a ring. Two free cores are needed for figures that mean anything: with fewer, what
//! is measured is the scheduler.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use crossbeam::queue::ArrayQueue;
use crossbeam::utils::Backoff;
use disruptor::{BusySpin, Producer};
use lineage::ring::{intake, pair};
use lineage::wake::Wake;

/// The size of an event.
type Event = [u64; 15];

/// Slots of every ring.
const CAPACITY: usize = 4_096;

/// What the consumer has read.
struct Read {
    count: u64,
    sum: u64,
}

impl Read {
    #[inline]
    fn event(&mut self, event: &Event) {
        let event = black_box(event);
        self.count += 1;
        self.sum += event[0] ^ event[14] ^ event[7];
    }
}

#[inline]
fn event(number: u64) -> Event {
    black_box([number; 15])
}

/// Passes `count` events: `offer` returns whether the ring took one, `collect` reads what is there.
fn pass(
    count: u64,
    mut offer: impl FnMut(Event) -> bool,
    mut collect: impl FnMut(&mut Read) + Send,
) -> Duration {
    let started = AtomicBool::new(false);
    thread::scope(|scope| {
        let consumer = scope.spawn(|| {
            let mut read = Read { count: 0, sum: 0 };
            started.store(true, Ordering::Release);
            while read.count < count {
                let backoff = Backoff::new();
                let before = read.count;
                collect(&mut read);
                while read.count == before {
                    backoff.snooze();
                    collect(&mut read);
                }
            }
            (Instant::now(), read)
        });
        while !started.load(Ordering::Acquire) {
            thread::yield_now();
        }
        let start = Instant::now();
        for number in 0..count {
            let backoff = Backoff::new();
            while !offer(event(number)) {
                backoff.snooze();
            }
        }
        let (end, read) = consumer.join().expect("the consumer");
        assert_eq!(read.count, count, "events came twice");
        assert_eq!(read.sum, count * count.saturating_sub(1) / 2, "events were lost");
        end - start
    })
}

type Group<'a> = BenchmarkGroup<'a, WallTime>;

fn rings(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("one producer, one consumer");
    group.throughput(Throughput::Elements(1));
    ours(&mut group);
    rivals(&mut group);
    broadcast(&mut group);
    group.finish();
}

/// The measuring loop alone, and our three rings.
fn ours(group: &mut Group<'_>) {
    group.bench_function("baseline", |bencher| {
        let mut read = Read { count: 0, sum: 0 };
        bencher.iter_custom(|count| {
            let start = Instant::now();
            (0..count).for_each(|number| read.event(&event(number)));
            start.elapsed()
        });
    });
    group.bench_function("lineage private", |bencher| {
        bencher.iter_custom(|count| {
            let (intake, mut consumer) = intake(CAPACITY, Arc::new(Wake::new(1)));
            let mut publisher = intake.publisher().expect("a free ring");
            let collect = |read: &mut Read| {
                consumer.drain(256, |event| read.event(&event));
            };
            pass(count, |event| publisher.publish(event).is_ok(), collect)
        });
    });
    group.bench_function("lineage shared", |bencher| {
        bencher.iter_custom(|count| {
            let (intake, mut consumer) = intake(CAPACITY, Arc::new(Wake::new(1)));
            let publisher = intake.shared_publisher();
            let collect = |read: &mut Read| {
                consumer.drain(256, |event| read.event(&event));
            };
            pass(count, |event| publisher.publish(event).is_ok(), collect)
        });
    });
    group.bench_function("lineage pair", |bencher| {
        bencher.iter_custom(|count| {
            let (mut sender, mut receiver) = pair(CAPACITY);
            let collect = |read: &mut Read| {
                while let Some(event) = receiver.receive() {
                    read.event(&event);
                }
            };
            pass(count, |event| sender.send(event).is_ok(), collect)
        });
    });
}

/// Rings that lose nothing: a full one refuses.
fn rivals(group: &mut Group<'_>) {
    group.bench_function("disruptor", |bencher| {
        bencher.iter_custom(|count| {
            let builder = disruptor::build_single_producer(CAPACITY, || [0; 15], BusySpin);
            let (mut poller, builder) = builder.new_event_poller();
            let mut producer = builder.build();
            let collect = |read: &mut Read| {
                if let Ok(mut events) = poller.poll() {
                    (&mut events).for_each(|event| read.event(event));
                }
            };
            pass(count, |event| producer.try_publish(|slot| *slot = event).is_ok(), collect)
        });
    });
    group.bench_function("crossbeam ArrayQueue", |bencher| {
        bencher.iter_custom(|count| {
            let queue = ArrayQueue::new(CAPACITY);
            let collect = |read: &mut Read| {
                while let Some(event) = queue.pop() {
                    read.event(&event);
                }
            };
            pass(count, |event| queue.push(event).is_ok(), collect)
        });
    });
    group.bench_function("crossbeam channel", |bencher| {
        bencher.iter_custom(|count| {
            let (sender, receiver) = crossbeam::channel::bounded(CAPACITY);
            let collect =
                |read: &mut Read| receiver.try_iter().for_each(|event| read.event(&event));
            pass(count, |event| sender.try_send(event).is_ok(), collect)
        });
    });
}

/// A ring that overwrites: the producer takes care not to let it.
fn broadcast(group: &mut Group<'_>) {
    group.bench_function("tokio broadcast", |bencher| {
        bencher.iter_custom(|count| {
            let (sender, mut receiver) = tokio::sync::broadcast::channel(CAPACITY);
            let collect = |read: &mut Read| {
                while let Ok(event) = receiver.try_recv() {
                    read.event(&event);
                }
            };
            // It overwrites what was not read; the producer looks at the depth now and then, so that nothing is.
            let mut room = 0;
            let offer = |event| {
                if room == 0 {
                    room = CAPACITY - sender.len();
                }
                let accepted = room > 0 && sender.send(event).is_ok();
                room = room.saturating_sub(1);
                accepted
            };
            pass(count, offer, collect)
        });
    });
}

criterion_group!(benches, rings);
criterion_main!(benches);
