//! The gap proof, checked by the one who needs it: every event of a topic is the one after the last, or a gap said so.
//!
//! Knows seqs only: no frames, no sockets. One entry per topic that was seen, at most [`TOPICS_MAX`], kept over
//! reconnects so that a resumed stream is held to what was had before. An event costs one lookup by name.

use crate::event::TOPICS_MAX;
use std::collections::HashMap;

/// What was had of one topic.
#[derive(Debug, Default)]
struct Seen {
    /// The seq up to which the position to resume from covers the topic; none where nothing was ever had.
    had: Option<u64>,
    /// The next frame comes after this seq; none while any may come.
    after: Option<u64>,
    /// `had` is behind `after` until the position moves on.
    is_open: bool,
    /// Frames name the one before them.
    is_latest: bool,
}

/// Where a frame does not follow from those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    /// This seq was due.
    Expected(u64),
    /// One more topic than a server can have.
    TooManyTopics,
}

/// What was had of every topic.
#[derive(Debug, Default)]
pub(super) struct Proof {
    topics: HashMap<Box<str>, Seen>,
    /// The topics that are open.
    open: Vec<Box<str>>,
}

impl Proof {
    /// Takes an event. After a flaw it is the new beginning of its topic.
    ///
    /// # Errors
    /// When something was left out, repeated or turned round without a gap.
    pub(super) fn event(&mut self, topic: &str, seq: u64, prev: Option<u64>) -> Result<(), Flaw> {
        let seen = self.seen(topic)?;
        let due = match (seen.after, prev) {
            (None, _) => None,
            (Some(after), None) => Some(after.saturating_add(1)).filter(|&due| due != seq),
            // A view's frame may leave events out, never the frame before it.
            (Some(after), Some(prev)) => Some(after).filter(|&after| after != prev || seq <= prev),
        };
        (seen.had, seen.after, seen.is_latest) = (Some(seq), Some(seq), prev.is_some());
        due.map_or(Ok(()), |due| Err(Flaw::Expected(due)))
    }

    /// Takes a snapshot.
    ///
    /// # Errors
    /// When it is older than what was had, or than what a gap promised.
    pub(super) fn snapshot(&mut self, topic: &str, seq: u64) -> Result<(), Flaw> {
        let due = self.seen(topic)?.after.filter(|&after| seq < after);
        self.go_on_after(topic, Some(seq))?;
        due.map_or(Ok(()), |due| Err(Flaw::Expected(due)))
    }

    /// Takes a gap that ends at the seq `to`, none if any may follow. It begins at `exact_from`, or after whatever was
    /// had. Gives the first seq that is missing, where it is known.
    ///
    /// # Errors
    /// When `exact_from` does not follow the frame before.
    pub(super) fn gap(
        &mut self,
        topic: &str,
        exact_from: Option<u64>,
        to: Option<u64>,
    ) -> Result<Option<u64>, Flaw> {
        let seen = self.seen(topic)?;
        let after_had = seen.had.map(|had| had.saturating_add(1));
        let due = seen.after.map(|after| after.saturating_add(1)).filter(|_| !seen.is_latest);
        self.go_on_after(topic, to)?;
        match (exact_from, due) {
            (Some(from), Some(due)) if from != due => Err(Flaw::Expected(due)),
            _ => Ok(exact_from.or(after_had)),
        }
    }

    /// The server answered a subscribe with the seq of an exact topic: the next frame comes after it.
    ///
    /// # Errors
    /// When there are too many topics.
    pub(super) fn begin(&mut self, topic: &str, seq: u64) -> Result<(), Flaw> {
        if self.seen(topic)?.after.is_none() {
            self.go_on_after(topic, Some(seq))?;
        }
        Ok(())
    }

    /// The server says that it sent everything and that the topic is at `seq`. Tells about topics whose events were had
    /// one by one; of others too little is known.
    ///
    /// # Errors
    /// When events are missing at the end.
    pub(super) fn head(&mut self, topic: &str, seq: u64) -> Result<(), Flaw> {
        let Some(seen) = self.topics.get_mut(topic) else { return Ok(()) };
        match seen.after {
            Some(after) if seen.had == seen.after && !seen.is_latest && after < seq => {
                (seen.had, seen.after) = (Some(seq), Some(seq));
                Err(Flaw::Expected(after.saturating_add(1)))
            }
            _ => Ok(()),
        }
    }

    /// The position to resume from moved on: it covers all that was taken.
    pub(super) fn settle(&mut self) {
        for topic in self.open.drain(..) {
            if let Some(seen) = self.topics.get_mut(&topic) {
                (seen.had, seen.is_open) = (seen.after, false);
            }
        }
    }

    /// The stream goes on from the position to resume from.
    pub(super) fn resume(&mut self) {
        self.open.clear();
        for seen in self.topics.values_mut() {
            seen.is_open = false;
            seen.after = seen.had.filter(|_| !seen.is_latest);
        }
    }

    /// The stream goes on from somewhere else: gaps and snapshots say what that means.
    pub(super) fn start_over(&mut self) {
        self.open.clear();
        for seen in self.topics.values_mut() {
            (seen.is_open, seen.after) = (false, None);
        }
    }

    /// Another stream begins: seqs begin anew.
    pub(super) fn forget(&mut self) {
        self.open.clear();
        self.topics.clear();
    }

    fn go_on_after(&mut self, topic: &str, after: Option<u64>) -> Result<(), Flaw> {
        let seen = self.seen(topic)?;
        seen.after = after;
        if !std::mem::replace(&mut seen.is_open, true) {
            self.open.push(topic.into());
        }
        Ok(())
    }

    fn seen(&mut self, topic: &str) -> Result<&mut Seen, Flaw> {
        if !self.topics.contains_key(topic) {
            if self.topics.len() == TOPICS_MAX {
                return Err(Flaw::TooManyTopics);
            }
            self.topics.insert(topic.into(), Seen::default());
        }
        self.topics.get_mut(topic).ok_or(Flaw::TooManyTopics)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_first_frame_of_a_topic_may_have_any_seq_and_the_next_is_one_more() {
        let mut proof = Proof::default();
        assert_eq!(proof.event("a", 41, None), Ok(()));
        assert_eq!(proof.event("a", 42, None), Ok(()));
        assert_eq!(proof.event("b", 7, None), Ok(()), "topics do not mix");
        for (seq, due) in [(44, 43), (44, 45), (1, 45)] {
            assert_eq!(proof.event("a", seq, None), Err(Flaw::Expected(due)), "{seq}");
        }
        assert_eq!(proof.event("a", 2, None), Ok(()), "a flaw is told once");
    }

    #[test]
    fn a_gap_allows_exactly_the_jump_it_names() {
        let mut proof = Proof::default();
        proof.event("a", 5, None).unwrap();
        assert_eq!(proof.gap("a", Some(6), Some(9)), Ok(Some(6)));
        assert_eq!(proof.snapshot("a", 8), Err(Flaw::Expected(9)), "older than the gap's end");
        assert_eq!(proof.snapshot("a", 9), Ok(()));
        assert_eq!(proof.event("a", 10, None), Ok(()));
        assert_eq!(proof.gap("a", Some(12), Some(14)), Err(Flaw::Expected(11)));
        assert_eq!(proof.gap("a", None, Some(20)), Ok(Some(11)), "the client knows what it had");
        assert_eq!(proof.event("a", 22, None), Err(Flaw::Expected(21)));
    }

    #[test]
    fn a_view_names_the_frame_before() {
        let mut proof = Proof::default();
        proof.snapshot("a", 5).unwrap();
        assert_eq!(proof.event("a", 20, Some(5)), Ok(()));
        assert_eq!(proof.event("a", 30, Some(19)), Err(Flaw::Expected(20)));
        assert_eq!(proof.event("a", 30, Some(30)), Err(Flaw::Expected(30)));
    }

    #[test]
    fn an_acknowledged_seq_holds_the_first_event() {
        let mut proof = Proof::default();
        proof.begin("a", 0).unwrap();
        proof.begin("b", 3).unwrap();
        assert_eq!(proof.event("a", 1, None), Ok(()));
        assert_eq!(proof.event("b", 5, None), Err(Flaw::Expected(4)));
    }

    #[test]
    fn a_resume_goes_on_from_what_the_position_covers() {
        let mut proof = Proof::default();
        proof.event("a", 5, None).unwrap();
        proof.event("view", 5, Some(1)).unwrap();
        proof.gap("a", Some(6), Some(9)).unwrap();
        proof.resume();
        assert_eq!(proof.event("a", 6, None), Ok(()), "the gap was not covered: all comes again");
        assert_eq!(proof.event("view", 50, Some(40)), Ok(()), "views start over");

        proof.gap("a", Some(7), Some(9)).unwrap();
        proof.snapshot("a", 9).unwrap();
        proof.settle();
        proof.resume();
        assert_eq!(proof.event("a", 7, None), Err(Flaw::Expected(10)), "it was covered");
    }

    #[test]
    fn starting_over_takes_any_frame_but_remembers_what_was_had() {
        let mut proof = Proof::default();
        proof.event("a", 5, None).unwrap();
        proof.start_over();
        proof.begin("a", 90).unwrap();
        assert_eq!(proof.gap("a", None, Some(90)), Ok(Some(6)));
        assert_eq!(proof.snapshot("a", 90), Ok(()));
        assert_eq!(proof.event("a", 91, None), Ok(()));
        proof.forget();
        assert_eq!(proof.gap("a", None, None), Ok(None));
        assert_eq!(proof.event("a", 3, None), Ok(()), "another stream");
    }

    #[test]
    fn topics_beyond_what_a_server_can_have_are_a_flaw() {
        let mut proof = Proof::default();
        for topic in 0..TOPICS_MAX {
            assert_eq!(proof.event(&topic.to_string(), 1, None), Ok(()));
        }
        assert_eq!(proof.event("one more", 1, None), Err(Flaw::TooManyTopics));
        assert_eq!(proof.event("0", 2, None), Ok(()));
    }

    #[test]
    fn a_head_beyond_the_last_event_is_a_flaw_told_once() {
        let mut proof = Proof::default();
        proof.event("a", 5, None).unwrap();
        proof.event("view", 5, Some(1)).unwrap();
        for (topic, seq) in [("a", 5), ("a", 4), ("view", 9), ("unknown", 9)] {
            assert_eq!(proof.head(topic, seq), Ok(()), "{topic} {seq}");
        }
        assert_eq!(proof.head("a", 6), Err(Flaw::Expected(6)));
        assert_eq!(proof.head("a", 6), Ok(()));
        assert_eq!(proof.event("a", 7, None), Ok(()));
    }

    proptest! {
        /// Against the definition: of all seqs exactly the next one is no flaw.
        #[test]
        fn a_stream_is_flawless_exactly_where_it_counts_up_by_one(seqs in prop::collection::vec(1_u64..6, 1..40)) {
            let mut proof = Proof::default();
            let mut last = None;
            for seq in seqs {
                let follows = last.is_none_or(|last| seq == last + 1);
                prop_assert_eq!(proof.event("a", seq, None).is_ok(), follows);
                last = Some(seq);
            }
        }
    }
}
