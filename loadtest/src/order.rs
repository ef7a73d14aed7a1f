//! Whether an event may come now: per client and topic, each seq follows the one before, or a gap says why not.
//!
//! ```text
//! ack 7 ─► 8 ─► 9 ─► gap 10..12 ─► 13        well
//! ack 7 ─► 8 ─────► 10                       9 is lost, until it comes late: then it is reordered
//! ack 7 ─► 8 ─► 8                            8 is duplicated
//! ```
//! A topic that came by a pattern starts anywhere; an exact one where the ack says. A client holds 8 bytes per topic,
//! and a list of what it misses only after a fault.

use std::collections::HashMap;

/// Faults that are described in words; the rest are only counted.
pub const FAULTS_TOLD_MAX: usize = 20;
/// Missing ranges that are remembered per client, to tell a late event from a second copy.
const MISSING_MAX: usize = 64;

/// Names of topics as small numbers, for all clients.
#[derive(Debug, Default)]
pub struct Names {
    numbers: HashMap<Box<str>, usize>,
}

impl Names {
    /// The number of a topic, dense from 0.
    pub fn number(&mut self, topic: &str) -> usize {
        if let Some(number) = self.numbers.get(topic) {
            return *number;
        }
        let number = self.numbers.len();
        self.numbers.insert(topic.into(), number);
        number
    }
}

/// What one client has seen.
#[derive(Debug, Default)]
pub struct Seen {
    /// By topic number: the seq that must come next; 0: any.
    next: Vec<u64>,
    /// Topic number and first and last seq of what was skipped without a word. Boxed: a client without faults has none.
    #[expect(
        clippy::box_collection,
        reason = "8 bytes in place of 24 for each client that never needs it"
    )]
    missing: Option<Box<Vec<(usize, u64, u64)>>>,
}

/// Counts over all clients, and the first faults in words.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Events that never came, though none said so.
    pub lost: u64,
    /// Events that came again.
    pub duplicated: u64,
    /// Events that came after a later one.
    pub reordered: u64,
    /// Gaps that the server announced.
    pub announced_gaps: u64,
    /// Events in them, as far as the server knew.
    pub gap_events: u64,
    /// The first faults.
    pub faults: Vec<String>,
}

impl Verdict {
    /// Whether every event came once and in order, or was announced as skipped.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.lost == 0 && self.duplicated == 0 && self.reordered == 0
    }

    /// Puts a fault into words.
    pub fn tell(&mut self, fault: impl FnOnce() -> String) {
        if self.faults.len() < FAULTS_TOLD_MAX {
            self.faults.push(fault());
        }
    }
}

/// Judges all clients.
#[derive(Debug, Default)]
pub struct Judge {
    names: Names,
    /// The outcome so far.
    pub verdict: Verdict,
}

impl Judge {
    /// An ack names the seq from which an exact topic goes on.
    pub fn ack(&mut self, seen: &mut Seen, topic: &str, seq: u64) {
        *self.next(seen, topic).1 = seq + 1;
    }

    /// A last value: the topic goes on from it. One at or below what the client has says nothing new.
    pub fn snapshot(&mut self, client: usize, seen: &mut Seen, topic: &str, seq: u64) {
        let (number, next) = self.next(seen, topic);
        let expected = std::mem::replace(next, (*next).max(seq + 1));
        if expected != 0 && seq > expected {
            // The value itself arrives with the snapshot; what lies before it does not.
            self.lose(client, seen, (number, topic), expected, seq - 1);
        }
    }

    /// An event.
    pub fn event(&mut self, client: usize, seen: &mut Seen, topic: &str, seq: u64) {
        let (number, next) = self.next(seen, topic);
        let expected = *next;
        if expected == 0 || seq >= expected {
            *next = seq + 1;
            if expected != 0 && seq > expected {
                self.lose(client, seen, (number, topic), expected, seq - 1);
            }
        } else if seen.find_missing(number, seq) {
            self.verdict.lost -= 1;
            self.verdict.reordered += 1;
            self.verdict
                .tell(|| format!("client {client}: {topic} {seq} came after {}", expected - 1));
        } else {
            self.verdict.duplicated += 1;
            self.verdict.tell(|| {
                format!("client {client}: {topic} {seq} came again, after {}", expected - 1)
            });
        }
    }

    /// A gap. `from` 0: the server does not know what the client had; `to` 0: nor where the topic stands.
    pub fn gap(&mut self, client: usize, seen: &mut Seen, topic: &str, from: u64, to: u64) {
        let (number, next) = self.next(seen, topic);
        let expected = *next;
        *next = if to == 0 { 0 } else { to + 1 };
        self.verdict.announced_gaps += 1;
        let first = if from == 0 { expected } else { from };
        if first != 0 && to >= first {
            self.verdict.gap_events += to - first + 1;
        }
        if from == 0 || expected == 0 {
            return;
        }
        if from > expected {
            self.lose(client, seen, (number, topic), expected, from - 1);
        } else if from < expected {
            self.verdict.reordered += 1;
            let had = expected - 1;
            self.verdict.tell(|| {
                format!("client {client}: {topic} a gap {from}..{to}, but {had} had come")
            });
        }
    }

    fn next<'a>(&mut self, seen: &'a mut Seen, topic: &str) -> (usize, &'a mut u64) {
        let number = self.names.number(topic);
        if seen.next.len() <= number {
            seen.next.resize(number + 1, 0);
        }
        (number, &mut seen.next[number])
    }

    fn lose(
        &mut self,
        client: usize,
        seen: &mut Seen,
        (number, topic): (usize, &str),
        from: u64,
        to: u64,
    ) {
        self.verdict.lost += to - from + 1;
        self.verdict.tell(|| {
            format!("client {client}: {topic} {from}..{to} did not come, and no gap said so")
        });
        let missing = seen.missing.get_or_insert_default();
        if missing.len() < MISSING_MAX {
            missing.push((number, from, to));
        }
    }
}

impl Seen {
    /// Whether the event is one of those missing, and no longer from now on.
    fn find_missing(&mut self, topic: usize, seq: u64) -> bool {
        let Some(missing) = &mut self.missing else {
            return false;
        };
        let holds =
            |range: &(usize, u64, u64)| range.0 == topic && (range.1..=range.2).contains(&seq);
        let Some(at) = missing.iter().position(holds) else {
            return false;
        };
        let (_, from, to) = missing.swap_remove(at);
        for (from, to) in [(from, seq - 1), (seq + 1, to)] {
            if from <= to {
                missing.push((topic, from, to));
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What happens to one client.
    enum Step {
        Ack(u64),
        Event(u64),
        Snapshot(u64),
        Gap(u64, u64),
    }
    use Step::{Ack, Event, Gap, Snapshot};

    fn judged(steps: &[Step]) -> Verdict {
        let (mut judge, mut seen) = (Judge::default(), Seen::default());
        for step in steps {
            match *step {
                Ack(seq) => judge.ack(&mut seen, "t", seq),
                Event(seq) => judge.event(3, &mut seen, "t", seq),
                Snapshot(seq) => judge.snapshot(3, &mut seen, "t", seq),
                Gap(from, to) => judge.gap(3, &mut seen, "t", from, to),
            }
        }
        judge.verdict
    }

    /// Lost, duplicated, reordered, announced gaps, events in them.
    fn counts(steps: &[Step]) -> [u64; 5] {
        let verdict = judged(steps);
        let counts = [
            verdict.lost,
            verdict.duplicated,
            verdict.reordered,
            verdict.announced_gaps,
            verdict.gap_events,
        ];
        assert_eq!(verdict.is_clean(), counts[..3] == [0, 0, 0]);
        counts
    }

    #[test]
    fn an_unbroken_sequence_is_clean_from_the_ack_or_from_anywhere() {
        assert_eq!(counts(&[Ack(7), Event(8), Event(9)]), [0; 5]);
        assert_eq!(counts(&[Ack(0), Event(1)]), [0; 5]);
        assert_eq!(counts(&[Event(500), Event(501)]), [0; 5]);
        assert_eq!(counts(&[Ack(7), Snapshot(7), Event(8)]), [0; 5]);
        assert_eq!(counts(&[Snapshot(7), Event(8)]), [0; 5]);
        assert_eq!(counts(&[Ack(9), Snapshot(4), Snapshot(9), Event(10)]), [0; 5]);
    }

    #[test]
    fn a_hole_is_loss_and_is_named() {
        assert_eq!(counts(&[Ack(7), Event(9)]), [1, 0, 0, 0, 0]);
        assert_eq!(counts(&[Event(1), Event(5)]), [3, 0, 0, 0, 0]);
        assert_eq!(counts(&[Ack(7), Snapshot(9), Event(10)]), [1, 0, 0, 0, 0]);
        let verdict = judged(&[Ack(7), Event(11)]);
        assert!(verdict.faults[0].starts_with("client 3: t 8..10 "), "{:?}", verdict.faults);
    }

    #[test]
    fn a_late_event_is_reordered_and_a_second_copy_is_duplicated() {
        assert_eq!(counts(&[Ack(0), Event(1), Event(3), Event(2), Event(4)]), [0, 0, 1, 0, 0]);
        assert_eq!(counts(&[Ack(0), Event(1), Event(1), Event(2)]), [0, 1, 0, 0, 0]);
        assert_eq!(counts(&[Ack(0), Event(5), Event(3), Event(3)]), [3, 1, 1, 0, 0]);
        assert_eq!(
            counts(&[Ack(0), Event(5), Event(1), Event(4), Event(2), Event(3)]),
            [0, 0, 4, 0, 0]
        );
        assert_eq!(counts(&[Ack(7), Event(7)]), [0, 1, 0, 0, 0]);
    }

    #[test]
    fn an_announced_gap_is_counted_apart_and_must_fit_what_came() {
        assert_eq!(counts(&[Ack(7), Event(8), Gap(9, 12), Event(13)]), [0, 0, 0, 1, 4]);
        assert_eq!(counts(&[Ack(7), Gap(8, 12), Snapshot(12), Event(13)]), [0, 0, 0, 1, 5]);
        assert_eq!(counts(&[Ack(7), Event(8), Gap(10, 12), Event(13)]), [1, 0, 0, 1, 3]);
        assert_eq!(counts(&[Ack(7), Event(8), Gap(8, 12), Event(13)]), [0, 0, 1, 1, 5]);
        assert_eq!(counts(&[Ack(7), Gap(8, 12), Event(14)]), [1, 0, 0, 1, 5]);
        assert_eq!(counts(&[Ack(7), Gap(8, 12), Event(12)]), [0, 1, 0, 1, 5]);
    }

    #[test]
    fn a_gap_of_unknown_extent_lets_the_topic_go_on_from_where_it_says() {
        assert_eq!(counts(&[Ack(7), Gap(0, 12), Event(13)]), [0, 0, 0, 1, 5]);
        assert_eq!(counts(&[Gap(0, 12), Event(13)]), [0, 0, 0, 1, 0]);
        assert_eq!(counts(&[Ack(7), Gap(0, 0), Event(1)]), [0, 0, 0, 1, 0]);
    }

    #[test]
    fn topics_and_clients_are_judged_apart() {
        let (mut judge, mut first, mut second) =
            (Judge::default(), Seen::default(), Seen::default());
        for seq in 1..=3 {
            judge.event(0, &mut first, "a", seq);
            judge.event(0, &mut first, "b", 10 * seq);
        }
        judge.event(1, &mut second, "b", 1);
        judge.event(1, &mut second, "b", 2);
        assert_eq!((judge.verdict.lost, judge.verdict.faults.len()), (18, 2));
        assert!(judge.verdict.faults.iter().all(|fault| fault.starts_with("client 0: b ")));
    }

    #[test]
    fn faults_are_told_up_to_the_limit_and_counted_beyond_it() {
        for told in [FAULTS_TOLD_MAX - 1, FAULTS_TOLD_MAX, FAULTS_TOLD_MAX + 1] {
            let steps: Vec<Step> =
                std::iter::once(Event(1)).chain((0..told).map(|_| Event(1))).collect();
            let verdict = judged(&steps);
            assert_eq!(
                (verdict.duplicated, verdict.faults.len()),
                (told as u64, told.min(FAULTS_TOLD_MAX))
            );
        }
    }
}
