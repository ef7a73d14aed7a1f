//! Answers that are kept for a moment: what many ask for within it is made once.

use crate::clock::Clock;
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// How long an answer is good for, microseconds.
pub(super) const KEPT_US: u64 = 250_000;
/// Answers kept at most; when there are more, all that are over go, and if that is none, all.
const KEPT_MAX: usize = 256;
/// A longer answer is not kept, bytes.
const BYTES_MAX: usize = 1 << 20;

/// The answers by path and query.
#[derive(Debug)]
pub(super) struct Cache {
    clock: Clock,
    kept: Mutex<HashMap<String, (u64, Bytes)>>,
}

impl Cache {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, kept: Mutex::default() }
    }

    /// An answer that is still good.
    pub(super) fn find(&self, key: &str) -> Option<Bytes> {
        let now_us = self.clock.now_us();
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(key).filter(|(until_us, _)| now_us < *until_us).map(|(_, answer)| answer.clone())
    }

    /// Keeps an answer.
    pub(super) fn keep(&self, key: &str, answer: &Bytes) {
        if answer.len() > BYTES_MAX {
            return;
        }
        let now_us = self.clock.now_us();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT_MAX {
            kept.retain(|_, (until_us, _)| now_us < *until_us);
        }
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        kept.insert(key.to_owned(), (now_us + KEPT_US, answer.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_answers_are_kept_and_no_more() {
        let (clock, time) = Clock::manual(0);
        let cache = Cache::new(clock);
        let answer = Bytes::from_static(b"{}");
        let count = |cache: &Cache| cache.kept.lock().expect("whole").len();
        for (at, expected) in [(KEPT_MAX - 1, KEPT_MAX), (KEPT_MAX, 1)] {
            while count(&cache) < at {
                cache.keep(&count(&cache).to_string(), &answer);
            }
            cache.keep("last", &answer);
            assert_eq!(count(&cache), expected);
        }
        time.advance_us(KEPT_US);
        assert_eq!(cache.find("last"), None);
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
}
