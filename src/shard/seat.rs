//! Connections per address: the count that `connections_per_address_max` limits.
//!
//! Never: on the data path. One lock when a connection of a limited listener opens, one when it closes.
//! Invariant: an address has as many seats taken as [`Seat`]s of it are alive; one without is not in the table.

use crate::sync::{Arc, Mutex};

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{MutexGuard, PoisonError};

/// How many connections each address holds.
#[derive(Debug, Default)]
pub struct Seats {
    taken: Mutex<HashMap<IpAddr, usize>>,
}

/// One connection's place in the count of its address, given back when dropped, on whatever thread.
#[derive(Debug)]
pub struct Seat {
    seats: Arc<Seats>,
    address: IpAddr,
}

impl Seats {
    /// An empty table.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Takes a seat for `address`, unless `max` are taken. An IPv6 address counts as its /64: a household or a
    /// single rented machine has all addresses of one.
    pub fn take(self: &Arc<Self>, address: IpAddr, max: usize) -> Option<Seat> {
        let address = subscriber(address);
        let mut taken = self.lock();
        let count = taken.get(&address).copied().unwrap_or(0);
        if count >= max {
            return None;
        }
        taken.insert(address, count + 1);
        Some(Seat { seats: Arc::clone(self), address })
    }

    /// The table is whole between any two statements, so a panic elsewhere leaves nothing to repair.
    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.lock();
        if let Some(count) = taken.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.address);
            }
        }
    }
}

/// What counts as one client.
fn subscriber(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn seats_are_limited_per_address_and_come_back() {
        let seats = Seats::new();
        let first = seats.take(ip("10.0.0.1"), 2).expect("first of two");
        let _second = seats.take(ip("10.0.0.1"), 2).expect("second of two");
        assert!(seats.take(ip("10.0.0.1"), 2).is_none());
        assert!(seats.take(ip("10.0.0.2"), 2).is_some());
        drop(first);
        assert!(seats.take(ip("10.0.0.1"), 2).is_some());
    }

    #[test]
    fn an_ipv6_network_of_64_bits_is_one_client() {
        let seats = Seats::new();
        let _seat = seats.take(ip("2001:db8:0:1::1"), 1).expect("first");
        assert!(seats.take(ip("2001:db8:0:1:ffff::9"), 1).is_none());
        assert!(seats.take(ip("2001:db8:0:2::1"), 1).is_some());
        let _mapped = seats.take(ip("::ffff:10.0.0.1"), 1).expect("first");
        assert!(seats.take(ip("10.0.0.1"), 1).is_none());
    }

    #[test]
    fn an_address_without_connections_leaves_the_table() {
        let seats = Seats::new();
        drop(seats.take(ip("10.0.0.1"), 1));
        assert!(seats.lock().is_empty());
    }
}
