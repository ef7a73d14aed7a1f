//! What operators see of connections, and that they can close one.
//!
//! Method: engines with two shards, clients that do not read, and the list asked for over HTTP until it shows what it
//! has to; nothing is said about how long that takes.

use super::client::{Client, Next, TEXT};
use super::slow::narrow;
use super::support::{
    Answer, config, exchange, external, get, http, price, publisher, start, topic, wait_for_events,
    wait_until,
};
use lineage::Engine;
use lineage::config::Config;
use lineage::event::Class;
use lineage::telemetry::{EngineCounter, ShardCounter};
use serde_json::Value;
use std::net::SocketAddr;
use std::time::Duration;

/// Limits that no client of these tests reaches, and small buffers.
fn patient() -> Config {
    Config {
        write_stall_max: Duration::from_secs(600),
        lag_age_max: Duration::from_secs(600),
        lag_bytes_max: 1 << 30,
        send_buffer_bytes: 16 * 1024,
        ..config()
    }
}

/// The list as JSON.
fn list(engine: &Engine, query: &str) -> Value {
    let answer = get(http(engine), &format!("/api/connections{query}"));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

fn rows(engine: &Engine, query: &str) -> Vec<Value> {
    let list = list(engine, query);
    let rows = list["connections"].as_array().expect("a list").clone();
    assert_eq!(list["shown"], rows.len());
    rows
}

/// The row of the connection from this address.
fn row(engine: &Engine, peer: SocketAddr) -> Option<Value> {
    rows(engine, "").into_iter().find(|row| row["peer"] == peer.to_string())
}

fn delete(engine: &Engine, id: &str) -> Answer {
    let path = format!("/api/connections/{id}");
    let head = "HTTP/1.1\r\nHost: localhost\r\nConnection: close";
    exchange(http(engine), format!("DELETE {path} {head}\r\n\r\n"))
}

fn number(row: &Value, key: &str) -> u64 {
    let value = key.split('.').fold(row, |value, key| &value[key]);
    value.as_u64().unwrap_or_else(|| panic!("{key} of {row} is no number"))
}

/// A client that will not be read, its address and its id.
fn stalled(engine: &Engine, topics: &[&str]) -> (Client, SocketAddr, Value) {
    let mut client = Client::upgrade(narrow(engine.addresses().ws), "/v1").expect("101");
    let id = client.json()["payload"]["connection"].clone();
    client.subscribe(topics);
    assert_eq!(client.json()["type"], "ack");
    let peer = client.stream.local_addr().expect("a socket");
    (client, peer, id)
}

#[test]
fn a_client_that_does_not_read_shows_what_it_is_owed_by_the_shard_and_by_the_kernel() {
    let engine = start(patient());
    let (_stalled, peer, id) = stalled(&engine, &["bulk", "desk:*"]);
    let (mut healthy, _) = Client::subscribed(engine.addresses().ws, &["bulk"]);
    let healthy_peer = healthy.stream.local_addr().expect("a socket");
    const EVENTS: u64 = 2_000;
    let bulk = topic(&engine, "bulk", Class::Event);
    let payload = format!("\"{}\"", "x".repeat(1_000));
    let mut publisher = publisher(&engine);
    for _ in 0..EVENTS {
        publisher.publish(external(bulk, &payload)).expect("room");
    }
    for _ in 0..EVENTS {
        healthy.message();
    }
    wait_until("the lag shows", || {
        row(&engine, peer).is_some_and(|row| number(&row, "lag.ms") >= 10)
    });
    let row = row(&engine, peer).expect("it is still there");
    assert_eq!((&row["id"], row["kind"].as_str()), (&id, Some("v1")), "{row}");
    assert_eq!(row["topics"], serde_json::json!(["bulk", "desk:*"]));
    assert_eq!(row["topics_total"], 2);
    let (events, bytes) = (number(&row, "lag.events"), number(&row, "lag.bytes"));
    assert!((1..EVENTS).contains(&events), "{row}");
    assert!((events * 1_000..events * 1_200).contains(&bytes), "{row}");
    assert!(number(&row, "unsent_bytes") > 0 && number(&row, "sent_bytes") > 0, "{row}");
    // What is not owed by the shard was given to the kernel.
    let kernel = number(&row, "sent_bytes") + number(&row, "unsent_bytes");
    assert!(kernel >= (EVENTS - events - 1) * 1_000, "{row}");
    assert_eq!((number(&row, "gaps"), number(&row, "conflated")), (0, 0));
    assert!(number(&row, "age_ms") >= number(&row, "lag.ms"), "{row}");
    wait_until("the healthy one owes nothing", || {
        rows(&engine, "").iter().any(|row| {
            row["peer"] == healthy_peer.to_string()
                && ["lag.events", "lag.bytes", "lag.ms", "unsent_bytes"]
                    .iter()
                    .all(|key| number(row, key) == 0)
                && number(row, "sent_bytes") > EVENTS * 1_000
                && number(row, "rtt_us") > 0
        })
    });
}

#[test]
fn each_sort_puts_its_largest_first_over_all_shards() {
    let engine = start(patient());
    let mut clients = Vec::new();
    // Each the oldest of those that come after it.
    for topics in [&["few"][..], &["many"], &["none"], &["few", "many"]] {
        let (client, peer, _) = stalled(&engine, topics);
        wait_until("it has aged", || {
            row(&engine, peer).is_some_and(|row| number(&row, "age_ms") >= 30)
        });
        clients.push((client, peer.to_string()));
    }
    let mut publisher = publisher(&engine);
    let payload = format!("\"{}\"", "x".repeat(1_000));
    for (name, events) in [("few", 1_000), ("many", 2_000)] {
        let topic = topic(&engine, name, Class::Event);
        for _ in 0..events {
            publisher.publish(external(topic, &payload)).expect("room");
        }
    }
    wait_for_events(&engine, 3_000);
    let order = |query: &str| -> Vec<usize> {
        let place = |row: &Value| clients.iter().position(|(_, peer)| row["peer"] == **peer);
        rows(&engine, query).iter().map(|row| place(row).expect("one of ours")).collect()
    };
    wait_until("all are behind by what they asked for", || order("") == [3, 1, 0, 2]);
    assert_eq!(order("?sort=lag&limit=1000&unknown=1"), [3, 1, 0, 2]);
    assert_eq!(order("?sort=lag&limit=2"), [3, 1]);
    assert_eq!(order("?sort=age"), [0, 1, 2, 3]);
    for (sort, key) in [("lag", "lag.bytes"), ("sent", "sent_bytes"), ("rtt", "rtt_us")] {
        let rows = rows(&engine, &format!("?sort={sort}"));
        let values: Vec<u64> = rows.iter().map(|row| number(row, key)).collect();
        assert!(values.is_sorted_by(|before, after| before >= after), "{sort}: {values:?}");
        assert_eq!(values.len(), 4);
    }
    assert_eq!(order("?sort=sent").last(), Some(&2), "who has no events was sent least");
}

#[test]
fn the_list_has_as_many_as_asked_for_and_says_how_many_there_are() {
    let engine = start(config());
    assert_eq!(list(&engine, ""), serde_json::json!({"connections": [], "total": 0, "shown": 0}));
    let mut clients: Vec<Client> =
        (0..3).map(|_| Client::open(engine.addresses().ws, "/v1")).collect();
    clients.iter_mut().for_each(Client::assert_served);
    for (query, shown) in [("?limit=1", 1), ("?limit=2", 2), ("?limit=1000", 3), ("", 3)] {
        let list = list(&engine, query);
        assert_eq!((number(&list, "total"), number(&list, "shown")), (3, shown), "{query}");
        assert_eq!(list["connections"].as_array().map(Vec::len), usize::try_from(shown).ok());
    }
    for (query, named) in [
        ("?limit=0", r#"limit cannot be "0"; allowed: 1 to 1000"#),
        ("?limit=1001", r#"limit cannot be "1001"; allowed: 1 to 1000"#),
        ("?sort=size", r#"sort cannot be "size"; allowed: lag, sent, age, rtt"#),
    ] {
        let answer = get(http(&engine), &format!("/api/connections{query}"));
        assert_eq!((answer.status, &answer.json()["detail"]), (400, &named.into()), "{query}");
    }
}

#[test]
fn connections_of_every_kind_are_listed_and_closed_by_their_ids() {
    let engine = start(config());
    let ws = engine.addresses().ws;
    for (path, kind, topics) in [
        ("/v1", "v1", vec![]),
        ("/", "legacy", vec!["agent:*", "market:*"]),
        ("/?compat=nested", "legacy-nested", vec!["agent:*", "market:*"]),
        ("/?types=market&symbols=B,A", "legacy", vec!["market:A", "market:B"]),
    ] {
        let mut client = Client::open(ws, path);
        client.assert_served();
        let peer = client.stream.local_addr().expect("a socket");
        let row = row(&engine, peer).expect("it is served");
        assert_eq!(row["kind"], kind);
        assert_eq!(row["topics"], serde_json::json!(topics), "{path}");
        let id = row["id"].as_str().expect("an id").to_owned();
        let answer = delete(&engine, &id);
        assert_eq!((answer.status, answer.body.as_str()), (204, ""), "{path}");
        let reason = "policy closed by an operator".to_owned();
        assert_eq!(client.closed(), (1008, reason), "{path}");
        assert_eq!(delete(&engine, &id).status, 404, "{path} is gone already");
    }
    assert_eq!(engine.telemetry().sum(ShardCounter::EvictedOperator), 4);
    for id in ["", "x", "0-0-0", "9-1-1", "00000000-0000-0000-0000-000000000000"] {
        assert_eq!(delete(&engine, id).status, 404, "{id}");
    }
    wait_until("all are gone", || engine.clients() == 0);
}

#[test]
fn one_that_is_closed_and_does_not_read_is_gone_soon_and_the_others_stay() {
    let engine = start(patient());
    let (mut stuck, peer, id) = stalled(&engine, &["bulk"]);
    let (mut other, _) = Client::subscribed(engine.addresses().ws, &["bulk"]);
    let bulk = topic(&engine, "bulk", Class::Event);
    let payload = format!("\"{}\"", "x".repeat(1_000));
    let mut publisher = publisher(&engine);
    for _ in 0..500 {
        publisher.publish(external(bulk, &payload)).expect("room");
    }
    wait_until("it is behind", || {
        row(&engine, peer).is_some_and(|row| number(&row, "lag.bytes") > 0)
    });
    assert_eq!(delete(&engine, id.as_str().expect("an id")).status, 204);
    assert!(row(&engine, peer).is_none(), "who is being closed is not listed");
    wait_until("it is gone", || engine.clients() == 1);
    while let Next::Frame(..) = stuck.next() {}
    publisher.publish(external(bulk, "\"last\"")).expect("room");
    for _ in 0..=500 {
        let Next::Frame(TEXT, _) = other.next() else { panic!("all events") };
    }
}

#[test]
fn what_was_passed_over_shows_as_gaps_and_conflated_of_a_v1_client_and_conflated_of_a_plain_one() {
    let limits = Config { lag_bytes_max: 16 * 1024, send_buffer_bytes: 8 * 1024, ..patient() };
    let engine = start(limits);
    let (_v1, v1_peer, _) = stalled(&engine, &["market:*"]);
    let mut plain = Client::upgrade(narrow(engine.addresses().ws), "/").expect("101");
    plain.assert_served();
    let plain_peer = plain.stream.local_addr().expect("a socket");
    let mut publisher = publisher(&engine);
    let fare = |peer| {
        let row = row(&engine, peer).expect("it is there");
        (number(&row, "gaps"), number(&row, "conflated"))
    };
    let mut cents = 0;
    wait_until("both were moved on", || {
        for _ in 0..1_000 {
            cents += 1;
            publisher.publish(price(&engine, "BTC-USD", cents)).expect("room");
        }
        fare(v1_peer).0 > 0 && fare(plain_peer).1 > 0
    });
    let published = engine.telemetry().value(EngineCounter::Events);
    assert!((1..published).contains(&fare(v1_peer).1), "{:?}", fare(v1_peer));
    assert_eq!(fare(plain_peer).0, 0, "a plain client gets no gap");
}
