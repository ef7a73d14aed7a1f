//! What a replay has done so far: readable from any thread while it runs and after it.
//!
//! The counts are single words; the histogram stands behind a mutex that the replay takes once per batch. Never
//! holds the replay up for longer than a copy of the histogram's quantiles takes.

use std::sync::{Mutex, MutexGuard, PoisonError};

use hdrhistogram::Histogram;
use prometheus::core::Collector;
use prometheus::{IntCounterVec, Opts};

use super::error::{BadLine, BadReason};
use super::journal::Cut;
use crate::sync::{Flag, Tally};

/// The highest pacing error that is told apart: a minute; a higher one counts as this in the quantiles.
const ERROR_US_MAX: u64 = 60_000_000;

/// The counts of one replay.
#[derive(Debug)]
pub struct ReplayReport {
    pub(super) lines: Tally,
    pub(super) events: Tally,
    pub(super) bad_lines: Tally,
    by_reason: IntCounterVec,
    pub(super) finished: Flag,
    details: Mutex<Details>,
}

#[derive(Debug)]
struct Details {
    first_bad: Option<BadLine>,
    cut: Option<Cut>,
    error_us: Histogram<u64>,
    error_us_max: u64,
}

/// How far from its time events were published, either way, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PacingError {
    /// Half of the events were no further off (within 1 %).
    pub p50_us: u64,
    /// 99 of 100 events were no further off (within 1 %).
    pub p99_us: u64,
    /// None was further off (exact).
    pub max_us: u64,
}

impl ReplayReport {
    pub(super) fn new() -> Self {
        let error_us = Histogram::new_with_bounds(1, ERROR_US_MAX, 2)
            .expect("bounds of 1 and a minute and two digits are valid");
        Self {
            lines: Tally::new(),
            events: Tally::new(),
            bad_lines: Tally::new(),
            by_reason: by_reason(),
            finished: Flag::new(),
            details: Mutex::new(Details { first_bad: None, cut: None, error_us, error_us_max: 0 }),
        }
    }

    /// Lines read, up to about 1,000 ahead of what was published.
    #[must_use]
    pub fn lines(&self) -> u64 {
        self.lines.value()
    }

    /// Events published.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events.value()
    }

    /// Lines counted and left out.
    #[must_use]
    pub fn bad_lines(&self) -> u64 {
        self.bad_lines.value()
    }

    /// The first line that was left out, and why.
    #[must_use]
    pub fn first_bad_line(&self) -> Option<BadLine> {
        self.details().first_bad.clone()
    }

    /// What is missing at the end of a recording whose recorder was ended before it could finish the file.
    #[must_use]
    pub fn cut(&self) -> Option<Cut> {
        self.details().cut
    }

    /// Lines that were left out for this reason.
    #[must_use]
    pub fn bad_lines_of(&self, reason: &BadReason) -> u64 {
        self.by_reason.with_label_values(&[reason.name()]).get()
    }

    /// The lines left out by reason, for the exposition.
    #[must_use]
    pub fn collector(&self) -> Box<dyn Collector> {
        Box::new(self.by_reason.clone())
    }

    /// Notes that the recording is cut short, and says so in the log: once, however often it is repeated.
    pub(super) fn note_cut(&self, cut: Cut) {
        if self.details().cut.replace(cut).is_some() {
            return;
        }
        tracing::warn!(
            events = self.events(),
            cut_line_bytes = cut.line_bytes,
            cut_file_bytes = cut.file_bytes,
            "replay: the recorder did not finish this file; what is unfinished at its end is left out"
        );
    }

    /// Whether the replay has ended: at the end of the file, because it was stopped, or with an error. What it
    /// published before is visible to whoever sees this.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.finished.is_raised()
    }

    /// The pacing error so far; zeros before the first event and at full speed, where no event has a time.
    #[must_use]
    pub fn pacing_error(&self) -> PacingError {
        let details = self.details();
        PacingError {
            p50_us: details.error_us.value_at_quantile(0.5),
            p99_us: details.error_us.value_at_quantile(0.99),
            max_us: details.error_us_max,
        }
    }

    /// Counts a line that is left out; says so in the log for the first one and whenever their number doubled,
    /// so that a file of nothing else logs a few dozen lines.
    pub(super) fn count_bad(&self, bad: BadLine) {
        self.bad_lines.add(1);
        self.by_reason.with_label_values(&[bad.reason.name()]).inc();
        let count = self.bad_lines.value();
        if count.is_power_of_two() {
            tracing::warn!(bad_lines = count, "replay: {bad}; it is left out");
        }
        if count == 1 {
            self.details().first_bad = Some(bad);
        }
    }

    /// Counts events that were published at `now_us` and were due at these times.
    pub(super) fn count_paced(&self, now_us: u64, dues_us: &[u64]) {
        self.events.add(dues_us.len() as u64);
        let mut details = self.details();
        for due_us in dues_us {
            let error_us = now_us.abs_diff(*due_us);
            details.error_us.saturating_record(error_us);
            details.error_us_max = details.error_us_max.max(error_us);
        }
    }

    fn details(&self) -> MutexGuard<'_, Details> {
        // Counts are valid whatever a panicking holder did.
        self.details.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A counter of bad lines, with every reason in sight from the start.
fn by_reason() -> IntCounterVec {
    let help = "Lines of a replayed recording that were left out, by reason.";
    let options = Opts::new("lineage_replay_bad_lines_total", help);
    let counter = IntCounterVec::new(options, &["reason"])
        .expect("the name is one that the exposition allows");
    for reason in BadReason::NAMES {
        let _ = counter.with_label_values(&[reason]);
    }
    counter
}

#[cfg(test)]
mod tests {
    use super::super::error::BadReason;
    use super::*;

    #[test]
    fn the_pacing_error_counts_early_and_late_alike_and_its_maximum_is_exact() {
        let report = ReplayReport::new();
        assert_eq!(report.pacing_error(), PacingError::default());
        report.count_paced(1_000, &[900; 50]);
        report.count_paced(1_000, &[1_100; 49]);
        report.count_paced(1_000, &[1_000 + ERROR_US_MAX + 1]);
        let error = report.pacing_error();
        assert!((100..=101).contains(&error.p50_us), "{error:?}");
        assert!((100..=101).contains(&error.p99_us), "{error:?}");
        assert_eq!(error.max_us, ERROR_US_MAX + 1);
        assert_eq!(report.events(), 100);
    }

    #[test]
    fn the_first_bad_line_is_kept_and_all_are_counted() {
        let report = ReplayReport::new();
        for number in [7, 8, 12] {
            report.count_bad(BadLine { number, reason: BadReason::NotJson });
        }
        assert_eq!(report.bad_lines(), 3);
        assert_eq!(report.bad_lines_of(&BadReason::NotJson), 3);
        assert_eq!(report.bad_lines_of(&BadReason::TooLong), 0);
        assert_eq!(
            report.first_bad_line(),
            Some(BadLine { number: 7, reason: BadReason::NotJson })
        );
    }
}
