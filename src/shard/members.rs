//! Who is where: a connection's slots in groups and their circles, or in the list of laggards.
//!
//! Invariants: a slot in a group is in that group's circle, unless its connection is a laggard; a laggard is in the
//! list once, by its own slot, and none of its slots is in a circle.

use super::connections::{Flags, NONE, number};
use super::{Shard, Transport, slice};
use crate::telemetry::ShardCounter;

impl<T: Transport> Shard<T> {
    /// Puts a slot into a group at `cursor`. If its connection is a laggard, what is owed to it is counted; else it
    /// must be caught up.
    pub(super) fn join(&mut self, s: usize, g: u32, cursor: u64) {
        self.connections.cursor[s] = cursor;
        self.connections.group[s] = g;
        self.groups.note_joined(g);
        if !self.connections.flags[s].has(Flags::LAGGARD) {
            return self.enter_circle(s);
        }
        let group = self.groups.at(g);
        let reader = &self.readers[group.key.lane];
        let mut unsent = 0;
        slice::for_each_wanted(group, reader, cursor..reader.head(), |_, record| {
            unsent += u64::from(record.length)
        });
        self.connections.cold(s).sent_total = self.groups.at(g).total_bytes - unsent;
    }

    /// Puts a caught-up slot into its group's circle.
    fn enter_circle(&mut self, s: usize) {
        let group = self.groups.at_mut(self.connections.group[s]);
        self.connections.place[s] = group.enter(number(s));
    }

    fn exit_circle(&mut self, s: usize) {
        let place = std::mem::replace(&mut self.connections.place[s], NONE);
        if let Some(moved) = self.groups.at_mut(self.connections.group[s]).exit(place) {
            self.connections.place[moved as usize] = place;
        }
    }

    /// Takes a slot out of its group.
    pub(super) fn leave_group(&mut self, s: usize) {
        let g = self.connections.group[s];
        if g == NONE {
            return;
        }
        if !self.connections.flags[s].has(Flags::LAGGARD) {
            self.exit_circle(s);
        }
        self.connections.group[s] = NONE;
        self.groups.note_left(g);
    }

    /// Takes a connection out of all its groups and off the list of laggards; only its own slot is left.
    pub(super) fn leave_all(&mut self, k: usize) {
        self.leave_group(k);
        while let Some(shadow) = self.connections.slot_of(k, 1) {
            self.leave_group(shadow);
            self.connections.remove_shadow(shadow);
        }
        if self.connections.flags[k].has(Flags::LAGGARD) {
            self.unlist(k);
            self.connections.flags[k].clear(Flags::LAGGARD);
        }
        self.note_subscribed(k, false);
    }

    fn unlist(&mut self, k: usize) {
        let place = std::mem::replace(&mut self.connections.place[k], NONE);
        self.laggards.swap_remove(place as usize);
        self.telemetry.set(ShardCounter::Laggards, self.laggards.len() as u64);
        if let Some(&moved) = self.laggards.get(place as usize) {
            self.connections.place[moved as usize] = place;
        }
    }

    /// Takes a connection out of its circles until its socket is writable.
    pub(super) fn become_laggard(&mut self, k: usize) {
        let k = self.connections.owner(k);
        if !self.connections.is_open(k) || self.connections.flags[k].has(Flags::LAGGARD) {
            return;
        }
        let mut nth = 0;
        while let Some(s) = self.connections.slot_of(k, nth) {
            nth += 1;
            if self.connections.group[s] != NONE {
                let sent = self.total_bytes(s) - self.unsent_bytes(s);
                self.exit_circle(s);
                self.connections.cold(s).sent_total = sent;
            }
            self.connections.flags[s].set(Flags::LAGGARD);
        }
        self.connections.place[k] = number(self.laggards.len());
        self.laggards.push(number(k));
        self.telemetry.set(ShardCounter::Laggards, self.laggards.len() as u64);
        let now_us = self.now_us;
        self.connections.cold(k).progress_us = now_us;
    }

    /// Puts a laggard that has caught up everywhere back into its circles.
    pub(super) fn stop_lagging(&mut self, k: usize) {
        self.unlist(k);
        let mut nth = 0;
        while let Some(s) = self.connections.slot_of(k, nth) {
            nth += 1;
            self.connections.flags[s].clear(Flags::LAGGARD);
            if self.connections.group[s] != NONE {
                self.enter_circle(s);
            }
        }
    }

    /// Bytes ever routed to the group of a slot.
    pub(super) fn total_bytes(&self, s: usize) -> u64 {
        match self.connections.group[s] {
            NONE => 0,
            g => self.groups.at(g).total_bytes,
        }
    }

    /// Frame bytes of its group that a slot has not been sent.
    pub(super) fn unsent_bytes(&self, s: usize) -> u64 {
        let g = self.connections.group[s];
        if g == NONE {
            return 0;
        }
        let group = self.groups.at(g);
        if self.connections.flags[s].has(Flags::LAGGARD) {
            let sent = self.connections.cold[s].as_deref().map_or(0, |cold| cold.sent_total);
            return group.total_bytes.saturating_sub(sent);
        }
        let Some((_, run)) = group.run_at(self.connections.cursor[s]) else { return 0 };
        let from = self.connections.cursor[s].max(run.first);
        let reader = &self.readers[group.key.lane];
        let offset = reader.segment(from).map_or(run.start, |segment| {
            let record = usize::try_from(from - segment.base()).expect("segments are small");
            segment.records()[record].offset
        });
        group.total_bytes - run.before - u64::from(offset - run.start)
    }

    /// The same over all slots of a connection.
    pub(super) fn owed_bytes(&self, k: usize) -> u64 {
        let mut owed = 0;
        let mut nth = 0;
        while let Some(s) = self.connections.slot_of(k, nth) {
            nth += 1;
            owed += self.unsent_bytes(s);
        }
        owed
    }

    /// Counts a connection among those with a subscription, or no longer.
    pub(super) fn note_subscribed(&mut self, k: usize, is_subscribed: bool) {
        let flags = &mut self.connections.flags[k];
        if flags.has(Flags::SUBSCRIBED) == is_subscribed {
            return;
        }
        if is_subscribed {
            flags.set(Flags::SUBSCRIBED);
            self.subscribed += 1;
        } else {
            flags.clear(Flags::SUBSCRIBED);
            self.subscribed -= 1;
        }
        self.telemetry.set(ShardCounter::Subscribed, self.subscribed);
    }
}
