//! Answers that are kept for a moment: what many ask for within it is made once.

use crate::clock::Clock;
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// How long an answer is good for, microseconds.
pub(super) const KEPT_US: u64 = 250_000;
/// Answers kept at most; when there are more, all that are over go, and if that is none, all.
const KEPT_MAX: usize = 256;
/// Answers and the questions they are found by are together not longer, bytes; what goes then is as above.
const KEPT_BYTES_MAX: usize = 16 << 20;
/// A longer answer is not kept, bytes.
const BYTES_MAX: usize = 1 << 20;

/// The answers by path and query.
#[derive(Debug)]
pub(super) struct Cache {
    clock: Clock,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    answers: HashMap<String, (u64, Bytes)>,
    /// Of all answers and their keys.
    bytes: usize,
}

impl Cache {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, kept: Mutex::default() }
    }

    /// An answer that is still good.
    pub(super) fn find(&self, key: &str) -> Option<Bytes> {
        let now_us = self.clock.now_us();
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.answers.get(key).filter(|(until_us, _)| is_good(*until_us, now_us));
        found.map(|(_, answer)| answer.clone())
    }

    /// Keeps an answer.
    pub(super) fn keep(&self, key: &str, answer: &Bytes) {
        if answer.len() > BYTES_MAX {
            return;
        }
        let now_us = self.clock.now_us();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.remove(key);
        let length = key.len() + answer.len();
        if !kept.has_room(length) {
            kept.answers.retain(|_, (until_us, _)| is_good(*until_us, now_us));
            kept.bytes =
                kept.answers.iter().map(|(key, (_, answer))| key.len() + answer.len()).sum();
        }
        if !kept.has_room(length) {
            *kept = Kept::default();
        }
        kept.bytes += length;
        kept.answers.insert(key.to_owned(), (now_us + KEPT_US, answer.clone()));
    }
}

impl Kept {
    fn has_room(&self, length: usize) -> bool {
        self.answers.len() < KEPT_MAX && self.bytes + length <= KEPT_BYTES_MAX
    }

    fn remove(&mut self, key: &str) {
        if let Some((_, answer)) = self.answers.remove(key) {
            self.bytes -= key.len() + answer.len();
        }
    }
}

/// Whether an answer that is good until then still is. One from a time that the clock was set back from is not.
fn is_good(until_us: u64, now_us: u64) -> bool {
    (1..=KEPT_US).contains(&until_us.saturating_sub(now_us))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_answers_are_kept_and_no_more() {
        let (clock, time) = Clock::manual(0);
        let cache = Cache::new(clock);
        let answer = Bytes::from_static(b"{}");
        let count = |cache: &Cache| cache.kept.lock().expect("whole").answers.len();
        for (at, key, expected) in [(KEPT_MAX - 1, "last", KEPT_MAX), (KEPT_MAX, "beyond", 1)] {
            while count(&cache) < at {
                cache.keep(&count(&cache).to_string(), &answer);
            }
            cache.keep(key, &answer);
            assert_eq!(count(&cache), expected);
        }
        time.advance_us(KEPT_US);
        assert_eq!(cache.find("beyond"), None);
    }

    #[test]
    fn long_answers_are_not_kept() {
        let (clock, _) = Clock::manual(0);
        let cache = Cache::new(clock);
        for (length, is_kept) in [(BYTES_MAX - 1, true), (BYTES_MAX, true), (BYTES_MAX + 1, false)]
        {
            cache.keep(&length.to_string(), &Bytes::from(vec![b'x'; length]));
            assert_eq!(cache.find(&length.to_string()).is_some(), is_kept);
        }
    }

    #[test]
    fn an_answer_from_before_the_clock_was_set_back_is_not_good() {
        let until_us = 3_600_000_000;
        let first_us = until_us - KEPT_US;
        for (now_us, expected) in [
            (0, false),
            (first_us - 1, false),
            (first_us, true),
            (until_us - 1, true),
            (until_us, false),
        ] {
            assert_eq!(is_good(until_us, now_us), expected, "{now_us}");
        }
    }

    #[test]
    fn answers_are_kept_up_to_so_many_bytes_in_all() {
        let (clock, _) = Clock::manual(0);
        let cache = Cache::new(clock);
        let fill = BYTES_MAX - 2;
        let keep = |at: usize, length: usize| {
            cache.keep(&format!("{at:02}"), &Bytes::from(vec![b'x'; length]));
        };
        let count = || cache.kept.lock().expect("whole").answers.len();
        let whole = KEPT_BYTES_MAX / BYTES_MAX;
        // Asked for again and again an answer is kept once.
        (0..whole - 1).chain(0..whole - 1).for_each(|at| keep(at, fill));
        for (last, expected) in [(fill - 1, whole), (fill, whole), (fill + 1, 1)] {
            keep(98, last);
            assert_eq!(count(), expected, "{last}");
        }
    }
}
