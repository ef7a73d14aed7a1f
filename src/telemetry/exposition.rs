//! The counters as Prometheus sees them: one collector that reads everything at a scrape.
//!
//! Runs on the thread of whoever asks for the text, never on a shard. It holds no state between scrapes, so any
//! number of scrapers see the same counters.

use super::latency::{BUCKET_BOUNDS_US, LatencySnapshot, QUANTILES};
use super::table::{Description, Kind, Unit};
use super::{Cells, EngineCounter, Probe, ShardCounter};
use crate::error::Error;
use crate::sync::Arc;
use prometheus::core::{Collector, Desc};
use prometheus::{Encoder, Registry, TextEncoder, proto};
use std::collections::HashMap;

const LATENCY: &str = "lineage_delivery_latency_seconds";
const LATENCY_HELP: &str = "Time from publish until an event was written to a connection, since the start; \
     a histogram: add it up over shards and machines, and use histogram_quantile.";
const LATENCY_SUMMARY: &str = "lineage_delivery_latency_recent_seconds";
const LATENCY_SUMMARY_HELP: &str = "Time from publish until an event was written to a connection: exact quantiles \
     over the last 30 to 60 seconds, sum and count since the start; a summary: it cannot be added up over machines.";

/// The registry with the engine's collector and the process's.
#[derive(Debug)]
pub(super) struct Exposition(Registry);

impl Exposition {
    pub(super) fn new(cells: Arc<Cells>) -> Self {
        let registry = Registry::new();
        let engine = EngineCollector {
            cells,
            identity: Desc::new("lineage".into(), "The engine.".into(), Vec::new(), HashMap::new())
                .expect("the name is valid"),
        };
        registry.register(Box::new(engine)).expect("an empty registry takes any collector");
        #[cfg(target_os = "linux")]
        registry
            .register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))
            .expect("the process collector's names differ from ours");
        Self(registry)
    }

    pub(super) fn register(&self, collector: Box<dyn Collector>) -> Result<(), Error> {
        let added = self.0.register(collector);
        added.map_err(|error| Error::Config(format!("metrics: {error}")))
    }

    /// The families whose names begin with one of `prefixes`.
    pub(super) fn text(&self, prefixes: &[&str]) -> Vec<u8> {
        let mut families = self.0.gather();
        families.retain(|family| prefixes.iter().any(|prefix| family.name().starts_with(prefix)));
        let mut text = Vec::with_capacity(16 * 1024);
        TextEncoder::new()
            .encode(&families, &mut text)
            .expect("writing to memory succeeds, and families without samples are left out before");
        text
    }
}

/// Reads the cells when asked.
struct EngineCollector {
    cells: Arc<Cells>,
    /// A registry tells collectors apart by their descriptors; the families themselves are made at each scrape.
    identity: Desc,
}

impl Collector for EngineCollector {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.identity]
    }

    fn collect(&self) -> Vec<proto::MetricFamily> {
        let mut families = Families::default();
        for &counter in ShardCounter::ALL {
            for shard in 0..self.cells.shards.len() {
                let value = self.cells.shard_value(shard, counter);
                families.add(
                    &counter.description(),
                    vec![label("shard", &shard.to_string())],
                    value,
                );
            }
        }
        for &counter in EngineCounter::ALL {
            let value = self.cells.engine[counter as usize].load(super::Ordering::Relaxed);
            families.add(&counter.description(), Vec::new(), value);
        }
        let connections = (0..self.cells.shards.len())
            .map(|shard| self.cells.shard_value(shard, ShardCounter::Connections))
            .sum();
        families.add(&ACTIVE_CONNECTIONS, Vec::new(), connections);
        families.add(&UPTIME, Vec::new(), self.cells.uptime_us());
        families.add(&BUILD_INFO, build_labels(), 1);
        if let Some(probe) = self.cells.probe() {
            for (description, value) in probe_rows(&probe) {
                families.add(&description, Vec::new(), value);
            }
        }
        let latency = self.cells.latency.snapshot();
        let mut all = families.0;
        all.push(latency_histogram(&latency));
        all.push(latency_summary(&latency));
        all
    }
}

const ACTIVE_CONNECTIONS: Description =
    gauge("lineage_active_connections", "Open connections.", Unit::Things);
const UPTIME: Description =
    gauge("lineage_uptime_seconds", "Time since the engine started.", Unit::Microseconds);
const BUILD_INFO: Description =
    gauge("lineage_build_info", "Always 1; the labels say what runs.", Unit::Things);

const fn gauge(name: &'static str, help: &'static str, unit: Unit) -> Description {
    Description { name, label: None, help, kind: Kind::Gauge, unit }
}

const fn counter(name: &'static str, help: &'static str, unit: Unit) -> Description {
    Description { name, label: None, help, kind: Kind::Counter, unit }
}

fn build_labels() -> Vec<proto::LabelPair> {
    let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
    vec![
        label("arch", std::env::consts::ARCH),
        label("os", std::env::consts::OS),
        label("profile", profile),
        label("version", env!("CARGO_PKG_VERSION")),
    ]
}

fn probe_rows(probe: &Probe) -> [(Description, u64); 8] {
    [
        (
            gauge("lineage_ring_depth", "Events that wait in the rings.", Unit::Things),
            probe.ring_depth,
        ),
        (gauge("lineage_ring_capacity", "Slots of one ring.", Unit::Things), probe.ring_capacity),
        (
            counter("lineage_wakes_total", "Wake-ups sent to sleeping shards.", Unit::Things),
            probe.wakes,
        ),
        (
            gauge(
                "lineage_log_head",
                "Position that the next event gets in the stream.",
                Unit::Things,
            ),
            probe.log_head,
        ),
        (
            counter("lineage_log_bytes_total", "Bytes appended to the log.", Unit::Bytes),
            probe.log_bytes,
        ),
        (gauge("lineage_topics", "Registered topics.", Unit::Things), probe.topics),
        (
            gauge(
                "lineage_descriptors_max",
                "File descriptors the process may open.",
                Unit::Things,
            ),
            probe.fd_limit,
        ),
        (
            gauge(
                "lineage_connections_max",
                "Connections the server accepts at most.",
                Unit::Things,
            ),
            probe.connections_max,
        ),
    ]
}

/// Families under construction; rows of one name follow each other.
#[derive(Default)]
struct Families(Vec<proto::MetricFamily>);

impl Families {
    /// Adds a sample with the labels `labels` and the row's own.
    fn add(&mut self, row: &Description, mut labels: Vec<proto::LabelPair>, raw: u64) {
        if let Some((name, value)) = row.label {
            labels.push(label(name, value));
        }
        let metric = metric(labels, row.kind, row.exposed(raw));
        let kind = match row.kind {
            Kind::Counter => proto::MetricType::COUNTER,
            Kind::Gauge => proto::MetricType::GAUGE,
        };
        match self.0.last_mut() {
            Some(family) if family.name() == row.name => family.mut_metric().push(metric),
            _ => self.0.push(family(row.name, row.help, kind, metric)),
        }
    }
}

/// A value and the label that tells it apart.
pub(super) struct Sample<'a> {
    pub(super) label: Option<(&'a str, &'a str)>,
    pub(super) value: f64,
}

/// A family of these samples; the registry leaves it out when there are none.
pub(super) fn family_of(
    name: &str,
    help: &str,
    kind: Kind,
    samples: &[Sample<'_>],
) -> proto::MetricFamily {
    let mut family = proto::MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(match kind {
        Kind::Counter => proto::MetricType::COUNTER,
        Kind::Gauge => proto::MetricType::GAUGE,
    });
    for sample in samples {
        let labels = sample.label.iter().map(|(name, value)| label(name, value)).collect();
        family.mut_metric().push(metric(labels, kind, sample.value));
    }
    family
}

fn metric(labels: Vec<proto::LabelPair>, kind: Kind, value: f64) -> proto::Metric {
    let mut metric = proto::Metric::from_label(labels);
    match kind {
        Kind::Counter => {
            let mut counter = proto::Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        }
        Kind::Gauge => {
            let mut gauge = proto::Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
    }
    metric
}

fn family(
    name: &str,
    help: &str,
    kind: proto::MetricType,
    metric: proto::Metric,
) -> proto::MetricFamily {
    let mut family = proto::MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.mut_metric().push(metric);
    family
}

fn label(name: &str, value: &str) -> proto::LabelPair {
    let mut pair = proto::LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value.to_owned());
    pair
}

fn seconds(us: u64) -> f64 {
    gauge("", "", Unit::Microseconds).exposed(us)
}

fn latency_histogram(latency: &LatencySnapshot) -> proto::MetricFamily {
    let buckets = BUCKET_BOUNDS_US.iter().zip(latency.cumulative).map(|(bound_us, count)| {
        let mut bucket = proto::Bucket::default();
        bucket.set_upper_bound(seconds(*bound_us));
        bucket.set_cumulative_count(count);
        bucket
    });
    let mut histogram = proto::Histogram::default();
    histogram.set_bucket(buckets.collect());
    histogram.set_sample_count(latency.count);
    histogram.set_sample_sum(seconds(latency.sum_us));
    let mut metric = proto::Metric::default();
    metric.set_histogram(histogram);
    family(LATENCY, LATENCY_HELP, proto::MetricType::HISTOGRAM, metric)
}

fn latency_summary(latency: &LatencySnapshot) -> proto::MetricFamily {
    let quantiles = QUANTILES.iter().enumerate().map(|(place, quantile)| {
        let mut pair = proto::Quantile::default();
        pair.set_quantile(*quantile);
        // Not a number is the format's way to say that nothing was observed.
        pair.set_value(
            latency.quantiles_us.map_or(f64::NAN, |values_us| seconds(values_us[place])),
        );
        pair
    });
    let mut summary = proto::Summary::default();
    summary.set_quantile(quantiles.collect());
    summary.set_sample_count(latency.count);
    summary.set_sample_sum(seconds(latency.sum_us));
    let mut metric = proto::Metric::default();
    metric.set_summary(summary);
    family(LATENCY_SUMMARY, LATENCY_SUMMARY_HELP, proto::MetricType::SUMMARY, metric)
}
