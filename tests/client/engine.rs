//! The client and `lineage sub` against a whole engine.

use crate::server::{next, soon};
use lineage::client::payload::Market;
use lineage::client::{Client, Update};
use lineage::config::{Config, SourceChoice};
use lineage::encode::Publisher;
use lineage::event::{Body, Cents, Class, Event, Market as Price};
use lineage::{Engine, clock::Clock};
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Command, Stdio};

fn engine() -> Engine {
    let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
    Engine::start(Config {
        ws: any_port,
        http: None,
        metrics: None,
        source: SourceChoice::None,
        shards: 1,
        ..Config::default()
    })
    .unwrap()
}

fn publish(engine: &Engine, publisher: &mut Publisher, symbol: &str, cents: i64) {
    let topic = engine.topic(&format!("market:{symbol}"), Class::State).unwrap();
    let body = Body::Market(Price { symbol: symbol.into(), price: Cents(cents) });
    publisher.publish(Event { topic, key: 0, time_us: Clock::system().now_us(), body }).unwrap();
}

#[tokio::test]
async fn a_pattern_brings_every_event_even_of_topics_that_appear_later() {
    let engine = engine();
    let mut publisher = engine.publisher().unwrap();
    let url = format!("ws://{}/v1", engine.addresses().ws);
    let mut client = Client::builder(url).topic("market:*").build().unwrap();
    loop {
        if let Update::Connected(connected) = next(&mut client).await.unwrap() {
            assert!(!connected.epoch.is_empty() && !connected.connection.is_empty());
            assert_eq!(connected.recovered, None);
            break;
        }
    }
    let published = [("BTC-USD", 4_200_050), ("ETH-USD", 230_000), ("BTC-USD", 4_200_051)];
    for (symbol, cents) in published {
        publish(&engine, &mut publisher, symbol, cents);
    }
    for (symbol, cents) in published {
        let event = loop {
            match next(&mut client).await.unwrap() {
                Update::Event(event) => break event,
                Update::Other(_) => {}
                update => panic!("{update:?}"),
            }
        };
        assert_eq!(event.topic(), format!("market:{symbol}"));
        let market: Market<'_> = event.parse().unwrap();
        assert_eq!((&*market.symbol, market.price), (symbol, Cents(cents)));
        assert_eq!(client.position().unwrap().pos, event.pos);
    }
    assert_eq!((client.counts().events, client.counts().broken), (3, 0));
}

#[tokio::test]
async fn sub_prints_each_message_of_an_engine_as_it_came() {
    let engine = engine();
    let url = format!("ws://{}/v1", engine.addresses().ws);
    let mut sub = Command::new(env!("CARGO_BIN_EXE_lineage"))
        .args(["sub", "--json", &url, "market:*"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(sub.stdout.take().unwrap()).lines();
    let reading = tokio::task::spawn_blocking(move || {
        let mut publisher = engine.publisher().unwrap();
        let mut kinds = Vec::new();
        while !kinds.iter().any(|kind| kind == "market") {
            let line: serde_json::Value =
                serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
            kinds.push(line["type"].as_str().unwrap().to_owned());
            if line["type"] == "ack" {
                publish(&engine, &mut publisher, "BTC-USD", 1);
            }
        }
        kinds
    });
    let kinds = soon("an event", reading).await;
    let _ = sub.kill();
    sub.wait().unwrap();
    assert_eq!(kinds.unwrap(), ["welcome", "ack", "market"]);
}
