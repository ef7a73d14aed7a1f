//! Tables and generated headers for the handshake check.

use super::*;
use crate::shard::LegacyView;
use proptest::prelude::*;

/// The sample request of RFC 6455, section 1.3.
const SAMPLE: [(&str, &str); 5] = [
    ("host", "server.example.com"),
    ("upgrade", "websocket"),
    ("connection", "Upgrade"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("sec-websocket-version", "13"),
];

fn request(headers: &[(&str, &str)]) -> Request<()> {
    let mut request = Request::builder().uri("/v1");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).expect("a request")
}

/// The sample with one header replaced, or left out (`None`).
fn with(name: &str, value: Option<&str>) -> Request<()> {
    let mut headers: Vec<_> = SAMPLE.into_iter().filter(|(known, _)| *known != name).collect();
    headers.extend(value.map(|value| (name, value)));
    request(&headers)
}

/// The sample with headers added.
fn plus(more: &[(&str, &str)]) -> Request<()> {
    request(&[&SAMPLE[..], more].concat())
}

fn outcome(request: &Request<()>) -> Option<Refusal> {
    check(request, Endpoint::V1).err()
}

#[test]
fn the_sample_of_the_rfc_is_accepted_with_its_key() {
    let accepted = check(&request(&SAMPLE), Endpoint::Legacy(LegacyView::default()))
        .expect("the sample is sound");
    assert_eq!(accepted.endpoint, Endpoint::Legacy(LegacyView::default()));
    let response = accepted.response();
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    assert_eq!(response.headers()[SEC_WEBSOCKET_ACCEPT], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert_eq!(response.headers()[UPGRADE], "websocket");
    assert_eq!(response.headers()[CONNECTION], "upgrade");
    assert!(!response.headers().contains_key(SEC_WEBSOCKET_PROTOCOL));
}

#[test]
fn tokens_are_found_in_lists_whatever_their_case() {
    for value in ["keep-alive, Upgrade", "UPGRADE", "upgrade ,close", " upgrade"] {
        assert_eq!(outcome(&with("connection", Some(value))), None, "{value}");
    }
    for value in ["WebSocket", "h2c, websocket"] {
        assert_eq!(outcome(&with("upgrade", Some(value))), None, "{value}");
    }
    let split = [
        SAMPLE[0],
        SAMPLE[1],
        ("connection", "keep-alive"),
        ("connection", "upgrade"),
        SAMPLE[3],
        SAMPLE[4],
    ];
    assert_eq!(outcome(&request(&split)), None);
}

#[test]
fn what_is_no_upgrade_gets_426() {
    for request in [
        request(&SAMPLE[..1]),
        with("upgrade", None),
        with("upgrade", Some("h2c")),
        with("upgrade", Some("websockets")),
        with("connection", None),
        with("connection", Some("keep-alive")),
        with("connection", Some("up grade")),
    ] {
        assert_eq!(outcome(&request), Some(Refusal::NotUpgrade), "{request:?}");
    }
}

#[test]
fn another_version_gets_426() {
    for value in [None, Some("8"), Some("14"), Some("13, 8"), Some("013")] {
        assert_eq!(
            outcome(&with("sec-websocket-version", value)),
            Some(Refusal::WebSocketVersion),
            "{value:?}"
        );
    }
    assert_eq!(outcome(&plus(&[("sec-websocket-version", "13")])), Some(Refusal::WebSocketVersion));
}

#[test]
fn a_key_is_sixteen_bytes_once() {
    for value in [
        None,
        Some(""),
        Some("dGhlIHNhbXBsZSBub25jZQ="),
        Some("dGhlIHNhbXBsZSBub25jZQ==="),
        Some("dGhlIHNhbXBsZSBub25jZQAA"),
        Some("dGhlIHNhbXBsZSBub25jZ==="),
        Some("dGhlIHNhbXBsZSBub25j*Q=="),
        Some("AdGhlIHNhbXBsZSBub25jZQ=="),
    ] {
        assert_eq!(outcome(&with("sec-websocket-key", value)), Some(Refusal::Key), "{value:?}");
    }
    assert_eq!(
        outcome(&plus(&[("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")])),
        Some(Refusal::Key)
    );
}

#[test]
fn a_body_gets_400_and_a_length_of_nothing_is_none() {
    assert_eq!(outcome(&plus(&[("content-length", "5")])), Some(Refusal::Body));
    assert_eq!(outcome(&plus(&[("transfer-encoding", "chunked")])), Some(Refusal::Body));
    assert_eq!(outcome(&plus(&[("content-length", "0")])), None);
}

#[test]
fn http_1_0_gets_400_and_other_methods_405() {
    let mut old = request(&SAMPLE);
    *old.version_mut() = Version::HTTP_10;
    assert_eq!(outcome(&old), Some(Refusal::HttpVersion));
    for method in [Method::POST, Method::HEAD, Method::OPTIONS] {
        let mut other = request(&SAMPLE);
        *other.method_mut() = method;
        assert_eq!(outcome(&other), Some(Refusal::Method));
    }
}

#[test]
fn the_sub_protocol_is_echoed_when_offered_at_its_endpoint_alone() {
    for (offer, expected) in [
        ("lineage.v1", Some(PROTOCOL_V1)),
        ("other, lineage.v1", Some(PROTOCOL_V1)),
        ("lineage.v1, bearer.abc", Some(PROTOCOL_V1)),
        ("Lineage.v1", None),
        ("lineage.v2", None),
        ("bearer.abc", None),
    ] {
        let request = plus(&[("sec-websocket-protocol", offer)]);
        assert_eq!(check(&request, Endpoint::V1).expect("sound").protocol, expected, "{offer}");
        assert_eq!(
            check(&request, Endpoint::Legacy(LegacyView::default())).expect("sound").protocol,
            None,
            "{offer}"
        );
    }
    let twice = plus(&[("sec-websocket-protocol", "a"), ("sec-websocket-protocol", "lineage.v1")]);
    let response = check(&twice, Endpoint::V1).expect("sound").response();
    assert_eq!(response.headers()[SEC_WEBSOCKET_PROTOCOL], PROTOCOL_V1);
}

/// Header values a hostile client may send: near misses and arbitrary bytes.
fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(b"websocket".to_vec()),
        Just(b"upgrade".to_vec()),
        Just(b"13".to_vec()),
        Just(b"dGhlIHNhbXBsZSBub25jZQ==".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..40),
    ]
}

proptest! {
    /// Whatever the headers, the check answers; and what it accepts has exactly one sound key and version.
    #[test]
    fn any_headers_are_answered(values in proptest::collection::vec((0_usize..8, value()), 0..12)) {
        let names = [
            UPGRADE, CONNECTION, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, SEC_WEBSOCKET_PROTOCOL, CONTENT_LENGTH,
            TRANSFER_ENCODING, hyper::header::HOST,
        ];
        let mut request = Request::new(());
        for (name, value) in values {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                request.headers_mut().append(names[name].clone(), value);
            }
        }
        if let Ok(accepted) = check(&request, Endpoint::V1) {
            let headers = request.headers();
            prop_assert_eq!(headers.get_all(SEC_WEBSOCKET_KEY).iter().count(), 1);
            prop_assert_eq!(headers.get_all(SEC_WEBSOCKET_VERSION).iter().count(), 1);
            prop_assert!(is_key(headers[SEC_WEBSOCKET_KEY].as_bytes()));
            prop_assert!(is_upgrade(headers) && !has_body(headers));
            prop_assert_eq!(accepted.response().status(), StatusCode::SWITCHING_PROTOCOLS);
        }
    }
}
