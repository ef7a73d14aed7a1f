//! What the data collector and the metrics calculator count, each figure under the name of the engine and under the
//! one that dashboards of earlier systems ask for.
//!
//! Nothing is counted that did not happen: no broker and no upstream is configured here, so there are no figures of
//! messages, reconnects or errors of theirs, and the gauge of upstream connections stands at 0.
//!
//! Written by the pipeline's thread, one relaxed addition per name; read at a scrape by any thread.

use super::LeftOut;
use prometheus::core::Collector;
use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts};
use std::time::Duration;

/// Upper bounds of the calculation's durations, in seconds: a candle takes about a microsecond.
const CALCULATION_BOUNDS_S: [f64; 10] = [
    0.000_000_5,
    0.000_001,
    0.000_002,
    0.000_005,
    0.000_01,
    0.000_02,
    0.000_05,
    0.000_1,
    0.001,
    0.01,
];

/// All figures of the pipeline's candles and indicators.
#[derive(Debug)]
pub struct Metrics {
    trades: IntCounter,
    left_out: IntCounterVec,
    missed: IntCounter,
    candles_received: Twin<IntCounter>,
    candles_published: Twin<IntCounter>,
    websocket_connections: Twin<IntGauge>,
    candles_processed: Twin<IntCounter>,
    metrics_calculated: Twin<IntCounter>,
    calculation_duration: Twin<Histogram>,
}

/// One figure under two names.
#[derive(Debug)]
struct Twin<M> {
    ours: M,
    compatible: M,
}

impl<M> Twin<M> {
    fn new(ours: &str, compatible: &str, make: impl Fn(&str) -> M) -> Self {
        Self { ours: make(ours), compatible: make(compatible) }
    }

    fn each(&self, change: impl Fn(&M)) {
        change(&self.ours);
        change(&self.compatible);
    }
}

impl<M: Collector + Clone + 'static> Twin<M> {
    fn boxed(&self) -> [Box<dyn Collector>; 2] {
        [Box::new(self.ours.clone()), Box::new(self.compatible.clone())]
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All zero.
    ///
    /// # Panics
    /// Never: the names are valid.
    #[must_use]
    pub fn new() -> Self {
        let left_out = Opts::new(
            "lineage_collector_trades_left_out_total",
            "Trades that are in no candle, by reason.",
        );
        let left_out = IntCounterVec::new(left_out, &["reason"]).expect("the names are valid");
        for reason in LeftOut::ALL {
            left_out.with_label_values(&[reason.word()]);
        }
        Self {
            trades: counter("lineage_collector_trades_total", "Trades that are in candles."),
            left_out,
            missed: counter(
                "lineage_pipeline_events_missed_total",
                "Events that the pipeline did not see because its tap was full.",
            ),
            candles_received: Twin::new(
                "lineage_collector_candles_received_total",
                "data_collector_candles_received_total",
                |name| {
                    counter(
                        name,
                        "Candles that trades gave, running ones at each update, and final ones.",
                    )
                },
            ),
            candles_published: Twin::new(
                "lineage_collector_candles_published_total",
                "data_collector_candles_published_total",
                |name| counter(name, "Candles that were published."),
            ),
            websocket_connections: Twin::new(
                "lineage_collector_websocket_connections",
                "data_collector_websocket_connections",
                |name| gauge(name, "WebSocket connections to upstream feeds."),
            ),
            candles_processed: Twin::new(
                "lineage_calculator_candles_processed_total",
                "metrics_calculator_candles_processed_total",
                |name| counter(name, "Final candles that the calculator has taken."),
            ),
            metrics_calculated: Twin::new(
                "lineage_calculator_metrics_calculated_total",
                "metrics_calculator_metrics_calculated_total",
                |name| counter(name, "Values of indicators that were calculated."),
            ),
            calculation_duration: Twin::new(
                "lineage_calculator_calculation_duration_seconds",
                "metrics_calculator_calculation_duration_seconds",
                |name| histogram(name, "Time to calculate the indicators after a candle."),
            ),
        }
    }

    /// The families under the names of the engine, to be registered.
    #[must_use]
    pub fn collectors(&self) -> Vec<Box<dyn Collector>> {
        let own: [Box<dyn Collector>; 3] = [
            Box::new(self.trades.clone()),
            Box::new(self.left_out.clone()),
            Box::new(self.missed.clone()),
        ];
        own.into_iter().chain(self.twins().map(|[ours, _]| ours)).collect()
    }

    /// The families under the names that earlier dashboards ask for, to be registered where those are wanted.
    #[must_use]
    pub fn compatible_collectors(&self) -> Vec<Box<dyn Collector>> {
        self.twins().map(|[_, compatible]| compatible).collect()
    }

    fn twins(&self) -> impl Iterator<Item = [Box<dyn Collector>; 2]> {
        [
            self.candles_received.boxed(),
            self.candles_published.boxed(),
            self.websocket_connections.boxed(),
            self.candles_processed.boxed(),
            self.metrics_calculated.boxed(),
            self.calculation_duration.boxed(),
        ]
        .into_iter()
    }

    pub(super) fn trade(&self, outcome: Result<(), LeftOut>) {
        match outcome {
            Ok(()) => self.trades.inc(),
            Err(reason) => self.left_out.with_label_values(&[reason.word()]).inc(),
        }
    }

    pub(super) fn missed(&self, events: u64) {
        self.missed.inc_by(events);
    }

    pub(super) fn candles_received(&self, count: u64) {
        self.candles_received.each(|counter| counter.inc_by(count));
    }

    pub(super) fn candles_published(&self, count: u64) {
        self.candles_published.each(|counter| counter.inc_by(count));
    }

    pub(super) fn calculated(&self, values: u64, duration: Duration) {
        self.candles_processed.each(IntCounter::inc);
        self.metrics_calculated.each(|counter| counter.inc_by(values));
        self.calculation_duration.each(|histogram| histogram.observe(duration.as_secs_f64()));
    }
}

fn counter(name: &str, help: &str) -> IntCounter {
    IntCounter::new(name, help).expect("the name is valid")
}

fn gauge(name: &str, help: &str) -> IntGauge {
    IntGauge::new(name, help).expect("the name is valid")
}

fn histogram(name: &str, help: &str) -> Histogram {
    let options = HistogramOpts::new(name, help).buckets(CALCULATION_BOUNDS_S.to_vec());
    Histogram::with_opts(options).expect("the name is valid and the bounds ascend")
}

#[cfg(test)]
mod tests {
    use super::Metrics;
    use crate::pipeline::LeftOut;
    use crate::telemetry::Telemetry;
    use std::time::Duration;

    #[test]
    fn s56_s57_each_figure_stands_under_both_names_with_the_same_value() {
        let (telemetry, metrics) = (Telemetry::new(1), Metrics::new());
        for collector in metrics.collectors().into_iter().chain(metrics.compatible_collectors()) {
            telemetry.register(collector).expect("the names differ");
        }
        metrics.trade(Ok(()));
        metrics.trade(Err(LeftOut::Late));
        metrics.missed(5);
        metrics.candles_received(3);
        metrics.candles_published(2);
        metrics.calculated(4, Duration::from_micros(1));
        let text = String::from_utf8(telemetry.text()).unwrap();
        for line in [
            "lineage_collector_trades_total 1",
            "lineage_collector_trades_left_out_total{reason=\"late\"} 1",
            "lineage_collector_trades_left_out_total{reason=\"symbols\"} 0",
            "lineage_pipeline_events_missed_total 5",
            "lineage_collector_candles_received_total 3",
            "data_collector_candles_received_total 3",
            "lineage_collector_candles_published_total 2",
            "data_collector_candles_published_total 2",
            "lineage_collector_websocket_connections 0",
            "# TYPE data_collector_websocket_connections gauge",
            "data_collector_websocket_connections 0",
            "lineage_calculator_candles_processed_total 1",
            "metrics_calculator_candles_processed_total 1",
            "lineage_calculator_metrics_calculated_total 4",
            "metrics_calculator_metrics_calculated_total 4",
            "# TYPE metrics_calculator_calculation_duration_seconds histogram",
            "metrics_calculator_calculation_duration_seconds_bucket{le=\"0.000001\"} 1",
            "lineage_calculator_calculation_duration_seconds_count 1",
        ] {
            assert!(text.lines().any(|found| found == line), "no line {line:?}");
        }
        for absent in ["nats_", "websocket_reconnects", "websocket_errors", "db_insert"] {
            assert!(!text.contains(absent), "{absent} is told, and nothing does it");
        }
    }
}
