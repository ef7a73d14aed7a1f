//! Goal: the rings deliver what was accepted, in the order of each publisher, once, and refuse exactly when they are
//! full. Method: random interleavings of all operations on one thread, against a `VecDeque` per ring; values count
//! their own drops. Interleavings of threads are the matter of `loom_ring` and `stress_ring`.
#![cfg(not(lineage_loom))]

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use lineage::ring::{Consumer, Full, Intake, Publisher, SharedPublisher, intake, pair};
use lineage::wake::Wake;
use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};
use proptest::test_runner::TestCaseResult;

/// Private rings of an intake.
const PUBLISHERS_MAX: usize = 63;

/// A value that knows its ring and its place, and is counted while it lives.
#[derive(Debug)]
struct Counted {
    ring: usize,
    place: u64,
    living: Arc<AtomicI64>,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.living.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Debug, Clone)]
enum Step {
    Claim,
    Publish(usize),
    PublishBatch(usize, usize),
    DropPublisher(usize),
    PublishShared,
    Enqueue,
    Drain(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => Just(Step::Claim),
        6 => any::<usize>().prop_map(Step::Publish),
        4 => (any::<usize>(), 0_usize..12).prop_map(|(who, count)| Step::PublishBatch(who, count)),
        1 => any::<usize>().prop_map(Step::DropPublisher),
        3 => Just(Step::PublishShared),
        2 => Just(Step::Enqueue),
        5 => (0_usize..20).prop_map(Step::Drain),
    ]
}

/// The index of the shared ring in the model.
const SHARED: usize = PUBLISHERS_MAX;

/// The rings under test beside what they should hold.
struct Model {
    intake: Arc<Intake<Counted>>,
    consumer: Consumer<Counted>,
    shared: SharedPublisher<Counted>,
    /// The owner of each private ring; a new one gets the lowest ring that is free.
    owners: Vec<Option<Publisher<Counted>>>,
    rings: Vec<VecDeque<u64>>,
    capacity: usize,
    places: u64,
    living: Arc<AtomicI64>,
}

impl Model {
    fn new(capacity: usize) -> Self {
        let (intake, consumer) = intake(capacity, Arc::new(Wake::new(1)));
        Self {
            shared: intake.shared_publisher(),
            intake,
            consumer,
            owners: (0..PUBLISHERS_MAX).map(|_| None).collect(),
            rings: vec![VecDeque::new(); PUBLISHERS_MAX + 1],
            capacity,
            places: 0,
            living: Arc::new(AtomicI64::new(0)),
        }
    }

    fn value(&mut self, ring: usize) -> Counted {
        self.places += 1;
        self.living.fetch_add(1, Ordering::Relaxed);
        Counted { ring, place: self.places, living: Arc::clone(&self.living) }
    }

    /// One of the owned rings, chosen by `who`.
    fn owned(&self, who: usize) -> Option<usize> {
        let owned: Vec<_> =
            (0..PUBLISHERS_MAX).filter(|&ring| self.owners[ring].is_some()).collect();
        (!owned.is_empty()).then(|| owned[who % owned.len()])
    }

    fn free(&self, ring: usize) -> usize {
        self.capacity - self.rings[ring].len()
    }

    /// Notes one value that was accepted, or checks that it was refused for good reason and came back.
    fn settle(&mut self, ring: usize, outcome: Result<(), Full<Counted>>) -> TestCaseResult {
        let free = self.free(ring);
        match outcome {
            Ok(()) => {
                prop_assert!(free > 0, "a full ring took a value");
                self.rings[ring].push_back(self.places);
            }
            Err(Full(value)) => {
                prop_assert_eq!(free, 0, "a ring with room refused");
                prop_assert_eq!(value.place, self.places);
            }
        }
        Ok(())
    }

    fn apply(&mut self, step: &Step) -> TestCaseResult {
        match *step {
            Step::Claim => {
                let free = self.owners.iter().position(Option::is_none);
                let claimed = self.intake.publisher();
                prop_assert_eq!(claimed.is_ok(), free.is_some());
                if let (Some(ring), Ok(publisher)) = (free, claimed) {
                    self.owners[ring] = Some(publisher);
                }
            }
            Step::Publish(who) => {
                let Some(ring) = self.owned(who) else {
                    return Ok(());
                };
                let value = self.value(ring);
                let owner = self.owners[ring].as_mut().expect("an owned ring");
                let outcome = owner.publish(value);
                self.settle(ring, outcome)?;
            }
            Step::PublishBatch(who, count) => {
                let Some(ring) = self.owned(who) else {
                    return Ok(());
                };
                let mut values: Vec<_> = (0..count).map(|_| self.value(ring)).collect();
                let places: Vec<_> = values.iter().map(|value| value.place).collect();
                let owner = self.owners[ring].as_mut().expect("an owned ring");
                let accepted = owner.publish_batch(&mut values);
                prop_assert_eq!(accepted, count.min(self.free(ring)));
                let refused: Vec<_> = values.iter().map(|value| value.place).collect();
                prop_assert_eq!(&refused[..], &places[accepted..]);
                self.rings[ring].extend(&places[..accepted]);
            }
            Step::DropPublisher(who) => {
                if let Some(ring) = self.owned(who) {
                    self.owners[ring] = None;
                }
            }
            Step::PublishShared => {
                let value = self.value(SHARED);
                let outcome = self.shared.publish(value);
                self.settle(SHARED, outcome)?;
            }
            Step::Enqueue => {
                let value = self.value(SHARED);
                let outcome = self.shared.clone().enqueue(value);
                self.settle(SHARED, outcome)?;
                self.shared.announce();
            }
            Step::Drain(limit) => self.drain(limit)?,
        }
        self.check()
    }

    fn drain(&mut self, limit: usize) -> TestCaseResult {
        let waiting: usize = self.rings.iter().map(VecDeque::len).sum();
        let mut drained = Vec::new();
        let count = self.consumer.drain(limit, |value| drained.push((value.ring, value.place)));
        prop_assert_eq!(count, limit.min(waiting));
        prop_assert_eq!(count, drained.len());
        for (ring, place) in drained {
            prop_assert_eq!(self.rings[ring].pop_front(), Some(place));
        }
        Ok(())
    }

    fn check(&self) -> TestCaseResult {
        let waiting: usize = self.rings.iter().map(VecDeque::len).sum();
        prop_assert_eq!(self.intake.depth(), waiting as u64);
        prop_assert_eq!(self.intake.is_ready(), waiting > 0);
        prop_assert_eq!(self.shared.is_drained(), self.rings[SHARED].is_empty());
        for (owner, ring) in self.owners.iter().zip(&self.rings) {
            if let Some(owner) = owner {
                prop_assert_eq!(owner.is_drained(), ring.is_empty());
            }
        }
        // Refused values and drained ones are gone; exactly those that wait are alive.
        prop_assert_eq!(self.living.load(Ordering::Relaxed), waiting as i64);
        Ok(())
    }
}

proptest! {
    #[test]
    fn an_intake_behaves_as_a_queue_per_ring(
        bits in 1_u32..6,
        steps in proptest::collection::vec(step(), 1..400),
    ) {
        let mut model = Model::new(1 << bits);
        for step in &steps {
            model.apply(step)?;
        }
        let living = Arc::clone(&model.living);
        drop(model);
        prop_assert_eq!(living.load(Ordering::Relaxed), 0, "values leaked with the intake");
    }

    #[test]
    fn a_pair_behaves_as_a_queue(
        bits in 1_u32..5,
        sends in proptest::collection::vec(any::<bool>(), 1..200),
        receiver_goes_first in any::<bool>(),
    ) {
        let capacity = 1_usize << bits;
        let living = Arc::new(AtomicI64::new(0));
        let (mut sender, mut receiver) = pair(capacity);
        let mut queue = VecDeque::new();
        for (place, send) in (0..).zip(sends) {
            if send {
                living.fetch_add(1, Ordering::Relaxed);
                let value = Counted { ring: 0, place, living: Arc::clone(&living) };
                prop_assert_eq!(sender.send(value).is_ok(), queue.len() < capacity);
                if queue.len() < capacity {
                    queue.push_back(place);
                }
            } else {
                prop_assert_eq!(receiver.receive().map(|value| value.place), queue.pop_front());
            }
            prop_assert_eq!(sender.depth(), queue.len());
            prop_assert_eq!(receiver.depth(), queue.len());
        }
        prop_assert!(!sender.is_closed() && !receiver.is_closed());
        if receiver_goes_first {
            drop(receiver);
            prop_assert!(sender.is_closed());
            drop(sender);
        } else {
            drop(sender);
            prop_assert!(receiver.is_closed());
            while let Some(value) = receiver.receive() {
                prop_assert_eq!(Some(value.place), queue.pop_front());
            }
            prop_assert!(queue.is_empty());
        }
        prop_assert_eq!(living.load(Ordering::Relaxed), 0, "values leaked with the pair");
    }
}
