//! The one place that reads the wall clock.
//!
//! Publishers stamp events with it, sources pace themselves by it, the edge times requests with it. A test moves
//! a manual clock by hand instead, so that what depends on time is repeatable.
//!
//! It never panics and never goes past the range of `u64`: a system clock set before 1970 reads as 0. It is not
//! monotonic: the operator may set the system's time back, and readers must bear it.
//!
//! Any thread may read it. A reading of the system clock costs about 20 ns, so data-path callers take one per batch.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A clock: the system's, or one that a test moves by hand. Clones show the same time.
#[derive(Debug, Clone)]
pub struct Clock(Option<Arc<Hand>>);

/// Moves a manual [`Clock`]; clones move the same clock.
#[derive(Debug, Clone)]
pub struct ManualClock(Arc<Hand>);

impl Clock {
    /// The system's wall clock.
    #[must_use]
    pub fn system() -> Self {
        Self(None)
    }

    /// A clock that stands at `start_us` (microseconds since the Unix epoch) until its other half moves it.
    #[must_use]
    pub fn manual(start_us: u64) -> (Self, ManualClock) {
        let hand = Arc::new(Hand(Mutex::new(start_us)));
        (Self(Some(Arc::clone(&hand))), ManualClock(hand))
    }

    /// Microseconds since the Unix epoch; 0 before it, `u64::MAX` where it would not fit. Does not block.
    #[must_use]
    pub fn now_us(&self) -> u64 {
        match &self.0 {
            None => u64::try_from(since_epoch().as_micros()).unwrap_or(u64::MAX),
            Some(hand) => *hand.time_us(),
        }
    }

    /// Nanoseconds since the Unix epoch; 0 before it, `u64::MAX` where it would not fit. Does not block.
    #[must_use]
    pub fn now_ns(&self) -> u64 {
        match &self.0 {
            None => u64::try_from(since_epoch().as_nanos()).unwrap_or(u64::MAX),
            Some(hand) => hand.time_us().saturating_mul(1_000),
        }
    }

    /// Whether this clock is moved by hand: who waits for it must not sleep by the system's time.
    #[must_use]
    pub fn is_manual(&self) -> bool {
        self.0.is_some()
    }
}

impl ManualClock {
    /// Moves the clock on by `by_us` microseconds; it stops at `u64::MAX`.
    pub fn advance_us(&self, by_us: u64) {
        let mut time_us = self.0.time_us();
        *time_us = time_us.saturating_add(by_us);
    }
}

/// Where a manual clock stands. A lock is enough: only tests read it.
#[derive(Debug)]
struct Hand(Mutex<u64>);

impl Hand {
    fn time_us(&self) -> MutexGuard<'_, u64> {
        // The number is whole at every moment, so a panic of another holder does not spoil it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[expect(clippy::disallowed_methods, reason = "the one reading that the ban points to")]
fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::Clock;

    #[test]
    fn manual_clock_stands_until_it_is_moved_and_all_clones_see_the_move() {
        let (clock, hand) = Clock::manual(5_000_000);
        let other = clock.clone();
        assert_eq!((clock.now_us(), other.now_us()), (5_000_000, 5_000_000));
        hand.clone().advance_us(250);
        assert_eq!((clock.now_us(), other.now_us()), (5_000_250, 5_000_250));
        assert_eq!(clock.now_ns(), 5_000_250_000);
        assert!(clock.is_manual());
    }

    #[test]
    fn manual_clock_saturates_at_the_end_of_its_range() {
        let (clock, hand) = Clock::manual(u64::MAX - 1);
        hand.advance_us(1);
        assert_eq!(clock.now_us(), u64::MAX);
        hand.advance_us(1);
        assert_eq!((clock.now_us(), clock.now_ns()), (u64::MAX, u64::MAX));
    }

    #[test]
    fn system_clock_reads_the_same_moment_in_both_units() {
        let clock = Clock::system();
        let before_us = clock.now_us();
        let between_ns = clock.now_ns();
        // 2020-01-01: a wrong unit would be off by a factor of a thousand.
        assert!(before_us > 1_577_836_800_000_000, "{before_us}");
        assert!(
            between_ns / 1_000_000_000 / 1_000 == before_us / 1_000_000 / 1_000,
            "{between_ns}"
        );
        assert!(!clock.is_manual());
    }
}
