//! Every status, and the keep-alive life of plain HTTP.

use super::support::{Answer, Client, Front, LARGE_BYTES, UPGRADE, get, upgrade};
use lineage::server::{Options, Refusal};
use std::io::Read;
use std::time::Duration;

/// A refusal is told in one line, with a length, and counted.
#[track_caller]
fn assert_refused(front: &Front, answer: &Answer, refusal: Refusal) {
    assert_eq!((answer.status, answer.text()), (refusal.status().as_u16(), refusal.text()));
    front.recorder.wait_until("the count", |state| state.refused.contains_key(&answer.status));
}

/// Sends `request` and expects `refusal`, then the end of the connection.
#[track_caller]
fn refused(front: &Front, request: &str, refusal: Refusal) -> Answer {
    let mut client = front.send(request);
    let answer = client.answer().expect("an answer");
    assert_refused(front, &answer, refusal);
    assert!(client.is_closed());
    answer
}

#[test]
fn malformed_handshakes_get_400() {
    let front = Front::open(Options::default());
    for (request, refusal) in [
        (upgrade("/").replace("Host: localhost\r\n", ""), Refusal::Host),
        (
            upgrade("/").replace("Host: localhost", "Host: localhost\r\nHost: localhost"),
            Refusal::Host,
        ),
        (upgrade("/").replace("HTTP/1.1", "HTTP/1.0"), Refusal::HttpVersion),
        (upgrade("/").replace("dGhlIHNhbXBsZSBub25jZQ==", "short"), Refusal::Key),
        (upgrade("/").replace("Sec-WebSocket-Key", "X-Key"), Refusal::Key),
        (
            format!(
                "GET / HTTP/1.1\r\n{UPGRADE}Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            ),
            Refusal::Key,
        ),
        (format!("GET / HTTP/1.1\r\n{UPGRADE}Content-Length: 2\r\n\r\nhi"), Refusal::Body),
        (
            format!("GET / HTTP/1.1\r\n{UPGRADE}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            Refusal::Body,
        ),
    ] {
        refused(&front, &request, refusal);
    }
    assert!(front.recorder.state().arrivals.is_empty());
}

#[test]
fn what_is_not_http_gets_400() {
    let front = Front::open(Options::default());
    for garbage in [
        "\x16\x03\x01\x02\x00\x01\x00\x01 hello\r\n\r\n",
        "hello\r\n\r\n",
        "GET / HTTP/1.1\r\nbad header\r\n\r\n",
    ] {
        assert_eq!(front.ask(garbage).status, 400, "{garbage:?}");
    }
    front.recorder.wait_until("three counts", |state| state.refused.get(&400) == Some(&3));
    refused(&front, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Refusal::Http2);
}

#[test]
fn a_query_that_the_routes_refuse_gets_400_with_its_value_upgrade_or_not() {
    let front = Front::open(Options::default());
    for request in [upgrade("/v1?wrong"), upgrade("/nowhere?wrong"), get("/?wrong")] {
        let mut client = front.send(request);
        let answer = client.answer().expect("an answer");
        assert_eq!((answer.status, answer.header("connection")), (400, Some("close")));
        assert_eq!(answer.text(), "bad query: query: \"wrong\" is not right\n");
        assert!(client.is_closed());
    }
    front.recorder.wait_until("three counts", |state| state.refused.get(&400) == Some(&3));
    assert!(front.recorder.state().arrivals.is_empty());
}

#[test]
fn foreign_hosts_and_origins_get_403_on_every_listener() {
    let front = Front::open(Options {
        origins: vec!["https://trade.example".into()],
        allowed_hosts: vec!["lineage.test".into()],
        ..Options::default()
    });
    for (host, origin, refusal) in [
        ("localhost:9001", None, None),
        ("127.0.0.1", Some("http://127.0.0.1:3000"), None),
        ("[::1]:9001", Some("http://[::1]"), None),
        ("lineage.test", Some("http://lineage.test"), None),
        ("localhost", Some("https://trade.example"), None),
        ("rebound.example", None, Some(Refusal::ForeignHost)),
        ("rebound.example", Some("http://rebound.example"), Some(Refusal::ForeignHost)),
        ("localhost", Some("http://evil.example"), Some(Refusal::Origin)),
        ("localhost", Some("null"), Some(Refusal::Origin)),
    ] {
        let origin = origin.map(|origin| format!("Origin: {origin}\r\n")).unwrap_or_default();
        let plain = format!("GET /page HTTP/1.1\r\nHost: {host}\r\n{origin}\r\n");
        let handshake =
            upgrade("/v1").replace("Host: localhost\r\n", &format!("Host: {host}\r\n{origin}"));
        for (address, request, sound) in [
            (front.address, &plain, 200),
            (front.http_address, &plain, 200),
            (front.address, &handshake, 101),
        ] {
            let mut client = Client::connect(address);
            client.send(request);
            let answer = client.answer().expect("an answer");
            match refusal {
                None => assert_eq!(answer.status, sound, "{request}"),
                Some(refusal) => assert_refused(&front, &answer, refusal),
            }
        }
    }
}

#[test]
fn unknown_paths_get_404_when_asked_to_upgrade_and_the_service_otherwise() {
    let front = Front::open(Options::default());
    refused(&front, &upgrade("/nowhere"), Refusal::UnknownPath);
    let answer = front.ask(get("/nowhere"));
    assert_eq!((answer.status, answer.text()), (200, "/nowhere"));
}

#[test]
fn other_methods_get_405_with_allow() {
    let front = Front::open(Options::default());
    for method in ["POST", "PUT", "OPTIONS"] {
        let answer = refused(&front, &upgrade("/v1").replacen("GET", method, 1), Refusal::Method);
        assert_eq!(answer.header("allow"), Some("GET"));
    }
    let mut client = front.send(upgrade("/v1").replacen("GET", "HEAD", 1));
    let answer = client.answer_to("HEAD").expect("an answer");
    assert_eq!((answer.status, answer.header("allow")), (405, Some("GET")));
    assert!(client.is_closed(), "no body follows HEAD");
    let body = format!(
        "POST /v1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 40000\r\n\r\n{}",
        "x".repeat(40_000)
    );
    refused(&front, &body, Refusal::Method);
}

#[test]
fn plain_requests_of_an_endpoint_get_426() {
    let front = Front::open(Options::default());
    for (request, refusal) in [
        (get("/"), Refusal::NotUpgrade),
        (upgrade("/v1").replace("Upgrade: websocket", "Upgrade: h2c"), Refusal::NotUpgrade),
        (upgrade("/v1").replace("Version: 13", "Version: 8"), Refusal::WebSocketVersion),
    ] {
        let answer = refused(&front, &request, refusal);
        assert_eq!(answer.header("sec-websocket-version"), Some("13"));
        assert_eq!(answer.header("upgrade"), Some("websocket"));
    }
}

#[test]
fn slow_and_silent_openers_get_408() {
    let front =
        Front::open(Options { head_timeout: Duration::from_millis(60), ..Options::default() });
    refused(&front, "", Refusal::HeadTimeout);
    refused(&front, "GET / HTTP/1.1\r\nHost: loc", Refusal::HeadTimeout);
    let mut second = front.send(get("/first"));
    assert_eq!(second.answer().expect("an answer").status, 200);
    second.send("GET /second HT");
    assert_refused(&front, &second.answer().expect("an answer"), Refusal::HeadTimeout);
}

#[test]
fn an_idle_connection_is_closed_without_a_status() {
    let front =
        Front::open(Options { head_timeout: Duration::from_millis(60), ..Options::default() });
    let mut client = front.send(get("/page"));
    assert_eq!(client.answer().expect("an answer").status, 200);
    assert!(client.answer().is_none());
    assert!(front.recorder.state().refused.is_empty());
}

#[test]
fn keep_alive_serves_one_request_after_the_other() {
    let front = Front::open(Options::default());
    let mut client = front.send("");
    for path in ["/one", "/two", "/three"] {
        client.send(get(path));
        assert_eq!(client.answer().expect("an answer").text(), path);
    }
    client.send(get("/four").repeat(2));
    for _ in 0..2 {
        assert_eq!(client.answer().expect("an answer").text(), "/four");
    }
    client.send("GET /five HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert_eq!(client.answer().expect("an answer").text(), "/five");
    assert!(client.is_closed());
}

#[test]
fn head_answers_with_the_length_and_no_body() {
    let front = Front::open(Options::default());
    let mut client = front.send(get("/page").replacen("GET", "HEAD", 1));
    let answer = client.answer_to("HEAD").expect("an answer");
    assert_eq!((answer.status, answer.header("content-length")), (200, Some("5")));
    client.send(get("/next"));
    assert_eq!(client.answer().expect("nothing stands before it").text(), "/next");
}

#[test]
fn http_1_0_without_host_is_served() {
    let front = Front::open(Options::default());
    let mut client = front.send("GET /health HTTP/1.0\r\n\r\n");
    assert_eq!(client.answer().expect("an answer").text(), "/health");
    assert!(client.is_closed());
}

#[test]
fn a_plain_surface_serves_everything() {
    let front = Front::open(Options::default());
    for request in [get("/v1"), upgrade("/v1"), upgrade("/").replacen("GET", "POST", 1)] {
        let mut client = Client::connect(front.http_address);
        client.send(&request);
        assert_eq!(client.answer().expect("an answer").status, 200, "{request}");
    }
    assert!(front.recorder.state().arrivals.is_empty());
}

#[test]
fn a_response_that_is_not_read_in_time_ends_the_connection() {
    let front =
        Front::open(Options { exchange_timeout: Duration::from_millis(60), ..Options::default() });
    let mut client = front.send(get("/large"));
    let (mut buffer, mut total) = (vec![0; 64 << 10], 0);
    while let Ok(read @ 1..) = client.0.read(&mut buffer) {
        total += read;
        // A reader of at most 32 MB/s: two seconds for the whole answer.
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(total < LARGE_BYTES, "{total} bytes came");
}

#[test]
fn a_service_may_work_for_longer_than_a_response_may_take() {
    let front =
        Front::open(Options { exchange_timeout: Duration::from_millis(20), ..Options::default() });
    let mut slow = front.send(get("/slow"));
    assert!(slow.is_waiting());
    front.gate.add_permits(1);
    assert_eq!(slow.answer().expect("an answer").text(), "/slow");
}

#[test]
fn a_service_that_panics_costs_its_connection_alone() {
    let front = Front::open(Options::default());
    let mut other = front.send(get("/before"));
    assert_eq!(other.answer().expect("an answer").status, 200);
    assert!(front.send(get("/panic")).answer().is_none());
    other.send(get("/after"));
    assert_eq!(other.answer().expect("an answer").text(), "/after");
}
