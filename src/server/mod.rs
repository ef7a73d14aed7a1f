//! Sockets: listeners, the HTTP front for all of them, and the upgrade to WebSocket.
//!
//! ```text
//! backlog ─► listen ─► admission ─► connection (hyper) ─► surface ─┬─ upgrade ─► Place (a shard's inbox)
//!            accept    caps         one task each         judges   ├─ HttpService ─► response
//!                                                                  └─ Refusal ─► farewell
//! ```
//!
//! Everything runs on one thread, the edge, beside the shards: nothing here is on the path of an event. A connection
//! is here from accept until its 101 has been written (or its HTTP exchange is over); then its socket leaves the
//! runtime and belongs to a shard.
//!
//! Never: frames, events, what a client may see. Invariants: every request is answered with a status or its client
//! was gone; every wait has a deadline and every queue a cap ([`Options`]); requests that `Host` or `Origin` forbid
//! reach neither a shard nor a service.

mod admission;
mod connection;
mod edge;
mod farewell;
mod listen;
mod options;
mod origin;
mod outgoing;
mod refusal;
mod surface;
pub mod upgrade;

pub use edge::Edge;
pub use listen::bind;
pub use options::Options;
pub use origin::Rules;
pub use refusal::{BadQuery, Refusal};

use crate::shard::{Arrival, Dispatch, Endpoint};

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::{Request, Response};
use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

/// What an answer says. One without a length is a stream: it has no deadline as long as the client takes it.
pub type Body = UnsyncBoxBody<Bytes, io::Error>;

/// A body that is there as a whole.
#[must_use]
pub fn whole(body: Full<Bytes>) -> Body {
    body.map_err(|never| match never {}).boxed_unsync()
}

/// Answers the requests of a listener that are not upgrades. The futures run on the edge thread and must not block
/// it; they are dropped when the client goes away.
pub type HttpService = Arc<
    dyn Fn(Request<Incoming>, SocketAddr) -> Pin<Box<dyn Future<Output = Response<Body>>>>
        + Send
        + Sync,
>;

/// Which WebSocket endpoint a path and a query lead to, if any. Called on the edge thread, per request.
pub type Routes =
    Arc<dyn Fn(&str, Option<&str>) -> Result<Option<Endpoint>, BadQuery> + Send + Sync>;

/// A bound socket and what is served on it.
pub struct Listener {
    /// From [`bind`].
    pub socket: std::net::TcpListener,
    /// The WebSocket endpoints of this listener; `None` on a plain HTTP surface.
    pub routes: Option<Routes>,
    /// What answers every other request.
    pub service: HttpService,
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let upgrades = self.routes.is_some();
        f.debug_struct("Listener")
            .field("socket", &self.socket)
            .field("upgrades", &upgrades)
            .finish_non_exhaustive()
    }
}

/// Where finished sockets go: the shards' inboxes, or a test's list. Called on the edge thread.
pub trait Place: Send + Sync {
    /// Takes a connection; does not wake anybody.
    ///
    /// # Errors
    /// The arrival, when there is no room at the moment.
    fn place(&self, arrival: Arrival) -> Result<(), Arrival>;
    /// Wakes whoever was given something since the last call.
    fn nudge(&self);
    /// Connections open or waiting.
    fn open(&self) -> usize;
}

impl Place for Dispatch {
    fn place(&self, arrival: Arrival) -> Result<(), Arrival> {
        Self::place(self, arrival)
    }
    fn nudge(&self) {
        Self::nudge(self);
    }
    fn open(&self) -> usize {
        Self::open(self)
    }
}

/// What the front door counts. Called on the edge thread; must not block.
pub trait EdgeCounters: Send + Sync {
    /// An upgraded connection reached a shard's inbox.
    fn accepted(&self);
    /// A request or a connection was refused with `status` (503 also for one dropped after its 101, when inboxes
    /// stayed full).
    fn refused(&self, status: u16);
    /// The reader of a stream took nothing for too long, and was reset.
    fn stalled(&self);
    /// Accepting rests for a moment after an error of the system.
    fn accept_paused(&self);
    /// The process had no descriptor left to accept with.
    fn descriptors_exhausted(&self);
}
