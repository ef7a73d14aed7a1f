//! The opening handshake of RFC 6455, section 4.2, as a pure function over a request.
//!
//! Never: sockets, time, or who may connect (`origin` decides that for every request). Called on the edge thread,
//! once per handshake; accepting costs one SHA-1 of 60 bytes and four small allocations.

use super::Refusal;
use crate::shard::Endpoint;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{
    CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT,
    SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING, UPGRADE,
};
use hyper::{Method, Request, Response, StatusCode, Version};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// The sub-protocol of the v1 endpoint.
pub const PROTOCOL_V1: &str = "lineage.v1";

/// An upgrade request that passed: what the 101 has to say, and what comes behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// What the connection will speak.
    pub endpoint: Endpoint,
    /// Value of `Sec-WebSocket-Accept`.
    accept_key: String,
    /// The sub-protocol both sides know, if the client offered it.
    protocol: Option<&'static str>,
}

/// Checks an upgrade request to `endpoint`.
///
/// # Errors
/// The refusal to answer: 400, 405 or 426.
pub fn check<B>(request: &Request<B>, endpoint: Endpoint) -> Result<Accepted, Refusal> {
    let headers = request.headers();
    if request.method() != Method::GET {
        return Err(Refusal::Method);
    }
    if request.version() != Version::HTTP_11 {
        return Err(Refusal::HttpVersion);
    }
    if has_body(headers) {
        return Err(Refusal::Body);
    }
    if !is_upgrade(headers) {
        return Err(Refusal::NotUpgrade);
    }
    if single(headers, &SEC_WEBSOCKET_VERSION) != Some(b"13") {
        return Err(Refusal::WebSocketVersion);
    }
    let key = single(headers, &SEC_WEBSOCKET_KEY).filter(|key| is_key(key)).ok_or(Refusal::Key)?;
    let offers_v1 = endpoint == Endpoint::V1
        && has_token(headers, &SEC_WEBSOCKET_PROTOCOL, str::eq, PROTOCOL_V1);
    Ok(Accepted {
        endpoint,
        accept_key: derive_accept_key(key),
        protocol: offers_v1.then_some(PROTOCOL_V1),
    })
}

/// Whether the request asks to become a WebSocket, well or badly.
pub(super) fn is_upgrade(headers: &HeaderMap) -> bool {
    has_token(headers, &UPGRADE, str::eq_ignore_ascii_case, "websocket")
        && has_token(headers, &CONNECTION, str::eq_ignore_ascii_case, "upgrade")
}

impl Accepted {
    /// The 101.
    pub(super) fn response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        let accept_key = HeaderValue::try_from(self.accept_key).expect("base64 is a header value");
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept_key);
        if let Some(protocol) = self.protocol {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
        }
        response
    }
}

/// A body would stand in the stream where frames are expected; a length of nothing is none.
fn has_body(headers: &HeaderMap) -> bool {
    headers.contains_key(TRANSFER_ENCODING)
        || headers.get_all(CONTENT_LENGTH).iter().any(|length| length != "0")
}

/// The value of a header that must stand there once.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => Some(value.as_bytes()),
        _ => None,
    }
}

/// Whether `token` stands in the comma-separated lists of a header that may come several times.
fn has_token(
    headers: &HeaderMap,
    name: &HeaderName,
    equal: fn(&str, &str) -> bool,
    token: &str,
) -> bool {
    let lists = headers.get_all(name).iter().filter_map(|list| list.to_str().ok());
    lists.flat_map(|list| list.split(',')).any(|item| equal(item.trim(), token))
}

/// 16 bytes in base64: 22 characters and two of padding.
fn is_key(key: &[u8]) -> bool {
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    key.strip_suffix(b"==").is_some_and(|digits| digits.len() == 22 && digits.iter().all(is_digit))
}

#[cfg(test)]
#[path = "upgrade_tests.rs"]
mod tests;
