//! `lineage sub`: prints what a server sends, for people or, with `--json`, for programs.
//!
//! Events go to stdout, everything about the stream (gaps, refusals, the end) to stderr. Output is flushed whenever
//! nothing more has arrived. A closed pipe ends it quietly, as it ends any filter.

use super::table::{self, Shown};
use super::{runtime, tell};
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use lineage::error::Error;
use std::io::{self, BufWriter, Write};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{
    self, Message, client::IntoClientRequest as _, protocol::CloseFrame,
};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// What to print.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Subscription {
    url: String,
    /// Empty on URLs that take no subscription.
    topics: Vec<String>,
    json: bool,
}

impl Subscription {
    /// Checks what can be checked without the server. Without topics a v1 URL means all of them.
    ///
    /// # Errors
    /// When the URL is none of ours, or there are topics where none can be asked for.
    pub(super) fn new(url: String, mut topics: Vec<String>, json: bool) -> Result<Self, Error> {
        if url.starts_with("wss://") {
            return Err(Error::Usage(format!("{url}: this client speaks ws:// only")));
        }
        let request = url
            .as_str()
            .into_client_request()
            .map_err(|error| Error::Usage(format!("{url} is not a ws:// URL: {error}")))?;
        let is_v1 = request.uri().path() == "/v1";
        if !is_v1 && !topics.is_empty() {
            let reason = format!("{url} takes no topics; they belong to a URL that ends in /v1");
            return Err(Error::Usage(reason));
        }
        if is_v1 && topics.is_empty() {
            topics.push("*".to_owned());
        }
        Ok(Self { url, topics, json })
    }
}

/// How printing came to an end without an error.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// The server closed, as it may.
    Closed,
    /// Nobody reads our output any more.
    PipeClosed,
}

/// Prints until the server closes, the pipe closes or ^C.
///
/// # Errors
/// When the server cannot be reached, refuses, or the connection is lost.
pub(super) fn subscribe(subscription: &Subscription) -> Result<(), Error> {
    runtime()?.block_on(async {
        let out = BufWriter::with_capacity(64 * 1024, io::stdout().lock());
        tokio::select! {
            end = follow(subscription, out) => end.map(|_| ()),
            _ = tokio::signal::ctrl_c() => Ok(()),
        }
    })
}

async fn connect(subscription: &Subscription) -> Result<Socket, Error> {
    let failed = |reason: String| Error::Connect { url: subscription.url.clone(), reason };
    let connecting = connect_async(subscription.url.as_str());
    match tokio::time::timeout(CONNECT_TIMEOUT, connecting).await {
        Err(_) => Err(failed(format!("no answer within {} s", CONNECT_TIMEOUT.as_secs()))),
        Ok(Err(tungstenite::Error::Http(response))) => {
            Err(failed(format!("the server answered {}", response.status())))
        }
        Ok(Err(error)) => Err(failed(error.to_string())),
        Ok(Ok((socket, _))) => Ok(socket),
    }
}

/// Prints to `out` until the server or the reader of `out` ends it.
async fn follow(subscription: &Subscription, mut out: impl Write) -> Result<End, Error> {
    let mut socket = connect(subscription).await?;
    let lost = |error: tungstenite::Error| Error::Runtime(format!("connection lost: {error}"));
    if !subscription.topics.is_empty() {
        let request =
            serde_json::json!({"op": "subscribe", "id": 1, "topics": subscription.topics});
        socket.send(Message::text(request.to_string())).await.map_err(lost)?;
    }
    loop {
        let message = match socket.next().now_or_never() {
            Some(message) => message,
            None => {
                if let Some(end) = written(out.flush())? {
                    return Ok(end);
                }
                socket.next().await
            }
        };
        let end = match message {
            Some(Ok(Message::Text(text))) => written(print(subscription.json, &text, &mut out))?,
            Some(Ok(Message::Close(frame))) => {
                written(out.flush())?;
                return closed(frame);
            }
            Some(Ok(_)) => None,
            Some(Err(error)) => return Err(lost(error)),
            None => return Err(Error::Runtime("connection lost: no close frame came".to_owned())),
        };
        if let Some(end) = end {
            return Ok(end);
        }
    }
}

fn print(json: bool, text: &str, out: &mut impl Write) -> io::Result<()> {
    if json {
        if table::is_notice(text)
            && let Shown::Notice(notice) = table::show(text)
        {
            tell(&notice);
        }
        return writeln!(out, "{text}");
    }
    match table::show(text) {
        Shown::Row(row) => writeln!(out, "{row}"),
        Shown::Notice(notice) => {
            // In order with the rows, when both go to a terminal.
            out.flush()?;
            tell(&notice);
            Ok(())
        }
        Shown::Nothing => Ok(()),
    }
}

/// What an attempt to write means for going on.
fn written(result: io::Result<()>) -> Result<Option<End>, Error> {
    match result {
        Ok(()) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Some(End::PipeClosed)),
        Err(error) => Err(Error::Runtime(format!("cannot write: {error}"))),
    }
}

/// A normal end and a drain are no errors.
fn closed(frame: Option<CloseFrame>) -> Result<End, Error> {
    let Some(frame) = frame else { return Ok(End::Closed) };
    let line =
        format!("the server closed the connection: {} {}", u16::from(frame.code), frame.reason);
    match u16::from(frame.code) {
        1000 | 1001 => {
            tell(&line);
            Ok(End::Closed)
        }
        _ => Err(Error::Runtime(line)),
    }
}
