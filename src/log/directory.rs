//! Where the kept segments stand, so that readers find a successor or join anew.
//!
//! For: one pointer clone per reader and segment. The slots hold the last segments; a sealed
//! segment names its successor's slot.
//!
//! Never: touched by append, by commit or by a reader that stays within a segment. The writer never
//! waits for a slot.
//!
//! Invariants: F3 of the module; at any time at least one slot is filled; a slot's lock is held for
//! a pointer clone or a pointer swap only, so it is never poisoned.

use crate::sync::{Arc, AtomicUsize, Backoff, Mutex, Ordering, mutated};

use super::segment::Segment;

/// The slots of the kept segments.
#[derive(Debug)]
pub(super) struct Directory {
    slots: Box<[Mutex<Option<Arc<Segment>>>]>,
    newest: AtomicUsize,
}

impl Directory {
    /// A directory of `slots` slots with the first segment in slot 0.
    pub(super) fn new(slots: usize, first: Arc<Segment>) -> Self {
        let mut first = Some(first);
        Self {
            slots: (0..slots).map(|_| Mutex::new(first.take())).collect(),
            newest: AtomicUsize::new(0),
        }
    }

    /// Segments kept at most.
    pub(super) fn slots(&self) -> usize {
        self.slots.len()
    }

    /// Puts a segment in the oldest slot that no reader is looking into, and returns the slot and
    /// what stood there. The writer's only.
    pub(super) fn put(&self, segment: Arc<Segment>) -> (usize, Option<Arc<Segment>>) {
        // Relaxed: the writer's own word.
        let newest = self.newest.load(Ordering::Relaxed);
        let backoff = Backoff::new();
        loop {
            for step in 1..self.slots.len() {
                let slot = (newest + step) % self.slots.len();
                if let Ok(mut place) = self.slots[slot].try_lock() {
                    let old = place.replace(segment);
                    // Relaxed: a hint, see `run`.
                    self.newest.store(slot, Ordering::Relaxed);
                    return (slot, old);
                }
            }
            // Every slot but the newest has a reader suspended inside a pointer clone.
            backoff.snooze();
        }
    }

    /// The segment `id`, if it still stands in `slot`.
    pub(super) fn find(&self, slot: usize, id: u64) -> Option<Arc<Segment>> {
        self.look(slot).filter(|segment| segment.id() == id || mutated("log-lap-unnoticed"))
    }

    /// The longest unbroken run of kept segments that ends with the newest, oldest first; never
    /// empty.
    ///
    /// Looks from the newest slot backwards: the writer fills slots forwards, so whoever finds a
    /// segment in one slot finds its predecessor, or what replaced that one, in a slot it has yet
    /// to visit. Segments replaced meanwhile leave a hole, and what lies before a hole is not part
    /// of the run.
    pub(super) fn run(&self) -> Vec<Arc<Segment>> {
        let count = self.slots.len();
        // Relaxed: only where the search starts; a stale start can shorten the run, never break it.
        let newest = self.newest.load(Ordering::Relaxed);
        let mut kept: Vec<_> =
            (0..count).filter_map(|step| self.look((newest + count - step) % count)).collect();
        kept.sort_unstable_by_key(|segment| segment.id());
        let start =
            (1..kept.len()).rev().find(|&at| kept[at - 1].id() + 1 != kept[at].id()).unwrap_or(0);
        kept.drain(..start);
        kept
    }

    /// What stands in `slot`. Waits while another reader, or the writer, is inside, which is for a
    /// pointer clone or swap; by trying again and not in the kernel, so that the writer's unlock
    /// never has anybody to wake.
    fn look(&self, slot: usize) -> Option<Arc<Segment>> {
        let backoff = Backoff::new();
        loop {
            if let Ok(place) = self.slots[slot].try_lock() {
                return place.clone();
            }
            backoff.snooze();
        }
    }
}

#[cfg(all(test, not(lineage_loom)))]
mod tests {
    use super::{Arc, Directory, Segment};

    fn segment(id: u64) -> Arc<Segment> {
        let mut segment = Segment::new(1, 1);
        segment.reset(id, id, id);
        Arc::new(segment)
    }

    fn ids(run: &[Arc<Segment>]) -> Vec<u64> {
        run.iter().map(|segment| segment.id()).collect()
    }

    #[test]
    fn the_writer_passes_by_a_slot_that_a_reader_is_looking_into() {
        let directory = Directory::new(3, segment(0));
        let reader_inside = directory.slots[1].lock().unwrap();
        assert_eq!(directory.put(segment(1)).0, 2);
        drop(reader_inside);
        assert_eq!(directory.find(2, 1).map(|found| found.id()), Some(1));
        let (slot, old) = directory.put(segment(2));
        assert_eq!((slot, old.map(|old| old.id())), (0, Some(0)));
        assert_eq!(ids(&directory.run()), [1, 2], "the slot passed by stands empty for a round");
    }

    #[test]
    fn a_run_ends_with_the_newest_and_begins_behind_the_last_hole() {
        let directory = Directory::new(4, segment(0));
        for id in 1..4 {
            directory.put(segment(id));
        }
        let reader_inside = directory.slots[1].lock().unwrap();
        directory.put(segment(4));
        directory.put(segment(5));
        drop(reader_inside);
        assert_eq!(
            ids(&directory.run()),
            [3, 4, 5],
            "1 stays in the slot that was passed by, 2 is gone"
        );
    }

    #[test]
    fn a_replaced_segment_is_not_found_under_its_old_id() {
        let directory = Directory::new(2, segment(0));
        directory.put(segment(1));
        assert_eq!(directory.put(segment(2)).0, 0);
        assert!(directory.find(0, 0).is_none());
        assert!(directory.find(0, 2).is_some());
    }
}
