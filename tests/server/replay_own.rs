//! Recordings of our own stream, replayed: their events keep their old times, and are as new as any for delivery.
//!
//! Method: a recording that is years old, and an hour as the limit of age.

use super::order::Order;
use super::slow::narrow_subscriber;
use super::support::{config, start, wait_for_events};
use lineage::config::{Config, SourceChoice};
use lineage::source::replay::Speed;
use std::path::{Path, PathBuf};
use std::time::Duration;

const EVENTS: u64 = 1_500;
/// When the first event was published, in 2023.
const OLD_US: u64 = 1_700_000_000_000_000;
/// A recording of events of 2 KB each, a millisecond apart.
fn old_recording() -> PathBuf {
    let payload = "x".repeat(2_000);
    let line = |n: u64| {
        let us = OLD_US + n * 1_000;
        format!(
            r#"{us}000 {{"type":"bulk","topic":"bulk","seq":{n},"pos":{n},"us":{us},"payload":"{payload}","timestamp":{}}}"#,
            us / 1_000
        ) + "\n"
    };
    let name = format!("old-{}.jsonl", std::process::id());
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, (1..=EVENTS).map(line).collect::<String>()).expect("a folder for tests");
    path
}

#[test]
fn old_events_make_no_client_late_and_no_delivery_slow() {
    let path = old_recording();
    let limits = Config {
        source: SourceChoice::Replay { path: path.clone(), feed: None },
        speed: Speed::Max,
        start_at_clients: 1,
        // An event would be older than this many times over, if its own time counted.
        lag_age_max: Duration::from_secs(3_600),
        lag_bytes_max: 64 << 20,
        write_stall_max: Duration::from_secs(600),
        send_buffer_bytes: 8 * 1024,
        shards: 1,
        ..config()
    };
    let engine = start(limits);
    std::fs::remove_file(path).expect("it was just written");
    let (mut slow, mut order): (_, Order) = narrow_subscriber(engine.addresses().ws, &["bulk"]);
    let telemetry = engine.telemetry();
    wait_for_events(&engine, EVENTS);
    for n in 1..=EVENTS {
        let text = slow.message();
        order.take(text);
        let us = format!(r#","us":{},"#, OLD_US + n * 1_000);
        assert!(text.contains(&us), "it keeps its time: {}", &text[..120]);
    }
    assert_eq!((order.events, order.gaps.len()), (EVENTS, 0));
    let text = String::from_utf8(telemetry.text()).expect("text");
    let sum = text.lines().find(|line| line.starts_with("lineage_delivery_latency_seconds_sum"));
    let sum = sum.unwrap_or_else(|| panic!("no sum in\n{text}"));
    let seconds: f64 = sum.rsplit(' ').next().expect("a value").parse().expect("a number");
    // A delivery that took a minute or more counts as a minute.
    assert!(seconds < 60.0 * EVENTS as f64, "no delivery takes years: {sum}");
}
