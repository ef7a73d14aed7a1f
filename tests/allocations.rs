//! Goal: publishing, encoding and delivering allocate nothing once buffers have their size.
//!
//! Method: an allocator that counts, per thread. One thread publishes, encodes and turns a shard with a hundred
//! clients (the firehose of each lane, and a set of topics whose frames do not lie back to back) while the log goes
//! through all of its segments again and again. The same rounds run twice: the first time buffers grow, the second
//! time nothing may. Clients that allocate once per write show that the count misses nothing.
#![allow(unsafe_code, reason = "an allocator is an unsafe trait; this one counts and passes on")]

use bytes::Bytes;
use lineage::clock::{Clock, ManualClock};
use lineage::encode::{Encoder, Lane, OnFull, Parts, Publisher, SharedPublisher};
use lineage::event::{Body, Cents, Event, Json, Market, Topic, Topics};
use lineage::shard::{
    Arrival, Dispatch, Endpoint, Floors, LegacyView, Options, Setup, Shard, Transport,
};
use lineage::snapshot::Keeper;
use lineage::sync::Tally;
use lineage::telemetry::{ShardCounter, Telemetry};
use lineage::wake::Wake;
use lineage::{log, ring};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;
use std::io;
use std::sync::Arc;
use std::time::Duration;

thread_local! {
    /// Allocations of this thread so far.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call is passed on unchanged to the system's allocator; counting neither allocates nor panics.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promises are the ones the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: all memory of this allocator comes from the system's.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What `work` allocated.
fn allocations(work: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

/// A socket that takes everything; a wasteful one allocates for each write.
struct Sink {
    is_wasteful: bool,
}

impl Transport for Sink {
    fn try_read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_wasteful {
            drop(black_box(Box::new(bytes.len())));
        }
        Ok(bytes.len())
    }

    fn finish(&mut self) {}

    fn reset(self) {}
}

const LOG: log::Options = log::Options {
    segment_bytes: 32 * 1024,
    segment_records: 128,
    segments_max: 4,
    shared_frame_max: 16 * 1024,
};
/// Clients of the legacy firehose, of everything, and of two topics that do not lie together.
const CLIENTS: [usize; 3] = [40, 40, 20];
const ROUNDS: usize = 1_000;
const ROUND_EVENTS_MAX: usize = 32;

struct World {
    shard: Shard<Sink>,
    encoder: Arc<Encoder>,
    publisher: Publisher,
    telemetry: Arc<Telemetry>,
    clock: Clock,
    time: ManualClock,
    events: [Event; 3],
}

/// Allocations of the steps that an event goes through, and what was done.
#[derive(Debug, Default, PartialEq, Eq)]
struct Account {
    publishing: u64,
    encoding: u64,
    delivering: u64,
    /// Events of each kind.
    events: [u64; 3],
    deliveries: u64,
    writes: u64,
}

impl World {
    fn new(is_wasteful: bool) -> Self {
        let (clock, time) = Clock::manual(1_700_000_000_000_000);
        let wake = Arc::new(Wake::new(1));
        let telemetry = Telemetry::with_clock(1, clock.clone());
        let topics = Arc::new(Topics::new());
        let (intake, consumer) = ring::intake(64, wake.clone());
        let (keeper, values) = Keeper::new(log::Options::default().segments_max);
        let encoder = Arc::new(Encoder::new(Parts {
            values: Box::new(keeper),
            topics: topics.clone(),
            intake: intake.clone(),
            consumer,
            wake: wake.clone(),
            telemetry: telemetry.clone(),
            log: LOG,
        }));
        let dispatch = Arc::new(Dispatch::new(1, wake));
        let own = intake.publisher().expect("the first of 63 publishers");
        let ages = Duration::from_secs(1_000_000);
        let shard = Shard::new(Setup {
            values,
            index: 0,
            options: Options { ping_interval: ages, silence_max: ages, ..Options::default() },
            encoder: encoder.clone(),
            dispatch: dispatch.clone(),
            publisher: SharedPublisher::new(intake.shared_publisher(), telemetry.clone()),
            telemetry: telemetry.shard(0),
            totals: telemetry.clone(),
            clock: clock.clone(),
            epoch: "test".into(),
            served: Arc::new(Tally::new()),
            floors: Arc::new(Floors::new(1)),
            handler: None,
        });
        let topic = |name| topics.register(name, None).expect("a valid name");
        let events = events([topic("market:A"), topic("feed:trade:X"), topic("feed:trade:Y")]);
        let publisher = Publisher::new(own, encoder.clone(), telemetry.clone(), OnFull::Refuse);
        let mut world = Self { shard, encoder, publisher, telemetry, clock, time, events };
        world.connect(&dispatch, is_wasteful);
        world
    }

    fn connect(&mut self, dispatch: &Dispatch<Sink>, is_wasteful: bool) {
        let [legacy, all, some] = CLIENTS;
        for client in 0..legacy + all + some {
            let (endpoint, early) = match client {
                client if client < legacy => {
                    (Endpoint::Legacy(LegacyView::default()), Bytes::new())
                }
                client if client < legacy + all => (Endpoint::V1, subscribe(r#""*""#)),
                _ => (Endpoint::V1, subscribe(r#""market:A","feed:trade:Y""#)),
            };
            let peer = ([127, 0, 0, 1], 1).into();
            let stream = Sink { is_wasteful };
            let arrival = Arrival { stream, early, peer, endpoint, seat: None };
            assert!(dispatch.place(arrival).is_ok(), "the inbox has room");
            while self.shard.turn() {}
        }
        assert_eq!(self.shard.open(), legacy + all + some);
    }

    /// Rounds of 1 to 32 events, 1 ms apart, with what each step allocated.
    fn run(&mut self) -> Account {
        let mut account = Account::default();
        let counted = [ShardCounter::Deliveries, ShardCounter::Writes];
        let before = counted.map(|counter| self.telemetry.sum(counter));
        for round in 0..ROUNDS {
            self.time.advance_us(1_000);
            let time_us = self.clock.now_us();
            let count = round % ROUND_EVENTS_MAX + 1;
            account.publishing += allocations(|| {
                for place in 0..count {
                    let kind = (round + place) % 3;
                    account.events[kind] += 1;
                    let event = Event { time_us, ..self.events[kind].clone() };
                    assert!(self.publisher.publish(event).is_ok(), "the ring has room");
                }
            });
            account.encoding += allocations(|| while self.encoder.run() > 0 {});
            account.delivering += allocations(|| while self.shard.turn() {});
        }
        let after = counted.map(|counter| self.telemetry.sum(counter));
        account.deliveries = after[0] - before[0];
        account.writes = after[1] - before[1];
        account
    }
}

fn events(topics: [Topic; 3]) -> [Event; 3] {
    let [market, x, y] = topics;
    let payload = |letter: &str| {
        let text = format!("\"{}\"", letter.repeat(100));
        Body::External(Json::parse(Bytes::from(text)).expect("a JSON string"))
    };
    let price = Body::Market(Market { symbol: "A".into(), price: Cents(4_200_050) });
    [(market, price), (x, payload("x")), (y, payload("y"))].map(|(topic, body)| Event {
        topic,
        key: 0,
        time_us: 0,
        body,
    })
}

/// A client's message, masked with zeroes.
fn subscribe(names: &str) -> Bytes {
    let message = format!(r#"{{"op":"subscribe","id":1,"topics":[{names}]}}"#);
    let length = u8::try_from(message.len()).expect("a short message");
    assert!(length < 126);
    let mut frame = vec![0x81, 0x80 | length, 0, 0, 0, 0];
    frame.extend_from_slice(message.as_bytes());
    frame.into()
}

#[test]
fn a_publish_and_a_delivery_allocate_nothing() {
    let mut world = World::new(false);
    world.run();
    let Account { publishing, encoding, delivering, events, deliveries, .. } = world.run();
    assert_eq!((publishing, encoding, delivering), (0, 0, 0), "publish, encode, deliver");
    let [legacy, all, some] = CLIENTS.map(|clients| clients as u64);
    let [market, _, trade_y] = events;
    let events: u64 = events.iter().sum();
    assert_eq!(deliveries, market * legacy + events * all + (market + trade_y) * some);
    let rolls = events / LOG.segment_records as u64;
    assert!(rolls > 10 * LOG.segments_max as u64, "the log went round: {rolls} rolls");
    assert_eq!(world.encoder.log(Lane::V1).reader().head(), events * 2);
}

#[test]
fn an_allocation_in_every_write_is_counted() {
    let mut world = World::new(true);
    world.run();
    let account = world.run();
    assert!(account.writes > 0);
    assert_eq!(account.delivering, account.writes);
    assert_eq!((account.publishing, account.encoding), (0, 0));
}
