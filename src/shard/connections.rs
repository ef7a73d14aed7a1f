//! The connections of one shard: hot state in parallel arrays, cold state in a box.
//!
//! A visit of the sweep touches one entry of `flags`, `cursor` and `socket`; an idle legacy client costs 34 bytes
//! here and has no box at all. Slots are numbered; a slot freed inside an event batch is not reused before the
//! batch ends, because arrivals are admitted between batches only.

use super::Seat;
use super::inbound::Half;
use super::pieces::Pieces;
use crate::log::Segment;
use crate::session::{Command, Session};
use crate::sync::Arc;
use std::collections::VecDeque;
use std::ops::Range;

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
    /// Subscription changes that take effect when the cursor reaches their position.
    pub(super) commands: VecDeque<(u64, Command)>,
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
    pub(super) flags: Vec<Flags>,
    pub(super) cold: Vec<Option<Box<Cold>>>,
    free: Vec<u32>,
    open: usize,
}

impl<T> Default for Connections<T> {
    fn default() -> Self {
        Self {
            socket: Vec::new(),
            cursor: Vec::new(),
            group: Vec::new(),
            place: Vec::new(),
            heard_s: Vec::new(),
            flags: Vec::new(),
            cold: Vec::new(),
            free: Vec::new(),
            open: 0,
        }
    }
}

impl<T> Connections<T> {
    /// Puts a socket into a free slot.
    pub(super) fn insert(&mut self, socket: T, flags: Flags, heard_s: u32) -> usize {
        self.open += 1;
        if let Some(slot) = self.free.pop() {
            let k = slot as usize;
            self.socket[k] = Some(socket);
            self.flags[k] = flags;
            self.heard_s[k] = heard_s;
            return k;
        }
        self.socket.push(Some(socket));
        self.cursor.push(0);
        self.group.push(NONE);
        self.place.push(NONE);
        self.heard_s.push(heard_s);
        self.flags.push(flags);
        self.cold.push(None);
        self.socket.len() - 1
    }

    /// Frees a slot and gives the socket back; the caller has taken it out of its group.
    pub(super) fn remove(&mut self, k: usize) -> Option<T> {
        let socket = self.socket[k].take()?;
        self.open -= 1;
        self.cold[k] = None;
        self.group[k] = NONE;
        self.place[k] = NONE;
        self.flags[k] = Flags::default();
        self.free.push(u32::try_from(k).expect("slots are numbered in 32 bits"));
        Some(socket)
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
