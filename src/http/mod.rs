//! What the listeners answer that is not a WebSocket: metrics, health, and publishing from outside.
//!
//! [`service`] makes the function that `server` calls with every request that passed its own rules (`Host`, `Origin`,
//! sizes, time) and is no upgrade. It runs on the edge's runtime, one task per connection, and never on a shard.
//! Nothing here holds a lock across a wait, and every wait has a bound.
//!
//! `answer` makes responses · `component` names the parts with a listener of their own · `connections` tells who is there ·
//! `cors` lets pages of other origins in · `gateway` serves REST · `health` says whether the engine can serve ·
//! `metrics` is the exposition · `publish` takes events · `query` reads the query of a request · `stream` gives events.

mod answer;
mod component;
mod connections;
mod cors;
pub mod gateway;
mod health;
mod metrics;
pub mod publish;
pub mod query;
pub mod stream;
#[cfg(test)]
mod tests;

pub use component::Component;
pub use connections::Shards;
pub use gateway::Gateway;
pub use health::{Check, Health};
pub use publish::{Door, Intake, PublishAccess};
pub use stream::Hub;

use crate::encode::SharedPublisher;
use crate::telemetry::Telemetry;
use bytes::Bytes;
use http_body_util::Full;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

/// What an answer says: whole, or a stream; the same type as the server's `Body`.
pub type Body = UnsyncBoxBody<Bytes, io::Error>;

/// The answer to one request: the same type as the server's `HttpService`.
pub type Service = Arc<
    dyn Fn(Request<Incoming>, SocketAddr) -> Pin<Box<dyn Future<Output = Response<Body>>>>
        + Send
        + Sync,
>;

/// What a listener offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surface {
    /// `/metrics` and health.
    Metrics,
    /// `/metrics` and health of one component.
    Component(Component),
    /// Streams, publishing, connections and health.
    Http,
    /// Health; everything else is for WebSocket clients.
    WebSocket,
}

/// What the answers are made of.
pub struct Context<I = SharedPublisher> {
    /// The counters behind `/metrics`.
    pub telemetry: Arc<Telemetry>,
    /// Looks at the engine's parts; called for every health request, must not block.
    pub health: Box<dyn Fn() -> Health + Send + Sync>,
    /// Where published events go.
    pub door: Door<I>,
    /// Who is asked about connections.
    pub shards: Shards,
    /// Where the systems tell of themselves.
    pub gateway: Gateway,
    /// Where streams come from.
    pub streams: Arc<Hub>,
}

impl<I> fmt::Debug for Context<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("door", &self.door).finish_non_exhaustive()
    }
}

/// The function that answers the requests of one listener.
#[must_use]
pub fn service<I>(surface: Surface, context: Arc<Context<I>>) -> Service
where
    I: Intake + Send + Sync + 'static,
{
    Arc::new(move |request, peer| {
        let context = Arc::clone(&context);
        Box::pin(async move { route(surface, &context, request, peer).await })
    })
}

/// Answers a request; on the HTTP listener also one of a page of another origin. Dropping the future between two chunks of a publish request loses nothing that
/// was accepted; the client only does not learn how many that were.
async fn route<B, I>(
    surface: Surface,
    context: &Context<I>,
    request: Request<B>,
    peer: SocketAddr,
) -> Response<Body>
where
    B: hyper::body::Body<Data = Bytes> + Unpin,
    I: Intake,
{
    if surface != Surface::Http {
        return page(surface, context, request, peer).await.map(answer::whole);
    }
    let origin = cors::origin(request.headers());
    let mut response = match cors::options(request.method(), request.headers()) {
        Some(response) => response,
        None => api(context, request, peer).await,
    };
    cors::admit(origin, &mut response);
    response
}

/// Chooses by path, then by method, on the HTTP listener.
async fn api<B, I>(context: &Context<I>, request: Request<B>, peer: SocketAddr) -> Response<Body>
where
    B: hyper::body::Body<Data = Bytes> + Unpin,
    I: Intake,
{
    if let Some(kind) = stream::Route::of(request.uri().path()) {
        return match *request.method() {
            Method::GET | Method::HEAD => stream::respond(&context.streams, kind, &request).await,
            _ => answer::method_not_allowed("GET, HEAD").map(answer::whole),
        };
    }
    let gateway = &context.gateway;
    match gateway.respond(request.method(), request.uri(), request.headers()).await {
        Some(response) => response.map(answer::whole),
        None => page(Surface::Http, context, request, peer).await.map(answer::whole),
    }
}

/// The answers that are made at once.
async fn page<B, I>(
    surface: Surface,
    context: &Context<I>,
    request: Request<B>,
    peer: SocketAddr,
) -> Response<Full<Bytes>>
where
    B: hyper::body::Body<Data = Bytes> + Unpin,
    I: Intake,
{
    let checks = || match surface {
        Surface::Component(component) => (context.health)().only(component.checks()),
        _ => (context.health)(),
    };
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let reads = |answer: &dyn Fn() -> Response<Full<Bytes>>| {
        if is_read { answer() } else { answer::method_not_allowed("GET, HEAD") }
    };
    match (surface, request.uri().path()) {
        (_, "/health") => reads(&|| health::detail(&checks(), &context.telemetry)),
        (_, "/health/live") => reads(&health::live),
        (_, "/health/ready") => reads(&|| health::ready(&checks())),
        (Surface::Metrics, "/metrics") => {
            reads(&|| metrics::page(context.telemetry.text(), request.headers()))
        }
        (Surface::Component(component), "/metrics") => reads(&|| {
            metrics::page(context.telemetry.text_of(component.families()), request.headers())
        }),
        (Surface::Http, "/v1/publish") => match *request.method() {
            Method::POST => publish::respond(&context.door, request, peer).await,
            _ => answer::method_not_allowed("POST"),
        },
        (Surface::Http, path) if is_at_or_below(path, connections::PATH) => {
            connections::respond(&context.shards, request.method(), request.uri(), peer).await
        }
        (Surface::Metrics | Surface::Component(_), _) => answer::problem(
            StatusCode::NOT_FOUND,
            "this listener serves /metrics, /health, /health/live and /health/ready",
        ),
        (Surface::WebSocket, _) => answer::problem(
            StatusCode::NOT_FOUND,
            "this listener serves WebSocket clients on /, /v1, /ws and /api/v11/live/stream, and /health",
        ),
        (Surface::Http, _) => answer::problem(
            StatusCode::NOT_FOUND,
            "this listener serves /v1/sse, /v1/poll, /v1/snapshot, /v1/publish, /api/connections, /health, /health/live, \
             /health/ready, and what /api/openapi.json lists",
        ),
    }
}

/// Whether `path` is `root` or has it before a slash.
fn is_at_or_below(path: &str, root: &str) -> bool {
    path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
