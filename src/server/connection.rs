//! One connection in the HTTP phase: from accept until its socket is with a shard or closed.
//!
//! ```text
//! accepted ── silent ── head (with a permit) ─┬─ 101 ── hand-over to a shard
//!                ▲                            ├─ refusal ── farewell
//!                └─ 408 at the deadline       └─ response ── next head (keep-alive) …
//! ```
//!
//! Never: frames. Invariants: a silent connection holds no HTTP state; every wait has a deadline; the permit is
//! given back when the first head is complete (kept until the hand-over if it is an upgrade) or when its turn is
//! over. Runs on the edge thread; a handshake costs about 20 µs, most of it in the kernel, and 20 KB while it lasts.

use super::admission::Entry;
use super::edge::{Door, Exchange};
use super::outgoing::{Flow, Outgoing, Watched};
use super::surface::{Surface, Verdict};
use super::{Body, Refusal, farewell, whole};
use crate::shard::{Arrival, Endpoint};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper::{Request, Response, StatusCode};
use std::cell::Cell;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep, sleep, sleep_until, timeout_at};

/// How long to wait before an inbox that is full is tried again.
const PLACE_AGAIN: Duration = Duration::from_millis(1);
/// What HTTP/2 without negotiation begins with; hyper hangs up on it without an answer.
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0";

/// A connection that was let in.
pub(super) struct Visitor {
    pub(super) stream: TcpStream,
    pub(super) peer: SocketAddr,
    pub(super) entry: Entry,
    pub(super) surface: Rc<Surface>,
}

/// Serves one connection until it is handed over or closed.
pub(super) async fn converse(visitor: Visitor, door: Rc<Door>) {
    let head_deadline = Instant::now() + door.options.head_timeout;
    // A look at the bytes, not at readiness: a new socket counts as readable until it was found empty once.
    match timeout_at(head_deadline, visitor.stream.peek(&mut [0])).await {
        Ok(Ok(1..)) => {}
        Ok(Ok(0) | Err(_)) => return,
        Err(_) => return door.refuse(visitor.stream, Refusal::HeadTimeout).await,
    }
    let Ok(permit) = timeout_at(head_deadline, door.admission.head_permit()).await else {
        return door.refuse(visitor.stream, Refusal::Busy).await;
    };
    // Boxed, so that the task of a silent connection does not hold room for it.
    Box::pin(talk_http(visitor, permit, head_deadline, door)).await;
}

/// How far the conversation is; shared by the loop and the service that hyper calls.
struct Progress {
    /// While the first head is being read, and its turn is not over.
    permit: Cell<Option<OwnedSemaphorePermit>>,
    /// Requests read so far.
    requests: Cell<u64>,
    /// Responses made so far.
    responses: Cell<u64>,
    /// Set by the request that was answered 101.
    upgraded: Cell<Option<Endpoint>>,
    /// What the socket takes.
    flow: Rc<Flow>,
}

impl Progress {
    /// Changes with every request read, response made, and stream ended.
    fn steps(&self) -> u64 {
        self.requests.get() + self.responses.get() + self.flow.ended()
    }
}

/// Why hyper is left.
enum End {
    /// hyper is done, or has failed.
    Http(hyper::Result<()>),
    /// The first head is not complete at its deadline.
    HeadLate,
    /// A response is not written at its deadline.
    ExchangeLate,
    /// The reader of a stream took nothing for too long.
    Stalled,
}

async fn talk_http(
    visitor: Visitor,
    permit: OwnedSemaphorePermit,
    head_deadline: Instant,
    door: Rc<Door>,
) {
    let Visitor { stream, peer, mut entry, surface } = visitor;
    door.storm.count();
    let progress = Rc::new(Progress {
        permit: Cell::new(Some(permit)),
        requests: Cell::new(0),
        responses: Cell::new(0),
        upgraded: Cell::new(None),
        flow: Rc::default(),
    });
    let desk = Desk { surface, peer, progress: Rc::clone(&progress), door: Rc::clone(&door) };
    let stream = Watched::new(stream, Rc::clone(&progress.flow));
    let mut http = door.builder.serve_connection(stream, desk);
    let end = {
        let turn_ends = Instant::now() + door.options.head_turn;
        let mut deadlines = Deadlines {
            progress: &progress,
            exchange_timeout: door.options.exchange_timeout,
            stall_max: door.options.write_stall_max,
            head_deadline,
            seen: 0,
            written: 0,
            moved: head_deadline,
            timer: pin!(sleep_until(turn_ends.min(head_deadline))),
        };
        poll_fn(|cx| match http.poll_without_shutdown(cx) {
            Poll::Ready(result) => Poll::Ready(End::Http(result)),
            Poll::Pending => deadlines.poll(cx),
        })
        .await
    };
    let http1::Parts { io, read_buf, service, .. } = http.into_parts();
    let (stream, upgraded) = (io.into_inner(), progress.upgraded.take());
    // The buffers and the permit are given back before anything is waited for.
    drop((service, progress));
    match (end, upgraded) {
        (End::Http(Ok(())), Some(endpoint)) => {
            let Ok(stream) = stream.into_std() else {
                return;
            };
            let arrival =
                Arrival { stream, early: read_buf, peer, endpoint, seat: entry.seat.take() };
            hand_over(arrival, &door).await;
        }
        (End::Http(Ok(())), None) => farewell::close(stream).await,
        (End::Http(Err(error)), _) => fail(stream, &error, &read_buf, &door).await,
        (End::HeadLate, _) => door.refuse(stream, Refusal::HeadTimeout).await,
        // Half a response cannot be followed by another.
        (End::ExchangeLate, _) => {}
        (End::Stalled, _) => {
            door.counters.stalled();
            farewell::reset(stream);
        }
    }
}

/// Sees off a client on which hyper gave up.
async fn fail(stream: TcpStream, error: &hyper::Error, unread: &[u8], door: &Door) {
    if error.is_timeout() {
        // hyper watches the heads after the first. Nothing of the next one there: an idle client, simply closed.
        if unread.is_empty() {
            return farewell::close(stream).await;
        }
        return door.refuse(stream, Refusal::HeadTimeout).await;
    }
    if unread.starts_with(HTTP2_PREFACE) {
        return door.refuse(stream, Refusal::Http2).await;
    }
    // hyper has answered these itself; whatever else fails is a client that went away.
    if error.is_parse_too_large() {
        door.counters.refused(431);
        farewell::close(stream).await;
    } else if error.is_parse() {
        door.counters.refused(400);
        farewell::close(stream).await;
    }
}

/// Puts the socket into a shard's inbox; waits a while if that is full.
async fn hand_over(mut arrival: Arrival, door: &Door) {
    let deadline = Instant::now() + door.options.place_timeout;
    loop {
        let placed = door.place.place(arrival);
        door.handed_over.notify_one();
        match placed {
            Ok(()) => return door.counters.accepted(),
            // Dropping it closes it: after a 101 there is no status left to send.
            Err(_) if Instant::now() >= deadline => return door.counters.refused(503),
            Err(back) => arrival = back,
        }
        sleep(PLACE_AGAIN).await;
    }
}

/// The deadlines of the HTTP phase in one timer: the turn of the first head, its end, then the end of writing each
/// response. While a service works on a request (it may read a long body) the deadline is the service's affair, and
/// while a stream is sent the socket has to go on taking it.
/// (Heads after the first are hyper's to watch, and stricter than the exchange before them.)
struct Deadlines<'a> {
    progress: &'a Progress,
    exchange_timeout: Duration,
    stall_max: Duration,
    head_deadline: Instant,
    /// Steps that the timer knows of; none while it watches the first head.
    seen: u64,
    /// Bytes of a stream that the socket had taken when it was last looked at.
    written: u64,
    /// When a stream's socket last took something, or had nothing to take.
    moved: Instant,
    timer: Pin<&'a mut Sleep>,
}

impl Deadlines<'_> {
    /// Ready when the conversation has to end.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        let is_streaming = self.progress.flow.is_streaming();
        let steps = self.progress.steps();
        if steps != self.seen {
            self.seen = steps;
            let patience = if is_streaming { self.stall_max } else { self.exchange_timeout };
            self.timer.as_mut().reset(Instant::now() + patience);
        }
        if is_streaming { self.poll_stream(cx) } else { self.poll_exchange(cx) }
    }

    fn poll_exchange(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        loop {
            ready!(self.timer.as_mut().poll(cx));
            if self.progress.requests.get() > self.progress.responses.get() {
                self.timer.as_mut().reset(Instant::now() + self.exchange_timeout);
                continue;
            }
            if self.seen > 0 {
                return Poll::Ready(End::ExchangeLate);
            }
            if Instant::now() >= self.head_deadline {
                return Poll::Ready(End::HeadLate);
            }
            drop(self.progress.permit.take());
            self.timer.as_mut().reset(self.head_deadline);
        }
    }

    fn poll_stream(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        let (written, is_blocked) = self.progress.flow.taken();
        if written != self.written || !is_blocked {
            self.written = written;
            self.moved = Instant::now();
        }
        loop {
            ready!(self.timer.as_mut().poll(cx));
            let deadline = self.moved + self.stall_max;
            if Instant::now() >= deadline {
                return Poll::Ready(End::Stalled);
            }
            self.timer.as_mut().reset(deadline);
        }
    }
}

/// What hyper calls with each request.
struct Desk {
    surface: Rc<Surface>,
    peer: SocketAddr,
    progress: Rc<Progress>,
    door: Rc<Door>,
}

impl Service<Request<Incoming>> for Desk {
    type Response = Response<Outgoing>;
    type Error = Infallible;
    type Future = Answer;

    fn call(&self, request: Request<Incoming>) -> Answer {
        let Self { surface, peer, progress, door } = self;
        progress.requests.set(progress.requests.get() + 1);
        let verdict = surface.judge(&request);
        if let Verdict::Upgrade(accepted) = verdict {
            progress.upgraded.set(Some(accepted.endpoint.clone()));
            return Answer::now(progress, accepted.response());
        }
        drop(progress.permit.take());
        match verdict {
            Verdict::Refuse(refusal) => {
                door.counters.refused(refusal.status().as_u16());
                Answer::now(progress, refusal.response())
            }
            Verdict::Correct(bad) => {
                door.counters.refused(StatusCode::BAD_REQUEST.as_u16());
                Answer::now(progress, bad.response())
            }
            _ => Answer::Later {
                response: (surface.service)(request, *peer),
                progress: Rc::clone(progress),
                exchange: Some(Exchange::begin(door)),
            },
        }
    }
}

/// The response to come.
enum Answer {
    Now(Option<Response<Outgoing>>),
    Later {
        response: Pin<Box<dyn Future<Output = Response<Body>>>>,
        progress: Rc<Progress>,
        exchange: Option<Exchange>,
    },
}

impl Answer {
    fn now(progress: &Progress, response: Response<Full<Bytes>>) -> Self {
        progress.responses.set(progress.responses.get() + 1);
        Self::Now(Some(response.map(|body| Outgoing::new(whole(body), &progress.flow, None))))
    }
}

impl Future for Answer {
    type Output = Result<Response<Outgoing>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            Self::Now(response) => {
                Poll::Ready(Ok(response.take().expect("polled once more after its end")))
            }
            Self::Later { response, progress, exchange } => {
                let response = ready!(response.as_mut().poll(cx));
                progress.responses.set(progress.responses.get() + 1);
                let exchange = exchange.take();
                let outgoing = |body| Outgoing::new(body, &progress.flow, exchange);
                Poll::Ready(Ok(response.map(outgoing)))
            }
        }
    }
}
