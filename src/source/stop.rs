//! A request to stop, and a sleep that it interrupts.
//!
//! One `Stop` is shared by everything that has to end together: the engine holds a clone and raises it, the
//! sources and other background threads sleep on theirs. It never polls a running clock, never spins for longer
//! than [`SPIN_US`], and a stop that was raised is never taken back.
//!
//! Invariant: the flag and the condition share one mutex, so a stop cannot fall between the look and the sleep.
//! Looking at it costs an uncontended lock (about 15 ns): once per batch or slice, not once per event.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::Clock;

/// The last stretch before a deadline, which is yielded away instead of slept: the kernel adds up to 50 µs of
/// timer slack and about 10 µs to be scheduled, so a sleep that ends this much early wakes close to the deadline.
const SPIN_US: u64 = 60;
/// How often a clock that stands still is looked at: only somebody's hand moves it, and nobody reports that.
const STANDING_CLOCK_STEP_US: u64 = 1_000;
/// The longest sleep in one piece, so that a wall clock that is set forward is noticed.
const SLICE_US: u64 = 100_000;
/// A running clock moves at least once in this many looks (a look takes 30 ns or more, a microsecond 33 of them).
const LOOKS_AT_STANDING_CLOCK: u32 = 256;

/// A clonable stop signal: raised once, seen by every clone, and the end of every sleep on it.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    stopped: Mutex<bool>,
    raised: Condvar,
}

impl Stop {
    /// A signal that is not raised yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Raises the signal and wakes every sleeper; again is harmless.
    pub fn stop(&self) {
        *self.lock() = true;
        self.shared.raised.notify_all();
    }

    /// Whether the signal was raised. Does not block.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        *self.lock()
    }

    /// Sleeps until `clock` shows `deadline_us` (microseconds since the Unix epoch) or the signal is raised, and
    /// returns whether it was raised. A deadline in the past returns at once.
    ///
    /// On an idle machine it returns within 100 µs after the deadline, never before it. A clock that stands still
    /// (a manual one) is looked at every millisecond.
    #[must_use]
    pub fn wait_until(&self, clock: &Clock, deadline_us: u64) -> bool {
        let mut step_us = STANDING_CLOCK_STEP_US;
        loop {
            let now_us = clock.now_us();
            let left_us = deadline_us.saturating_sub(now_us);
            if left_us <= SPIN_US {
                return self.yield_until(clock, deadline_us);
            }
            let sleep_us = step_us.min(left_us - SPIN_US);
            if self.wait_for(Duration::from_micros(sleep_us)) {
                return true;
            }
            // A clock that ran with the sleep is slept on at full length; one that stood is looked at often.
            let ran = clock.now_us().saturating_sub(now_us) >= sleep_us / 2;
            step_us = if ran { SLICE_US } else { STANDING_CLOCK_STEP_US };
        }
    }

    /// Sleeps for `duration` of real time or until the signal is raised, and returns whether it was raised.
    #[must_use]
    pub fn wait_for(&self, duration: Duration) -> bool {
        let guard = self.lock();
        let waited = self.shared.raised.wait_timeout_while(guard, duration, |stopped| !*stopped);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// The last [`SPIN_US`]: gives the core to whoever wants it and looks again. On a clock that stands still it
    /// falls back to sleeping, so that it never spins for longer than that stretch takes.
    fn yield_until(&self, clock: &Clock, deadline_us: u64) -> bool {
        let mut last_us = clock.now_us();
        let mut looks_without_progress = 0;
        while last_us < deadline_us {
            if looks_without_progress == LOOKS_AT_STANDING_CLOCK {
                if self.wait_for(Duration::from_micros(STANDING_CLOCK_STEP_US)) {
                    return true;
                }
            } else {
                std::thread::yield_now();
            }
            let now_us = clock.now_us();
            looks_without_progress = if now_us == last_us {
                looks_without_progress.min(LOOKS_AT_STANDING_CLOCK - 1) + 1
            } else {
                0
            };
            last_us = now_us;
        }
        self.is_stopped()
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        // A bool is valid whatever a panicking holder did.
        self.shared.stopped.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn a_raised_signal_is_seen_by_every_clone_and_stays_raised() {
        let stop = Stop::new();
        let clone = stop.clone();
        assert!(!clone.is_stopped());
        stop.stop();
        stop.stop();
        assert!(clone.is_stopped() && stop.is_stopped());
    }

    #[test]
    fn a_sleep_without_a_stop_lasts_its_time_and_says_so() {
        let begun = std::time::Instant::now();
        assert!(!Stop::new().wait_for(Duration::from_millis(5)));
        assert!(begun.elapsed() >= Duration::from_millis(5));
    }

    #[test]
    fn a_stop_ends_a_sleep_that_would_last_for_hours() {
        let stop = Stop::new();
        let sleeper = stop.clone();
        let by_time = thread::spawn(move || sleeper.wait_for(Duration::from_secs(86_400)));
        let sleeper = stop.clone();
        let clock = Clock::system();
        let by_clock = thread::spawn(move || sleeper.wait_until(&clock, u64::MAX));
        stop.stop();
        assert!(by_time.join().unwrap());
        assert!(by_clock.join().unwrap());
    }

    #[test]
    fn a_deadline_is_never_met_early() {
        let (stop, clock) = (Stop::new(), Clock::system());
        for ahead_us in [0, 1, SPIN_US - 1, SPIN_US, SPIN_US + 1, 1_500] {
            let deadline_us = clock.now_us() + ahead_us;
            assert!(!stop.wait_until(&clock, deadline_us));
            assert!(clock.now_us() >= deadline_us, "{ahead_us} µs ahead");
        }
    }

    #[test]
    fn a_deadline_in_the_past_returns_at_once_with_the_state_of_the_signal() {
        let (stop, (clock, _hand)) = (Stop::new(), Clock::manual(1_000));
        assert!(!stop.wait_until(&clock, 0));
        assert!(!stop.wait_until(&clock, 1_000));
        stop.stop();
        assert!(stop.wait_until(&clock, 1_000));
    }

    #[test]
    fn a_manual_clock_ends_the_sleep_when_its_hand_reaches_the_deadline() {
        for ahead_us in [1, SPIN_US, SPIN_US + 1, 3_600_000_000] {
            let (clock, hand) = Clock::manual(500);
            let sleeper = thread::spawn(move || Stop::new().wait_until(&clock, 500 + ahead_us));
            hand.advance_us(ahead_us - 1);
            assert!(!sleeper.is_finished(), "woke one microsecond early");
            hand.advance_us(1);
            assert!(!sleeper.join().unwrap());
        }
    }

    #[test]
    fn a_stop_ends_a_sleep_on_a_manual_clock_that_nobody_moves() {
        for ahead_us in [SPIN_US, 1_000_000] {
            let (stop, (clock, _hand)) = (Stop::new(), Clock::manual(0));
            let sleeper = stop.clone();
            let sleeping = thread::spawn(move || sleeper.wait_until(&clock, ahead_us));
            stop.stop();
            assert!(sleeping.join().unwrap());
        }
    }
}
