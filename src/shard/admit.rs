//! How connections begin: sockets out of the inbox, each with its greeting; and how many snapshots are sent at once.

use super::connections::{Cold, Flags, number};
use super::group::Key;
use super::lanes::Lane;
use super::{Arrival, Endpoint, LegacyKind, LegacyView, Shard, Transport};
use crate::encode::{LastValues, legacy};
use crate::event::{Pattern, Topics};
use crate::session::{Selection, Session};
use crate::telemetry::ShardCounter;
use std::collections::VecDeque;

/// Sockets taken from the inbox in one turn.
const ADMITTED_MAX: usize = 64;

/// How many clients of each legacy lane the shard has.
#[derive(Debug, Default)]
pub(super) struct LegacyLanes {
    flat: usize,
    nested: usize,
}

impl LegacyLanes {
    fn population(&mut self, lane: Lane) -> &mut usize {
        if lane == Lane::Nested { &mut self.nested } else { &mut self.flat }
    }
}

/// Connections that are sent a long snapshot, and those that wait for one of them to be done.
#[derive(Debug, Default)]
pub(super) struct Snapshots {
    under_way: usize,
    waiting: VecDeque<u32>,
}

impl<T: Transport> Shard<T> {
    /// Takes arrivals out of the inbox; true when there was one.
    pub(super) fn admit(&mut self) -> bool {
        let mut is_busy = false;
        for _ in 0..ADMITTED_MAX {
            let Some(arrival) = self.postponed.take().or_else(|| self.inbox.arrivals.pop()) else {
                break;
            };
            is_busy = true;
            if self.is_draining {
                self.inbox.open.subtract(1);
                arrival.stream.reset();
                continue;
            }
            if !self.place(arrival) {
                break;
            }
        }
        is_busy
    }

    /// Gives an arrival its slot, its cursor and its first bytes. False: the encoder role is taken; later.
    fn place(&mut self, arrival: Arrival<T>) -> bool {
        let mut greeting = std::mem::take(&mut self.replies);
        greeting.clear();
        let told_id = arrival.endpoint.is_of_the_chain().then(uuid::Uuid::new_v4);
        if let Endpoint::Legacy(view) = &arrival.endpoint
            && !self.greet_legacy(view, told_id.as_ref(), &mut greeting)
        {
            self.replies = greeting;
            self.postponed = Some(arrival);
            return false;
        }
        let Arrival { stream, early, peer, endpoint, seat } = arrival;
        let flags = match &endpoint {
            Endpoint::Legacy(view) => match view.kind {
                LegacyKind::Nested => Flags::NESTED,
                LegacyKind::Hub => Flags::HUB,
                LegacyKind::Firehose | LegacyKind::Chain => Flags::default(),
            },
            Endpoint::V1 => Flags::V1,
            Endpoint::Custom => Flags::CUSTOM,
        };
        let k = self.connections.insert(stream, flags, self.millisecond());
        self.admitted.push(number(k));
        self.timers.wants_tick = true;
        match endpoint {
            Endpoint::Legacy(view) => self.join_legacy(k, &view),
            Endpoint::V1 => {
                let session = Box::new(Session::new(uuid::Uuid::new_v4(), self.now_us));
                let may_publish = self.may_publish(&peer);
                session.welcome(&self.context(0, may_publish), &mut greeting);
                let cold = Cold { session: Some(session), may_publish, ..Cold::default() };
                self.connections.cold[k] = Some(Box::new(cold));
            }
            Endpoint::Custom => {}
        }
        if seat.is_some() || told_id.is_some() {
            let cold = self.connections.cold(k);
            (cold.seat, cold.told_id) = (seat, told_id);
        }
        if !greeting.is_empty() {
            self.reply(k, &greeting);
        }
        self.replies = greeting;
        if !early.is_empty() && self.connections.is_open(k) {
            self.feed(k, &early);
        }
        true
    }

    fn may_publish(&self, peer: &std::net::SocketAddr) -> bool {
        match self.options.publish {
            super::PublishRight::Nobody => false,
            super::PublishRight::Loopback => peer.ip().to_canonical().is_loopback(),
        }
    }

    /// Appends the last values of a legacy view. Values and head in one step: while this shard has the role,
    /// nothing is being encoded. False: somebody else has it.
    fn greet_legacy(
        &mut self,
        view: &LegacyView,
        told_id: Option<&uuid::Uuid>,
        greeting: &mut Vec<u8>,
    ) -> bool {
        let lane = view.lane();
        let is_first = *self.legacy.population(lane) == 0;
        if is_first {
            self.encoder.join(lane.encoded().expect("the encoder writes the legacy lanes"));
        }
        if let Some(id) = told_id {
            legacy::chain_welcome(id, self.now_us, greeting);
        }
        let (topics, selection) = (&self.topics, view.selection());
        let read = |values: &LastValues| {
            write_values(values, topics, &selection, lane == Lane::Nested, greeting);
        };
        let is_read = self.encoder.try_values(read).is_some();
        if is_read {
            *self.legacy.population(lane) += 1;
        } else if is_first {
            self.encoder.leave(lane.encoded().expect("the encoder writes the legacy lanes"));
        }
        is_read
    }

    fn join_legacy(&mut self, k: usize, view: &LegacyView) {
        self.advance_routed();
        let lane = view.lane();
        let reader = &self.readers[lane];
        let head = reader.head();
        let g = self.groups.find_or_make(Key { lane, selection: view.selection() }, reader);
        self.join(k, g, head);
        self.note_subscribed(k, true);
        self.served.add(1);
    }

    /// The legacy lane a connection came for, if it did.
    pub(super) fn legacy_lane(&self, k: usize) -> Option<Lane> {
        let flags = self.connections.flags[k];
        let lane = if flags.has(Flags::NESTED) { Lane::Nested } else { Lane::Legacy };
        (!flags.has(Flags::V1.or(Flags::CUSTOM))).then_some(lane)
    }

    /// One client of a legacy lane less.
    pub(super) fn leave_lane(&mut self, lane: Lane) {
        let population = self.legacy.population(lane);
        *population -= 1;
        if *population == 0 {
            self.encoder.leave(lane.encoded().expect("the encoder writes the legacy lanes"));
        }
    }

    /// Whether a long snapshot may begin now; if not, the connection is served again when one is done.
    pub(super) fn may_begin_snapshot(&mut self, k: usize) -> bool {
        let flags = &mut self.connections.flags[k];
        if self.snapshots.under_way < self.options.snapshots_max {
            return true;
        }
        if !flags.has(Flags::QUEUED) {
            flags.set(Flags::QUEUED);
            self.snapshots.waiting.push_back(number(k));
            self.telemetry.add(ShardCounter::SnapshotsDeferred, 1);
        }
        false
    }

    /// A long snapshot is under way.
    pub(super) fn note_snapshot(&mut self, k: usize) {
        if !self.connections.flags[k].has(Flags::SNAPSHOT) {
            self.connections.flags[k].set(Flags::SNAPSHOT);
            self.snapshots.under_way += 1;
        }
    }

    /// A long snapshot is done, or its connection gone: the next may begin.
    pub(super) fn end_snapshot(&mut self, k: usize) {
        if !self.connections.flags[k].has(Flags::SNAPSHOT) {
            return;
        }
        self.connections.flags[k].clear(Flags::SNAPSHOT);
        self.snapshots.under_way -= 1;
        while let Some(slot) = self.snapshots.waiting.pop_front() {
            let next = slot as usize;
            let is_waiting = self.connections.flags[next].has(Flags::QUEUED);
            self.connections.flags[next].clear(Flags::QUEUED);
            if is_waiting && self.connections.is_open(next) {
                self.run_soon(next);
                break;
            }
        }
    }
}

/// Appends the last value of every selected topic, nested or not.
pub(super) fn write_values(
    values: &LastValues,
    topics: &Topics,
    selection: &Selection,
    is_nested: bool,
    out: &mut Vec<u8>,
) {
    values.for_each(|topic, frame| {
        let info = topics.info(topic);
        if !selection.wants(&info.name, info.class) {
        } else if is_nested {
            legacy::nest(frame, &info.kind, out);
        } else {
            out.extend_from_slice(frame);
        }
    });
}

impl Endpoint {
    fn is_of_the_chain(&self) -> bool {
        matches!(self, Self::Legacy(LegacyView { kind: LegacyKind::Chain, .. }))
    }
}

impl LegacyView {
    fn lane(&self) -> Lane {
        if self.kind == LegacyKind::Nested { Lane::Nested } else { Lane::Legacy }
    }

    fn selection(&self) -> Selection {
        if let Some(patterns) = &self.patterns {
            return Selection::of(patterns.iter().cloned());
        }
        let texts: &[&str] = match self.kind {
            LegacyKind::Firehose | LegacyKind::Nested => &["market:*", "agent:*"],
            LegacyKind::Hub => &["hub"],
            LegacyKind::Chain => &["chain:*"],
        };
        Selection::of(texts.iter().map(|text| Pattern::parse(text).expect("a pattern")))
    }
}
