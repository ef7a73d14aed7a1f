//! How the store fares, for who watches it: whether rows reach the file, and how full its disk is.
//!
//! Any thread may ask. Never: waits for the thread that writes, or touches the file's contents.

use super::metrics::Metrics;
use crate::sync::Arc;
use std::path::PathBuf;

/// A handle that outlives nothing: it neither keeps the store open nor its thread.
#[derive(Debug, Clone)]
pub struct Condition {
    path: PathBuf,
    metrics: Arc<Metrics>,
}

impl Condition {
    pub(super) fn new(path: PathBuf, metrics: Arc<Metrics>) -> Self {
        Self { path, metrics }
    }

    /// Why rows do not reach the file at this moment; none: they do.
    #[must_use]
    pub fn trouble(&self) -> Option<&'static str> {
        if !self.metrics.is_writing.is_raised() {
            return Some("the thread that writes has ended");
        }
        let is_troubled = self.metrics.is_troubled.is_raised();
        is_troubled.then_some("the disk does not take rows; the log says why")
    }

    /// Share of the file's disk that is free for this process, 0 to 1; none when the system does not say. One system
    /// call.
    #[must_use]
    pub fn free_ratio(&self) -> Option<f64> {
        let disk = rustix::fs::statvfs(&self.path).ok().filter(|disk| disk.f_blocks > 0)?;
        Some(disk.f_bavail as f64 / disk.f_blocks as f64)
    }
}
