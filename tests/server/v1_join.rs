//! Who joins while events are published: the value at one position, then everything after it; and topics that are born
//! while somebody already names them.
//!
//! Method: a ledger of everything that is published, a proof of each connection. What is published follows what the
//! clients do: they order a few events before they connect, before they subscribe and before they read the ack.

use super::cycle_press::{Dice, ORDERS_MAX, Order, Press, THREADS, locked, topics};
use super::cycle_proof::{Ledger, content};
use super::desk::{Watcher, patient, welcomed};
use super::support::{external, publisher, start, topic, wait_until};
use lineage::Engine;
use lineage::event::Class;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::mpsc::{SyncSender, sync_channel};

const JOINS_OF_THREAD: u64 = 100;

pub(crate) fn seed() -> u64 {
    let given = std::env::var("JOIN_SEED").ok().and_then(|seed| seed.parse().ok());
    given.unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0)
}

/// Says with which seed a thread failed.
pub(crate) struct Witness {
    pub(crate) seed: u64,
    pub(crate) orders: SyncSender<Order>,
}

impl Drop for Witness {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = self.orders.send(Order::Failed(format!("JOIN_SEED={}", self.seed)));
        }
    }
}

impl Witness {
    /// Orders a few events, and does not wait for them.
    pub(crate) fn order(&self, events: u64) {
        (0..events).for_each(|_| self.orders.send(Order::Some).unwrap_or_default());
    }
}

/// Subscribes; `meanwhile` happens before the connection, the subscribe, and the reading of the ack.
fn join<'a>(
    address: SocketAddr,
    ledger: &'a Mutex<Ledger>,
    patterns: &[&str],
    mut meanwhile: impl FnMut(),
) -> Watcher<'a> {
    meanwhile();
    let mut client = welcomed(address);
    meanwhile();
    client.subscribe(patterns);
    meanwhile();
    Watcher::joined(client, ledger, patterns)
}

/// State topics, event topics, both; by name, by wildcard, by both.
fn patterns(join: u64) -> &'static [&'static str] {
    match join % 6 {
        0 => &["desk:quote:1", "desk:trade:1", "desk:mark"],
        1 => &["*"],
        2 => &["desk:quote:*"],
        3 => &["desk:trade:*", "desk:quote:0", "desk:quote:3"],
        4 => &["desk:quote:2"],
        _ => &["desk:*", "desk:quote:1", "*"],
    }
}

/// The joins of one thread; its last client reads to the end.
fn joins(address: SocketAddr, ledger: &Mutex<Ledger>, thread: u64, witness: &Witness) {
    let mut dice = Dice(witness.seed ^ (thread + 1));
    let mut earlier = None;
    for nth in 0..JOINS_OF_THREAD {
        let meanwhile = || witness.order(dice.below(12));
        let mut watcher = join(address, ledger, patterns(nth + thread), meanwhile);
        watcher.read();
        // Its neighbour has waited meanwhile, and lost nothing.
        if let Some(mut earlier) = earlier.replace(watcher) {
            Watcher::read(&mut earlier);
            earlier.assert_whole();
        }
    }
}

#[test]
fn hundreds_of_joins_amid_events_get_the_value_at_one_position_and_everything_after_it() {
    let engine = start(patient());
    let (seed, ledger) = (seed(), Mutex::new(Ledger::new(topics())));
    let mut press = Press::new(&engine, &ledger, seed);
    let address = engine.addresses().ws;
    std::thread::scope(|scope| {
        let (send, orders) = sync_channel(ORDERS_MAX);
        for thread in 0..THREADS {
            let witness = Witness { seed, orders: send.clone() };
            let ledger = &ledger;
            scope.spawn(move || {
                joins(address, ledger, thread, &witness);
                let _ = witness.orders.send(Order::Done);
            });
        }
        press.serve(&orders);
    });
    // Nothing is published any more: who joins now has it all from snapshots.
    for nth in 0..6 {
        let mut last = join(address, &ledger, patterns(nth), || {});
        press.publish_mark();
        last.read();
        last.assert_equals();
        last.assert_whole();
    }
}

const BORN: usize = 300;

fn born_topics() -> Vec<(String, Class)> {
    let class = |n| if n % 2 == 0 { Class::State } else { Class::Event };
    (0..BORN).map(|n| (format!("born:{}:{n}", n % 10), class(n))).collect()
}

/// Brings the topics into being one after another, goes on with the older ones, and last publishes to those that have
/// stayed empty.
fn give_birth(engine: &Engine, ledger: &Mutex<Ledger>, seed: u64) {
    let (mut publisher, mut dice) = (publisher(engine), Dice(seed));
    let names = locked(ledger).topics.clone();
    let mut publish = |place: usize| {
        let seq = locked(ledger).note(place);
        let topic = topic(engine, &names[place].0, names[place].1);
        publisher.publish(external(topic, &content(place, seq))).expect("room");
    };
    let mut below = |bound: usize| usize::try_from(dice.below(bound as u64)).expect("small");
    for (born, (name, class)) in names.iter().enumerate() {
        topic(engine, name, *class);
        for _ in 0..=below(8) {
            publish(born - below(born.min(20) + 1));
        }
    }
    let seqs = locked(ledger).seqs();
    (0..BORN).filter(|&place| seqs[place] == 0).for_each(publish);
}

#[test]
fn topics_that_are_born_under_a_wildcard_or_a_name_that_waits_begin_with_seq_1() {
    let engine = start(patient());
    let (seed, ledger) = (seed(), Mutex::new(Ledger::new(born_topics())));
    let address = engine.addresses().ws;
    let names = born_topics();
    let all: Vec<&str> = names.iter().map(|(name, _)| name.as_str()).collect();
    let subscriptions = [
        vec!["*"],
        vec!["born:*"],
        vec!["born:3:*", "born:4:*"],
        all.clone(),
        all.iter().skip(7).step_by(13).copied().collect(),
        all.iter().take(20).copied().chain(["born:9:*"]).collect(),
    ];
    let ledger = &ledger;
    let join = |patterns: &Vec<&str>| join(address, ledger, patterns, || {});
    let early: Vec<Watcher<'_>> = subscriptions.iter().map(join).collect();
    std::thread::scope(|scope| {
        let publishing = scope.spawn(|| give_birth(&engine, ledger, seed));
        // The others come when some topics are there, and most are not.
        let late: Vec<_> = subscriptions
            .iter()
            .zip(1..)
            .map(|(patterns, nth)| {
                scope.spawn(move || {
                    let enough = || locked(ledger).head() >= 100 * nth;
                    wait_until("some are born", enough);
                    join(patterns)
                })
            })
            .collect();
        let late = late.into_iter().map(|joining| joining.join().expect("joined"));
        let mut watchers: Vec<Watcher<'_>> = early.into_iter().chain(late).collect();
        publishing.join().unwrap_or_else(|_| panic!("JOIN_SEED={seed}"));
        for watcher in &mut watchers {
            watcher.read();
            watcher.assert_equals();
            watcher.assert_whole();
        }
    });
}
