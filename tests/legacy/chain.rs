//! The ledger's stream: greeting, intervals, listeners, connections, and what answers over HTTP.

use super::client::{Client, Next, PING, PONG, masked};
use super::stage::{SECOND_US, START_US, Stage, assert_golden, json, standing, systems};
use super::support::{exchange, get, http, wait_until};
use lineage::config::Config;
use std::collections::BTreeSet;
use std::net::TcpStream;
use uuid::Uuid;

const PATH: &str = "/api/v11/live/stream";

/// The updates, each with its interval in seconds and its path over HTTP, in the order in which they come.
pub(crate) const UPDATES: [(&str, u64, &str); 4] = [
    ("tps_update", 1, "/api/v11/live/tps"),
    ("block_update", 2, "/api/v11/live/block"),
    ("network_update", 3, "/api/v11/live/network"),
    ("validator_update", 5, "/api/v11/live/validators"),
];

/// The types of what comes at this second after the start.
pub(crate) fn due(second: u64) -> Vec<&'static str> {
    let due = UPDATES.iter().filter(|(_, interval, _)| second.is_multiple_of(*interval));
    due.map(|(kind, ..)| *kind).collect()
}

/// A client that has been greeted, who it is, and what it was told so far.
pub(crate) fn greeted(mut client: Client) -> (Client, Uuid, Vec<String>) {
    let mut told = vec![client.message().to_owned()];
    let welcome = json(&told[0]);
    assert_eq!(welcome["type"], "welcome", "{welcome}");
    let id = welcome["payload"]["connectionId"].as_str().expect("text");
    let id = Uuid::parse_str(id).unwrap_or_else(|error| panic!("{error}: {id}"));
    assert_eq!(id.get_version_num(), 4, "{id}");
    for (kind, ..) in UPDATES {
        let text = client.message().to_owned();
        assert_eq!(json(&text)["type"], kind, "{text}");
        told.push(text);
    }
    (client, id, told)
}

/// Nothing has come before the answer to a ping.
fn assert_silent(client: &mut Client) {
    client.raw(&masked(PING, b"?"));
    let next = client.next();
    assert!(matches!(next, Next::Frame(PONG, _)), "{next:?}");
}

#[test]
fn s43_s48_s49_both_listeners_send_each_update_at_its_interval_in_the_golden_bytes() {
    let stage = Stage::all();
    let [(mut first, id, mut told), (mut second, other, _)] = stage.on_both(PATH).map(greeted);
    assert_ne!(id, other);
    told[0] = told[0].replace(&id.to_string(), "ID");
    for at in 1..=15 {
        stage.advance_us(SECOND_US);
        for kind in due(at) {
            let text = first.message().to_owned();
            let message = json(&text);
            assert_eq!(message["type"], kind, "second {at}: {text}");
            assert_eq!(message["timestamp"], stage.now_us() / 1_000, "{text}");
            assert_eq!(second.message(), text);
            told.push(text);
        }
    }
    [first, second].iter_mut().for_each(assert_silent);
    assert_golden("legacy_chain_15_s.jsonl", &told);
}

#[test]
fn s49_s52_who_comes_between_two_updates_has_the_last_of_each_before_the_clock_moves() {
    let mut stage = Stage::all();
    stage.pass(7, 1);
    stage.advance_us(SECOND_US / 2);
    let (mut client, _, told) = greeted(Client::open(http(&stage.engine), PATH));
    let seconds: Vec<u64> = told
        .iter()
        .map(|text| json(text)["timestamp"].as_u64().expect("milliseconds") - START_US / 1_000)
        .collect();
    assert_eq!(seconds, [7_500, 7_000, 6_000, 6_000, 5_000], "{told:?}");
    assert_silent(&mut client);
}

#[test]
fn s49_who_comes_before_the_ledger_is_greeted_and_has_its_first_update_at_once() {
    let (engine, _hand) = standing(Config { start_at_clients: 1, ..systems() });
    let (_, _, told) = greeted(Client::open(engine.addresses().ws, PATH));
    for text in told {
        assert_eq!(json(&text)["timestamp"], START_US / 1_000, "{text}");
    }
}

#[test]
fn s50_every_connection_has_an_id_of_its_own_and_the_count_of_connections_is_exact() {
    let stage = Stage::all();
    let before = stage.engine.clients();
    let count = |expected: usize| {
        let all = before + expected;
        wait_until("the count", || stage.engine.clients() == all);
        wait_until("the exposed count", || {
            // It is looked at in the round of a shard's timers.
            stage.advance_us(SECOND_US / 1_000);
            stage.metric("lineage_active_connections").to_string() == all.to_string()
        });
    };
    let mut ids = BTreeSet::new();
    let mut clients: Vec<Client> = (0..20).flat_map(|_| stage.on_both(PATH)).collect();
    for client in &mut clients {
        let welcome = client.json();
        assert!(ids.insert(welcome["payload"]["connectionId"].to_string()), "{welcome}");
    }
    count(40);
    let list = stage.get("/api/connections?limit=100");
    let rows = list["connections"].as_array().expect("a list").iter();
    let listed: BTreeSet<String> = rows.map(|row| row["id"].to_string()).collect();
    assert!(listed.is_superset(&ids), "who was told its id is listed under it: {list}");
    clients.truncate(13);
    count(13);
    clients.clear();
    count(0);
}

#[test]
fn s50_a_connection_is_closed_by_the_id_that_it_was_told() {
    let stage = Stage::all();
    let at = http(&stage.engine);
    let [(mut closed, id, _), (mut other, ..)] = stage.on_both(PATH).map(greeted);
    let rest = "HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let delete = || exchange(at, format!("DELETE /api/connections/{id} {rest}")).status;
    assert_eq!(delete(), 204);
    assert_eq!(closed.closed().0, 1008);
    assert_eq!(delete(), 404, "it is gone already");
    assert_silent(&mut other);
}

#[test]
fn s51_the_fallback_over_http_is_the_last_message_of_the_socket() {
    let stage = Stage::all();
    let (mut client, _, mut told) = greeted(Client::open(stage.engine.addresses().ws, PATH));
    let mut last = told.split_off(1);
    for second in 1..=10 {
        for (text, (_, _, path)) in last.iter().zip(UPDATES) {
            assert_eq!(stage.get(path).to_string(), json(text).to_string(), "{path}");
        }
        stage.advance_us(SECOND_US);
        for kind in due(second) {
            let at = UPDATES.iter().position(|(other, ..)| *other == kind).expect("a kind");
            client.message().clone_into(&mut last[at]);
        }
    }
}

#[test]
fn s41_s51_without_a_ledger_the_stream_greets_and_is_silent_and_the_fallback_says_so() {
    let mut stage = Stage::start(Config { chain_enabled: false, ..systems() }, "hub");
    let mut client = Client::open(http(&stage.engine), PATH);
    assert_eq!(client.json()["type"], "welcome");
    stage.pass(20, 2);
    assert_silent(&mut client);
    for (_, _, path) in UPDATES {
        assert_eq!(stage.get(path).to_string(), r#"{"status":"not_available"}"#, "{path}");
    }
}

#[test]
fn s43_s52_what_is_asked_wrongly_is_told_and_what_a_client_says_changes_nothing() {
    let stage = Stage::all();
    let (ws, http) = (stage.engine.addresses().ws, http(&stage.engine));
    for at in [ws, http] {
        assert_eq!(get(at, PATH).status, 426, "a stream is for WebSockets");
        for path in ["/api/v11/live/streams", "/api/v11/live/stream/", "/api/v10/live/stream"] {
            let stream = TcpStream::connect(at).expect("the listener is open");
            assert_eq!(Client::upgrade(stream, path).err(), Some(404), "{path}");
        }
    }
    let problem = get(http, "/api/v11/live/nothing");
    assert_eq!((problem.status, &problem.json()["status"]), (404, &serde_json::json!(404)));
    let (mut client, ..) = greeted(Client::open(http, PATH));
    client.text(r#"{"action":"get_hub_status"}"#);
    client.text("subscribe");
    assert_silent(&mut client);
    stage.advance_us(SECOND_US);
    assert_eq!(client.json()["type"], "tps_update");
}
