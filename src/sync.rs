//! Atomics, cells and locks, from std or from the model checker.
//!
//! For: every type through which threads meet comes from here, so that `--cfg lineage_loom` can put loom's checked
//! versions in their place and try all interleavings. The verb types ([`Flag`], [`Watermark`], [`Tally`]) let other
//! modules share a word without naming a memory ordering.
//!
//! Never: waits, allocates on a hot path, or holds domain knowledge. Outside the model checker every wrapper compiles
//! to the operation it wraps, and [`mutated`] is the constant `false`.
//!
//! Invariants: a [`Flag`] or [`Watermark`] that is seen makes everything written before it visible (Release, Acquire);
//! a [`Tally`] counts exactly and orders nothing (Relaxed).

#[cfg(not(lineage_loom))]
pub use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, fence};
#[cfg(not(lineage_loom))]
pub use std::sync::{Arc, Mutex};

#[cfg(lineage_loom)]
pub use loom::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, fence};
#[cfg(lineage_loom)]
pub use loom::sync::{Arc, Mutex};

pub use std::sync::atomic::Ordering;

pub use crossbeam::utils::CachePadded;

#[cfg(not(lineage_loom))]
pub use arc_swap::ArcSwap;
#[cfg(not(lineage_loom))]
pub use crossbeam::utils::Backoff;
#[cfg(not(lineage_loom))]
pub use plain::{UnsafeCell, mutated, weakened};

#[cfg(lineage_loom)]
pub use checked::{Backoff, UnsafeCell, mutated, weakened};

/// Declares `new` as a constant function; loom's atomics register themselves with the running model, so theirs is not.
macro_rules! constructor {
    ($(#[$meta:meta])* $type:ident($inner:expr)) => {
        impl $type {
            $(#[$meta])*
            #[cfg(not(lineage_loom))]
            #[must_use]
            pub const fn new() -> Self {
                Self($inner)
            }

            $(#[$meta])*
            #[cfg(lineage_loom)]
            #[must_use]
            pub fn new() -> Self {
                Self($inner)
            }
        }

        impl Default for $type {
            fn default() -> Self {
                Self::new()
            }
        }
    };
}

/// A fact that one thread states and others look at. Never blocks.
#[derive(Debug)]
pub struct Flag(AtomicBool);

constructor! {
    /// A lowered flag.
    Flag(AtomicBool::new(false))
}

impl Flag {
    /// States the fact; everything written before is visible to whoever sees it raised.
    pub fn raise(&self) {
        // Release: pairs with the Acquire in `is_raised`.
        self.0.store(true, Ordering::Release);
    }

    /// Takes the fact back; everything written before is visible to whoever sees it lowered.
    pub fn lower(&self) {
        // Release: pairs with the Acquire in `is_raised`.
        self.0.store(false, Ordering::Release);
    }

    /// Whether the fact stands.
    #[must_use]
    pub fn is_raised(&self) -> bool {
        // Acquire: pairs with the Release in `raise` and `lower`.
        self.0.load(Ordering::Acquire)
    }
}

/// A number up to which something is done; readers that see it see the work. Never blocks.
#[derive(Debug)]
pub struct Watermark(AtomicU64);

constructor! {
    /// A watermark at 0.
    Watermark(AtomicU64::new(0))
}

impl Watermark {
    /// Sets the mark; everything written before is visible to whoever observes it.
    pub fn publish(&self, value: u64) {
        // Release: pairs with the Acquire in `observe`.
        self.0.store(value, Ordering::Release);
    }

    /// The mark, and with it everything its writer did before.
    #[must_use]
    pub fn observe(&self) -> u64 {
        // Acquire: pairs with the Release in `publish` and `raise_to`.
        self.0.load(Ordering::Acquire)
    }

    /// Sets the mark unless it is higher already; for several writers.
    pub fn raise_to(&self, value: u64) {
        // Release as in `publish`; Acquire so that a chain of raises carries every writer's work.
        self.0.fetch_max(value, Ordering::AcqRel);
    }
}

/// A number that several threads raise and lower, such as a population. Orders nothing. Never blocks.
#[derive(Debug)]
pub struct Gauge(AtomicU64);

constructor! {
    /// A gauge at 0.
    Gauge(AtomicU64::new(0))
}

impl Gauge {
    /// Raises it by `count`.
    pub fn add(&self, count: u64) {
        // Relaxed: changes are never lost, and nothing is read on the strength of the value.
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// Lowers it by `count`, which was added before.
    pub fn subtract(&self, count: u64) {
        // Relaxed: as in `add`.
        self.0.fetch_sub(count, Ordering::Relaxed);
    }

    /// The sum of all changes that this thread can see.
    #[must_use]
    pub fn value(&self) -> u64 {
        // Relaxed: a number to choose by, not a promise about other memory.
        self.0.load(Ordering::Relaxed)
    }
}

/// A count that several threads add to. Orders nothing. Never blocks.
#[derive(Debug)]
pub struct Tally(AtomicU64);

constructor! {
    /// A tally of 0.
    Tally(AtomicU64::new(0))
}

impl Tally {
    /// Adds `count`, wrapping at 2^64.
    pub fn add(&self, count: u64) {
        // Relaxed: additions are never lost, and nothing is read on the strength of the value.
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// The sum of all additions that this thread can see.
    #[must_use]
    pub fn value(&self) -> u64 {
        // Relaxed: a count for people and metrics, not a promise about other memory.
        self.0.load(Ordering::Relaxed)
    }
}

/// What the program runs on.
#[cfg(not(lineage_loom))]
mod plain {
    use super::Ordering;

    /// Memory that threads hand to each other by a protocol of their own; the closures receive a raw pointer, and
    /// using it is the caller's unsafe promise. Same layout as `T`, no cost.
    #[repr(transparent)]
    pub struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        /// Holds `value`.
        pub const fn new(value: T) -> Self {
            Self(std::cell::UnsafeCell::new(value))
        }

        /// Calls `look` with a pointer for reading; the model checker reports a concurrent write.
        #[inline(always)]
        pub fn with<R>(&self, look: impl FnOnce(*const T) -> R) -> R {
            look(self.0.get().cast_const())
        }

        /// Calls `change` with a pointer for writing; the model checker reports any concurrent access.
        #[inline(always)]
        pub fn with_mut<R>(&self, change: impl FnOnce(*mut T) -> R) -> R {
            change(self.0.get())
        }
    }

    impl<T> std::fmt::Debug for UnsafeCell<T> {
        fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            out.write_str("UnsafeCell")
        }
    }

    /// Whether the named fault is planted: never, outside the model checker.
    #[inline(always)]
    #[must_use]
    pub const fn mutated(_name: &'static str) -> bool {
        false
    }

    /// `ordering`, unless the named fault is planted: never, outside the model checker.
    #[inline(always)]
    #[must_use]
    pub const fn weakened(_name: &'static str, ordering: Ordering) -> Ordering {
        ordering
    }
}

/// What the model checker runs.
#[cfg(lineage_loom)]
mod checked {
    use std::sync::OnceLock;

    use super::Ordering;

    pub use loom::cell::UnsafeCell;

    /// Crossbeam's `Backoff` for models: every wait lets another thread run.
    #[derive(Debug, Default)]
    pub struct Backoff(());

    impl Backoff {
        /// A fresh one.
        #[must_use]
        pub fn new() -> Self {
            Self(())
        }

        /// After losing a race: tries again at once, because somebody else made progress.
        pub fn spin(&self) {}

        /// While waiting for another thread: lets it run.
        pub fn snooze(&self) {
            loom::thread::yield_now();
        }
    }

    /// Whether the environment variable `LINEAGE_MUTATION` plants the named fault; `tests/mutations.txt` lists the
    /// faults and the model that must fail with each.
    #[must_use]
    pub fn mutated(name: &'static str) -> bool {
        static PLANTED: OnceLock<Option<String>> = OnceLock::new();
        let planted = PLANTED.get_or_init(|| std::env::var("LINEAGE_MUTATION").ok());
        planted.as_deref() == Some(name)
    }

    /// `ordering`, or Relaxed when the named fault is planted.
    #[must_use]
    pub fn weakened(name: &'static str, ordering: Ordering) -> Ordering {
        if mutated(name) { Ordering::Relaxed } else { ordering }
    }
}

#[cfg(all(test, not(lineage_loom)))]
mod tests {
    use super::{Flag, Tally, UnsafeCell, Watermark};

    #[test]
    fn a_flag_is_what_was_last_stated() {
        let flag = Flag::new();
        assert!(!flag.is_raised());
        flag.raise();
        assert!(flag.is_raised());
        flag.lower();
        assert!(!flag.is_raised());
    }

    #[test]
    fn a_watermark_is_raised_but_never_lowered_by_raise_to() {
        let mark = Watermark::new();
        mark.publish(7);
        mark.raise_to(6);
        assert_eq!(mark.observe(), 7);
        mark.raise_to(8);
        assert_eq!(mark.observe(), 8);
    }

    #[test]
    fn a_tally_loses_no_addition_of_any_thread() {
        let tally = Tally::new();
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| (0..1_000).for_each(|_| tally.add(3)));
            }
        });
        assert_eq!(tally.value(), 6_000);
    }

    #[test]
    fn a_cell_has_the_layout_of_what_it_holds() {
        assert_eq!(size_of::<UnsafeCell<[u8; 120]>>(), 120);
        assert_eq!(align_of::<UnsafeCell<u64>>(), align_of::<u64>());
    }
}
