//! `lineage sub`: prints what a server sends, for people or, with `--json`, for programs.
//!
//! Events go to stdout, everything about the stream (gaps, refusals, losses, the end) to stderr. Output is flushed
//! whenever nothing more has arrived. A closed pipe ends it quietly, as it ends any filter.

use super::{firehose, runtime, table, tell};
use futures_util::{FutureExt as _, StreamExt as _};
use lineage::client::{self, BuildError, Client, Position, Reconnecting, Update, Why};
use lineage::error::Error;
use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::time::Duration;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

/// What the command line asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) url: String,
    pub(super) topics: Vec<String>,
    /// The newest values only, at this rate.
    pub(super) latest_hz: Option<u32>,
    pub(super) from: Option<Position>,
    pub(super) is_without_snapshot: bool,
    pub(super) is_json: bool,
    /// How long to try to come back after a loss.
    pub(super) retry_for: Duration,
}

/// What to print: something that can be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Subscription {
    asked: Asked,
    is_v1: bool,
}

impl Subscription {
    /// Checks what can be checked without the server. Without topics a v1 URL means all of them.
    ///
    /// # Errors
    /// When the URL is none of ours, or something is asked for that it does not give.
    pub(super) fn new(mut asked: Asked) -> Result<Self, Error> {
        let url = &asked.url;
        let path =
            url.as_str().into_client_request().map(|request| request.uri().path().to_owned());
        let is_v1 = path.is_ok_and(|path| path == "/v1");
        let is_plain = asked.latest_hz.is_none()
            && asked.from.is_none()
            && !asked.is_without_snapshot
            && asked.topics.is_empty();
        if asked.topics.is_empty() {
            asked.topics.push("*".to_owned());
        }
        // For any URL: what is wrong with it does not depend on the topics.
        client(&asked).map_err(|error| Error::Usage(error.to_string()))?;
        if !is_v1 && !is_plain {
            return Err(Error::Usage(format!(
                "{} takes neither topics nor options for them; they belong to a URL that ends in /v1",
                asked.url
            )));
        }
        Ok(Self { asked, is_v1 })
    }

    /// What is asked for, with the topics that are meant.
    pub(super) fn into_asked(self) -> Asked {
        self.asked
    }
}

pub(super) fn client(asked: &Asked) -> Result<Client, BuildError> {
    let mut builder = Client::builder(&asked.url).snapshot(!asked.is_without_snapshot);
    for topic in &asked.topics {
        builder = match asked.latest_hz {
            None => builder.topic(topic),
            Some(rate) => builder.latest(topic, rate),
        };
    }
    if let Some(position) = &asked.from {
        builder = builder.from(position.clone());
    }
    builder.build()
}

/// How printing came to an end without an error.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The server closed, as it may.
    Closed,
    /// Nobody reads our output any more.
    PipeClosed,
}

/// Prints until the server closes for good, the pipe closes or ^C.
///
/// # Errors
/// When the server cannot be reached or refuses, or the connection is lost and cannot be made again in time.
pub(super) fn subscribe(subscription: &Subscription) -> Result<(), Error> {
    let asked = &subscription.asked;
    runtime()?.block_on(async {
        let out = BufWriter::with_capacity(64 * 1024, io::stdout().lock());
        let printing = async {
            if subscription.is_v1 {
                follow(asked, out).await
            } else {
                firehose::follow(asked, out).await
            }
        };
        tokio::select! {
            end = printing => end.map(|_| ()),
            _ = tokio::signal::ctrl_c() => Ok(()),
        }
    })
}

/// Prints to `out` until the server or the reader of `out` ends it.
async fn follow(asked: &Asked, mut out: impl Write) -> Result<End, Error> {
    let mut client = client(asked).map_err(|error| Error::Usage(error.to_string()))?;
    let mut absence = Absence::default();
    if !asked.is_json && io::stdout().is_terminal() && !is_open(writeln!(out, "{}", table::HEADER))?
    {
        return Ok(End::PipeClosed);
    }
    loop {
        let update = match client.next().now_or_never() {
            Some(update) => update,
            None => {
                if !is_open(out.flush())? {
                    return Ok(End::PipeClosed);
                }
                client.next().await
            }
        };
        let update = match update {
            Some(Ok(update)) => update,
            Some(Err(error)) => {
                is_open(out.flush())?;
                return ended(asked, &error);
            }
            None => return Ok(End::Closed),
        };
        if !is_open(print(asked.is_json, &update, &mut out))? {
            return Ok(End::PipeClosed);
        }
        match &update {
            Update::Reconnecting(next) => {
                let was_connected = client.counts().connections > 0;
                let patience = if was_connected { asked.retry_for } else { Duration::ZERO };
                if let Some(end) = absence.goes_on(asked, next, patience) {
                    is_open(out.flush())?;
                    return end;
                }
            }
            update if update.text().is_some() => absence = Absence::default(),
            _ => {}
        }
    }
}

/// The time without the server.
#[derive(Debug, Default)]
pub(super) struct Absence {
    since: Option<Instant>,
    /// It began with the server saying that it would go.
    is_drain: bool,
}

impl Absence {
    /// How it ends, if the next try would come after `patience` has run out.
    pub(super) fn goes_on(
        &mut self,
        asked: &Asked,
        next: &Reconnecting,
        patience: Duration,
    ) -> Option<Result<End, Error>> {
        if self.since.is_none() {
            self.is_drain = matches!(next.why, Why::Closed { code: 1001, .. });
        }
        let since = *self.since.get_or_insert_with(Instant::now);
        if since.elapsed() + next.after <= patience {
            tell(&format!("{}; trying again in {} ms", next.why, next.after.as_millis()));
            return None;
        }
        let reason = next.why.to_string();
        Some(match next.why {
            _ if self.is_drain => {
                tell(&reason);
                Ok(End::Closed)
            }
            Why::Unreachable(_) | Why::Status(_) => {
                Err(Error::Connect { url: asked.url.clone(), reason })
            }
            _ => Err(Error::Runtime(reason)),
        })
    }
}

/// What the end of a client means; a normal one is no error.
pub(super) fn ended(asked: &Asked, error: &client::Error) -> Result<End, Error> {
    let reason = error.to_string();
    match error {
        client::Error::Closed { code: 1000, .. } => {
            tell(&reason);
            Ok(End::Closed)
        }
        client::Error::Closed { code: 4001 | 4003, .. }
        | client::Error::Status(401 | 403)
        | client::Error::Refused { .. } => Err(Error::Refused(reason)),
        client::Error::Status(_) => Err(Error::Connect { url: asked.url.clone(), reason }),
        _ => Err(Error::Runtime(reason)),
    }
}

fn print(is_json: bool, update: &Update, out: &mut impl Write) -> io::Result<()> {
    if is_json && let Some(text) = update.text() {
        writeln!(out, "{text}")?;
    }
    match update {
        Update::Event(event) | Update::Snapshot(event) if !is_json => {
            writeln!(out, "{}", table::row(event))
        }
        update => {
            let Some(notice) = table::notice(update) else { return Ok(()) };
            // In order with the rows, when both go to a terminal.
            out.flush()?;
            tell(&notice);
            Ok(())
        }
    }
}

/// Whether somebody still reads what was written.
pub(super) fn is_open(result: io::Result<()>) -> Result<bool, Error> {
    match result {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Error::Runtime(format!("cannot write: {error}"))),
    }
}
