//! The metrics page: Prometheus text 0.0.4, compressed for those who accept it.

use super::answer;
use crate::telemetry::Telemetry;
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http_body_util::Full;
use hyper::header::{ACCEPT_ENCODING, CONTENT_ENCODING, HeaderMap, HeaderValue, VARY};
use hyper::{Response, StatusCode};
use std::io::Write as _;

/// The page. Some hundred microseconds on the edge's thread, and about as much again for compression.
pub(super) fn page(telemetry: &Telemetry, headers: &HeaderMap) -> Response<Full<Bytes>> {
    let text = telemetry.text();
    let compress = accepts_gzip(headers);
    let body = if compress { gzip(&text) } else { text };
    let mut response =
        answer::body(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", body);
    let headers = response.headers_mut();
    headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    if compress {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(text.len() / 4), Compression::fast());
    encoder.write_all(text).and_then(|()| encoder.finish()).expect("writing to memory succeeds")
}

/// Whether `Accept-Encoding` names gzip (or anything) with a weight above zero.
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let mut any = false;
    for value in headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok()) {
        for coding in value.split(',') {
            let mut parts = coding.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default();
            let weight = parts
                .find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")))
                .map_or(1.0, |weight| weight.parse::<f32>().unwrap_or(0.0));
            if name.eq_ignore_ascii_case("gzip") {
                return weight > 0.0;
            }
            any |= name == "*" && weight > 0.0;
        }
    }
    any
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_used_only_where_the_client_accepts_it() {
        for (accept, expected) in [
            (&["gzip"][..], true),
            (&["deflate, gzip;q=0.5"], true),
            (&["br", "GZIP"], true),
            (&["*"], true),
            (&["*;q=0"], false),
            (&["gzip;q=0, *"], false),
            (&["gzip;q=none"], false),
            (&["identity"], false),
            (&["xgzip"], false),
            (&[], false),
        ] {
            let mut headers = HeaderMap::new();
            for value in accept {
                headers.append(ACCEPT_ENCODING, HeaderValue::from_static(value));
            }
            assert_eq!(accepts_gzip(&headers), expected, "{accept:?}");
        }
    }
}
