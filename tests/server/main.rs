//! The whole engine through real sockets: what clients, publishers and operators are promised.
//!
//! Method: engines in this process on port 0, clients that speak bytes over blocking sockets, and the built binary
//! where the process itself is tested. Nothing waits for time to pass, only for what can be seen, with a deadline.

#[path = "../support/binance.rs"]
mod binance;
mod client;
mod closes;
mod connections;
mod cycle_press;
mod cycle_proof;
mod cycles;
mod desk;
mod drain;
mod fallback;
mod fallback_client;
mod fallback_curl;
mod fallback_limits;
mod fallback_slow;
mod faults;
#[path = "../support/hostile.rs"]
mod faulty_lines;
mod feeds;
mod feeds_hostile;
mod full_ring;
mod legacy;
mod legacy_views;
mod liveness;
mod order;
mod process;
mod publish;
mod replay;
mod replay_own;
mod slow;
mod slow_reasons;
mod support;
mod v1;
mod v1_heartbeat;
mod v1_join;
mod v1_latest;
mod v1_limits;
mod v1_storm;
