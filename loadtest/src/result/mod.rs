//! The result of a run: what `result.json` holds. Its schema: `loadtest/schema/result.schema.json`.
//!
//! Made of a [`Part`](crate::measure::Part) (the sum over all processes) and of what the publisher did; every quotient
//! and quantile is worked out here and nowhere else. `detail` keeps the part, so that results can be merged without
//! loss.
//!
//! `environment` where it ran · `model` the numbers · `build` how they come about · `generator` its own effort ·
//! `metrics` the names of figures · `fail_if` expressions over them · `verdict` the judgement · `baseline` against an
//! older result · `merge` of several.

pub mod baseline;
mod build;
mod environment;
mod fail_if;
mod generator;
mod merge;
mod metrics;
mod model;
mod verdict;

pub use build::{FILLED_SECONDS_MAX, Notes, P99_9_VALUES_MIN};
pub use environment::Environment;
pub use fail_if::FailIf;
pub use generator::{BUSY_MAX, LOOP_DELAY_MAX_US, PUBLISH_DELAY_MAX_US};
pub use merge::{PAUSE_MAX_S, merge};
pub use metrics::lesson;
pub use model::{
    Check, Clients, Events, Generator, LatencyUs, PublisherEffort, Quantiles, Rates, RunResult,
    SecondLine, Skew, Verdict,
};
pub use verdict::{CANNOT_CONNECT, CHECK_FAILED, OK, Rules, judge};

/// The version of the result's form.
pub const SCHEMA: &str = "lineage-loadtest/1";
