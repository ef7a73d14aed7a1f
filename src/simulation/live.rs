//! The simulation as a source: the arena and whatever runs beside it, on one thread, with one publisher.
//!
//! It publishes the first values at once and then each thing when it is due, until it is stopped. It never drops an
//! event: when its ring is full it waits, and what is due meanwhile comes late.
//!
//! A step costs a few microseconds, every few seconds. At high rates the thread wakes every [`PACE_US`] for all that
//! has become due since.

use super::chain::{self, Chain, Live};
use super::hub::{self, Board, Hub};
use super::{Arena, Contestant, Options, PriceSource, Random, Scheduler, Stepper, lines};
use crate::encode::Publisher;
use crate::event::{Event, TopicError, Topics};
use crate::source::{Source, SourceContext, SourceError, Stop};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tracing::debug;

/// How long the simulation waits for room in a full ring before it looks again.
const FULL_RING_PAUSE: Duration = Duration::from_millis(1);
/// Shortest time from one step to the next: what is due in between comes together.
const PACE_US: u64 = 500;

/// Sets the hub's random numbers apart from the arena's.
const HUB_SALT: u64 = 0x6875_6200_6875_6200;

/// Makes a part that runs beside the arena, from the topics and the moment of the start (microseconds since the Unix
/// epoch).
type Part = Box<dyn FnOnce(&Topics, u64) -> Result<Box<dyn Stepper>, TopicError> + Send + 'static>;

/// The arena and the parts beside it, as a source.
pub struct Simulation {
    options: Options,
    contestants: Vec<Contestant>,
    prices: Option<Box<dyn PriceSource>>,
    parts: Vec<Part>,
}

impl Simulation {
    /// An arena with its three agents that has not begun.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self { options, contestants: Contestant::defaults(), prices: None, parts: Vec::new() }
    }

    /// With these agents in place of the three.
    #[must_use]
    pub fn with_contestants(self, contestants: Vec<Contestant>) -> Self {
        Self { contestants, ..self }
    }

    /// At these prices in place of simulated ones; of the symbols of the options only the names count then.
    #[must_use]
    pub fn priced_by(self, prices: impl PriceSource + 'static) -> Self {
        Self { prices: Some(Box::new(prices)), ..self }
    }

    /// With a part beside the arena, made by `part` at the start; of parts that are due at the same moment the arena
    /// comes first, and then the one that was added first (hub, then chain).
    #[must_use]
    pub fn with(
        mut self,
        part: impl FnOnce(&Topics, u64) -> Result<Box<dyn Stepper>, TopicError> + Send + 'static,
    ) -> Self {
        self.parts.push(Box::new(part));
        self
    }

    /// With the hub, whose figures go to `board`.
    #[must_use]
    pub fn with_hub(self, options: hub::Options, board: Arc<Board>) -> Self {
        // Of its own, so that the hub's numbers move nothing of the arena.
        let mut root = Random::new(self.options.seed ^ HUB_SALT);
        self.with(move |topics, start_us| {
            let hub = Hub::new(&options, root.split(), &board, topics, start_us)?;
            Ok(Box::new(hub))
        })
    }

    /// With the ledger, which tells `live` its last updates.
    #[must_use]
    pub fn with_chain(self, mut options: chain::Options, live: Arc<Live>) -> Self {
        options.seed = self.options.seed;
        self.with(move |topics, start_us| {
            Ok(Box::new(Chain::new(&options, topics, start_us)?.telling(live)))
        })
    }

    /// All of it as a scheduler, for callers that tell the time themselves. Everything begins at `start_us`
    /// (microseconds since the Unix epoch).
    ///
    /// # Errors
    /// When a topic cannot be registered.
    pub fn into_scheduler(self, topics: &Topics, start_us: u64) -> Result<Scheduler, TopicError> {
        let Self { options, contestants, prices, .. } = self;
        let arena = Arena::with_prices(&options, contestants, prices, topics, start_us)?;
        let mut steppers: Vec<Box<dyn Stepper>> = vec![Box::new(arena)];
        for part in self.parts {
            steppers.push(part(topics, start_us)?);
        }
        Ok(Scheduler::new(steppers))
    }
}

impl fmt::Debug for Simulation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulation")
            .field("options", &self.options)
            .field("contestants", &self.contestants)
            .field("prices", &self.prices)
            .field("parts", &self.parts.len())
            .finish()
    }
}

impl Source for Simulation {
    fn name(&self) -> &'static str {
        "simulation"
    }

    /// Runs once: a second run has neither agents nor parts beside the arena.
    fn run(&mut self, mut context: SourceContext) -> Result<(), SourceError> {
        let begun = Self {
            options: self.options.clone(),
            contestants: std::mem::take(&mut self.contestants),
            prices: self.prices.take(),
            parts: std::mem::take(&mut self.parts),
        };
        let scheduler = begun.into_scheduler(&context.topics, context.clock.now_us());
        let mut scheduler = scheduler.map_err(|error| {
            SourceError(format!("the simulation's topics cannot be registered: {error:?}"))
        })?;
        debug!("simulation started");
        let (mut events, mut trades) = (Vec::new(), 0);
        loop {
            let now_us = context.clock.now_us();
            scheduler.advance(now_us, &mut events);
            lines::log(&events, self.options.trade_lines, &mut trades);
            let wake_us = match scheduler.next_due_us() {
                due_us if due_us <= now_us => due_us,
                due_us => due_us.max(now_us.saturating_add(PACE_US)),
            };
            let is_stopped = publish_all(&mut context.publisher, &mut events, &context.stop)
                || context.stop.wait_until(&context.clock, wake_us);
            if is_stopped {
                return Ok(());
            }
        }
    }
}

/// Publishes all of `events`, waiting for room where there is none; returns whether it was stopped meanwhile.
fn publish_all(publisher: &mut Publisher, events: &mut Vec<Event>, stop: &Stop) -> bool {
    loop {
        publisher.publish_batch(events);
        if events.is_empty() {
            return stop.is_stopped();
        }
        if stop.wait_for(FULL_RING_PAUSE) {
            return true;
        }
    }
}
