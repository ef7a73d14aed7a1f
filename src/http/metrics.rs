//! The metrics page: Prometheus text 0.0.4, compressed for those who accept it.

use super::answer;
use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use hyper::header::HeaderMap;

/// The page with these families. Some hundred microseconds on the edge's thread, and about as much again for
/// compression.
pub(super) fn page(text: Vec<u8>, headers: &HeaderMap) -> Response<Full<Bytes>> {
    answer::compressible("text/plain; version=0.0.4; charset=utf-8", text.into(), headers)
}
