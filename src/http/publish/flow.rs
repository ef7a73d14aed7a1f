//! How fast published events may go into the ring: as fast as it takes them, and a long body only as fast as the
//! slowest subscriber follows.
//!
//! Both waits are bounded: a ring that stays full ends the request, a subscriber that stands still only delays it.
//! Waiting is sleeping in steps of a millisecond on the edge's runtime; meanwhile the body is not read, so that TCP
//! slows the sender.

use crate::encode::SharedPublisher;
use crate::event::Event;
use crate::source::FlowGate;
use std::time::Duration;
use tokio::time::{Instant, sleep};

use super::Options;

const STEP: Duration = Duration::from_millis(1);
/// How long the ring may take to settle before the gate's answer, then slightly stale, is used all the same.
const SETTLE_MAX: Duration = Duration::from_millis(5);
/// Shortest wait for a subscriber that stands still.
const PACE_PATIENCE_MIN: Duration = Duration::from_millis(5);
/// Bytes that go on per batch past a subscriber that stands still.
const IMPATIENT_BYTES: u64 = 64 * 1024;
/// What a frame holds besides its payload, roughly.
const ENVELOPE_BYTES: usize = 160;

/// Where events go; the engine's ring, or a test's.
pub trait Intake {
    /// Puts the event into the ring without waking anybody.
    ///
    /// # Errors
    /// The event, when the ring is full.
    fn enqueue(&self, event: Event) -> Result<(), Event>;
    /// Wakes somebody for what was enqueued.
    fn announce(&self);
    /// Whether all that was enqueued has been taken.
    fn is_drained(&self) -> bool;
}

impl Intake for SharedPublisher {
    fn enqueue(&self, event: Event) -> Result<(), Event> {
        Self::enqueue(self, event).map_err(|full| full.0)
    }
    fn announce(&self) {
        Self::announce(self);
    }
    fn is_drained(&self) -> bool {
        Self::is_drained(self)
    }
}

/// The pace of one request.
#[derive(Debug)]
pub(super) struct Flow<'a, I> {
    intake: &'a I,
    gate: &'a dyn FlowGate,
    options: &'a Options,
    /// What may still go before the gate is asked again.
    events_left: u64,
    bytes_left: u64,
    /// How long to wait for the gate the next time; shrinks while it stays closed.
    pace_patience: Duration,
}

/// The ring stayed full.
#[derive(Debug)]
pub(super) struct RingFull;

impl<'a, I: Intake> Flow<'a, I> {
    /// The first batch goes ungated: short requests never wait for subscribers.
    pub(super) fn new(intake: &'a I, gate: &'a dyn FlowGate, options: &'a Options) -> Self {
        Self {
            intake,
            gate,
            options,
            events_left: options.batch_events,
            bytes_left: u64::MAX,
            pace_patience: options.pace_patience,
        }
    }

    /// Publishes one event, waiting as this module says.
    pub(super) async fn publish(
        &mut self,
        event: Event,
        payload_bytes: usize,
    ) -> Result<(), RingFull> {
        let bytes = (payload_bytes + ENVELOPE_BYTES) as u64;
        if self.events_left == 0 || self.bytes_left < bytes {
            self.renew().await;
        }
        self.events_left = self.events_left.saturating_sub(1);
        self.bytes_left = self.bytes_left.saturating_sub(bytes);
        let Err(mut event) = self.intake.enqueue(event) else { return Ok(()) };
        let began = Instant::now();
        while began.elapsed() < self.options.patience {
            self.intake.announce();
            sleep(STEP).await;
            match self.intake.enqueue(event) {
                Ok(()) => return Ok(()),
                Err(back) => event = back,
            }
        }
        Err(RingFull)
    }

    /// Waits until the ring has been taken and the gate is open, or patience ends; then allows another batch.
    async fn renew(&mut self) {
        self.intake.announce();
        let began = Instant::now();
        let (events, bytes) = loop {
            let waited = began.elapsed();
            // The gate knows only what has been encoded; another publisher may keep the ring from settling.
            if self.intake.is_drained() || waited >= SETTLE_MAX {
                let (events, bytes) = (self.gate.window_events(), self.gate.window_bytes());
                if events > 0 && bytes > 0 {
                    self.pace_patience = self.options.pace_patience;
                    break (events, bytes);
                }
            }
            if waited >= self.pace_patience {
                let floor = PACE_PATIENCE_MIN.min(self.options.pace_patience);
                self.pace_patience = (self.pace_patience / 2).max(floor);
                break (self.options.batch_events, IMPATIENT_BYTES);
            }
            sleep(STEP).await;
        };
        self.events_left = events.min(self.options.batch_events);
        self.bytes_left = bytes;
    }

    /// Waits a moment until what was published has been taken, so that the head lies behind it.
    pub(super) async fn settle(&self) {
        self.intake.announce();
        let began = Instant::now();
        while !self.intake.is_drained() && began.elapsed() < self.options.settle_patience {
            sleep(STEP).await;
        }
    }
}
