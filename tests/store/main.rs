//! Goal: what was handed to the store is read back, in order, within limits; a file that cannot be a store is refused
//! with what to do; a full queue and a full file are counted and never block.
//!
//! Method: real files in a folder of the test's own; `flush` instead of waiting; models of what a query should give.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise, its helpers too")]

mod answers;
mod files;
mod rows;
mod support;
