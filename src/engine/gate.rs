//! Flow control: how far a source without a pace of its own may run ahead.

use crate::encode::Encoder;
use crate::shard::Floors;
use crate::source::FlowGate;
use std::sync::Arc;

/// Compares the encoder's head with what the slowest subscriber was sent, and with the fullest tap.
#[derive(Debug)]
pub(crate) struct Gate {
    encoder: Arc<Encoder>,
    floors: Arc<Floors>,
    lag_bytes_max: u64,
}

impl Gate {
    pub(super) fn new(encoder: Arc<Encoder>, floors: Arc<Floors>, lag_bytes_max: u64) -> Self {
        Self { encoder, floors, lag_bytes_max }
    }

    /// Cumulative v1 bytes that every subscriber was sent.
    pub(super) fn lowest(&self) -> u64 {
        self.floors.arm();
        self.floors.lowest()
    }
}

impl FlowGate for Gate {
    fn window_bytes(&self) -> u64 {
        // The head first: what is committed meanwhile can only make the answer smaller than it might be.
        let head = self.encoder.head_bytes();
        let ahead = head.saturating_sub(self.lowest());
        let window = (self.lag_bytes_max / 2).saturating_sub(ahead);
        // Nobody is behind: one frame may always go, whatever the budget.
        if ahead == 0 { window.max(1) } else { window }
    }

    fn window_events(&self) -> u64 {
        self.encoder.tap_room()
    }
}
