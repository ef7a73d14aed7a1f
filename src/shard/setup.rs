//! What a shard is given when it is made.

use super::{Dispatch, Floors, Handler, Options};
use crate::clock::Clock;
use crate::encode::{Encoder, SharedPublisher};
use crate::snapshot::Values;
use crate::sync::{Arc, Tally};
use crate::telemetry::{ShardTelemetry, Telemetry};

/// What a shard is made of.
#[derive(Debug)]
pub struct Setup<T> {
    /// Which one it is, from 0.
    pub index: usize,
    /// Limits.
    pub options: Options,
    /// Encodes, and has the logs.
    pub encoder: Arc<Encoder>,
    /// Last values of the v1 lane.
    pub values: Values,
    /// Where sockets come from.
    pub dispatch: Arc<Dispatch<T>>,
    /// Where events of v1 clients go.
    pub publisher: SharedPublisher,
    /// What the shard counts.
    pub telemetry: ShardTelemetry,
    /// What is counted over all shards.
    pub totals: Arc<Telemetry>,
    /// What time it is.
    pub clock: Clock,
    /// Identity of the stream.
    pub epoch: Arc<str>,
    /// Clients served so far, over all shards.
    pub served: Arc<Tally>,
    /// How far the slowest subscribers are.
    pub floors: Arc<Floors>,
    /// Takes the messages of [`Endpoint::Custom`](super::Endpoint) connections.
    pub handler: Option<Arc<dyn Handler>>,
}
