//! Recordings at full speed to subscribers over sockets: every frame, in order, byte for byte.
//!
//! Method: made-up recordings with the shape of real ones; the real ones too, where they are present (in
//! `../shared/data`, or where `LINEAGE_DATA` says), judged by counts that a separate program computed. An
//! unoptimised build takes the smallest of them alone.

#![allow(clippy::print_stderr, reason = "says on stderr what it could not test")]

use super::binance;
use super::client::Client;
use super::order::{Order, payload, word};
use super::support::{config, start};
use flate2::bufread::MultiGzDecoder;
use lineage::Engine;
use lineage::config::{Config, SourceChoice};
use lineage::source::replay::Speed;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// An engine that replays `path` as soon as so many clients are subscribed.
fn replaying(path: PathBuf, clients: usize) -> Engine {
    start(Config {
        source: SourceChoice::Replay { path, feed: None },
        speed: Speed::Max,
        start_at_clients: clients,
        lag_age_max: Duration::from_secs(600),
        write_stall_max: Duration::from_secs(600),
        ..config()
    })
}

fn subscribed(engine: &Engine) -> (Client, Order) {
    let (client, ack) = Client::subscribed(engine.addresses().ws, &["binance:*"]);
    (client, Order::after(&ack))
}

#[test]
fn a_recording_at_full_speed_arrives_whole_also_at_a_slow_reader() {
    const LINES: usize = 12_000;
    let made = binance::recording(7, "btcusdt", LINES);
    let path =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("server-{}.jsonl", std::process::id()));
    std::fs::write(&path, made.text()).expect("a folder for tests");
    let engine = replaying(path.clone(), 2);
    // The engine holds it open.
    std::fs::remove_file(path).expect("it was just written");
    let (mut slow, mut slow_order) = subscribed(&engine);
    let (mut fast, mut order) = subscribed(&engine);
    let frames: Vec<String> = made.lines.into_iter().map(|(_, frame)| frame).collect();
    let expected = frames.clone();
    let reading = std::thread::spawn(move || {
        for (n, frame) in expected.iter().enumerate() {
            let text = slow.message();
            slow_order.take(text);
            assert_eq!(payload(text), frame, "frame {n}");
            // A reader that takes its time: the replay has to wait for it, again and again.
            if n % 100 == 0 {
                std::thread::park_timeout(Duration::from_millis(5));
            }
        }
        slow_order
    });
    for (n, frame) in frames.iter().enumerate() {
        let text = fast.message();
        order.take(text);
        assert_eq!(payload(text), frame, "frame {n}");
    }
    let counts = made.counts;
    for order in [order, reading.join().expect("no panic")] {
        assert_eq!((order.events, order.gaps.len()), (LINES as u64, 0));
        let last = |kind: &str| order.last(&format!("binance:{kind}:BTCUSDT"));
        assert_eq!((last("trade"), last("quote")), (counts.trade, counts.quote));
        assert_eq!((last("depth"), last("snapshot")), (counts.depth, counts.snapshot));
    }
}

/// The folder of real recordings, if there is one.
pub(crate) fn real_data() -> Option<PathBuf> {
    let folder = std::env::var_os("LINEAGE_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"),
        PathBuf::from,
    );
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("NOT TESTED: no real recordings in {} (set LINEAGE_DATA)", folder.display());
    None
}

#[test]
fn real_recordings_at_full_speed_arrive_whole() {
    let Some(folder) = real_data() else { return };
    let mut names = vec!["binance-spot-ethusdt-20240808"];
    if cfg!(debug_assertions) {
        eprintln!("an unoptimised build: of the real recordings only {names:?}");
    } else {
        names.extend(["binance-spot-btcusdt-20240808", "binance-usdm-btcusdt-20240808"]);
    }
    for name in names {
        replay_real(&folder, name);
    }
}

fn replay_real(folder: &Path, name: &str) {
    let path = folder.join(format!("{name}.jsonl.gz"));
    let oracle = std::fs::read(folder.join(format!("oracle/{name}.json"))).expect("an oracle");
    let oracle: serde_json::Value = serde_json::from_slice(&oracle).expect("JSON");
    let lines = BufReader::new(MultiGzDecoder::new(BufReader::new(
        File::open(&path).expect("a recording"),
    )))
    .lines();
    let engine = replaying(path, 1);
    let (mut client, mut order) = subscribed(&engine);
    let (mut counts, mut bytes) = (BTreeMap::<String, u64>::new(), 0);
    for line in lines {
        let line = line.expect("text");
        let (_, frame) = line.split_once(' ').expect("a receive time");
        let text = client.message();
        assert_eq!(payload(text), frame, "{name}");
        order.take(text);
        *counts.entry(word(text, "topic").to_owned()).or_default() += 1;
        bytes += payload(text).len() as u64;
    }
    assert_eq!(order.gaps, []);
    assert_eq!(Some(order.events), oracle["messages"].as_u64());
    assert_eq!(Some(bytes), oracle["payload_bytes"].as_u64());
    let symbol = name.split('-').nth(2).expect("a symbol").to_uppercase();
    for (kind, expected) in oracle["types"].as_object().expect("types") {
        let word = match kind.as_str() {
            "bookTicker" => "quote",
            kind => kind.split('@').next().expect("a word"),
        };
        let topic = format!("binance:{word}:{symbol}");
        assert_eq!(counts.remove(&topic), expected.as_u64(), "{topic} of {name}");
    }
    assert_eq!(counts, BTreeMap::new(), "nothing else in {name}");
}
