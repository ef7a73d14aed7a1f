//! Where an event waits: bounded lock-free rings, one per publisher, one shared.
//!
//! For: carrying events from any thread to the holder of the encoder role. Each [`Publisher`] owns a ring of its own
//! (wait-free: nobody else claims there), every [`SharedPublisher`] claims in one common ring (lock-free), and one
//! [`Consumer`] takes from all of them in turn. [`pair`] is the same ring with exactly one reader and one writer.
//!
//! Never: blocks, allocates, locks or makes a system call on publish while a shard is awake; knows what an event is;
//! loses, repeats or reorders what one publisher published. A full ring hands the event back ([`Full`]).
//!
//! ```text
//! Publisher ─────────► ring 0   ┐
//! Publisher ─────────► ring 1   ├─► Consumer: ≤ 32 events of a ring, then the next ring
//! SharedPublisher ─┬─► ring 63  ┘
//! SharedPublisher ─┘
//! ```
//!
//! # Protocol
//!
//! | step | operation | ordering | why |
//! |---|---|---|---|
//! | P1 | private: own cursor; shared: load tail | –; Relaxed | a hint |
//! | P2 | load slot stamp, must equal the claim (else full) | Acquire | pairs with C3: the previous lap's read is done |
//! | P3 | private: cursor + 1; shared: compare-exchange tail | –; Relaxed | uniqueness only |
//! | P4 | write value | plain | exclusive |
//! | P5 | store stamp + 1 | Release | publishes the value |
//! | P6 | fence, load `parked` | `SeqCst`, Relaxed | pair with the parking shard, see [`wake`](crate::wake) |
//! | C1 | load stamp, must be claim + 1 | Acquire | pairs with P5 |
//! | C2 | move value out | plain | the only consumer |
//! | C3 | store stamp + capacity | Release | frees the slot |
//!
//! # Words shared between threads
//!
//! | word | written by | read by | ordering | what becomes visible |
//! |---|---|---|---|---|
//! | slot stamp | claimant (P5), consumer (C3) | claimant (P2), consumer (C1), `is_ready` | Release, Acquire (`is_ready`: Relaxed behind a fence) | the value; that the value is gone |
//! | ring tail | claimant (P3) | other claimants, depth | Relaxed | nothing |
//! | ring head | consumer | `is_ready`, depth | Relaxed | nothing; a new role holder sees it through the role |
//! | `active` | whoever allocates a ring | consumer, `is_ready`, depth | Release, Acquire | the ring's slots |
//! | `claims` | who makes or drops a publisher | the same | mutex | the tail at which the last owner stopped |
//!
//! # Invariants
//!
//! 1. One owner claims in a private ring at a time: its bit in `claims` is set from `publisher()` to the drop of the
//!    handle, and the mutex hands the ring's tail to the next owner. What the last owner published stays in the ring.
//! 2. There is one consumer: `intake` makes one, `take` needs `&mut`, and it cannot be cloned.
//! 3. A ring is allocated by its first claim and lives as long as the intake; a bit of `active` is never cleared.
//! 4. Values that nobody took are dropped with the last handle on the intake.
//!
//! Cost: 512 KiB per claimed ring at 4,096 slots of 128 bytes; figures per publish are in `benches/ring.rs`.

mod consumer;
mod pair;
mod publisher;
mod shared;
mod slots;
#[cfg(all(test, not(lineage_loom)))]
mod tests;

use std::error::Error;
use std::fmt;
use std::sync::{OnceLock, PoisonError};

use crate::sync::{Arc, AtomicU64, Mutex, Ordering};
use crate::wake::Wake;

pub use consumer::Consumer;
pub use pair::{Receiver, Sender, pair};
pub use publisher::Publisher;
pub use shared::SharedPublisher;
use slots::Slots;

/// Rings of an intake, the shared one included: one bit each in a word.
const RINGS: usize = 64;
/// The ring that all [`SharedPublisher`]s claim in; those before it are private.
const SHARED: usize = RINGS - 1;

/// Makes an intake whose rings hold `capacity` events each, and its reading end. Publishing wakes through `wake`.
///
/// # Panics
/// When `capacity` is not a power of two from 2 to 2^20 (at the first claim of a ring).
pub fn intake<T: Send>(capacity: usize, wake: Arc<Wake>) -> (Arc<Intake<T>>, Consumer<T>) {
    let rings = Arc::new(Rings {
        rings: [const { OnceLock::new() }; RINGS],
        active: AtomicU64::new(0),
        claims: Mutex::new(0),
        capacity,
        wake,
    });
    let consumer = Consumer::new(Arc::clone(&rings));
    (Arc::new(Intake { rings }), consumer)
}

/// Bytes of a slot that holds a `T`: the value and its stamp, in whole cache lines.
#[must_use]
pub const fn slot_bytes<T>() -> usize {
    size_of::<slots::Slot<T>>()
}

/// The intake: at most 63 private rings, one shared ring, one consumer. Where publishers come from.
pub struct Intake<T> {
    rings: Arc<Rings<T>>,
}

impl<T: Send> Intake<T> {
    /// A private ring of its own (wait-free publishing). Takes a lock and, for a ring that was never used, allocates
    /// its slots; not for a hot path. Dropping the handle returns the ring to the next claimant.
    ///
    /// # Errors
    /// When 63 publishers exist at once.
    pub fn publisher(&self) -> Result<Publisher<T>, PublishersExhausted> {
        let mut claims = self.rings.claims();
        let index = (!*claims).trailing_zeros() as usize;
        if index >= SHARED {
            return Err(PublishersExhausted);
        }
        let slots = self.rings.activate(index);
        *claims |= 1 << index;
        drop(claims);
        Ok(Publisher::new(Arc::clone(&self.rings), slots, index))
    }

    /// A handle on the ring that all share (lock-free publishing, clonable). Takes a lock; not for a hot path.
    pub fn shared_publisher(&self) -> SharedPublisher<T> {
        let claims = self.rings.claims();
        let slots = self.rings.activate(SHARED);
        drop(claims);
        SharedPublisher::new(Arc::clone(&self.rings), slots)
    }

    /// Whether an event waits that nobody consumed yet. Behind a `SeqCst` fence there is no false no; a false yes
    /// lasts as long as somebody else is consuming. Never blocks; two loads per ring in use.
    pub fn is_ready(&self) -> bool {
        self.rings.active().any(|(_, slots)| slots.is_ready())
    }

    /// Events waiting in all rings, approximately. Never blocks.
    pub fn depth(&self) -> u64 {
        self.rings.active().map(|(_, slots)| slots.depth() as u64).sum()
    }

    /// Slots of one ring.
    pub fn capacity(&self) -> usize {
        self.rings.capacity
    }
}

impl<T> fmt::Debug for Intake<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Intake").field("rings", &self.rings).finish()
    }
}

/// What the intake, its consumer and its publishers share.
struct Rings<T> {
    /// Allocated on first claim, see invariant 3.
    rings: [OnceLock<Arc<Slots<T>>>; RINGS],
    /// Which of them are allocated.
    active: AtomicU64,
    /// Which private rings have an owner, see invariant 1.
    claims: Mutex<u64>,
    capacity: usize,
    wake: Arc<Wake>,
}

impl<T> Rings<T> {
    /// The claims, locked. A thread that panicked while it held them (a failed allocation) left them as they were.
    fn claims(&self) -> impl std::ops::DerefMut<Target = u64> + '_ {
        self.claims.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The slots of ring `index`, allocated if need be. The caller holds the claims.
    fn activate(&self, index: usize) -> Arc<Slots<T>> {
        let slots = self.rings[index].get_or_init(|| Arc::new(Slots::new(self.capacity)));
        // Release: pairs with `active`; who sees the bit sees the slots.
        self.active.fetch_or(1 << index, Ordering::Release);
        Arc::clone(slots)
    }

    /// The rings in use and their indices, in order.
    fn active(&self) -> impl Iterator<Item = (u32, &Slots<T>)> {
        self.active_from(0)
    }

    /// The rings in use, in a circle that starts at index `first`.
    fn active_from(&self, first: u32) -> impl Iterator<Item = (u32, &Slots<T>)> {
        // Acquire: pairs with `activate`.
        let mut left = self.active.load(Ordering::Acquire).rotate_right(first);
        std::iter::from_fn(move || {
            if left == 0 {
                return None;
            }
            let index = (first + left.trailing_zeros()) % u64::BITS;
            left &= left - 1;
            let slots = self.rings[index as usize]
                .get()
                .expect("a ring is allocated before its bit is set");
            Some((index, &**slots))
        })
    }
}

impl<T> fmt::Debug for Rings<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_map().entries(self.active()).finish()
    }
}

/// The ring has no free slot; holds what was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full<T>(pub T);

impl<T> fmt::Display for Full<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("the ring has no free slot")
    }
}

impl<T: fmt::Debug> Error for Full<T> {}

/// All private rings are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublishersExhausted;

impl fmt::Display for PublishersExhausted {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "all {SHARED} private rings have an owner")
    }
}

impl Error for PublishersExhausted {}
