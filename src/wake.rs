//! Which shards sleep, and how they are woken.
//!
//! For: letting a shard sleep without losing what arrives in that very moment, and letting publishers skip the wake-up
//! (7–9 µs) whenever a shard is awake anyway. Never: waits, or wakes a shard that did not announce its sleep.
//!
//! ```text
//! shard                                    publisher, encoder, edge
//!   set bit in `parked`                      make work visible (slot stamp, log, inbox)
//!   fence(SeqCst)                            fence(SeqCst)
//!   look at all work once more               load `parked`
//!   none: sleep; some: clear bit             bit set: clear it; who cleared it wakes
//! ```
//!
//! Both sides write, fence, and read what the other side writes. The two fences have one order, so at least one side
//! sees the other: the shard sees the work, or the publisher sees the bit. A plain Release and Acquire would let both
//! reads overtake both writes (the store buffer), and the shard would sleep on a full ring; that is the example that
//! needs `SeqCst`, and a model must fail when either fence goes.
//!
//! | word | written by | read by | ordering | what becomes visible |
//! |---|---|---|---|---|
//! | `parked` | shards (set, clear), who wakes (clear) | who wakes | AcqRel for changes, Relaxed load behind the fence | work announced to a bit that somebody else cleared first |
//! | `watching` | the watcher (set, clear), who commits (clear) | who commits | the same | the same |
//!
//! The *watcher* is one participant beside the shards that only reads the log (the HTTP side). It is told of commits,
//! with the same two fences, and never asked to encode: a publisher does not see it, and while it does not watch it
//! costs a commit one load of a line that is being read anyway.
//!
//! Invariants: a bit is set by its shard alone, between `park` and `unpark`; for each time it was set at most one wake
//! is sent; before every sleep a shard passes `park` and looks at all its work again.
//!
//! Called by publishers on their threads and by shards. `announce` costs one fence and one load while nobody sleeps.

use std::fmt;
use std::sync::OnceLock;

use crate::sync::{AtomicU64, CachePadded, Ordering, Tally, fence, mutated};

/// The most shards: one bit each in a word.
const SHARDS_MAX: usize = 64;

/// Wakes one shard; whatever its thread sleeps in must remember a wake that comes early.
type Waker = Box<dyn Fn() + Send + Sync>;

/// The parked shards and their wakers.
pub struct Wake {
    asleep: CachePadded<Asleep>,
    wakers: Box<[OnceLock<Waker>]>,
    watcher: OnceLock<Waker>,
    wakes: Tally,
}

/// On one line: who commits looks at both.
struct Asleep {
    /// Bit i: shard i sleeps or is about to.
    parked: AtomicU64,
    /// 1: the watcher waits for a commit or is about to.
    watching: AtomicU64,
}

impl Wake {
    /// For `shards` shards, none of them parked.
    ///
    /// # Panics
    /// When `shards` is not from 1 to 64.
    #[must_use]
    pub fn new(shards: usize) -> Self {
        assert!(
            (1..=SHARDS_MAX).contains(&shards),
            "{shards} shards are not from 1 to {SHARDS_MAX}"
        );
        Self {
            asleep: CachePadded::new(Asleep {
                parked: AtomicU64::new(0),
                watching: AtomicU64::new(0),
            }),
            wakers: (0..shards).map(|_| OnceLock::new()).collect(),
            watcher: OnceLock::new(),
            wakes: Tally::new(),
        }
    }

    /// Sets how `shard` is woken; called once, by the shard, before its first `park`. The waker must not block, and a
    /// wake that comes before the shard sleeps must end that sleep.
    ///
    /// # Panics
    /// When there is no such shard, or it has a waker.
    pub fn register(&self, shard: usize, waker: impl Fn() + Send + Sync + 'static) {
        let set = self.wakers[shard].set(Box::new(waker));
        assert!(set.is_ok(), "shard {shard} has a waker already");
    }

    /// After publishing: fence(SeqCst), then wakes one parked shard, if any. Never blocks.
    #[inline]
    pub fn announce(&self) {
        let parked = self.parked_behind_fence();
        if parked != 0 {
            // The lowest bit. If somebody else clears it first, that shard is awake and looks at everything before it
            // sleeps again, so one try is enough.
            self.wake(parked & parked.wrapping_neg());
        }
    }

    /// After committing to the log: fence(SeqCst), then wakes every parked shard, and the watcher if it watches. Never
    /// blocks.
    #[inline]
    pub fn announce_all(&self) {
        let parked = self.parked_behind_fence();
        if parked != 0 {
            self.wake(parked);
        }
        // Relaxed: the same fence orders it, and `wake_watcher` confirms it.
        if self.asleep.watching.load(Ordering::Relaxed) != 0 {
            self.wake_watcher();
        }
    }

    /// After filling this shard's inbox: fence(SeqCst), then wakes it if it is parked. Never blocks.
    ///
    /// # Panics
    /// When there is no such shard.
    pub fn nudge(&self, shard: usize) {
        let bit = self.bit(shard);
        if self.parked_behind_fence() & bit != 0 {
            self.wake(bit);
        }
    }

    /// Announces that `shard` is about to sleep: sets its bit, fence(SeqCst). The caller must look at all its
    /// work once more, and then either sleep and [`unpark`](Self::unpark), or `unpark` at once and start from the
    /// top; it passes `park` before every sleep.
    ///
    /// # Panics
    /// When there is no such shard, or it has no waker.
    pub fn park(&self, shard: usize) {
        assert!(self.wakers[shard].get().is_some(), "shard {shard} has no waker");
        // AcqRel: behind a change of `parked` by somebody who found this shard's bit taken, his work is visible.
        self.asleep.parked.fetch_or(self.bit(shard), Ordering::AcqRel);
        if !mutated("wake-park-unfenced") {
            // SeqCst: pairs with the fence in `parked_behind_fence`; the caller's look at its work comes after.
            fence(Ordering::SeqCst);
        }
    }

    /// Takes the announcement back (after sleeping, or because there was work).
    ///
    /// # Panics
    /// When there is no such shard.
    pub fn unpark(&self, shard: usize) {
        // AcqRel: as in `park`.
        self.asleep.parked.fetch_and(!self.bit(shard), Ordering::AcqRel);
    }

    /// Sets how the watcher is woken; called once, before its first [`watch`](Self::watch). The waker must not block,
    /// and a wake that comes before the watcher waits must end that wait.
    ///
    /// # Panics
    /// When there is a watcher already.
    pub fn register_watcher(&self, waker: impl Fn() + Send + Sync + 'static) {
        let set = self.watcher.set(Box::new(waker));
        assert!(set.is_ok(), "there is a watcher already");
    }

    /// Announces that the watcher is about to wait for the next commit, fence(SeqCst). The caller must look at the log
    /// once more, and then either wait and [`unwatch`](Self::unwatch), or `unwatch` at once; it passes `watch` before
    /// every wait.
    ///
    /// # Panics
    /// When there is no watcher.
    pub fn watch(&self) {
        assert!(self.watcher.get().is_some(), "there is no watcher");
        // AcqRel: as in `park`.
        self.asleep.watching.fetch_or(1, Ordering::AcqRel);
        if !mutated("wake-watch-unfenced") {
            // SeqCst: pairs with the fence in `parked_behind_fence`; the caller's look at the log comes after.
            fence(Ordering::SeqCst);
        }
    }

    /// Takes that announcement back.
    pub fn unwatch(&self) {
        // AcqRel: as in `park`.
        self.asleep.watching.fetch_and(0, Ordering::AcqRel);
    }

    /// Wake-ups sent to shards so far.
    #[must_use]
    pub fn wakes(&self) -> u64 {
        self.wakes.value()
    }

    #[inline]
    fn parked_behind_fence(&self) -> u64 {
        if !mutated("wake-announce-unfenced") {
            // SeqCst: pairs with the fence in `park`; the caller's work was made visible before.
            fence(Ordering::SeqCst);
        }
        // Relaxed: the fence orders it, and `wake` confirms each bit.
        self.asleep.parked.load(Ordering::Relaxed)
    }

    /// Clears these bits, and wakes the shards whose bits were still set.
    #[cold]
    fn wake(&self, bits: u64) {
        let before = if mutated("wake-bit-kept") {
            self.asleep.parked.load(Ordering::Acquire)
        } else {
            // AcqRel: Release hands our work to a shard that clears or sets its bit after us, see `park`; Acquire for
            // the same from others, since a shard that we wake may find their work through ours.
            self.asleep.parked.fetch_and(!bits, Ordering::AcqRel)
        };
        let mut cleared = before & bits;
        while cleared != 0 {
            let shard = cleared.trailing_zeros() as usize;
            cleared &= cleared - 1;
            let waker = self.wakers[shard].get().expect("park saw this shard's waker");
            self.wakes.add(1);
            waker();
        }
    }

    #[cold]
    fn wake_watcher(&self) {
        // AcqRel: as in `wake`.
        if self.asleep.watching.fetch_and(0, Ordering::AcqRel) != 0 {
            let waker = self.watcher.get().expect("watch saw the watcher's waker");
            waker();
        }
    }

    fn bit(&self, shard: usize) -> u64 {
        assert!(shard < self.wakers.len(), "there is no shard {shard}");
        1 << shard
    }
}

impl fmt::Debug for Wake {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Wake")
            .field("shards", &self.wakers.len())
            // Relaxed: a look for people.
            .field("parked", &self.asleep.parked.load(Ordering::Relaxed))
            .field("wakes", &self.wakes())
            .finish()
    }
}

#[cfg(all(test, not(lineage_loom)))]
mod tests {
    use std::sync::Arc;

    use super::{SHARDS_MAX, Wake};
    use crate::sync::Tally;

    fn wake_with_counters(shards: usize) -> (Wake, Vec<Arc<Tally>>) {
        let wake = Wake::new(shards);
        let counters: Vec<_> = (0..shards).map(|_| Arc::new(Tally::new())).collect();
        for (shard, counter) in counters.iter().enumerate() {
            let counter = Arc::clone(counter);
            wake.register(shard, move || counter.add(1));
        }
        (wake, counters)
    }

    fn values(counters: &[Arc<Tally>]) -> Vec<u64> {
        counters.iter().map(|counter| counter.value()).collect()
    }

    #[test]
    fn nobody_is_woken_while_nobody_sleeps() {
        let (wake, counters) = wake_with_counters(2);
        wake.announce();
        wake.announce_all();
        wake.nudge(1);
        assert_eq!(values(&counters), [0, 0]);
        assert_eq!(wake.wakes(), 0);
    }

    #[test]
    fn announce_wakes_one_shard_for_each_call_and_each_sleep() {
        let (wake, counters) = wake_with_counters(3);
        wake.park(1);
        wake.park(2);
        wake.announce();
        assert_eq!(values(&counters), [0, 1, 0]);
        wake.announce();
        assert_eq!(values(&counters), [0, 1, 1]);
        wake.announce();
        assert_eq!(values(&counters), [0, 1, 1]);
        wake.park(1);
        wake.announce();
        assert_eq!(values(&counters), [0, 2, 1]);
        assert_eq!(wake.wakes(), 3);
    }

    #[test]
    fn announce_all_wakes_every_sleeper_once() {
        let (wake, counters) = wake_with_counters(SHARDS_MAX);
        for shard in [0, 5, SHARDS_MAX - 1] {
            wake.park(shard);
        }
        wake.announce_all();
        wake.announce_all();
        let woken: Vec<_> = (0..SHARDS_MAX).filter(|&shard| counters[shard].value() == 1).collect();
        assert_eq!(woken, [0, 5, SHARDS_MAX - 1]);
        assert_eq!(wake.wakes(), 3);
    }

    #[test]
    fn nudge_wakes_that_shard_and_no_other() {
        let (wake, counters) = wake_with_counters(2);
        wake.park(0);
        wake.nudge(1);
        assert_eq!(values(&counters), [0, 0]);
        wake.nudge(0);
        wake.nudge(0);
        assert_eq!(values(&counters), [1, 0]);
    }

    #[test]
    fn a_shard_that_took_its_announcement_back_is_not_woken() {
        let (wake, counters) = wake_with_counters(1);
        wake.park(0);
        wake.unpark(0);
        wake.announce();
        assert_eq!(values(&counters), [0]);
    }

    #[test]
    fn the_watcher_is_woken_by_a_commit_once_for_each_wait_and_by_nothing_else() {
        let (wake, _) = wake_with_counters(1);
        let woken = Arc::new(Tally::new());
        let counter = Arc::clone(&woken);
        wake.register_watcher(move || counter.add(1));
        wake.announce_all();
        assert_eq!(woken.value(), 0, "it does not wait");
        wake.watch();
        wake.announce();
        wake.nudge(0);
        assert_eq!(woken.value(), 0, "nothing is committed");
        wake.announce_all();
        wake.announce_all();
        assert_eq!(woken.value(), 1);
        wake.watch();
        wake.unwatch();
        wake.announce_all();
        assert_eq!((woken.value(), wake.wakes()), (1, 0));
    }

    #[test]
    #[should_panic(expected = "there is no watcher")]
    fn nobody_watches_without_a_waker() {
        Wake::new(1).watch();
    }

    #[test]
    fn shard_counts_are_from_1_to_64() {
        for shards in [1, SHARDS_MAX] {
            assert_eq!(Wake::new(shards).wakes(), 0);
        }
        for shards in [0, SHARDS_MAX + 1] {
            assert!(std::panic::catch_unwind(|| Wake::new(shards)).is_err(), "{shards}");
        }
    }

    #[test]
    #[should_panic(expected = "shard 0 has no waker")]
    fn a_shard_without_a_waker_may_not_park() {
        Wake::new(1).park(0);
    }

    #[test]
    #[should_panic(expected = "shard 0 has a waker already")]
    fn a_waker_is_registered_once() {
        let wake = Wake::new(1);
        wake.register(0, || ());
        wake.register(0, || ());
    }
}
