//! The proof: every client got every event of its topics once and in order, or was told what it did not get.
//!
//! `topics` names as numbers, and what each client asked for · `order` the judge · `skew` who had an event first and
//! who last.

mod order;
mod skew;
#[cfg(test)]
mod tests;
mod topics;

pub use order::{Judge, Seen, Who};
pub use skew::SkewSampler;
pub use topics::{SetId, StreamId, TopicId, Topics};
