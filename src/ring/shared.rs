//! The writing handle of the shared ring.
//!
//! For: HTTP requests and other tasks that publish now and then and own no ring. Lock-free: whoever loses the race for
//! a position lost it to somebody who got it. Never: blocks, allocates or locks; makes a system call while a shard is
//! awake.
//!
//! Invariant: positions are claimed by compare-exchange alone.
//!
//! Called by any thread. A publish costs two cache lines of writing, one compare-exchange and one fence; with several
//! producers at once add the transfer of the tail's line between cores for each.

use std::fmt;

use crate::sync::Arc;

use super::slots::Slots;
use super::{Full, Rings};

/// The shared ring's writing handle.
pub struct SharedPublisher<T> {
    rings: Arc<Rings<T>>,
    slots: Arc<Slots<T>>,
}

impl<T> SharedPublisher<T> {
    pub(super) fn new(rings: Arc<Rings<T>>, slots: Arc<Slots<T>>) -> Self {
        Self { rings, slots }
    }
}

impl<T: Send> SharedPublisher<T> {
    /// Lock-free. Wakes a parked shard.
    ///
    /// # Errors
    /// The event, when the ring is full.
    #[inline]
    pub fn publish(&self, event: T) -> Result<(), Full<T>> {
        self.enqueue(event)?;
        self.announce();
        Ok(())
    }

    /// As [`publish`](Self::publish) without the fence and the wake: for a run of events, ended by
    /// [`announce`](Self::announce). Without that end the events may wait until somebody else publishes.
    ///
    /// # Errors
    /// The event, when the ring is full.
    #[inline]
    pub fn enqueue(&self, event: T) -> Result<(), Full<T>> {
        self.slots.push_shared(event)
    }

    /// Wakes a parked shard for what was enqueued. Never blocks.
    #[inline]
    pub fn announce(&self) {
        self.rings.wake.announce();
    }

    /// Whether the consumer has taken everything that any handle published. Never blocks.
    pub fn is_drained(&self) -> bool {
        self.slots.is_taken(self.slots.tail())
    }

    /// Slots.
    pub fn capacity(&self) -> usize {
        self.slots.capacity()
    }
}

impl<T> Clone for SharedPublisher<T> {
    fn clone(&self) -> Self {
        Self { rings: Arc::clone(&self.rings), slots: Arc::clone(&self.slots) }
    }
}

impl<T> fmt::Debug for SharedPublisher<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("SharedPublisher").field("slots", &self.slots).finish_non_exhaustive()
    }
}
