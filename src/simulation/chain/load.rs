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
const STEPS_IN_SPREAD: i64 = 56;

/// Least and greatest mean size of a batch's transactions, in bytes.
const TRANSACTION_BYTES: (u64, u64) = (180, 320);

/// Longest step of the mean size from slot to slot, in bytes.
const SIZE_STEP_BYTES: u64 = 4;

/// Slots that are worked out at once: none of it depends on the network, and the state stays in registers meanwhile.
const AHEAD_SLOTS: usize = 64;

/// The load and its state.
#[derive(Debug)]
pub(super) struct Load {
    random: Random,
    mean_milli: i64,
    spread_milli: i64,
    /// How far the rate is from its mean.
    off_milli: i64,
    /// What earlier slots left over of a whole transaction, in thousandths of one, times the slots of a second.
    carry: u64,
    transaction_bytes: u64,
    /// Transactions of the slots to come, and their bytes; all but the first `used`.
    ahead: [(u64, u64); AHEAD_SLOTS],
    used: usize,
}

impl Load {
    /// A load of `mean_tps`, give or take `spread_tps`, transactions per second; it begins at its mean.
    pub(super) fn new(mean_tps: u32, spread_tps: u32, random: Random) -> Self {
        let milli = |tps| i64::from(tps) * MILLI.cast_signed();
        Self {
            random,
            mean_milli: milli(mean_tps),
            spread_milli: milli(spread_tps.min(mean_tps)),
            off_milli: 0,
            carry: 0,
            transaction_bytes: u64::midpoint(TRANSACTION_BYTES.0, TRANSACTION_BYTES.1),
            ahead: [(0, 0); AHEAD_SLOTS],
            used: AHEAD_SLOTS,
        }
    }

    /// Moves on by a slot: how many transactions came in it, and their bytes.
    pub(super) fn slot(&mut self) -> (u64, u64) {
        if self.used == AHEAD_SLOTS {
            self.work_ahead();
        }
        self.used += 1;
        self.ahead[self.used - 1]
    }

    fn work_ahead(&mut self) {
        let (least, greatest) = TRANSACTION_BYTES;
        let (mean, spread) = (self.mean_milli, self.spread_milli);
        let step_max = spread / STEPS_IN_SPREAD;
        let steps = 2 * step_max.unsigned_abs() + 1;
        let whole = MILLI * SLOTS_PER_SECOND;
        let (mut random, mut off) = (self.random.clone(), self.off_milli);
        let (mut carry, mut each) = (self.carry, self.transaction_bytes);
        for slot in &mut self.ahead {
            let step = random.below(steps).cast_signed() - step_max;
            off = (off - off / PULL_SLOTS + step).clamp(-spread, spread);
            carry += (mean + off).unsigned_abs();
            let count = carry / whole;
            carry %= whole;
            let step = random.below(2 * SIZE_STEP_BYTES + 1);
            each = (each + step - SIZE_STEP_BYTES).clamp(least, greatest);
            *slot = (count, count * each);
        }
        (self.random, self.off_milli) = (random, off);
        (self.carry, self.transaction_bytes, self.used) = (carry, each, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::Load;
    use crate::simulation::Random;
    use crate::simulation::chain::ledger::SLOTS_PER_SECOND;

    #[test]
    fn the_rate_stays_within_its_spread_and_comes_near_both_ends() {
        let mut load = Load::new(801_000, 17_000, Random::new(3));
        let rates: Vec<u64> = (0..400_000).map(|_| load.slot().0 * SLOTS_PER_SECOND).collect();
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
