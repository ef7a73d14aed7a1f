//! Who may publish. Decides by peer address or token; that a browser speaks for its own host the server has checked.

use super::super::answer;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{AUTHORIZATION, HeaderMap};
use hyper::{Response, StatusCode};
use std::fmt;
use std::net::SocketAddr;

/// Who may publish over HTTP.
#[derive(Clone, PartialEq, Eq, Default)]
pub enum PublishAccess {
    /// Nobody.
    #[default]
    Off,
    /// Whoever connects from this machine, a proxy on it included.
    Loopback,
    /// Whoever presents this token.
    Token(String),
}

impl fmt::Debug for PublishAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "Off",
            Self::Loopback => "Loopback",
            Self::Token(_) => "Token(…)",
        })
    }
}

impl PublishAccess {
    /// The refusal, when a request from `peer` with these headers may not publish.
    pub(super) fn refusal(
        &self,
        peer: SocketAddr,
        headers: &HeaderMap,
    ) -> Option<Response<Full<Bytes>>> {
        match self {
            Self::Off => Some(answer::problem(
                StatusCode::FORBIDDEN,
                "publishing is off; start the server with --publish loopback or --publish token",
            )),
            Self::Loopback if peer.ip().to_canonical().is_loopback() => None,
            Self::Loopback => Some(answer::problem(
                StatusCode::FORBIDDEN,
                "only this machine may publish; start the server with --publish token to open it to others",
            )),
            Self::Token(token) if bearer(headers).is_some_and(|given| is_equal(given, token)) => {
                None
            }
            Self::Token(_) => Some(answer::unauthorized(
                "publishing needs the header `Authorization: Bearer <token>` with the token of LINEAGE_PUBLISH_TOKEN",
            )),
        }
    }
}

/// The token of the one `Authorization: Bearer` header.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next()?.as_bytes();
    let (scheme, token) = value.split_at_checked(7)?;
    (values.next().is_none() && scheme.eq_ignore_ascii_case(b"bearer ")).then(|| token.trim_ascii())
}

/// Compares in a time that depends on the lengths only, so that a token cannot be guessed byte by byte.
fn is_equal(given: &[u8], token: &str) -> bool {
    let token = token.as_bytes();
    let differences = given
        .iter()
        .zip(token)
        .fold(0, |found, (left, right)| std::hint::black_box(found | (left ^ right)));
    !token.is_empty() && given.len() == token.len() && differences == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    const HERE: &str = "127.0.0.1:5000";
    const ELSEWHERE: &str = "192.0.2.7:5000";

    fn status(access: &PublishAccess, peer: &str, authorization: &[&'static str]) -> Option<u16> {
        let mut headers = HeaderMap::new();
        for value in authorization {
            headers.append(AUTHORIZATION, HeaderValue::from_static(value));
        }
        let refusal = access.refusal(peer.parse().unwrap(), &headers);
        refusal.map(|response| response.status().as_u16())
    }

    #[test]
    fn nobody_publishes_while_it_is_off() {
        assert_eq!(status(&PublishAccess::Off, HERE, &[]), Some(403));
    }

    #[test]
    fn only_this_machine_publishes_on_loopback() {
        for (peer, expected) in [
            (HERE, None),
            ("[::1]:1", None),
            ("[::ffff:127.0.0.1]:1", None),
            (ELSEWHERE, Some(403)),
        ] {
            assert_eq!(status(&PublishAccess::Loopback, peer, &[]), expected, "{peer}");
        }
    }

    #[test]
    fn only_the_whole_token_opens_the_door() {
        let access = PublishAccess::Token("s3cret".to_owned());
        for (authorization, expected) in [
            (&["Bearer s3cret"][..], None),
            (&["bearer s3cret"], None),
            (&["Bearer s3cre"], Some(401)),
            (&["Bearer s3cret1"], Some(401)),
            (&["Bearer S3cret"], Some(401)),
            (&["Bearer "], Some(401)),
            (&["s3cret"], Some(401)),
            (&["Basic s3cret"], Some(401)),
            (&["Bearer s3cret", "Bearer s3cret"], Some(401)),
            (&[], Some(401)),
        ] {
            assert_eq!(status(&access, HERE, authorization), expected, "{authorization:?}");
        }
        assert_eq!(status(&PublishAccess::Token(String::new()), HERE, &["Bearer "]), Some(401));
    }
}
