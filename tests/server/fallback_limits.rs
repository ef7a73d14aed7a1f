//! What the fallbacks refuse, how many there may be, and how they end.
//!
//! Method: requests at, below and above each limit; a drain while streams and polls are open.

use super::fallback_client::{ask, ask_over};
use super::order::word;
use super::support::{PATIENCE, config, http, start, wait_until};
use lineage::config::{Config, Key};
use lineage::http::stream;
use lineage::telemetry::EngineCounter;
use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

#[test]
fn requests_that_are_wrong_are_told_why() {
    let engine = start(config());
    for (query, code, names) in [
        ("", "bad_request", "topics"),
        ("?topics=a&mode=latest", "bad_request", "mode"),
        ("?topics=a&from=1", "bad_request", "from"),
        ("?topics=a&snapshot=1", "bad_request", "snapshot"),
        ("?topics=a&wait_ms=60001", "bad_request", "wait_ms"),
        ("?topics=a,x%20y", "bad_topic", "x y"),
        ("?topics=a,,b", "bad_topic", "neither"),
        ("?topics=a:snapshot", "reserved", "a:snapshot"),
    ] {
        for path in ["/v1/sse", "/v1/poll", "/v1/snapshot"] {
            let mut answer = ask(http(&engine), &format!("{path}{query}"), "");
            let (text, _) = answer.rest();
            assert_eq!(answer.status, 400, "{path}{query}: {text}");
            let error: serde_json::Value = serde_json::from_str(&text).expect("JSON");
            assert_eq!(error["error"]["code"], code, "{text}");
            let message = error["error"]["message"].as_str().expect("a message");
            assert!(message.contains(names), "{text}");
        }
    }
    let mut answer = ask(http(&engine), "/v1/sse?topics=a", "Last-Event-ID: x\r\n");
    assert_eq!(answer.status, 400);
    assert!(answer.rest().0.contains("Last-Event-ID"));
}

#[test]
fn the_rules_of_the_listener_hold_for_streams_too() {
    let engine = start(config());
    let status = |method, path, headers| {
        let stream = TcpStream::connect(http(&engine)).expect("the listener is open");
        ask_over(stream, method, path, headers).status
    };
    for path in ["/v1/sse?topics=a", "/v1/poll?topics=a&wait_ms=0", "/v1/snapshot?topics=a"] {
        assert_eq!(status("GET", path, ""), 200);
        assert_eq!(status("HEAD", path, ""), 200);
        assert_eq!(status("POST", path, "Content-Length: 0\r\n"), 405);
        assert_eq!(status("GET", path, "Origin: http://elsewhere.example\r\n"), 403);
    }
    assert_eq!(status("HEAD", "/v1/poll?topics=a", ""), 200, "nothing to wait for");
    wait_until("all are gone", || engine.telemetry().value(EngineCounter::HttpStreams) == 0);
    let ws = TcpStream::connect(engine.addresses().ws).expect("the listener is open");
    assert_eq!(ask_over(ws, "GET", "/v1/sse?topics=a", "").status, 404, "not on this listener");
}

#[test]
fn a_request_names_as_many_topics_as_a_connection_may_hold() {
    let engine = start(config());
    for (count, expected) in [(1_023, 200), (1_024, 200), (1_025, 400)] {
        let names: Vec<String> = (0..count).map(|n| format!("a:{n}")).collect();
        let path = format!("/v1/poll?wait_ms=0&topics={}", names.join(","));
        let mut answer = ask(http(&engine), &path, "");
        assert_eq!(answer.status, expected, "{count} topics");
        assert_eq!(answer.rest().0.contains("too_many_topics"), expected == 400);
    }
    assert_eq!(engine.telemetry().value(EngineCounter::HttpRejected), 1);
}

#[test]
fn so_many_streams_and_polls_are_answered_and_no_more() {
    let engine = start(Config { http_streams_max: 3, ..config() });
    let telemetry = engine.telemetry();
    let open = || telemetry.value(EngineCounter::HttpStreams);
    let sse = || ask(http(&engine), "/v1/sse?topics=a", "");
    let mut streams = vec![sse(), sse()];
    assert_eq!((streams[1].status, open()), (200, 2), "one below the limit");
    streams.push(sse());
    assert_eq!((streams[2].status, open()), (200, 3), "at the limit");
    for path in ["/v1/sse?topics=a", "/v1/poll?topics=a", "/v1/snapshot?topics=a"] {
        let mut answer = ask(http(&engine), path, "");
        assert_eq!(answer.status, 503, "{path}");
        assert_eq!(answer.header("retry-after"), Some("1"));
        assert!(answer.rest().0.contains("too_many_streams"));
    }
    assert_eq!(telemetry.value(EngineCounter::HttpStreamsRefused), 3);
    streams.pop();
    wait_until("the place is free", || open() == 2);
    assert_eq!(sse().status, 200);
    drop(streams);
    wait_until("all are gone", || open() == 0);
}

#[test]
fn a_client_that_goes_away_gives_its_place_back_before_anything_is_written() {
    let engine = start(config());
    let open = || engine.telemetry().value(EngineCounter::HttpStreams);
    let mut streams = Vec::new();
    for path in ["/v1/sse?topics=a", "/v1/poll?topics=a&wait_ms=60000"] {
        let mut stream = TcpStream::connect(http(&engine)).expect("the listener is open");
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("the server reads");
        streams.push(stream);
    }
    wait_until("both", || open() == 2);
    drop(streams);
    wait_until("both are gone", || open() == 0);
}

#[test]
fn a_drain_ends_streams_with_a_farewell_and_answers_polls() {
    let engine = start(config());
    let mut stream = ask(http(&engine), "/v1/sse?topics=a", "");
    for kind in ["welcome", "ack"] {
        assert_eq!(word(&stream.event().expect("a frame").json, "type"), kind);
    }
    let address = http(&engine);
    let poll = std::thread::spawn(move || {
        ask(address, "/v1/poll?topics=a&wait_ms=60000", "").array().len()
    });
    wait_until("both", || engine.telemetry().value(EngineCounter::HttpStreams) == 2);
    let drained = engine.drain(PATIENCE);
    assert_eq!((drained.clients, drained.dropped), (2, 0));
    let farewell = stream.event().expect("a farewell");
    assert_eq!((word(&farewell.json, "type"), farewell.id), ("shutdown", None));
    assert!(farewell.json.contains("\"reconnect_ms\":[0,250]"), "{}", farewell.json);
    assert_eq!(stream.event(), None);
    let (rest, is_whole) = stream.rest();
    assert!(rest.is_empty() && is_whole, "the body has an end: {rest}");
    assert_eq!(poll.join().expect("no panic"), 2, "ack and heartbeat");
}

#[test]
fn every_limit_of_the_fallbacks_has_an_option_a_default_and_a_metric() {
    let engine = start(config());
    let text = String::from_utf8(engine.telemetry().text()).expect("text");
    let Config { http_streams_max, lag_bytes_max, lag_age_max, heartbeat_interval, .. } =
        Config::default();
    let stream::Options { streams_max, lag_bytes_max: bytes, lag_age_max: age, .. } =
        stream::Options::default();
    let interval = stream::Options::default().heartbeat_interval;
    assert_eq!((streams_max, bytes), (http_streams_max, lag_bytes_max));
    assert_eq!((age, interval), (lag_age_max, heartbeat_interval));
    for (option, default, metric) in [
        ("http_streams_max", "256", "lineage_http_streams_refused_total"),
        ("lag_bytes_max", "1MiB", "lineage_http_gaps_total"),
        ("lag_age_max", "10s", "lineage_http_gaps_total"),
        ("write_stall_max", "10s", "lineage_http_stalled_total"),
        ("heartbeat_interval", "15s", "lineage_http_streams"),
        ("topics_per_connection_max", "1024", "lineage_http_rejected_total"),
    ] {
        let key = Key::ALL.iter().find(|key| key.name == option);
        let key = key.unwrap_or_else(|| panic!("there is no option {option}"));
        assert_eq!(key.default_text(), default, "{option}");
        assert!(text.contains(&format!("\n{metric} 0\n")), "{option}: {metric} is not there");
    }
}

#[test]
fn the_interval_of_heartbeats_holds_for_streams() {
    let engine = start(Config { heartbeat_interval: Duration::from_secs(1), ..config() });
    let mut stream = ask(http(&engine), "/v1/sse?topics=a", "");
    // The default would bring none in this time.
    stream.hurry(stream::Options::default().heartbeat_interval * 2 / 3);
    for kind in ["welcome", "ack", "heartbeat"] {
        let sent = stream.event().expect("a stream has no end");
        assert_eq!(word(&sent.json, "type"), kind);
        assert_eq!(sent.id.is_some(), kind != "welcome", "{sent:?}");
    }
}
