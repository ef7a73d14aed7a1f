//! A ring between two threads.
//!
//! For: one writer and one reader that own an end each, such as a tap. Never: blocks, allocates after `pair`, or wakes
//! the other end.
//!
//! Invariant: neither end can be cloned, and both need `&mut`: one producer, one consumer.
//!
//! Called by the two owners on their own threads. The costs are those of a private ring without the fence.

use std::fmt;

use crate::sync::{Arc, Flag};

use super::Full;
use super::slots::Slots;

/// A bounded single-producer ring: the building block of taps. Values that were never received are dropped with the
/// later of the two ends.
///
/// # Panics
/// When `capacity` is not a power of two from 2 to 2^20.
pub fn pair<T: Send>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let shared = Arc::new(Shared {
        slots: Slots::new(capacity),
        sender_gone: Flag::new(),
        receiver_gone: Flag::new(),
    });
    (Sender { shared: Arc::clone(&shared), cursor: 0 }, Receiver { shared })
}

struct Shared<T> {
    slots: Slots<T>,
    sender_gone: Flag,
    receiver_gone: Flag,
}

/// The writing end of a [`pair`].
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
    cursor: u64,
}

impl<T: Send> Sender<T> {
    /// Never blocks.
    ///
    /// # Errors
    /// The value, when the ring is full.
    #[inline]
    pub fn send(&mut self, value: T) -> Result<(), Full<T>> {
        // SAFETY: the only producer of this ring, and `&mut self` makes this the only call.
        unsafe { self.shared.slots.push(self.cursor, value) }?;
        self.cursor += 1;
        Ok(())
    }

    /// Values sent and not yet received, approximately.
    pub fn depth(&self) -> usize {
        self.shared.slots.depth()
    }

    /// Whether the receiver is gone.
    pub fn is_closed(&self) -> bool {
        self.shared.receiver_gone.is_raised()
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.shared.sender_gone.raise();
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Sender").field("slots", &self.shared.slots).finish_non_exhaustive()
    }
}

/// The reading end of a [`pair`].
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
}

impl<T: Send> Receiver<T> {
    /// The oldest value, if any. Never blocks.
    #[inline]
    pub fn receive(&mut self) -> Option<T> {
        // SAFETY: the only consumer of this ring, and `&mut self` makes this the only call.
        unsafe { self.shared.slots.take() }
    }

    /// Values waiting, approximately.
    pub fn depth(&self) -> usize {
        self.shared.slots.depth()
    }

    /// Whether the sender is gone. Everything it sent can be received after a yes.
    pub fn is_closed(&self) -> bool {
        self.shared.sender_gone.is_raised()
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.shared.receiver_gone.raise();
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Receiver").field("slots", &self.shared.slots).finish_non_exhaustive()
    }
}
