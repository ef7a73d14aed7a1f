//! Goal: every client of a shard sees exactly what it asked for, or is told what it missed.
//!
//! Method: random histories of publishing, subscribing in every mode, slow and half writes, pings, losses of the
//! connection with resumes, overruns and lapses drive a real shard with real rings, encoder and log over scripted
//! sockets (`model_world`, `model_feed`), while other threads go on publishing. `model_checks` says what is demanded of
//! the frames that `model_frames` finds. A history that fails is made smaller and kept in `proptest-regressions`, where
//! every later run begins; `PROPTEST_CASES` sets their number.

use super::model_checks::{Asked, EPOCH, MODES, PATTERNS, TOPICS, check_legacy, check_v1};
use super::model_frames::parse;
use super::model_world::{Kind, World};
use super::planted;
use proptest::prelude::*;
use proptest::test_runner::{TestError, TestRunner};

#[derive(Debug, Clone)]
enum Step {
    Connect {
        kind: Kind,
        room: usize,
    },
    Publish {
        topic: usize,
        size: usize,
        count: usize,
    },
    Encode,
    /// Others publish and encode while the shard works, so many events.
    Meanwhile(usize),
    Turn(usize),
    Room {
        client: usize,
        bytes: usize,
    },
    Subscribe {
        client: usize,
        patterns: Vec<usize>,
        mode: usize,
        wants_snapshot: bool,
    },
    Unsubscribe {
        client: usize,
        patterns: Vec<usize>,
    },
    /// Close it rather than telling gaps.
    Strict {
        client: usize,
    },
    /// The client loses its connection and comes back with what it has.
    Resume {
        client: usize,
        room: usize,
        mode: usize,
        is_restarted: bool,
    },
    Ping {
        client: usize,
    },
    Wait {
        ms: u64,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let some_patterns = || prop::collection::vec(0..PATTERNS.len(), 1..4);
    let room = prop_oneof![Just(0usize), 1..400usize, 400..9_000usize, Just(usize::MAX >> 1)];
    let kind = prop_oneof![6 => Just(Kind::V1), 1 => Just(Kind::Flat), 1 => Just(Kind::Nested), 1 => Just(Kind::OnlyA)];
    let mode = || prop_oneof![3 => Just(0usize), 1 => Just(1usize), 1 => Just(2usize)];
    let step = prop_oneof![
        4 => (kind, room.clone()).prop_map(|(kind, room)| Step::Connect { kind, room }),
        16 => (0..TOPICS.len(), prop_oneof![90 => 0..120usize, 10 => 900..5_000usize, 1 => 17_000..20_000usize], 1..24usize)
            .prop_map(|(topic, size, count)| Step::Publish { topic, size, count }),
        4 => Just(Step::Encode),
        2 => (1..80usize).prop_map(Step::Meanwhile),
        16 => (1..5usize).prop_map(Step::Turn),
        12 => (0..8usize, room.clone()).prop_map(|(client, bytes)| Step::Room { client, bytes }),
        10 => (0..8usize, some_patterns(), mode(), any::<bool>()).prop_map(
            |(client, patterns, mode, wants_snapshot)| Step::Subscribe { client, patterns, mode, wants_snapshot }
        ),
        4 => (0..8usize, some_patterns()).prop_map(|(client, patterns)| Step::Unsubscribe { client, patterns }),
        1 => (0..8usize).prop_map(|client| Step::Strict { client }),
        4 => (0..8usize, room, mode(), prop::bool::weighted(0.2)).prop_map(
            |(client, room, mode, is_restarted)| Step::Resume { client, room, mode, is_restarted }
        ),
        2 => (0..8usize).prop_map(|client| Step::Ping { client }),
        4 => prop_oneof![8 => 1..900u64, 1 => Just(16_000u64)].prop_map(|ms| Step::Wait { ms }),
    ];
    prop::collection::vec(step, 1..60)
}

impl World {
    /// A client hangs up and comes back with the position it has; or with one of another run of the server.
    fn resume(&mut self, client: usize, room: usize, mode: u64, is_restarted: bool) {
        let Some(of) = self.clients.get_mut(client) else { return };
        if of.kind != Kind::V1 || of.is_gone || self.shard.connections.socket[of.slot].is_none() {
            return;
        }
        of.is_gone = true;
        of.peer.borrow_mut().is_gone = true;
        let (slot, messages) = (of.slot, parse(&of.peer.borrow().written, true).messages);
        self.shard.readable(slot);
        let mut positions = messages.iter().filter_map(|message| match message["type"].as_str() {
            Some("ack" | "heartbeat") => message["payload"]["pos"].as_u64(),
            // A snapshot may stand for events that are still to come, and so may what a conflated view says.
            Some("snapshot") => None,
            _ => message["pos"].as_u64().filter(|_| message.get("prev").is_none()),
        });
        let Some(pos) = positions.next_back() else { return };
        let epoch = if is_restarted { "earlier" } else { EPOCH };
        let patterns: Vec<usize> =
            (0..PATTERNS.len()).filter(|p| (pos + *p as u64).is_multiple_of(3)).collect();
        let from = Some((epoch.to_owned(), pos));
        let asked =
            Asked { op: "subscribe", mode, wants_snapshot: pos % 2 == 0, from, is_strict: false };
        let back = self.connect(Kind::V1, room);
        self.ask(back, &patterns, asked);
    }

    fn run(&mut self, step: &Step) {
        let live = self.clients.iter().filter(|client| !client.is_gone).count();
        match *step {
            Step::Connect { kind, room } if live < 8 => {
                self.connect(kind, room);
            }
            Step::Connect { .. } => {}
            Step::Publish { topic, size, count } => {
                (0..count).for_each(|_| self.publish(topic, size))
            }
            Step::Meanwhile(events) => self.feed.to_come.set(events),
            Step::Encode => while self.encoder.run() > 0 {},
            Step::Turn(turns) => {
                for _ in 0..turns {
                    self.shard.turn();
                    self.check_due();
                }
            }
            Step::Room { client, bytes } => {
                if let Some(client) = self.clients.get(client).filter(|client| !client.is_gone) {
                    client.peer.borrow_mut().room = bytes;
                    self.shard.run_soon(client.slot);
                }
            }
            Step::Subscribe { client, ref patterns, mode, wants_snapshot } => {
                let asked = Asked {
                    op: "subscribe",
                    mode: MODES[mode],
                    wants_snapshot,
                    from: None,
                    is_strict: false,
                };
                self.ask(client, patterns, asked);
            }
            Step::Unsubscribe { client, ref patterns } => {
                let asked = Asked {
                    op: "unsubscribe",
                    mode: 0,
                    wants_snapshot: false,
                    from: None,
                    is_strict: false,
                };
                self.ask(client, patterns, asked);
            }
            Step::Strict { client } => {
                let asked = Asked {
                    op: "subscribe",
                    mode: 0,
                    wants_snapshot: true,
                    from: None,
                    is_strict: true,
                };
                self.ask(client, &[0], asked);
            }
            Step::Resume { client, room, mode, is_restarted } => {
                self.resume(client, room, MODES[mode], is_restarted);
            }
            Step::Ping { client } => {
                if self.clients.get(client).is_some_and(|client| !client.is_gone) {
                    self.send(client, 9, b"p");
                    self.clients[client].pings += 1;
                }
            }
            Step::Wait { ms } => self.time.advance_us(ms * 1_000),
        }
    }
}

fn check(steps: &[Step]) {
    let mut world = World::new();
    for step in steps {
        world.run(step);
    }
    world.finish();
    for client in &world.clients {
        let peer = client.peer.borrow();
        let parsed = parse(&peer.written, client.is_gone || peer.is_reset);
        let is_closed =
            parsed.close_code.is_some() || peer.is_finished || (client.is_strict && peer.is_reset);
        assert!(parsed.close_code.is_none_or(|code| code == 4008), "{:?}", parsed.close_code);
        assert!(!peer.is_reset || is_closed, "client {} was dropped", client.slot);
        let is_complete = !client.is_gone && !is_closed;
        assert!(!is_complete || parsed.pongs == client.pings);
        let (messages, history) = (&parsed.messages, &world.feed.history.borrow());
        match client.kind {
            Kind::V1 => check_v1(messages, history, &client.asked, is_complete),
            Kind::Flat => check_legacy(messages, history, false, &["A", "B"]),
            Kind::Nested => check_legacy(messages, history, true, &["A", "B"]),
            Kind::Handler => {}
            Kind::OnlyA => check_legacy(messages, history, false, &["A"]),
        }
    }
}

/// Faults, each of which some history has to bring to light.
const FAULTS: [&str; 9] = [
    "a gap is not told",
    "an event topic is conflated",
    "a resume begins one late",
    "a resume reaches behind the window",
    "a snapshot is stale",
    "prev is not kept",
    "a heartbeat does not wait for the sweep",
    "a heartbeat tells of topics that moved on",
    "a lapse is not told",
];

#[test]
fn every_planted_fault_is_noticed() {
    for fault in FAULTS {
        let config = ProptestConfig {
            cases: 20_000,
            failure_persistence: None,
            max_shrink_iters: 0,
            ..ProptestConfig::default()
        };
        let mut runner = TestRunner::new(config);
        let outcome = planted::with(fault, || {
            runner.run(&steps(), |steps| {
                check(&steps);
                Ok(())
            })
        });
        assert!(matches!(outcome, Err(TestError::Fail(..))), "not noticed: {fault}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, ..ProptestConfig::default() })]
    #[test]
    fn every_client_gets_what_it_asked_for_or_a_gap_that_says_what_it_missed(steps in steps()) {
        check(&steps);
    }
}
