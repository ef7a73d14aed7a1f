//! What is drawn, apart from how: the page and the pictures draw the same points.
//!
//! Percentiles are drawn over x = 1 / (1 - percentile): each power of ten is one nine more, and x is "one event in so
//! many". A curve ends at its count of values, with its largest value.

use serde::Serialize;

use crate::measure::Hist;
use crate::result::{RunResult, SecondLine};

/// Points of a curve per power of ten.
const POINTS_PER_DECADE: u32 = 20;

/// One plot.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Plot {
    /// Its name in the page.
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    /// How to read it, in a sentence or two.
    pub(super) note: &'static str,
    pub(super) x: Axis,
    pub(super) y: Axis,
    /// Ascending.
    pub(super) at: Vec<f64>,
    pub(super) lines: Vec<Line>,
}

/// One axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Axis {
    pub(super) kind: Kind,
    pub(super) label: &'static str,
}

/// What an axis counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    /// 1 / (1 - percentile), logarithmic.
    Percentile,
    /// Microseconds, logarithmic.
    Duration,
    /// Seconds since the first one, linear.
    Time,
    /// A number of things, linear, from 0.
    Amount,
}

/// One line of a plot.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Line {
    pub(super) name: String,
    /// One for each x; none where the line has a hole.
    pub(super) values: Vec<Option<u64>>,
}

/// Every plot that the result has numbers for.
pub(super) fn all(result: &RunResult) -> Vec<Plot> {
    let connect = percentiles(
        ("connect", "Connecting", "From starting to connect to the server's 101."),
        "time to connect",
        &[("time to connect".to_owned(), &result.detail.connect)],
    );
    let plots = [latency_of(result), second_latency(result), deliveries(result), clients(result)];
    plots.into_iter().chain([connect, skew(result)]).flatten().collect()
}

/// Latency percentiles of one run, from both points in time.
fn latency_of(result: &RunResult) -> Option<Plot> {
    result.latency_us.as_ref()?;
    let latency = &result.detail.latency;
    percentiles(
        (
            "latency",
            "Latency percentiles",
            "From the scheduled time is what a user feels; from the actual time leaves out what the publisher was late.",
        ),
        "latency",
        &[
            ("from the scheduled time".to_owned(), &latency.scheduled),
            ("from the actual time".to_owned(), &latency.actual),
        ],
    )
}

/// Latency percentiles of several runs, by name: from the scheduled time where it is known. Of a single run: both
/// points in time. None where no run has latency.
pub(super) fn latency(runs: &[(&str, &RunResult)]) -> Option<Plot> {
    if let [(_, result)] = runs {
        return latency_of(result);
    }
    let curve = |(name, result): &(&str, &'_ RunResult)| {
        let latency = &result.detail.latency;
        if latency.scheduled.is_empty() {
            (format!("{name} (from the actual time)"), latency.actual.clone())
        } else {
            ((*name).to_owned(), latency.scheduled.clone())
        }
    };
    let timed = runs.iter().filter(|(_, result)| result.latency_us.is_some());
    let curves: Vec<(String, Hist)> = timed.map(curve).collect();
    let curves: Vec<(String, &Hist)> =
        curves.iter().map(|(name, hist)| (name.clone(), hist)).collect();
    percentiles(("latency", "Latency percentiles", ""), "latency from the scheduled time", &curves)
}

/// Latency, second by second; none without latency.
pub(super) fn second_latency(result: &RunResult) -> Option<Plot> {
    let line = |name: &str, value: fn(&SecondLine) -> u64| {
        let value = |second: &SecondLine| (second.max_us > 0).then(|| value(second).max(1));
        Line { name: name.to_owned(), values: result.per_second.iter().map(value).collect() }
    };
    let about = (
        "second-latency",
        "Latency per second",
        "Of the events that arrived in each second, from their scheduled time.",
    );
    let has_latency = result.per_second.iter().any(|second| second.max_us > 0);
    let lines = vec![
        line("p50", |second| second.p50_us),
        line("p99", |second| second.p99_us),
        line("p99.9", |second| second.p99_9_us),
        line("max", |second| second.max_us),
    ];
    let axis = Axis { kind: Kind::Duration, label: "latency" };
    has_latency.then(|| over_time(about, axis, result, lines))
}

/// Deliveries, second by second; none when nothing lasted a second.
pub(super) fn deliveries(result: &RunResult) -> Option<Plot> {
    let values = result.per_second.iter().map(|second| Some(second.delivered)).collect();
    let lines = vec![Line { name: "deliveries".to_owned(), values }];
    let axis = Axis { kind: Kind::Amount, label: "deliveries per second" };
    let about = ("deliveries", "Deliveries per second", "Over all clients.");
    (!result.per_second.is_empty()).then(|| over_time(about, axis, result, lines))
}

/// Connected clients, second by second; none when nothing lasted a second.
pub(super) fn clients(result: &RunResult) -> Option<Plot> {
    let values = result.per_second.iter().map(|second| Some(second.connected)).collect();
    let lines = vec![Line { name: "connected".to_owned(), values }];
    let axis = Axis { kind: Kind::Amount, label: "clients" };
    let about = ("clients", "Connected clients", "At the end of each second.");
    (!result.per_second.is_empty()).then(|| over_time(about, axis, result, lines))
}

fn skew(result: &RunResult) -> Option<Plot> {
    if result.skew_us.events == 0 {
        return None;
    }
    let mut hist = Hist::default();
    for sample in result.detail.skew.values().filter(|sample| sample.clients > 1) {
        hist.record(sample.last_us.saturating_sub(sample.first_us));
    }
    percentiles(
        (
            "skew",
            "Skew between clients",
            "Of the sampled events: from the first client that had one to the last.",
        ),
        "last arrival less first",
        &[("skew".to_owned(), &hist)],
    )
}

/// Id, title and note.
type About = (&'static str, &'static str, &'static str);

fn over_time((id, title, note): About, y: Axis, result: &RunResult, lines: Vec<Line>) -> Plot {
    let x = Axis { kind: Kind::Time, label: "seconds since the first connection" };
    let at = result.per_second.iter().map(|second| float(second.at_s)).collect();
    Plot { id, title, note, x, y, at, lines }
}

/// The curves that have values; none when none has.
fn percentiles(
    (id, title, note): About,
    label: &'static str,
    curves: &[(String, &Hist)],
) -> Option<Plot> {
    let curves = || curves.iter().filter(|(_, hist)| !hist.is_empty());
    let at = grid(curves().map(|(_, hist)| hist.len()));
    let line = |(name, hist): &(String, &Hist)| Line {
        name: name.clone(),
        values: at.iter().map(|x| one_in(hist, *x)).collect(),
    };
    let lines: Vec<Line> = curves().map(line).collect();
    let x = Axis { kind: Kind::Percentile, label: "percentile" };
    let y = Axis { kind: Kind::Duration, label };
    (!lines.is_empty()).then(|| Plot { id, title, note, x, y, at: at.clone(), lines })
}

/// The value that one in `x` reaches or exceeds, at least 1 (the axis is logarithmic); none beyond the last value.
fn one_in(hist: &Hist, x: f64) -> Option<u64> {
    let count = float(hist.len());
    let value = if x < count { hist.quantile(1.0 - 1.0 / x) } else { hist.max() };
    (x <= count).then_some(value.max(1))
}

/// Evenly spaced on a logarithmic axis from 1 to the largest count, each count among them.
fn grid(counts: impl Iterator<Item = u64>) -> Vec<f64> {
    let mut at: Vec<f64> = counts.map(float).collect();
    let last = at.iter().copied().fold(0.0, f64::max);
    let even = (0..).map(|step| 10_f64.powf(f64::from(step) / f64::from(POINTS_PER_DECADE)));
    // Three decimals are plenty for a picture, and short as text.
    let even = even.map(|x| (x * 1_000.0).round() / 1_000.0);
    at.extend(even.take_while(|x| *x < last));
    at.sort_by(f64::total_cmp);
    at.dedup();
    at
}

/// For a position in a picture, where the last of 53 bits does not show.
#[expect(clippy::cast_precision_loss, reason = "positions in a picture need four digits")]
pub(super) fn float(value: u64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hist(values: impl Iterator<Item = u64>) -> Hist {
        let mut hist = Hist::default();
        values.for_each(|value| hist.record(value));
        hist
    }

    fn curves(hists: &[&Hist]) -> Option<Plot> {
        let named: Vec<_> = hists.iter().map(|hist| (String::new(), *hist)).collect();
        percentiles(("", "", ""), "", &named)
    }

    #[test]
    fn a_curve_rises_from_the_smallest_value_to_the_largest_at_its_count() {
        let values = hist(1..=1_000);
        let plot = curves(&[&values]).unwrap();
        assert!(plot.at.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(plot.lines[0].values.is_sorted());
        assert_eq!((plot.at[0], plot.lines[0].values[0]), (1.0, Some(1)));
        let ninety = plot.at.iter().position(|x| *x == 10.0).unwrap();
        assert_eq!(plot.lines[0].values[ninety], Some(900));
        assert_eq!(plot.at.last(), Some(&1_000.0));
        assert_eq!(plot.lines[0].values.last(), Some(&Some(1_000)));
    }

    #[test]
    fn each_of_two_curves_ends_with_its_own_largest_value() {
        let (few, many) = (hist(1..=7), hist(1..=500));
        let plot = curves(&[&few, &many]).unwrap();
        let ends = |line: &Line| line.values.iter().rposition(Option::is_some).unwrap();
        let (few, many) = (&plot.lines[0], &plot.lines[1]);
        assert_eq!((plot.at[ends(few)], few.values[ends(few)]), (7.0, Some(7)));
        assert_eq!((plot.at[ends(many)], many.values[ends(many)]), (500.0, Some(500)));
    }

    #[test]
    fn no_value_is_no_curve_and_one_value_is_a_point_of_at_least_1() {
        assert_eq!(curves(&[&Hist::default()]), None);
        let plot = curves(&[&hist(std::iter::once(0)), &Hist::default()]).unwrap();
        assert_eq!((plot.at, plot.lines.len()), (vec![1.0], 1));
        assert_eq!(plot.lines[0].values, [Some(1)]);
    }
}
