//! The v1 protocol without a WebSocket: Server-Sent Events, long polls and snapshots, for where a proxy or a tool knows
//! nothing better than HTTP.
//!
//! They are readers of the same log: a frame's JSON is cut from the very bytes that WebSocket clients are sent, last
//! values come from the same blocks, subscriptions, gaps and acks from the same code. A client has a cursor and no
//! queue; a body is written as the socket takes it, at most 64 KiB ahead. Never: on a shard's thread.
//!
//! `query` reads what is asked for · `open` begins · `window` is the log as it is seen here · `feed` is one client's
//! place in it · `hub` moves all of them on · `page` and `body` write.

mod body;
mod feed;
mod hub;
#[cfg(test)]
mod model_tests;
mod open;
mod page;
mod query;
#[cfg(test)]
pub(super) mod tests;
mod window;

pub use hub::Hub;

use super::{Body, answer};
use crate::clock::Clock;
use crate::encode::Encoder;
use crate::session::Limits;
use crate::snapshot::Values;
use crate::sync::Arc;
use crate::telemetry::{EngineCounter, Telemetry};
use http_body_util::BodyExt as _;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use open::Kind;
use page::{Form, Page};
use serde::Serialize;
use std::borrow::Cow;
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Where to go on.
const LINEAGE_NEXT: HeaderName = HeaderName::from_static("lineage-next");
/// Tells a proxy to pass events on as they come.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
/// A poll's answer is at most so long, unless its last values or its only event are.
const POLL_BYTES_MAX: usize = 1 << 20;
/// Of that, kept for the heartbeat and the brackets.
const POLL_END_BYTES: usize = 1_024;

/// Limits of streams, polls and snapshots.
#[derive(Debug, Clone)]
pub struct Options {
    /// Of all three together, at a time; surplus gets 503. Default 256.
    pub streams_max: usize,
    /// Unsent bytes of a stream's own frames beyond which it gets a gap. Default 1 MiB.
    pub lag_bytes_max: u64,
    /// Age of the oldest unsent frame beyond which it gets a gap. Default 10 s.
    pub lag_age_max: Duration,
    /// Time between two heartbeats of a stream. Default 15 s.
    pub heartbeat_interval: Duration,
    /// Limits of a v1 client: topics and names count here.
    pub limits: Limits,
}

impl Default for Options {
    fn default() -> Self {
        let limits = Limits::default();
        Self {
            streams_max: 256,
            lag_bytes_max: 1 << 20,
            lag_age_max: Duration::from_secs(10),
            heartbeat_interval: Duration::from_secs(limits.heartbeat_s),
            limits,
        }
    }
}

/// What a [`Hub`] reads.
#[derive(Debug, Clone)]
pub struct Parts {
    /// The log.
    pub encoder: Arc<Encoder>,
    /// Last values of the v1 lane.
    pub values: Values,
    /// Counts.
    pub telemetry: Arc<Telemetry>,
    /// Gives frames their time.
    pub clock: Clock,
    /// Identity of the stream.
    pub epoch: Arc<str>,
}

/// Why a request is not obeyed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Problem {
    status: StatusCode,
    /// For programs.
    code: &'static str,
    /// For people.
    message: String,
}

impl Problem {
    fn bad_request(message: impl Into<Cow<'static, str>>) -> Self {
        let message = message.into().into_owned();
        Self { status: StatusCode::BAD_REQUEST, code: "bad_request", message }
    }

    /// A name that was not taken.
    fn rejected(name: &str, code: &'static str, topics_max: usize) -> Self {
        let message = match code {
            "reserved" => format!("the type of {name} is a word of the protocol"),
            "too_many_topics" => format!("{name} is beyond {topics_max} topics and patterns"),
            _ => format!("{name} is neither a topic nor a pattern"),
        };
        Self { status: StatusCode::BAD_REQUEST, code, message }
    }

    fn response(&self) -> Response<Body> {
        #[derive(Serialize)]
        struct Error<'a> {
            code: &'a str,
            message: &'a str,
        }
        #[derive(Serialize)]
        struct Answer<'a> {
            error: Error<'a>,
        }
        let error = Error { code: self.code, message: &self.message };
        let response = answer::json(self.status, &Answer { error });
        let is_temporary = self.status == StatusCode::SERVICE_UNAVAILABLE;
        let response = if is_temporary { answer::retry_soon(response) } else { response };
        response.map(answer::whole)
    }
}

/// Answers `/v1/sse`, `/v1/poll` and `/v1/snapshot`. Dropping the future gives the place back.
pub(super) async fn respond<B>(
    hub: &Arc<Hub>,
    kind: Route,
    request: &Request<B>,
) -> Response<Body> {
    let answer = match kind {
        Route::Sse => sse(hub, request),
        Route::Poll => poll(hub, request).await,
        Route::Snapshot => snapshot(hub, request),
    };
    answer.unwrap_or_else(|problem| {
        let is_wrong = problem.status == StatusCode::BAD_REQUEST;
        hub.parts.telemetry.add(EngineCounter::HttpRejected, u64::from(is_wrong));
        problem.response()
    })
}

/// Which of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route {
    Sse,
    Poll,
    Snapshot,
}

impl Route {
    pub(super) fn of(path: &str) -> Option<Self> {
        match path {
            "/v1/sse" => Some(Self::Sse),
            "/v1/poll" => Some(Self::Poll),
            "/v1/snapshot" => Some(Self::Snapshot),
            _ => None,
        }
    }
}

fn sse<B>(hub: &Arc<Hub>, request: &Request<B>) -> Result<Response<Body>, Problem> {
    let last_event_id = request.headers().get(LAST_EVENT_ID).map(HeaderValue::as_bytes);
    let query = query::parse(request.uri().query(), last_event_id)?;
    let ticket = hub.admit(query, Kind::Stream)?;
    let page = Page::new(Form::Events, hub.parts.epoch.clone());
    let stream = body::Stream::new(ticket, page, hub.options.heartbeat_interval);
    let mut response = response("text/event-stream", stream.boxed_unsync());
    response.headers_mut().insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
    Ok(response)
}

async fn poll<B>(hub: &Arc<Hub>, request: &Request<B>) -> Result<Response<Body>, Problem> {
    let query = query::parse(request.uri().query(), None)?;
    let wait = if request.method() == Method::HEAD { Duration::ZERO } else { query.wait };
    let ticket = hub.admit(query, Kind::Poll)?;
    hub.parts.telemetry.add(EngineCounter::HttpPolls, 1);
    let has_news = poll_fn(|cx| if ticket.has_news(cx) { Poll::Ready(()) } else { Poll::Pending });
    // Whether anything came shows in the answer.
    let _ = tokio::time::timeout(wait, has_news).await;
    let until = ticket.close_at(POLL_BYTES_MAX - POLL_END_BYTES);
    Ok(array(hub, ticket, until, true))
}

fn snapshot<B>(hub: &Arc<Hub>, request: &Request<B>) -> Result<Response<Body>, Problem> {
    let mut query = query::parse(request.uri().query(), None)?;
    query.wants_snapshot = true;
    let ticket = hub.admit(query, Kind::Snapshot)?;
    let until = ticket.close();
    Ok(array(hub, ticket, until, false))
}

/// An array that ends at `until`.
fn array(hub: &Hub, ticket: hub::Ticket, until: u64, has_heartbeat: bool) -> Response<Body> {
    let page = Page::new(Form::Array, hub.parts.epoch.clone());
    let answer = body::Answer::new(ticket, page, has_heartbeat);
    let mut response = response("application/json", answer.boxed_unsync());
    let next = HeaderValue::try_from(format!("{}.{until}", hub.parts.epoch));
    let next = next.expect("an epoch is letters and digits");
    response.headers_mut().insert(LINEAGE_NEXT, next);
    response
}

fn response(content_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
