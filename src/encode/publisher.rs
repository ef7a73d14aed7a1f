//! Publishing handles with a policy for a full ring.
//!
//! [`Publisher`] owns a ring and is wait-free; [`SharedPublisher`] is clonable and lock-free. Neither allocates,
//! locks or, while a shard is awake, makes a system call.

use super::Encoder;
use crate::event::Event;
use crate::ring::{self, Full};
use crate::sync::Arc;
use crate::telemetry::{EngineCounter, Telemetry};
use std::time::{Duration, Instant};

/// What a full ring means to a publisher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnFull {
    /// `Err(Full)`: the caller decides.
    #[default]
    Refuse,
    /// The new event is dropped and counted.
    DropNewest,
    /// The caller takes the encoder role, if it is free, and drains one batch itself, then tries once more.
    Help,
    /// Yields and parks briefly for up to this long, then `Err(Full)`. For tools that replay; blocks.
    SpinPark(Duration),
}

/// A publisher with a ring of its own: one thread at a time, first in first out.
#[derive(Debug)]
pub struct Publisher {
    ring: ring::Publisher<Event>,
    encoder: Arc<Encoder>,
    telemetry: Arc<Telemetry>,
    on_full: OnFull,
    counted_as: Option<EngineCounter>,
}

/// How long a waiting publisher parks between two looks at its ring.
const PARK: Duration = Duration::from_micros(50);

impl Publisher {
    /// A publisher on `ring`.
    pub fn new(
        ring: ring::Publisher<Event>,
        encoder: Arc<Encoder>,
        telemetry: Arc<Telemetry>,
        on_full: OnFull,
    ) -> Self {
        Self { ring, encoder, telemetry, on_full, counted_as: None }
    }

    /// The same publisher with another policy.
    #[must_use]
    pub fn on_full(self, on_full: OnFull) -> Self {
        Self { on_full, ..self }
    }

    /// The same publisher; what it publishes in batches is counted under `counter` too.
    #[must_use]
    pub fn counted_as(self, counter: EngineCounter) -> Self {
        Self { counted_as: Some(counter), ..self }
    }

    /// Publishes by the handle's policy. Wait-free unless the policy is [`OnFull::SpinPark`].
    ///
    /// # Errors
    /// The event, when the ring is full and the policy says so; counted.
    pub fn publish(&mut self, event: Event) -> Result<(), Full<Event>> {
        let Err(Full(event)) = self.ring.publish(event) else { return Ok(()) };
        self.publish_when_full(event)
    }

    #[cold]
    fn publish_when_full(&mut self, event: Event) -> Result<(), Full<Event>> {
        let outcome = match self.on_full {
            OnFull::Refuse => Err(Full(event)),
            OnFull::DropNewest => {
                self.telemetry.add(EngineCounter::EventsRefused, 1);
                return Ok(());
            }
            OnFull::Help => {
                self.encoder.run();
                self.ring.publish(event)
            }
            OnFull::SpinPark(patience) => self.publish_patiently(event, patience),
        };
        if outcome.is_err() {
            self.telemetry.add(EngineCounter::EventsRefused, 1);
        }
        outcome
    }

    fn publish_patiently(&mut self, event: Event, patience: Duration) -> Result<(), Full<Event>> {
        let start = Instant::now();
        let mut event = event;
        loop {
            match self.ring.publish(event) {
                Ok(()) => return Ok(()),
                Err(Full(back)) if start.elapsed() >= patience => return Err(Full(back)),
                Err(Full(back)) => event = back,
            }
            std::thread::park_timeout(PARK);
        }
    }

    /// Publishes as many from the front of `events` as fit now, with one wake for all; removes them from it and
    /// returns how many. Wait-free; the policy for a full ring does not apply.
    pub fn publish_batch(&mut self, events: &mut Vec<Event>) -> usize {
        let published = self.ring.publish_batch(events);
        if let Some(counter) = self.counted_as {
            self.telemetry.add(counter, published as u64);
        }
        published
    }

    /// Whether everything published was taken by the encoder.
    pub fn is_drained(&self) -> bool {
        self.ring.is_drained()
    }

    /// Slots of the ring.
    pub fn capacity(&self) -> usize {
        self.ring.capacity()
    }
}

/// A clonable publisher on the ring that all share.
#[derive(Debug, Clone)]
pub struct SharedPublisher {
    ring: ring::SharedPublisher<Event>,
    telemetry: Arc<Telemetry>,
}

impl SharedPublisher {
    /// A publisher on the shared ring.
    pub fn new(ring: ring::SharedPublisher<Event>, telemetry: Arc<Telemetry>) -> Self {
        Self { ring, telemetry }
    }

    /// Publishes and wakes. Lock-free.
    ///
    /// # Errors
    /// The event, when the ring is full; counted.
    pub fn publish(&self, event: Event) -> Result<(), Full<Event>> {
        self.ring
            .publish(event)
            .inspect_err(|_| self.telemetry.add(EngineCounter::EventsRefused, 1))
    }

    /// Publishes without waking: for a run of events, ended by [`announce`](Self::announce). Lock-free.
    ///
    /// # Errors
    /// The event, when the ring is full (not counted: the caller tries again).
    pub fn enqueue(&self, event: Event) -> Result<(), Full<Event>> {
        self.ring.enqueue(event)
    }

    /// Wakes a shard for what was enqueued.
    pub fn announce(&self) {
        self.ring.announce();
    }

    /// Whether everything that any handle on the shared ring published was taken by the encoder.
    pub fn is_drained(&self) -> bool {
        self.ring.is_drained()
    }
}
