//! Heartbeats: at fixed times every v1 client with a subscription that is at the head is told the position up to which
//! it has everything, and how far the topics are that moved since the last heartbeat.
//!
//! A beat is of one position, taken for all clients at once; a hand then walks the slots, a bounded number per turn,
//! so that ten thousand heartbeats never hold up a sweep. A client that the sweep has yet to visit is waited for; one
//! that is a laggard is passed by: it is not at the head, and frames come to it. Clients of one group share the bytes.

use super::connections::{Flags, NONE};
use super::lanes::Lane;
use super::planted::planted;
use super::{Shard, Transport};
use crate::event::Topic;
use crate::session;
use crate::telemetry::ShardCounter;

/// Heartbeats sent in one turn.
const SENT_MAX: usize = 64;
/// Slots looked at in one turn.
const SLOTS_MAX: usize = 1_024;
/// Topics that a heartbeat lists; if more moved, it lists none.
const HEADS_MAX: usize = 64;

/// The state of heartbeats.
#[derive(Debug)]
pub(super) struct Heartbeat {
    due_us: u64,
    /// The next slot to look at; at the number of slots the beat is over.
    hand: usize,
    /// The position of the beat.
    pos: u64,
    /// By topic index: seqs at the beat, and at the one before.
    seqs: [Vec<u64>; 2],
    /// The bytes made last, and for which group; they are good for this beat alone.
    made: Option<(u32, Vec<u8>)>,
}

impl Heartbeat {
    pub(super) fn new(now_us: u64) -> Self {
        Self {
            due_us: now_us,
            hand: usize::MAX,
            pos: 0,
            seqs: [Vec::new(), Vec::new()],
            made: None,
        }
    }
}

impl<T: Transport> Shard<T> {
    /// Sends what is due; true when a beat goes on.
    pub(super) fn beat(&mut self) -> bool {
        if self.now_us >= self.heartbeat.due_us {
            self.heartbeat.due_us = self.now_us + self.heartbeat_us();
            self.begin_beat();
        }
        self.heartbeat.made = None;
        let mut sent = 0;
        let end = self.heartbeat.hand.saturating_add(SLOTS_MAX).min(self.connections.slots());
        while self.heartbeat.hand < end && sent < SENT_MAX {
            let k = self.heartbeat.hand;
            if self.is_awaited(k) {
                // The sweep is about to visit it.
                return true;
            }
            self.heartbeat.hand += 1;
            if self.is_listening(k) {
                sent += 1;
                self.send_heartbeat(k);
            }
        }
        self.heartbeat.hand < self.connections.slots()
    }

    /// Microseconds until the next beat.
    pub(super) fn beat_timeout_us(&self) -> u64 {
        if self.subscribed == 0 {
            return u64::MAX;
        }
        self.heartbeat.due_us.saturating_sub(self.now_us)
    }

    fn heartbeat_us(&self) -> u64 {
        self.options.limits.heartbeat_s.max(1).saturating_mul(1_000_000)
    }

    fn begin_beat(&mut self) {
        let beat = &mut self.heartbeat;
        beat.pos = self.readers[Lane::V1].head();
        beat.seqs.swap(0, 1);
        beat.seqs[0].clear();
        beat.seqs[0].extend(self.groups.heads().iter().map(|head| head.seq));
        beat.hand = if self.subscribed == 0 { usize::MAX } else { 0 };
    }

    /// A v1 client with a subscription that is not behind.
    fn is_listening(&self, k: usize) -> bool {
        let flags = self.connections.flags[k];
        self.connections.is_open(k)
            && flags.has(Flags::V1)
            && flags.has(Flags::SUBSCRIBED)
            && !flags.has(Flags::LAGGARD.or(Flags::CLOSING))
    }

    /// Whether the sweep still has something of this beat's to write to a client.
    fn is_awaited(&self, k: usize) -> bool {
        if !self.is_listening(k) || planted("a heartbeat does not wait for the sweep") {
            return false;
        }
        let mut nth = 0;
        while let Some(s) = self.connections.slot_of(k, nth) {
            nth += 1;
            let is_v1 = self.groups.at(self.connections.group[s]).key.lane == Lane::V1;
            let is_past = is_v1 && self.connections.cursor[s] >= self.heartbeat.pos;
            if !is_past && self.unsent_bytes(s) > 0 {
                return true;
            }
        }
        false
    }

    fn send_heartbeat(&mut self, k: usize) {
        self.telemetry.add(ShardCounter::Heartbeats, 1);
        let g = self.connections.group[k];
        if self.connections.slot_of(k, 1).is_some() || self.groups.at(g).key.lane != Lane::V1 {
            let mut frame = Vec::new();
            let none = None::<std::iter::Empty<(&str, u64)>>;
            session::heartbeat(self.told_pos(k), none, self.now_us, &mut frame);
            return self.reply(k, &frame);
        }
        let frame = match self.heartbeat.made.take() {
            Some((of, frame)) if of == g => frame,
            _ => self.make_heartbeat(g),
        };
        self.reply(k, &frame);
        self.heartbeat.made = Some((g, frame));
    }

    /// The position up to which a client with conflated views was told everything.
    fn told_pos(&self, k: usize) -> u64 {
        let mut pos = self.heartbeat.pos;
        let mut nth = 0;
        while let Some(s) = self.connections.slot_of(k, nth) {
            nth += 1;
            let g = self.connections.group[s];
            if g != NONE
                && let Lane::Latest(rate) = self.groups.at(g).key.lane
            {
                pos = pos.min(self.latest[rate.place()].pos);
            }
        }
        pos
    }

    fn make_heartbeat(&self, g: u32) -> Vec<u8> {
        let group = self.groups.at(g);
        let [now, before] = &self.heartbeat.seqs;
        // A client may have been sent more than the beat tells of. Of a topic that moves on, the next events tell.
        let moved = |&topic: &u16| {
            let seq = now.get(usize::from(topic)).copied().unwrap_or(0);
            seq > before.get(usize::from(topic)).copied().unwrap_or(0)
                && (seq == self.groups.head(topic).seq
                    || planted("a heartbeat tells of topics that moved on"))
        };
        let known = (0..=u16::MAX).take(now.len());
        let heads: Vec<u16> = if group.is_all {
            known.filter(moved).take(HEADS_MAX + 1).collect()
        } else {
            group.topics().filter(moved).take(HEADS_MAX + 1).collect()
        };
        let listed = (heads.len() <= HEADS_MAX).then(|| {
            heads.iter().map(|&topic| {
                let name = &*self.topics.info(Topic::from_index(topic)).name;
                (name, now[usize::from(topic)])
            })
        });
        let mut frame = Vec::new();
        session::heartbeat(self.heartbeat.pos, listed, self.now_us, &mut frame);
        frame
    }
}
