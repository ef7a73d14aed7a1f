//! Measurements under names that a program chooses while it runs: values, counts and times, with context.
//!
//! The engine's own counters are a fixed table and cost a relaxed addition; this is for what is rarer and wants a
//! name: of embedding programs, and of the hub. A series is a name with its context, written `tasks{lane="risk"}`; it
//! is of the kind it was first measured as. Memory is bounded: there is a greatest number of series and a longest name,
//! and what does not fit is counted and left out.
//!
//! Any thread. A measurement takes one lock for one look-up and, with a context, one short-lived allocation: less than a
//! microsecond (`benches/telemetry.rs`). Not for the data path.

use crate::sync::{Mutex, Tally};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

/// What a measurement belongs to, as pairs of key and value; their order does not matter.
pub type Context<'a> = &'a [(&'a str, &'a str)];

/// Named measurements.
#[derive(Debug)]
pub struct PerformanceMetrics {
    series_max: usize,
    series: Mutex<HashMap<String, Measure>>,
    refused: Tally,
}

/// What is known of one series.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Measure {
    /// Of recorded values.
    Value {
        /// How many were recorded.
        count: u64,
        /// The newest.
        last: f64,
        /// The least.
        min: f64,
        /// The greatest.
        max: f64,
    },
    /// Of increments.
    Count {
        /// Their sum; stays at its greatest value when it would not fit.
        total: u64,
    },
    /// Of times.
    Timing {
        /// How many were measured.
        count: u64,
        /// Their sum in microseconds, each rounded down; stays at its greatest value when it would not fit.
        sum_us: u64,
        /// The shortest, in microseconds.
        min_us: u64,
        /// The longest, in microseconds.
        max_us: u64,
    },
}

impl PerformanceMetrics {
    /// Default of the greatest number of series.
    pub const SERIES_MAX: usize = 1_024;
    /// Longest name with its context, in bytes.
    pub const NAME_BYTES_MAX: usize = 256;

    /// None yet, and at most [`SERIES_MAX`](Self::SERIES_MAX) series.
    #[must_use]
    pub fn new() -> Self {
        Self::with_limit(Self::SERIES_MAX)
    }

    /// None yet, and at most `series_max` series.
    #[must_use]
    pub fn with_limit(series_max: usize) -> Self {
        Self { series_max, series: Mutex::new(HashMap::new()), refused: Tally::new() }
    }

    /// Records a value that goes up and down. One that is not finite is refused.
    pub fn record(&self, name: &str, value: f64, context: Context<'_>) {
        if value.is_finite() {
            let first = Measure::Value { count: 1, last: value, min: value, max: value };
            self.measure(name, context, first);
        } else {
            self.refused.add(1);
        }
    }

    /// Adds `by` to a count.
    pub fn increment(&self, name: &str, by: u64, context: Context<'_>) {
        self.measure(name, context, Measure::Count { total: by });
    }

    /// Records how long something took, in whole microseconds.
    pub fn timing(&self, name: &str, took: Duration, context: Context<'_>) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let first = Measure::Timing { count: 1, sum_us: us, min_us: us, max_us: us };
        self.measure(name, context, first);
    }

    /// A copy of all series, by name. Holds the lock while it copies: a control-plane call.
    #[must_use]
    pub fn all(&self) -> BTreeMap<String, Measure> {
        self.locked().iter().map(|(name, measure)| (name.clone(), *measure)).collect()
    }

    /// Measurements left out: of a series beyond the limit, of a name too long, of a kind other than the series' own,
    /// and values that are not finite.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.value()
    }

    fn measure(&self, name: &str, context: Context<'_>, one: Measure) {
        let key = key(name, context);
        let mut series = self.locked();
        let has_room = key.len() <= Self::NAME_BYTES_MAX && series.len() < self.series_max;
        let is_taken = match series.get_mut(&*key) {
            Some(measure) => measure.join(one),
            None if has_room => {
                series.insert(key.into_owned(), one);
                true
            }
            None => false,
        };
        drop(series);
        if !is_taken {
            self.refused.add(1);
        }
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<String, Measure>> {
        // Each series is whole at every moment, so a panic of another holder does not spoil it.
        self.series.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for PerformanceMetrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Measure {
    /// Adds a later measurement; false, and nothing done, when it is of another kind.
    fn join(&mut self, later: Self) -> bool {
        match (self, later) {
            (Self::Value { count, last, min, max }, Self::Value { last: value, .. }) => {
                *count = count.saturating_add(1);
                (*last, *min, *max) = (value, (*min).min(value), (*max).max(value));
            }
            (Self::Count { total }, Self::Count { total: by }) => {
                *total = total.saturating_add(by);
            }
            (Self::Timing { count, sum_us, min_us, max_us }, Self::Timing { sum_us: us, .. }) => {
                *count = count.saturating_add(1);
                *sum_us = sum_us.saturating_add(us);
                (*min_us, *max_us) = ((*min_us).min(us), (*max_us).max(us));
            }
            _ => return false,
        }
        true
    }
}

/// The name itself, or `name{key="value",…}` with the pairs in the order of their keys.
fn key<'a>(name: &'a str, context: Context<'_>) -> Cow<'a, str> {
    if context.is_empty() {
        return Cow::Borrowed(name);
    }
    let mut pairs = Cow::Borrowed(context);
    if !pairs.is_sorted() {
        pairs.to_mut().sort_unstable();
    }
    let bytes: usize = pairs.iter().map(|(key, value)| key.len() + value.len() + 4).sum();
    let mut text = String::with_capacity(name.len() + bytes + 2);
    text.push_str(name);
    for (index, (key, value)) in pairs.iter().enumerate() {
        text.push(if index == 0 { '{' } else { ',' });
        text.push_str(key);
        // Quoted with escapes: no value can pass for another context.
        write!(text, "={value:?}").expect("writing to memory succeeds");
    }
    text.push('}');
    Cow::Owned(text)
}

#[cfg(test)]
mod tests {
    use super::{Measure, PerformanceMetrics, key};
    use std::sync::Arc;
    use std::time::Duration;

    #[test]
    fn s38_values_counts_and_times_are_kept_by_name_and_context() {
        let metrics = PerformanceMetrics::new();
        for value in [3.0, -1.5, 2.0] {
            metrics.record("depth", value, &[("lane", "risk")]);
        }
        metrics.increment("tasks", 2, &[]);
        metrics.increment("tasks", 3, &[]);
        metrics.increment("tasks", 1, &[("lane", "risk")]);
        for us in [700, 300] {
            metrics.timing("took", Duration::from_micros(us), &[]);
        }
        let all = metrics.all();
        let depth = Measure::Value { count: 3, last: 2.0, min: -1.5, max: 3.0 };
        assert_eq!(all["depth{lane=\"risk\"}"], depth);
        assert_eq!(all["tasks"], Measure::Count { total: 5 });
        assert_eq!(all["tasks{lane=\"risk\"}"], Measure::Count { total: 1 });
        let took = Measure::Timing { count: 2, sum_us: 1_000, min_us: 300, max_us: 700 };
        assert_eq!(all["took"], took);
        assert_eq!((all.len(), metrics.refused()), (4, 0));
    }

    #[test]
    fn s38_all_gives_a_copy_that_later_measurements_do_not_change() {
        let metrics = PerformanceMetrics::new();
        metrics.increment("tasks", 1, &[]);
        let copy = metrics.all();
        metrics.increment("tasks", 1, &[]);
        assert_eq!(copy["tasks"], Measure::Count { total: 1 });
        assert_eq!(metrics.all()["tasks"], Measure::Count { total: 2 });
    }

    #[test]
    fn s38_series_are_bounded_and_those_beyond_the_limit_are_counted() {
        let metrics = PerformanceMetrics::with_limit(3);
        for (name, series, refused) in
            [("a", 1, 0), ("b", 2, 0), ("c", 3, 0), ("d", 3, 1), ("a", 3, 1), ("d", 3, 2)]
        {
            metrics.increment(name, 1, &[]);
            assert_eq!((metrics.all().len(), metrics.refused()), (series, refused), "{name}");
        }
        assert_eq!(metrics.all()["a"], Measure::Count { total: 2 }, "a known one goes on");
    }

    #[test]
    fn s38_names_are_as_long_as_the_limit_and_no_longer() {
        let limit = PerformanceMetrics::NAME_BYTES_MAX;
        for (bytes, refused) in [(limit - 1, 0), (limit, 0), (limit + 1, 1)] {
            let metrics = PerformanceMetrics::new();
            metrics.increment(&"n".repeat(bytes), 1, &[]);
            assert_eq!(metrics.refused(), refused, "{bytes}");
        }
    }

    #[test]
    fn s38_what_does_not_fit_its_series_is_refused_and_changes_nothing() {
        let metrics = PerformanceMetrics::new();
        metrics.increment("tasks", 1, &[]);
        metrics.record("tasks", 7.0, &[]);
        metrics.timing("tasks", Duration::from_secs(1), &[]);
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            metrics.record("depth", value, &[]);
        }
        assert_eq!(metrics.all().len(), 1);
        assert_eq!((metrics.all()["tasks"], metrics.refused()), (Measure::Count { total: 1 }, 5));
    }

    #[test]
    fn s38_sums_stay_at_their_greatest_value() {
        let metrics = PerformanceMetrics::new();
        for _ in 0..2 {
            metrics.increment("tasks", u64::MAX, &[]);
            metrics.timing("took", Duration::MAX, &[]);
        }
        assert_eq!(metrics.all()["tasks"], Measure::Count { total: u64::MAX });
        let max = u64::MAX;
        let took = Measure::Timing { count: 2, sum_us: max, min_us: max, max_us: max };
        assert_eq!(metrics.all()["took"], took);
    }

    #[test]
    fn the_order_of_a_context_does_not_matter_and_its_values_cannot_pass_for_another() {
        assert_eq!(key("n", &[("b", "2"), ("a", "1")]), "n{a=\"1\",b=\"2\"}");
        assert_eq!(key("n", &[("a", "1"), ("b", "2")]), "n{a=\"1\",b=\"2\"}");
        assert_ne!(key("n", &[("a", "1\",b=\"2")]), key("n", &[("a", "1"), ("b", "2")]));
        assert_eq!(key("n", &[]), "n");
    }

    #[test]
    fn s38_threads_measure_together_without_loss() {
        let metrics = Arc::new(PerformanceMetrics::new());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for us in 0..1_000 {
                        metrics.timing("took", Duration::from_micros(us), &[("lane", "risk")]);
                    }
                });
            }
        });
        let sum_us = 4 * 999 * 1_000 / 2;
        let took = Measure::Timing { count: 4_000, sum_us, min_us: 0, max_us: 999 };
        assert_eq!(metrics.all()["took{lane=\"risk\"}"], took);
    }

    #[test]
    fn s38_a_copy_is_json_with_the_kind_of_each_series() {
        let metrics = PerformanceMetrics::new();
        metrics.increment("tasks", 2, &[]);
        metrics.record("depth", 1.5, &[]);
        let json = serde_json::to_string(&metrics.all()).expect("it is data");
        let expected = r#"{"depth":{"kind":"value","count":1,"last":1.5,"min":1.5,"max":1.5},"tasks":{"kind":"count","total":2}}"#;
        assert_eq!(json, expected);
    }
}
