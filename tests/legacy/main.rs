//! The views of older clients, proven from outside: firehose, hub and ledger, each message at its moment.
//!
//! Method: an engine with a clock that the test moves, its default systems and real sockets. The clock goes on by a
//! second when everything of the last one has been read, so that whatever comes is of that moment; the time in each
//! message says the same. What comes over some seconds is compared with golden files, byte for byte
//! (`UPDATE=1 cargo test --test legacy` writes them anew).

mod chain;
mod chain_figures;
#[allow(dead_code, reason = "shared with the tests of the server, which use more of it")]
#[path = "../server/client.rs"]
mod client;
mod firehose;
mod hub;
mod hub_clients;
mod stage;
#[allow(dead_code, reason = "shared with the tests of the server, which use more of it")]
#[path = "../server/support.rs"]
mod support;
