//! One ring: a fixed run of slots that are handed back and forth by their stamps.
//!
//! For: the protocol P1–P6, C1–C3 of the [module](super), in one place for private rings, the shared ring and pairs.
//! Never: blocks, allocates after `new`, or wakes anybody.
//!
//! A slot is one stamp and one value, aligned to cache lines:
//!
//! ```text
//! stamp = p               free, waits for whoever claims position p      (written by `new` and C3)
//! stamp = p + 1           holds the value of position p                  (written by P5)
//! stamp = p + capacity    free again, for the next lap                   (written by C3)
//! ```
//!
//! Positions count up from 0 and never wrap (2^64 events are 584 years at 10^9 events/s).
//!
//! Invariants: between claim and P5 only the claimant touches a slot's value, between P5 and C3 only the consumer;
//! slots are freed in order of position, so a free slot means that every slot claimed before it is free too.
//!
//! Called by publishers on their own threads and by the holder of the encoder role. A push costs two cache lines of
//! writing for a 120-byte value, a take two of reading and one of writing.

use std::fmt;
use std::mem::MaybeUninit;

use crate::sync::{AtomicU64, Backoff, CachePadded, Ordering, UnsafeCell, mutated, weakened};

use super::Full;

/// The most slots of one ring.
const CAPACITY_MAX: usize = 1 << 20;

/// A stamp and the value it speaks of. With a value of 120 bytes this is exactly two cache lines.
#[repr(align(64))]
pub(super) struct Slot<T> {
    stamp: AtomicU64,
    value: UnsafeCell<MaybeUninit<T>>,
}

// SAFETY: the stamp hands the value from one thread to another (Release and Acquire), never to two at once; so a slot
// may be shared whenever its value may be sent.
unsafe impl<T: Send> Sync for Slot<T> {}

/// A bounded ring with one consumer.
pub(super) struct Slots<T> {
    slots: Box<[Slot<T>]>,
    /// The next position to claim. Private ring and pair: written by the one producer; shared ring: by every claim.
    tail: CachePadded<AtomicU64>,
    /// The next position to take. Written by the consumer.
    head: CachePadded<AtomicU64>,
}

impl<T> Slots<T> {
    /// An empty ring.
    ///
    /// # Panics
    /// When `capacity` is not a power of two from 2 to 2^20.
    pub(super) fn new(capacity: usize) -> Self {
        assert!(
            capacity.is_power_of_two() && (2..=CAPACITY_MAX).contains(&capacity),
            "ring capacity {capacity} is not a power of two from 2 to {CAPACITY_MAX}"
        );
        let slots = (0_u64..)
            .take(capacity)
            .map(|position| Slot {
                stamp: AtomicU64::new(position),
                value: UnsafeCell::new(MaybeUninit::uninit()),
            })
            .collect();
        Self {
            slots,
            tail: CachePadded::new(AtomicU64::new(0)),
            head: CachePadded::new(AtomicU64::new(0)),
        }
    }

    /// Slots.
    #[inline]
    pub(super) fn capacity(&self) -> usize {
        self.slots.len()
    }

    /// The next position to claim, as far as this thread can see.
    #[inline]
    pub(super) fn tail(&self) -> u64 {
        // Relaxed: exact for the only producer; for others a hint that the slot's stamp confirms or refutes.
        self.tail.load(Ordering::Relaxed)
    }

    /// Values claimed and not taken, approximately.
    pub(super) fn depth(&self) -> usize {
        // Relaxed: two independent words read one after the other are an estimate whatever their order.
        let depth = self.tail().saturating_sub(self.head.load(Ordering::Relaxed));
        usize::try_from(depth).map_or(self.capacity(), |depth| depth.min(self.capacity()))
    }

    /// Whether a value waits for the consumer. Behind a `SeqCst` fence there is no false no; a false yes lasts as long
    /// as another thread is taking values.
    #[inline]
    pub(super) fn is_ready(&self) -> bool {
        // Relaxed: the value is not touched here, and whoever sleeps on a no has a fence before this (see `wake`).
        // A head that is out of date names a slot that was freed since, and thus says yes.
        let head = self.head.load(Ordering::Relaxed);
        self.slot(head).stamp.load(Ordering::Relaxed) != head
    }

    /// Whether every value before position `end` was taken.
    #[inline]
    pub(super) fn is_taken(&self, end: u64) -> bool {
        // Acquire: pairs with C3; whatever the consumer did before freeing the last slot is visible on a yes.
        let last = end.wrapping_sub(1);
        let stamp = self.slot(last).stamp.load(Ordering::Acquire);
        stamp >= last.wrapping_add(self.capacity() as u64)
    }

    /// P2 to P5 for a ring with one producer, which claims without a race.
    ///
    /// # Safety
    /// The caller is the ring's only producer, and `claim` is the position behind its last push (0 at first).
    #[inline]
    pub(super) unsafe fn push(&self, claim: u64, value: T) -> Result<(), Full<T>> {
        let slot = self.slot(claim);
        if !slot.is_free_for(claim) {
            return Err(Full(value));
        }
        // Relaxed: nobody else claims here; others read it to estimate the depth.
        self.tail.store(claim + 1, Ordering::Relaxed);
        // SAFETY: free for `claim` (checked above), and nobody else claims (the caller's promise).
        unsafe { slot.fill(claim, value) };
        Ok(())
    }

    /// As [`push`](Self::push) for as many values from the front of `values` as fit; removes them and returns how
    /// many.
    ///
    /// # Safety
    /// As for [`push`](Self::push).
    pub(super) unsafe fn push_run(&self, claim: u64, values: &mut Vec<T>) -> usize {
        let count = self.free_run(claim, values.len());
        for (claim, value) in (claim..).zip(values.drain(..count)) {
            // Relaxed: as in `push`.
            self.tail.store(claim + 1, Ordering::Relaxed);
            // SAFETY: `free_run` saw the last slot of the run free, so all of them are; the caller alone claims.
            unsafe { self.slot(claim).fill(claim, value) };
        }
        count
    }

    /// P1 to P5 for a ring with any number of producers. All of them must use this function.
    #[inline]
    pub(super) fn push_shared(&self, value: T) -> Result<(), Full<T>> {
        let backoff = Backoff::new();
        // P1.
        let mut claim = self.tail();
        loop {
            let slot = self.slot(claim);
            // P2. Acquire: pairs with C3 as in `is_free_for`; on a stamp from the future it also pairs with the P5
            // behind it, so that the tail read below is newer than this claim.
            let stamp = slot.stamp.load(weakened("ring-claim-relaxed", Ordering::Acquire));
            if stamp < claim {
                return Err(Full(value));
            }
            if stamp == claim {
                match self.claim(claim) {
                    Ok(()) => {
                        // SAFETY: free for `claim` (just seen), and the compare-exchange gave `claim` to nobody else.
                        unsafe { slot.fill(claim, value) };
                        return Ok(());
                    }
                    Err(tail) => claim = tail,
                }
            } else {
                claim = self.tail();
            }
            backoff.spin();
        }
    }

    /// C1 to C3: moves the oldest value out and frees its slot.
    ///
    /// # Safety
    /// The caller is the only consumer.
    #[inline]
    pub(super) unsafe fn take(&self) -> Option<T> {
        // Relaxed: only the consumer writes it; if that was another thread, the hand-over of its role ordered it.
        let head = self.head.load(Ordering::Relaxed);
        let slot = self.slot(head);
        // C1. Acquire: pairs with P5; the value is whole.
        if slot.stamp.load(weakened("ring-take-relaxed", Ordering::Acquire)) != head + 1 {
            return None;
        }
        // C2.
        let value = slot.value.with(|value| {
            // SAFETY: the stamp says that P4 wrote the value; it is read once, because C3 takes the stamp away and
            // there is no other consumer.
            unsafe { value.cast::<T>().read() }
        });
        // C3. Release: pairs with P2; the value was moved out before the next lap writes over it.
        slot.stamp.store(
            head + self.slots.len() as u64,
            weakened("ring-free-relaxed", Ordering::Release),
        );
        // Relaxed: see above.
        self.head.store(head + 1, Ordering::Relaxed);
        Some(value)
    }

    /// P3 of a shared ring; the tail as it is now, when somebody else was faster.
    #[inline]
    fn claim(&self, claim: u64) -> Result<(), u64> {
        if mutated("ring-claim-unchecked") {
            self.tail.store(claim + 1, Ordering::Relaxed);
            return Ok(());
        }
        // Relaxed: it only makes the claim unique; the value is ordered by the slot's stamp.
        self.tail
            .compare_exchange(claim, claim + 1, Ordering::Relaxed, Ordering::Relaxed)
            .map(|_| ())
    }

    /// How many slots from `claim` on are free, up to `wanted`. Looks at the last one first, then halves.
    fn free_run(&self, claim: u64, wanted: usize) -> usize {
        let (mut free, mut beyond) = (0, wanted.min(self.capacity()) + 1);
        let mut probe = beyond - 1;
        while free < probe {
            let last = claim + probe as u64 - 1;
            if self.slot(last).is_free_for(last) {
                free = probe;
            } else {
                beyond = probe;
            }
            probe = usize::midpoint(free, beyond);
        }
        free
    }

    #[inline]
    fn slot(&self, position: u64) -> &Slot<T> {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a ring has at most 2^20 slots: the bits cut off are bits that the mask drops"
        )]
        let index = position as usize & (self.slots.len() - 1);
        &self.slots[index]
    }
}

impl<T> Slot<T> {
    /// P2.
    #[inline]
    fn is_free_for(&self, claim: u64) -> bool {
        // Acquire: pairs with C3; the value of the previous lap was moved out before we write over it. For a run of
        // slots the last one speaks for all, because they are freed in order.
        self.stamp.load(weakened("ring-claim-relaxed", Ordering::Acquire)) == claim
    }

    /// P4 and P5.
    ///
    /// # Safety
    /// The slot is free for `claim`, and `claim` belongs to the caller alone.
    #[inline]
    unsafe fn fill(&self, claim: u64, value: T) {
        self.value.with_mut(|place| {
            // SAFETY: the slot is free, so nobody reads; claimed by the caller alone, so nobody else writes. A free
            // slot holds no value, so nothing is overwritten that would have to be dropped.
            unsafe { place.cast::<T>().write(value) }
        });
        // P5. Release: pairs with C1; who sees the stamp sees the value.
        self.stamp.store(claim + 1, weakened("ring-publish-relaxed", Ordering::Release));
    }
}

impl<T> Drop for Slots<T> {
    /// Drops the values that nobody took.
    fn drop(&mut self) {
        // SAFETY: `&mut self` means that no consumer and no producer is left.
        while let Some(value) = unsafe { self.take() } {
            drop(value);
        }
    }
}

impl<T> fmt::Debug for Slots<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Slots")
            .field("capacity", &self.capacity())
            .field("depth", &self.depth())
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(lineage_loom)))]
mod tests {
    use super::{CAPACITY_MAX, Slot, Slots};

    #[test]
    fn a_slot_of_a_120_byte_value_is_two_cache_lines() {
        assert_eq!(size_of::<Slot<[u64; 15]>>(), 128);
        assert_eq!(align_of::<Slot<[u64; 15]>>(), 64);
    }

    #[test]
    fn capacities_are_powers_of_two_within_the_limit() {
        for capacity in [2, 4, CAPACITY_MAX] {
            assert_eq!(Slots::<u8>::new(capacity).capacity(), capacity);
        }
        for capacity in
            [0, 1, 3, 4_095, 4_097, CAPACITY_MAX - 1, CAPACITY_MAX + 1, CAPACITY_MAX * 2]
        {
            let made = std::panic::catch_unwind(|| Slots::<u8>::new(capacity));
            assert!(made.is_err(), "capacity {capacity} was accepted");
        }
    }

    #[test]
    fn a_run_is_as_long_as_the_free_slots_and_no_longer() {
        for capacity in [2_usize, 8, 32] {
            for filled in 0..=capacity {
                for wanted in 0..=capacity + 2 {
                    let slots = Slots::new(capacity);
                    // SAFETY: one thread: the only producer.
                    assert_eq!(unsafe { slots.push_run(0, &mut vec![0; filled]) }, filled);
                    let free = slots.free_run(filled as u64, wanted);
                    assert_eq!(free, wanted.min(capacity - filled), "{capacity} {filled} {wanted}");
                }
            }
        }
    }

    #[test]
    fn an_empty_ring_is_taken_from_the_start() {
        let slots = Slots::<u8>::new(4);
        assert!(slots.is_taken(0));
        assert!(!slots.is_ready());
        assert_eq!(slots.depth(), 0);
    }
}
