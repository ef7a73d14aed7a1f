//! Who may write: the trait all sources share, and the sources that are not simulations.
//!
//! A source is a thread of its own with a private ring. It publishes until it has nothing more or is told to stop,
//! and knows neither sockets nor subscribers. It never touches the log or the encoder: events leave it through its
//! publisher alone. What it counts it keeps in a report of its own, which the engine reads.

mod gate;
pub mod replay;
mod stop;

use std::fmt;
use std::sync::Arc;

use crate::clock::Clock;
use crate::encode::Publisher;
use crate::event::Topics;

pub use gate::{FlowGate, OpenGate};
pub use stop::Stop;

/// What a source is given when it runs, on its own thread.
#[derive(Debug)]
pub struct SourceContext {
    /// Its private ring.
    pub publisher: Publisher,
    /// Where it registers its topics.
    pub topics: Arc<Topics>,
    /// What time it is.
    pub clock: Clock,
    /// Set when the engine drains.
    pub stop: Stop,
    /// Tells how far ahead of the subscribers it may run (only sources without a pace of their own ask).
    pub gate: Arc<dyn FlowGate>,
}

/// A writer of events.
pub trait Source: Send + 'static {
    /// A word for logs and metrics: `simulation`, `replay`.
    fn name(&self) -> &'static str;
    /// Publishes until there is nothing more or `context.stop` is set; blocks the thread it is called on.
    ///
    /// # Errors
    /// What ended it early, as a sentence for the operator.
    fn run(&mut self, context: SourceContext) -> Result<(), SourceError>;
}

/// Why a source ended early.
#[derive(Debug)]
pub struct SourceError(pub String);

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SourceError {}
