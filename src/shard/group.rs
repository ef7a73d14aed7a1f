//! A group: connections with equal subscriptions, and the frames that are due to them.
//!
//! The frames are kept as runs: stretches of consecutive records that lie back to back in one segment. A group
//! that gets everything, or the only topic that is busy, has a single run per segment, and its members are served
//! straight from the log. Runs are trimmed when every member of the circle has passed them.
//!
//! Invariant: a member of the circle whose cursor is below `end` has visits remaining (`remaining > 0`).

use super::lanes::Lane;
use crate::event::{Topic, Topics};
use crate::session::Selection;
use std::collections::VecDeque;

/// Consecutive records of one segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    /// First record.
    pub(super) first: u64,
    /// Behind the last record.
    pub(super) end: u64,
    /// First byte in the segment.
    pub(super) start: u32,
    /// Behind the last byte.
    pub(super) stop: u32,
    /// Group bytes before this run.
    pub(super) before: u64,
}

/// What identifies a group.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) lane: Lane,
    pub(super) selection: Selection,
}

/// Connections with equal subscriptions.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) key: Key,
    /// Gets every record of its lane.
    pub(super) is_all: bool,
    /// By topic index, one bit each: which topics are selected; unused when `is_all`.
    topics: Vec<u64>,
    /// The circle.
    pub(super) members: Vec<u32>,
    /// `members[0]` once more: where every client has a set of its own, a visit needs no other line of memory.
    first: u32,
    /// The next member to visit.
    hand: usize,
    /// Visits until everybody has met the newest frame.
    pub(super) remaining: usize,
    /// Connections in the group, laggards included.
    pub(super) population: usize,
    /// In the shard's queue of groups with visits remaining.
    pub(super) is_queued: bool,
    /// The newest run; `older` is empty as long as one is enough.
    last: Option<Run>,
    older: VecDeque<Run>,
    /// Bytes of all frames ever routed to the group, and of the whole lane before it was made: so that whatever
    /// part of the log a connection brings along can be taken off.
    pub(super) total_bytes: u64,
    /// Everybody in the circle has passed this index.
    pub(super) passed: u64,
    /// Whoever is visited in this revolution passes `mark`, or stands at or above `lowest_cut`.
    mark: u64,
    lowest_cut: u64,
    visits: usize,
}

impl Group {
    pub(super) fn new(key: Key, head: u64, head_bytes: u64) -> Self {
        let is_all = key.selection.is_all();
        Self {
            key,
            is_all,
            topics: Vec::new(),
            members: Vec::new(),
            first: 0,
            hand: 0,
            remaining: 0,
            population: 0,
            is_queued: false,
            last: None,
            older: VecDeque::new(),
            total_bytes: head_bytes,
            passed: head,
            mark: head,
            lowest_cut: u64::MAX,
            visits: 0,
        }
    }

    /// Takes a topic in.
    pub(super) fn add_topic(&mut self, topic: u16) {
        let word = usize::from(topic / 64);
        if self.topics.len() <= word {
            self.topics.resize(word + 1, 0);
        }
        self.topics[word] |= 1 << (topic % 64);
    }

    /// Whether a record of this topic is the group's.
    pub(super) fn wants(&self, topic: u16) -> bool {
        self.is_all
            || self
                .topics
                .get(usize::from(topic / 64))
                .is_some_and(|word| word >> (topic % 64) & 1 == 1)
    }

    /// The topics taken in, in order; empty when `is_all`.
    pub(super) fn topics(&self) -> impl Iterator<Item = u16> + '_ {
        self.topics.iter().enumerate().flat_map(|(word, &bits)| {
            (0..64u16).filter(move |bit| bits >> bit & 1 == 1).map(move |bit| {
                u16::try_from(word * 64).expect("topics are numbered in 16 bits") + bit
            })
        })
    }

    /// Takes in every known topic that is selected; returns those taken.
    pub(super) fn match_topics(&mut self, topics: &Topics, known: u32) -> Vec<u16> {
        if self.is_all {
            return Vec::new();
        }
        let selection = &self.key.selection;
        let wants = |index: u16| {
            let info = topics.info(Topic::from_index(index));
            selection.wants(&info.name, info.class)
        };
        let taken: Vec<u16> = if selection.is_open() {
            (0..=u16::MAX).take(known as usize).filter(|&index| wants(index)).collect()
        } else {
            let found = selection.names().filter_map(|name| topics.find(name)).map(Topic::index);
            found.filter(|&index| u32::from(index) < known && wants(index)).collect()
        };
        for &topic in &taken {
            self.add_topic(topic);
        }
        taken
    }

    /// Behind the newest record of the group.
    pub(super) fn end(&self) -> u64 {
        self.last.map_or(0, |run| run.end)
    }

    /// Adds records `first..end`, which lie at `start..stop` of their segment; every member of the circle is due.
    pub(super) fn push(&mut self, first: u64, end: u64, start: u32, stop: u32) {
        let bytes = u64::from(stop - start);
        match &mut self.last {
            Some(run) if run.end == first && run.stop == start => {
                run.end = end;
                run.stop = stop;
            }
            last => {
                let run = Run { first, end, start, stop, before: self.total_bytes };
                if let Some(full) = last.replace(run)
                    && self.remaining > 0
                {
                    self.older.push_back(full);
                }
            }
        }
        self.total_bytes += bytes;
        self.remaining = self.members.len();
    }

    /// The first run with something at or above `cursor`, and its place (for [`next_run`](Self::next_run)).
    pub(super) fn run_at(&self, cursor: u64) -> Option<(usize, Run)> {
        let place = self.older.partition_point(|run| run.end <= cursor);
        let run = self.older.get(place).copied().or(self.last.filter(|run| run.end > cursor))?;
        Some((place, run))
    }

    /// The run behind the one at `place`.
    pub(super) fn next_run(&self, place: usize) -> Option<Run> {
        match (place + 1).cmp(&self.older.len()) {
            std::cmp::Ordering::Less => self.older.get(place + 1).copied(),
            std::cmp::Ordering::Equal => self.last,
            std::cmp::Ordering::Greater => None,
        }
    }

    /// The next member to visit.
    pub(super) fn under_hand(&mut self) -> Option<u32> {
        if self.hand >= self.members.len() {
            self.hand = 0;
        }
        match (self.members.is_empty(), self.hand) {
            (true, _) => None,
            (false, 0) => Some(self.first),
            (false, hand) => Some(self.members[hand]),
        }
    }

    /// Moves the hand on from `member`, if it is still in the circle.
    pub(super) fn pass(&mut self, member: u32) {
        if self.under_hand() == Some(member) {
            self.hand += 1;
            self.note_visit();
        }
    }

    /// Notes a visit; trims runs once a whole revolution has passed them.
    fn note_visit(&mut self) {
        self.visits += 1;
        if self.visits >= self.members.len() {
            self.visits = 0;
            self.passed = self.mark.min(self.lowest_cut);
            self.lowest_cut = u64::MAX;
            self.mark = self.end();
            let passed = self.passed;
            while self.older.front().is_some_and(|run| run.end <= passed) {
                self.older.pop_front();
            }
        }
    }

    /// A visit ended at `cursor`, short of the end: all members stay due.
    pub(super) fn note_cut(&mut self, cursor: u64) {
        self.lowest_cut = self.lowest_cut.min(cursor);
        self.remaining = self.members.len();
    }

    /// Everybody in the circle has everything.
    pub(super) fn settle(&mut self) {
        self.older.clear();
        self.passed = self.end();
        self.mark = self.passed;
        self.lowest_cut = u64::MAX;
        self.visits = 0;
    }

    /// The oldest record that somebody in the circle may still need.
    pub(super) fn oldest_due(&self) -> Option<u64> {
        (self.remaining > 0)
            .then(|| {
                self.older.front().or(self.last.as_ref()).map(|run| run.first.max(self.passed))
            })
            .flatten()
    }

    /// Puts a connection into the circle. It may stand between the hand and those who were still to be visited:
    /// all are visited again.
    pub(super) fn enter(&mut self, connection: u32) -> u32 {
        self.members.push(connection);
        self.restart();
        u32::try_from(self.members.len() - 1).expect("slots are numbered in 32 bits")
    }

    /// Takes the member at `place` out of the circle; returns who stands there now. Whoever moved may stand
    /// behind the hand: all are visited again, and a visit that finds nothing costs a compare.
    pub(super) fn exit(&mut self, place: u32) -> Option<u32> {
        let place = place as usize;
        self.members.swap_remove(place);
        self.restart();
        self.members.get(place).copied()
    }

    fn restart(&mut self) {
        self.first = self.members.first().copied().unwrap_or(0);
        self.visits = 0;
        if self.remaining > 0 {
            self.remaining = self.members.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Pattern;

    /// A group with `members` in its circle and these runs of one record each, ten bytes apart.
    fn group(members: u32, runs: &[u64]) -> Group {
        let selection = Selection::of([Pattern::parse("desk:*").expect("a pattern")]);
        let mut group = Group::new(Key { lane: Lane::V1, selection }, 0, 0);
        for member in 0..members {
            group.enter(member);
        }
        for &first in runs {
            push(&mut group, first);
        }
        group
    }

    fn push(group: &mut Group, first: u64) {
        let start = u32::try_from(first * 10).expect("short logs");
        group.push(first, first + 1, start, start + 10);
    }

    fn firsts(group: &Group) -> Vec<u64> {
        group.older.iter().chain(&group.last).map(|run| run.first).collect()
    }

    /// Every member is visited once while all stay due.
    fn revolve(group: &mut Group) {
        (0..group.members.len()).for_each(|_| group.note_visit());
    }

    #[test]
    fn records_back_to_back_are_one_run_and_a_hole_or_a_new_segment_begins_another() {
        let mut group = group(1, &[0, 1, 2]);
        let run = Run { first: 0, end: 3, start: 0, stop: 30, before: 0 };
        assert_eq!(group.run_at(0), Some((0, run)));
        push(&mut group, 4);
        group.push(5, 6, 0, 7);
        assert_eq!(firsts(&group), [0, 4, 5]);
        assert_eq!(group.last.expect("a run").before, 40);
        assert_eq!((group.total_bytes, group.end()), (47, 6));
        for (cursor, expected) in
            [(2, Some(0)), (3, Some(4)), (4, Some(4)), (5, Some(5)), (6, None)]
        {
            assert_eq!(group.run_at(cursor).map(|(_, run)| run.first), expected, "at {cursor}");
        }
        assert_eq!(group.next_run(0).map(|run| run.first), Some(4));
        assert_eq!(group.next_run(1).map(|run| run.first), Some(5));
        assert_eq!(group.next_run(2), None);
    }

    #[test]
    fn nothing_is_kept_of_what_everybody_has() {
        let mut group = group(2, &[0]);
        group.remaining = 0;
        push(&mut group, 2);
        assert_eq!(firsts(&group), [2]);
        push(&mut group, 4);
        assert_eq!(firsts(&group), [2, 4], "two visits remain");
        group.settle();
        assert_eq!(firsts(&group), [4]);
    }

    #[test]
    fn a_run_is_trimmed_by_the_last_visit_of_a_whole_revolution_that_began_behind_it() {
        let mut group = group(3, &[0, 2]);
        revolve(&mut group);
        assert_eq!(firsts(&group), [0, 2], "this revolution began before the runs");
        push(&mut group, 4);
        group.note_visit();
        group.note_visit();
        assert_eq!((firsts(&group), group.oldest_due()), (vec![0, 2, 4], Some(0)));
        group.note_visit();
        assert_eq!((firsts(&group), group.passed, group.oldest_due()), (vec![4], 3, Some(4)));
    }

    #[test]
    fn a_visit_that_was_cut_short_keeps_what_its_member_still_needs() {
        let mut group = group(3, &[0, 2, 4]);
        revolve(&mut group);
        group.remaining = 1;
        group.note_visit();
        group.note_cut(2);
        assert_eq!(group.remaining, 3);
        group.note_visit();
        group.note_visit();
        assert_eq!((firsts(&group), group.passed), (vec![2, 4], 2));
        revolve(&mut group);
        assert_eq!(firsts(&group), [4], "the cut counts for its own revolution alone");
    }

    #[test]
    fn whoever_enters_or_leaves_makes_all_members_due_again_and_the_revolution_anew() {
        let mut group = group(3, &[0, 2]);
        group.remaining = 1;
        group.note_visit();
        group.note_visit();
        assert_eq!(group.enter(9), 3);
        assert_eq!((group.remaining, group.visits), (4, 0));
        group.note_visit();
        assert_eq!(group.exit(0), Some(9));
        assert_eq!((group.remaining, group.visits), (3, 0));
        assert_eq!(group.exit(2), None);
        group.remaining = 0;
        group.enter(8);
        assert_eq!((group.remaining, group.oldest_due()), (0, None), "nobody is owed anything");
    }
}
