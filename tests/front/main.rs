//! The front door through real sockets: raw bytes in, statuses and arrivals out. Shards are played by a list.

mod limits;
mod statuses;
mod stop;
mod support;
mod upgrades;
