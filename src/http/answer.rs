//! Responses: JSON, and problems as RFC 9457 describes them. Makes them, never decides on them.

use super::Body;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};
use hyper::{Response, StatusCode};
use serde::Serialize;

/// A response with a body of the given type; not to be cached, for all of ours describe this moment.
pub(super) fn body(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Response<Full<Bytes>> {
    body(status, "application/json", to_json(value))
}

/// A refusal that says in one sentence why, and what would help.
pub(super) fn problem(status: StatusCode, detail: &str) -> Response<Full<Bytes>> {
    #[derive(Serialize)]
    struct Problem<'a> {
        r#type: &'static str,
        title: &'static str,
        status: u16,
        detail: &'a str,
    }
    let problem = Problem {
        r#type: "about:blank",
        title: status.canonical_reason().unwrap_or_default(),
        status: status.as_u16(),
        detail,
    };
    body(status, "application/problem+json", to_json(&problem))
}

pub(super) fn method_not_allowed(allow: &'static str) -> Response<Full<Bytes>> {
    let detail = format!("allowed here: {allow}");
    let mut response = problem(StatusCode::METHOD_NOT_ALLOWED, &detail);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
    response
}

pub(super) fn unauthorized(detail: &str) -> Response<Full<Bytes>> {
    let mut response = problem(StatusCode::UNAUTHORIZED, detail);
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

/// Asks the client to come back after a second.
pub(super) fn retry_soon(mut response: Response<Full<Bytes>>) -> Response<Full<Bytes>> {
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// A body that is there as a whole.
pub(super) fn whole(body: Full<Bytes>) -> Body {
    body.map_err(|never| match never {}).boxed_unsync()
}

fn to_json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("our answers have text keys and no maps that could fail")
}
