//! Goal: what it costs to tell what is going on: a named measurement under 1 µs, a line of the log under 1 ms, a
//! status of the hub far under 1 ms, a broadcast of it under 2 ms.
//!
//! Workload: `measure` runs with one series, with a context of two pairs, with 1,000 series of which each call takes
//! another, and with a refused one; `baseline` is the same look-up in a bare map behind a lock. `log_line` is a task's
//! line of the hub as JSON and as text, made and thrown away. `hub` is an agent's update with all that follows it, and the
//! status after it; the bytes of a status update are printed. `broadcast` is a status from `publish` until the last of 10 or
//! 100 clients of `/ws` in the same process has read its bytes.
//! `cargo bench --bench telemetry`
#![allow(missing_docs, reason = "criterion's macros make the entry points")]

use criterion::{Criterion, criterion_group, criterion_main};
use lineage::Engine;
use lineage::config::{Config, SourceChoice};
use lineage::event::hub::legacy_message;
use lineage::event::{AgentName, Body, Cents, Class, Event, Side, Topics, Trade, Typed};
use lineage::simulation::Random;
use lineage::simulation::hub::{Board, Hub, Options};
use lineage::telemetry::PerformanceMetrics;
use std::collections::HashMap;
use std::hint::black_box;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const LANE: &[(&str, &str)] = &[("lane", "research")];
const LANE_AND_OUTCOME: &[(&str, &str)] = &[("lane", "research"), ("outcome", "completed")];

fn measure(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("telemetry/measure");
    group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    let bare = Mutex::new(HashMap::from([("tasks".to_owned(), 0_u64)]));
    group.bench_function("baseline", |bencher| {
        bencher.iter(|| {
            let mut counts = bare.lock().expect("nobody panicked");
            *counts.get_mut(black_box("tasks")).expect("it is there") += 1;
        });
    });
    let metrics = PerformanceMetrics::new();
    group.bench_function("increment", |bencher| {
        bencher.iter(|| metrics.increment(black_box("tasks"), 1, &[]));
    });
    group.bench_function("increment_with_context", |bencher| {
        bencher.iter(|| metrics.increment(black_box("tasks"), 1, LANE_AND_OUTCOME));
    });
    group.bench_function("record_with_context", |bencher| {
        bencher.iter(|| metrics.record(black_box("depth"), black_box(7.0), LANE));
    });
    group.bench_function("timing_with_context", |bencher| {
        let took = Duration::from_micros(417);
        bencher.iter(|| metrics.timing(black_box("took"), black_box(took), LANE_AND_OUTCOME));
    });
    let full = PerformanceMetrics::with_limit(1_000);
    let names: Vec<String> = (0..1_000).map(|number| format!("series_{number}")).collect();
    let mut next = names.iter().cycle();
    group.bench_function("increment_of_1000_series", |bencher| {
        bencher.iter(|| next.by_ref().take(1).for_each(|name| full.increment(name, 1, LANE)));
    });
    group.bench_function("increment_refused", |bencher| {
        bencher.iter(|| full.increment(black_box("one more"), 1, LANE));
    });
    group.bench_function("all_of_1000_series", |bencher| bencher.iter(|| full.all()));
    group.finish();
}

fn log_line(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("telemetry/log_line");
    group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    let line = || {
        let (task_id, lane, agent) = (black_box(7_u64), "research", "momentum");
        tracing::info!(task_id, lane, agent, queue_size = 3, "task_enqueued");
    };
    let builder = || tracing_subscriber::fmt().with_writer(std::io::sink);
    tracing::subscriber::with_default(builder().json().finish(), || {
        group.bench_function("json", |bencher| bencher.iter(line));
    });
    tracing::subscriber::with_default(builder().finish(), || {
        group.bench_function("text", |bencher| bencher.iter(line));
    });
    group.finish();
}

fn hub(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("telemetry/hub");
    group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    let (options, topics) = (Options::default(), Topics::new());
    let board = Board::new(&options, Arc::default());
    let hub = Hub::new(&options, Random::new(1), &board, &topics, 0);
    let mut hub = hub.expect("the topic is free");
    let trade = Trade {
        agent: Arc::new(AgentName { slug: "momentum".into(), name: "Momentum".into() }),
        symbol: "BTC-USD".into(),
        side: Side::Buy,
        price: Cents(4_200_000),
        quantity: Cents(10),
        pnl: Cents(-2_000),
        won: false,
    };
    let topic = topics.register("trade:momentum", None).expect("there is room");
    let mut event = Event { topic, key: 0, time_us: 0, body: Body::Trade(trade) };
    group.bench_function("loss_with_three_stages", |bencher| {
        bencher.iter(|| {
            event.time_us += 200_000;
            hub.observe(&event);
        });
    });
    group.bench_function("status_update", |bencher| {
        bencher.iter(|| legacy_message(Some(&board.status()), black_box(1_770_494_285_386_000)));
    });
    group.finish();
    let bytes = legacy_message(Some(&board.status()), 1_770_494_285_386_000).len();
    let line = format!("telemetry/hub: a status update has {bytes} bytes\n");
    let _ = std::io::stdout().write_all(line.as_bytes());
}

/// A client of the hub's view, upgraded.
fn reader(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("the engine listens");
    let request = format!(
        "GET /ws HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).expect("the engine reads");
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).expect("the engine answers");
        head.push(byte[0]);
    }
    stream
}

fn broadcast(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("telemetry/broadcast");
    group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    let options = Options::default();
    let status = Board::new(&options, Arc::default()).status();
    let time_us = 1_770_494_285_386_000;
    // A frame of this length has a header of 4 bytes, and every status has the same.
    let mut frame = vec![0; legacy_message(Some(&status), time_us).len() + 4];
    let status = Typed::new(status);
    for clients in [10, 100] {
        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        let engine = Engine::start(Config {
            ws: any_port,
            http: None,
            metrics: None,
            source: SourceChoice::None,
            shards: 1,
            ..Config::default()
        })
        .expect("free ports");
        let topic = engine.topic("hub", Class::State).expect("a good name");
        let mut publisher = engine.publisher().expect("a free ring");
        let address = engine.addresses().ws;
        let mut readers: Vec<TcpStream> = (0..clients).map(|_| reader(address)).collect();
        assert!(engine.wait_for_clients(clients, Duration::from_secs(10)), "all are served");
        group.bench_function(format!("{clients}_clients"), |bencher| {
            bencher.iter(|| {
                let body = Body::Typed(status.clone());
                publisher.publish(Event { topic, key: 0, time_us, body }).expect("room");
                for stream in &mut readers {
                    stream.read_exact(&mut frame).expect("the engine writes");
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, measure, log_line, hub, broadcast);
criterion_main!(benches);
