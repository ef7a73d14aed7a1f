//! Goal: what an engine publishes is kept in its store, comes back over HTTP after a restart, and is measured; a server
//! that is killed while it stores loses the tail that was not stored and says so.
//!
//! Method: engines on port 0 with files of the test's own, typed events through their publishers, real HTTP; for the
//! kill the built program. Waiting is for what HTTP answers.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise, its helpers too")]

mod condition;
mod crash;
mod restart;
mod scrape;
mod support;
