//! The chain's metrics: what its last step told, as Prometheus reads it.
//!
//! Set once per step by the thread that steps the chain; read at a scrape. Nothing is counted here: a counter is moved
//! on to what the ledger has counted.

use crate::event::ChainValidators;
use prometheus::core::Collector;
use prometheus::{Gauge, IntCounter, IntGauge, IntGaugeVec, Opts};

/// A copy of what the chain counts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Figures {
    pub(super) submitted: u64,
    pub(super) rejected: u64,
    pub(super) committed: u64,
    pub(super) committed_bytes: u64,
    pub(super) trades: u64,
    pub(super) waiting: u64,
    pub(super) tps: u64,
    pub(super) latency_us: u64,
    pub(super) blocks: u64,
    pub(super) nodes: u64,
    pub(super) validators: ChainValidators,
    pub(super) jailings: u64,
    pub(super) releases: u64,
}

/// One handle per metric.
#[derive(Debug)]
pub(super) struct Metrics {
    submitted: IntCounter,
    rejected: IntCounter,
    committed: IntCounter,
    committed_bytes: IntCounter,
    trades: IntCounter,
    waiting: IntGauge,
    tps: IntGauge,
    latency: Gauge,
    blocks: IntCounter,
    nodes: IntGauge,
    /// By the label `state`.
    validators: IntGaugeVec,
    /// Of those that are active, inactive and jailed.
    states: [IntGauge; 3],
    jailings: IntCounter,
    releases: IntCounter,
}

impl Default for Metrics {
    fn default() -> Self {
        let validators = IntGaugeVec::new(
            Opts::new("lineage_chain_validators", "Validators by what they do."),
            &["state"],
        )
        .expect("the names are valid");
        let states = ["active", "inactive", "jailed"];
        Self {
            submitted: counter(
                "lineage_chain_transactions_submitted_total",
                "Transactions that arrived at the simulated ledger.",
            ),
            rejected: counter(
                "lineage_chain_transactions_rejected_total",
                "Transactions that found no room in the mempool.",
            ),
            committed: counter(
                "lineage_chain_transactions_committed_total",
                "Transactions that were committed.",
            ),
            committed_bytes: counter(
                "lineage_chain_committed_bytes_total",
                "Bytes of the committed transactions.",
            ),
            trades: counter(
                "lineage_chain_trades_total",
                "Trades that arrived as single transactions.",
            ),
            waiting: gauge("lineage_chain_mempool_transactions", "Transactions that wait."),
            tps: gauge("lineage_chain_tps", "Transactions committed in the last second."),
            latency: Gauge::new(
                "lineage_chain_commit_latency_seconds",
                "Mean time from arrival to commit of the last second's transactions.",
            )
            .expect("the name is valid"),
            blocks: counter("lineage_chain_blocks_total", "Blocks that were sealed."),
            nodes: gauge("lineage_chain_active_nodes", "Nodes that serve."),
            // A family with labels is there once it has values.
            states: states.map(|state| validators.with_label_values(&[state])),
            validators,
            jailings: counter("lineage_chain_jailings_total", "Times a validator was jailed."),
            releases: counter("lineage_chain_releases_total", "Times a validator was released."),
        }
    }
}

impl Metrics {
    /// All of them, each to be registered once.
    pub(super) fn collectors(&self) -> Vec<Box<dyn Collector>> {
        let counters = [
            &self.submitted,
            &self.rejected,
            &self.committed,
            &self.committed_bytes,
            &self.trades,
            &self.blocks,
            &self.jailings,
            &self.releases,
        ];
        let gauges = [&self.waiting, &self.tps, &self.nodes];
        let counters = counters.map(|counter| Box::new(counter.clone()) as Box<dyn Collector>);
        let gauges = gauges.map(|gauge| Box::new(gauge.clone()) as Box<dyn Collector>);
        let mut all: Vec<Box<dyn Collector>> = counters.into_iter().chain(gauges).collect();
        all.push(Box::new(self.latency.clone()));
        all.push(Box::new(self.validators.clone()));
        all
    }

    /// Moves on to what the chain told.
    pub(super) fn set(&self, figures: &Figures) {
        for (counter, value) in [
            (&self.submitted, figures.submitted),
            (&self.rejected, figures.rejected),
            (&self.committed, figures.committed),
            (&self.committed_bytes, figures.committed_bytes),
            (&self.trades, figures.trades),
            (&self.blocks, figures.blocks),
            (&self.jailings, figures.jailings),
            (&self.releases, figures.releases),
        ] {
            counter.inc_by(value.saturating_sub(counter.get()));
        }
        self.waiting.set(figures.waiting.cast_signed());
        self.tps.set(figures.tps.cast_signed());
        self.nodes.set(figures.nodes.cast_signed());
        self.latency.set(figures.latency_us as f64 / 1e6);
        let ChainValidators { active_validators, inactive_validators, jailed_validators, .. } =
            figures.validators;
        let counts = [active_validators, inactive_validators, jailed_validators];
        for (gauge, count) in self.states.iter().zip(counts) {
            gauge.set(count.into());
        }
    }
}

fn counter(name: &str, help: &str) -> IntCounter {
    IntCounter::new(name, help).expect("the name is valid")
}

fn gauge(name: &str, help: &str) -> IntGauge {
    IntGauge::new(name, help).expect("the name is valid")
}

#[cfg(test)]
mod tests {
    use super::{Figures, Metrics};
    use crate::event::ChainValidators;
    use prometheus::{Registry, TextEncoder};

    fn text(metrics: &Metrics) -> Vec<String> {
        let registry = Registry::new();
        for collector in metrics.collectors() {
            registry.register(collector).expect("each name stands once");
        }
        let text = TextEncoder::new().encode_to_string(&registry.gather()).expect("samples");
        text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
    }

    #[test]
    fn every_figure_is_told_under_its_name_and_counters_move_on() {
        let metrics = Metrics::default();
        let figures = Figures {
            submitted: 1,
            rejected: 2,
            committed: 3,
            committed_bytes: 4,
            trades: 5,
            waiting: 6,
            tps: 7,
            latency_us: 8_500,
            blocks: 9,
            nodes: 10,
            validators: ChainValidators {
                total_validators: 36,
                active_validators: 11,
                inactive_validators: 12,
                jailed_validators: 13,
            },
            jailings: 14,
            releases: 15,
        };
        metrics.set(&Figures { submitted: 1, ..Figures::default() });
        metrics.set(&figures);
        metrics.set(&figures);
        let expected = [
            "lineage_chain_active_nodes 10",
            "lineage_chain_blocks_total 9",
            "lineage_chain_commit_latency_seconds 0.0085",
            "lineage_chain_committed_bytes_total 4",
            "lineage_chain_jailings_total 14",
            "lineage_chain_mempool_transactions 6",
            "lineage_chain_releases_total 15",
            "lineage_chain_tps 7",
            "lineage_chain_trades_total 5",
            "lineage_chain_transactions_committed_total 3",
            "lineage_chain_transactions_rejected_total 2",
            "lineage_chain_transactions_submitted_total 1",
            "lineage_chain_validators{state=\"active\"} 11",
            "lineage_chain_validators{state=\"inactive\"} 12",
            "lineage_chain_validators{state=\"jailed\"} 13",
        ];
        assert_eq!(text(&metrics), expected);
    }

    #[test]
    fn every_name_is_there_before_the_first_step() {
        assert_eq!(text(&Metrics::default()).len(), 15);
    }
}
