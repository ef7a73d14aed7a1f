//! Connections that are behind: their socket took less than they were owed, or something of their own waits.
//!
//! A laggard is out of its group's circle. When its socket is writable it gets what is its own first, then the
//! log in slices of at most 64 KiB, found by walking the records from its cursor; when its cursor reaches the
//! head it returns to the circle. Past the lag budget its cursor moves to the head, and every skipped topic is
//! named in a gap notice; a socket that takes nothing for the stall time is reset.

use super::connections::{Flags, NONE};
use super::output::Flushed;
use super::pieces::Piece;
use super::{Lane, Shard, Transport, slice};
use crate::session::GapReason;
use crate::telemetry::ShardCounter;
use std::collections::HashMap;
use std::io::ErrorKind;
use std::ops::Range;

/// Laggards served in one turn.
const SERVED_MAX: usize = 32;

impl<T: Transport> Shard<T> {
    /// Takes a connection out of the circle until its socket is writable.
    pub(super) fn become_laggard(&mut self, k: usize) {
        if !self.connections.is_open(k) || self.connections.flags[k].has(Flags::LAGGARD) {
            return;
        }
        let unsent = self.unsent_bytes(k);
        self.leave_line(k);
        self.connections.flags[k].set(Flags::LAGGARD);
        self.connections.place[k] =
            u32::try_from(self.laggards.len()).expect("slots are numbered in 32 bits");
        self.laggards.push(u32::try_from(k).expect("slots are numbered in 32 bits"));
        self.telemetry.set(ShardCounter::Laggards, self.laggards.len() as u64);
        let total = self.total_bytes(k);
        let now_us = self.now_us;
        let cold = self.connections.cold(k);
        cold.sent_total = total - unsent;
        cold.progress_us = now_us;
    }

    pub(super) fn total_bytes(&self, k: usize) -> u64 {
        match self.connections.group[k] {
            NONE => 0,
            g => self.groups.at(g).total_bytes,
        }
    }

    /// Frame bytes of its group that a connection has not been sent.
    pub(super) fn unsent_bytes(&self, k: usize) -> u64 {
        let g = self.connections.group[k];
        if g == NONE {
            return 0;
        }
        let group = self.groups.at(g);
        if self.connections.flags[k].has(Flags::LAGGARD) {
            let sent = self.connections.cold[k].as_deref().map_or(0, |cold| cold.sent_total);
            return group.total_bytes.saturating_sub(sent);
        }
        let Some((_, run)) = group.run_at(self.connections.cursor[k]) else { return 0 };
        let from = self.connections.cursor[k].max(run.first);
        let reader = &self.readers[group.key.lane as usize];
        let offset = reader.segment(from).map_or(run.start, |segment| {
            let record = usize::try_from(from - segment.base()).expect("segments are small");
            segment.records()[record].offset
        });
        group.total_bytes - run.before - u64::from(offset - run.start)
    }

    /// A socket is writable: its laggard is served soon.
    pub(super) fn run_soon(&mut self, k: usize) {
        let flags = &mut self.connections.flags[k];
        if flags.has(Flags::LAGGARD) && !flags.has(Flags::RUNNABLE) {
            flags.set(Flags::RUNNABLE);
            self.runnable.push_back(u32::try_from(k).expect("slots are numbered in 32 bits"));
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
        let g = self.connections.group[k];
        let is_closing = self.connections.flags[k].has(Flags::CLOSING);
        let command_at =
            self.connections.cold[k].as_deref().and_then(|cold| cold.commands.front().map(|c| c.0));
        let cursor = self.connections.cursor[k];
        if is_closing || (g == NONE && command_at.is_none()) {
            self.leave_line(k);
            return;
        }
        // In no group there is nothing to wait for: the change takes effect at the head.
        let until = if g == NONE {
            self.readers[Lane::V1 as usize].head()
        } else {
            let head = self.readers[self.groups.at(g).key.lane as usize].head();
            command_at.map_or(head, |at| at.clamp(cursor, head))
        };
        if g != NONE && self.send_slice(g, k, until) {
            return;
        }
        // Nothing of the group's is left below `until`.
        self.connections.cursor[k] = until;
        if command_at.is_some() {
            self.apply_next_command(k, until);
            self.run_soon(k);
        } else {
            self.leave_line(k);
            self.enter_circle(k);
        }
    }

    /// Writes one slice below `until`; false when there is none.
    fn send_slice(&mut self, g: u32, k: usize, until: u64) -> bool {
        let group = self.groups.at(g);
        let reader = &self.readers[group.key.lane as usize];
        let cursor = self.connections.cursor[k];
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
        let Some(socket) = &mut self.connections.socket[k] else { return true };
        match socket.try_write(bytes) {
            Ok(written) if written == length => {
                self.connections.cursor[k] = slice.next;
                self.book_laggard(slice.frames, length as u64);
                let now_us = self.now_us;
                let cold = self.connections.cold(k);
                cold.sent_total += length as u64;
                cold.progress_us = now_us;
                self.run_soon(k);
            }
            Ok(written) => {
                self.cut_visit(g, k, written);
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

    /// Moves a laggard past its budget on to the head.
    pub(super) fn check_lag(&mut self, k: usize) {
        let g = self.connections.group[k];
        if g == NONE || !self.connections.is_open(k) {
            return;
        }
        let group = self.groups.at(g);
        let is_far = self.unsent_bytes(k) > self.options.lag_bytes_max;
        let is_late = || {
            let reader = &self.readers[group.key.lane as usize];
            let age_us_max =
                u64::try_from(self.options.lag_age_max.as_micros()).unwrap_or(u64::MAX);
            slice::oldest_time_us(group, reader, self.connections.cursor[k])
                .is_some_and(|time_us| self.now_us.saturating_sub(time_us) > age_us_max)
        };
        if is_far || is_late() {
            self.skip(k, GapReason::Slow);
        }
    }

    /// Moves a laggard's cursor to the head; what it skips is named in gap notices.
    pub(super) fn skip(&mut self, k: usize, reason: GapReason) {
        let lane = self.groups.at(self.connections.group[k]).key.lane;
        let reader = &self.readers[lane as usize];
        let head = reader.head();
        let skipped = self.skipped_pieces(k, self.connections.cursor[k]..head, reason);
        self.give_pieces(k, skipped, head);
    }

    /// The gaps of a connection that does not get `range`, in order of their first frame.
    pub(super) fn skipped_pieces(
        &self,
        k: usize,
        range: Range<u64>,
        reason: GapReason,
    ) -> Vec<Piece> {
        let group = self.groups.at(self.connections.group[k]);
        let reader = &self.readers[group.key.lane as usize];
        let mut pieces: Vec<Piece> = Vec::new();
        let mut newest: Vec<u64> = Vec::new();
        let mut places: HashMap<u16, usize> = HashMap::new();
        slice::for_each_wanted(group, reader, range, |index, record| {
            let place = *places.entry(record.topic).or_insert(pieces.len());
            if place == pieces.len() {
                let (topic, seq) = (record.topic, record.seq);
                pieces.push(Piece { topic, from: seq, to: seq, reason, newest: None });
                newest.push(index);
            } else {
                pieces[place].to = record.seq;
                newest[place] = index;
            }
        });
        for (piece, index) in pieces.iter_mut().zip(newest) {
            piece.newest = reader.segment(index).map(|segment| {
                let record = u32::try_from(index - segment.base()).expect("segments are small");
                (segment.clone(), record)
            });
        }
        pieces
    }

    /// Queues gap notices for a laggard and puts its cursor at `cursor`.
    pub(super) fn give_pieces(&mut self, k: usize, skipped: Vec<Piece>, cursor: u64) {
        if self.connections.flags[k].has(Flags::V1) {
            self.telemetry.add(ShardCounter::Gaps, skipped.len() as u64);
        }
        let events = skipped.iter().map(|piece| piece.to - piece.from + 1).sum();
        self.telemetry.add(ShardCounter::GapEvents, events);
        let total = self.total_bytes(k);
        self.connections.cursor[k] = cursor;
        let cold = self.connections.cold(k);
        cold.sent_total = total;
        if !skipped.is_empty() {
            let pieces = cold.pieces.get_or_insert_default();
            for piece in skipped {
                pieces.add(piece);
            }
            self.connections.flags[k].set(Flags::OWN_OUTPUT);
        }
        self.run_soon(k);
    }

    /// Segments below `index` are about to be dropped: who stands in them is moved on.
    pub(super) fn overrun(&mut self, lane: Lane, index: u64) {
        let is_behind = |shard: &Self, k: usize| {
            let g = shard.connections.group[k];
            g != NONE && shard.groups.at(g).key.lane == lane && shard.connections.cursor[k] < index
        };
        // By place, not by iterator: skipping needs the whole of `self`, and leaves both lists as they are.
        for place in 0..self.laggards.len() {
            let k = self.laggards[place] as usize;
            if is_behind(self, k) {
                self.skip(k, GapReason::Overrun);
            }
        }
        for place in 0..self.groups.due.len() {
            let g = self.groups.due[place];
            let group = self.groups.at(g);
            if group.key.lane != lane || group.oldest_due().is_none_or(|oldest| oldest >= index) {
                continue;
            }
            for slot in group.members.clone() {
                let k = slot as usize;
                if is_behind(self, k) && self.unsent_bytes(k) > 0 {
                    self.become_laggard(k);
                    self.skip(k, GapReason::Overrun);
                }
            }
        }
    }
}
