//! Finished sockets on their way from the front door to a shard, and inquiries of operators on theirs.

use super::{Inquiry, Seat};
use crate::event::Pattern;
use crate::sync::{Flag, Gauge};
use crate::wake::Wake;
use bytes::Bytes;
use crossbeam::queue::ArrayQueue;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

/// Sockets that may wait for one shard.
const INBOX_ARRIVALS_MAX: usize = 4_096;
/// Inquiries that may wait for one shard.
const INBOX_INQUIRIES_MAX: usize = 16;

/// What a connection speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A legacy view: read only, but for what the hub's clients may ask.
    Legacy(LegacyView),
    /// The v1 protocol.
    V1,
    /// The handler an embedding program mounted (`examples/echo.rs`).
    Custom,
}

/// What of the legacy messages a client gets, and in which form.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LegacyView {
    /// Which view.
    pub kind: LegacyKind,
    /// The topics; none: all of the view.
    pub patterns: Option<Box<[Pattern]>>,
}

/// The legacy views.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LegacyKind {
    /// The firehose: prices and agents.
    #[default]
    Firehose,
    /// The firehose with `{"market":{…}}` in place of `{"type":"market",…}`.
    Nested,
    /// The hub's status; answers two actions.
    Hub,
    /// The ledger's updates, behind a welcome.
    Chain,
}

/// An upgraded connection.
#[derive(Debug)]
pub struct Arrival<T = TcpStream> {
    /// The socket: non-blocking, out of the edge runtime.
    pub stream: T,
    /// Bytes the client sent behind its request.
    pub early: Bytes,
    /// Who it is.
    pub peer: SocketAddr,
    /// What it speaks.
    pub endpoint: Endpoint,
    /// Its place in the count of its address, where that is limited: kept until the connection ends.
    pub seat: Option<Box<Seat>>,
}

/// One shard's inbox.
#[derive(Debug)]
pub(super) struct Inbox<T> {
    pub(super) arrivals: ArrayQueue<Arrival<T>>,
    pub(super) inquiries: ArrayQueue<Inquiry>,
    /// Connections of the shard, those in the inbox included.
    pub(super) open: Gauge,
    has_news: Flag,
}

impl<T> Inbox<T> {
    fn new() -> Self {
        Self {
            arrivals: ArrayQueue::new(INBOX_ARRIVALS_MAX),
            inquiries: ArrayQueue::new(INBOX_INQUIRIES_MAX),
            open: Gauge::new(),
            has_news: Flag::new(),
        }
    }
}

/// The inboxes of all shards, shared by the front door and the shards.
#[derive(Debug)]
pub struct Dispatch<T = TcpStream> {
    inboxes: Vec<Arc<Inbox<T>>>,
    wake: Arc<Wake>,
}

impl<T> Dispatch<T> {
    /// Inboxes for `shards` shards.
    pub fn new(shards: usize, wake: Arc<Wake>) -> Self {
        Self { inboxes: (0..shards).map(|_| Arc::new(Inbox::new())).collect(), wake }
    }

    /// Puts the connection into the inbox of the shard with the fewest connections; does not wake it.
    ///
    /// # Errors
    /// The arrival, when that inbox is full.
    pub fn place(&self, arrival: Arrival<T>) -> Result<(), Arrival<T>> {
        let Some(inbox) = self.inboxes.iter().min_by_key(|inbox| inbox.open.value()) else {
            return Err(arrival);
        };
        inbox.open.add(1);
        inbox.arrivals.push(arrival).inspect_err(|_| inbox.open.subtract(1))?;
        inbox.has_news.raise();
        Ok(())
    }

    /// Wakes the shards whose inbox got something since the last call: once per pass of the edge.
    pub fn nudge(&self) {
        for (shard, inbox) in self.inboxes.iter().enumerate() {
            if inbox.has_news.is_raised() {
                inbox.has_news.lower();
                self.wake.nudge(shard);
            }
        }
    }

    /// Asks a shard, and wakes it.
    ///
    /// # Errors
    /// The inquiry, when too many wait there.
    ///
    /// # Panics
    /// When there is no such shard.
    pub fn ask(&self, shard: usize, inquiry: Inquiry) -> Result<(), Inquiry> {
        self.inboxes[shard].inquiries.push(inquiry)?;
        self.wake.nudge(shard);
        Ok(())
    }

    /// How many shards there are.
    pub fn shards(&self) -> usize {
        self.inboxes.len()
    }

    /// Connections open or waiting in an inbox.
    pub fn open(&self) -> usize {
        self.inboxes
            .iter()
            .map(|inbox| usize::try_from(inbox.open.value()).unwrap_or(usize::MAX))
            .sum()
    }

    /// The inbox of `shard`.
    pub(super) fn inbox(&self, shard: usize) -> Arc<Inbox<T>> {
        self.inboxes[shard].clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::Sort;

    fn arrival() -> Arrival<()> {
        Arrival {
            stream: (),
            early: Bytes::new(),
            peer: ([127, 0, 0, 1], 1).into(),
            endpoint: Endpoint::V1,
            seat: None,
        }
    }

    fn open(dispatch: &Dispatch<()>) -> Vec<u64> {
        dispatch.inboxes.iter().map(|inbox| inbox.open.value()).collect()
    }

    #[test]
    fn an_arrival_goes_to_the_shard_with_the_fewest_connections() {
        let dispatch = Dispatch::new(3, Arc::new(Wake::new(3)));
        for (shard, connections) in [2, 0, 1].into_iter().enumerate() {
            dispatch.inboxes[shard].open.add(connections);
        }
        for expected in [[2, 1, 1], [2, 2, 1], [2, 2, 2], [3, 2, 2]] {
            dispatch.place(arrival()).expect("there is room");
            assert_eq!(open(&dispatch), expected);
        }
        let waiting: Vec<_> = dispatch.inboxes.iter().map(|inbox| inbox.arrivals.len()).collect();
        assert_eq!(waiting, [1, 2, 1]);
        dispatch.inboxes[1].open.subtract(1);
        dispatch.place(arrival()).expect("there is room");
        assert_eq!(open(&dispatch), [3, 2, 2], "whose connection ended is next");
    }

    #[test]
    fn sixteen_inquiries_wait_for_a_shard_and_one_more_comes_back() {
        let dispatch: Dispatch<()> = Dispatch::new(2, Arc::new(Wake::new(2)));
        let inquiry = || Inquiry::List { sort: Sort::Lag, count_max: 1, reply: Box::new(drop) };
        for n in 1..=INBOX_INQUIRIES_MAX + 1 {
            let is_taken = dispatch.ask(1, inquiry()).is_ok();
            assert_eq!(is_taken, n <= INBOX_INQUIRIES_MAX, "{n}");
        }
        assert!(dispatch.ask(0, inquiry()).is_ok(), "each shard has its own");
        dispatch.inboxes[1].inquiries.pop().expect("it is full");
        assert!(dispatch.ask(1, inquiry()).is_ok());
    }

    #[test]
    fn asking_wakes_the_shard_that_is_asked_if_it_sleeps() {
        let wake = Arc::new(Wake::new(2));
        let dispatch: Dispatch<()> = Dispatch::new(2, wake.clone());
        for shard in 0..2 {
            wake.register(shard, || ());
            wake.park(shard);
        }
        let inquiry = || Inquiry::List { sort: Sort::Lag, count_max: 1, reply: Box::new(drop) };
        for (shard, wakes) in [(1, 1), (1, 1), (0, 2)] {
            assert!(dispatch.ask(shard, inquiry()).is_ok());
            assert_eq!(wake.wakes(), wakes, "shard {shard}");
        }
    }

    #[test]
    fn a_full_inbox_gives_the_arrival_back_and_does_not_count_it() {
        let dispatch = Dispatch::new(1, Arc::new(Wake::new(1)));
        for _ in 0..INBOX_ARRIVALS_MAX {
            dispatch.place(arrival()).expect("up to the limit there is room");
        }
        assert!(dispatch.place(arrival()).is_err());
        assert_eq!(dispatch.open(), INBOX_ARRIVALS_MAX);
        dispatch.inboxes[0].arrivals.pop().expect("it is full");
        dispatch.inboxes[0].open.subtract(1);
        dispatch.place(arrival()).expect("one left");
        assert!(dispatch.place(arrival()).is_err());
    }
}
