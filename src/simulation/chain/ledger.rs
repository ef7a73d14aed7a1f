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
//! All times are microseconds of the network's own time. A slot costs some nanoseconds.

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

/// Up to one slot: what all slots from the first one to it included.
#[derive(Debug, Clone, Copy, Default)]
struct Flight {
    /// When the slot's transactions are committed.
    commit_us: u64,
    count: u64,
    bytes: u64,
    /// Time from arrival to commit, summed over all transactions.
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
    /// In the order of commits, from the oldest of the last second on.
    flights: VecDeque<Flight>,
    /// The newest flight.
    newest: Flight,
    /// The newest of those that are committed.
    committed: Flight,
    /// The newest of those that were committed a second before the last commit or earlier.
    expired: Flight,
    submitted: u64,
    rejected: u64,
}

impl Ledger {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            transactions_max: options.mempool_transactions_max,
            batches_max: options.mempool_batches_max,
            mempool: VecDeque::new(),
            waiting: 0,
            flights: VecDeque::new(),
            newest: Flight::default(),
            committed: Flight::default(),
            expired: Flight::default(),
            submitted: 0,
            rejected: 0,
        }
    }

    /// Takes `batch` into the mempool, or rejects it whole when there is no room for all of it.
    pub(super) fn submit(&mut self, batch: Batch) {
        self.submitted += batch.count;
        let has_room = self.mempool.len() < self.batches_max
            && batch.count <= self.transactions_max.saturating_sub(self.waiting);
        if !has_room {
            self.rejected += batch.count;
        } else if batch.count > 0 {
            self.waiting += batch.count;
            self.mempool.push_back(batch);
        }
    }

    /// Includes up to `room` transactions in the slot of `now_us`; they are committed `agree_us` later, and not before
    /// those of earlier slots.
    pub(super) fn include(&mut self, now_us: u64, mut room: u64, agree_us: u64) {
        let commit_us = self.newest.commit_us.max(now_us + agree_us);
        let mut flight = Flight { commit_us, ..self.newest };
        while room > 0
            && let Some(batch) = self.mempool.front_mut()
        {
            let latency_us = u128::from(commit_us.saturating_sub(batch.arrived_us));
            if batch.count <= room {
                room -= batch.count;
                flight.add(batch.count, batch.bytes, latency_us);
                self.mempool.pop_front();
            } else {
                // The mean size of the batch, so that the last part takes what is left over.
                let bytes = batch.bytes / batch.count * room;
                flight.add(room, bytes, latency_us);
                (batch.count, batch.bytes) = (batch.count - room, batch.bytes - bytes);
                room = 0;
            }
        }
        self.waiting -= flight.count - self.newest.count;
        self.fly(flight);
    }

    /// As [`submit`](Self::submit) and [`include`](Self::include) one after the other, by a shorter way when nothing
    /// waits and all of `batch` fits into the slot.
    pub(super) fn pass(&mut self, batch: Batch, now_us: u64, room: u64, agree_us: u64) {
        let has_room = batch.count <= room.min(self.transactions_max) && self.batches_max > 0;
        if !has_room || !self.mempool.is_empty() {
            self.submit(batch);
            return self.include(now_us, room, agree_us);
        }
        self.submitted += batch.count;
        let commit_us = self.newest.commit_us.max(now_us + agree_us);
        let mut flight = Flight { commit_us, ..self.newest };
        let latency_us = commit_us.saturating_sub(batch.arrived_us);
        flight.add(batch.count, batch.bytes, latency_us.into());
        self.fly(flight);
    }

    /// Takes in what a slot included, if anything.
    fn fly(&mut self, flight: Flight) {
        if flight.count > self.newest.count {
            self.newest = flight;
            self.flights.push_back(flight);
        }
    }

    /// Commits what the network has agreed on by `now_us`. It costs two searches, and need not be called per slot.
    pub(super) fn commit(&mut self, now_us: u64) {
        let until = |time_us| self.flights.partition_point(|it| it.commit_us <= time_us);
        let (committed, expired) = (until(now_us), now_us.checked_sub(SECOND_US).map_or(0, until));
        if let Some(newest) = committed.checked_sub(1) {
            self.committed = self.flights[newest];
        }
        if let Some(newest) = expired.checked_sub(1) {
            self.expired = self.flights[newest];
        }
        self.flights.drain(..expired);
    }

    /// Transactions committed in the second that ended with the last [`commit`](Self::commit).
    pub(super) fn tps(&self) -> u64 {
        self.committed.count - self.expired.count
    }

    /// Mean time from arrival to commit of that second's transactions; none when it has none.
    pub(super) fn latency_us(&self) -> Option<u64> {
        let sum_us = self.committed.latency_us - self.expired.latency_us;
        let mean_us = sum_us.checked_div(self.tps().into())?;
        u64::try_from(mean_us).ok()
    }

    /// As of the last [`commit`](Self::commit), for what is committed.
    pub(super) fn totals(&self) -> Totals {
        Totals {
            submitted: self.submitted,
            rejected: self.rejected,
            committed: self.committed.count,
            committed_bytes: self.committed.bytes,
        }
    }

    /// Transactions in the mempool.
    pub(super) fn waiting(&self) -> u64 {
        self.waiting
    }
}

impl Flight {
    fn add(&mut self, count: u64, bytes: u64, latency_us: u128) {
        self.count += count;
        self.bytes += bytes;
        self.latency_us += u128::from(count) * latency_us;
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
        fn the_shorter_way_through_a_slot_leads_to_the_same(
            slots in prop::collection::vec((0u64..50, 0u64..60, 0u64..30_000), 1..200),
            batches_max in 0usize..4
        ) {
            let (mut one, mut other) = (ledger(45, batches_max), ledger(45, batches_max));
            for ((count, room, agree_us), now_us) in slots.into_iter().zip((1..).map(|n| n * 5_000)) {
                one.pass(batch(now_us - 2_500, count), now_us, room, agree_us);
                other.submit(batch(now_us - 2_500, count));
                other.include(now_us, room, agree_us);
                one.commit(now_us);
                other.commit(now_us);
                prop_assert_eq!(one.totals(), other.totals());
                prop_assert_eq!((one.tps(), one.latency_us()), (other.tps(), other.latency_us()));
                prop_assert_eq!((one.waiting(), &one.mempool), (other.waiting(), &other.mempool));
            }
        }

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
                let flying = ledger.newest.count - ledger.committed.count;
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
