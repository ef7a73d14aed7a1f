//! What happens by the clock: liveness, stalled and closing connections, the hand-over of latencies.
//!
//! Silent peers are found by a hand that walks the slots once a second, a bounded number per turn, so that ten
//! thousand pings never hold up a sweep.

use super::connections::Flags;
use super::lanes::Lane;
use super::{Shard, Transport};
use crate::encode::frame;
use crate::session::CloseCode;
use crate::telemetry::ShardCounter;
use std::time::Duration;

/// How often laggards and closing connections are looked at, microseconds.
const TICK_US: u64 = 100_000;
/// How often every connection's silence is looked at, microseconds.
const LIVENESS_US: u64 = 1_000_000;
/// Slots looked at in one turn.
const SLOTS_MAX: usize = 1_024;
/// Pings sent in one turn.
const PINGS_MAX: usize = 32;

/// Deadlines of a shard.
#[derive(Debug)]
pub(super) struct Timers {
    tick_us: u64,
    liveness_us: u64,
    /// The next slot to look at; at the number of slots the walk is over.
    hand: usize,
    /// Something changed that the next tick tells on: latencies, connections.
    pub(super) wants_tick: bool,
}

impl Timers {
    pub(super) fn new(now_us: u64) -> Self {
        Self {
            tick_us: now_us + TICK_US,
            liveness_us: now_us + LIVENESS_US,
            hand: usize::MAX,
            wants_tick: false,
        }
    }
}

impl<T: Transport> Shard<T> {
    /// Does what is due; true when a walk goes on.
    pub(super) fn run_timers(&mut self) -> bool {
        if self.now_us >= self.timers.tick_us {
            self.timers.tick_us = self.now_us + TICK_US;
            self.tick();
        }
        if self.now_us >= self.timers.liveness_us {
            self.timers.liveness_us = self.now_us + LIVENESS_US;
            self.timers.hand = 0;
        }
        self.timers.hand < self.connections.slots() && {
            self.walk();
            self.timers.hand < self.connections.slots()
        }
    }

    /// Microseconds until something is due.
    pub(super) fn timers_timeout_us(&self) -> u64 {
        let has_ticks =
            !self.laggards.is_empty() || !self.closing.is_empty() || self.timers.wants_tick;
        let next_us = if has_ticks {
            self.timers.tick_us.min(self.timers.liveness_us)
        } else {
            self.timers.liveness_us
        };
        next_us.saturating_sub(self.now_us)
    }

    fn tick(&mut self) {
        self.telemetry.set(ShardCounter::Connections, self.connections.open() as u64);
        self.note_window();
        self.telemetry.flush();
        self.timers.wants_tick = false;
        let stall_us_max =
            u64::try_from(self.options.write_stall_max.as_micros()).unwrap_or(u64::MAX);
        for slot in self.laggards.clone() {
            let k = slot as usize;
            let progress_us =
                self.connections.cold[k].as_deref().map_or(self.now_us, |cold| cold.progress_us);
            if self.now_us.saturating_sub(progress_us) > stall_us_max {
                self.telemetry.add(ShardCounter::EvictedStalled, 1);
                self.evict(k);
            } else {
                self.check_lag(k);
            }
        }
        let now_us = self.now_us;
        let mut over = Vec::new();
        let connections = &self.connections;
        self.closing.retain(|&slot| {
            let k = slot as usize;
            let deadline_us = connections.cold[k].as_deref().map_or(0, |cold| cold.deadline_us);
            let is_closing = connections.is_open(k) && connections.flags[k].has(Flags::CLOSING);
            if is_closing && now_us >= deadline_us {
                over.push(k);
            }
            is_closing && now_us < deadline_us
        });
        for k in over {
            self.evict(k);
        }
    }

    /// Tells how far back a client can resume.
    fn note_window(&mut self) {
        let reader = &self.readers[Lane::V1];
        let events = reader.head() - self.resumable;
        let oldest = reader.segment(self.resumable).map(|segment| {
            let record =
                usize::try_from(self.resumable - segment.base()).expect("segments are small");
            segment.records()[record].time_us
        });
        let span_us = oldest.map_or(0, |time_us| self.now_us.saturating_sub(time_us));
        self.telemetry.set(ShardCounter::ResumeEvents, events);
        self.telemetry.set(ShardCounter::ResumeSpanUs, span_us);
    }

    fn walk(&mut self) {
        let second = self.millisecond() / 1_000;
        // Whole seconds, and one look at least between a ping and the end: shorter times must not cut off a client
        // before it was asked.
        let ping_s = seconds(self.options.ping_interval).max(1);
        let silence_s =
            seconds(self.options.silence_max.saturating_add(Duration::from_millis(999)))
                .max(ping_s + 1);
        let end = (self.timers.hand + SLOTS_MAX).min(self.connections.slots());
        let mut pings = 0;
        while self.timers.hand < end && pings < PINGS_MAX {
            let k = self.timers.hand;
            self.timers.hand += 1;
            let flags = self.connections.flags[k];
            if !self.connections.is_open(k) || flags.has(Flags::CLOSING) {
                continue;
            }
            let silent_s = second.saturating_sub(self.connections.heard_s[k]);
            if silent_s >= silence_s {
                self.telemetry.add(ShardCounter::EvictedSilent, 1);
                self.close(k, CloseCode::PeerSilent as u16, "peer_silent no frame for too long");
            } else if silent_s >= ping_s && !flags.has(Flags::PINGED) {
                pings += 1;
                self.connections.flags[k].set(Flags::PINGED);
                self.telemetry.add(ShardCounter::Pings, 1);
                let mut frames = Vec::with_capacity(2);
                frame::ping(&mut frames);
                self.reply(k, &frames);
            }
        }
    }
}

fn seconds(span: Duration) -> u32 {
    u32::try_from(span.as_secs()).unwrap_or(u32::MAX - 1)
}
