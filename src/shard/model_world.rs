//! A shard over scripted sockets, with real rings, encoder and log, and clients that note what they asked: what the
//! model test and the tests of the shard's limits drive.

use super::model_checks::{Asked, EPOCH, PATTERNS, TOPICS};
use super::model_feed::{Feed, Peer, Script};
use super::{
    Arrival, Dispatch, Endpoint, Floors, LegacyKind, LegacyView, Options, PublishRight, Setup,
    Shard,
};
use crate::clock::{Clock, ManualClock};
use crate::encode::{self, Encoder, SharedPublisher};
use crate::event::{Pattern, Topics};
use crate::session::Limits;
use crate::snapshot::Keeper;
use crate::sync::Tally;
use crate::telemetry::Telemetry;
use crate::wake::Wake;
use crate::{log, ring};
use bytes::Bytes;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// What a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    V1,
    Flat,
    Nested,
    /// Flat, of one symbol.
    OnlyA,
    /// Speaks to the mounted handler.
    Handler,
}

#[derive(Debug)]
pub(super) struct Client {
    pub(super) peer: Rc<RefCell<Peer>>,
    pub(super) slot: usize,
    pub(super) kind: Kind,
    pub(super) pings: usize,
    /// What it asked, by number.
    pub(super) asked: HashMap<u64, Asked>,
    /// It would rather be closed than told gaps.
    pub(super) is_strict: bool,
    pub(super) is_gone: bool,
}

pub(super) struct World {
    pub(super) shard: Shard<Script>,
    pub(super) dispatch: Arc<Dispatch<Script>>,
    pub(super) encoder: Arc<Encoder>,
    pub(super) feed: Rc<Feed>,
    pub(super) clients: Vec<Client>,
    pub(super) time: ManualClock,
}

impl World {
    pub(super) fn new() -> Self {
        let (clock, time) = Clock::manual(1_700_000_000_000_000);
        let wake = Arc::new(Wake::new(1));
        let telemetry = Telemetry::with_clock(1, clock.clone());
        let topics = Arc::new(Topics::new());
        let (intake, consumer) = ring::intake(1_024, wake.clone());
        let (keeper, values) = Keeper::new(4);
        let encoder = Arc::new(Encoder::new(encode::Parts {
            topics: topics.clone(),
            intake: intake.clone(),
            consumer,
            wake: wake.clone(),
            telemetry: telemetry.clone(),
            values: Box::new(keeper),
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
                snapshots_max: 1,
                slice_writes_max: 5,
                limits: Limits {
                    messages_per_s: 1_000_000,
                    burst: 1_000_000,
                    heartbeat_s: 1,
                    ..Limits::default()
                },
                publish: PublishRight::Nobody,
                ..Options::default()
            },
            encoder: encoder.clone(),
            values,
            dispatch: dispatch.clone(),
            publisher: publisher.clone(),
            telemetry: telemetry.shard(0),
            totals: telemetry.clone(),
            clock: clock.clone(),
            epoch: EPOCH.into(),
            served: Arc::new(Tally::new()),
            floors: Arc::new(Floors::new(1)),
            handler: None,
        });
        let known =
            TOPICS.map(|(name, class)| topics.register(name, Some(class)).expect("a good name"));
        let feed = Feed {
            publisher,
            encoder: encoder.clone(),
            clock,
            topics: known.to_vec(),
            history: RefCell::default(),
            to_come: Cell::new(0),
        };
        Self { shard, dispatch, feed: Rc::new(feed), encoder, clients: Vec::new(), time }
    }

    pub(super) fn connect(&mut self, kind: Kind, room: usize) -> usize {
        let peer = Rc::new(RefCell::new(Peer { room, ..Peer::default() }));
        let legacy = |kind, patterns| Endpoint::Legacy(LegacyView { kind, patterns });
        let only_a: Box<[Pattern]> = [Pattern::parse("market:A").expect("a name")].into();
        let arrival = Arrival {
            stream: Script { peer: peer.clone(), feed: self.feed.clone() },
            early: Bytes::new(),
            peer: ([127, 0, 0, 1], 1).into(),
            endpoint: match kind {
                Kind::V1 => Endpoint::V1,
                Kind::Handler => Endpoint::Custom,
                Kind::Flat => legacy(LegacyKind::Firehose, None),
                Kind::Nested => legacy(LegacyKind::Nested, None),
                Kind::OnlyA => legacy(LegacyKind::Firehose, Some(only_a)),
            },
            seat: None,
        };
        self.dispatch.place(arrival).expect("the inbox has room");
        self.shard.turn();
        let slot = self.shard.admitted.pop().expect("admitted in the first turn") as usize;
        let asked = HashMap::new();
        self.clients.push(Client {
            peer,
            slot,
            kind,
            pings: 0,
            asked,
            is_strict: false,
            is_gone: false,
        });
        self.clients.len() - 1
    }

    pub(super) fn publish(&mut self, topic: usize, size: usize) {
        self.feed.publish(topic, size);
    }

    pub(super) fn send(&mut self, client: usize, opcode: u8, payload: &[u8]) {
        let Some(client) = self.clients.get(client).filter(|client| !client.is_gone) else {
            return;
        };
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

    /// Asks for topics, and notes what was asked.
    pub(super) fn ask(&mut self, client: usize, patterns: &[usize], asked: Asked) {
        let Some(of) = self.clients.get_mut(client) else { return };
        if of.kind != Kind::V1 || of.is_gone {
            return;
        }
        let id = of.asked.len() as u64;
        let names: Vec<_> = patterns.iter().map(|&pattern| PATTERNS[pattern]).collect();
        let mut message = serde_json::json!({ "op": asked.op, "id": id, "topics": names });
        if asked.op == "subscribe" {
            message["snapshot"] = asked.wants_snapshot.into();
            message["on_lag"] = if asked.is_strict { "disconnect" } else { "gap" }.into();
            if asked.mode > 0 {
                message["mode"] = "latest".into();
                message["max_hz"] = asked.mode.into();
            }
            if let Some((epoch, pos)) = &asked.from {
                message["from"] = serde_json::json!({ "epoch": epoch, "pos": pos });
            }
        }
        of.is_strict |= asked.is_strict;
        of.asked.insert(id, asked);
        self.send(client, 1, message.to_string().as_bytes());
    }

    pub(super) fn subscribe(&mut self, client: usize, patterns: &[usize]) {
        let asked =
            Asked { op: "subscribe", mode: 0, wants_snapshot: false, from: None, is_strict: false };
        self.ask(client, patterns, asked);
    }

    /// No member with a cursor below its group's end is neither due nor a laggard.
    pub(super) fn check_due(&self) {
        for s in 0..self.shard.connections.slots() {
            let g = self.shard.connections.group[s];
            if g == super::connections::NONE || self.shard.unsent_bytes(s) == 0 {
                continue;
            }
            let flags = self.shard.connections.flags[s];
            let group = self.shard.groups.at(g);
            assert!(
                flags.has(super::connections::Flags::LAGGARD)
                    || (group.remaining > 0 && group.is_queued),
                "slot {s} is stuck"
            );
        }
    }

    /// Every socket takes everything; turns until nothing moves, and the slowest view has told everything.
    pub(super) fn finish(&mut self) {
        self.feed.to_come.set(0);
        for client in self.clients.iter().filter(|client| !client.is_gone) {
            client.peer.borrow_mut().room = usize::MAX >> 1;
            self.shard.run_soon(client.slot);
        }
        self.rest();
        self.time.advance_us(1_100_000);
        self.rest();
    }

    fn rest(&mut self) {
        for _ in 0..10_000 {
            if !self.shard.turn() && !self.shard.has_work() {
                return;
            }
        }
        panic!("the shard never comes to rest");
    }
}
