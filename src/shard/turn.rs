//! One shard: its state, and one turn of its loop.
//!
//! Everything here runs on the shard's own thread and never blocks; the thread and its poll are in
//! `broadcaster`, so that tests drive a shard with scripted sockets and a clock of their own.

use super::admit::LegacyLanes;
use super::connections::{Connections, Flags};
use super::dispatch::Inbox;
use super::gate::Floors;
use super::inbound::Half;
use super::index::Groups;
use super::lanes::{Lane, Readers};
use super::latest::{self, Latest};
use super::sweep::Memo;
use super::{Arrival, Coalesce, Handler, Options, Setup, Transport};
use crate::clock::Clock;
use crate::encode::{Encoder, SharedPublisher};
use crate::event::Topics;
use crate::snapshot::Values;
use crate::sync::{Arc, Tally};
use crate::telemetry::{ShardTelemetry, Telemetry};
use std::collections::VecDeque;

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
    pub(super) readers: Readers,
    /// The conflated views, by rate.
    pub(super) latest: Vec<Latest>,
    /// Last values of the v1 lane.
    pub(super) values: Values,
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
    pub(super) route_at_us: u64,
    pub(super) legacy: LegacyLanes,
    pub(super) is_draining: bool,
    /// Arrivals that could not be placed because the encoder role was taken.
    pub(super) postponed: Option<Arrival<T>>,
    /// From which position on a client can resume: everything since is in the window.
    pub(super) resumable: u64,
    /// Connections with a subscription.
    pub(super) subscribed: u64,
    pub(super) snapshots: super::admit::Snapshots,
    pub(super) counts: super::survey::Counts,
    /// The inquiry under way.
    pub(super) walk: Option<super::census::Walk>,
    pub(super) heartbeat: super::heartbeat::Heartbeat,
    /// Sockets to register with the poll, if there is one.
    pub(super) admitted: Vec<u32>,
}

impl<T: Transport> Shard<T> {
    /// Makes a shard.
    pub fn new(setup: Setup<T>) -> Self {
        let now_us = setup.clock.now_us();
        let (latest, views): (Vec<_>, Vec<_>) = latest::views(now_us).unzip();
        let readers = Readers::new(&setup.encoder, views.into_iter());
        Self {
            index: setup.index,
            topics: setup.encoder.topics().clone(),
            groups: Groups::new(setup.encoder.topics().clone()),
            resumable: readers[Lane::V1].head(),
            latest,
            values: setup.values,
            subscribed: 0,
            snapshots: super::admit::Snapshots::default(),
            counts: super::survey::Counts::default(),
            walk: None,
            heartbeat: super::heartbeat::Heartbeat::new(now_us),
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
            legacy: LegacyLanes::default(),
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
        is_busy |= self.tell_latest();
        is_busy |= self.read_again();
        is_busy |= self.catch_up();
        is_busy |= self.sweep();
        is_busy |= self.beat();
        is_busy |= self.run_timers();
        is_busy |= self.answer_inquiries();
        // An answer that went out just now lets its client be read again, which no event of the socket will tell.
        is_busy |= !self.again.is_empty();
        self.groups.remove_empty();
        self.publish_floor(!is_busy);
        is_busy
    }

    /// Whether something waits that a sleeping shard would miss; called after it announced that it will sleep.
    pub fn has_work(&self) -> bool {
        let may_route = self.coalesce_us() == 0 || self.now_us >= self.route_at_us;
        !self.inbox.arrivals.is_empty()
            || !self.inbox.inquiries.is_empty()
            || self.postponed.is_some()
            || self.encoder.is_ready()
            || (may_route && self.readers.is_behind())
    }

    /// When the shard has to look again at the latest, microseconds from now.
    pub fn timeout_us(&self) -> u64 {
        let mut timeout_us =
            self.timers_timeout_us().min(self.latest_timeout_us()).min(self.beat_timeout_us());
        if self.coalesce_us() > 0 && self.readers.is_behind() {
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

    pub(super) fn coalesce_us(&self) -> u64 {
        match self.options.coalesce {
            Coalesce::Adaptive => 0,
            Coalesce::Every(interval) => u64::try_from(interval.as_micros()).unwrap_or(u64::MAX),
        }
    }

    /// Milliseconds since the shard started.
    pub(super) fn millisecond(&self) -> u32 {
        u32::try_from(self.now_us.saturating_sub(self.start_us) / 1_000).unwrap_or(u32::MAX)
    }

    /// Ends a connection: its socket is returned, everything else forgotten.
    pub(super) fn forget(&mut self, k: usize) -> Option<T> {
        if !self.connections.is_open(k) {
            return None;
        }
        let lane = self.legacy_lane(k);
        self.leave_all(k);
        if let Some(lane) = lane {
            self.leave_lane(lane);
        }
        self.end_snapshot(k);
        self.inbox.open.subtract(1);
        self.timers.wants_tick = true;
        self.connections.remove(k)
    }
}
