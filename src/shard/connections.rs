//! The connections of one shard: hot state in parallel arrays, cold state in a box.
//!
//! A visit of the sweep touches one entry of `flags`, `cursor` and `socket`; an idle legacy client costs 38 bytes
//! here and has no box at all. Slots are numbered; a slot freed inside an event batch is not reused for another
//! socket before the batch ends, because arrivals are admitted between batches only.
//!
//! A connection has one cursor for each lane it reads. The first is in its own slot; each further one has a *shadow*,
//! a slot without a socket that names its owner. What waits to be written, and whether the connection is a laggard,
//! is the owner's affair.

use super::Seat;
use super::inbound::Half;
use super::pieces::Pieces;
use crate::log::Segment;
use crate::session::{Command, Session};
use crate::sync::Arc;
use std::collections::VecDeque;
use std::ops::Range;
use uuid::Uuid;

/// Facts about a connection, in two bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Flags(u16);

impl Flags {
    /// Left the circle: waits for writability or catches up.
    pub(super) const LAGGARD: Self = Self(1);
    /// A close frame is sent or queued: nothing of the log goes out any more.
    pub(super) const CLOSING: Self = Self(2);
    /// In the list of sockets with more to read.
    pub(super) const AGAIN: Self = Self(4);
    /// Something of its own waits to be written before the log: remainder, control queue, list.
    pub(super) const OWN_OUTPUT: Self = Self(8);
    /// In the list of laggards whose socket became writable.
    pub(super) const RUNNABLE: Self = Self(16);
    /// Pinged since it was last heard.
    pub(super) const PINGED: Self = Self(32);
    /// Speaks v1.
    pub(super) const V1: Self = Self(64);
    /// Speaks to a mounted handler.
    pub(super) const CUSTOM: Self = Self(128);
    /// The peer sends nothing more: what is there is read to its end, for no further readiness will be told.
    pub(super) const ENDED: Self = Self(256);
    /// A further cursor of the connection in the slot of its owner.
    pub(super) const SHADOW: Self = Self(512);
    /// Counted among those with a subscription.
    pub(super) const SUBSCRIBED: Self = Self(1024);
    /// Has a snapshot under way that counts for the limit.
    pub(super) const SNAPSHOT: Self = Self(2048);
    /// Waits for its turn to be sent a snapshot.
    pub(super) const QUEUED: Self = Self(4096);
    /// A legacy client of the nested form.
    pub(super) const NESTED: Self = Self(8192);
    /// A legacy client of the hub's view.
    pub(super) const HUB: Self = Self(16_384);

    pub(super) const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
    pub(super) const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
    pub(super) fn set(&mut self, other: Self) {
        self.0 |= other.0;
    }
    pub(super) fn clear(&mut self, other: Self) {
        self.0 &= !other.0;
    }
}

/// The unsent tail of a half-written frame: it goes out before anything else.
#[derive(Debug, Default)]
pub(super) enum Remainder {
    /// Nothing.
    #[default]
    None,
    /// A short tail, copied, and how much of it is written.
    Bytes(Vec<u8>, usize),
    /// A long tail, in its segment.
    Segment(Arc<Segment>, Range<u32>),
}

/// What a connection needs beyond its array entries.
#[derive(Debug, Default)]
pub(super) struct Cold {
    pub(super) remainder: Remainder,
    /// Whole frames of our own: pongs, close, errors, acks.
    pub(super) control: Vec<u8>,
    /// Bytes of `control` that are already written.
    pub(super) control_written: usize,
    /// Gap notices and newest values that are due before the log goes on.
    pub(super) pieces: Option<Box<Pieces>>,
    /// A message that is half read.
    pub(super) half: Option<Box<Half>>,
    /// The v1 protocol state.
    pub(super) session: Option<Box<Session>>,
    /// What a client without a session was told that its connection is called.
    pub(super) told_id: Option<Uuid>,
    /// Subscription changes that take effect when the cursor reaches their position.
    pub(super) commands: VecDeque<(u64, Command)>,
    /// Slots of the further cursors.
    pub(super) shadows: Vec<u32>,
    /// Below this position of the v1 lane it catches up with what it missed before it came back.
    pub(super) resumed_below: u64,
    /// Gap notices that were queued for it.
    pub(super) gaps: u64,
    /// Events of state topics that gap notices named.
    pub(super) conflated: u64,
    /// Group bytes that were sent or skipped, on the group's scale: what is missing to its total is the lag.
    pub(super) sent_total: u64,
    /// When something was last written, microseconds.
    pub(super) progress_us: u64,
    /// When a closing connection is dropped, microseconds.
    pub(super) deadline_us: u64,
    /// Bytes read and thrown away while closing.
    pub(super) drained_bytes: usize,
    /// An ack is in the control queue that makes the client count as served.
    pub(super) is_ack_queued: bool,
    /// Its place in the count of its address; given back with the box.
    pub(super) seat: Option<Box<Seat>>,
    /// The client may publish.
    pub(super) may_publish: bool,
    /// The client counts as served.
    pub(super) is_served: bool,
}

impl Cold {
    /// Whether something goes out before the log.
    pub(super) fn has_output(&self) -> bool {
        !matches!(self.remainder, Remainder::None)
            || self.control_written < self.control.len()
            || self.pieces.is_some()
    }
}

/// No group, no place.
pub(super) const NONE: u32 = u32::MAX;

/// The number of a slot.
pub(super) fn number(k: usize) -> u32 {
    u32::try_from(k).expect("slots are numbered in 32 bits")
}

/// The arrays.
#[derive(Debug)]
pub(super) struct Connections<T> {
    pub(super) socket: Vec<Option<T>>,
    /// Index in the lane's log of the first frame that is not yet sent.
    pub(super) cursor: Vec<u64>,
    pub(super) group: Vec<u32>,
    /// Place in the group's circle, or in the list of laggards.
    pub(super) place: Vec<u32>,
    /// Second of the shard's clock at which the peer was last heard.
    pub(super) heard_s: Vec<u32>,
    /// Millisecond of the shard's clock at which it was admitted; of a shadow the slot of its owner.
    pub(super) born_ms: Vec<u32>,
    pub(super) flags: Vec<Flags>,
    pub(super) cold: Vec<Option<Box<Cold>>>,
    free: Vec<u32>,
    open: usize,
}

/// Slots that the arrays have room for from the start. What is not touched is not resident, and arrays that never move
/// leave no outgrown copies of themselves behind.
const ROOM: usize = 16_384;

impl<T> Default for Connections<T> {
    fn default() -> Self {
        Self {
            socket: Vec::with_capacity(ROOM),
            cursor: Vec::with_capacity(ROOM),
            group: Vec::with_capacity(ROOM),
            place: Vec::with_capacity(ROOM),
            heard_s: Vec::with_capacity(ROOM),
            born_ms: Vec::with_capacity(ROOM),
            flags: Vec::with_capacity(ROOM),
            cold: Vec::with_capacity(ROOM),
            free: Vec::new(),
            open: 0,
        }
    }
}

impl<T> Connections<T> {
    /// Puts a socket into a free slot.
    pub(super) fn insert(&mut self, socket: T, flags: Flags, born_ms: u32) -> usize {
        self.open += 1;
        let k = self.slot();
        self.socket[k] = Some(socket);
        self.flags[k] = flags;
        self.heard_s[k] = born_ms / 1_000;
        self.born_ms[k] = born_ms;
        k
    }

    /// A free slot, as it is when it is free.
    fn slot(&mut self) -> usize {
        if let Some(slot) = self.free.pop() {
            return slot as usize;
        }
        let k = self.socket.len();
        self.socket.push(None);
        self.cursor.push(0);
        self.group.push(NONE);
        self.place.push(NONE);
        self.heard_s.push(0);
        self.born_ms.push(0);
        self.flags.push(Flags::default());
        self.cold.push(None);
        k
    }

    /// Gives a connection a further cursor, which stands in no group.
    pub(super) fn insert_shadow(&mut self, owner: usize) -> usize {
        let s = self.slot();
        self.born_ms[s] = number(owner);
        self.flags[s] = Flags::SHADOW;
        if self.flags[owner].has(Flags::LAGGARD) {
            self.flags[s].set(Flags::LAGGARD);
        }
        self.cold(owner).shadows.push(number(s));
        s
    }

    /// Frees the slot of a further cursor; the caller has taken it out of its group.
    pub(super) fn remove_shadow(&mut self, s: usize) {
        let owner = self.owner(s);
        if let Some(cold) = self.cold[owner].as_deref_mut() {
            cold.shadows.retain(|&shadow| shadow != number(s));
        }
        self.release(s);
    }

    /// Frees a slot and gives the socket back; the caller has taken it out of its groups, and its shadows away.
    pub(super) fn remove(&mut self, k: usize) -> Option<T> {
        let socket = self.socket[k].take()?;
        self.open -= 1;
        self.release(k);
        Some(socket)
    }

    fn release(&mut self, k: usize) {
        self.cold[k] = None;
        self.group[k] = NONE;
        self.place[k] = NONE;
        self.flags[k] = Flags::default();
        self.free.push(number(k));
    }

    /// The connection that a slot belongs to.
    pub(super) fn owner(&self, k: usize) -> usize {
        if self.flags[k].has(Flags::SHADOW) { self.born_ms[k] as usize } else { k }
    }

    /// The `nth` slot of a connection: its own, then its shadows.
    pub(super) fn slot_of(&self, owner: usize, nth: usize) -> Option<usize> {
        match nth {
            0 => Some(owner),
            _ => self.cold[owner].as_deref()?.shadows.get(nth - 1).map(|&shadow| shadow as usize),
        }
    }

    /// The cold state, made when it is first needed.
    pub(super) fn cold(&mut self, k: usize) -> &mut Cold {
        self.cold[k].get_or_insert_default()
    }

    /// Whether the slot holds a connection.
    pub(super) fn is_open(&self, k: usize) -> bool {
        self.socket.get(k).is_some_and(Option::is_some)
    }

    /// Open connections.
    pub(super) fn open(&self) -> usize {
        self.open
    }

    /// Slots, free ones included.
    pub(super) fn slots(&self) -> usize {
        self.socket.len()
    }
}
