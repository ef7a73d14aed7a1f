//! What a browser asks before it lets a page of another origin read an answer.
//!
//! Whoever comes from a foreign origin that is not among the server's `origins` was refused before: an `Origin` that
//! gets here is welcome. Never: cookies or other credentials.

use super::{Body, answer};
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ALLOW,
    HeaderMap, HeaderValue, ORIGIN, VARY,
};
use hyper::{Method, Response, StatusCode};

const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, DELETE, OPTIONS");

/// The answer to `OPTIONS` of any path: what methods there are, and for a browser that asks before another request
/// that it may make it.
pub(super) fn options(method: &Method, headers: &HeaderMap) -> Option<Response<Body>> {
    if *method != Method::OPTIONS {
        return None;
    }
    let mut response = Response::new(answer::whole(Full::new(Bytes::new())));
    *response.status_mut() = StatusCode::NO_CONTENT;
    let told = response.headers_mut();
    told.insert(ALLOW, METHODS);
    if headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD) {
        let fields = HeaderValue::from_static("Authorization, Content-Type, Last-Event-ID");
        told.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        told.insert(ACCESS_CONTROL_ALLOW_HEADERS, fields);
        told.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    }
    Some(response)
}

/// Lets the page that asked read the answer.
pub(super) fn admit(origin: Option<HeaderValue>, response: &mut Response<Body>) {
    let told = response.headers_mut();
    told.append(VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = origin {
        told.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        let fields = HeaderValue::from_static("Lineage-Next, Retry-After");
        told.insert(ACCESS_CONTROL_EXPOSE_HEADERS, fields);
    }
}

/// The origin that a request names.
pub(super) fn origin(headers: &HeaderMap) -> Option<HeaderValue> {
    headers.get(ORIGIN).cloned()
}
