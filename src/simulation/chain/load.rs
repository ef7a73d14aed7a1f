//! The synthetic load: how many transactions the network is offered, and how large they are.
//!
//! The rate walks around its mean and is pulled back to it, as a crowd of many independent users looks from afar: it
//! moves a little from slot to slot, visibly within seconds, and stays within its spread. A slot's transactions are one
//! batch; none is made by itself, and none knows what it transfers.

use super::ledger::SLOTS_PER_SECOND;
use crate::simulation::Random;

/// The rate is kept in thousandths of a transaction per second, so that a small pull is not rounded away.
const MILLI: u64 = 1_000;

/// Slots in which the pull towards the mean takes back all of a deviation, if it stayed as it was: about 20 seconds.
const PULL_SLOTS: i64 = 4_096;

/// The longest step of the walk per slot is the spread divided by this; the rate then stays within half its spread for
/// three quarters of the time.
const STEPS_IN_SPREAD: u64 = 56;

/// Least and greatest mean size of a batch's transactions, in bytes.
const TRANSACTION_BYTES: (u64, u64) = (180, 320);

/// Longest step of the mean size from slot to slot, in bytes.
const SIZE_STEP_BYTES: u64 = 4;

/// The load and its state.
#[derive(Debug)]
pub(super) struct Load {
    random: Random,
    mean_milli: u64,
    spread_milli: u64,
    rate_milli: u64,
    /// What earlier slots left over of a whole transaction, in thousandths of one, times the slots of a second.
    carry: u64,
    transaction_bytes: u64,
}

impl Load {
    /// A load of `mean_tps`, give or take `spread_tps`, transactions per second; it begins at its mean.
    pub(super) fn new(mean_tps: u32, spread_tps: u32, random: Random) -> Self {
        let mean_milli = u64::from(mean_tps) * MILLI;
        let spread_milli = u64::from(spread_tps.min(mean_tps)) * MILLI;
        let transaction_bytes = u64::midpoint(TRANSACTION_BYTES.0, TRANSACTION_BYTES.1);
        Self {
            random,
            mean_milli,
            spread_milli,
            rate_milli: mean_milli,
            carry: 0,
            transaction_bytes,
        }
    }

    /// Moves on by a slot: how many transactions came in it, and their bytes.
    pub(super) fn slot(&mut self) -> (u64, u64) {
        self.walk();
        self.carry += self.rate_milli;
        let whole = MILLI * SLOTS_PER_SECOND;
        let count = self.carry / whole;
        self.carry %= whole;
        let step = self.random.below(2 * SIZE_STEP_BYTES + 1);
        let (least, greatest) = TRANSACTION_BYTES;
        self.transaction_bytes =
            (self.transaction_bytes + step).saturating_sub(SIZE_STEP_BYTES).clamp(least, greatest);
        (count, count * self.transaction_bytes)
    }

    fn walk(&mut self) {
        let step_max = self.spread_milli / STEPS_IN_SPREAD;
        let step = self.random.below(2 * step_max + 1).cast_signed() - step_max.cast_signed();
        let pull = (self.mean_milli.cast_signed() - self.rate_milli.cast_signed()) / PULL_SLOTS;
        let (least, greatest) =
            (self.mean_milli - self.spread_milli, self.mean_milli + self.spread_milli);
        self.rate_milli = self.rate_milli.saturating_add_signed(step + pull).clamp(least, greatest);
    }
}

#[cfg(test)]
mod tests {
    use super::{Load, MILLI};
    use crate::simulation::Random;
    use crate::simulation::chain::ledger::SLOTS_PER_SECOND;

    #[test]
    fn the_rate_stays_within_its_spread_and_comes_near_both_ends() {
        let mut load = Load::new(801_000, 17_000, Random::new(3));
        let rates: Vec<u64> = (0..400_000)
            .map(|_| {
                load.slot();
                load.rate_milli / MILLI
            })
            .collect();
        let (least, greatest) = (rates.iter().min().unwrap(), rates.iter().max().unwrap());
        assert!((784_000..790_000).contains(least), "{least}");
        assert!((812_001..=818_000).contains(greatest), "{greatest}");
    }

    #[test]
    fn no_part_of_a_transaction_is_lost_between_slots() {
        for rate in [0, 1, 7, 199, 200, 201, 999_999] {
            let mut load = Load::new(rate, 0, Random::new(1));
            let count: u64 = (0..10 * SLOTS_PER_SECOND).map(|_| load.slot().0).sum();
            assert_eq!(count, 10 * u64::from(rate), "{rate}");
        }
    }

    #[test]
    fn a_spread_above_the_mean_reaches_down_to_nothing_and_no_further() {
        let mut load = Load::new(500, 501, Random::new(5));
        let counts: Vec<u64> = (0..200_000).map(|_| load.slot().0).collect();
        assert!(counts.contains(&0) && counts.iter().all(|&count| count <= 5));
    }

    #[test]
    fn sizes_are_those_of_small_transactions() {
        let mut load = Load::new(800_000, 0, Random::new(9));
        for _ in 0..50_000 {
            let (count, bytes) = load.slot();
            assert!((180 * count..=320 * count).contains(&bytes), "{count} {bytes}");
        }
    }
}
