//! The hub's status over HTTP and as a push, with the hub on and off.

use super::client::{Client, Next, PING, PONG, masked};
use super::stage::{SECOND_US, START_US, Stage, assert_golden, json, keys, systems};
use super::support::http;
use lineage::config::Config;
use lineage::telemetry::ShardCounter;
use serde_json::Value;

const OFF: &str = r#"{"status":"not_available","architecture":"legacy"}"#;
const LANES: &str = "research,trading,risk";

/// Without its hub, and somebody who sees each second end.
fn without_hub() -> Stage {
    Stage::start(Config { hub_enabled: false, ..systems() }, "chain:tps")
}

/// The second of 2026 that a time like `2026-01-01T00:00:02.000Z` names, as the tests here go no further than a minute.
fn second(message: &Value) -> u64 {
    let text = message["timestamp"].as_str().expect("text");
    let rest = text.strip_prefix("2026-01-01T00:00:").and_then(|rest| rest.strip_suffix(".000Z"));
    rest.unwrap_or_else(|| panic!("a whole second of the first minute: {text}"))
        .parse()
        .expect("digits")
}

fn assert_silent(client: &mut Client) {
    client.raw(&masked(PING, b"?"));
    let next = client.next();
    assert!(matches!(next, Next::Frame(PONG, _)), "{next:?}");
}

#[test]
fn s34_s35_s40_both_listeners_push_a_status_every_two_seconds_in_the_golden_bytes() {
    let mut stage = Stage::all();
    let mut clients = stage.on_both("/ws");
    let mut lines = Vec::new();
    for at in (0..=30).step_by(2) {
        if at > 0 {
            stage.pass(2, 1);
        }
        let [first, other] = clients.each_mut().map(|client| client.message().to_owned());
        assert_eq!(first, other);
        let message = json(&first);
        assert_eq!(second(&message), at, "{first}");
        assert_eq!(keys(&message), "type,data,timestamp");
        assert_eq!(keys(&message["data"]), "running,sessions,stats,metrics");
        assert_eq!(keys(&message["data"]["stats"]), "enqueued,completed,failed");
        assert_eq!(keys(&message["data"]["metrics"]), LANES);
        assert!((400..=750).contains(&first.len()), "{} bytes: {first}", first.len());
        lines.push(first);
    }
    clients.iter_mut().for_each(assert_silent);
    assert_golden("legacy_hub_30_s.jsonl", &lines);
}

#[test]
fn s34_both_actions_are_answered_at_once_with_one_status_and_others_are_counted_and_ignored() {
    let stage = Stage::all();
    let ignored = || stage.engine.telemetry().sum(ShardCounter::IgnoredMessages);
    for mut client in stage.on_both("/ws") {
        let pushed = client.message().to_owned();
        for action in ["get_hub_status", "subscribe_hub"] {
            client.text(&format!(r#"{{"action":"{action}"}}"#));
            assert_eq!(client.message(), pushed, "{action}: the clock has not moved");
            assert_silent(&mut client);
        }
        let before = ignored();
        let others = [r#"{"action":"get_hub"}"#, r#"{"action":7}"#, r#"{"op":"ping"}"#, "{", ""];
        others.iter().for_each(|text| client.text(text));
        assert_silent(&mut client);
        assert_eq!(ignored() - before, others.len() as u64);
    }
}

#[test]
fn s34_s41_without_a_hub_nothing_is_pushed_and_who_asks_is_told_that_there_is_none() {
    let mut stage = without_hub();
    for mut client in stage.on_both("/ws") {
        for action in ["get_hub_status", "subscribe_hub"] {
            stage.pass(3, 1);
            assert_silent(&mut client);
            client.text(&format!(r#"{{"action":"{action}"}}"#));
            let message = client.json();
            assert_eq!(keys(&message), "type,data,timestamp");
            assert_eq!(message["type"], "hub_status_update");
            assert_eq!(message["data"].to_string(), OFF);
            assert_eq!(second(&message), (stage.now_us() - START_US) / SECOND_US);
        }
        assert_silent(&mut client);
    }
}

#[test]
fn s32_s33_over_http_the_hub_tells_what_it_pushes_and_how_its_lanes_are() {
    let mut stage = Stage::all();
    let mut client = Client::open(http(&stage.engine), "/ws");
    client.message();
    stage.pass(30, 1);
    let pushed = (0..15).map(|_| client.json()).last().expect("fifteen");
    let status = stage.get("/api/hub/status");
    assert_eq!(keys(&status), "status,architecture,hub");
    assert_eq!((&status["status"], &status["architecture"]), (&"available".into(), &"new".into()));
    let hub = &status["hub"];
    assert_eq!(keys(hub), "running,sessions,lane_status,stats,metrics");
    for key in ["running", "sessions", "stats", "metrics"] {
        assert_eq!(hub[key], pushed["data"][key], "{key}");
    }
    assert_eq!(keys(&hub["lane_status"]), LANES);
    assert_eq!(keys(&hub["lane_status"]["risk"]), "queued,running,capacity");
    let stats = stage.get("/api/hub/stats");
    assert_eq!(stats["status"], "available");
    assert_eq!(stats["stats"], pushed["data"]["stats"]);
    assert_eq!(keys(&stats["lanes"]), LANES);
    for lane in LANES.split(',') {
        let (told, figures) = (&stats["lanes"][lane], &pushed["data"]["metrics"][lane]);
        for key in ["enqueued", "completed", "failed", "execution_ms", "success_rate"] {
            assert_eq!(told[key], figures[key], "{lane} {key}");
        }
        assert_eq!(keys(&told["execution_ms"]), "mean,p50,p99");
    }
    assert!(!stats["performance"].as_object().expect("an object").is_empty(), "{stats}");
}

#[test]
fn s32_s33_s41_without_a_hub_both_answers_over_http_say_so_with_status_200() {
    let stage = without_hub();
    for path in ["/api/hub/status", "/api/hub/stats"] {
        assert_eq!(stage.get(path).to_string(), OFF, "{path}");
    }
}
