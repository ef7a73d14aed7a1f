//! What is measured, and how it adds up over processes and machines.

pub(crate) mod clock;
mod hist;
mod part;
pub(crate) mod system;

pub use hist::{Hist, Packed, VALUE_MAX};
pub use part::{
    Counts, Effort, FAULTS_TOLD_MAX, Group, Latency, Part, SKEW_SAMPLES_MAX, Second, SkewSample,
    Traffic,
};
