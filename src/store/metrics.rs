//! What the store counts. The families exist only while there is a store: none of them is ever a made-up number.
//!
//! Rows are counted where they are taken, stored or dropped; a scrape only reads.

use crate::sync::{Arc, Flag};
use prometheus::core::Collector;
use prometheus::{Histogram, HistogramOpts, IntCounterVec, IntGauge, Opts};

/// Upper bounds of the buckets of a batch, seconds: one transaction without fsync takes tenths of a millisecond, a
/// large one on a slow disk seconds.
const BOUNDS: [f64; 14] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
];
const INSERT_HELP: &str =
    "Time of one transaction that stores a batch of rows, from its begin to its commit.";
const MISSED_HELP: &str =
    "Events that were gone before the store could look at them: what feeds it was too slow.";
const POOL_HELP: &str = "Open connections to the database of the store.";

/// The counters of one store.
#[derive(Debug)]
pub(super) struct Metrics {
    insert: [Histogram; 2],
    connections: [IntGauge; 2],
    rows: IntCounterVec,
    /// While the thread that writes is there.
    pub(super) is_writing: Flag,
    /// While the disk does not take rows.
    pub(super) is_troubled: Flag,
    /// Events that were gone before they could become rows.
    missed: prometheus::IntCounter,
    /// Rows that a full queue, or a closed store, did not take.
    pub(super) refused: Count,
    /// Rows in the file.
    pub(super) stored: Count,
    /// Rows given up.
    pub(super) failed: Count,
}

/// One count of the family of rows.
#[derive(Debug)]
pub(super) struct Count(prometheus::IntCounter);

impl Count {
    pub(super) fn add(&self, rows: u64) {
        self.0.inc_by(rows);
    }

    pub(super) fn value(&self) -> u64 {
        self.0.get()
    }
}

impl Metrics {
    pub(super) fn new() -> Self {
        let valid = "the names and bounds are constants that the crate accepts";
        let histogram = |name: &str| {
            let options = HistogramOpts::new(name, INSERT_HELP).buckets(BOUNDS.to_vec());
            Histogram::with_opts(options).expect(valid)
        };
        let gauge = |name: &str| IntGauge::new(name, POOL_HELP).expect(valid);
        let help = "Rows handed to the store by what became of them: stored, refused (the queue was full), failed (the \
                    database did not accept them).";
        let rows = Opts::new("lineage_store_rows_total", help);
        let rows = IntCounterVec::new(rows, &["result"]).expect(valid);
        let count = |result: &str| Count(rows.with_label_values(&[result]));
        Self {
            insert: [
                histogram("metrics_calculator_db_insert_duration_seconds"),
                histogram("lineage_calculator_db_insert_duration_seconds"),
            ],
            connections: [
                gauge("database_connection_pool_size"),
                gauge("lineage_database_connection_pool_size"),
            ],
            refused: count("refused"),
            stored: count("stored"),
            failed: count("failed"),
            missed: prometheus::IntCounter::new("lineage_store_events_missed_total", MISSED_HELP)
                .expect(valid),
            rows,
            is_writing: Flag::new(),
            is_troubled: Flag::new(),
        }
    }

    /// So many events were gone before they could become rows.
    pub(super) fn missed(&self, events: u64) {
        self.missed.inc_by(events);
    }

    /// A batch was stored in so many seconds.
    pub(super) fn inserted(&self, seconds: f64) {
        self.insert.iter().for_each(|histogram| histogram.observe(seconds));
    }

    pub(super) fn collectors(&self) -> Vec<Box<dyn Collector>> {
        let ([_, insert], [_, connections]) = (&self.insert, &self.connections);
        vec![
            Box::new(self.rows.clone()),
            Box::new(self.missed.clone()),
            Box::new(insert.clone()),
            Box::new(connections.clone()),
        ]
    }

    /// Under the names of older dashboards.
    pub(super) fn compat_collectors(&self) -> Vec<Box<dyn Collector>> {
        let ([insert, _], [connections, _]) = (&self.insert, &self.connections);
        vec![Box::new(insert.clone()), Box::new(connections.clone())]
    }
}

/// An open connection, counted while it lives.
#[derive(Debug)]
pub(super) struct Counted(Arc<Metrics>);

impl Counted {
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        metrics.connections.iter().for_each(IntGauge::inc);
        Self(metrics)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.connections.iter().for_each(IntGauge::dec);
    }
}
