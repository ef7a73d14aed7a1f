//! The publisher of the tests in which clients come and go: it obeys their threads, and keeps the ledger.
//!
//! Method: threads send orders and the publisher obeys them one by one, so that what is published follows what the
//! clients do, whatever the machine.

use super::cycle_proof::{Ledger, content};
use super::support::{PATIENCE, external, publisher, topic, wait_for_events};
use lineage::Engine;
use lineage::encode::Publisher;
use lineage::event::{Class, Event, Topic};
use std::ops::AddAssign;
use std::sync::mpsc::{Receiver, SyncSender};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Threads that have clients.
pub(crate) const THREADS: u64 = 4;
/// The topics of each class, besides the one that everybody has.
pub(crate) const TOPICS: u64 = 4;
/// Orders that wait.
pub(crate) const ORDERS_MAX: usize = 64;
/// What the log keeps.
pub(crate) const LOG_SEGMENTS: usize = 8;

/// Pseudo-random numbers (SplitMix64).
#[derive(Debug)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// What the publisher is asked for, and told.
#[derive(Debug)]
pub(crate) enum Order {
    /// A few events.
    Some,
    /// So much that the log keeps nothing of before; an answer when the server has it.
    Flood(SyncSender<()>),
    /// A thread's clients have done what was planned.
    Done,
    /// A thread's clients are equal to the ledger, and wait for the mark.
    Equal,
    /// A thread ends: by this failure, or with what it counted.
    Failed(String),
    Counted(Counts),
}

/// How often what happened to the clients.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Counts {
    pub(crate) recovered: u64,
    pub(crate) expired: u64,
    /// Cycles in which a client was told a slow gap.
    pub(crate) slow: u64,
    pub(crate) closed: u64,
    pub(crate) heartbeats: u64,
    /// Gaps of this reason.
    pub(crate) overruns: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.recovered += other.recovered;
        self.expired += other.expired;
        self.slow += other.slow;
        self.closed += other.closed;
        self.heartbeats += other.heartbeats;
        self.overruns += other.overruns;
    }
}

/// The ledger; a test that has failed may have left it locked.
pub(crate) fn locked(ledger: &Mutex<Ledger>) -> MutexGuard<'_, Ledger> {
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The only publisher.
#[derive(Debug)]
pub(crate) struct Press<'a> {
    engine: &'a Engine,
    publisher: Publisher,
    ledger: &'a Mutex<Ledger>,
    topics: Vec<Topic>,
    /// It takes a segment of the log.
    filler: Event,
    dice: Dice,
    pub(crate) counts: Counts,
}

impl<'a> Press<'a> {
    /// Publishes the first event of every topic.
    pub(crate) fn new(engine: &'a Engine, ledger: &'a Mutex<Ledger>, seed: u64) -> Self {
        let names = locked(ledger).topics.clone();
        let topics = names.iter().map(|(name, class)| topic(engine, name, *class)).collect();
        let filler = topic(engine, "filler", Class::Event);
        let filler = external(filler, &format!("\"{}\"", "x".repeat(130 * 1024)));
        let (publisher, counts) = (publisher(engine), Counts::default());
        let dice = Dice(seed);
        let mut press = Self { engine, publisher, ledger, topics, filler, dice, counts };
        (0..names.len()).for_each(|place| press.publish(place));
        wait_for_events(engine, names.len() as u64);
        press
    }

    /// The last topic.
    pub(crate) fn publish_mark(&mut self) {
        self.publish(self.topics.len() - 1);
    }

    fn publish(&mut self, place: usize) {
        let seq = locked(self.ledger).note(place);
        let event = external(self.topics[place], &content(place, seq));
        self.publisher.publish(event).expect("room");
    }

    fn some(&mut self) {
        let place = self.dice.below(self.topics.len() as u64);
        self.publish(usize::try_from(place).expect("small"));
    }

    /// So much that the log keeps nothing of before.
    fn flood(&mut self) {
        for _ in 0..=LOG_SEGMENTS {
            (0..2).for_each(|_| self.some());
            locked(self.ledger).note_other();
            self.publisher.publish(self.filler.clone()).expect("room");
            let head = locked(self.ledger).head();
            wait_for_events(self.engine, head);
        }
    }

    /// Obeys until all threads have said the same thing.
    pub(crate) fn serve(&mut self, orders: &Receiver<Order>) {
        let mut said = 0;
        while said < THREADS {
            match orders.recv_timeout(PATIENCE).expect("no thread is stuck") {
                Order::Some => self.some(),
                Order::Flood(done) => {
                    self.flood();
                    let _ = done.send(());
                }
                Order::Done | Order::Equal => said += 1,
                Order::Counted(counts) => {
                    self.counts += counts;
                    said += 1;
                }
                Order::Failed(what) => panic!("{what}"),
            }
        }
    }
}

/// What is published: state topics, event topics, and the mark, which every client has.
pub(crate) fn topics() -> Vec<(String, Class)> {
    let named =
        |of: &'static str, class| (0..TOPICS).map(move |n| (format!("desk:{of}:{n}"), class));
    let all = named("quote", Class::State).chain(named("trade", Class::Event));
    all.chain([("desk:mark".to_owned(), Class::Event)]).collect()
}
