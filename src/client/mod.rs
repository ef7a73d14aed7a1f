//! The client of the v1 protocol: a [`Stream`] of [`Update`]s that comes back by itself after a loss.
//!
//! It subscribes, resumes where it was after every loss, waits between tries as the protocol asks, notices a server
//! that fell silent, and checks the gap proof: what is missing is always an update, never nothing. It never reads
//! ahead: while nobody polls it, the socket fills and the server sees a slow client, so memory stays bounded by one
//! message. TLS is not its business.
//!
//! ```no_run
//! use futures_util::StreamExt as _;
//! use lineage::client::{Client, Update, payload::Market};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let mut client = Client::builder("ws://127.0.0.1:9001/v1").topic("market:*").build()?;
//! while let Some(update) = client.next().await {
//!     match update? {
//!         Update::Event(event) | Update::Snapshot(event) => {
//!             let market: Market = event.parse()?;
//!             tracing::info!("{} {:?}", market.symbol, market.price);
//!         }
//!         Update::Gap(gap) => tracing::warn!("{}: {} to {} are missing", gap.topic, gap.from, gap.to),
//!         _ => {}
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Cancel-safe: whatever is under way lives in the client, so a dropped `next` loses nothing. Dropping the client closes
//! its socket. It must be polled within a Tokio runtime with time and io. An event costs one pass over its text, one
//! lookup by topic, and no copy.

mod backoff;
mod builder;
mod frame;
mod intake;
mod link;
pub mod payload;
mod proof;
mod update;

pub use builder::{BuildError, Builder, OnLag, RATES_HZ};
pub use update::{
    Broken, Connected, Event, Gap, GapAction, GapReason, NotAPosition, Position, Reconnecting,
    Rejected, Text, Trouble, Update, Why,
};

use backoff::Draws;
use builder::Plan;
use futures_util::{Sink as _, Stream, StreamExt as _};
use intake::{Intake, Loss};
use link::Socket;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep, sleep_until};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

/// A connection that lasted so long is sound: what ends it begins a new row of tries.
const SOUND_AFTER: Duration = Duration::from_secs(5);

/// A subscription to a server, over however many connections it takes.
///
/// As a stream it yields updates, and after the one error it may yield, nothing.
pub struct Client {
    intake: Intake,
    phase: Phase,
    /// Tries in a row.
    attempt: u32,
    draws: Draws,
}

/// What a client has seen since it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Events, without snapshots.
    pub events: u64,
    /// Gaps that the server told.
    pub gaps: u64,
    /// Breaches of the gap proof.
    pub broken: u64,
    /// Connections that were made.
    pub connections: u64,
}

/// Why a client does not try again.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The server answered the handshake with this HTTP status: there is nothing to connect to, or not for this client.
    Status(u16),
    /// The server closed for good: 1000 normally, 4001 and 4003 because this client may not, 4011 because the server
    /// did not understand it.
    Closed {
        /// Close code.
        code: u16,
        /// Begins with a machine word.
        reason: String,
    },
    /// The server does not do what was asked.
    Refused {
        /// The server's word for why.
        code: String,
        /// For people.
        message: String,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "the server answered {status}"),
            Self::Closed { code, reason } => {
                write!(f, "the server closed the connection: {code} {reason}")
            }
            Self::Refused { code, message } => {
                write!(f, "the server did not subscribe: {code}: {message}")
            }
        }
    }
}

impl std::error::Error for Error {}

enum Phase {
    /// Until the next try.
    Waiting(Pin<Box<Sleep>>),
    Connecting(Pin<Box<dyn Future<Output = Result<Socket, Loss>> + Send>>),
    Live(Box<Live>),
    /// The error is still to be told.
    Ending(Error),
    Ended,
}

/// A connection.
struct Live {
    socket: Socket,
    opened: Instant,
    last_frame: Instant,
    /// Fires at the earliest time at which the server may have been silent for too long.
    watch: Pin<Box<Sleep>>,
}

impl Client {
    /// Describes a client of the server at `url`, such as `ws://127.0.0.1:9001/v1`.
    #[must_use]
    pub fn builder(url: impl Into<String>) -> Builder {
        Builder::new(url.into())
    }

    fn new(plan: Plan) -> Self {
        let mut intake = Intake::new(plan);
        let phase = connecting(&mut intake);
        Self { intake, phase, attempt: 0, draws: Draws::default() }
    }

    /// Where another client would go on after this one ([`Builder::from`]): all events up to it were yielded, or are
    /// the next update. None before there is such a place, and in mode latest.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        self.intake.position().cloned()
    }

    /// What this client has seen.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.intake.counts
    }

    fn lose(&mut self, loss: Loss) {
        let (why, at_least) = match loss {
            Loss::End(error) => {
                self.phase = Phase::Ending(error);
                return;
            }
            Loss::Again { why, at_least } => (why, at_least),
        };
        if matches!(&self.phase, Phase::Live(live) if live.opened.elapsed() >= SOUND_AFTER) {
            self.attempt = 0;
        }
        self.attempt = self.attempt.saturating_add(1);
        let window = self.intake.reconnect_window();
        let (from, to) = window.unwrap_or((Duration::ZERO, backoff::ceiling(self.attempt)));
        let after = at_least + backoff::between(from, to, self.draws.draw());
        self.phase = Phase::Waiting(Box::pin(sleep(after)));
        let attempt = self.attempt;
        self.intake.ready.push_back(Update::Reconnecting(Reconnecting { after, why, attempt }));
    }
}

fn connecting(intake: &mut Intake) -> Phase {
    let hello = intake.begin();
    Phase::Connecting(Box::pin(link::connect(intake.plan.url.clone(), hello)))
}

impl Live {
    fn new(socket: Socket) -> Self {
        let now = Instant::now();
        Self { socket, opened: now, last_frame: now, watch: Box::pin(sleep_until(now)) }
    }

    /// The next text; an error when there will be none. The server may be silent for `silence_max`.
    fn poll_text(
        &mut self,
        silence_max: Duration,
        context: &mut Context<'_>,
    ) -> Poll<Result<Utf8Bytes, Loss>> {
        while let Poll::Ready(message) = self.socket.poll_next_unpin(context) {
            self.last_frame = Instant::now();
            match message {
                Some(Ok(Message::Text(text))) => return Poll::Ready(Ok(text)),
                Some(Ok(Message::Close(frame))) => {
                    // The answer to the close frame, as far as the socket takes it at once.
                    let _ = Pin::new(&mut self.socket).poll_flush(context);
                    return Poll::Ready(Err(link::closed(frame)));
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Err(link::broke(error))),
                None => {
                    let why = Why::Broke("no close frame came".to_owned());
                    return Poll::Ready(Err(Loss::again(why)));
                }
            }
        }
        // Only now: a client that was not polled for long finds the frames that came meanwhile.
        let deadline = self.last_frame + silence_max;
        loop {
            ready!(self.watch.as_mut().poll(context));
            if Instant::now() >= deadline {
                return Poll::Ready(Err(Loss::again(Why::Silent(silence_max))));
            }
            self.watch.as_mut().reset(deadline);
        }
    }
}

impl Stream for Client {
    type Item = Result<Update, Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let client = self.get_mut();
        loop {
            if let Some(update) = client.intake.ready.pop_front() {
                return Poll::Ready(Some(Ok(update)));
            }
            match &mut client.phase {
                Phase::Waiting(sleep) => {
                    ready!(sleep.as_mut().poll(context));
                    client.phase = connecting(&mut client.intake);
                }
                Phase::Connecting(connection) => match ready!(connection.as_mut().poll(context)) {
                    Ok(socket) => {
                        client.intake.counts.connections += 1;
                        client.phase = Phase::Live(Box::new(Live::new(socket)));
                    }
                    Err(loss) => client.lose(loss),
                },
                Phase::Live(live) => {
                    let silence_max = client.intake.heartbeat() * 2;
                    let text = ready!(live.poll_text(silence_max, context));
                    if let Err(loss) = text.and_then(|text| client.intake.take(text)) {
                        client.lose(loss);
                    }
                }
                Phase::Ending(error) => {
                    let error = error.clone();
                    client.phase = Phase::Ended;
                    return Poll::Ready(Some(Err(error)));
                }
                Phase::Ended => return Poll::Ready(None),
            }
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let phase = match self.phase {
            Phase::Waiting(_) => "waiting",
            Phase::Connecting(_) => "connecting",
            Phase::Live(_) => "live",
            Phase::Ending(_) | Phase::Ended => "ended",
        };
        f.debug_struct("Client")
            .field("url", &self.intake.plan.url)
            .field("phase", &phase)
            .field("position", &self.intake.position())
            .field("counts", &self.counts())
            .finish_non_exhaustive()
    }
}
