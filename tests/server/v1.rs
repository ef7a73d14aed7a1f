//! The v1 protocol: greeting, subscriptions, order, publishing.
//!
//! Method: every message of a connection is held against the promise of mode `all`; where something must not come, a
//! later event that must come shows that it did not.

use super::client::Client;
use super::order::{Order, number, payload, word};
use super::support::{config, external, http, publisher, start, topic};
use lineage::Engine;
use lineage::config::Config;
use lineage::encode::Publisher;
use lineage::event::{Class, Topic};
use lineage::http::PublishAccess;
use serde_json::json;

/// Publishes `{"n":…}` for each number of the range.
fn count(publisher: &mut Publisher, topic: Topic, range: std::ops::RangeInclusive<u64>) {
    for n in range {
        publisher.publish(external(topic, &format!("{{\"n\":{n}}}"))).expect("room");
    }
}

fn event(engine: &Engine, name: &str) -> Topic {
    topic(engine, name, Class::Event)
}

#[test]
fn the_first_message_is_a_welcome_that_names_epoch_head_and_limits() {
    let engine = start(config());
    let mut publisher = publisher(&engine);
    count(&mut publisher, event(&engine, "a"), 1..=7);
    // Two shards: both have seen them.
    let ws = engine.addresses().ws;
    let _first = [Client::greeted(ws, 7), Client::greeted(ws, 7)];
    let mut client = Client::open(engine.addresses().ws, "/v1");
    let welcome = client.json();
    assert_eq!((&welcome["type"], &welcome["payload"]["protocol"]), (&json!("welcome"), &json!(1)));
    let epoch = welcome["payload"]["epoch"].as_str().expect("text");
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    assert!((4..=16).contains(&epoch.len()) && epoch.chars().all(is_plain), "{epoch}");
    assert_eq!(welcome["payload"]["head"], 7);
    assert_eq!(welcome["payload"]["limits"]["topics"], engine.config().topics_per_connection_max);
    let id = welcome["payload"]["connection"].as_str().expect("text");
    assert_eq!(id.parse::<uuid::Uuid>().expect("a UUID").get_version_num(), 4);
}

#[test]
fn an_exact_subscription_goes_on_behind_the_seq_and_pos_of_its_ack() {
    let engine = start(config());
    let mut publisher = publisher(&engine);
    let (a, b) = (event(&engine, "desk:signal:A"), event(&engine, "desk:signal:B"));
    count(&mut publisher, a, 1..=5);
    count(&mut publisher, b, 1..=3);
    let mut client = Client::greeted(engine.addresses().ws, 8);
    client.text(r#"{"op":"subscribe","id":"one","topics":["desk:signal:A","desk:none"]}"#);
    let ack = client.json();
    assert_eq!((&ack["type"], &ack["id"]), (&json!("ack"), &json!("one")));
    let topics = json!([{"topic":"desk:signal:A","seq":5},{"topic":"desk:none","seq":0}]);
    assert_eq!((&ack["payload"]["pos"], &ack["payload"]["topics"]), (&json!(8), &topics));
    let mut order = Order::after(&ack["payload"]);
    count(&mut publisher, b, 4..=4);
    count(&mut publisher, a, 6..=2_005);
    for n in 6..=2_005 {
        let text = client.message();
        order.take(text);
        assert_eq!((payload(text), word(text, "type")), (&*format!("{{\"n\":{n}}}"), "signal"));
    }
    assert_eq!(order.last("desk:signal:A"), 2_005);
}

#[test]
fn a_wildcard_gets_every_event_in_order_and_topics_that_are_born_later() {
    let engine = start(config());
    let mut publisher = publisher(&engine);
    let old = event(&engine, "desk:old");
    count(&mut publisher, old, 1..=1);
    let mut client = Client::greeted(engine.addresses().ws, 1);
    client.subscribe(&["desk:*"]);
    let ack = client.json()["payload"].clone();
    assert_eq!(ack["topics"], json!([{"pattern": "desk:*", "count": 1}]));
    let elsewhere = event(&engine, "elsewhere");
    let mut order = Order::after(&ack);
    for round in 0..100_u64 {
        let born = event(&engine, &format!("desk:born:{round}"));
        count(&mut publisher, born, 1..=2);
        count(&mut publisher, elsewhere, 1..=1);
        count(&mut publisher, old, 2 + round..=2 + round);
    }
    for _ in 0..300 {
        order.take(client.message());
    }
    assert_eq!((order.last("desk:old"), order.last("elsewhere")), (101, 0));
    assert!((0..100).all(|round| order.last(&format!("desk:born:{round}")) == 2));
}

#[test]
fn repeated_and_overlapping_patterns_deliver_once() {
    let engine = start(config());
    let mut publisher = publisher(&engine);
    let a = event(&engine, "x:a");
    let patterns = ["x:a", "x:*", "*", "x:a"];
    let (mut client, ack) = Client::subscribed(engine.addresses().ws, &patterns);
    assert_eq!(ack["topics"].as_array().expect("a list").len(), 3, "{ack}");
    client.subscribe(&["x:*"]);
    assert_eq!(client.json()["type"], "ack");
    let mut order = Order::after(&ack);
    count(&mut publisher, a, 1..=500);
    (0..500).for_each(|_| order.take(client.message()));
    // Leaving one of the patterns changes nothing while another names the topic.
    client.text(r#"{"op":"unsubscribe","topics":["x:a"]}"#);
    assert_eq!(client.json()["payload"]["topics"], json!([{"topic": "x:a"}]));
    count(&mut publisher, a, 501..=600);
    (0..100).for_each(|_| order.take(client.message()));
    assert_eq!(order.last("x:a"), 600);
}

#[test]
fn after_unsubscribe_nothing_more_of_the_topic_comes() {
    let engine = start(config());
    let mut publisher = publisher(&engine);
    let (a, b) = (event(&engine, "a"), event(&engine, "b"));
    let (mut client, ack) = Client::subscribed(engine.addresses().ws, &["a", "b"]);
    let mut order = Order::after(&ack);
    count(&mut publisher, a, 1..=10);
    (0..10).for_each(|_| order.take(client.message()));
    client.text(r#"{"op":"unsubscribe","id":9,"topics":["a","c"]}"#);
    let ack = client.json();
    assert_eq!(ack["payload"]["rejected"], json!([{"topic": "c", "code": "not_subscribed"}]));
    count(&mut publisher, a, 11..=20);
    count(&mut publisher, b, 1..=10);
    for _ in 0..10 {
        let text = client.message();
        assert_eq!(word(text, "topic"), "b");
        order.take(text);
    }
    // Coming back, it goes on behind what it missed, and says so.
    client.subscribe(&["a"]);
    assert_eq!(client.json()["payload"]["topics"], json!([{"topic": "a", "seq": 20}]));
    count(&mut publisher, a, 21..=21);
    assert_eq!(number(client.message(), "seq"), 21);
}

#[test]
fn subscriptions_change_in_mid_stream_without_a_loss() {
    let engine = start(config());
    let (a, b) = (event(&engine, "a"), event(&engine, "b"));
    let (mut client, ack) = Client::subscribed(engine.addresses().ws, &["a"]);
    let mut order = Order::after(&ack);
    let mut publisher = publisher(&engine);
    let publishing = std::thread::spawn(move || {
        for n in 1..=5_000 {
            count(&mut publisher, a, n..=n);
            count(&mut publisher, b, n..=n);
        }
    });
    client.subscribe(&["b"]);
    while order.last("a") < 5_000 || order.last("b") < 5_000 {
        let text = client.message();
        if word(text, "type") == "ack" {
            // The ack stands where the stream goes on: all of `a` up to its position came before it.
            let (pos, seq) = (number(text, "pos"), number(text, "seq"));
            assert_eq!(order.last("a") + seq, pos, "{text}");
            order.expect("b", seq + 1);
            if seq == 5_000 {
                break;
            }
        } else {
            order.take(text);
        }
    }
    publishing.join().expect("no panic");
    assert_eq!(order.gaps, []);
}

#[test]
fn what_a_client_publishes_reaches_another_byte_for_byte() {
    let engine = start(Config { publish: PublishAccess::Loopback, ..config() });
    let (mut reader, _) = Client::subscribed(engine.addresses().ws, &["desk:*"]);
    let mut writer = Client::open(http(&engine), "/v1");
    writer.message();
    let payloads = [
        r#"{"b" : 1.50, "a":[ 1e300,-0.0 ], "é\u00e9⚡":"\"}{,\\" }"#,
        "null",
        r#""text""#,
        "0.10000000000000000000000000000000000001",
        "[[[[]]], { } ]",
    ];
    for (n, payload) in payloads.iter().enumerate() {
        let op =
            format!(r#"{{"op":"publish","id":{n},"topic":"desk:signal:BTC","payload":{payload}}}"#);
        writer.text(&op);
        let ack = writer.json();
        assert_eq!((&ack["type"], &ack["id"]), (&json!("ack"), &json!(n)), "{ack}");
        let text = reader.message();
        assert_eq!(super::order::payload(text), *payload);
        assert_eq!((number(text, "seq"), word(text, "type")), (n as u64 + 1, "signal"));
    }
    writer.text(r#"{"op":"publish","topic":"desk:signal:BTC","class":"state","payload":1}"#);
    assert_eq!(writer.json()["payload"]["code"], "class_conflict");
}

#[test]
fn what_is_published_as_soon_as_the_engine_has_started_is_known_to_every_shard() {
    for _ in 0..4 {
        let engine = start(Config { shards: 64, ..config() });
        let mut publisher = publisher(&engine);
        count(&mut publisher, event(&engine, "early"), 1..=3);
        // They stay, so that each is on a shard of its own.
        let mut clients = Vec::new();
        for _ in 0..64 {
            let mut client = Client::greeted(engine.addresses().ws, 3);
            client.subscribe(&["early"]);
            let ack = client.json();
            assert_eq!(ack["payload"]["topics"], json!([{"topic": "early", "seq": 3}]));
            clients.push(client);
        }
    }
}
