//! Connections that are behind: their socket took less than they were owed, or something of their own waits.
//!
//! A laggard is out of its groups' circles. When its socket is writable it gets what is its own first, then the
//! lanes in slices of at most 64 KiB, found by walking the records from its cursors; when these reach the heads it
//! returns to the circles. Past the lag budget its cursors move to the heads, and every skipped topic is named in a
//! gap notice, unless the client would rather be closed; a socket that takes nothing for the stall time is reset.

use super::connections::{Flags, NONE};
use super::lanes::Lane;
use super::output::Flushed;
use super::pieces::{Gap, Piece, Source};
use super::planted::planted;
use super::{Shard, Transport, slice};
use crate::session::{CloseCode, Command, GapReason, OnLag};
use crate::telemetry::ShardCounter;
use std::collections::HashMap;
use std::io::ErrorKind;
use std::ops::Range;

/// Laggards served in one turn.
const SERVED_MAX: usize = 32;

impl<T: Transport> Shard<T> {
    /// A socket is writable: its laggard is served soon.
    pub(super) fn run_soon(&mut self, k: usize) {
        let k = self.connections.owner(k);
        let flags = &mut self.connections.flags[k];
        if flags.has(Flags::LAGGARD) && !flags.has(Flags::RUNNABLE) {
            flags.set(Flags::RUNNABLE);
            self.runnable.push_back(super::connections::number(k));
        }
    }

    /// Serves laggards whose socket is writable; true when some are left.
    pub(super) fn catch_up(&mut self) -> bool {
        for _ in 0..SERVED_MAX {
            let Some(slot) = self.runnable.pop_front() else { break };
            let k = slot as usize;
            let is_waiting = self.connections.flags[k].has(Flags::RUNNABLE);
            self.connections.flags[k].clear(Flags::RUNNABLE);
            if is_waiting
                && self.connections.is_open(k)
                && self.connections.flags[k].has(Flags::LAGGARD)
            {
                self.serve_laggard(k);
            }
        }
        self.book_slice();
        !self.runnable.is_empty()
    }

    fn serve_laggard(&mut self, k: usize) {
        match self.flush(k) {
            Flushed::Done => {}
            Flushed::Blocked => return self.check_lag(k),
            Flushed::Gone => return,
        }
        if self.connections.flags[k].has(Flags::CLOSING) {
            return self.stop_lagging(k);
        }
        let head = self.readers[Lane::V1].head();
        let command_at = self.next_command_at(k);
        let mut at = head;
        let mut nth = 0;
        while let Some(s) = self.connections.slot_of(k, nth) {
            nth += 1;
            let g = self.connections.group[s];
            if g == NONE {
                continue;
            }
            let lane = self.groups.at(g).key.lane;
            let mut until = self.readers[lane].head();
            if let Some(command_at) = command_at
                && lane == Lane::V1
            {
                until = command_at.clamp(self.connections.cursor[s], until);
                at = until;
            }
            if self.send_slice(g, s, until) {
                return;
            }
            // Nothing of the group's is left below `until`.
            self.connections.cursor[s] = until;
        }
        if command_at.is_none() {
            self.stop_lagging(k);
        } else if self.apply_next_command(k, at) {
            self.run_soon(k);
        }
    }

    /// Where the v1 cursor has to stand for the next subscription change: at the position seen when it was read, or,
    /// where last values are asked for, at the head, for which they are known. (In no group there is nothing to wait
    /// for, and the change takes effect at the head.)
    fn next_command_at(&mut self, k: usize) -> Option<u64> {
        let (at, command) = self.connections.cold[k].as_deref()?.commands.front()?;
        let needs_values = matches!(
            command,
            Command::Subscribe(subscribe) if subscribe.wants_snapshot || subscribe.from.is_some()
        );
        if needs_values { Some(self.readers[Lane::V1].head()) } else { Some(*at) }
    }

    /// Writes one slice below `until`; false when there is none.
    fn send_slice(&mut self, g: u32, s: usize, until: u64) -> bool {
        let group = self.groups.at(g);
        let reader = &self.readers[group.key.lane];
        let cursor = self.connections.cursor[s];
        let k = self.connections.owner(s);
        let is_resuming = self.is_resuming(k);
        let memo = &mut self.memo;
        let bytes_max = self.options.visit_bytes_max;
        let (scratch, times) = (&mut memo.scratch, &mut memo.times);
        let Some(slice) =
            slice::by_walking(group, reader, cursor..until, bytes_max, scratch, times)
        else {
            return false;
        };
        let bytes = slice.bytes(reader, &memo.scratch);
        let length = bytes.len();
        if is_resuming {
            // How long a client was away is no delay of delivery.
            times.clear();
        }
        let Some(socket) = &mut self.connections.socket[k] else { return true };
        match socket.try_write(bytes) {
            Ok(written) if written == length => {
                self.connections.cursor[s] = slice.next;
                self.book_laggard(slice.frames, length as u64);
                let now_us = self.now_us;
                self.connections.cold(s).sent_total += length as u64;
                self.connections.cold(k).progress_us = now_us;
                self.run_soon(k);
            }
            Ok(written) => {
                self.cut_visit(g, s, written);
                self.check_lag(k);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.book_blocked();
                self.check_lag(k);
            }
            Err(_) => self.drop_connection(k),
        }
        true
    }

    /// Moves a laggard past its budget on to the heads.
    pub(super) fn check_lag(&mut self, k: usize) {
        if !self.connections.is_open(k) || self.connections.group[k] == NONE {
            // Its own slot is in a group as long as any of its slots is.
            return;
        }
        if self.is_resuming(k) {
            return;
        }
        let age_us_max = u64::try_from(self.options.lag_age_max.as_micros()).unwrap_or(u64::MAX);
        if self.owed_bytes(k) > self.options.lag_bytes_max || self.lag_us(k) > age_us_max {
            self.skip(k, GapReason::Slow);
        }
    }

    /// Whether a connection still catches up with what it missed before it came back. That is no lag of its own: it
    /// gets everything as long as the log has it and its socket takes something.
    fn is_resuming(&self, k: usize) -> bool {
        let resumed_below =
            self.connections.cold[k].as_deref().map_or(0, |cold| cold.resumed_below);
        let mut nth = 0;
        while let Some(s) = self.connections.slot_of(k, nth) {
            nth += 1;
            let g = self.connections.group[s];
            if g != NONE && self.groups.at(g).key.lane == Lane::V1 {
                return self.connections.cursor[s] < resumed_below;
            }
        }
        false
    }

    /// Age of the oldest frame that a connection has not been sent, microseconds.
    pub(super) fn lag_us(&self, k: usize) -> u64 {
        let mut lag_us = 0;
        let mut nth = 0;
        while let Some(s) = self.connections.slot_of(k, nth) {
            nth += 1;
            let g = self.connections.group[s];
            if g == NONE || self.unsent_bytes(s) == 0 {
                continue;
            }
            let group = self.groups.at(g);
            let reader = &self.readers[group.key.lane];
            let oldest_us = slice::oldest_time_us(group, reader, self.connections.cursor[s]);
            lag_us =
                oldest_us.map_or(lag_us, |time_us| lag_us.max(self.now_us.saturating_sub(time_us)));
        }
        lag_us
    }

    /// Moves all cursors of a laggard to their heads; what it does not get is named in gap notices. Or closes it, if
    /// it asked for that.
    pub(super) fn skip(&mut self, k: usize, reason: GapReason) {
        if self.is_to_be_closed(k) {
            return self.close_lagging(k);
        }
        let mut nth = 0;
        while let Some(s) = self.connections.slot_of(k, nth) {
            nth += 1;
            if self.connections.group[s] != NONE {
                self.skip_slot(s, reason);
            }
        }
    }

    fn skip_slot(&mut self, s: usize, reason: GapReason) {
        let head = self.readers[self.groups.at(self.connections.group[s]).key.lane].head();
        let skipped = self.skipped_pieces(s, self.connections.cursor[s]..head, reason);
        self.pass_over(s, skipped, head);
    }

    /// Whether a client asked to be closed rather than told gaps.
    pub(super) fn is_to_be_closed(&self, k: usize) -> bool {
        let session = self.connections.cold[k].as_deref().and_then(|cold| cold.session.as_deref());
        session.is_some_and(|session| session.on_lag() == OnLag::Disconnect)
    }

    /// Closes a client that lags and asked for that.
    pub(super) fn close_lagging(&mut self, k: usize) {
        self.telemetry.add(ShardCounter::EvictedLagging, 1);
        self.close(k, CloseCode::SlowConsumer as u16, "slow_consumer more behind than it may be");
    }

    /// What a slot that does not get `range` is told, in order of the first frames.
    fn skipped_pieces(&self, s: usize, range: Range<u64>, reason: GapReason) -> Vec<Piece> {
        let group = self.groups.at(self.connections.group[s]);
        let lane = group.key.lane;
        let reader = &self.readers[lane];
        let mut pieces: Vec<(Piece, Gap, u64)> = Vec::new();
        let mut places: HashMap<u16, usize> = HashMap::new();
        slice::for_each_wanted(group, reader, range, |index, record| {
            let (topic, seq) = (record.topic, record.seq);
            let place = *places.entry(topic).or_insert(pieces.len());
            if place == pieces.len() {
                // A frame of a conflated view stands for all events since the view's previous one.
                let stands_for =
                    if matches!(lane, Lane::Latest(_)) { u64::from(record.key) } else { 1 };
                let gap = Gap { from: seq - stands_for + 1, to: seq, reason };
                pieces.push((Piece { topic, gap: None, newest: None }, gap, index));
            } else {
                pieces[place].1.to = seq;
                pieces[place].2 = index;
            }
        });
        let finished = pieces.into_iter().map(|(mut piece, gap, index)| {
            piece.gap = Some(gap);
            if lane.is_legacy()
                || self.is_state(piece.topic)
                || planted("an event topic is conflated")
            {
                piece.newest = reader.segment(index).map(|segment| {
                    let record = u32::try_from(index - segment.base()).expect("segments are small");
                    Source::Segment(segment.clone(), record)
                });
            }
            piece
        });
        finished.collect()
    }

    /// Puts a laggard's slot at `cursor`, the head, and queues what is said about what it does not get.
    pub(super) fn pass_over(&mut self, s: usize, skipped: Vec<Piece>, cursor: u64) {
        let k = self.connections.owner(s);
        let events = |piece: &Piece| piece.gap.map_or(0, |gap| gap.to + 1 - gap.from.max(1));
        let made_good =
            skipped.iter().filter(|piece| piece.newest.is_some()).map(events).sum::<u64>();
        self.telemetry.add(ShardCounter::GapEvents, skipped.iter().map(events).sum());
        let total = self.total_bytes(s);
        self.connections.cursor[s] = cursor;
        self.connections.cold(s).sent_total = total;
        if !skipped.is_empty() {
            let notices = skipped.len() as u64;
            if self.connections.flags[k].has(Flags::V1) {
                self.telemetry.add(ShardCounter::Gaps, notices);
            }
            let cold = self.connections.cold(k);
            cold.gaps += notices;
            cold.conflated += made_good;
            let pieces = cold.pieces.get_or_insert_default();
            for piece in skipped {
                if !planted("a gap is not told") {
                    pieces.add(piece);
                }
            }
            self.connections.flags[k].set(Flags::OWN_OUTPUT);
        }
        self.run_soon(k);
    }

    /// Segments of `lane` below `index` are about to be dropped: who stands in them is moved on.
    pub(super) fn overrun(&mut self, lane: Lane, index: u64) {
        let is_behind = |shard: &Self, s: usize| {
            let g = shard.connections.group[s];
            g != NONE && shard.groups.at(g).key.lane == lane && shard.connections.cursor[s] < index
        };
        let mut overrun: Vec<usize> = Vec::new();
        for &slot in &self.laggards {
            let mut nth = 0;
            while let Some(s) = self.connections.slot_of(slot as usize, nth) {
                nth += 1;
                if is_behind(self, s) {
                    overrun.push(s);
                }
            }
        }
        for &g in &self.groups.due {
            let group = self.groups.at(g);
            if group.key.lane == lane && group.oldest_due().is_some_and(|oldest| oldest < index) {
                let members = group.members.iter().map(|&member| member as usize);
                overrun.extend(members.filter(|&s| is_behind(self, s) && self.unsent_bytes(s) > 0));
            }
        }
        for s in overrun {
            let k = self.connections.owner(s);
            if self.connections.group[s] == NONE {
                // Its connection was closed for another of its slots.
                continue;
            }
            self.become_laggard(k);
            if self.is_to_be_closed(k) {
                self.close_lagging(k);
            } else {
                self.skip_slot(s, GapReason::Overrun);
            }
        }
    }
}
