//! How long to wait before the next try. Pure: the attempt and a random draw in, a duration out.
//!
//! Full jitter: a wait is anywhere from nothing to its ceiling, so that ten thousand clients that lost one server do
//! not come back in one instant. The ceilings of the first three tries add up to 500 ms; then they double from one
//! second up to 20 s.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

const FIRST_CEILINGS_MS: [u64; 3] = [100, 150, 250];
const LATER_CEILING_MS: u64 = 1_000;
const CEILING_MAX_MS: u64 = 20_000;

/// The longest wait that `attempt` (from 1) may ask for.
pub(super) fn ceiling(attempt: u32) -> Duration {
    let tries_before = usize::try_from(attempt.saturating_sub(1)).unwrap_or(usize::MAX);
    let ms = FIRST_CEILINGS_MS.get(tries_before).copied().unwrap_or_else(|| {
        // Five doublings reach the maximum.
        let doublings = (tries_before - FIRST_CEILINGS_MS.len()).min(5);
        (LATER_CEILING_MS << doublings).min(CEILING_MAX_MS)
    });
    Duration::from_millis(ms)
}

/// The place within `from..=to` that `draw` stands for, of all numbers of 64 bits; `from` where `to` is less.
pub(super) fn between(from: Duration, to: Duration, draw: u64) -> Duration {
    let width_ns = to.saturating_sub(from).as_nanos();
    let part_ns = (width_ns * u128::from(draw)) >> 64;
    from + Duration::from_nanos(u64::try_from(part_ns).unwrap_or(u64::MAX))
}

/// Random draws that differ from client to client. No source of secrets.
#[derive(Debug, Default)]
pub(super) struct Draws {
    seed: RandomState,
    drawn: u64,
}

impl Draws {
    /// Any number, each equally likely.
    pub(super) fn draw(&mut self) -> u64 {
        self.drawn = self.drawn.wrapping_add(1);
        self.seed.hash_one(self.drawn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_first_three_tries_are_within_half_a_second_and_the_later_ones_up_to_twenty() {
        let ceilings: Vec<u128> = (1..=10).map(|attempt| ceiling(attempt).as_millis()).collect();
        assert_eq!(ceilings, [100, 150, 250, 1_000, 2_000, 4_000, 8_000, 16_000, 20_000, 20_000]);
        assert_eq!(ceilings[..3].iter().sum::<u128>(), 500);
        assert_eq!(ceiling(u32::MAX).as_millis(), 20_000);
        assert_eq!(ceiling(0), ceiling(1));
    }

    #[test]
    fn a_draw_reaches_both_ends_and_the_middle() {
        let ms = Duration::from_millis;
        assert_eq!(between(ms(0), ms(500), 0), ms(0));
        assert_eq!(between(ms(100), ms(500), 1 << 63), ms(300));
        assert_eq!(between(ms(0), ms(500), u64::MAX), ms(500) - Duration::from_nanos(1));
        assert_eq!(between(ms(9), ms(3), u64::MAX), ms(9));
    }

    #[test]
    fn two_clients_draw_different_numbers() {
        let (mut one, mut two) = (Draws::default(), Draws::default());
        let of = |draws: &mut Draws| (0..4).map(|_| draws.draw()).collect::<Vec<_>>();
        assert_ne!(of(&mut one), of(&mut two));
    }

    proptest! {
        #[test]
        fn a_wait_never_leaves_its_window(from in 0_u64..10_000, width in 0_u64..10_000, draw: u64) {
            let (from, to) = (Duration::from_millis(from), Duration::from_millis(from + width));
            let wait = between(from, to, draw);
            prop_assert!(from <= wait && wait <= to);
        }
    }
}
