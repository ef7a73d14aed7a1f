//! Making a connection, and what its end means. Keeps no state.

use super::Error;
use super::intake::{Loss, WAIT_MAX};
use super::update::Why;
use futures_util::SinkExt as _;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::http::{HeaderMap, header::RETRY_AFTER};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

/// From the first packet until the subscriptions are sent.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// An event takes at most 1 MiB; an answer with many topics less.
const MESSAGE_BYTES_MAX: usize = 4 << 20;

/// The library clears its whole buffer before every read: large enough for a batch, small enough for that.
const READ_BUFFER_BYTES: usize = 32 << 10;

const CODE_NONE: u16 = 1005;
/// The server is done, refuses this client, or cannot understand it: it would do so again.
const CODES_OF_THE_END: [u16; 4] = [1000, 4001, 4003, 4011];

pub(super) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Connects and says hello. Dropping the future closes whatever was opened.
pub(super) async fn connect(url: String, hello: Vec<String>) -> Result<Socket, Loss> {
    let unreachable = |reason| Loss::again(Why::Unreachable(reason));
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX));
    let opening = async {
        let (mut socket, _) =
            connect_async_with_config(&url, Some(config), true).await.map_err(refused)?;
        for message in hello {
            socket.feed(Message::text(message)).await.map_err(broke)?;
        }
        socket.flush().await.map_err(broke)?;
        Ok(socket)
    };
    timeout(CONNECT_TIMEOUT, opening).await.unwrap_or_else(|_| {
        Err(unreachable(format!("no answer within {} s", CONNECT_TIMEOUT.as_secs())))
    })
}

fn refused(error: tungstenite::Error) -> Loss {
    let tungstenite::Error::Http(response) = error else {
        return Loss::again(Why::Unreachable(error.to_string()));
    };
    match response.status().as_u16() {
        status @ (429 | 500..) => {
            Loss::Again { why: Why::Status(status), at_least: retry_after(response.headers()) }
        }
        status => Loss::End(Error::Status(status)),
    }
}

/// In seconds. The form with a date is not for us: our clocks may differ.
fn retry_after(headers: &HeaderMap) -> Duration {
    let seconds = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    seconds.map_or(Duration::ZERO, Duration::from_secs).min(WAIT_MAX)
}

/// A connection that ended without a close frame.
pub(super) fn broke(error: tungstenite::Error) -> Loss {
    Loss::again(Why::Broke(match error {
        tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed => {
            "no close frame came".to_owned()
        }
        error => error.to_string(),
    }))
}

/// A connection that the server closed.
pub(super) fn closed(frame: Option<CloseFrame>) -> Loss {
    let (code, reason) = frame.map_or((CODE_NONE, String::new()), |frame| {
        (u16::from(frame.code), frame.reason.to_string())
    });
    if CODES_OF_THE_END.contains(&code) {
        return Loss::End(Error::Closed { code, reason });
    }
    Loss::again(Why::Closed { code, reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_close_codes_end_a_client_and_all_others_bring_it_back() {
        for code in (1000..=1015).chain(3000..=3001).chain(4000..=4100) {
            let loss = closed(Some(CloseFrame { code: code.into(), reason: "word".into() }));
            let is_end = matches!(&loss, Loss::End(Error::Closed { code: told, reason })
                if *told == code && reason == "word");
            assert_eq!(is_end, [1000, 4001, 4003, 4011].contains(&code), "{code}: {loss:?}");
        }
        let why = Why::Closed { code: 1005, reason: String::new() };
        assert_eq!(closed(None), Loss::again(why));
    }

    #[test]
    fn a_status_ends_a_client_unless_it_says_to_come_back() {
        for status in [200, 301, 400, 401, 404, 408, 426, 428, 429, 430, 431, 499, 500, 503, 599] {
            let response = tungstenite::http::Response::builder()
                .status(status)
                .header(RETRY_AFTER, "7")
                .body(None)
                .expect("a response");
            let expected = if status == 429 || status >= 500 {
                Loss::Again { why: Why::Status(status), at_least: Duration::from_secs(7) }
            } else {
                Loss::End(Error::Status(status))
            };
            assert_eq!(refused(tungstenite::Error::Http(Box::new(response))), expected);
        }
    }

    #[test]
    fn a_wait_in_seconds_is_honoured_up_to_a_limit() {
        for (text, seconds) in
            [("0", 0), ("299", 299), ("300", 300), ("301", 300), ("-1", 0), ("soon", 0)]
        {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, text.parse().expect("a value"))]);
            assert_eq!(retry_after(&headers), Duration::from_secs(seconds), "{text}");
        }
        assert_eq!(retry_after(&HeaderMap::new()), Duration::ZERO);
    }
}
