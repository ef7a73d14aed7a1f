//! What a full intake ring means to a publisher, by its policy.
//!
//! Method: the only shard is held inside a mounted handler, so that nobody but a publisher drains the ring; then it
//! is let go, and a subscriber must get what was accepted and nothing else.

use super::client::Client;
use super::order::{Order, payload};
use super::support::{PATIENCE, config, external, http, topic};
use lineage::Engine;
use lineage::config::Config;
use lineage::encode::OnFull;
use lineage::event::{Class, Event};
use lineage::shard::{Handler, Message};
use lineage::telemetry::EngineCounter;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Holds its shard from a message on until it is told to go on.
#[derive(Debug)]
struct Hold {
    held: SyncSender<()>,
    release: Mutex<Receiver<()>>,
}

impl Handler for Hold {
    fn message_bytes_max(&self) -> usize {
        1_024
    }

    fn on_message(&self, _: &Message, _: &mut Vec<u8>) {
        self.held.send(()).expect("the test waits for it");
        let release = self.release.lock().expect("one shard");
        // A test that failed has dropped its end.
        let _ = release.recv_timeout(PATIENCE);
    }
}

#[test]
fn a_full_ring_refuses_drops_or_makes_the_publisher_help() {
    const SLOTS: usize = 64;
    let (held, is_held) = sync_channel(1);
    let (release, released) = sync_channel(1);
    let limits = Config { shards: 1, ring_capacity: SLOTS, ..config() };
    let engine = Engine::builder(limits)
        .handler(Hold { held, release: Mutex::new(released) })
        .start()
        .expect("free ports");
    let (mut reader, ack) = Client::subscribed(http(&engine), &["n"]);
    let n = topic(&engine, "n", Class::Event);
    let event = |number: usize| external(n, &number.to_string());
    let mut holder = Client::open(engine.addresses().ws, "/anything");
    holder.text("hold");
    is_held.recv_timeout(PATIENCE).expect("the shard is held");

    let refused = || engine.telemetry().value(EngineCounter::EventsRefused);
    let mut publisher = engine.publisher().expect("a free ring");
    for number in 0..SLOTS {
        assert!(publisher.publish(event(number)).is_ok(), "slot {number}");
    }
    let back = publisher.publish(event(SLOTS)).expect_err("no slot is left");
    assert_eq!(back.0, Event { time_us: back.0.time_us, ..event(SLOTS) }, "unchanged");
    assert_eq!(refused(), 1);

    let mut publisher = publisher.on_full(OnFull::DropNewest);
    for number in 0..10 {
        assert!(publisher.publish(event(number)).is_ok(), "dropped, and that is fine");
    }
    assert_eq!(refused(), 11);

    let mut publisher = publisher.on_full(OnFull::Help);
    for number in SLOTS..SLOTS * 11 {
        assert!(publisher.publish(event(number)).is_ok(), "event {number}");
    }
    assert_eq!(refused(), 11);
    let encoded = engine.telemetry().value(EngineCounter::Events);
    assert!(encoded >= (SLOTS * 10) as u64, "the publisher encoded them itself: {encoded}");

    // The ring that all share is another one, with the same number of slots.
    let shared = engine.shared_publisher();
    for number in 0..SLOTS {
        assert!(shared.publish(event(SLOTS * 11 + number)).is_ok(), "slot {number}");
    }
    assert!(shared.publish(event(0)).is_err());
    assert_eq!(refused(), 12);

    release.send(()).expect("the shard waits");
    let mut order = Order::after(&ack);
    let mut numbers = Vec::new();
    for _ in 0..SLOTS * 12 {
        let text = reader.message();
        order.take(text);
        numbers.push(payload(text).parse::<usize>().expect("a number"));
    }
    // Two rings: each in its order.
    let (own, shared): (Vec<_>, Vec<_>) = numbers.into_iter().partition(|n| *n < SLOTS * 11);
    assert_eq!(own, (0..SLOTS * 11).collect::<Vec<_>>());
    assert_eq!(shared, (SLOTS * 11..SLOTS * 12).collect::<Vec<_>>());
    holder.assert_served();
}
