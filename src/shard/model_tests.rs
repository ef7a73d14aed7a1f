//! Goal: every client of a shard sees exactly what it asked for, or is told what it missed.
//!
//! Method: random histories of publishing, subscribing, slow and half writes, pings, overruns and lapses drive a
//! real shard with real rings, encoder and log over scripted sockets. Every client's bytes must parse as whole
//! frames; per topic the next frame is the next seq or a gap that starts there; a snapshot repeats the newest seq;
//! nothing comes that was not asked for; at the end nothing is missing.

use super::model_checks::{PATTERNS, TOPICS, check_legacy, check_v1, parse};
use super::{Arrival, Dispatch, Endpoint, Floors, Options, PublishRight, Setup, Shard, Transport};
use crate::clock::{Clock, ManualClock};
use crate::encode::{self, Encoder, SharedPublisher};
use crate::event::{Body, Cents, Event, Json, Market, Topic, Topics};
use crate::session::Limits;
use crate::sync::Tally;
use crate::telemetry::Telemetry;
use crate::wake::Wake;
use crate::{log, ring};
use bytes::Bytes;
use proptest::prelude::*;
use std::cell::RefCell;
use std::io::{self, ErrorKind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// The scripted end of a socket.
#[derive(Debug, Default)]
pub(super) struct Peer {
    /// Bytes the socket takes before it blocks.
    pub(super) room: usize,
    pub(super) written: Vec<u8>,
    /// Lengths of the writes that were tried.
    pub(super) offered: Vec<usize>,
    pub(super) to_read: Vec<u8>,
    pub(super) is_finished: bool,
    pub(super) is_reset: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Script(pub(super) Rc<RefCell<Peer>>);

impl Transport for Script {
    fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut peer = self.0.borrow_mut();
        if peer.to_read.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let count = peer.to_read.len().min(buffer.len());
        buffer[..count].copy_from_slice(&peer.to_read[..count]);
        peer.to_read.drain(..count);
        Ok(count)
    }
    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut peer = self.0.borrow_mut();
        peer.offered.push(bytes.len());
        let count = peer.room.min(bytes.len());
        if count == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        peer.room -= count;
        peer.written.extend_from_slice(&bytes[..count]);
        Ok(count)
    }
    fn finish(&mut self) {
        self.0.borrow_mut().is_finished = true;
    }
    fn reset(self) {
        self.0.borrow_mut().is_reset = true;
    }
}

#[derive(Debug)]
pub(super) struct Client {
    pub(super) peer: Rc<RefCell<Peer>>,
    pub(super) slot: usize,
    pub(super) is_v1: bool,
    pub(super) pings: usize,
}

pub(super) struct World {
    pub(super) shard: Shard<Script>,
    pub(super) dispatch: Arc<Dispatch<Script>>,
    pub(super) encoder: Arc<Encoder>,
    publisher: SharedPublisher,
    pub(super) topics: Vec<Topic>,
    /// Every event in order: its topic's index.
    pub(super) history: Vec<usize>,
    pub(super) clients: Vec<Client>,
    pub(super) time: ManualClock,
    pub(super) clock: Clock,
}

#[derive(Debug, Clone)]
enum Step {
    Connect { is_v1: bool, room: usize },
    Publish { topic: usize, size: usize, count: usize },
    Encode,
    Turn(usize),
    Room { client: usize, bytes: usize },
    Subscribe { client: usize, patterns: Vec<usize> },
    Unsubscribe { client: usize, patterns: Vec<usize> },
    Ping { client: usize },
    Wait { ms: u64 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let some_patterns = || prop::collection::vec(0..PATTERNS.len(), 1..4);
    let room = prop_oneof![Just(0usize), 1..400usize, 400..9_000usize, Just(usize::MAX >> 1)];
    let step = prop_oneof![
        2 => (any::<bool>(), room.clone()).prop_map(|(is_v1, room)| Step::Connect { is_v1, room }),
        8 => (0..TOPICS.len(), prop_oneof![9 => 0..120usize, 1 => 900..5_000usize], 1..24usize)
            .prop_map(|(topic, size, count)| Step::Publish { topic, size, count }),
        2 => Just(Step::Encode),
        8 => (1..5usize).prop_map(Step::Turn),
        6 => (0..8usize, room).prop_map(|(client, bytes)| Step::Room { client, bytes }),
        5 => (0..8usize, some_patterns()).prop_map(|(client, patterns)| Step::Subscribe { client, patterns }),
        2 => (0..8usize, some_patterns()).prop_map(|(client, patterns)| Step::Unsubscribe { client, patterns }),
        1 => (0..8usize).prop_map(|client| Step::Ping { client }),
        1 => (1..900u64).prop_map(|ms| Step::Wait { ms }),
    ];
    prop::collection::vec(step, 1..60)
}

impl World {
    pub(super) fn new() -> Self {
        let (clock, time) = Clock::manual(1_700_000_000_000_000);
        let wake = Arc::new(Wake::new(1));
        let telemetry = Telemetry::with_clock(1, clock.clone());
        let topics = Arc::new(Topics::new());
        let (intake, consumer) = ring::intake(1_024, wake.clone());
        let encoder = Arc::new(Encoder::new(encode::Parts {
            topics: topics.clone(),
            intake: intake.clone(),
            consumer,
            wake: wake.clone(),
            telemetry: telemetry.clone(),
            log: log::Options {
                segment_bytes: 4_096,
                segment_records: 16,
                segments_max: 4,
                shared_frame_max: 2_048,
            },
        }));
        #[expect(clippy::arc_with_non_send_sync, reason = "scripted sockets stay on one thread")]
        let dispatch = Arc::new(Dispatch::new(1, wake));
        let publisher = SharedPublisher::new(intake.shared_publisher(), telemetry.clone());
        let shard = Shard::new(Setup {
            index: 0,
            options: Options {
                lag_bytes_max: 3_000,
                lag_age_max: Duration::from_secs(5),
                write_stall_max: Duration::from_secs(3_600),
                silence_max: Duration::from_secs(3_600),
                ping_interval: Duration::from_secs(3_000),
                visit_bytes_max: 700,
                limits: Limits { messages_per_s: 1_000_000, burst: 1_000_000, ..Limits::default() },
                publish: PublishRight::Nobody,
                ..Options::default()
            },
            encoder: encoder.clone(),
            dispatch: dispatch.clone(),
            publisher: publisher.clone(),
            telemetry: telemetry.shard(0),
            totals: telemetry.clone(),
            clock: clock.clone(),
            epoch: "test".into(),
            served: Arc::new(Tally::new()),
            floors: Arc::new(Floors::new(1)),
            handler: None,
        });
        let known =
            TOPICS.map(|(name, class)| topics.register(name, Some(class)).expect("a good name"));
        Self {
            shard,
            dispatch,
            encoder,
            publisher,
            topics: known.to_vec(),
            history: Vec::new(),
            clients: Vec::new(),
            time,
            clock,
        }
    }

    pub(super) fn connect(&mut self, is_v1: bool, room: usize) {
        let peer = Rc::new(RefCell::new(Peer { room, ..Peer::default() }));
        let endpoint = if is_v1 { Endpoint::V1 } else { Endpoint::Legacy };
        let arrival = Arrival {
            stream: Script(peer.clone()),
            early: Bytes::new(),
            peer: ([127, 0, 0, 1], 1).into(),
            endpoint,
            seat: None,
        };
        self.dispatch.place(arrival).expect("the inbox has room");
        self.shard.turn();
        self.shard.admitted.clear();
        self.clients.push(Client { peer, slot: self.clients.len(), is_v1, pings: 0 });
    }

    pub(super) fn publish(&mut self, topic: usize, size: usize) {
        let body = if TOPICS[topic].0.starts_with("market:") {
            let price = Cents(i64::try_from(self.history.len()).expect("short histories") + 100);
            Body::Market(Market { symbol: TOPICS[topic].0[7..].into(), price })
        } else {
            Body::External(
                Json::parse(Bytes::from(format!("\"{}\"", "x".repeat(size)))).expect("json"),
            )
        };
        let event = Event { topic: self.topics[topic], key: 0, time_us: self.clock.now_us(), body };
        if self.publisher.publish(event).is_ok() {
            self.history.push(topic);
        }
    }

    pub(super) fn send(&mut self, client: usize, opcode: u8, payload: &[u8]) {
        let Some(client) = self.clients.get(client) else { return };
        let mut frame = vec![0x80 | opcode];
        if payload.len() < 126 {
            frame.push(0x80 | u8::try_from(payload.len()).expect("short"));
        } else {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&u16::try_from(payload.len()).expect("short").to_be_bytes());
        }
        frame.extend_from_slice(&[0; 4]);
        frame.extend_from_slice(payload);
        client.peer.borrow_mut().to_read.extend_from_slice(&frame);
        let slot = client.slot;
        self.shard.readable(slot);
    }

    pub(super) fn ask(&mut self, client: usize, op: &str, patterns: &[usize]) {
        if self.clients.get(client).is_none_or(|client| !client.is_v1) {
            return;
        }
        let names: Vec<_> = patterns.iter().map(|&pattern| PATTERNS[pattern]).collect();
        let message = serde_json::json!({ "op": op, "id": 1, "topics": names });
        self.send(client, 1, message.to_string().as_bytes());
    }

    fn run(&mut self, step: &Step) {
        match step {
            Step::Connect { is_v1, room } if self.clients.len() < 8 => self.connect(*is_v1, *room),
            Step::Connect { .. } => {}
            Step::Publish { topic, size, count } => {
                (0..*count).for_each(|_| self.publish(*topic, *size))
            }
            Step::Encode => while self.encoder.run() > 0 {},
            Step::Turn(turns) => {
                for _ in 0..*turns {
                    self.shard.turn();
                    self.check_due();
                }
            }
            Step::Room { client, bytes } => {
                if let Some(client) = self.clients.get(*client) {
                    client.peer.borrow_mut().room = *bytes;
                    self.shard.run_soon(client.slot);
                }
            }
            Step::Subscribe { client, patterns } => self.ask(*client, "subscribe", patterns),
            Step::Unsubscribe { client, patterns } => self.ask(*client, "unsubscribe", patterns),
            Step::Ping { client } => {
                if self.clients.get(*client).is_some() {
                    self.send(*client, 9, b"p");
                    self.clients[*client].pings += 1;
                }
            }
            Step::Wait { ms } => self.time.advance_us(ms * 1_000),
        }
    }

    /// No member with a cursor below its group's end is neither due nor a laggard.
    fn check_due(&self) {
        for client in &self.clients {
            if self.shard.unsent_bytes(client.slot) == 0
                || !self.shard.connections.is_open(client.slot)
            {
                continue;
            }
            let is_laggard =
                self.shard.connections.flags[client.slot].has(super::connections::Flags::LAGGARD);
            let group = self.shard.groups.at(self.shard.connections.group[client.slot]);
            assert!(
                is_laggard || (group.remaining > 0 && group.is_queued),
                "client {} is stuck",
                client.slot
            );
        }
    }

    /// Every socket takes everything; turns until nothing moves.
    pub(super) fn finish(&mut self) {
        for client in &self.clients {
            client.peer.borrow_mut().room = usize::MAX >> 1;
            self.shard.run_soon(client.slot);
        }
        for _ in 0..10_000 {
            if !self.shard.turn() && !self.shard.has_work() {
                return;
            }
        }
        panic!("the shard never comes to rest");
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
        assert!(!peer.is_reset && !peer.is_finished, "client {} was dropped", client.slot);
        let (messages, pongs) = parse(&peer.written);
        assert_eq!(pongs, client.pings);
        if client.is_v1 {
            check_v1(&messages, &world.history);
        } else {
            check_legacy(&messages, &world.history);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, ..ProptestConfig::default() })]
    #[test]
    fn every_client_gets_what_it_asked_for_or_a_gap_that_says_what_it_missed(steps in steps()) {
        check(&steps);
    }
}
