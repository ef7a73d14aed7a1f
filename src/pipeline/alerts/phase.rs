//! Where one rule stands with one subject: quiet, pending, firing or recovering.
//!
//! Pure: which side of the threshold the number is on and the time in, a change out.
//!
//! ```text
//! quiet ──breached──► pending ──for `for`──► FIRING ──recovered──► recovering ──for `resolve_for`──► RESOLVED (quiet)
//!   ▲                    │                     ▲                       │
//!   └──────not breached──┘                     └─────not recovered─────┘
//! ```
//!
//! Invariant: a [`Change::Fired`] and a [`Change::Resolved`] take turns, beginning with a `Fired`. A number between the
//! threshold and its hysteresis neither fires nor resolves anything.

/// On which side of the threshold a number is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// Past the threshold.
    Breached,
    /// No longer past the threshold, but within the hysteresis.
    Between,
    /// Back by at least the hysteresis.
    Recovered,
}

/// What is to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// An alert has begun.
    Fired,
    /// It is over.
    Resolved,
}

/// What a rule says about waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Waits {
    /// How long a number has to be past the threshold, in microseconds.
    pub(super) for_us: u64,
    /// How long it then has to be back, in microseconds.
    pub(super) resolve_for_us: u64,
    /// Whether it has to have been seen on the good side before.
    pub(super) must_cross: bool,
}

/// Where a rule stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Phase {
    state: State,
    /// Whether the number was seen on the good side since it last left it.
    was_good: bool,
    /// When the present or last breach began, in microseconds since the Unix epoch.
    since_us: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Quiet,
    Pending,
    Firing,
    Recovering { from_us: u64 },
}

impl Phase {
    /// Nothing was seen.
    pub(super) fn quiet() -> Self {
        Self { state: State::Quiet, was_good: false, since_us: 0 }
    }

    /// It fired before this process began.
    pub(super) fn firing(since_us: u64) -> Self {
        Self { state: State::Firing, was_good: false, since_us }
    }

    /// When the present or last breach began, in microseconds since the Unix epoch.
    pub(super) fn since_us(self) -> u64 {
        self.since_us
    }

    /// The number is on `side` at `now_us`. A time before the last one counts as no time at all.
    pub(super) fn step(&mut self, side: Side, now_us: u64, waits: &Waits) -> Option<Change> {
        match (self.state, side) {
            (State::Quiet, Side::Breached) if self.was_good || !waits.must_cross => {
                *self = Self { state: State::Pending, was_good: false, since_us: now_us };
            }
            (State::Pending, Side::Between | Side::Recovered) => self.state = State::Quiet,
            (State::Firing, Side::Recovered) => {
                self.state = State::Recovering { from_us: now_us };
            }
            (State::Recovering { .. }, Side::Breached | Side::Between) => {
                self.state = State::Firing;
            }
            _ => {}
        }
        self.was_good |= side == Side::Recovered;
        let is_over = |from_us: u64, wait_us| now_us.saturating_sub(from_us) >= wait_us;
        match self.state {
            State::Pending if is_over(self.since_us, waits.for_us) => {
                self.state = State::Firing;
                Some(Change::Fired)
            }
            State::Recovering { from_us } if is_over(from_us, waits.resolve_for_us) => {
                self.state = State::Quiet;
                Some(Change::Resolved)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WAITS: Waits = Waits { for_us: 100, resolve_for_us: 50, must_cross: false };

    fn run(waits: &Waits, path: &[(u64, Side)]) -> Vec<(u64, Change)> {
        let mut phase = Phase::quiet();
        path.iter().filter_map(|&(at, side)| Some((at, phase.step(side, at, waits)?))).collect()
    }

    #[test]
    fn it_fires_at_the_end_of_the_wait_and_not_before() {
        for (at, fires) in [(99, false), (100, true), (101, true)] {
            let told = run(&WAITS, &[(1_000, Side::Breached), (1_000 + at, Side::Breached)]);
            assert_eq!(!told.is_empty(), fires, "after {at}");
        }
        let at_once = Waits { for_us: 0, ..WAITS };
        assert_eq!(run(&at_once, &[(7, Side::Breached)]), [(7, Change::Fired)]);
    }

    #[test]
    fn it_resolves_at_the_end_of_the_wait_and_not_before() {
        let fired = [(0, Side::Breached), (100, Side::Breached), (200, Side::Recovered)];
        for (at, resolves) in [(49, false), (50, true), (51, true)] {
            let path = [&fired[..], &[(200 + at, Side::Recovered)]].concat();
            assert_eq!(run(&WAITS, &path).len(), 1 + usize::from(resolves), "after {at}");
        }
    }

    #[test]
    fn a_breach_that_ends_early_begins_its_wait_anew() {
        let path =
            [(0, Side::Breached), (60, Side::Between), (61, Side::Breached), (160, Side::Breached)];
        assert_eq!(run(&WAITS, &path), []);
        let path = [&path[..], &[(161, Side::Breached)]].concat();
        assert_eq!(run(&WAITS, &path), [(161, Change::Fired)]);
    }

    #[test]
    fn what_comes_back_while_it_recovers_goes_on_firing_without_a_word() {
        let path = [
            (0, Side::Breached),
            (100, Side::Breached),
            (110, Side::Recovered),
            (130, Side::Breached),
            (140, Side::Recovered),
            (189, Side::Between),
            (190, Side::Recovered),
            (239, Side::Recovered),
            (240, Side::Recovered),
        ];
        assert_eq!(run(&WAITS, &path), [(100, Change::Fired), (240, Change::Resolved)]);
    }

    #[test]
    fn a_crossing_has_to_begin_on_the_good_side() {
        let crossing = Waits { for_us: 0, resolve_for_us: 0, must_cross: true };
        let breached = [(0, Side::Breached), (1, Side::Between), (2, Side::Breached)];
        assert_eq!(run(&crossing, &breached), []);
        let path = [&breached[..], &[(3, Side::Recovered), (4, Side::Breached)]].concat();
        assert_eq!(run(&crossing, &path), [(4, Change::Fired)]);
    }

    fn sides() -> impl Strategy<Value = Side> {
        prop_oneof![Just(Side::Breached), Just(Side::Between), Just(Side::Recovered)]
    }

    proptest! {
        /// Against what the words say: a firing needs a breach that lasted, a resolve a recovery that lasted, in turns.
        #[test]
        fn firings_and_resolves_take_turns_and_never_come_early(
            steps in prop::collection::vec((0_u64..80, sides()), 0..200),
            for_us in 0_u64..150,
            resolve_for_us in 0_u64..150,
            must_cross: bool,
        ) {
            let waits = Waits { for_us, resolve_for_us, must_cross };
            let (mut phase, mut now_us, mut is_on) = (Phase::quiet(), 0, false);
            let (mut side_now, mut side_since_us) = (Side::Between, 0);
            let mut was_ever_good = false;
            for (after_us, side) in steps {
                now_us += after_us;
                if side != side_now {
                    (side_now, side_since_us) = (side, now_us);
                }
                let change = phase.step(side, now_us, &waits);
                let lasted_us = now_us - side_since_us;
                match change {
                    Some(Change::Fired) => {
                        prop_assert!(!is_on && side == Side::Breached && lasted_us >= for_us);
                        prop_assert!(!must_cross || was_ever_good);
                        prop_assert_eq!(phase.since_us(), side_since_us);
                        is_on = true;
                    }
                    Some(Change::Resolved) => {
                        prop_assert!(is_on && side == Side::Recovered && lasted_us >= resolve_for_us);
                        is_on = false;
                    }
                    None => {
                        let is_due = side == Side::Breached && lasted_us >= for_us;
                        prop_assert!(is_on || must_cross || !is_due, "a firing is missing");
                        let is_back = side == Side::Recovered && lasted_us >= resolve_for_us;
                        prop_assert!(!(is_on && is_back), "a resolve is missing");
                    }
                }
                was_ever_good |= side == Side::Recovered;
            }
        }
    }
}
