//! The writing handle of a private ring.
//!
//! For: a producer with a thread or task of its own. Wait-free: each publish is a fixed number of steps whatever other
//! threads do. Never: blocks, allocates or locks (except in `drop`); makes a system call while a shard is awake.
//!
//! Invariant: one handle per ring at a time, by the ring's bit in `claims`; `cursor` is the ring's tail.
//!
//! Called by the producer on its own thread. A publish costs two cache lines of writing and one fence.

use std::fmt;

use crate::sync::Arc;

use super::slots::Slots;
use super::{Full, Rings};

/// A private ring's writing handle; dropping it leaves what was published and returns the ring to the next claimant.
pub struct Publisher<T> {
    rings: Arc<Rings<T>>,
    slots: Arc<Slots<T>>,
    index: usize,
    cursor: u64,
}

impl<T> Publisher<T> {
    /// Owns ring `index` from where its last owner stopped.
    pub(super) fn new(rings: Arc<Rings<T>>, slots: Arc<Slots<T>>, index: usize) -> Self {
        let cursor = slots.tail();
        Self { rings, slots, index, cursor }
    }
}

impl<T: Send> Publisher<T> {
    /// Wait-free. Wakes a parked shard.
    ///
    /// # Errors
    /// The event, when the ring is full.
    #[inline]
    pub fn publish(&mut self, event: T) -> Result<(), Full<T>> {
        // SAFETY: this handle is the ring's only owner, and `&mut` makes this the only call.
        unsafe { self.slots.push(self.cursor, event) }?;
        self.cursor += 1;
        self.rings.wake.announce();
        Ok(())
    }

    /// Publishes as many events from the front of `events` as fit, removes them from it, and returns how many;
    /// one fence and one wake for all of them. Wait-free.
    pub fn publish_batch(&mut self, events: &mut Vec<T>) -> usize {
        // SAFETY: as in `publish`.
        let count = unsafe { self.slots.push_run(self.cursor, events) };
        self.cursor += count as u64;
        if count > 0 {
            self.rings.wake.announce();
        }
        count
    }

    /// Whether the consumer has taken everything published through this handle. Never blocks.
    pub fn is_drained(&self) -> bool {
        self.slots.is_taken(self.cursor)
    }

    /// Slots.
    pub fn capacity(&self) -> usize {
        self.slots.capacity()
    }
}

impl<T> Drop for Publisher<T> {
    /// Gives up the claim. The lock hands the tail to the next owner.
    fn drop(&mut self) {
        *self.rings.claims() &= !(1 << self.index);
    }
}

impl<T> fmt::Debug for Publisher<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Publisher")
            .field("index", &self.index)
            .field("cursor", &self.cursor)
            .field("slots", &self.slots)
            .finish_non_exhaustive()
    }
}
