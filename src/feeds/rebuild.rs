//! An order book made of a snapshot and the changes after it, as Binance sends them.
//!
//! Changes that come before the snapshot are held back. A snapshot is the state after the change with its id: held
//! changes up to that id are dropped, the first one after it must reach back to it, and from there each change must
//! follow the one before it: on spot markets its first id is the last id before it plus one, on futures it names that
//! last id itself (`pu`). A change that does not follow is a gap, and so is a sequence that runs backwards (except a
//! change that merely comes twice): the levels stay as they were, marked as not synchronised, and changes are held
//! back until the next snapshot.
//!
//! A malformed change never gets here, so the next one finds the gap that it left. Memory is bounded by the limits in
//! [`Limits`]. A change of one level costs a search in a tree of the side's prices.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use rust_decimal::Decimal;

use super::counts::Counts;
use crate::event::{BOOK_LEVELS, Book};

/// Prices, and the quantity at each: zero removes the price.
pub(super) type Levels = Vec<(Decimal, Decimal)>;

/// How much memory a book may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Levels of all changes that are held back; the oldest changes make room.
    pub(super) held_levels_max: usize,
    /// Levels of one side; those furthest from the best make room.
    pub(super) side_levels_max: usize,
}

/// Changes of a book.
#[derive(Debug, Clone)]
pub(super) struct Diff {
    /// Id of the first change in it.
    pub(super) first: u64,
    /// Id of the last change in it.
    pub(super) last: u64,
    /// Id of the last change before it, where the market says so (futures).
    pub(super) previous: Option<u64>,
    pub(super) bids: Levels,
    pub(super) asks: Levels,
}

/// A whole book.
#[derive(Debug)]
pub(super) struct Snapshot {
    /// Id of the last change in it.
    pub(super) last: u64,
    pub(super) bids: Levels,
    pub(super) asks: Levels,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing is known before the first snapshot.
    Unknown,
    /// The newest that went in is the snapshot: the first change may overlap with it.
    Fresh,
    /// The newest that went in is a change.
    Following,
    /// A change is missing.
    Lost,
}

/// A book under construction.
#[derive(Debug)]
pub(super) struct Rebuild {
    symbol: Arc<str>,
    limits: Limits,
    state: State,
    /// Id of the newest change in the book.
    last: u64,
    bids: BTreeMap<Decimal, Decimal>,
    asks: BTreeMap<Decimal, Decimal>,
    held: VecDeque<Diff>,
    held_levels: usize,
    /// What was published last.
    published: Option<Book>,
}

impl Rebuild {
    pub(super) fn new(symbol: Arc<str>, limits: Limits) -> Self {
        Self {
            symbol,
            limits,
            state: State::Unknown,
            last: 0,
            bids: BTreeMap::new(),
            asks: BTreeMap::new(),
            held: VecDeque::new(),
            held_levels: 0,
            published: None,
        }
    }

    /// Takes changes; the top of the book, if they changed it or lost the book.
    pub(super) fn change(&mut self, diff: Diff, counts: &Counts) -> Option<Book> {
        if !self.is_synchronised() {
            self.hold(diff, counts);
            return None;
        }
        if diff.last == self.last {
            counts.diffs_dropped.inc();
            return None;
        }
        if self.follows(&diff) {
            self.apply(&diff, counts);
        } else {
            self.lose(counts);
            self.hold(diff, counts);
        }
        self.news()
    }

    /// Takes a whole book; its top, if that is new. One that is older than the book, when that lacks nothing, is of
    /// no use.
    pub(super) fn restart(&mut self, snapshot: &Snapshot, counts: &Counts) -> Option<Book> {
        if self.is_synchronised() && snapshot.last <= self.last {
            return None;
        }
        let was_lost = self.state == State::Lost;
        self.state = State::Fresh;
        self.last = snapshot.last;
        (self.bids, self.asks) = (BTreeMap::new(), BTreeMap::new());
        set(&mut self.bids, &snapshot.bids);
        set(&mut self.asks, &snapshot.asks);
        self.cut(counts);
        while let Some(diff) = self.held.front() {
            if diff.last <= self.last {
                counts.diffs_dropped.inc();
                self.release();
            } else if self.follows(diff) {
                if let Some(diff) = self.release() {
                    self.apply(&diff, counts);
                }
            } else {
                self.lose(counts);
                return self.news();
            }
        }
        if was_lost {
            counts.resyncs.inc();
        }
        self.news()
    }

    fn is_synchronised(&self) -> bool {
        matches!(self.state, State::Fresh | State::Following)
    }

    /// Whether nothing is missing between the book and these changes.
    fn follows(&self, diff: &Diff) -> bool {
        let is_forward = diff.first <= diff.last && self.last < diff.last;
        is_forward
            && match (self.state, diff.previous) {
                (State::Fresh, Some(previous)) => previous <= self.last,
                (State::Fresh, None) => diff.first <= self.last.saturating_add(1),
                (_, Some(previous)) => previous == self.last,
                (_, None) => Some(diff.first) == self.last.checked_add(1),
            }
    }

    fn apply(&mut self, diff: &Diff, counts: &Counts) {
        set(&mut self.bids, &diff.bids);
        set(&mut self.asks, &diff.asks);
        self.cut(counts);
        self.last = diff.last;
        self.state = State::Following;
        counts.diffs_applied.inc();
    }

    fn lose(&mut self, counts: &Counts) {
        self.state = State::Lost;
        counts.gaps.inc();
    }

    fn hold(&mut self, diff: Diff, counts: &Counts) {
        self.held_levels += weight(&diff);
        self.held.push_back(diff);
        while self.held_levels > self.limits.held_levels_max && self.release().is_some() {
            counts.diffs_lost.inc();
        }
    }

    /// Takes the oldest of the changes that are held back.
    fn release(&mut self) -> Option<Diff> {
        let diff = self.held.pop_front()?;
        self.held_levels -= weight(&diff);
        Some(diff)
    }

    fn cut(&mut self, counts: &Counts) {
        let limit = self.limits.side_levels_max;
        while self.bids.len() > limit && self.bids.pop_first().is_some() {
            counts.levels_cut.inc();
        }
        while self.asks.len() > limit && self.asks.pop_last().is_some() {
            counts.levels_cut.inc();
        }
    }

    /// The top of the book, if it is not what was published last.
    fn news(&mut self) -> Option<Book> {
        let is_synchronised = self.is_synchronised();
        let bids = self.bids.iter().rev().take(BOOK_LEVELS);
        let asks = self.asks.iter().take(BOOK_LEVELS);
        if let Some(old) = &self.published {
            let is_same = old.is_synchronised == is_synchronised
                && bids.clone().eq(old.bids.iter().map(|(price, quantity)| (price, quantity)))
                && asks.clone().eq(old.asks.iter().map(|(price, quantity)| (price, quantity)));
            if is_same {
                return None;
            }
        }
        let pair = |(price, quantity): (&Decimal, &Decimal)| (*price, *quantity);
        let book = Book {
            symbol: Arc::clone(&self.symbol),
            is_synchronised,
            bids: bids.map(pair).collect(),
            asks: asks.map(pair).collect(),
        };
        self.published = Some(book.clone());
        Some(book)
    }
}

/// What changes weigh while they are held back: a change without levels is not free.
fn weight(diff: &Diff) -> usize {
    diff.bids.len() + diff.asks.len() + 1
}

fn set(side: &mut BTreeMap<Decimal, Decimal>, levels: &Levels) {
    for (price, quantity) in levels {
        if quantity.is_zero() {
            side.remove(price);
        } else {
            side.insert(*price, *quantity);
        }
    }
}

#[cfg(test)]
#[path = "rebuild_tests.rs"]
mod tests;
