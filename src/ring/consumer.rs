//! The reading end of the intake.
//!
//! For: the holder of the encoder role, which fixes the total order of events by the order in which it takes them.
//! Never: blocks, allocates, or lets one busy ring starve another.
//!
//! Invariants: one consumer per intake, not clonable, `&mut` to take; each ring is read in order.
//!
//! Called by the shard that holds the role. An event costs two cache lines of reading and one of writing.

use std::fmt;

use crate::sync::Arc;

use super::Rings;

/// Events taken of one ring before the next has its turn.
const TURN: usize = 32;

/// The one reading end; owned by the encoder role. When it is dropped, rings fill and stay full.
pub struct Consumer<T> {
    rings: Arc<Rings<T>>,
    /// The ring whose turn is next.
    first: u32,
}

impl<T> Consumer<T> {
    pub(super) fn new(rings: Arc<Rings<T>>) -> Self {
        Self { rings, first: 0 }
    }
}

impl<T: Send> Consumer<T> {
    /// Moves up to `limit` events out and returns how many: round robin, at most 32 of one ring in a turn, until
    /// `limit` is reached or every ring was found empty. The slot is free again before `each` sees the event, so a
    /// panic in `each` costs that one event. Never blocks.
    pub fn drain(&mut self, limit: usize, mut each: impl FnMut(T)) -> usize {
        let mut taken = 0;
        loop {
            let before = taken;
            for (index, slots) in self.rings.active_from(self.first) {
                let turn_end = limit.min(taken + TURN);
                while taken < turn_end {
                    // SAFETY: the only consumer of these rings, and `&mut self` makes this the only call.
                    let Some(event) = (unsafe { slots.take() }) else {
                        break;
                    };
                    taken += 1;
                    each(event);
                }
                if taken == limit {
                    self.first = (index + 1) % u64::BITS;
                    return taken;
                }
            }
            if taken == before {
                return taken;
            }
        }
    }
}

impl<T> fmt::Debug for Consumer<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Consumer")
            .field("first", &self.first)
            .field("rings", &self.rings)
            .finish()
    }
}
