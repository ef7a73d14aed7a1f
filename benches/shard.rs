//! What does a delivery cost in user space: routing a record to groups, and the sweep that offers its bytes to sockets?
//!
//! Workload: 10,000 connections on one shard, 5,000 topics, frames of 200 bytes; a round is 1, 16 or 64 events on
//! distinct topics, already encoded, and the turns that deliver them. The sockets take everything and count bytes, so
//! the kernel's part is left out. The figure is time per delivery (one frame, one client), not per round.
//!
//! - `own_sets`: every client has a set of 20 topics of its own.
//! - `shared_sets`: 32 sets of 100 topics, shared by the clients.
//! - `firehose`: every client gets everything.
//!
//! `baseline` is what the sockets cost by themselves: as many writes of as many bytes in a bare loop.
//!
//! The groups `route` take the time of the first turn after 256 events alone: it routes all of them, and its sweep ends
//! after 64 of the many thousand writes. The aims of 40 ns and 2 ns are those of these two.
//! `cargo bench --bench shard`
#![allow(missing_docs, reason = "criterion's macros make the entry points")]

use bytes::Bytes;
use criterion::{Bencher, Criterion, Throughput, criterion_group, criterion_main};
use lineage::clock::Clock;
use lineage::encode::{Encoder, OnFull, Parts, Publisher, SharedPublisher};
use lineage::event::{Body, Class, Event, Json, Topic, Topics};
use lineage::shard::{Arrival, Dispatch, Endpoint, Floors, Options, Setup, Shard, Transport};
use lineage::snapshot::Keeper;
use lineage::sync::Tally;
use lineage::telemetry::{ShardCounter, Telemetry};
use lineage::wake::Wake;
use lineage::{log, ring};
use std::hint::black_box;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

const CONNECTIONS: usize = 10_000;
const TOPICS: usize = 5_000;
const BATCHES: [usize; 3] = [1, 16, 64];
/// Events of a turn whose routing is timed.
const ROUTED: usize = 256;
/// With the envelope a frame has 200 bytes.
const PAYLOAD_BYTES: usize = 84;

/// A socket that takes everything, and how many bytes it took (modulo 2^32).
#[derive(Debug, Clone, Default)]
struct Sink(u32);

impl Transport for Sink {
    fn try_read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    #[inline]
    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = black_box(bytes).len();
        self.0 = self.0.wrapping_add(u32::try_from(length).unwrap_or(u32::MAX));
        Ok(length)
    }

    fn finish(&mut self) {}

    fn reset(self) {}
}

/// A stream of numbers below `below`, the same at every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % below as u64).expect("below a usize")
    }
}

/// A shard with its clients, and what feeds it.
struct World {
    shard: Shard<Sink>,
    encoder: Arc<Encoder>,
    publisher: Publisher,
    telemetry: Arc<Telemetry>,
    clock: Clock,
    payload: Json,
    /// In the order in which they are published, round and round.
    topics: Vec<Topic>,
    next: usize,
}

/// Deliveries, writes and bytes of some rounds, and their time.
#[derive(Default, Clone, Copy)]
struct Work {
    time: Duration,
    /// Of the first turn alone.
    routing: Duration,
    deliveries: u64,
    writes: u64,
    bytes: u64,
}

impl World {
    /// A shard whose clients subscribe as `patterns` says.
    fn new(patterns: impl Fn(usize) -> Vec<String>) -> Self {
        let clock = Clock::system();
        let wake = Arc::new(Wake::new(1));
        let telemetry = Telemetry::new(1);
        let names = Arc::new(Topics::new());
        let (intake, consumer) = ring::intake(1_024, wake.clone());
        let (keeper, values) = Keeper::new(log::Options::default().segments_max);
        let encoder = Arc::new(Encoder::new(Parts {
            values: Box::new(keeper),
            topics: names.clone(),
            intake: intake.clone(),
            consumer,
            wake: wake.clone(),
            telemetry: telemetry.clone(),
            log: log::Options::default(),
        }));
        let dispatch = Arc::new(Dispatch::new(1, wake));
        let own = intake.publisher().expect("the first of 63 publishers");
        let hour = Duration::from_secs(3_600);
        let shard = Shard::new(Setup {
            values,
            index: 0,
            options: Options { ping_interval: hour, silence_max: hour, ..Options::default() },
            encoder: encoder.clone(),
            dispatch: dispatch.clone(),
            publisher: SharedPublisher::new(intake.shared_publisher(), telemetry.clone()),
            telemetry: telemetry.shard(0),
            totals: telemetry.clone(),
            clock: clock.clone(),
            epoch: "bench".into(),
            served: Arc::new(Tally::new()),
            floors: Arc::new(Floors::new(1)),
            handler: None,
        });
        let mut topics: Vec<_> = (0..TOPICS)
            .map(|topic| names.register(&name(topic), Some(Class::Event)).expect("a valid name"))
            .collect();
        let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
        for place in (1..TOPICS).rev() {
            topics.swap(place, numbers.below(place + 1));
        }
        let text = format!("\"{}\"", "x".repeat(PAYLOAD_BYTES - 2));
        let mut world = Self {
            shard,
            encoder: encoder.clone(),
            publisher: Publisher::new(own, encoder, telemetry.clone(), OnFull::Refuse),
            telemetry,
            clock,
            payload: Json::parse(Bytes::from(text)).expect("a JSON string"),
            topics,
            next: 0,
        };
        world.connect(&dispatch, patterns);
        // Every topic once: the index is complete, and all buffers have met a large round.
        for _ in 0..TOPICS / 500 {
            world.round(500);
        }
        world
    }

    fn connect(&mut self, dispatch: &Dispatch<Sink>, patterns: impl Fn(usize) -> Vec<String>) {
        for connection in 0..CONNECTIONS {
            let arrival = Arrival {
                stream: Sink::default(),
                early: subscribe(&patterns(connection)),
                peer: ([127, 0, 0, 1], 1).into(),
                endpoint: Endpoint::V1,
                seat: None,
            };
            dispatch.place(arrival).expect("the inbox is emptied every turn");
            while self.shard.turn() {}
        }
        assert_eq!(self.telemetry.sum(ShardCounter::Subscribed), CONNECTIONS as u64);
    }

    fn counts(&self) -> (u64, u64, u64) {
        let sum = |counter| self.telemetry.sum(counter);
        (sum(ShardCounter::Deliveries), sum(ShardCounter::Writes), sum(ShardCounter::Bytes))
    }

    /// Publishes and encodes `events`, then takes the time until all clients have them.
    fn round(&mut self, events: usize) -> Work {
        let time_us = self.clock.now_us();
        for _ in 0..events {
            let topic = self.topics[self.next];
            self.next = (self.next + 1) % TOPICS;
            let body = Body::External(self.payload.clone());
            let event = Event { topic, key: 0, time_us, body };
            self.publisher.publish(event).expect("the ring is emptied every round");
        }
        while self.encoder.run() > 0 {}
        let before = self.counts();
        let start = Instant::now();
        let mut is_busy = self.shard.turn();
        let routing = start.elapsed();
        while is_busy {
            is_busy = self.shard.turn();
        }
        let time = start.elapsed();
        let after = self.counts();
        Work {
            time,
            routing,
            deliveries: after.0 - before.0,
            writes: after.1 - before.1,
            bytes: after.2 - before.2,
        }
    }
}

fn name(topic: usize) -> String {
    format!("feed:trade:{topic}")
}

/// A client's message, masked with zeroes.
fn subscribe(patterns: &[String]) -> Bytes {
    let topics = patterns.join("\",\"");
    let message = format!("{{\"op\":\"subscribe\",\"id\":1,\"topics\":[\"{topics}\"]}}");
    let length = u16::try_from(message.len()).expect("a short message");
    let mut frame = vec![0x81, 0x80 | 126];
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(message.as_bytes());
    frame.into()
}

/// Measures time per delivery: one iteration is one delivery, and rounds are run until there are enough.
fn per_delivery(bencher: &mut Bencher<'_>, mut round: impl FnMut() -> Work) {
    bencher.iter_custom(|wanted| {
        let (mut time, mut deliveries) = (Duration::ZERO, 0);
        while deliveries < wanted {
            let work = round();
            time += work.time;
            deliveries += work.deliveries;
        }
        time.mul_f64(wanted as f64 / deliveries as f64)
    });
}

/// A group: the shard, and a bare loop over sockets, for every number of events per round. The loop goes on by
/// `stride` sockets, so that it meets them in as good or as bad an order as the sweep does.
fn measure(
    criterion: &mut Criterion,
    label: &str,
    stride: usize,
    patterns: impl Fn(usize) -> Vec<String>,
) {
    let mut group = criterion.benchmark_group(format!("shard/{label}"));
    group.throughput(Throughput::Elements(1)).sample_size(20);
    group.warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(2));
    let mut world = World::new(patterns);
    for events in BATCHES {
        group.bench_function(format!("{events} events"), |bencher| {
            per_delivery(bencher, || world.round(events));
        });
        let mut mean = Work::default();
        const ROUNDS: u64 = 100;
        for _ in 0..ROUNDS {
            let work = world.round(events);
            mean.deliveries += work.deliveries;
            mean.writes += work.writes;
            mean.bytes += work.bytes;
        }
        let mut sockets = vec![Some(Sink::default()); CONNECTIONS];
        let length = usize::try_from(mean.bytes / mean.writes).expect("a short write");
        let bytes = vec![b'x'; length];
        let mut k = 0;
        group.bench_function(format!("{events} events, baseline"), |bencher| {
            per_delivery(bencher, || {
                let start = Instant::now();
                for _ in 0..mean.writes / ROUNDS {
                    k = (k + stride) % CONNECTIONS;
                    if let Some(socket) = &mut sockets[k] {
                        socket.try_write(&bytes).expect("a sink takes everything");
                    }
                }
                Work {
                    time: start.elapsed(),
                    deliveries: mean.deliveries / ROUNDS,
                    ..Work::default()
                }
            });
        });
    }
    group.finish();
}

/// What a client with a set of its own subscribes to.
fn own_set(connection: usize) -> Vec<String> {
    let mut numbers = Numbers(connection as u64 * 0x9e37_79b9_7f4a_7c15 + 1);
    let mut topics: Vec<usize> = Vec::new();
    while topics.len() < 20 {
        let topic = numbers.below(TOPICS);
        if !topics.contains(&topic) {
            topics.push(topic);
        }
    }
    topics.into_iter().map(name).collect()
}

/// What a client subscribes to that shares its set with others.
fn shared_set(connection: usize) -> Vec<String> {
    let set = connection % 32;
    (0..100).map(|topic| name((set * 150 + topic * 7) % TOPICS)).collect()
}

fn own_sets(criterion: &mut Criterion) {
    measure(criterion, "own_sets", 7_919, own_set);
}

fn shared_sets(criterion: &mut Criterion) {
    measure(criterion, "shared_sets", 1, shared_set);
}

fn route(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("route");
    group.throughput(Throughput::Elements(1)).sample_size(20);
    group.warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(2));
    type Patterns = fn(usize) -> Vec<String>;
    for (label, patterns) in [("own_sets", own_set as Patterns), ("shared_sets", shared_set)] {
        let mut world = World::new(patterns);
        group.bench_function(label, |bencher| {
            per_delivery(bencher, || {
                let work = world.round(ROUTED);
                Work { time: work.routing, ..work }
            });
        });
    }
    group.finish();
}

fn firehose(criterion: &mut Criterion) {
    measure(criterion, "firehose", 1, |_| vec!["*".into()]);
}

criterion_group!(benches, own_sets, shared_sets, firehose, route);
criterion_main!(benches);
