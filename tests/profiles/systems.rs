//! Hub, ledger and pipeline switched on and off: what runs works, what does not is not available, and no error.

use super::binary::Server;
use super::client::Client;
use super::support::{Answer, get, wait_until};
use serde_json::{Value, json};

/// The paths of each system over HTTP.
const HUB: [&str; 2] = ["/api/hub/status", "/api/hub/stats"];
const CHAIN: [&str; 4] = [
    "/api/v11/live/tps",
    "/api/v11/live/block",
    "/api/v11/live/network",
    "/api/v11/live/validators",
];
const PIPELINE: [&str; 1] = ["/api/alerts"];
/// This one knows no symbol before its first trade.
const CANDLES: &str = "/api/candles?symbol=BTC-USD&interval=1s";

fn answer(server: &Server, path: &str) -> Value {
    let answer: Answer = get(server.http, path);
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    answer.json()
}

fn is_off(answer: &Value) -> bool {
    answer["status"] == "not_available"
}

#[test]
fn s36_agents_issue_tasks_that_flow_through_lanes_with_the_limits_of_the_options() {
    let server = Server::start(
        "--profile hub --agent-interval 5ms --trade-log debug --hub-research-capacity 7 \
         --hub-research-workers 2 --hub-risk-capacity 9 --hub-status-interval 50ms",
    );
    let status = || answer(&server, "/api/hub/status");
    let number = |value: &Value| value.as_u64().unwrap_or_else(|| panic!("a number: {value}"));
    let mut seen = Value::Null;
    wait_until("tasks that were completed and tasks that failed", || {
        seen = status();
        let stats = &seen["hub"]["stats"];
        number(&stats["completed"]) > 20 && number(&stats["failed"]) > 0
    });
    assert_eq!((&seen["status"], &seen["architecture"]), (&"available".into(), &"new".into()));
    let hub = &seen["hub"];
    assert_eq!((&hub["running"], &hub["sessions"]), (&true.into(), &3.into()));
    let lanes = &hub["lane_status"];
    for (lane, capacity) in [("research", 7), ("trading", 128), ("risk", 9)] {
        assert_eq!(lanes[lane]["capacity"], capacity, "{lanes}");
        assert!(number(&lanes[lane]["queued"]) <= capacity, "{lanes}");
    }
    assert!(number(&lanes["research"]["running"]) <= 2, "{lanes}");
    let held = |key: &str| {
        ["research", "trading", "risk"].iter().map(|lane| number(&lanes[*lane][key])).sum::<u64>()
    };
    let stats = &hub["stats"];
    let ended = number(&stats["completed"]) + number(&stats["failed"]);
    assert_eq!(number(&stats["enqueued"]), held("queued") + held("running") + ended, "{hub}");
    // Two workers cannot follow: what finds the queue full is counted.
    wait_until("tasks that found their queue full", || {
        let text = get(server.metrics, "/metrics").body;
        let rejected = |line: &str| line.contains("rejected") && line.contains("lane=\"research\"");
        text.lines().any(|line| !line.starts_with('#') && rejected(line) && !line.ends_with(" 0"))
    });
    // And it stops with the server, tasks or not.
    assert_eq!(server.end().0, Some(0));
}

#[test]
fn s41_each_profile_serves_its_systems_and_calls_the_others_not_available() {
    for (profile, [hub, chain, pipeline]) in [
        ("all", [true; 3]),
        ("arena", [false; 3]),
        ("hub", [true, false, false]),
        ("chain", [false, true, false]),
        ("pipeline", [false, false, true]),
    ] {
        let server = Server::start(&format!("--profile {profile}"));
        // The first update of the ledger has been made when a client has it.
        if chain {
            let mut client = Client::open(server.ws, "/api/v11/live/stream");
            (0..5).for_each(|_| drop(client.json()));
        }
        for (paths, is_on) in [(&HUB[..], hub), (&CHAIN[..], chain), (&PIPELINE[..], pipeline)] {
            for path in paths {
                let answer = answer(&server, path);
                assert_eq!(!is_off(&answer), is_on, "{profile} {path}: {answer}");
            }
        }
        assert!(pipeline || is_off(&answer(&server, CANDLES)), "{profile}");
        // The arena runs in all of them.
        let mut client = Client::open(server.ws, "/");
        assert_eq!(client.json()["symbol"], "BTC-USD", "{profile}");
        let metrics = get(server.metrics, "/metrics").body;
        let has = |part: &str| metrics.lines().any(|line| line.starts_with(part));
        let families = ["lineage_hub_", "lineage_chain_", "lineage_collector_"].map(has);
        assert_eq!(families, [hub, chain, pipeline], "{profile}");
    }
}

#[test]
fn s32_s41_the_hub_is_turned_off_by_either_variable_and_by_the_flag() {
    let gone = json!({"status": "not_available", "architecture": "legacy"});
    for (options, variables, is_on) in [
        ("", vec![("USE_NEW_ARCHITECTURE", "false")], false),
        ("", vec![("LINEAGE_HUB_ENABLED", "false")], false),
        ("--hub-enabled false", vec![], false),
        ("", vec![("USE_NEW_ARCHITECTURE", "true")], true),
        ("", vec![("USE_NEW_ARCHITECTURE", "false"), ("LINEAGE_HUB_ENABLED", "true")], true),
        ("--hub-enabled true", vec![("USE_NEW_ARCHITECTURE", "false")], true),
    ] {
        let server = Server::start_with(options, &variables);
        let case = format!("{options} {variables:?}");
        let status = answer(&server, "/api/hub/status");
        assert_eq!(status != gone, is_on, "{case}: {status}");
        let mut client = Client::open(server.ws, "/ws");
        client.text(r#"{"action":"get_hub_status"}"#);
        let mut update = client.json();
        // Who asks before the hub's first status is told that there is none, and gets it when it comes.
        if is_on && update["data"] == gone {
            update = client.json();
        }
        assert_eq!(update["type"], "hub_status_update", "{case}");
        assert_eq!(update["data"] != gone, is_on, "{case}: {update}");
    }
}

#[test]
fn s41_without_a_simulation_every_page_answers_and_every_stream_opens() {
    let server = Server::start("--source none");
    for path in HUB.into_iter().chain(CHAIN).chain(PIPELINE) {
        answer(&server, path);
    }
    let mut client = Client::open(server.ws, "/api/v11/live/stream");
    assert_eq!(client.json()["type"], "welcome");
    client.assert_served();
    Client::open(server.ws, "/").assert_served();
}
