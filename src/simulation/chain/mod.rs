//! A ledger network to watch: trades and a synthetic load become transactions, and validators commit them.
//!
//! ```text
//! Options ─► Chain (pure: time and trades in, events out) ─► Live (last values: HTTP, clients that connect, metrics)
//!            ├ load        how many transactions come, slot by slot
//!            ├ nodes       machines that fail, are repaired and start again
//!            ├ validators  who votes and seals blocks; jailed when they miss too much
//!            └ ledger      mempool, slots, commits: where every transaction is
//! ```
//!
//! No figure is drawn: each is read off the state of these four. The same seed, times and trades give the same events,
//! byte for byte: integers only, random numbers of its own, no clock. It is no blockchain: nothing is signed, hashed or
//! sent, and transactions are counted per batch.
//!
//! It costs 200 slots of some nanoseconds each per second, worked off when an update is due.

mod ledger;
mod live;
mod load;
mod metrics;
mod nodes;
mod stepper;
mod validators;

pub use live::Live;
pub use stepper::Chain;

use std::time::Duration;

/// Path of the older clients' stream.
pub const STREAM_PATH: &str = "/api/v11/live/stream";

/// What the network is and how often it is told of.
///
/// With the defaults the rate stays from 776,000 to 826,000 transactions per second and the latency from 40 to 60 ms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Where the random numbers start; the same seed gives the same events (default 42).
    pub seed: u64,
    /// Time between two updates of the rate (default 1 s; 100 ms to 60 s, as are the next three).
    pub tps_interval: Duration,
    /// Time between two blocks (default 2 s).
    pub block_interval: Duration,
    /// Time between two updates of the nodes (default 3 s).
    pub network_interval: Duration,
    /// Time between two updates of the validators (default 5 s).
    pub validator_interval: Duration,
    /// Mean of the synthetic load, in transactions per second (default 801,000).
    pub load_tps: u32,
    /// How far the load walks away from its mean, in transactions per second (default 17,000; at most the mean).
    pub load_spread_tps: u32,
    /// Transactions per second that the rules of the network let into its slots (default 822,000).
    pub tps_max: u32,
    /// Transactions per second that one node can carry (default 16,500); the network carries the sum over those that
    /// serve.
    pub node_tps_max: u32,
    /// All nodes (default 100; at most 1,000).
    pub nodes: u32,
    /// Nodes that should serve (default 64; at most all).
    pub nodes_wanted: u32,
    /// Seconds of a thousand in which a node that serves fails (default 3).
    pub node_failure_permille: u32,
    /// Seconds of a thousand in which a region has an outage (default 3).
    pub outage_permille: u32,
    /// Nodes that an outage takes at most (default 6); the next one is a minute away at least.
    pub outage_nodes_max: u32,
    /// All validators (default 100; at most 1,000).
    pub validators: u32,
    /// Seconds of a thousand in which a validator without a node moves to another one (default 50).
    pub validator_move_permille: u32,
    /// Seconds in a row that a validator may miss its votes; then it is jailed (default 40).
    pub missed_rounds_max: u32,
    /// Seconds for which it then is (default 60).
    pub jail_rounds: u32,
    /// Transactions that wait at most; further batches are rejected (default 4,000,000).
    pub mempool_transactions_max: u64,
    /// Batches that wait at most; further ones are rejected (default 65,536).
    pub mempool_batches_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            seed: 42,
            tps_interval: Duration::from_secs(1),
            block_interval: Duration::from_secs(2),
            network_interval: Duration::from_secs(3),
            validator_interval: Duration::from_secs(5),
            load_tps: 801_000,
            load_spread_tps: 17_000,
            tps_max: 822_000,
            node_tps_max: 16_500,
            nodes: 100,
            nodes_wanted: 64,
            node_failure_permille: 3,
            outage_permille: 3,
            outage_nodes_max: 6,
            validators: 100,
            validator_move_permille: 50,
            missed_rounds_max: 40,
            jail_rounds: 60,
            mempool_transactions_max: 4_000_000,
            mempool_batches_max: 65_536,
        }
    }
}
