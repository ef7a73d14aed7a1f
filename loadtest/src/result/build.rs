//! From sums to a result: every quotient and every quantile is worked out here.

use super::model::{
    Clients, Events, Generator, LatencyUs, Quantiles, Rates, RunResult, SecondLine, Skew, Verdict,
};
use super::{Environment, SCHEMA, generator};
use crate::measure::{Counts, FAULTS_TOLD_MAX, Group, Hist, Latency, Packed, Part};
use crate::publish::Published;

/// Seconds in which nothing happened get a line of zeros, in runs of up to a week; beyond, they are left out.
pub const FILLED_SECONDS_MAX: u64 = 7 * 86_400;
/// Values that the 99.9 % quantile needs; ten times as many the 99.99 %.
pub const P99_9_VALUES_MIN: u64 = 1_000;

/// What only the coordinator knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notes {
    /// The run was ended before its time.
    pub is_interrupted: bool,
    /// Why latency cannot be measured honestly. With a reason it is left out everywhere, `detail` included.
    pub latency_note: Option<String>,
}

impl Quantiles {
    /// Of a histogram.
    #[must_use]
    pub fn of(hist: &Hist) -> Self {
        let count = hist.len();
        let tail = |quantile, least| (count >= least).then(|| hist.quantile(quantile));
        Self {
            count,
            mean: hist.mean(),
            p50: hist.quantile(0.5),
            p90: hist.quantile(0.9),
            p99: hist.quantile(0.99),
            p99_9: tail(0.999, P99_9_VALUES_MIN),
            p99_99: tail(0.9999, 10 * P99_9_VALUES_MIN),
            max: hist.max(),
        }
    }
}

impl RunResult {
    /// The result of a run, not judged yet.
    #[must_use]
    pub fn new(
        environment: Environment,
        mut part: Part,
        published: Option<Published>,
        notes: &Notes,
    ) -> Self {
        if notes.latency_note.is_some() {
            part.latency = Latency::default();
            part.seconds.values_mut().for_each(|second| second.latency = Packed::default());
        }
        let mut result = Self {
            schema: SCHEMA.to_owned(),
            environment,
            clients: clients(&part),
            events: events(&part.counts, published.as_ref().map(|published| published.accepted)),
            faulty_events: events(&part.faulty_counts, None),
            rates: rates(&part, published.as_ref()),
            latency_us: latency(&part, published.as_ref()),
            latency_note: notes.latency_note.clone(),
            connect_us: Quantiles::of(&part.connect),
            skew_us: skew(&part),
            per_second: per_second(&part),
            generator: Generator::default(),
            faults: part.faults.clone(),
            verdict: Verdict { interrupted: notes.is_interrupted, ..Verdict::default() },
            detail: part,
            published,
        };
        result.generator = generator::effort(&result);
        if let Some(published) = &result.published {
            result.faults.extend(published.faults.iter().take(FAULTS_TOLD_MAX).cloned());
        }
        result
    }
}

fn clients(part: &Part) -> Clients {
    let mut all = Group::default();
    all.add(&part.clients);
    part.faulty.values().for_each(|group| all.add(group));
    Clients {
        asked: all.asked,
        connected: all.connected,
        failed: all.failed,
        closed: all.closed,
        strict: part.clients.clone(),
        faulty: part.faulty.clone(),
    }
}

fn events(counts: &Counts, published: Option<u64>) -> Events {
    Events {
        published,
        expected: counts.expected,
        delivered: counts.delivered,
        lost: counts.lost,
        duplicated: counts.duplicated,
        reordered: counts.reordered,
        announced_gaps: counts.announced_gaps,
        gap_events: counts.gap_events,
        corrupt: counts.corrupt,
        breaches: counts.breaches,
        snapshots: counts.snapshots,
        recovered: counts.recovered,
        untimed: counts.untimed,
        from_the_future: counts.from_the_future,
    }
}

#[expect(clippy::cast_precision_loss, reason = "figures for reading; exact below 2^53")]
fn rates(part: &Part, published: Option<&Published>) -> Rates {
    let measured_s = part.effort.measured_s;
    let per_s = |count: u64| if measured_s > 0.0 { count as f64 / measured_s } else { 0.0 };
    let span = part.seconds.len().max(1) as f64;
    Rates {
        measured_s,
        published_per_s: published.map(|published| {
            // The schedule's own time: from the first event to the last.
            let seconds = published.seconds;
            if seconds > 0.0 {
                published.accepted as f64 / seconds
            } else {
                published.accepted as f64 / span
            }
        }),
        delivered_per_s: per_s(part.counts.measured),
        bytes_per_s: per_s(part.traffic.bytes),
        messages_per_read: part.traffic.messages as f64 / part.traffic.reads.max(1) as f64,
        per_client_min: part.per_client.min(),
        per_client_p50: part.per_client.quantile(0.5),
        per_client_max: part.per_client.max(),
        fairness: fairness(&part.per_client),
    }
}

/// Jain's index (1984): the square of the sum over n times the sum of the squares.
#[expect(clippy::cast_precision_loss, reason = "figures for reading; exact below 2^53")]
fn fairness(per_client: &Hist) -> f64 {
    let (mut sum, mut squares) = (0.0, 0.0);
    for step in per_client.inner().iter_recorded() {
        let (value, count) = (step.value_iterated_to() as f64, step.count_at_value() as f64);
        sum += value * count;
        squares += value * value * count;
    }
    if squares > 0.0 { sum * sum / (per_client.len() as f64 * squares) } else { 1.0 }
}

fn latency(part: &Part, published: Option<&Published>) -> Option<LatencyUs> {
    let some = |hist: &Hist| (!hist.is_empty()).then(|| Quantiles::of(hist));
    let latency = LatencyUs {
        scheduled: some(&part.latency.scheduled),
        actual: some(&part.latency.actual),
        publish_delay: published.and_then(|published| some(&published.delay)),
    };
    (latency.scheduled.is_some() || latency.actual.is_some()).then_some(latency)
}

fn skew(part: &Part) -> Skew {
    let mut hist = Hist::default();
    for sample in part.skew.values().filter(|sample| sample.clients > 1) {
        hist.record(sample.last_us.saturating_sub(sample.first_us));
    }
    Skew { events: hist.len(), last_less_first: Quantiles::of(&hist) }
}

fn per_second(part: &Part) -> Vec<SecondLine> {
    let Some((first, _)) = part.seconds.first_key_value() else {
        return Vec::new();
    };
    let last = part.seconds.last_key_value().map_or(*first, |(last, _)| *last);
    let line = |at: u64| {
        let Some(second) = part.seconds.get(&at) else {
            return SecondLine { at_s: at - first, ..SecondLine::default() };
        };
        // Packed by ourselves, or checked when the report was read.
        let hist = second.latency.unpack().unwrap_or_default();
        SecondLine {
            at_s: at - first,
            delivered: second.delivered,
            bytes: second.bytes,
            connected: second.connected,
            p50_us: hist.quantile(0.5),
            p99_us: hist.quantile(0.99),
            p99_9_us: hist.quantile(0.999),
            max_us: hist.max(),
        }
    };
    if last - first < FILLED_SECONDS_MAX {
        (*first..=last).map(line).collect()
    } else {
        part.seconds.keys().copied().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::{Second, SkewSample};

    fn hist(values: impl IntoIterator<Item = u64>) -> Hist {
        let mut hist = Hist::default();
        values.into_iter().for_each(|value| hist.record(value));
        hist
    }

    fn built(part: Part, published: Option<Published>) -> RunResult {
        RunResult::new(Environment::default(), part, published, &Notes::default())
    }

    fn second(latency: &Hist) -> Second {
        Second { delivered: latency.len(), latency: Packed::new(latency), ..Second::default() }
    }

    #[test]
    fn a_tail_quantile_needs_its_number_of_values() {
        for (count, has_p99_9, has_p99_99) in [
            (0, false, false),
            (999, false, false),
            (1_000, true, false),
            (1_001, true, false),
            (9_999, true, false),
            (10_000, true, true),
            (10_001, true, true),
        ] {
            let quantiles = Quantiles::of(&hist((1..=count).map(|_| 7)));
            let has = (quantiles.p99_9.is_some(), quantiles.p99_99.is_some());
            assert_eq!((quantiles.count, has), (count, (has_p99_9, has_p99_99)));
        }
        let quantiles = Quantiles::of(&hist(1..=1_000));
        assert_eq!((quantiles.p50, quantiles.p90, quantiles.p99), (500, 900, 990));
        assert_eq!((quantiles.p99_9, quantiles.max), (Some(999), 1_000));
        assert!((quantiles.mean - 500.5).abs() < 1e-9);
    }

    #[test]
    fn fairness_is_1_when_all_get_the_same_and_1_in_n_when_one_gets_all() {
        for (per_client, expected) in [
            (&[][..], 1.0),
            (&[0, 0], 1.0),
            (&[5, 5, 5, 5], 1.0),
            (&[8, 8, 0, 0], 0.5),
            (&[9, 0, 0, 0], 0.25),
        ] {
            let fairness = fairness(&hist(per_client.iter().copied()));
            assert!((fairness - expected).abs() < 1e-9, "{per_client:?}: {fairness}");
        }
    }

    #[test]
    fn a_second_in_which_nothing_happened_has_a_line_of_zeros() {
        let mut part = Part::default();
        part.seconds.insert(100, second(&hist([5, 5, 9])));
        part.seconds.insert(103, second(&hist([7])));
        let lines = built(part, None).per_second;
        let brief: Vec<_> =
            lines.iter().map(|l| (l.at_s, l.delivered, l.p50_us, l.max_us)).collect();
        assert_eq!(brief, [(0, 3, 5, 9), (1, 0, 0, 0), (2, 0, 0, 0), (3, 1, 7, 7)]);
        assert!(built(Part::default(), None).per_second.is_empty());
    }

    #[test]
    fn seconds_that_lie_too_far_apart_are_not_filled_in() {
        for (last, lines) in
            [(FILLED_SECONDS_MAX - 1, FILLED_SECONDS_MAX), (FILLED_SECONDS_MAX, 2), (u64::MAX, 2)]
        {
            let mut part = Part::default();
            part.seconds.insert(0, Second::default());
            part.seconds.insert(last, Second::default());
            let per_second = built(part, None).per_second;
            assert_eq!((per_second.len() as u64, per_second.last().unwrap().at_s), (lines, last));
        }
    }

    #[test]
    fn only_events_that_two_clients_had_have_a_skew() {
        let mut part = Part::default();
        for (event, first_us, last_us, clients) in
            [("a", 10, 10, 1), ("b", 10, 35, 2), ("c", 10, 110, 9)]
        {
            part.skew.insert(event.to_owned(), SkewSample { first_us, last_us, clients });
        }
        let skew = built(part, None).skew_us;
        assert_eq!((skew.events, skew.last_less_first.p50, skew.last_less_first.max), (2, 25, 100));
    }

    #[test]
    fn with_a_note_there_is_no_latency_anywhere() {
        let latency = hist([3, 4]);
        let mut part = Part::default();
        part.latency.scheduled = latency.clone();
        part.latency.actual = latency.clone();
        part.seconds.insert(1, second(&latency));
        assert!(built(part.clone(), None).latency_us.is_some());
        let notes = Notes { latency_note: Some("two clocks".to_owned()), ..Notes::default() };
        let result = RunResult::new(Environment::default(), part, None, &notes);
        assert_eq!((&result.latency_us, &result.latency_note), (&None, &notes.latency_note));
        assert_eq!((result.per_second[0].delivered, result.per_second[0].max_us), (2, 0));
        assert_eq!(result.detail.latency, Latency::default());
        assert_eq!(result.detail.seconds[&1].latency, Packed::default());
    }

    #[test]
    fn rates_are_over_the_measured_time() {
        let mut part = Part::default();
        part.effort.measured_s = 4.0;
        part.counts.measured = 1_000;
        (part.traffic.bytes, part.traffic.messages, part.traffic.reads) = (8_000, 30, 10);
        let published = Published { accepted: 90, seconds: 3.0, ..Published::default() };
        let rates = built(part, Some(published)).rates;
        let got = [rates.delivered_per_s, rates.bytes_per_s, rates.messages_per_read];
        assert_eq!(got, [250.0, 2_000.0, 3.0]);
        assert_eq!(rates.published_per_s, Some(30.0));
        assert_eq!(built(Part::default(), None).rates.delivered_per_s, 0.0);
    }

    #[test]
    fn clients_of_all_kinds_are_added_and_kept_apart() {
        let group = |asked, closed| Group { asked, connected: asked, closed, ..Group::default() };
        let mut part = Part { clients: group(10, 0), ..Part::default() };
        part.faulty.insert("slow".to_owned(), group(3, 2));
        let clients = built(part, None).clients;
        assert_eq!((clients.asked, clients.connected, clients.closed), (13, 13, 2));
        assert_eq!((clients.strict.closed, clients.faulty["slow"].closed), (0, 2));
    }

    #[test]
    fn faults_of_clients_and_publisher_are_told_up_to_a_number_each() {
        let faults = |count: usize| vec!["a fault".to_owned(); count];
        let part = Part { faults: faults(FAULTS_TOLD_MAX), ..Part::default() };
        for (count, told) in [(19, 19), (20, 20), (21, 20)] {
            let published = Published { faults: faults(count), ..Published::default() };
            let result = built(part.clone(), Some(published));
            assert_eq!(result.faults.len(), FAULTS_TOLD_MAX + told);
        }
    }
}
