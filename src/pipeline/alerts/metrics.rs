//! What the alert engine counts. Each count is exposed under our name and, for readers of older dashboards, under theirs.

use prometheus::core::Collector;
use prometheus::{IntCounter, IntGauge};

/// The counts of an alert engine; clones count together.
#[derive(Debug, Clone)]
pub struct Metrics {
    triggered: IntCounter,
    triggered_compat: IntCounter,
    pub(super) active: IntGauge,
    pub(super) subjects_refused: IntCounter,
}

impl Metrics {
    pub(super) fn new() -> Self {
        Self {
            triggered: counter("lineage_alerts_triggered_total", "Alerts that began to fire."),
            triggered_compat: counter(
                "alert_engine_alerts_triggered_total",
                "Alerts that began to fire: lineage_alerts_triggered_total under its older name.",
            ),
            active: IntGauge::new("lineage_alerts_active", "Alerts that are firing.")
                .expect("the name is valid"),
            subjects_refused: counter(
                "lineage_alert_subjects_refused_total",
                "Topics that alert rules are for and that were passed over, because as many as may be are watched.",
            ),
        }
    }

    /// Alerts that began to fire so far.
    #[must_use]
    pub fn triggered(&self) -> u64 {
        self.triggered.get()
    }

    /// Alerts that are firing.
    #[must_use]
    pub fn active(&self) -> i64 {
        self.active.get()
    }

    /// Topics that were passed over because as many subjects as may be are watched.
    #[must_use]
    pub fn subjects_refused(&self) -> u64 {
        self.subjects_refused.get()
    }

    /// For the exposition: our names.
    #[must_use]
    pub fn collectors(&self) -> Vec<Box<dyn Collector>> {
        vec![
            Box::new(self.triggered.clone()),
            Box::new(self.active.clone()),
            Box::new(self.subjects_refused.clone()),
        ]
    }

    /// For the exposition, where older names are wanted too: those.
    #[must_use]
    pub fn compat_collectors(&self) -> Vec<Box<dyn Collector>> {
        vec![Box::new(self.triggered_compat.clone())]
    }

    pub(super) fn fired(&self) {
        self.triggered.inc();
        self.triggered_compat.inc();
        self.active.inc();
    }
}

pub(super) fn counter(name: &str, help: &str) -> IntCounter {
    IntCounter::new(name, help).expect("the name is valid")
}
