//! Goal: no event is left behind with every shard asleep, in any interleaving. Method: loom runs the real `wake`, `ring`
//! and encoder role under a small shard loop; a lost wake-up is a shard that sleeps for ever, which loom reports as a
//! deadlock.
//!
//! Run with `RUSTFLAGS="--cfg lineage_loom" cargo test --release --test loom_wake`. `tests/mutations.txt` lists planted
//! faults that must make one of these models fail.
#![cfg(lineage_loom)]

use lineage::ring::{Consumer, Intake, intake};
use lineage::role::Role;
use lineage::sync::{Arc, Flag, Mutex, Watermark, mutated};
use lineage::wake::Wake;
use loom::sync::Condvar;
use loom::thread;

/// Explores `model` with at most `preemptions` forced switches per run.
fn explore(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(model);
}

/// What a shard sleeps on: as an eventfd, it keeps a ring that comes early.
#[derive(Default)]
struct Bell {
    rung: Mutex<bool>,
    changed: Condvar,
}

impl Bell {
    fn ring(&self) {
        *self.rung.lock().expect("the bell") = true;
        self.changed.notify_one();
    }

    fn sleep(&self) {
        let mut rung = self.rung.lock().expect("the bell");
        while !*rung {
            rung = self.changed.wait(rung).expect("the bell");
        }
        *rung = false;
    }
}

/// Gives `shard` a bell as its waker.
fn bell(wake: &Wake, shard: usize) -> Arc<Bell> {
    let bell = Arc::new(Bell::default());
    let ringer = Arc::clone(&bell);
    wake.register(shard, move || ringer.ring());
    bell
}

/// The encoder's state: the intake's reading end, and how many events it has seen.
struct Encoder {
    consumer: Consumer<u32>,
    encoded: u64,
}

/// What all shards share.
struct Engine {
    wake: Arc<Wake>,
    intake: Arc<Intake<u32>>,
    role: Role<Encoder>,
    /// The log's head: events encoded.
    head: Watermark,
}

impl Engine {
    fn new(shards: usize) -> Arc<Self> {
        let wake = Arc::new(Wake::new(shards));
        let (intake, consumer) = intake(2, Arc::clone(&wake));
        let role = Role::new(Encoder { consumer, encoded: 0 }, Arc::clone(&wake));
        Arc::new(Self { wake, intake, role, head: Watermark::new() })
    }

    fn encode(&self) -> usize {
        let batch = |encoder: &mut Encoder| {
            let count = encoder.consumer.drain(2, |_| ());
            encoder.encoded += count as u64;
            if count > 0 {
                self.head.publish(encoder.encoded);
            }
            count
        };
        self.role.run(|| self.intake.is_ready(), batch)
    }

    /// A shard's loop until it has seen `events` events in the log.
    fn run_shard(&self, shard: usize, bell: &Bell, events: u64) {
        loop {
            self.encode();
            let seen = self.head.observe();
            if seen == events {
                return;
            }
            self.wake.park(shard);
            let work = self.intake.is_ready() || self.head.observe() != seen;
            if work && !mutated("wake-park-unchecked") {
                self.wake.unpark(shard);
                thread::yield_now();
                continue;
            }
            bell.sleep();
            self.wake.unpark(shard);
        }
    }
}

/// Every shard sees every event, whoever encodes it.
fn every_shard_sees(shards: usize, events: u64) {
    let engine = Engine::new(shards);
    let threads: Vec<_> = (0..shards)
        .map(|shard| {
            let bell = bell(&engine.wake, shard);
            let engine = Arc::clone(&engine);
            thread::spawn(move || engine.run_shard(shard, &bell, events))
        })
        .collect();
    let mut publisher = engine.intake.publisher().expect("a free ring");
    for _ in 0..events {
        publisher.publish(7).expect("a free slot");
    }
    for thread in threads {
        thread.join().expect("a shard");
    }
    assert!(publisher.is_drained());
}

#[test]
fn one_shard_is_woken_for_one_event() {
    explore(3, || every_shard_sees(1, 1));
}

#[test]
fn one_shard_is_woken_for_each_of_two_events() {
    explore(3, || every_shard_sees(1, 2));
}

#[test]
fn two_shards_see_one_event() {
    explore(2, || every_shard_sees(2, 1));
}

#[test]
fn two_shards_see_two_events() {
    explore(2, || every_shard_sees(2, 2));
}

#[test]
fn the_holder_of_the_role_finds_what_was_published_while_it_worked() {
    // Two threads that never sleep, such as publishers that help: whoever finds the role taken leaves its event to
    // the holder, who must look again after the release.
    explore(3, || {
        let engine = Engine::new(1);
        let threads = [1, 2].map(|event| {
            let engine = Arc::clone(&engine);
            let publisher = engine.intake.shared_publisher();
            thread::spawn(move || {
                publisher.publish(event).expect("a free slot");
                engine.encode()
            })
        });
        let encoded: usize =
            threads.into_iter().map(|thread| thread.join().expect("a helper")).sum();
        assert_eq!(encoded, 2, "an event was left in the ring");
        assert_eq!(engine.head.observe(), 2);
    });
}

#[test]
fn one_thread_at_a_time_works_on_the_state_of_a_role() {
    explore(3, || {
        let role = Arc::new(Role::new(0_u32, Arc::new(Wake::new(1))));
        let threads = [1, 2].map(|_| {
            let role = Arc::clone(&role);
            thread::spawn(move || {
                role.try_with(|state| {
                    *state += 1;
                    *state
                })
            })
        });
        let mut seen = threads.map(|thread| thread.join().expect("a worker"));
        seen.sort_unstable();
        assert!(
            [[None, Some(1)], [Some(1), Some(2)]].contains(&seen),
            "{seen:?}: nobody worked, or somebody saw half of it"
        );
    });
}

#[test]
fn a_sleep_is_ended_by_one_wake_however_many_announce() {
    explore(3, || {
        let wake = Arc::new(Wake::new(1));
        let bell = bell(&wake, 0);
        wake.park(0);
        let announcers = [1, 2].map(|_| {
            let wake = Arc::clone(&wake);
            thread::spawn(move || wake.announce())
        });
        bell.sleep();
        wake.unpark(0);
        for announcer in announcers {
            announcer.join().expect("an announcer");
        }
        assert_eq!(wake.wakes(), 1);
    });
}

#[test]
fn a_full_inbox_is_never_slept_on() {
    explore(3, || {
        let wake = Arc::new(Wake::new(1));
        let bell = bell(&wake, 0);
        let inbox = Arc::new(Flag::new());
        let sender = {
            let (wake, inbox) = (Arc::clone(&wake), Arc::clone(&inbox));
            thread::spawn(move || {
                inbox.raise();
                wake.nudge(0);
            })
        };
        while !inbox.is_raised() {
            wake.park(0);
            if !inbox.is_raised() {
                bell.sleep();
            }
            wake.unpark(0);
        }
        sender.join().expect("the sender");
    });
}
