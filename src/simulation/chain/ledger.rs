//! The ledger: transactions wait, are included in a slot, and are committed when the network has agreed on it.
//!
//! ```text
//! submit ─► mempool ── include, each slot, up to its room ─► in flight ── the quorum's votes are in ─► committed
//!    └────► rejected (no room in the mempool)
//! ```
//!
//! Transactions are counted per batch and never stored one by one; a batch of which only a part fits is split. None is
//! lost: what was submitted is rejected, waits, is in flight or is committed. Commits keep the order of the slots.
//!
//! All times are microseconds of the network's own time. A slot costs some tens of nanoseconds.

use super::Options;
use std::collections::VecDeque;

/// Slots of a second.
pub(super) const SLOTS_PER_SECOND: u64 = 200;

/// Length of a slot: the network includes transactions once per slot.
pub(super) const SLOT_US: u64 = SECOND_US / SLOTS_PER_SECOND;

/// A second, over which the rate is measured.
pub(super) const SECOND_US: u64 = 1_000_000;

/// Transactions that came together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Batch {
    /// When; of the load's batches the middle of their slot.
    pub(super) arrived_us: u64,
    pub(super) count: u64,
    pub(super) bytes: u64,
}

/// What one slot included.
#[derive(Debug, Clone, Copy)]
struct Flight {
    commit_us: u64,
    count: u64,
    bytes: u64,
    /// Time from arrival to commit, summed over its transactions.
    latency_us: u128,
}

/// Transactions since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Totals {
    pub(super) submitted: u64,
    pub(super) rejected: u64,
    pub(super) committed: u64,
    pub(super) committed_bytes: u64,
}

/// Where all transactions are.
#[derive(Debug)]
pub(super) struct Ledger {
    transactions_max: u64,
    batches_max: usize,
    mempool: VecDeque<Batch>,
    waiting: u64,
    flights: VecDeque<Flight>,
    /// When the newest flight will be committed, or was.
    last_commit_us: u64,
    /// What was committed in the last second.
    recent: VecDeque<Flight>,
    totals: Totals,
}

impl Ledger {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            transactions_max: options.mempool_transactions_max,
            batches_max: options.mempool_batches_max,
            mempool: VecDeque::new(),
            waiting: 0,
            flights: VecDeque::new(),
            last_commit_us: 0,
            recent: VecDeque::new(),
            totals: Totals::default(),
        }
    }

    /// Takes `batch` into the mempool, or rejects it whole when there is no room for all of it.
    pub(super) fn submit(&mut self, batch: Batch) {
        self.totals.submitted += batch.count;
        let has_room = self.mempool.len() < self.batches_max
            && batch.count <= self.transactions_max.saturating_sub(self.waiting);
        if !has_room {
            self.totals.rejected += batch.count;
        } else if batch.count > 0 {
            self.waiting += batch.count;
            self.mempool.push_back(batch);
        }
    }

    /// Includes up to `room` transactions in the slot of `now_us`; they are committed `agree_us` later, and not before
    /// those of earlier slots.
    pub(super) fn include(&mut self, now_us: u64, mut room: u64, agree_us: u64) {
        let commit_us = self.last_commit_us.max(now_us + agree_us);
        let mut flight = Flight { commit_us, count: 0, bytes: 0, latency_us: 0 };
        while room > 0
            && let Some(batch) = self.mempool.front_mut()
        {
            let count = room.min(batch.count);
            // The mean size of the batch, so that the last part takes what is left over.
            let bytes = batch.bytes / batch.count * count;
            let bytes = if count == batch.count { batch.bytes } else { bytes };
            let latency_us = commit_us.saturating_sub(batch.arrived_us);
            flight.latency_us += u128::from(count) * u128::from(latency_us);
            flight.count += count;
            flight.bytes += bytes;
            (batch.count, batch.bytes) = (batch.count - count, batch.bytes - bytes);
            room -= count;
            if batch.count == 0 {
                self.mempool.pop_front();
            }
        }
        if flight.count > 0 {
            self.waiting -= flight.count;
            self.last_commit_us = commit_us;
            self.flights.push_back(flight);
        }
    }

    /// Commits what the network has agreed on by `now_us`.
    pub(super) fn commit(&mut self, now_us: u64) {
        while let Some(&flight) = self.flights.front().filter(|it| it.commit_us <= now_us) {
            self.totals.committed += flight.count;
            self.totals.committed_bytes += flight.bytes;
            self.recent.push_back(flight);
            self.flights.pop_front();
        }
        while self.recent.front().is_some_and(|it| it.commit_us + SECOND_US <= now_us) {
            self.recent.pop_front();
        }
    }

    /// Transactions committed in the second that ended with the last [`commit`](Self::commit).
    pub(super) fn tps(&self) -> u64 {
        self.recent.iter().map(|flight| flight.count).sum()
    }

    /// Mean time from arrival to commit of that second's transactions; none when it has none.
    pub(super) fn latency_us(&self) -> Option<u64> {
        let sum: u128 = self.recent.iter().map(|flight| flight.latency_us).sum();
        let mean = sum.checked_div(self.tps().into())?;
        u64::try_from(mean).ok()
    }

    pub(super) fn totals(&self) -> Totals {
        self.totals
    }

    /// Transactions in the mempool.
    pub(super) fn waiting(&self) -> u64 {
        self.waiting
    }
}

#[cfg(test)]
mod tests {
    use super::{Batch, Ledger, SECOND_US, Totals};
    use crate::simulation::chain::Options;
    use proptest::prelude::*;

    fn ledger(transactions_max: u64, batches_max: usize) -> Ledger {
        Ledger::new(&Options {
            mempool_transactions_max: transactions_max,
            mempool_batches_max: batches_max,
            ..Options::default()
        })
    }

    fn batch(arrived_us: u64, count: u64) -> Batch {
        Batch { arrived_us, count, bytes: count * 250 }
    }

    #[test]
    fn s44_a_transaction_counts_when_it_is_committed_and_for_a_second() {
        let mut ledger = ledger(1_000, 10);
        ledger.submit(batch(1_000, 10));
        ledger.include(5_000, 100, 40_000);
        for (now_us, tps) in
            [(44_999, 0), (45_000, 10), (45_000 + SECOND_US - 1, 10), (45_000 + SECOND_US, 0)]
        {
            ledger.commit(now_us);
            assert_eq!(ledger.tps(), tps, "{now_us}");
            assert_eq!(ledger.latency_us(), (tps > 0).then_some(44_000), "{now_us}");
        }
        let expected = Totals { submitted: 10, rejected: 0, committed: 10, committed_bytes: 2_500 };
        assert_eq!(ledger.totals(), expected);
    }

    #[test]
    fn s44_a_batch_of_which_a_part_fits_is_split_and_keeps_its_bytes() {
        let mut ledger = ledger(1_000, 10);
        ledger.submit(Batch { arrived_us: 0, count: 10, bytes: 2_507 });
        for (slot_us, waiting, committed) in [(5_000, 6, 4), (10_000, 2, 8), (15_000, 0, 10)] {
            ledger.include(slot_us, 4, 0);
            ledger.commit(slot_us);
            assert_eq!((ledger.waiting(), ledger.totals().committed), (waiting, committed));
        }
        assert_eq!(ledger.totals().committed_bytes, 2_507);
        // 4 waited 5 ms, 4 waited 10 ms, 2 waited 15 ms.
        assert_eq!(ledger.latency_us(), Some(9_000));
    }

    #[test]
    fn commits_keep_the_order_of_the_slots_when_the_network_becomes_faster() {
        let mut ledger = ledger(1_000, 10);
        ledger.submit(batch(0, 1));
        ledger.include(0, 10, 50_000);
        ledger.submit(batch(5_000, 2));
        ledger.include(5_000, 10, 1_000);
        ledger.commit(49_999);
        assert_eq!(ledger.tps(), 0);
        ledger.commit(50_000);
        assert_eq!(ledger.tps(), 3);
    }

    #[test]
    fn a_batch_is_rejected_whole_where_the_mempool_has_no_room_for_all_of_it() {
        for (count, rejected) in [(6, 0), (7, 0), (8, 8)] {
            let mut ledger = ledger(10, 10);
            ledger.submit(batch(0, 3));
            ledger.submit(batch(0, count));
            assert_eq!(ledger.totals().rejected, rejected, "{count} of 7");
        }
        for (batches, rejected) in [(2, 0), (3, 0), (4, 1)] {
            let mut ledger = ledger(10, 3);
            (0..batches).for_each(|_| ledger.submit(batch(0, 1)));
            assert_eq!(ledger.totals().rejected, rejected, "{batches} of 3");
        }
        let mut ledger = ledger(10, 3);
        (0..10).for_each(|_| ledger.submit(batch(0, 0)));
        ledger.submit(batch(0, 10));
        assert_eq!(ledger.totals().rejected, 0, "an empty batch takes no room");
    }

    proptest! {
        #[test]
        fn no_transaction_is_lost_or_made(
            slots in prop::collection::vec((0u64..50, 0u64..60, 0u64..30_000), 1..200)
        ) {
            let (mut ledger, mut now_us) = (ledger(120, 5), 0);
            for (count, room, agree_us) in slots {
                now_us += 5_000;
                ledger.submit(batch(now_us - 2_500, count));
                ledger.include(now_us, room, agree_us);
                ledger.commit(now_us);
                let totals = ledger.totals();
                let flying: u64 = ledger.flights.iter().map(|flight| flight.count).sum();
                let known = totals.rejected + totals.committed + ledger.waiting() + flying;
                prop_assert_eq!(totals.submitted, known);
                let waiting: u64 = ledger.mempool.iter().map(|batch| batch.count).sum();
                prop_assert_eq!(waiting, ledger.waiting());
                prop_assert!(waiting <= 120 && ledger.mempool.len() <= 5);
            }
            ledger.include(now_us + 5_000, u64::MAX, 0);
            ledger.commit(u64::MAX - SECOND_US);
            let totals = ledger.totals();
            prop_assert_eq!(totals.submitted - totals.rejected, totals.committed);
            prop_assert_eq!(totals.committed_bytes, totals.committed * 250);
        }
    }
}
