//! The figures that `--fail-if` knows: one table for the parser, the help and the documentation.
//!
//! A figure that a run did not measure is none, never 0: an expression over it must fail and say why.

use std::fmt::Write as _;

use super::{Quantiles, RunResult};

/// What a metric counts in, and what 100 % of it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Microseconds of latency, which a run can lack for a reason of its own (see `RunResult::latency_note`).
    Latency,
    /// Other microseconds.
    Time,
    /// Deliveries; the whole are those expected.
    Deliveries,
    /// Clients; the whole are the strictly judged ones that were asked for.
    Clients,
    /// CPU; the whole is one core.
    Cores,
    /// Any other number.
    Number,
}

impl Kind {
    /// Whether values need a unit of time.
    pub(super) fn is_time(self) -> bool {
        matches!(self, Self::Latency | Self::Time)
    }

    /// Whether a value can be a share.
    pub(super) fn has_whole(self) -> bool {
        matches!(self, Self::Deliveries | Self::Clients | Self::Cores)
    }

    /// What 100 % is in this result; none where nothing was due.
    pub(super) fn whole(self, result: &RunResult) -> Option<f64> {
        let whole = match self {
            Self::Deliveries => real(result.events.expected)?,
            Self::Clients => real(result.clients.strict.asked)?,
            Self::Cores => 1.0,
            Self::Latency | Self::Time | Self::Number => return None,
        };
        (whole > 0.0).then_some(whole)
    }

    /// The units that a value can have.
    fn units(self) -> &'static str {
        match self {
            Self::Latency | Self::Time => "us ms s",
            Self::Deliveries | Self::Clients => "k m %",
            Self::Cores => "%",
            Self::Number => "k m",
        }
    }
}

/// A metric: name, kind, meaning, and where it stands.
pub(super) struct Metric {
    /// As it is written in an expression.
    pub(super) name: &'static str,
    /// Its unit.
    pub(super) kind: Kind,
    meaning: &'static str,
    /// None: it was not measured.
    pub(super) of: Figure,
}

/// Finds a figure in a result.
type Figure = fn(&RunResult) -> Option<f64>;

#[expect(clippy::cast_precision_loss, reason = "figures for comparing; exact below 2^53")]
fn real(count: u64) -> Option<f64> {
    Some(count as f64)
}

/// Latency from due where it is known, else from publishing.
pub(super) fn latency(result: &RunResult) -> Option<Quantiles> {
    let latency = result.latency_us.as_ref()?;
    latency.scheduled.or(latency.actual)
}

fn actual(result: &RunResult) -> Option<Quantiles> {
    result.latency_us.as_ref()?.actual
}

fn filled(quantiles: Quantiles) -> Option<Quantiles> {
    (quantiles.count > 0).then_some(quantiles)
}

fn connect(result: &RunResult) -> Option<Quantiles> {
    filled(result.connect_us)
}

fn skew(result: &RunResult) -> Option<Quantiles> {
    filled(result.skew_us.last_less_first)
}

/// By the publisher's own clock, so known even where latency is not.
fn delay(result: &RunResult) -> Option<Quantiles> {
    filled(Quantiles::of(&result.published.as_ref()?.delay))
}

/// What is divided by the measured time has no value without one.
fn per_s(result: &RunResult, rate: f64) -> Option<f64> {
    (result.rates.measured_s > 0.0).then_some(rate)
}

fn cpu_per_delivery(result: &RunResult) -> Option<f64> {
    let measured = result.detail.counts.measured + result.detail.faulty_counts.measured;
    (measured > 0).then_some(result.generator.cpu_us_per_delivery)
}

fn fairness(result: &RunResult) -> Option<f64> {
    (!result.detail.per_client.is_empty()).then_some(result.rates.fairness)
}

const fn metric(name: &'static str, kind: Kind, meaning: &'static str, of: Figure) -> Metric {
    Metric { name, kind, meaning, of }
}

/// All metrics, in the order of the lesson.
pub(super) const METRICS: [Metric; 38] = {
    use Kind::{Clients, Cores, Deliveries, Latency, Number, Time};
    [
        metric("p50", Latency, "latency from due (else from publishing), median", |r| {
            real(latency(r)?.p50)
        }),
        metric("p90", Latency, "90 %", |r| real(latency(r)?.p90)),
        metric("p99", Latency, "99 %", |r| real(latency(r)?.p99)),
        metric("p99.9", Latency, "99.9 %; not measured below 1,000 values", |r| {
            real(latency(r)?.p99_9?)
        }),
        metric("p99.99", Latency, "99.99 %; not measured below 10,000 values", |r| {
            real(latency(r)?.p99_99?)
        }),
        metric("max", Latency, "the largest", |r| real(latency(r)?.max)),
        metric("mean", Latency, "the mean", |r| Some(latency(r)?.mean)),
        metric("actual.p50", Latency, "latency from publishing, median", |r| real(actual(r)?.p50)),
        metric("actual.p90", Latency, "90 %", |r| real(actual(r)?.p90)),
        metric("actual.p99", Latency, "99 %", |r| real(actual(r)?.p99)),
        metric("actual.p99.9", Latency, "99.9 %", |r| real(actual(r)?.p99_9?)),
        metric("actual.p99.99", Latency, "99.99 %", |r| real(actual(r)?.p99_99?)),
        metric("actual.max", Latency, "the largest", |r| real(actual(r)?.max)),
        metric("actual.mean", Latency, "the mean", |r| Some(actual(r)?.mean)),
        metric("connect.p50", Time, "from connecting to the 101, median", |r| {
            real(connect(r)?.p50)
        }),
        metric("connect.p99", Time, "99 %", |r| real(connect(r)?.p99)),
        metric("connect.max", Time, "the largest", |r| real(connect(r)?.max)),
        metric("skew.p50", Time, "last client less first client, median", |r| real(skew(r)?.p50)),
        metric("skew.p99", Time, "99 %", |r| real(skew(r)?.p99)),
        metric("delay.p99", Time, "how late events were published, 99 %", |r| real(delay(r)?.p99)),
        metric("lost", Deliveries, "events that never came, though nothing said so", |r| {
            real(r.events.lost)
        }),
        metric("duplicated", Deliveries, "events that came again", |r| real(r.events.duplicated)),
        metric("reordered", Deliveries, "events that came after a later one", |r| {
            real(r.events.reordered)
        }),
        metric("corrupt", Deliveries, "payloads with a wrong checksum", |r| real(r.events.corrupt)),
        metric("gap_events", Deliveries, "events that gaps announced as skipped", |r| {
            real(r.events.gap_events)
        }),
        metric("delivered", Deliveries, "deliveries", |r| real(r.events.delivered)),
        metric("gaps", Number, "gap messages", |r| real(r.events.announced_gaps)),
        metric("breaches", Number, "messages that break the protocol", |r| real(r.events.breaches)),
        metric("failed", Clients, "clients that could not connect", |r| {
            real(r.clients.strict.failed)
        }),
        metric("closed", Clients, "clients that the server closed", |r| {
            real(r.clients.strict.closed)
        }),
        metric("delivered_per_s", Number, "deliveries per second", |r| {
            per_s(r, r.rates.delivered_per_s)
        }),
        metric("published_per_s", Number, "events published per second, by this program", |r| {
            r.rates.published_per_s
        }),
        metric("bytes_per_s", Number, "bytes per second, over all clients", |r| {
            per_s(r, r.rates.bytes_per_s)
        }),
        metric("per_read", Number, "messages per read: how much the server put together", |r| {
            (r.detail.traffic.reads > 0).then_some(r.rates.messages_per_read)
        }),
        metric("fairness", Number, "1: all clients got the same", fairness),
        metric("cpu", Cores, "the generator's busiest client thread, of a core", |r| {
            per_s(r, r.generator.busiest)
        }),
        metric("cpu_per_delivery", Time, "the generator's CPU time", cpu_per_delivery),
        metric("limited", Number, "1: the generator was the bottleneck", |r| {
            Some(f64::from(u8::from(r.generator.limited)))
        }),
    ]
};

/// The table of all metrics, for `--help` and the documentation.
#[must_use]
pub fn lesson() -> String {
    let mut text = String::new();
    for metric in &METRICS {
        // Writing to a string cannot fail.
        let _ =
            writeln!(text, "  {:<16} {:<8} {}", metric.name, metric.kind.units(), metric.meaning);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Part;
    use crate::result::{Environment, Notes};

    #[test]
    fn the_lesson_has_every_metric_once() {
        let lesson = lesson();
        for metric in &METRICS {
            let start = format!("  {} ", metric.name);
            let told = lesson.lines().filter(|line| line.starts_with(&start)).count();
            assert_eq!(told, 1, "{}", metric.name);
        }
    }

    #[test]
    fn a_run_that_measured_nothing_has_only_counts() {
        let empty =
            RunResult::new(Environment::default(), Part::default(), None, &Notes::default());
        let known = METRICS.iter().filter(|metric| (metric.of)(&empty).is_some());
        let known: Vec<&str> = known.map(|metric| metric.name).collect();
        let counts = "lost duplicated reordered corrupt gap_events delivered gaps breaches failed closed limited";
        assert_eq!(known.join(" "), counts);
    }
}
