//! The encoder role: a try-lock that nobody waits for.
//!
//! For: state that exactly one thread works on at a time, by whichever thread is awake first. Never: makes a thread
//! wait for another; who finds the role taken goes on with other work.
//!
//! Invariants: the state is touched by the holder alone; after each batch the holder releases, then looks for new work
//! behind a `SeqCst` fence. So an event is never left behind: its publisher made it visible, passed a fence, and then
//! found the role free (and drains) or taken (and the holder's look comes later and sees the event).
//!
//! What it costs others: a holder that the system puts aside delays new events by a scheduling slice; rings absorb it.
//! Rings and log are lock-free, this role is a lock that is only tried.
//!
//! Called by shards, and by publishers that help. Taking and releasing costs one compare-exchange and one swap.

use std::fmt;
use std::sync::TryLockError;

use crate::sync::{Arc, Mutex, Ordering, fence, mutated};
use crate::wake::Wake;

/// Batches in one [`run`](Role::run): a flood of events must not keep a shard from its sockets.
const BATCHES_MAX: usize = 4;

/// State that whoever is awake first may work on.
pub struct Role<S> {
    state: Mutex<S>,
    wake: Arc<Wake>,
}

impl<S: Send> Role<S> {
    /// Guards `state`; work that others must see is announced through `wake`.
    pub fn new(state: S, wake: Arc<Wake>) -> Self {
        Self { state: Mutex::new(state), wake }
    }

    /// Runs `work` if nobody holds the role; never waits. A role whose holder panicked is free: `work` finds the state
    /// as the panic left it.
    ///
    /// Whoever takes events in `work` must look for more after it, as [`run`](Self::run) does.
    pub fn try_with<R>(&self, work: impl FnOnce(&mut S) -> R) -> Option<R> {
        let mut state = match self.state.try_lock() {
            Ok(state) => state,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        Some(work(&mut state))
    }

    /// Batch after batch: takes the role (or returns, when somebody has it), calls `batch`, releases, wakes every
    /// parked shard, and looks at `ready` again behind a `SeqCst` fence. Ends when there is nothing more, or after
    /// 4 batches; then it wakes a parked shard for the rest. Never waits.
    ///
    /// Returns the sum of what `batch` returned. Shards are woken only after batches that returned more than 0.
    pub fn run(&self, ready: impl Fn() -> bool, mut batch: impl FnMut(&mut S) -> usize) -> usize {
        let mut sum = 0;
        for _ in 0..BATCHES_MAX {
            let Some(count) = self.try_with(&mut batch) else {
                return sum;
            };
            sum += count;
            if count > 0 {
                self.wake.announce_all();
            } else {
                // SeqCst, as in `announce_all`: pairs with the fence of a publisher that found the role taken.
                fence(Ordering::SeqCst);
            }
            if mutated("role-recheck-dropped") || !ready() {
                return sum;
            }
        }
        self.wake.announce();
        sum
    }
}

impl<S> fmt::Debug for Role<S> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Role").field("wake", &self.wake).finish_non_exhaustive()
    }
}

#[cfg(all(test, not(lineage_loom)))]
mod tests {
    use std::cell::Cell;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::{BATCHES_MAX, Role};
    use crate::sync::Arc;
    use crate::wake::Wake;

    /// A role over `left` pieces of work, and a wake with one parked shard.
    fn role_over(left: usize) -> (Role<usize>, Arc<Wake>) {
        let wake = Arc::new(Wake::new(1));
        wake.register(0, || ());
        wake.park(0);
        (Role::new(left, Arc::clone(&wake)), wake)
    }

    fn run_one_by_one(role: &Role<usize>) -> usize {
        let left = Cell::new(usize::MAX);
        role.run(
            || left.get() > 0,
            |state| {
                let taken = 1.min(*state);
                *state -= taken;
                left.set(*state);
                taken
            },
        )
    }

    #[test]
    fn run_takes_batches_until_nothing_is_ready_or_the_limit() {
        for (work, done) in
            [(0, 0), (1, 1), (BATCHES_MAX, BATCHES_MAX), (BATCHES_MAX + 1, BATCHES_MAX)]
        {
            let (role, _) = role_over(work);
            assert_eq!(run_one_by_one(&role), done);
            assert_eq!(role.try_with(|left| *left), Some(work - done));
        }
    }

    #[test]
    fn sleepers_are_woken_after_a_batch_that_did_something_and_only_then() {
        for (work, wakes) in [(0, 0), (1, 1)] {
            let (role, wake) = role_over(work);
            run_one_by_one(&role);
            assert_eq!(wake.wakes(), wakes);
        }
    }

    #[test]
    fn a_run_that_ends_at_its_limit_wakes_a_sleeper_for_the_rest() {
        let wake = Arc::new(Wake::new(1));
        wake.register(0, || ());
        let role = Role::new(0, Arc::clone(&wake));
        // The shard falls asleep during the last look, after the last `announce_all`.
        let looks = Cell::new(0);
        let ready = || {
            looks.set(looks.get() + 1);
            if looks.get() == BATCHES_MAX {
                wake.park(0);
            }
            true
        };
        role.run(ready, |_| 1);
        assert_eq!(wake.wakes(), 1);
    }

    #[test]
    fn a_held_role_is_refused_at_once() {
        let (role, _) = role_over(1);
        let inner = role.try_with(|_| (role.try_with(|_| ()), role.run(|| true, |_| 1)));
        assert_eq!(inner, Some((None, 0)));
    }

    #[test]
    fn a_role_whose_holder_panicked_is_taken_over() {
        let (role, _) = role_over(1);
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            role.try_with(|left| {
                *left = 5;
                panic!("planned");
            })
        }));
        assert!(outcome.is_err());
        assert_eq!(role.try_with(|left| *left), Some(5));
    }
}
