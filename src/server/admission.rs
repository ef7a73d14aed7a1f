//! Caps on what the front door does at a time.
//!
//! Invariants: an [`Entry`] stands for one connection in the HTTP phase and a permit for one request head in
//! progress; both are given back when dropped. Everything here lives on the edge thread.

use super::{Options, Place, Refusal};
use crate::shard::{Seat, Seats};

use std::cell::Cell;
use std::fmt;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// The caps and what is taken of them.
pub(super) struct Admission {
    place: Arc<dyn Place>,
    connections_max: usize,
    http_connections_max: usize,
    heads_in_progress_max: usize,
    room_timeout: Duration,
    http_connections: Cell<usize>,
    /// Since when the HTTP phase is full, if it is.
    full_since: Cell<Option<Instant>>,
    seats: Arc<Seats>,
    heads: Arc<Semaphore>,
    /// Connections whose request has begun to arrive and that wait for a permit.
    waiting: Cell<usize>,
    /// Told when `waiting` falls below its limit, and when a full HTTP phase has room again.
    eased: Notify,
}

/// What a listener allows.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Caps {
    /// Connections beyond the general caps.
    pub(super) reserved: usize,
    /// Connections of one address, if limited here.
    pub(super) address_connections_max: Option<usize>,
}

/// One connection in the HTTP phase.
pub(super) struct Entry {
    admission: Rc<Admission>,
    /// Goes on with the socket to its shard.
    pub(super) seat: Option<Box<Seat>>,
}

impl Admission {
    pub(super) fn new(place: Arc<dyn Place>, options: &Options) -> Rc<Self> {
        Rc::new(Self {
            place,
            connections_max: options.connections_max,
            http_connections_max: options.http_connections_max,
            heads_in_progress_max: options.heads_in_progress_max,
            room_timeout: options.room_timeout,
            http_connections: Cell::new(0),
            full_since: Cell::new(None),
            seats: Seats::new(),
            heads: Arc::new(Semaphore::new(
                options.heads_in_progress_max.min(Semaphore::MAX_PERMITS),
            )),
            waiting: Cell::new(0),
            eased: Notify::new(),
        })
    }

    /// Lets a connection of `address` in, as far as its listener allows.
    pub(super) fn enter(self: &Rc<Self>, address: IpAddr, caps: Caps) -> Result<Entry, Refusal> {
        let http_connections = self.http_connections.get();
        let connections = self.place.open().saturating_add(http_connections);
        if connections >= self.connections_max.saturating_add(caps.reserved) {
            return Err(Refusal::Full);
        }
        if http_connections >= self.http_connections_max.saturating_add(caps.reserved) {
            return Err(Refusal::Busy);
        }
        let seat = match caps.address_connections_max {
            None => None,
            Some(max) => Some(Box::new(self.seats.take(address, max).ok_or(Refusal::Address)?)),
        };
        self.http_connections.set(http_connections + 1);
        if http_connections + 1 == self.http_connections_max {
            self.full_since.set(Some(Instant::now()));
        }
        Ok(Entry { admission: Rc::clone(self), seat })
    }

    /// Waits for one of the places for request heads; first come, first served. Dropping the future loses nothing.
    pub(super) async fn head_permit(&self) -> OwnedSemaphorePermit {
        if let Ok(permit) = Arc::clone(&self.heads).try_acquire_owned() {
            return permit;
        }
        let _waiting = Waiting::new(self);
        Arc::clone(&self.heads).acquire_owned().await.expect("the semaphore is never closed")
    }

    /// Returns when it is time to accept. While as many connections wait for a permit as there are permits, and for
    /// a moment while the HTTP phase is full, the others are better off in the backlog: there they cost this
    /// process nothing.
    pub(super) async fn ease(&self) {
        loop {
            let eased = self.eased.notified();
            if self.waiting.get() >= self.heads_in_progress_max {
                eased.await;
                continue;
            }
            let Some(since) = self.full_since.get() else {
                return;
            };
            if tokio::time::timeout_at(since + self.room_timeout, eased).await.is_err() {
                return;
            }
        }
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("seat", &self.seat).finish_non_exhaustive()
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let http_connections = &self.admission.http_connections;
        http_connections.set(http_connections.get() - 1);
        if self.admission.full_since.take().is_some() {
            self.admission.eased.notify_waiters();
        }
    }
}

/// One connection that waits for a permit.
struct Waiting<'a>(&'a Admission);

impl<'a> Waiting<'a> {
    fn new(admission: &'a Admission) -> Self {
        admission.waiting.set(admission.waiting.get() + 1);
        Self(admission)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let waiting = self.0.waiting.get() - 1;
        self.0.waiting.set(waiting);
        if waiting < self.0.heads_in_progress_max {
            self.0.eased.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::Arrival;
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};

    /// So many connections on shards.
    struct Shards(usize);

    impl Place for Shards {
        fn place(&self, arrival: Arrival) -> Result<(), Arrival> {
            Err(arrival)
        }
        fn nudge(&self) {}
        fn open(&self) -> usize {
            self.0
        }
    }

    const ONE_OF_EACH: Caps = Caps { reserved: 0, address_connections_max: Some(1) };
    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn admission(open: usize, options: &Options) -> Rc<Admission> {
        Admission::new(Arc::new(Shards(open)), options)
    }

    #[test]
    fn the_http_phase_is_full_at_its_limit() {
        let admission = admission(0, &Options { http_connections_max: 2, ..Options::default() });
        let first = admission.enter(HERE, Caps::default()).expect("limit - 1");
        let _second = admission.enter(HERE, Caps::default()).expect("limit");
        assert_eq!(admission.enter(HERE, Caps::default()).err(), Some(Refusal::Busy));
        drop(first);
        assert!(admission.enter(HERE, Caps::default()).is_ok());
    }

    #[test]
    fn connections_on_shards_count_towards_the_whole() {
        let options = Options { connections_max: 5, ..Options::default() };
        for (open, expected) in
            [(3, None), (4, None), (5, Some(Refusal::Full)), (6, Some(Refusal::Full))]
        {
            assert_eq!(
                admission(open, &options).enter(HERE, Caps::default()).err(),
                expected,
                "{open} open"
            );
        }
        let admission = admission(4, &options);
        let _fifth = admission.enter(HERE, Caps::default()).expect("limit");
        assert_eq!(admission.enter(HERE, Caps::default()).err(), Some(Refusal::Full));
    }

    #[test]
    fn reserved_places_are_there_when_the_others_are_taken() {
        let options = Options { connections_max: 5, ..Options::default() };
        let caps = Caps { reserved: 2, address_connections_max: None };
        for (open, expected) in [(5, None), (6, None), (7, Some(Refusal::Full))] {
            assert_eq!(admission(open, &options).enter(HERE, caps).err(), expected, "{open} open");
        }
    }

    #[test]
    fn a_refused_address_takes_no_place() {
        let admission = admission(0, &Options::default());
        let _entry = admission.enter(HERE, ONE_OF_EACH).expect("limit");
        assert_eq!(admission.enter(HERE, ONE_OF_EACH).err(), Some(Refusal::Address));
        assert_eq!(admission.http_connections.get(), 1);
    }

    #[test]
    fn accepting_waits_while_as_many_wait_as_there_are_places() {
        let admission = admission(0, &Options { heads_in_progress_max: 2, ..Options::default() });
        let mut context = Context::from_waker(Waker::noop());
        let (one, two) = (admission.clone(), admission.clone());
        let permits: Vec<_> = [pin!(one.head_permit()), pin!(two.head_permit())]
            .into_iter()
            .map(|permit| permit.poll(&mut context))
            .collect();
        assert!(permits.iter().all(std::task::Poll::is_ready));
        let mut third = Box::pin(admission.head_permit());
        assert!(third.as_mut().poll(&mut context).is_pending());
        assert!(pin!(admission.ease()).poll(&mut context).is_ready());
        let mut fourth = Box::pin(admission.head_permit());
        assert!(fourth.as_mut().poll(&mut context).is_pending());
        let mut ease = pin!(admission.ease());
        assert!(ease.as_mut().poll(&mut context).is_pending());
        drop(permits);
        assert!(third.as_mut().poll(&mut context).is_ready());
        assert!(ease.as_mut().poll(&mut context).is_ready());
        assert!(fourth.as_mut().poll(&mut context).is_ready());
    }
}
