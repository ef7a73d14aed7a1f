//! The same seed gives the same bytes, also through an engine: what clients read over sockets is what
//! `lineage simulate` prints, with one shard and with two.
//!
//! Method: engines on a clock that the test moves to the time of the next frame
//! whenever nothing comes (a simulation that is late leaves out what it missed). Without the pipeline the
//! frames are compared whole. With it, candles, indicators and alerts come from a thread of their own: they may stand
//! anywhere between the others, and so move `pos`. Then the simulated topics are compared without `pos`.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise, its helpers too")]

use futures_util::StreamExt as _;
use lineage::Engine;
use lineage::client::{Client, Update};
use lineage::clock::Clock;
use lineage::config::{Config, SourceChoice};
use serde_json::value::RawValue;
use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

/// 2026-01-01T00:00:00Z.
const START_US: u64 = 1_767_225_600_000_000;
const PATIENCE: Duration = Duration::from_secs(60);
/// Frames that are compared.
const FRAMES: usize = 1_000;
/// Nothing has come for so long: the clock goes on.
const PAUSE: Duration = Duration::from_millis(2);
/// By at least so much: the simulation's steps are half of this apart, and a sweep may wait for a millisecond.
const STEP_US: u64 = 1_000;

/// Topic, seq, us and payload of a frame: what is compared where its position may differ.
fn kept(text: &str) -> (String, u64, u64, String) {
    #[derive(serde::Deserialize)]
    struct Frame<'a> {
        topic: String,
        seq: u64,
        us: u64,
        #[serde(borrow)]
        payload: &'a RawValue,
    }
    let frame: Frame<'_> = serde_json::from_str(text).unwrap();
    (frame.topic, frame.seq, frame.us, frame.payload.get().to_owned())
}

/// The first frames of a simulation, without an engine.
fn simulated(seed: u64) -> Vec<String> {
    let (seed, frames) = (seed.to_string(), FRAMES.to_string());
    let output = Command::new(env!("CARGO_BIN_EXE_lineage"))
        .args(["simulate", "--seed", &seed, "--events", &frames])
        .output()
        .unwrap();
    assert!(output.status.success(), "seed {seed}");
    let lines: Vec<String> =
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), FRAMES, "seed {seed}");
    lines
}

fn config(seed: u64, shards: usize) -> Config {
    let hour = Duration::from_secs(3_600);
    Config {
        ws: SocketAddr::from(([127, 0, 0, 1], 0)),
        http: None,
        metrics: None,
        source: SourceChoice::Simulation,
        seed,
        shards,
        start_at_clients: 1,
        // The clock jumps: nobody is to be thought silent or late for that.
        ping_interval: hour,
        silence_max: 2 * hour,
        lag_age_max: hour,
        write_stall_max: hour,
        ..Config::default()
    }
}

/// The first frames that a client of an engine reads, of the topics that `is_compared` names.
async fn read(
    config: Config,
    expected: &[String],
    is_compared: impl Fn(&str) -> bool,
) -> Vec<String> {
    let (clock, hand) = Clock::manual(START_US);
    let engine = Engine::builder(config).clock(clock).start().unwrap();
    let url = format!("ws://{}/v1", engine.addresses().ws);
    let mut client = Client::builder(url).topic("*").snapshot(false).build().unwrap();
    let mut frames = Vec::new();
    let (begun, mut at_us) = (Instant::now(), START_US);
    while frames.len() < FRAMES {
        assert!(begun.elapsed() < PATIENCE, "{} of {FRAMES} frames", frames.len());
        let Ok(update) = tokio::time::timeout(PAUSE, client.next()).await else {
            // The simulation begins at the time at which it finds its first client: the clock stands until then.
            if !frames.is_empty() {
                // To what is due next, so that the simulation is never late; then on in small steps.
                let due_us = kept(&expected[frames.len()]).2 + STEP_US;
                let step_us = due_us.saturating_sub(at_us).max(STEP_US);
                hand.advance_us(step_us);
                at_us += step_us;
            }
            continue;
        };
        match update.unwrap().unwrap() {
            Update::Event(event) if is_compared(event.topic()) => {
                frames.push(event.text().to_owned());
            }
            lost @ (Update::Gap(_) | Update::Broken(_)) => panic!("{lost:?}"),
            _ => {}
        }
    }
    frames
}

#[tokio::test]
async fn clients_read_the_same_bytes_with_one_shard_and_with_two_as_the_simulation_gives() {
    let seed = 7;
    let expected = simulated(seed);
    for shards in [1, 2] {
        let config = Config { pipeline_enabled: false, ..config(seed, shards) };
        let frames = read(config, &expected, |_| true).await;
        for (frame, expected) in frames.iter().zip(&expected) {
            assert_eq!(frame, expected, "seed {seed}, {shards} shards");
        }
    }
    assert_ne!(simulated(7), simulated(8));
}

#[tokio::test]
async fn with_all_systems_on_the_simulated_topics_are_the_same_but_for_their_positions() {
    let seed = 7;
    let expected = simulated(seed);
    let is_simulated =
        |topic: &str| !["candle:", "indicator:", "alert"].iter().any(|own| topic.starts_with(own));
    for shards in [1, 2] {
        let frames = read(config(seed, shards), &expected, is_simulated).await;
        for (frame, expected) in frames.iter().zip(&expected) {
            assert_eq!(kept(frame), kept(expected), "seed {seed}, {shards} shards");
        }
    }
}
