//! Goal: the slot protocol of the rings holds in every interleaving. Method: loom runs small models exhaustively (up to
//! a number of preemptions) and reports every access to a slot that its stamps do not order; the models add order,
//! completeness and, through loom's own check of leaked `Arc`s, that each value is dropped exactly once.
//!
//! Run with `RUSTFLAGS="--cfg lineage_loom" cargo test --release --test loom_ring`. `tests/mutations.txt` lists planted
//! faults that must make one of these models fail.
#![cfg(lineage_loom)]

use lineage::ring::{Consumer, Full, Intake, Publisher, intake, pair};
use lineage::sync::Arc;
use lineage::wake::Wake;
use loom::thread;

/// Explores `model` with at most `preemptions` forced switches per run.
fn explore(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(model);
}

fn two_slot_intake<T: Send>() -> (Arc<Intake<T>>, Consumer<T>) {
    intake(2, Arc::new(Wake::new(1)))
}

fn publish<T: Send>(publisher: &mut Publisher<T>, mut event: T) {
    while let Err(Full(back)) = publisher.publish(event) {
        event = back;
        thread::yield_now();
    }
}

/// Takes `count` events, and sees that there is no more.
fn consume<T: Send>(consumer: &mut Consumer<T>, count: usize) -> Vec<T> {
    let mut events = Vec::new();
    while events.len() < count {
        if consumer.drain(count - events.len(), |event| events.push(event)) == 0 {
            thread::yield_now();
        }
    }
    assert_eq!(consumer.drain(1, |_| ()), 0, "an event came twice");
    events
}

#[test]
fn a_private_ring_keeps_order_when_it_wraps() {
    explore(3, || {
        let (intake, mut consumer) = two_slot_intake();
        let mut publisher = intake.publisher().expect("a free ring");
        let producer = thread::spawn(move || (0..3).for_each(|n| publish(&mut publisher, n)));
        assert_eq!(consume(&mut consumer, 3), [0, 1, 2]);
        producer.join().expect("the producer");
    });
}

#[test]
fn a_batch_is_published_whole_or_cut_at_the_free_slots() {
    explore(3, || {
        let (intake, mut consumer) = two_slot_intake();
        let mut publisher = intake.publisher().expect("a free ring");
        let producer = thread::spawn(move || {
            let mut events = vec![0, 1, 2];
            while !events.is_empty() {
                if publisher.publish_batch(&mut events) == 0 {
                    thread::yield_now();
                }
            }
        });
        assert_eq!(consume(&mut consumer, 3), [0, 1, 2]);
        producer.join().expect("the producer");
    });
}

#[test]
fn a_shared_ring_gives_each_position_to_one_of_two_producers() {
    explore(3, || {
        let (intake, mut consumer) = two_slot_intake();
        let publisher = intake.shared_publisher();
        let producers = [10, 20].map(|event| {
            let publisher = publisher.clone();
            thread::spawn(move || publisher.publish(event).expect("a free slot"))
        });
        let mut events = consume(&mut consumer, 2);
        events.sort_unstable();
        assert_eq!(events, [10, 20]);
        assert!(publisher.is_drained());
        for producer in producers {
            producer.join().expect("a producer");
        }
    });
}

#[test]
fn a_shared_ring_that_wraps_delivers_what_it_accepted_in_the_order_of_each_producer() {
    explore(3, || {
        let (intake, mut consumer) = two_slot_intake();
        let producers = [vec![10, 11], vec![20]].map(|events| {
            let publisher = intake.shared_publisher();
            // The third may be refused: two slots.
            thread::spawn(move || {
                events.into_iter().filter(|&event| publisher.publish(event).is_ok()).collect()
            })
        });
        let mut events = Vec::new();
        consumer.drain(1, |event| events.push(event));
        let accepted: [Vec<u32>; 2] = producers.map(|thread| thread.join().expect("a producer"));
        consumer.drain(3, |event| events.push(event));
        let (a, b): (Vec<_>, Vec<_>) = events.into_iter().partition(|&event| event < 20);
        assert_eq!([a, b], accepted);
    });
}

#[test]
fn one_consumer_takes_from_rings_that_appear_while_it_runs() {
    explore(2, || {
        let (intake, mut consumer) = two_slot_intake();
        let claimant = Arc::clone(&intake);
        let private = thread::spawn(move || {
            let mut publisher = claimant.publisher().expect("a free ring");
            publish(&mut publisher, 10);
            publish(&mut publisher, 11);
        });
        let claimant = Arc::clone(&intake);
        let shared =
            thread::spawn(move || claimant.shared_publisher().publish(20).expect("a free slot"));
        let events = consume(&mut consumer, 3);
        let own: Vec<_> = events.iter().filter(|&&n| n < 20).collect();
        assert_eq!(own, [&10, &11]);
        assert!(events.contains(&20));
        private.join().expect("the private producer");
        shared.join().expect("the shared producer");
    });
}

#[test]
fn a_ring_goes_to_its_next_owner_where_the_last_one_stopped() {
    explore(3, || {
        let (intake, mut consumer) = two_slot_intake();
        let mut first = intake.publisher().expect("a free ring");
        let claimant = Arc::clone(&intake);
        let producer = thread::spawn(move || {
            publish(&mut first, 10);
            drop(first);
        });
        let next = thread::spawn(move || {
            let mut next = claimant.publisher().expect("a free ring");
            publish(&mut next, 20);
            publish(&mut next, 21);
        });
        let mut events = consume(&mut consumer, 3);
        events.sort_unstable();
        assert_eq!(events, [10, 20, 21]);
        producer.join().expect("the first owner");
        next.join().expect("the next owner");
    });
}

#[test]
fn a_pair_hands_over_everything_that_was_sent_before_it_closed() {
    explore(3, || {
        let (mut sender, mut receiver) = pair(2);
        let producer = thread::spawn(move || {
            for mut n in 0..3 {
                while let Err(Full(back)) = sender.send(n) {
                    n = back;
                    thread::yield_now();
                }
            }
        });
        let mut received = Vec::new();
        loop {
            let closed = receiver.is_closed();
            while let Some(n) = receiver.receive() {
                received.push(n);
            }
            if closed {
                break;
            }
            thread::yield_now();
        }
        assert_eq!(received, [0, 1, 2]);
        producer.join().expect("the producer");
    });
}

#[test]
fn closing_drops_what_nobody_took_exactly_once() {
    explore(3, || {
        let (intake, mut consumer) = two_slot_intake();
        let mut publisher = intake.publisher().expect("a free ring");
        let tracked = Arc::new(());
        let values = [Arc::clone(&tracked), Arc::clone(&tracked), Arc::clone(&tracked)];
        let producer = thread::spawn(move || {
            // The third may be refused, and is dropped here then.
            values.map(|value| publisher.publish(value).is_ok())
        });
        consumer.drain(1, drop);
        drop(consumer);
        drop(intake);
        producer.join().expect("the producer");
        assert_eq!(Arc::strong_count(&tracked), 1);
    });
}

#[test]
fn a_pair_drops_what_nobody_received_whichever_end_goes_first() {
    explore(3, || {
        let (mut sender, mut receiver) = pair(2);
        let tracked = Arc::new(());
        let value = Arc::clone(&tracked);
        let producer = thread::spawn(move || {
            let sent = sender.send(Arc::clone(&value)).is_ok() && sender.send(value).is_ok();
            assert!(sent, "two slots were free");
        });
        drop(receiver.receive());
        drop(receiver);
        producer.join().expect("the producer");
        assert_eq!(Arc::strong_count(&tracked), 1);
    });
}
