//! Goal: rings, pair and wake hold on real threads and real hardware. Method: a fixed number of operations in four
//! scenarios, each of which checks the order of every producer and the sum of all values.
//!
//! It brings its own `main`, so that ThreadSanitizer sees no test harness, whose channels it cannot judge. The number of
//! operations is the environment variable `LINEAGE_STRESS_OPS` or the first argument that is a number; the default is
//! short. With the sanitizer:
//!
//! ```text
//! RUSTFLAGS="-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer" \
//!   LINEAGE_STRESS_OPS=100000000 cargo +nightly test --release --target x86_64-unknown-linux-gnu --test stress_ring
//! ```
#![expect(clippy::print_stdout, reason = "the report of a program that is its own test harness")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use lineage::ring::{Consumer, Full, intake, pair};
use lineage::sync::Flag;
use lineage::wake::Wake;

/// Operations without an instruction to the contrary.
const OPS_DEFAULT: u64 = 200_000;
/// Small, so that rings wrap and run full all the time.
const CAPACITY: usize = 256;

/// Performs about as many operations as it is told, and returns how many.
type Scenario = fn(u64) -> u64;

fn main() {
    let ops = requested_ops();
    // Sixteenths of the whole; a sleep costs as much as a thousand publishes.
    let scenarios: [(&str, u64, Scenario); 4] = [
        ("private", 6, private_rings),
        ("shared", 5, shared_ring),
        ("pair", 4, pair_of_threads),
        ("wake", 1, sleeping_shards),
    ];
    let mut done = 0;
    for (name, share, scenario) in scenarios {
        let start = Instant::now();
        let count = scenario(ops * share / 16);
        done += count;
        println!("stress_ring: {name}: {count} operations in {:?}", start.elapsed());
    }
    println!("stress_ring: {done} operations");
}

/// The first number among the arguments, else the environment, else the default.
fn requested_ops() -> u64 {
    let from_environment = std::env::var("LINEAGE_STRESS_OPS").ok();
    std::env::args()
        .skip(1)
        .chain(from_environment)
        .find_map(|text| text.parse().ok())
        .unwrap_or(OPS_DEFAULT)
}

/// A value larger than a word, so that a torn one shows.
#[derive(Clone, Copy)]
struct Load {
    producer: u64,
    number: u64,
    copies: [u64; 13],
}

impl Load {
    fn new(producer: u64, number: u64) -> Self {
        Self { producer, number, copies: [number ^ producer; 13] }
    }
}

/// What one reader expects: each producer's numbers without a hole.
struct Ledger {
    next: Vec<u64>,
}

impl Ledger {
    fn new(producers: u64) -> Self {
        Self { next: (0..producers).map(|_| 0).collect() }
    }

    fn enter(&mut self, load: &Load) {
        let producer = usize::try_from(load.producer).expect("a small number");
        assert_eq!(load.number, self.next[producer], "order of producer {producer}");
        assert_eq!(load.copies, [load.number ^ load.producer; 13], "a torn value");
        self.next[producer] += 1;
    }

    fn entered(&self) -> u64 {
        self.next.iter().sum()
    }
}

/// Waits for threads through a word of our own: the sanitizer sees neither the library's joins nor the fence with which
/// the last `Arc` is dropped. Lives for ever, so that its own end needs no order.
#[derive(Clone, Copy)]
struct Finish(&'static AtomicU64);

impl Finish {
    fn new() -> Self {
        Self(Box::leak(Box::new(AtomicU64::new(0))))
    }

    /// The last that a thread does, after dropping all that it shares.
    fn report(self) {
        // Release: pairs with `wait_for`, which then may free what the thread used.
        self.0.fetch_add(1, Ordering::Release);
    }

    fn wait_for(self, threads: u64) {
        // Acquire: see `report`.
        while self.0.load(Ordering::Acquire) < threads {
            thread::yield_now();
        }
    }
}

fn retry<T>(mut value: T, mut publish: impl FnMut(T) -> Result<(), Full<T>>) {
    while let Err(Full(back)) = publish(value) {
        value = back;
        thread::yield_now();
    }
}

fn consume(consumer: &mut Consumer<Load>, producers: u64, total: u64) -> u64 {
    let mut ledger = Ledger::new(producers);
    while ledger.entered() < total {
        if consumer.drain(256, |load| ledger.enter(&load)) == 0 {
            thread::yield_now();
        }
    }
    ledger.entered()
}

/// Two publishers with a ring each: one publishes singly, one in batches and gives its ring back now and then. The
/// first keeps its ring until the second is done, so that the second always gets the same one back: order holds
/// within a ring.
fn private_rings(ops: u64) -> u64 {
    let each = ops / 2;
    let (intake, mut consumer) = intake(CAPACITY, Arc::new(Wake::new(1)));
    let (finish, batches) = (Finish::new(), Finish::new());
    let mut single = intake.publisher().expect("a free ring");
    thread::spawn(move || {
        (0..each).for_each(|n| retry(Load::new(0, n), |load| single.publish(load)));
        batches.wait_for(1);
        drop(single);
        finish.report();
    });
    thread::spawn(move || {
        let mut publisher = intake.publisher().expect("a free ring");
        let (mut number, mut batch) = (0, Vec::with_capacity(16));
        while number < each || !batch.is_empty() {
            while batch.len() < 16 && number < each {
                batch.push(Load::new(1, number));
                number += 1;
            }
            if publisher.publish_batch(&mut batch) == 0 {
                thread::yield_now();
            }
            if number % 4_096 == 0 {
                drop(publisher);
                publisher = intake.publisher().expect("the ring that was just returned");
            }
        }
        // Before the other thread drops its handle: the sanitizer does not see into the library's lock, and takes two
        // drops at once for a race.
        drop((publisher, intake));
        batches.report();
        finish.report();
    });
    let count = consume(&mut consumer, 2, 2 * each);
    finish.wait_for(2);
    count
}

/// Two publishers that race for every position of one ring.
fn shared_ring(ops: u64) -> u64 {
    let each = ops / 2;
    let (intake, mut consumer) = intake(CAPACITY, Arc::new(Wake::new(1)));
    let finish = Finish::new();
    for producer in 0..2 {
        let publisher = intake.shared_publisher();
        thread::spawn(move || {
            (0..each).for_each(|n| retry(Load::new(producer, n), |load| publisher.publish(load)));
            drop(publisher);
            finish.report();
        });
    }
    let count = consume(&mut consumer, 2, 2 * each);
    finish.wait_for(2);
    assert!(intake.shared_publisher().is_drained());
    count
}

/// One writer, one reader, and a close that loses nothing.
fn pair_of_threads(ops: u64) -> u64 {
    let (mut sender, mut receiver) = pair(CAPACITY);
    let finish = Finish::new();
    thread::spawn(move || {
        (0..ops).for_each(|n| retry(Load::new(0, n), |load| sender.send(load)));
        drop(sender);
        finish.report();
    });
    let mut ledger = Ledger::new(1);
    loop {
        let closed = receiver.is_closed();
        while let Some(load) = receiver.receive() {
            ledger.enter(&load);
        }
        if closed {
            break;
        }
        thread::yield_now();
    }
    finish.wait_for(1);
    assert_eq!(ledger.entered(), ops);
    ops
}

/// A publisher that pauses so often that the consumer sleeps; a lost wake-up would hang here.
fn sleeping_shards(total: u64) -> u64 {
    let wake = Arc::new(Wake::new(1));
    let (intake, mut consumer) = intake(CAPACITY, Arc::clone(&wake));
    let bell = Arc::new(AtomicBool::new(false));
    let (ringer, consumer_thread) = (Arc::clone(&bell), thread::current());
    wake.register(0, move || {
        ringer.store(true, Ordering::Release);
        consumer_thread.unpark();
    });
    let (asleep, finish) = (Arc::new(Flag::new()), Finish::new());
    let sleeper = Arc::clone(&asleep);
    let mut publisher = intake.publisher().expect("a free ring");
    thread::spawn(move || {
        for n in 0..total {
            // Every 64th event is published into the moment of falling asleep.
            while n % 64 == 0 && !sleeper.is_raised() {
                thread::yield_now();
            }
            retry(Load::new(0, n), |load| publisher.publish(load));
        }
        drop((publisher, sleeper));
        finish.report();
    });
    let mut ledger = Ledger::new(1);
    while ledger.entered() < total {
        if consumer.drain(256, |load| ledger.enter(&load)) > 0 {
            continue;
        }
        asleep.raise();
        wake.park(0);
        if !intake.is_ready() {
            while !bell.swap(false, Ordering::Acquire) {
                thread::park();
            }
        }
        wake.unpark(0);
        asleep.lower();
    }
    finish.wait_for(1);
    total
}
