//! `lineage sub` on a legacy URL: a plain WebSocket that sends and takes no subscription. Neither resumes nor
//! reconnects: the legacy protocol has no positions.

use super::subscribe::{Asked, End, is_open};
use super::{table, tell};
use futures_util::{FutureExt as _, StreamExt as _};
use lineage::error::Error;
use std::io::Write;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{self, Message, protocol::CloseFrame};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Prints to `out` until the server or the reader of `out` ends it.
///
/// # Errors
/// When the server cannot be reached, or the connection is lost.
pub(super) async fn follow(asked: &Asked, mut out: impl Write) -> Result<End, Error> {
    let mut socket = connect(&asked.url).await?;
    loop {
        let message = match socket.next().now_or_never() {
            Some(message) => message,
            None => {
                if !is_open(out.flush())? {
                    return Ok(End::PipeClosed);
                }
                socket.next().await
            }
        };
        let text = match message {
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(Message::Close(frame))) => {
                is_open(out.flush())?;
                return closed(frame);
            }
            Some(Ok(_)) => continue,
            Some(Err(error)) => return Err(Error::Runtime(format!("connection lost: {error}"))),
            None => return Err(Error::Runtime("connection lost: no close frame came".to_owned())),
        };
        let printed = if asked.is_json {
            writeln!(out, "{text}")
        } else {
            writeln!(out, "{}", table::legacy_row(&text))
        };
        if !is_open(printed)? {
            return Ok(End::PipeClosed);
        }
    }
}

async fn connect(url: &str) -> Result<Socket, Error> {
    let failed = |reason: String| Error::Connect { url: url.to_owned(), reason };
    match tokio::time::timeout(CONNECT_TIMEOUT, connect_async(url)).await {
        Err(_) => Err(failed(format!("no answer within {} s", CONNECT_TIMEOUT.as_secs()))),
        Ok(Err(tungstenite::Error::Http(response))) => {
            Err(failed(format!("the server answered {}", response.status())))
        }
        Ok(Err(error)) => Err(failed(error.to_string())),
        Ok(Ok((socket, _))) => Ok(socket),
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
