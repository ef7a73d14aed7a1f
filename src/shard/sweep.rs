//! The elevator sweep: the circle of a group that has news is walked from where the hand stands, and each member
//! gets everything from its cursor to the head in one write.
//!
//! Called once per turn. A slice ends after 64 writes or 200 µs, whichever comes first; a group that is not done
//! goes behind the other due groups. The bytes of a visit are remembered for the members that follow at the same
//! cursor. A visit that stops short of the head (end of the 64 KiB, several runs) leaves all members due.

use super::connections::{Flags, Remainder};
use super::output::Flushed;
use super::slice::{self, Slice};
use super::{Shard, Transport};
use crate::session::GapReason;
use crate::telemetry::ShardCounter;
use std::io::ErrorKind;

/// Writes between two looks at the clock.
const LOOK_WRITES: u64 = 16;
/// Visits of one slice, those that find nothing included.
const SLICE_VISITS_MAX: u32 = 4_096;
/// Time of one slice, microseconds.
const SLICE_US_MAX: u64 = 200;

/// What the last visit wrote, for the next member at the same cursor.
#[derive(Debug, Default)]
pub(super) struct Memo {
    slice: Option<Slice>,
    from: u64,
    /// Members that got it whole.
    served: u64,
    pub(super) scratch: Vec<u8>,
    /// (publish time, frames) of what is in it.
    pub(super) times: Vec<(u64, u64)>,
    /// (publish time, deliveries) of the slice so far.
    delivered: Vec<(u64, u64)>,
    writes: u64,
    blocked: u64,
    bytes: u64,
    deliveries: u64,
}

impl Memo {
    /// Books the deliveries of the remembered bytes and forgets them.
    fn settle(&mut self) {
        let served = std::mem::take(&mut self.served);
        if let Some(slice) = self.slice.take()
            && served > 0
        {
            self.deliveries += slice.frames * served;
            for &(time_us, frames) in &self.times {
                slice::note_time(&mut self.delivered, time_us, frames * served);
            }
        }
    }

    /// Books the first `frames` of the remembered bytes for one member.
    fn book_first(&mut self, frames: u64) {
        let mut left = frames;
        for &(time_us, count) in &self.times {
            let count = count.min(left);
            left -= count;
            if count > 0 {
                slice::note_time(&mut self.delivered, time_us, count);
            }
        }
        self.deliveries += frames;
    }
}

/// Why a run of writes of the same bytes ended at a member.
#[derive(Debug, Clone, Copy)]
enum Ended {
    /// It got everything, and nobody behind it stands where it stood.
    Well,
    /// It got the bytes, and they are not all that is due to it.
    Short,
    /// Its socket took so many of the bytes.
    Cut(usize),
    /// Its socket took nothing.
    Blocked,
    /// Its socket is broken.
    Broken,
}

impl<T: Transport> Shard<T> {
    /// One slice; true when it did something.
    pub(super) fn sweep(&mut self) -> bool {
        if self.groups.due.is_empty() {
            return false;
        }
        let stop_us = self.clock.now_us() + SLICE_US_MAX;
        let (mut visits, mut looked_at, mut is_over) = (0, 0, false);
        let writes_before = self.memo.writes;
        while !is_over && let Some(&g) = self.groups.due.front() {
            loop {
                let group = self.groups.at_mut(g);
                if group.remaining == 0 {
                    group.is_queued = false;
                    group.settle();
                    self.groups.due.pop_front();
                    break;
                }
                let writes = self.memo.writes - writes_before;
                is_over = writes >= self.options.slice_writes_max || visits >= SLICE_VISITS_MAX;
                if !is_over && writes - looked_at >= LOOK_WRITES {
                    looked_at = writes;
                    is_over |= self.clock.now_us() > stop_us;
                }
                if is_over {
                    self.groups.due.rotate_left(1);
                    break;
                }
                visits += 1;
                let until_look = looked_at + LOOK_WRITES - writes;
                self.visit_next(g, until_look.min(self.options.slice_writes_max - writes));
            }
            self.memo.settle();
        }
        self.book_slice();
        true
    }

    /// Visits the member under the hand and, in at most `writes_max` writes, those behind it at the same cursor.
    fn visit_next(&mut self, g: u32, writes_max: u64) {
        let group = self.groups.at_mut(g);
        let Some(member) = group.under_hand() else {
            group.remaining = 0;
            return;
        };
        group.remaining -= 1;
        if !self.prepare(g, member as usize) {
            return self.groups.at_mut(g).pass(member);
        }
        let (member, ended) = self.write_alike(g, member, writes_max);
        let k = member as usize;
        match ended {
            Ended::Well => return,
            Ended::Short => self.leave_due(g, k),
            Ended::Cut(written) => self.cut_visit(g, k, written),
            Ended::Blocked => {
                self.memo.blocked += 1;
                self.become_laggard(k);
            }
            Ended::Broken => self.drop_connection(self.connections.owner(k)),
        }
        self.groups.at_mut(g).pass(member);
    }

    /// Finds what is due to a member, unless it is remembered; false when there is nothing to write from the log.
    fn prepare(&mut self, g: u32, k: usize) -> bool {
        if self.connections.flags[k].has(Flags::OWN_OUTPUT) {
            match self.flush(k) {
                Flushed::Done => {}
                Flushed::Blocked => {
                    self.become_laggard(k);
                    return false;
                }
                Flushed::Gone => return false,
            }
        }
        let cursor = self.connections.cursor[k];
        let group = self.groups.at(g);
        if cursor >= group.end() {
            return false;
        }
        if self.memo.slice.is_none() || self.memo.from != cursor {
            self.memo.settle();
            let reader = &self.readers[group.key.lane];
            let Memo { scratch, times, .. } = &mut self.memo;
            let slice =
                slice::by_runs(group, reader, cursor, self.options.visit_bytes_max, scratch, times);
            self.memo.slice = slice;
            self.memo.from = cursor;
        }
        if self.memo.slice.is_none() {
            // Nothing of the group's lies at or above the cursor any more.
            self.connections.cursor[k] = group.end();
        }
        self.memo.slice.is_some()
    }

    /// Writes the remembered bytes to `member` and to those behind it that stand where it stood; says at whom and why
    /// it ended.
    fn write_alike(&mut self, g: u32, mut member: u32, writes_max: u64) -> (u32, Ended) {
        let Self { groups, readers, connections, memo, .. } = self;
        let group = groups.at_mut(g);
        let Some(slice) = &memo.slice else { return (member, Ended::Well) };
        let bytes = slice.bytes(&readers[group.key.lane], &memo.scratch);
        for left in (0..writes_max).rev() {
            let socket_of = if connections.flags[member as usize].has(Flags::SHADOW) {
                connections.owner(member as usize)
            } else {
                member as usize
            };
            let Some(socket) = &mut connections.socket[socket_of] else { break };
            memo.writes += 1;
            match socket.try_write(bytes) {
                Ok(written) if written == bytes.len() => {
                    memo.bytes += written as u64;
                    memo.served += 1;
                    connections.cursor[member as usize] = slice.next;
                    if slice.next < group.end() {
                        return (member, Ended::Short);
                    }
                    group.pass(member);
                }
                Ok(written) => return (member, Ended::Cut(written)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return (member, Ended::Blocked);
                }
                Err(_) => return (member, Ended::Broken),
            }
            match group.under_hand() {
                Some(next)
                    if left > 0
                        && group.remaining > 0
                        && connections.cursor[next as usize] == memo.from
                        && !connections.flags[next as usize].has(Flags::OWN_OUTPUT) =>
                {
                    group.remaining -= 1;
                    member = next;
                }
                _ => break,
            }
        }
        (member, Ended::Well)
    }

    /// The visit stopped short of the head: all members stay due, and one past the lag budget is moved on.
    fn leave_due(&mut self, g: u32, k: usize) {
        self.groups.at_mut(g).note_cut(self.connections.cursor[k]);
        if self.unsent_bytes(k) > self.options.lag_bytes_max {
            self.become_laggard(k);
            self.skip(self.connections.owner(k), GapReason::Slow);
        }
    }

    /// The socket took only a part: the slot's cursor goes behind the cut frame, whose tail is the remainder.
    pub(super) fn cut_visit(&mut self, g: u32, s: usize, written: usize) {
        let group = self.groups.at(g);
        let reader = &self.readers[group.key.lane];
        let (next, remainder, frames) =
            slice::cut(group, reader, self.connections.cursor[s], written);
        self.memo.bytes += written as u64;
        self.memo.book_first(frames);
        self.become_laggard(s);
        self.connections.cursor[s] = next;
        let has_tail = !matches!(remainder, Remainder::None);
        let tail = match &remainder {
            Remainder::None => 0,
            Remainder::Bytes(bytes, _) => bytes.len() as u64,
            Remainder::Segment(_, range) => u64::from(range.end - range.start),
        };
        let now_us = self.now_us;
        self.connections.cold(s).sent_total += written as u64 + tail;
        let k = self.connections.owner(s);
        let cold = self.connections.cold(k);
        cold.progress_us = now_us;
        cold.remainder = remainder;
        if has_tail {
            self.connections.flags[k].set(Flags::OWN_OUTPUT);
        }
    }

    /// Books what a slice did: one clock read and one addition per counter.
    pub(super) fn book_slice(&mut self) {
        self.memo.settle();
        let memo = &mut self.memo;
        if memo.writes == 0 && memo.deliveries == 0 {
            return;
        }
        self.timers.wants_tick = true;
        let now_us = self.clock.now_us();
        let latency = self.telemetry.latency();
        for (time_us, deliveries) in memo.delivered.drain(..) {
            latency.record_n(now_us.saturating_sub(time_us), deliveries);
        }
        let counts = [
            (ShardCounter::Deliveries, &mut memo.deliveries),
            (ShardCounter::Bytes, &mut memo.bytes),
            (ShardCounter::Writes, &mut memo.writes),
            (ShardCounter::BlockedWrites, &mut memo.blocked),
        ];
        for (counter, count) in counts {
            self.telemetry.add(counter, std::mem::take(count));
        }
        self.telemetry.add(ShardCounter::Slices, 1);
    }

    /// Notes frames that a laggard got.
    pub(super) fn book_laggard(&mut self, frames: u64, bytes: u64) {
        self.memo.writes += 1;
        self.memo.deliveries += frames;
        self.memo.bytes += bytes;
        let Memo { times, delivered, .. } = &mut self.memo;
        delivered.append(times);
    }

    /// Notes that a laggard's socket took nothing.
    pub(super) fn book_blocked(&mut self) {
        self.memo.writes += 1;
        self.memo.blocked += 1;
    }
}
