//! The rings' limits, one by one: exact capacity, all rings taken, turns, wakes, and what a panic costs.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{Consumer, Full, Intake, PublishersExhausted, SHARED, intake};
use crate::sync::Arc;
use crate::wake::Wake;

fn plain_intake(capacity: usize) -> (Arc<Intake<u32>>, Consumer<u32>) {
    intake(capacity, Arc::new(Wake::new(1)))
}

fn drained(consumer: &mut Consumer<u32>, limit: usize) -> Vec<u32> {
    let mut events = Vec::new();
    consumer.drain(limit, |event| events.push(event));
    events
}

#[test]
fn a_ring_takes_its_capacity_and_not_one_more() {
    for capacity in [2, 8, 4_096] {
        let (intake, mut consumer) = plain_intake(capacity);
        let mut private = intake.publisher().expect("a free ring");
        let shared = intake.shared_publisher();
        for n in 0..u32::try_from(capacity).expect("a small number") {
            assert_eq!(private.publish(n), Ok(()));
            assert_eq!(shared.publish(n), Ok(()));
        }
        assert_eq!(private.publish(9), Err(Full(9)));
        assert_eq!(shared.publish(9), Err(Full(9)));
        assert_eq!(intake.depth(), 2 * capacity as u64);
        // One slot each is free again after one event of each was taken: 32 is a turn.
        consumer.drain(2 * capacity - 1, drop);
        assert_eq!(private.publish(9), Ok(()));
    }
}

#[test]
fn a_batch_at_the_limit_fits_and_one_beyond_is_cut() {
    for (count, accepted) in [(7, 7), (8, 8), (9, 8)] {
        let (intake, mut consumer) = plain_intake(8);
        let mut publisher = intake.publisher().expect("a free ring");
        let mut events: Vec<u32> = (0..count).collect();
        assert_eq!(publisher.publish_batch(&mut events), accepted);
        assert_eq!(events, (8..count).collect::<Vec<_>>());
        assert_eq!(drained(&mut consumer, 100), (0..count.min(8)).collect::<Vec<_>>());
    }
}

#[test]
fn the_64th_publisher_is_refused_until_one_is_dropped() {
    let (intake, _consumer) = plain_intake(2);
    let mut publishers: Vec<_> =
        (0..SHARED).map(|_| intake.publisher().expect("a free ring")).collect();
    assert_eq!(intake.publisher().err(), Some(PublishersExhausted));
    publishers.swap_remove(31);
    publishers.push(intake.publisher().expect("the ring that was returned"));
    assert_eq!(intake.publisher().err(), Some(PublishersExhausted));
}

#[test]
fn a_returned_ring_keeps_its_events_and_their_order() {
    let (intake, mut consumer) = plain_intake(4);
    let mut first = intake.publisher().expect("a free ring");
    first.publish_batch(&mut vec![1, 2, 3]);
    drop(first);
    let mut next = intake.publisher().expect("the ring that was returned");
    assert!(!next.is_drained());
    assert_eq!(next.publish_batch(&mut vec![4, 5]), 1);
    assert_eq!(drained(&mut consumer, 100), [1, 2, 3, 4]);
    assert!(next.is_drained());
}

#[test]
fn rings_take_turns_of_32_events() {
    let (intake, mut consumer) = plain_intake(128);
    let mut publishers = [0, 1_000].map(|first| {
        let mut publisher = intake.publisher().expect("a free ring");
        publisher.publish_batch(&mut (first..first + 70).collect());
        publisher
    });
    let shared = intake.shared_publisher();
    shared.publish(2_000).expect("a free slot");
    let events = drained(&mut consumer, 1_000);
    let mut expected: Vec<u32> = (0..32).chain(1_000..1_032).chain([2_000]).collect();
    expected.extend((32..64).chain(1_032..1_064).chain(64..70).chain(1_064..1_070));
    assert_eq!(events, expected);

    // A drain that ends at its limit is followed by the ring behind the one it ended in.
    for publisher in &mut publishers {
        publisher.publish_batch(&mut (0..8).collect());
    }
    shared.publish(99).expect("a free slot");
    assert_eq!(drained(&mut consumer, 3), [0, 1, 2]);
    assert_eq!(drained(&mut consumer, 9), [0, 1, 2, 3, 4, 5, 6, 7, 99]);
    assert_eq!(drained(&mut consumer, 9), [3, 4, 5, 6, 7]);
}

#[test]
fn nothing_is_drained_at_a_limit_of_0() {
    let (intake, mut consumer) = plain_intake(2);
    let mut publisher = intake.publisher().expect("a free ring");
    publisher.publish(1).expect("a free slot");
    assert_eq!(drained(&mut consumer, 0), [0u32; 0]);
    assert_eq!(drained(&mut consumer, 1), [1]);
}

#[test]
fn a_panic_over_an_event_costs_that_event_alone() {
    let (intake, mut consumer) = plain_intake(4);
    let mut publisher = intake.publisher().expect("a free ring");
    publisher.publish_batch(&mut vec![1, 2, 3]);
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        consumer.drain(8, |event| assert_ne!(event, 2, "planned"));
    }));
    assert!(outcome.is_err());
    assert_eq!(drained(&mut consumer, 8), [3]);
    assert!(publisher.is_drained());
}

#[test]
fn publishing_wakes_a_sleeper_once_for_a_batch_and_not_for_nothing() {
    let wake = Arc::new(Wake::new(2));
    (0..2).for_each(|shard| wake.register(shard, || ()));
    let (intake, _consumer) = intake(4, Arc::clone(&wake));
    let mut publisher = intake.publisher().expect("a free ring");
    let shared = intake.shared_publisher();
    wake.park(0);
    wake.park(1);
    publisher.publish_batch(&mut Vec::new());
    shared.enqueue(1).expect("a free slot");
    assert_eq!(wake.wakes(), 0);
    publisher.publish_batch(&mut vec![1, 2, 3, 4]);
    assert_eq!(wake.wakes(), 1);
    assert_eq!(publisher.publish(5), Err(Full(5)));
    assert_eq!(wake.wakes(), 1);
    shared.announce();
    assert_eq!(wake.wakes(), 2);
}

#[test]
fn what_is_shown_for_debugging_needs_nothing_of_the_event() {
    struct Opaque;
    let (intake, consumer) = intake::<Opaque>(2, Arc::new(Wake::new(1)));
    let mut publisher = intake.publisher().expect("a free ring");
    assert!(publisher.publish(Opaque).is_ok());
    let shown = format!("{intake:?} {consumer:?} {publisher:?} {:?}", intake.shared_publisher());
    assert!(shown.contains("depth: 1"), "{shown}");
}
