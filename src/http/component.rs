//! The components of the pipeline as a scraper sees them that knows each by an address of its own: their metrics, and
//! the checks that are about them. Names alone; what they name is made elsewhere.

/// A component with a listener of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Component {
    /// Makes candles of trades.
    Collector,
    /// Makes indicators of candles.
    Calculator,
    /// Watches indicators, agents and the engine.
    Alerts,
    /// Answers over REST.
    Gateway,
}

impl Component {
    /// How the names of its metrics begin.
    #[must_use]
    pub fn families(self) -> &'static [&'static str] {
        match self {
            Self::Collector => {
                &["lineage_collector_", "lineage_pipeline_", "lineage_feed_", "data_collector_"]
            }
            Self::Calculator => &[
                "lineage_calculator_",
                "lineage_database_",
                "lineage_store_",
                "metrics_calculator_",
                "database_connection_pool_",
            ],
            Self::Alerts => &["lineage_alert", "lineage_webhook_", "alert_engine_"],
            Self::Gateway => {
                &["lineage_api_", "lineage_cache_", "lineage_request_", "lineage_http_"]
            }
        }
    }

    /// The checks that say whether it is ready.
    #[must_use]
    pub fn checks(self) -> &'static [&'static str] {
        match self {
            Self::Collector | Self::Alerts => &["serving", "intake", "source", "pipeline"],
            Self::Calculator => &["serving", "intake", "source", "pipeline", "store"],
            Self::Gateway => &["serving", "gateway"],
        }
    }
}
