//! One shard: its state, and one turn of its loop.
//!
//! Everything here runs on the shard's own thread and never blocks; the thread and its poll are in
//! `broadcaster`, so that tests drive a shard with scripted sockets and a clock of their own.

use super::connections::{Cold, Connections, Flags, NONE};
use super::dispatch::Inbox;
use super::gate::Floors;
use super::group::Key;
use super::inbound::Half;
use super::index::Groups;
use super::sweep::Memo;
use super::{Arrival, Coalesce, Endpoint, Handler, Lane, Options, Setup, Transport};
use crate::clock::Clock;
use crate::encode::{Encoder, SharedPublisher};
use crate::event::{Pattern, Topics};
use crate::log::{Advance, Reader};
use crate::session::Session;
use crate::sync::{Arc, Tally};
use crate::telemetry::{ShardCounter, ShardTelemetry, Telemetry};
use std::collections::VecDeque;

/// Sockets taken from the inbox in one turn.
const ADMITTED_MAX: usize = 64;
/// One read, in bytes.
const READ_BYTES_MAX: usize = 64 * 1024;

/// A shard's state; see the module documentation.
#[derive(Debug)]
pub struct Shard<T> {
    pub(super) index: usize,
    pub(super) options: Options,
    pub(super) encoder: Arc<Encoder>,
    pub(super) topics: Arc<Topics>,
    pub(super) inbox: Arc<Inbox<T>>,
    pub(super) publisher: SharedPublisher,
    pub(super) telemetry: ShardTelemetry,
    pub(super) totals: Arc<Telemetry>,
    pub(super) clock: Clock,
    pub(super) epoch: Arc<str>,
    pub(super) served: Arc<Tally>,
    pub(super) floors: Arc<Floors>,
    pub(super) handler: Option<Arc<dyn Handler>>,
    pub(super) connections: Connections<T>,
    pub(super) readers: [Reader; 2],
    pub(super) groups: Groups,
    pub(super) memo: Memo,
    pub(super) laggards: Vec<u32>,
    /// Laggards whose socket became writable.
    pub(super) runnable: VecDeque<u32>,
    /// Sockets with more to read than one read took.
    pub(super) again: Vec<u32>,
    /// Connections that are being closed.
    pub(super) closing: Vec<u32>,
    /// Contexts that hold nothing: for clients of our protocols, for the mounted handler.
    pub(super) spares: [Option<Box<Half>>; 2],
    pub(super) read_buffer: Vec<u8>,
    /// Pongs and close echoes of one read.
    pub(super) pongs: Vec<u8>,
    /// Replies of one read.
    pub(super) replies: Vec<u8>,
    /// The turn's time, microseconds.
    pub(super) now_us: u64,
    pub(super) start_us: u64,
    pub(super) timers: super::timers::Timers,
    /// With [`Coalesce::Every`]: when records may be routed again.
    route_at_us: u64,
    legacy_population: usize,
    is_draining: bool,
    /// Arrivals that could not be placed because the encoder role was taken.
    postponed: Option<Arrival<T>>,
    /// Sockets to register with the poll, if there is one.
    pub(super) admitted: Vec<u32>,
}

impl<T: Transport> Shard<T> {
    /// Makes a shard.
    pub fn new(setup: Setup<T>) -> Self {
        let now_us = setup.clock.now_us();
        let readers = [Lane::V1, Lane::Legacy].map(|lane| setup.encoder.log(lane).reader());
        Self {
            index: setup.index,
            topics: setup.encoder.topics().clone(),
            groups: Groups::new(setup.encoder.topics().clone()),
            inbox: setup.dispatch.inbox(setup.index),
            encoder: setup.encoder,
            publisher: setup.publisher,
            telemetry: setup.telemetry,
            totals: setup.totals,
            clock: setup.clock,
            epoch: setup.epoch,
            served: setup.served,
            floors: setup.floors,
            handler: setup.handler,
            connections: Connections::default(),
            readers,
            memo: Memo::default(),
            laggards: Vec::new(),
            runnable: VecDeque::new(),
            again: Vec::new(),
            closing: Vec::new(),
            spares: [None, None],
            read_buffer: vec![0; READ_BYTES_MAX],
            pongs: Vec::new(),
            replies: Vec::new(),
            now_us,
            start_us: now_us,
            timers: super::timers::Timers::new(now_us),
            route_at_us: now_us,
            legacy_population: 0,
            is_draining: false,
            postponed: None,
            admitted: Vec::new(),
            options: setup.options,
        }
    }

    /// One turn; true when there is more to do at once.
    pub fn turn(&mut self) -> bool {
        self.now_us = self.clock.now_us();
        let mut is_busy = self.admit();
        is_busy |= self.encoder.run() > 0;
        is_busy |= self.route();
        is_busy |= self.read_again();
        is_busy |= self.catch_up();
        is_busy |= self.sweep();
        is_busy |= self.run_timers();
        self.groups.remove_empty();
        self.publish_floor(!is_busy);
        is_busy
    }

    /// Whether something waits that a sleeping shard would miss; called after it announced that it will sleep.
    pub fn has_work(&self) -> bool {
        let may_route = self.coalesce_us() == 0 || self.now_us >= self.route_at_us;
        !self.inbox.arrivals.is_empty()
            || self.postponed.is_some()
            || self.encoder.is_ready()
            || (may_route && self.readers.iter().any(Reader::is_behind))
    }

    /// When the shard has to look again at the latest, microseconds from now.
    pub fn timeout_us(&self) -> u64 {
        let mut timeout_us = self.timers_timeout_us();
        if self.coalesce_us() > 0 && self.readers.iter().any(Reader::is_behind) {
            timeout_us = timeout_us.min(self.route_at_us.saturating_sub(self.now_us));
        }
        timeout_us
    }

    /// From now on no arrivals are taken; every client gets a close frame with 1001. Called once.
    pub fn drain(&mut self) {
        self.is_draining = true;
        self.now_us = self.clock.now_us();
        let clients = self.connections.open();
        for k in 0..self.connections.slots() {
            if self.connections.is_open(k) && !self.connections.flags[k].has(Flags::CLOSING) {
                self.say_goodbye(k, clients);
            }
        }
    }

    /// Takes the time anew: after a sleep, before readiness events are handled.
    pub fn refresh_now(&mut self) {
        self.now_us = self.clock.now_us();
    }

    /// Open connections.
    pub fn open(&self) -> usize {
        self.connections.open()
    }

    fn coalesce_us(&self) -> u64 {
        match self.options.coalesce {
            Coalesce::Adaptive => 0,
            Coalesce::Every(interval) => u64::try_from(interval.as_micros()).unwrap_or(u64::MAX),
        }
    }

    fn admit(&mut self) -> bool {
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
        if arrival.endpoint == Endpoint::Legacy {
            if self.legacy_population == 0 {
                self.encoder.join_legacy();
            }
            // Values and head in one step: while this shard has the role, nothing is being encoded.
            let values = self.encoder.try_values(|values| values.write_all(&mut greeting));
            if values.is_none() {
                if self.legacy_population == 0 {
                    self.encoder.leave_legacy();
                }
                self.replies = greeting;
                self.postponed = Some(arrival);
                return false;
            }
            self.legacy_population += 1;
        }
        let Arrival { stream, early, peer, endpoint, seat } = arrival;
        let flags = match endpoint {
            Endpoint::Legacy => Flags::default(),
            Endpoint::V1 => Flags::V1,
            Endpoint::Custom => Flags::CUSTOM,
        };
        let heard_s = self.second();
        let k = self.connections.insert(stream, flags, heard_s);
        let slot = u32::try_from(k).expect("slots are numbered in 32 bits");
        self.admitted.push(slot);
        self.timers.wants_tick = true;
        match endpoint {
            Endpoint::Legacy => {
                self.advance_routed();
                let key = Key { lane: Lane::Legacy, patterns: Box::new([Pattern::all()]) };
                let reader = &self.readers[Lane::Legacy as usize];
                let head = reader.head();
                let g = self.groups.find_or_make(key, reader);
                self.join(k, g, head);
                self.served.add(1);
            }
            Endpoint::V1 => {
                let session = Box::new(Session::new(uuid::Uuid::new_v4(), self.now_us));
                let may_publish = self.may_publish(&peer);
                session.welcome(&self.context(0, may_publish), &mut greeting);
                let cold = Cold { session: Some(session), may_publish, ..Cold::default() };
                self.connections.cold[k] = Some(Box::new(cold));
            }
            Endpoint::Custom => {}
        }
        if seat.is_some() {
            self.connections.cold(k).seat = seat;
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

    /// Seconds since the shard started.
    pub(super) fn second(&self) -> u32 {
        u32::try_from(self.now_us.saturating_sub(self.start_us) / 1_000_000).unwrap_or(u32::MAX)
    }

    /// Takes notice of new records and marks the groups that want them.
    fn route(&mut self) -> bool {
        let interval_us = self.coalesce_us();
        if interval_us > 0 {
            if self.now_us < self.route_at_us || !self.readers.iter().any(Reader::is_behind) {
                return false;
            }
            self.route_at_us = self.now_us + interval_us;
        }
        self.advance_routed()
    }

    /// Advances both readers to their heads, routing what is new.
    pub(super) fn advance_routed(&mut self) -> bool {
        let mut is_busy = false;
        for lane in [Lane::V1, Lane::Legacy] {
            let Advance { mut fresh, lapped } = self.readers[lane as usize].advance();
            if let Some(lapped) = lapped {
                self.telemetry.add(ShardCounter::Overruns, 1);
                // What the encoder has first, the rest of the log second: what is committed there is then in sight.
                match lane {
                    Lane::V1 => {
                        let seqs = self.encoder.seqs();
                        fresh.end = self.readers[lane as usize].advance().fresh.end;
                        self.skip_lapse(lapped, fresh.clone(), &seqs);
                    }
                    Lane::Legacy => {
                        let (index, values) = self.encoder.legacy_values();
                        fresh.end = self.readers[lane as usize].advance().fresh.end;
                        self.refresh_legacy(fresh.start..index, &values);
                    }
                }
            }
            if !fresh.is_empty() {
                is_busy = true;
                self.groups.route(lane, &self.readers[lane as usize], fresh);
            }
            if let Some(index) = self.readers[lane as usize].surplus() {
                self.overrun(lane, index);
                self.readers[lane as usize].release_before(index);
            }
        }
        is_busy
    }

    /// Tells how many clients have a subscription.
    pub(super) fn note_subscribed(&mut self) {
        let subscribed = self.groups.population();
        self.telemetry.set(ShardCounter::Subscribed, subscribed);
    }

    /// Puts a connection into a group at `cursor`, caught up.
    pub(super) fn join(&mut self, k: usize, g: u32, cursor: u64) {
        self.connections.cursor[k] = cursor;
        self.connections.group[k] = g;
        self.groups.note_joined(g);
        self.enter_circle(k);
    }

    /// Puts a caught-up connection into its group's circle.
    pub(super) fn enter_circle(&mut self, k: usize) {
        let slot = u32::try_from(k).expect("slots are numbered in 32 bits");
        let group = self.groups.at_mut(self.connections.group[k]);
        self.connections.place[k] = group.enter(slot);
    }

    /// Takes a connection out of the circle, or out of the list of laggards.
    pub(super) fn leave_line(&mut self, k: usize) {
        let place = std::mem::replace(&mut self.connections.place[k], NONE);
        if place == NONE {
            return;
        }
        let moved = if self.connections.flags[k].has(Flags::LAGGARD) {
            self.connections.flags[k].clear(Flags::LAGGARD);
            self.laggards.swap_remove(place as usize);
            self.telemetry.set(ShardCounter::Laggards, self.laggards.len() as u64);
            self.laggards.get(place as usize).copied()
        } else {
            self.groups.at_mut(self.connections.group[k]).exit(place)
        };
        if let Some(moved) = moved {
            self.connections.place[moved as usize] = place;
        }
    }

    /// Takes a connection out of its group altogether.
    pub(super) fn leave_group(&mut self, k: usize) {
        self.leave_line(k);
        let g = std::mem::replace(&mut self.connections.group[k], NONE);
        if g != NONE {
            self.groups.note_left(g);
        }
    }

    /// Ends a connection: its socket is returned, everything else forgotten.
    pub(super) fn forget(&mut self, k: usize) -> Option<T> {
        if !self.connections.is_open(k) {
            return None;
        }
        self.leave_group(k);
        if !self.connections.flags[k].has(Flags::V1.or(Flags::CUSTOM)) {
            self.legacy_population -= 1;
            if self.legacy_population == 0 {
                self.encoder.leave_legacy();
            }
        }
        self.inbox.open.subtract(1);
        self.timers.wants_tick = true;
        self.connections.remove(k)
    }
}
