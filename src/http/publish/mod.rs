//! `POST /v1/publish`: a stream of lines, each an event, published as they come.
//!
//! A line that is not an event is named in the answer and harms no other. Nothing is half done: an event that was
//! counted as accepted is in the ring. When the ring stays full the request ends with 429 and tells how many were
//! taken and which line to go on from. Runs on the edge; a line of 200 bytes costs one to two microseconds.
//!
//! `line` cuts and reads lines · `flow` sets the pace · `access` says who may · here is the conversation.

mod access;
mod flow;
mod line;
#[cfg(test)]
mod tests;

pub use access::PublishAccess;
pub use flow::Intake;
pub use line::{Code, Line, LineReader, Parsed, parse_line};

use super::answer;
use crate::clock::Clock;
use crate::encode::SharedPublisher;
use crate::event::{Body as EventBody, Event, Json, Topics};
use crate::source::FlowGate;
use crate::telemetry::{EngineCounter, Telemetry};
use bytes::Bytes;
use flow::{Flow, RingFull};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Body;
use hyper::header::CONTENT_ENCODING;
use hyper::{Request, Response, StatusCode};
use serde::Serialize;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// What a line holds besides its payload at most; longer ones are `too_large` whatever they hold.
const LINE_OVERHEAD_BYTES: usize = 4 * 1024;

/// Limits of publishing.
#[derive(Debug, Clone)]
pub struct Options {
    /// Who may. Default nobody.
    pub access: PublishAccess,
    /// Longest payload; longer: `too_large`. Default 1 MiB.
    pub event_bytes_max: usize,
    /// How long an event waits for room in the ring; then 429. Default 5 s.
    pub patience: Duration,
    /// How long a batch waits for a subscriber that stands still; then it goes on. Default 250 ms.
    pub pace_patience: Duration,
    /// How long the answer waits for the events to be taken, so that `pos` lies behind them. Default 100 ms.
    pub settle_patience: Duration,
    /// Events that go before subscribers are asked (again), at least 1. Default 1,024.
    pub batch_events: u64,
    /// Rejected lines that the answer lists; further ones are only counted. Default 1,000.
    pub rejected_max: usize,
    /// Longest pause within a body; then 408. Default 30 s.
    pub body_pause_max: Duration,
    /// Requests at a time, each with at most one line in memory; surplus gets 429. Default 32.
    pub requests_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            access: PublishAccess::Off,
            event_bytes_max: 1 << 20,
            patience: Duration::from_secs(5),
            pace_patience: Duration::from_millis(250),
            settle_patience: Duration::from_millis(100),
            batch_events: 1_024,
            rejected_max: 1_000,
            body_pause_max: Duration::from_secs(30),
            requests_max: 32,
        }
    }
}

/// Where published events enter.
pub struct Door<I = SharedPublisher> {
    intake: I,
    topics: Arc<Topics>,
    clock: Clock,
    gate: Arc<dyn FlowGate>,
    head: Box<dyn Fn() -> u64 + Send + Sync>,
    telemetry: Arc<Telemetry>,
    options: Options,
    requests: Semaphore,
}

/// What a [`Door`] leads to.
pub struct Parts<I = SharedPublisher> {
    /// The ring.
    pub intake: I,
    /// Where topics are registered.
    pub topics: Arc<Topics>,
    /// Gives events their time.
    pub clock: Clock,
    /// Tells how far the subscribers are.
    pub gate: Arc<dyn FlowGate>,
    /// Position of the newest event of the stream.
    pub head: Box<dyn Fn() -> u64 + Send + Sync>,
    /// Counts.
    pub telemetry: Arc<Telemetry>,
}

impl<I> Door<I> {
    /// A door with these limits.
    #[must_use]
    pub fn new(parts: Parts<I>, options: Options) -> Self {
        let Parts { intake, topics, clock, gate, head, telemetry } = parts;
        let requests = Semaphore::new(options.requests_max);
        Self { intake, topics, clock, gate, head, telemetry, options, requests }
    }
}

impl<I> fmt::Debug for Door<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door").field("options", &self.options).finish_non_exhaustive()
    }
}

impl<I> fmt::Debug for Parts<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").field("gate", &self.gate).finish_non_exhaustive()
    }
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// With its last line.
    Complete,
    /// Before the line that the ring had no room for.
    RingFull,
    /// The client said nothing for too long.
    Pause,
    /// The client went away, or its body was broken.
    Broken,
}

/// What became of the lines so far.
#[derive(Debug, Default)]
struct Outcome {
    accepted: u64,
    /// The last line that was dealt with.
    line: u64,
    rejected: Vec<Rejection>,
    rejected_total: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
struct Rejection {
    line: u64,
    code: Code,
}

/// Answers a publish request.
pub(super) async fn respond<B, I>(
    door: &Door<I>,
    request: Request<B>,
    peer: SocketAddr,
) -> Response<Full<Bytes>>
where
    B: Body<Data = Bytes> + Unpin,
    I: Intake,
{
    if let Some(refusal) = door.refusal(&request, peer) {
        door.telemetry.add(EngineCounter::PublishRefused, 1);
        return refusal;
    }
    let Ok(_permit) = door.requests.try_acquire() else {
        door.telemetry.add(EngineCounter::PublishRefused, 1);
        let detail = format!("{} publish requests are in progress", door.options.requests_max);
        return answer::retry_soon(answer::problem(StatusCode::TOO_MANY_REQUESTS, &detail));
    };
    let mut outcome = Outcome::default();
    let end = door.take(request.into_body(), &mut outcome).await;
    door.report(end, &outcome)
}

impl<I: Intake> Door<I> {
    fn refusal<B>(&self, request: &Request<B>, peer: SocketAddr) -> Option<Response<Full<Bytes>>> {
        let refusal = self.options.access.refusal(peer, request.headers());
        if refusal.is_some() {
            return refusal;
        }
        let encoding = request.headers().get(CONTENT_ENCODING)?;
        (!encoding.as_bytes().eq_ignore_ascii_case(b"identity")).then(|| {
            answer::problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the body must not be compressed")
        })
    }

    /// Publishes the lines of `body` as they come.
    async fn take<B>(&self, mut body: B, outcome: &mut Outcome) -> End
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let mut flow = Flow::new(&self.intake, &*self.gate, &self.options);
        let mut reader = LineReader::new(self.options.event_bytes_max + LINE_OVERHEAD_BYTES);
        let end = loop {
            let frame = match tokio::time::timeout(self.options.body_pause_max, body.frame()).await
            {
                Err(_) => break End::Pause,
                Ok(Some(Err(_))) => break End::Broken,
                Ok(Some(Ok(frame))) => frame,
                Ok(None) => {
                    let last = reader.finish();
                    break self.publish(last.into_iter(), &mut flow, outcome).await.into();
                }
            };
            // Trailers have nothing to say here.
            let Ok(chunk) = frame.into_data() else { continue };
            reader.feed(chunk);
            let lines = std::iter::from_fn(|| reader.next_line());
            if self.publish(lines, &mut flow, outcome).await.is_err() {
                break End::RingFull;
            }
            self.intake.announce();
        };
        flow.settle().await;
        end
    }

    /// Publishes `lines`; ends early before the one that the ring had no room for.
    async fn publish(
        &self,
        lines: impl Iterator<Item = Line>,
        flow: &mut Flow<'_, I>,
        outcome: &mut Outcome,
    ) -> Result<(), RingFull> {
        for line in lines {
            match self.event(&line) {
                Ok((event, bytes)) => {
                    flow.publish(event, bytes).await?;
                    outcome.accepted += 1;
                    self.telemetry.add(EngineCounter::PublishAccepted, 1);
                }
                Err(code) => {
                    outcome.reject(line.number, code, self.options.rejected_max);
                    self.telemetry.add(EngineCounter::PublishRejected, 1);
                }
            }
            outcome.line = line.number;
        }
        Ok(())
    }

    /// The event that a line says, and its payload's length.
    fn event(&self, line: &Line) -> Result<(Event, usize), Code> {
        let bytes = line.bytes.as_ref().ok_or(Code::TooLarge)?;
        let parsed = parse_line(bytes, self.options.event_bytes_max)?;
        // A copy, so that a small event does not keep a large chunk of the body alive.
        let payload = Json::parse(Bytes::copy_from_slice(parsed.payload.as_bytes()))
            .map_err(|_| Code::BadJson)?;
        let topic = self.topics.register(&parsed.topic, parsed.class).inspect_err(|_| {
            self.telemetry.add(EngineCounter::TopicsRefused, 1);
        })?;
        let time_us = self.clock.now_us();
        let event = Event { topic, key: 0, time_us, body: EventBody::External(payload) };
        Ok((event, parsed.payload.len()))
    }

    fn report(&self, end: End, outcome: &Outcome) -> Response<Full<Bytes>> {
        #[derive(Serialize)]
        struct Report<'a> {
            accepted: u64,
            rejected: &'a [Rejection],
            #[serde(skip_serializing_if = "Option::is_none")]
            rejected_total: Option<u64>,
            pos: u64,
            #[serde(skip_serializing_if = "Option::is_none")]
            code: Option<&'static str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            next_line: Option<u64>,
        }
        let (status, code) = match end {
            End::Complete => (StatusCode::OK, None),
            End::RingFull => (StatusCode::TOO_MANY_REQUESTS, Some("ring_full")),
            End::Pause => (StatusCode::REQUEST_TIMEOUT, Some("body_pause")),
            End::Broken => (StatusCode::BAD_REQUEST, Some("body_broken")),
        };
        let is_cut = outcome.rejected_total > outcome.rejected.len() as u64;
        let report = Report {
            accepted: outcome.accepted,
            rejected: &outcome.rejected,
            rejected_total: is_cut.then_some(outcome.rejected_total),
            pos: (self.head)(),
            code,
            next_line: code.map(|_| outcome.line + 1),
        };
        let response = answer::json(status, &report);
        if end == End::RingFull {
            self.telemetry.add(EngineCounter::PublishRefused, 1);
            return answer::retry_soon(response);
        }
        response
    }
}

impl From<Result<(), RingFull>> for End {
    fn from(result: Result<(), RingFull>) -> Self {
        result.map_or(Self::RingFull, |()| Self::Complete)
    }
}

impl Outcome {
    fn reject(&mut self, line: u64, code: Code, listed_max: usize) {
        self.rejected_total += 1;
        if self.rejected.len() < listed_max {
            self.rejected.push(Rejection { line, code });
        }
    }
}
