//! The arena, the hub and the profiles as their users meet them: the built binary and its console, sockets, HTTP, and
//! what `lineage simulate` prints.
//!
//! Method: servers on port 0; agents and prices at intervals of milliseconds, so that a test reads as much as it needs
//! and waits for nothing else; a clock that is moved by hand where an interval itself is the question; seeds are fixed
//! and named in what fails.

mod agents;
mod arena;
mod binary;
#[allow(dead_code, reason = "shared with the tests of the server, which use more of it")]
#[path = "../server/client.rs"]
mod client;
mod console;
mod rounds;
#[allow(dead_code, reason = "shared with the tests of the server, which use more of it")]
#[path = "../server/support.rs"]
mod support;
mod systems;
