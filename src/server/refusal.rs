//! Why the front door says no: status, one line of text with the remedy, headers.
//!
//! Invariants: every refusal closes its connection, carries a length, and says what to do about it. Of the request
//! only a bad value of its query is repeated in the answer, escaped and cut short.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use std::fmt::Write as _;

/// Why a request or a connection is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// 400: no single, well-formed `Host`.
    Host,
    /// 400: a WebSocket needs HTTP/1.1.
    HttpVersion,
    /// 400: the preface of HTTP/2.
    Http2,
    /// 400: an upgrade request with a body.
    Body,
    /// 400: not exactly one `Sec-WebSocket-Key` of 16 bytes in base64.
    Key,
    /// 403: a host name that a loopback listener does not go by.
    ForeignHost,
    /// 403: a browser page of another site.
    Origin,
    /// 404: no WebSocket endpoint under this path.
    UnknownPath,
    /// 405: a WebSocket endpoint takes GET alone.
    Method,
    /// 408: the request head did not arrive in time.
    HeadTimeout,
    /// 426: a WebSocket endpoint, but not an upgrade request.
    NotUpgrade,
    /// 426: another WebSocket version than 13.
    WebSocketVersion,
    /// 429: too many connections of this address.
    Address,
    /// 503: `connections_max` is reached.
    Full,
    /// 503: too many connections in the HTTP phase.
    Busy,
    /// 503: the process has no file descriptor left.
    Descriptors,
}

impl Refusal {
    /// All of them, for tables.
    pub const ALL: [Self; 16] = [
        Self::Host,
        Self::HttpVersion,
        Self::Http2,
        Self::Body,
        Self::Key,
        Self::ForeignHost,
        Self::Origin,
        Self::UnknownPath,
        Self::Method,
        Self::HeadTimeout,
        Self::NotUpgrade,
        Self::WebSocketVersion,
        Self::Address,
        Self::Full,
        Self::Busy,
        Self::Descriptors,
    ];

    /// The HTTP status.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Host | Self::HttpVersion | Self::Http2 | Self::Body | Self::Key => {
                StatusCode::BAD_REQUEST
            }
            Self::ForeignHost | Self::Origin => StatusCode::FORBIDDEN,
            Self::UnknownPath => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::HeadTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::NotUpgrade | Self::WebSocketVersion => StatusCode::UPGRADE_REQUIRED,
            Self::Address => StatusCode::TOO_MANY_REQUESTS,
            Self::Full | Self::Busy | Self::Descriptors => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// What is wrong and what to do about it: one line, newline included.
    pub fn text(self) -> &'static str {
        match self {
            Self::Host => "bad or missing Host header: send exactly one, as host or host:port\n",
            Self::HttpVersion => "a WebSocket needs HTTP/1.1: send the request with HTTP/1.1\n",
            Self::Http2 => "HTTP/2 is not spoken here: send the request with HTTP/1.1\n",
            Self::Body => {
                "an upgrade request has no body: leave out Content-Length and Transfer-Encoding\n"
            }
            Self::Key => {
                "bad Sec-WebSocket-Key: send exactly one, 16 random bytes in base64 (24 characters)\n"
            }
            Self::ForeignHost => {
                "this Host is not served on loopback: use localhost or the address, or add the name to allowed_hosts\n"
            }
            Self::Origin => {
                "pages of this Origin may not connect: add the origin to the server's origins\n"
            }
            Self::UnknownPath => {
                "no WebSocket endpoint under this path: the v1 protocol is at /v1\n"
            }
            Self::Method => {
                "a WebSocket endpoint takes GET only: send the upgrade request as GET\n"
            }
            Self::HeadTimeout => {
                "the request did not arrive in time: connect again and send it at once\n"
            }
            Self::NotUpgrade => {
                "this is a WebSocket endpoint: send Connection: upgrade and Upgrade: websocket with the request\n"
            }
            Self::WebSocketVersion => {
                "this WebSocket version is not spoken: send one Sec-WebSocket-Version: 13\n"
            }
            Self::Address => "too many connections from this address: close some, then try again\n",
            Self::Full => "all connections are taken: try again later\n",
            Self::Busy => "too many requests are waiting: try again in a moment\n",
            Self::Descriptors => "the server is out of file descriptors: try again in a moment\n",
        }
    }

    /// The headers that belong to this status.
    fn headers(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Method => &[("allow", "GET")],
            Self::NotUpgrade | Self::WebSocketVersion => {
                &[("upgrade", "websocket"), ("sec-websocket-version", "13")]
            }
            Self::Address | Self::Full => &[("retry-after", "5")],
            Self::Busy | Self::Descriptors => &[("retry-after", "1")],
            _ => &[],
        }
    }

    /// The value of `Connection`: RFC 9110 wants `upgrade` named wherever `Upgrade` is sent.
    fn connection(self) -> &'static str {
        match self {
            Self::NotUpgrade | Self::WebSocketVersion => "upgrade, close",
            _ => "close",
        }
    }

    /// The response, for hyper to send.
    pub fn response(self) -> Response<Full<Bytes>> {
        let mut response = line(self.status(), self.connection(), self.text());
        let headers = response.headers_mut();
        for (name, value) in self.headers() {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        response
    }

    /// The response as bytes, for sockets that hyper has no request of.
    pub(super) fn bytes(self) -> Vec<u8> {
        let (status, text) = (self.status(), self.text());
        let mut head = format!(
            "HTTP/1.1 {} {}\r\ncontent-type: text/plain; charset=utf-8\r\nconnection: {}\r\ncontent-length: {}\r\n",
            status.as_str(),
            status.canonical_reason().unwrap_or_default(),
            self.connection(),
            text.len(),
        );
        for (name, value) in self.headers() {
            // Writing to a string cannot fail.
            let _ = write!(head, "{name}: {value}\r\n");
        }
        head.push_str("\r\n");
        head.push_str(text);
        head.into_bytes()
    }
}

/// Characters of a bad value that are repeated.
const VALUE_SHOWN_MAX: usize = 64;

/// A query that no endpoint can obey: 400, with one line that names the value and what is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadQuery(String);

impl BadQuery {
    /// `value` is not among what `parameter` may be, which `allowed` tells.
    #[must_use]
    pub fn new(parameter: &str, value: &str, allowed: &str) -> Self {
        let shown: String = value.chars().take(VALUE_SHOWN_MAX).collect();
        let cut = if shown.len() < value.len() { "…" } else { "" };
        Self(format!(
            "bad query: {parameter}: \"{}{cut}\" is not {allowed}\n",
            shown.escape_default()
        ))
    }

    /// What is wrong and what is allowed: one line, newline included.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }

    /// The response, for hyper to send.
    pub(super) fn response(self) -> Response<Full<Bytes>> {
        line(StatusCode::BAD_REQUEST, "close", self.0)
    }
}

/// A response of one line.
fn line(
    status: StatusCode,
    connection: &'static str,
    text: impl Into<Bytes>,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CONNECTION, HeaderValue::from_static(connection));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_is_one_line_with_a_remedy_and_closes() {
        for refusal in Refusal::ALL {
            let text = refusal.text();
            assert!(text.ends_with('\n') && text.matches('\n').count() == 1, "{refusal:?}");
            assert!(text.contains(": "), "{refusal:?} names no remedy");
            let response = refusal.response();
            assert_eq!(response.status(), refusal.status());
            assert!(response.headers()[CONNECTION].to_str().expect("text").ends_with("close"));
        }
    }

    #[test]
    fn written_by_hand_or_by_hyper_a_refusal_says_the_same() {
        for refusal in Refusal::ALL {
            let bytes = String::from_utf8(refusal.bytes()).expect("text");
            let (head, body) = bytes.split_once("\r\n\r\n").expect("a blank line");
            assert_eq!(body, refusal.text());
            assert!(
                head.starts_with(&format!("HTTP/1.1 {} ", refusal.status().as_str())),
                "{head}"
            );
            assert!(head.contains(&format!("content-length: {}", body.len())), "{head}");
            for (name, value) in refusal.response().headers() {
                let line = format!("\r\n{name}: {}", value.to_str().expect("text"));
                assert!(head.contains(&line), "{refusal:?} lacks {line:?}");
            }
        }
    }

    #[test]
    fn a_bad_query_is_answered_with_its_value_escaped_and_cut() {
        let bad = BadQuery::new("types", "<é>\r\n", "market or agent");
        assert_eq!(bad.text(), "bad query: types: \"<\\u{e9}>\\r\\n\" is not market or agent\n");
        assert_eq!(bad.response().status(), StatusCode::BAD_REQUEST);
        for (length, is_cut) in [(63, false), (64, false), (65, true)] {
            let text = BadQuery::new("symbols", &"x".repeat(length), "a symbol").text().to_owned();
            assert_eq!(text.contains('…'), is_cut, "{length}");
            assert_eq!(text.matches('x').count(), length.min(64));
        }
    }
}
