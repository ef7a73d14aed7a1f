//! Goal: what it costs to tell what is going on: a named measurement under 1 µs, a line of the log under 1 ms, a
//! status of the hub far under 1 ms.
//!
//! Workload: `measure` runs with one series, with a context of two pairs, with 1,000 series of which each call takes
//! another, and with a refused one; `baseline` is the same look-up in a bare map behind a lock. `log_line` is a task's
//! line of the hub as JSON and as text, made and thrown away. `hub` is an agent's update with all that follows it, and the
//! status after it; the bytes of a status update are printed.
//! `cargo bench --bench telemetry`
#![allow(missing_docs, reason = "criterion's macros make the entry points")]

use criterion::{Criterion, criterion_group, criterion_main};
use lineage::event::hub::legacy_message;
use lineage::event::{AgentName, Body, Cents, Event, Side, Topics, Trade};
use lineage::simulation::Random;
use lineage::simulation::hub::{Board, Hub, Options};
use lineage::telemetry::PerformanceMetrics;
use std::collections::HashMap;
use std::hint::black_box;
use std::io::Write as _;
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

criterion_group!(benches, measure, log_line, hub);
criterion_main!(benches);
