//! Goal: candles of real trades are exact. Method: the trades of the Binance recordings (not part of the repository;
//! `../shared/data`, or where `LINEAGE_DATA` says) through the collector, compared as decimals with candles that a
//! separate program computed; and once more with every second of trades turned round.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::cast_possible_truncation,
    reason = "a test may stop at the first surprise, and says what it could not test"
)]

use flate2::read::GzDecoder;
use lineage::event::{Candle, Interval, Tick};
use lineage::pipeline::{Collector, Options};
use rust_decimal::Decimal;
use serde_json::Value;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::Duration;

const RECORDINGS: [&str; 3] = [
    "binance-spot-btcusdt-20240808",
    "binance-spot-ethusdt-20240808",
    "binance-usdm-btcusdt-20240808",
];

/// The folder of real recordings, if there is one.
fn real_data() -> Option<PathBuf> {
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

/// The trades of a recording, and when each was received, in microseconds.
fn trades(folder: &Path, name: &str) -> Vec<(u64, Tick)> {
    let file = File::open(folder.join(format!("{name}.jsonl.gz"))).unwrap();
    let lines = BufReader::new(GzDecoder::new(file)).lines().map(Result::unwrap);
    let trades = lines.filter_map(|line| {
        let (received_ns, frame) = line.split_once(' ').unwrap();
        let frame: Value = serde_json::from_str(frame).unwrap();
        let data = &frame["data"];
        let decimal = |key: &str| Decimal::from_str_exact(data[key].as_str().unwrap()).unwrap();
        (data["e"] == "trade").then(|| {
            let tick = Tick {
                symbol: data["s"].as_str().unwrap().into(),
                price: decimal("p"),
                quantity: decimal("q"),
                time_us: data["T"].as_u64().unwrap() * 1_000,
                is_taker_buy: data["m"] == false,
                id: data["t"].as_u64(),
                is_simulated: false,
            };
            (received_ns.parse::<u64>().unwrap() / 1_000, tick)
        })
    });
    trades.collect()
}

/// All candles of the trades: the final ones, and those that were still open at the end.
fn candles(trades: &[(u64, Tick)]) -> Vec<Candle> {
    let mut collector = Collector::new(&Options::default());
    let (mut told, mut open) = (Vec::new(), Vec::new());
    for (received_us, tick) in trades {
        // What a running candle says on the way is not looked at.
        collector.step(*received_us, &mut open);
        told.extend(open.drain(..).filter(|candle| candle.bar.is_final));
        collector.trade(tick, *received_us, &mut told).unwrap();
    }
    // Longer silent than every candle lasts.
    let end_us = trades.last().unwrap().0 + Duration::from_secs(3_600).as_micros() as u64;
    collector.step(end_us, &mut told);
    assert!(told.iter().all(|candle| candle.bar.is_final));
    told
}

/// The rows that a separate program computed: seven decimals and the number of trades.
fn oracle(folder: &Path, name: &str, seconds: u64) -> Vec<[Decimal; 8]> {
    let path = folder.join(format!("oracle/{name}.candles-{seconds}s.csv"));
    let text = fs::read_to_string(path).unwrap();
    let mut lines = text.lines();
    let header = "open_time_s,open,high,low,close,volume,trades,taker_buy_volume";
    assert_eq!(lines.next(), Some(header));
    let row = |line: &str| {
        let cells: Vec<Decimal> =
            line.split(',').map(|cell| Decimal::from_str_exact(cell).unwrap()).collect();
        cells.try_into().unwrap()
    };
    lines.map(row).collect()
}

fn rows(candles: &[Candle], interval: Interval) -> Vec<[Decimal; 8]> {
    let of_interval = candles.iter().filter(|candle| candle.interval == interval);
    let row = |candle: &Candle| {
        let bar = &candle.bar;
        let open_time_s = Decimal::from(bar.open_time_ms / 1_000);
        let trades = Decimal::from(bar.trades);
        let (volume, taken) = (bar.volume, bar.taker_buy_volume);
        [open_time_s, bar.open, bar.high, bar.low, bar.close, volume, trades, taken]
    };
    of_interval.map(row).collect()
}

fn compare(folder: &Path, name: &str, trades: &[(u64, Tick)]) {
    let candles = candles(trades);
    let summary = fs::read(folder.join(format!("oracle/{name}.json"))).unwrap();
    let summary: Value = serde_json::from_slice(&summary).unwrap();
    let total = |key: &str| Decimal::from_str_exact(summary[key].as_str().unwrap()).unwrap();
    for interval in Interval::ALL {
        let seconds = interval.length_ms() / 1_000;
        let (told, expected) = (rows(&candles, interval), oracle(folder, name, seconds));
        assert!(!expected.is_empty());
        for (told, expected) in told.iter().zip(&expected) {
            assert_eq!(told, expected, "{name} {}", interval.word());
        }
        assert_eq!(told.len(), expected.len(), "{name} {}", interval.word());
        assert_eq!(summary["candles"][format!("{seconds}s")], told.len(), "{name}");

        let of_interval = || candles.iter().filter(|candle| candle.interval == interval);
        let notional: Decimal = of_interval().map(|candle| candle.notional).sum();
        let volume: Decimal = of_interval().map(|candle| candle.bar.volume).sum();
        let count: u64 = of_interval().map(|candle| candle.bar.trades).sum();
        assert_eq!(notional, total("trade_notional"), "{name} {}", interval.word());
        assert_eq!(volume, total("trade_volume"), "{name} {}", interval.word());
        assert_eq!(summary["types"]["trade"], count, "{name} {}", interval.word());
    }
}

#[test]
fn s54_candles_of_real_recordings_equal_those_of_a_separate_program() {
    let Some(folder) = real_data() else { return };
    for name in RECORDINGS {
        compare(&folder, name, &trades(&folder, name));
    }
}

#[test]
fn s54_candles_of_real_recordings_stay_the_same_when_trades_come_out_of_order() {
    let Some(folder) = real_data() else { return };
    for name in RECORDINGS {
        let mut trades = trades(&folder, name);
        // Back to front within each second: no trade is further behind than the grace period of a second.
        for second in
            trades.chunk_by_mut(|(_, a), (_, b)| a.time_us / 1_000_000 == b.time_us / 1_000_000)
        {
            second.reverse();
        }
        compare(&folder, name, &trades);
    }
}
