//! The client against whole engines that it loses: cut off, restarted, closed for being slow.
//!
//! Method: a relay between client and engine that can be cut at any byte; whatever the client is told is held against
//! what was published.

use crate::server::{next, soon};
use bytes::Bytes;
use lineage::Engine;
use lineage::client::{Client, Connected, Event, GapReason, OnLag, Update, Why};
use lineage::clock::Clock;
use lineage::config::{Config, SourceChoice};
use lineage::encode::{OnFull, Publisher};
use lineage::event::{Body, Class, Event as Published, Json};
use lineage::telemetry::ShardCounter;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

fn config(ws: SocketAddr) -> Config {
    let (http, metrics, source) = (None, None, SourceChoice::None);
    Config { ws, http, metrics, source, shards: 1, ..Config::default() }
}

fn engine() -> Engine {
    Engine::start(config(SocketAddr::from(([127, 0, 0, 1], 0)))).unwrap()
}

/// Publishes numbers.
struct Desk<'a>(&'a Engine, Publisher);

impl<'a> Desk<'a> {
    fn new(engine: &'a Engine) -> Self {
        let publisher = engine.publisher().unwrap();
        Self(engine, publisher.on_full(OnFull::SpinPark(Duration::from_secs(40))))
    }

    fn publish(&mut self, name: &str, class: Class, payload: &str) {
        let topic = self.0.topic(name, class).unwrap();
        let body = Body::External(Json::parse(Bytes::copy_from_slice(payload.as_bytes())).unwrap());
        let time_us = Clock::system().now_us();
        self.1.publish(Published { topic, key: 0, time_us, body }).unwrap();
    }
}

/// Stands between client and engine.
struct Relay {
    url: String,
    cut: Arc<Notify>,
}

impl Relay {
    async fn start(engine: &Engine) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/v1", listener.local_addr().unwrap());
        let (target, cut) = (engine.addresses().ws, Arc::new(Notify::new()));
        let cuts = Arc::clone(&cut);
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let mut far = TcpStream::connect(target).await.unwrap();
                tokio::select! {
                    _ = copy_bidirectional(&mut near, &mut far) => {}
                    () = cuts.notified() => {}
                }
            }
        });
        Self { url, cut }
    }
}

/// The next subscription that stands.
async fn connected(client: &mut Client) -> Connected {
    loop {
        match next(client).await.unwrap() {
            Update::Connected(connected) => return connected,
            Update::Reconnecting(_) | Update::Shutdown(_) | Update::Other(_) => {}
            update => panic!("{update:?}"),
        }
    }
}

/// The next event; `connections` counts the comebacks before it, each without a loss.
async fn event(client: &mut Client, connections: &mut u32) -> Event {
    loop {
        match next(client).await.unwrap() {
            Update::Event(event) => return event,
            Update::Connected(connected) => {
                assert_eq!((connected.recovered, connected.has_new_epoch), (Some(true), false));
                *connections += 1;
            }
            Update::Reconnecting(_) | Update::Other(_) => {}
            update => panic!("{update:?}"),
        }
    }
}

#[tokio::test]
async fn cut_off_again_and_again_it_gets_every_event_once() {
    const CUTS: u64 = 3;
    const EVENTS: u64 = 1_000;
    let engine = engine();
    let relay = Relay::start(&engine).await;
    let mut desk = Desk::new(&engine);
    let mut client = Client::builder(relay.url.as_str()).topic("tape:*").build().unwrap();
    connected(&mut client).await;
    let (mut seq, mut comebacks) = (0, 0);
    for cut in 1..=CUTS {
        let filler = "x".repeat(usize::try_from(cut).unwrap() * 97);
        for n in (cut - 1) * EVENTS + 1..=cut * EVENTS {
            desk.publish("tape:trade", Class::Event, &format!("[{n},\"{filler}\"]"));
        }
        // It is cut in the middle of these, and once it was there.
        while seq < cut * EVENTS {
            if seq == cut * EVENTS - EVENTS / 2 {
                relay.cut.notify_one();
            }
            let event = event(&mut client, &mut comebacks).await;
            seq += 1;
            assert_eq!((event.topic(), event.seq), ("tape:trade", seq));
            assert!(event.payload().starts_with(&format!("[{seq},")), "{event:?}");
        }
    }
    // Of the last one nothing was to come any more: it is seen with the next event.
    desk.publish("tape:trade", Class::Event, "\"last\"");
    assert_eq!(event(&mut client, &mut comebacks).await.payload(), "\"last\"");
    let counts = client.counts();
    assert_eq!((counts.events, counts.broken), (CUTS * EVENTS + 1, 0));
    assert!(comebacks >= 2, "{comebacks}");
}

#[tokio::test]
async fn a_restart_is_told_as_a_gap_of_each_topic_and_the_new_stream_goes_on() {
    let engine = engine();
    let ws = engine.addresses().ws;
    let builder = Client::builder(format!("ws://{ws}/v1")).topic("tape:quote").topic("born:*");
    let mut client = builder.build().unwrap();
    let first = connected(&mut client).await;
    let mut desk = Desk::new(&engine);
    for n in 1..=5 {
        desk.publish("tape:quote", Class::State, &n.to_string());
        assert_eq!(event(&mut client, &mut 0).await.seq, n);
    }
    drop(desk);
    let draining = tokio::task::spawn_blocking(|| engine.drain(Duration::from_secs(20)));
    let shutdown = loop {
        match next(&mut client).await.unwrap() {
            Update::Reconnecting(reconnecting) => break reconnecting,
            Update::Shutdown(_) | Update::Other(_) => {}
            update => panic!("{update:?}"),
        }
    };
    assert!(matches!(shutdown.why, Why::Closed { code: 1001, .. }), "{shutdown:?}");
    soon("the drain", draining).await.unwrap();
    let engine = Engine::start(config(ws)).unwrap();
    let second = connected(&mut client).await;
    assert_eq!((second.recovered, second.has_new_epoch), (Some(false), true));
    assert_ne!(first.epoch, second.epoch);
    let Update::Gap(gap) = next(&mut client).await.unwrap() else { panic!("no gap") };
    assert_eq!((gap.topic.as_str(), &gap.reason), ("tape:quote", &GapReason::Restart));
    assert_eq!((gap.from, gap.to), (0, 0));
    let mut desk = Desk::new(&engine);
    desk.publish("tape:quote", Class::State, "6");
    desk.publish("born:late", Class::Event, "7");
    for (topic, payload) in [("tape:quote", "6"), ("born:late", "7")] {
        let event = event(&mut client, &mut 0).await;
        assert_eq!((event.topic(), event.seq, event.payload()), (topic, 1, payload));
    }
    assert_eq!(client.counts().broken, 0);
}

#[tokio::test]
async fn views_begin_with_snapshots_chain_and_end_with_the_newest_values_also_after_a_cut() {
    const TOPICS: [&str; 3] = ["tape:quote:0", "tape:quote:1", "tape:quote:2"];
    let engine = engine();
    let relay = Relay::start(&engine).await;
    let mut desk = Desk::new(&engine);
    let mut publish = |payload: &str| {
        TOPICS.iter().for_each(|topic| desk.publish(topic, Class::State, payload));
    };
    publish("\"first\"");
    let builder = Client::builder(relay.url.as_str()).latest("tape:*", 100);
    let mut client = builder.build().unwrap();
    let mut seqs: HashMap<String, u64> = HashMap::new();
    let (mut round, mut newest) = (0, HashMap::new());
    while newest.values().filter(|payload| *payload == "\"last\"").count() < TOPICS.len() {
        match next(&mut client).await.unwrap() {
            Update::Event(event) => {
                let before = seqs.insert(event.topic().to_owned(), event.seq);
                assert_eq!(event.prev, Some(before.unwrap_or(0)), "{event:?}");
                newest.insert(event.topic().to_owned(), event.payload().to_owned());
            }
            Update::Snapshot(event) => {
                seqs.insert(event.topic().to_owned(), event.seq);
                newest.insert(event.topic().to_owned(), event.payload().to_owned());
            }
            Update::Connected(_) | Update::Reconnecting(_) | Update::Other(_) => {}
            update => panic!("{update:?}"),
        }
        round += 1;
        match round {
            ..30 => publish(&round.to_string()),
            30 => relay.cut.notify_one(),
            60 => publish("\"last\""),
            31..60 => publish(&round.to_string()),
            _ => {}
        }
    }
    assert_eq!(client.counts().broken, 0);
    assert_eq!(client.counts().connections, 2);
}

#[tokio::test]
async fn closed_for_being_slow_it_comes_back_and_gets_every_event_once() {
    let ws = SocketAddr::from(([127, 0, 0, 1], 0));
    let limits = Config { lag_bytes_max: 64 * 1024, send_buffer_bytes: 4 * 1024, ..config(ws) };
    let engine = Engine::start(limits).unwrap();
    let mut desk = Desk::new(&engine);
    let builder = Client::builder(format!("ws://{}/v1", engine.addresses().ws)).topic("tape:*");
    let mut client = builder.on_lag(OnLag::Disconnect).build().unwrap();
    connected(&mut client).await;
    desk.publish("tape:trade", Class::Event, "\"first\"");
    event(&mut client, &mut 0).await;
    // It does not read while so much is published that it is closed.
    let payload = format!("\"{}\"", "x".repeat(10_000));
    let mut published = 1;
    while engine.telemetry().sum(ShardCounter::EvictedLagging) == 0 {
        desk.publish("tape:trade", Class::Event, &payload);
        published += 1;
        assert!(published < 1_000, "much more than any buffer");
        tokio::task::yield_now().await;
        std::thread::park_timeout(Duration::from_millis(1));
    }
    let mut comebacks = 0;
    for seq in 2..=published {
        assert_eq!(event(&mut client, &mut comebacks).await.seq, seq);
    }
    assert!(comebacks > 0);
    assert_eq!(client.counts().broken, 0);
}
