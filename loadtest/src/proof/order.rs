//! Whether an event may come now: per client and topic, each seq follows the one before, or a gap says why not.
//!
//! ```text
//! ack 7 ─► 8 ─► 9 ─► gap 10..12 ─► 13        well
//! ack 7 ─► 8 ─────► 10                       9 is lost, until it comes late: then it is reordered
//! ack 7 ─► 8 ─► 8                            8 is duplicated
//! … 9   cut   ack 9, recovered ─► 10         well; ack 10: a hole; ack 8: 9 comes again
//! ```
//! A topic that came by a pattern starts anywhere; an exact one where the ack says. A client holds 8 bytes per topic,
//! and a list of what it misses only after a fault. An event costs two loads and a comparison.

use super::topics::{SetId, TopicId, Topics};
use crate::measure::{Counts, FAULTS_TOLD_MAX};

/// Missing ranges that are remembered per client, to tell a late event from a second copy.
const MISSING_MAX: usize = 64;

/// Whose message it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Who {
    /// The client's number.
    pub number: u32,
    /// Judged by the strict rule; others are counted apart.
    pub is_strict: bool,
}

/// What one client has seen.
#[derive(Debug, Default)]
pub struct Seen {
    /// By slot: the seq that must come next; 0: any.
    next: Vec<u64>,
    /// What it asked for; a client that has asked for nothing yet holds no slots.
    set: SetId,
    /// Slot and first and last seq of what was skipped without a word. Boxed: a client without faults has none.
    #[expect(
        clippy::box_collection,
        reason = "8 bytes in place of 24 for each client that never needs it"
    )]
    missing: Option<Box<Vec<(usize, u64, u64)>>>,
}

/// Judges all clients.
#[derive(Debug, Default)]
pub struct Judge {
    /// Names and sets.
    pub topics: Topics,
    /// Counts of the strictly judged clients.
    pub strict: Counts,
    /// Counts of the others.
    pub faulty: Counts,
    /// The first faults in words.
    pub faults: Vec<String>,
}

impl Judge {
    /// The counts of this client's kind.
    pub fn counts(&mut self, who: Who) -> &mut Counts {
        if who.is_strict { &mut self.strict } else { &mut self.faulty }
    }

    /// Puts a fault into words.
    pub fn tell(&mut self, fault: impl FnOnce() -> String) {
        if self.faults.len() < FAULTS_TOLD_MAX {
            self.faults.push(fault());
        }
    }

    /// An ack names the seq from which an exact topic goes on.
    pub fn ack(&mut self, seen: &mut Seen, topic: TopicId, seq: u64) {
        self.topics.goes_on_from(topic, seq);
        if let Some(next) = self.next(seen, topic) {
            *next = seq + 1;
        }
    }

    /// An ack that says what was missed will be sent: the topic must go on where the client left off.
    pub fn resumed(&mut self, who: Who, seen: &mut Seen, topic: TopicId, seq: u64) {
        let Some(next) = self.next(seen, topic) else {
            return;
        };
        let expected = *next;
        if expected == 0 {
            *next = seq + 1;
        } else if seq + 1 > expected {
            *next = seq + 1;
            self.lose(who, seen, topic, (expected, seq));
        }
    }

    /// A last value: the topic goes on from it. One at or below what the client has says nothing new.
    pub fn snapshot(&mut self, who: Who, seen: &mut Seen, topic: TopicId, seq: u64) {
        self.counts(who).snapshots += 1;
        self.topics.reached(topic, seq);
        let Some(next) = self.next(seen, topic) else {
            return self.not_asked(who, topic);
        };
        let expected = std::mem::replace(next, (*next).max(seq + 1));
        if expected != 0 && seq > expected {
            // The value itself arrives with the snapshot; what lies before it does not.
            self.lose(who, seen, topic, (expected, seq - 1));
        } else if expected != 0 && seq + 1 < expected {
            self.counts(who).reordered += 1;
            let (client, had) = (who.number, expected - 1);
            let name = self.topics.name(topic).to_owned();
            self.tell(|| {
                format!(
                    "client {client}: {name} a snapshot of {seq}, though the client stands at {had}"
                )
            });
        }
    }

    /// An event.
    #[inline]
    pub fn event(&mut self, who: Who, seen: &mut Seen, topic: TopicId, seq: u64) {
        self.topics.reached(topic, seq);
        self.counts(who).delivered += 1;
        let Some(next) = self.next(seen, topic) else {
            return self.not_asked(who, topic);
        };
        let expected = *next;
        if expected == 0 || seq == expected {
            *next = seq + 1;
            return;
        }
        if seq > expected {
            *next = seq + 1;
            self.lose(who, seen, topic, (expected, seq - 1));
        } else {
            self.late(who, seen, topic, (seq, expected));
        }
    }

    /// A gap. `from` 0: the server does not know what the client had; `to` 0: nor where the topic stands.
    pub fn gap(&mut self, who: Who, seen: &mut Seen, topic: TopicId, (from, to): (u64, u64)) {
        let Some(next) = self.next(seen, topic) else {
            return self.not_asked(who, topic);
        };
        let expected = *next;
        *next = if to == 0 { 0 } else { to + 1 };
        let first = if from == 0 { expected } else { from };
        let counts = self.counts(who);
        counts.announced_gaps += 1;
        if first != 0 && to >= first {
            counts.gap_events += to - first + 1;
        }
        if from == 0 || expected == 0 {
            return;
        }
        if from > expected {
            self.lose(who, seen, topic, (expected, from - 1));
        } else if from < expected {
            self.counts(who).reordered += 1;
            let (client, had) = (who.number, expected - 1);
            let name = self.topics.name(topic).to_owned();
            self.tell(|| format!("client {client}: {name} a gap {from}..{to}, but {had} had come"));
        }
    }

    /// Whether a client has everything up to the heads.
    #[must_use]
    pub fn has_all(&self, seen: &Seen) -> bool {
        self.topics.owed(seen.set).all(|(slot, _, first, head)| {
            seen.next.get(slot).copied().filter(|next| *next > 0).unwrap_or(first) > head
        })
    }

    /// At the end: what a client still lacks is lost.
    pub fn close(&mut self, who: Who, seen: &mut Seen) {
        let owed: Vec<_> = self.topics.owed(seen.set).collect();
        for (slot, topic, first, head) in owed {
            let next = seen.next.get(slot).copied().filter(|next| *next > 0).unwrap_or(first);
            if next <= head {
                self.lose(who, seen, topic, (next, head));
            }
        }
    }

    fn not_asked(&mut self, who: Who, topic: TopicId) {
        self.counts(who).breaches += 1;
        let (client, name) = (who.number, self.topics.name(topic).to_owned());
        self.tell(|| format!("client {client}: {name} was not asked for"));
    }

    #[inline]
    fn next<'a>(&self, seen: &'a mut Seen, topic: TopicId) -> Option<&'a mut u64> {
        let slot = self.topics.slot(seen.set, topic)?;
        if seen.next.len() <= slot {
            seen.next.resize(slot + 1, 0);
        }
        seen.next.get_mut(slot)
    }

    #[cold]
    fn late(&mut self, who: Who, seen: &mut Seen, topic: TopicId, (seq, expected): (u64, u64)) {
        let slot = self.topics.slot(seen.set, topic).unwrap_or_default();
        let (client, had) = (who.number, expected - 1);
        let name = self.topics.name(topic).to_owned();
        let counts = self.counts(who);
        if seen.find_missing(slot, seq) {
            counts.lost -= 1;
            counts.reordered += 1;
            self.tell(|| format!("client {client}: {name} {seq} came after {had}"));
        } else {
            counts.duplicated += 1;
            self.tell(|| format!("client {client}: {name} {seq} came again, after {had}"));
        }
    }

    #[cold]
    fn lose(&mut self, who: Who, seen: &mut Seen, topic: TopicId, (from, to): (u64, u64)) {
        self.counts(who).lost += to - from + 1;
        let (client, name) = (who.number, self.topics.name(topic).to_owned());
        self.tell(|| {
            format!("client {client}: {name} {from}..{to} did not come, and no gap said so")
        });
        let slot = self.topics.slot(seen.set, topic).unwrap_or_default();
        let missing = seen.missing.get_or_insert_default();
        if missing.len() < MISSING_MAX {
            missing.push((slot, from, to));
        }
    }
}

impl Seen {
    /// A client that asks for this set, and has seen nothing.
    #[must_use]
    pub fn new(set: SetId, topics: &Topics) -> Self {
        Self { next: vec![0; topics.slots(set)], set, missing: None }
    }

    /// What it asked for.
    #[must_use]
    pub fn set(&self) -> SetId {
        self.set
    }

    /// Whether the event is one of those missing, and no longer from now on.
    fn find_missing(&mut self, slot: usize, seq: u64) -> bool {
        let Some(missing) = &mut self.missing else {
            return false;
        };
        let holds =
            |range: &(usize, u64, u64)| range.0 == slot && (range.1..=range.2).contains(&seq);
        let Some(at) = missing.iter().position(holds) else {
            return false;
        };
        let (_, from, to) = missing.swap_remove(at);
        for (from, to) in [(from, seq - 1), (seq + 1, to)] {
            if from <= to {
                missing.push((slot, from, to));
            }
        }
        true
    }
}
