//! The handle by which rows reach the thread that writes.
//!
//! A row costs its own allocations and one slot of a bounded queue. Never: waits, touches the file, or loses a row
//! without counting it.

use super::metrics::Metrics;
use super::rows::{Agent, Alert, Candle, Round, Row, Trade};
use crate::sync::Arc;
use crossbeam::channel::Sender;

/// Hands rows to a store. Clones share its queue; rows of one thread are stored in its order. Each call answers whether
/// the row was taken: a full queue, or a store that is closed, drops and counts it. None of them blocks.
#[derive(Debug, Clone)]
pub struct Writer {
    queue: Sender<Row>,
    metrics: Arc<Metrics>,
}

impl Writer {
    pub(super) fn new(queue: Sender<Row>, metrics: Arc<Metrics>) -> Self {
        Self { queue, metrics }
    }

    /// Hands in a candle, or a later version of one.
    pub fn candle(&self, candle: Candle) -> bool {
        self.hand_in(Row::Candle(candle))
    }

    /// Hands in a change of an alert.
    pub fn alert(&self, alert: Alert) -> bool {
        self.hand_in(Row::Alert(alert))
    }

    /// Hands in a trade of an agent.
    pub fn trade(&self, trade: Trade) -> bool {
        self.hand_in(Row::Trade(trade))
    }

    /// Hands in the state of an agent.
    pub fn agent(&self, agent: Agent) -> bool {
        self.hand_in(Row::Agent(agent))
    }

    /// Hands in the end of a round.
    pub fn round(&self, round: Round) -> bool {
        self.hand_in(Row::Round(round))
    }

    /// Counts events that were gone before they could become rows.
    pub fn missed(&self, events: u64) {
        self.metrics.missed(events);
    }

    fn hand_in(&self, row: Row) -> bool {
        let is_taken = self.queue.try_send(row).is_ok();
        if !is_taken {
            self.metrics.refused.add(1);
        }
        is_taken
    }
}
