//! Answers what operators ask: a walk over the slots, a bounded piece of it in each turn.
//!
//! Control path: a turn looks at 128 slots or works for 100 µs, whichever ends first, so that ten thousand connections
//! never hold up a sweep. A slot costs one system call; of a connection that owes something the log is walked once
//! more for the number and the age of its events, and only of one that may be among those listed. Without an inquiry
//! a turn pays one look at an empty queue.
//!
//! Connections that come or go between two pieces are in the answer or not; each that stays is in it once.

use super::connections::{Cold, Flags, NONE, number};
use super::inquiry::{Census, ConnectionId, Inquiry, Rank, Report, Sort};
use super::{Shard, Transport};
use crate::event::Pattern;
use crate::session::{CloseCode, Session};
use crate::telemetry::ShardCounter;
use std::cmp::Reverse;

/// Slots looked at in one turn.
pub(super) const SLOTS_MAX: usize = 128;
/// Time spent in one turn, microseconds.
const PIECE_US_MAX: u64 = 100;
/// Patterns that a report names.
pub(super) const TOPICS_SHOWN_MAX: usize = 64;

/// An inquiry that is being answered.
#[derive(Debug)]
pub(super) struct Walk {
    inquiry: Inquiry,
    /// The next slot to look at.
    hand: usize,
    /// Connections met.
    total: usize,
    /// The best so far and some more: at most twice as many as are asked for.
    kept: Vec<(Rank, Box<Report>)>,
    /// Who ranks no higher is not among those listed.
    floor: Option<Rank>,
}

impl Walk {
    fn new(inquiry: Inquiry) -> Self {
        Self { inquiry, hand: 0, total: 0, kept: Vec::new(), floor: None }
    }

    fn keep(&mut self, rank: Rank, report: Report, count_max: usize) {
        self.kept.push((rank, Box::new(report)));
        if self.kept.len() >= count_max.saturating_mul(2) {
            self.prune(count_max);
        }
    }

    fn prune(&mut self, count_max: usize) {
        self.kept.sort_by_key(|(rank, _)| Reverse(*rank));
        self.kept.truncate(count_max);
        if self.kept.len() == count_max {
            self.floor = self.kept.last().map(|(rank, _)| *rank);
        }
    }

    /// Answers with what was met; a connection to close was not.
    fn conclude(mut self) {
        if let Inquiry::List { count_max, .. } = &self.inquiry {
            self.prune(*count_max);
        }
        let reports = self.kept.into_iter().map(|(_, report)| *report).collect();
        match self.inquiry {
            Inquiry::List { reply, .. } => reply(Census { total: self.total, reports }),
            Inquiry::Close { reply, .. } => reply(false),
        }
    }
}

impl<T: Transport> Shard<T> {
    /// Goes on with the inquiry under way, or begins the next; true when there is more to do.
    pub(super) fn answer_inquiries(&mut self) -> bool {
        if self.walk.is_none() {
            let Some(inquiry) = self.inbox.inquiries.pop() else { return false };
            self.walk = Some(Walk::new(inquiry));
        }
        let until_us = self.clock.now_us() + PIECE_US_MAX;
        for _ in 0..SLOTS_MAX {
            let Some(mut walk) = self.walk.take() else { break };
            if walk.hand >= self.connections.slots() {
                walk.conclude();
                break;
            }
            let k = walk.hand;
            walk.hand += 1;
            if self.connections.is_open(k) && !self.connections.flags[k].has(Flags::CLOSING) {
                walk.total += 1;
                self.walk = self.look(k, walk);
            } else {
                self.walk = Some(walk);
            }
            if self.clock.now_us() >= until_us {
                break;
            }
        }
        self.walk.is_some() || !self.inbox.inquiries.is_empty()
    }

    /// Looks at one connection; `None`: the inquiry is answered.
    fn look(&mut self, k: usize, mut walk: Walk) -> Option<Walk> {
        match walk.inquiry {
            Inquiry::List { sort, count_max, .. } => {
                let rank = self.rank(k, sort);
                if walk.floor.is_none_or(|floor| rank > floor) {
                    walk.keep(rank, self.report(k), count_max);
                }
            }
            Inquiry::Close { id, reply } if self.connection_id(k) == id => {
                self.telemetry.add(ShardCounter::EvictedOperator, 1);
                self.close(k, CloseCode::Policy as u16, "policy closed by an operator");
                reply(true);
                return None;
            }
            Inquiry::Close { .. } => {}
        }
        Some(walk)
    }

    fn rank(&self, k: usize, sort: Sort) -> Rank {
        let age_ms = u64::from(self.millisecond().saturating_sub(self.connections.born_ms[k]));
        let vitals = self.connections.socket[k].as_ref().map(Transport::vitals).unwrap_or_default();
        sort.rank(age_ms, self.owed_bytes(k), &vitals)
    }

    fn report(&self, k: usize) -> Report {
        let flags = self.connections.flags[k];
        let kind = if flags.has(Flags::V1) {
            "v1"
        } else if flags.has(Flags::CUSTOM) {
            "custom"
        } else if flags.has(Flags::NESTED) {
            "legacy-nested"
        } else {
            "legacy"
        };
        let patterns = self.patterns(k);
        let mut fare = self.fare(k);
        if kind != "v1" {
            // It was moved on without a notice.
            fare.gaps = 0;
        }
        let socket = self.connections.socket[k].as_ref();
        Report {
            id: self.connection_id(k),
            kind,
            peer: socket.and_then(Transport::peer),
            fare,
            topics_total: patterns.len(),
            topics: patterns
                .iter()
                .take(TOPICS_SHOWN_MAX)
                .map(|pattern| pattern.as_str().to_owned())
                .collect(),
            vitals: socket.map(Transport::vitals).unwrap_or_default(),
        }
    }

    /// The patterns that a connection holds, sorted by their text.
    fn patterns(&self, k: usize) -> Vec<Pattern> {
        let cold = self.connections.cold[k].as_deref();
        match (cold.and_then(|cold| cold.session.as_deref()), self.connections.group[k]) {
            (Some(session), _) => session.rules().patterns(),
            (None, NONE) => Vec::new(),
            (None, g) => self.groups.at(g).key.selection.patterns(),
        }
    }

    fn connection_id(&self, k: usize) -> ConnectionId {
        let cold = self.connections.cold[k].as_deref();
        let told = |cold: &Cold| cold.session.as_deref().map(Session::id).or(cold.told_id);
        match cold.and_then(told) {
            Some(id) => ConnectionId::Told(id),
            None => ConnectionId::Slot {
                shard: self.index,
                slot: number(k),
                born_ms: self.connections.born_ms[k],
            },
        }
    }
}
