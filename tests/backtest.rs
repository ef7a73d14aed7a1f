//! `lineage backtest` as its users meet it. Goal: the same recording and seed print the same table, and what the agents
//! earned is what the recorded prices did. Method: the binary on made-up lines in Binance's shape, on a recording of our own
//! stream, and on the real recordings (in `../shared/data`, or where `LINEAGE_DATA` says).
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test stops at the first surprise, its helpers too, and says what it could not test"
)]

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

#[allow(dead_code, reason = "shared with tests that need other parts of it")]
#[path = "support/binance.rs"]
mod binance;

const ALL: [&str; 8] = [
    "momentum",
    "mean-reversion",
    "mixed",
    "coin",
    "price-momentum",
    "price-mean-reversion",
    "price-mixed",
    "price-coin",
];

fn backtest(source: &str, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lineage"));
    command.args(["backtest", "--source", source]).args(words).stdin(Stdio::null());
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn printed(source: &str, words: &[&str]) -> String {
    let output = backtest(source, words);
    assert!(output.status.success(), "{words:?}: {output:?}");
    text(&output.stdout)
}

fn json(source: &str, words: &[&str]) -> Value {
    serde_json::from_str(&printed(source, &[words, &["--json"]].concat())).unwrap()
}

/// A file of its own for a test, as a source.
fn source(name: &str, bytes: &[u8]) -> String {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("backtest");
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join(name);
    fs::write(&path, bytes).unwrap();
    format!("replay:{}", path.display())
}

/// Trades of a symbol, one per price and second.
fn trades(symbol: &str, prices: &[u32]) -> Vec<u8> {
    let lines = prices.iter().zip(1_700_000_000_u64..).map(|(price, second)| {
        let (upper, ms) = (symbol.to_uppercase(), second * 1_000);
        format!(
            r#"{ms}000000 {{"stream":"{symbol}@trade","data":{{"e":"trade","E":{ms},"s":"{upper}","t":{second},"p":"{price}.00","q":"1.0","T":{ms},"m":true,"M":true}}}}"#
        ) + "\n"
    });
    lines.collect::<String>().into_bytes()
}

fn cents(value: &Value) -> i64 {
    // A number with two decimals, so that the point can be left out.
    value.to_string().replace('.', "").parse().unwrap_or_else(|_| {
        let dollars = value.as_f64().unwrap();
        format!("{dollars:.2}").replace('.', "").parse().unwrap()
    })
}

fn check_books(row: &Value) {
    let count = |name: &str| row[name].as_i64().unwrap();
    assert_eq!(count("wins") + count("losses"), count("trades"), "{row}");
    assert_eq!(count("scars"), count("losses"), "{row}");
    let dollars = |name: &str| row[name].as_f64().unwrap();
    let difference = dollars("capital") - dollars("start_capital") - dollars("pnl");
    assert!(difference.abs() < 0.005, "{row}");
    assert!(dollars("max_drawdown") >= (-dollars("pnl")).max(0.0), "{row}");
}

#[test]
fn every_strategy_runs_over_a_recording_and_the_same_seed_prints_the_same_table() {
    let made = binance::recording(11, "btcusdt", 20_000);
    let source = source("made.jsonl", &made.text());
    let table = printed(&source, &["--strategy", "all", "--seed", "7"]);
    assert_eq!(table, printed(&source, &["--strategy", "all", "--seed", "7"]));
    assert_ne!(table, printed(&source, &["--strategy", "all", "--seed", "8"]));
    for column in
        ["CAPITAL", "TRADES", "WINS", "LOSSES", "WIN RATE", "P&L", "MAX DRAWDOWN", "SCARS"]
    {
        assert!(table.contains(column), "{column} in\n{table}");
    }

    let report = json(&source, &["--strategy", "all", "--seed", "7"]);
    assert_eq!((&report["lines"], &report["bad_lines"]), (&20_000.into(), &0.into()));
    assert_eq!(report["symbols"], serde_json::json!(["BTCUSDT"]));
    // Quotes, and the trades before the first of them.
    let quotes = made.counts.quote;
    assert!((quotes..quotes + 50).contains(&report["prices"].as_u64().unwrap()), "{report}");
    let rows = report["agents"].as_array().unwrap();
    let names: Vec<&str> = rows.iter().map(|row| row["strategy"].as_str().unwrap()).collect();
    assert_eq!(names, ALL);
    for row in rows {
        check_books(row);
        assert!(row["trades"].as_u64().unwrap() > 10, "{row}");
        let line = table
            .lines()
            .find(|line| line.starts_with(&format!("{} ", row["strategy"].as_str().unwrap())));
        let cells: Vec<&str> = line.unwrap().split_whitespace().collect();
        assert_eq!(cells[2], row["trades"].to_string(), "{table}");
        assert_eq!(cells[3], row["wins"].to_string(), "{table}");
        let alone =
            json(&source, &["--strategy", row["strategy"].as_str().unwrap(), "--seed", "7"]);
        assert_eq!(&alone["agents"][0], row, "alone as among others");
    }
}

#[test]
fn a_pure_price_strategy_earns_what_the_recorded_prices_did() {
    // Always up: who goes with the move wins each time, and who goes against it never.
    let prices: Vec<u32> = (0..200).map(|n| 1_000 + 10 * n).collect();
    let source = source("rising.jsonl", &trades("xusd", &prices));
    let report =
        json(&source, &["--strategy", "price-momentum", "--strategy", "price-mean-reversion"]);
    assert_eq!((&report["prices"], &report["updates"]), (&200.into(), &199.into()));
    let [with, against] = &report["agents"].as_array().unwrap()[..] else { panic!("{report}") };
    assert!(with["trades"].as_u64().unwrap() > 40, "{report}");
    assert_eq!((&with["losses"], cents(&with["max_drawdown"])), (&0.into(), 0), "{report}");
    assert!(cents(&with["pnl"]) > 0, "{report}");
    // Its first position follows a market that has not moved from its middle yet, and may be a purchase.
    assert!(against["wins"].as_u64().unwrap() <= 1 && cents(&against["pnl"]) < 0, "{report}");
    for row in [with, against] {
        check_books(row);
    }
}

#[test]
fn a_recording_of_a_simulation_is_read_too() {
    let words = ["simulate", "--seed", "3", "--events", "4000"];
    let simulated = Command::new(env!("CARGO_BIN_EXE_lineage")).args(words).output().unwrap();
    let events = text(&simulated.stdout);
    let lines: String = events.lines().map(|line| format!("1 {line}\n")).collect();
    let markets = events.lines().filter(|line| line.contains(r#""type":"market""#)).count();
    let source = source("own.jsonl", lines.as_bytes());
    let report = json(&source, &["--strategy", "mixed", "--interval-ms", "5000"]);
    assert_eq!((&report["feed"], &report["bad_lines"]), (&"lineage".into(), &0.into()));
    assert_eq!(report["symbols"], serde_json::json!(["BTC-USD", "ETH-USD"]));
    assert_eq!(report["prices"], markets);
    let one = json(&source, &["--strategy", "mixed", "--symbol", "ETH-USD"]);
    assert_eq!(one["symbols"], serde_json::json!(["ETH-USD"]));
    assert_eq!(one["prices"], markets / 2);
}

#[test]
fn bad_lines_are_counted_by_reason_and_the_others_read() {
    let mut bytes = trades("xusd", &[1_000; 50]);
    bytes.extend_from_slice(
        b"no stamp\n1700000100000000000 {\"stream\":\n1700000101000000000 \xff\xfe\n",
    );
    let negative = text(&trades("xusd", &[7])).replace("7.00", "-7.00");
    bytes.extend_from_slice(negative.as_bytes());
    bytes.extend_from_slice(&trades("xusd", &[1_001]));
    let source = source("bad.jsonl", &bytes);
    let output = backtest(&source, &["--strategy", "coin", "--json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let by_reason = serde_json::json!({ "no_stamp": 1, "not_json": 2, "sign": 1 });
    assert_eq!((&report["bad_lines"], &report["bad_by_reason"]), (&4.into(), &by_reason));
    assert_eq!((&report["lines"], &report["prices"]), (&55.into(), &51.into()));
    let stderr = text(&output.stderr);
    let expected = "4 of 55 lines could not be used: no_stamp 1, not_json 2, sign 1; line 51 has no receive time\n";
    assert_eq!(stderr, expected);
}

#[test]
fn what_cannot_be_done_is_said_with_an_exit_code() {
    let good = source("good.jsonl", &trades("xusd", &[1_000, 1_001]));
    let empty = source("empty.jsonl", b"");
    let wrong = source("wrong.jsonl", b"once upon a time\n");
    let silent = source("silent.jsonl", b"1 {\"result\":null,\"id\":1}\n");
    let silent = silent.replace("replay:", "replay:binance=");
    let coin = &["--strategy", "coin"][..];
    let known = ALL.join(", ");
    let cases: [(&str, &[&str], i32, &str); 8] = [
        (&good, &["--strategy", "martingale"], 2, &known),
        ("simulation", coin, 2, "replay:FILE"),
        ("replay:ftx=x", coin, 2, "ftx"),
        (&empty, coin, 78, "is empty"),
        (&wrong, coin, 78, "is not a recording"),
        ("replay:no/such/file", coin, 78, "no/such/file"),
        (&silent, coin, 1, "has no prices"),
        (
            &good,
            &["--strategy", "coin", "--symbol", "DOGE"],
            1,
            "no price of DOGE; it has prices of XUSD",
        ),
    ];
    for (source, words, code, part) in cases {
        let output = backtest(source, words);
        assert_eq!(output.status.code(), Some(code), "{source} {words:?}: {output:?}");
        assert!(text(&output.stderr).contains(part), "{part} in {output:?}");
        assert!(output.stdout.is_empty(), "{output:?}");
    }
}

#[test]
fn a_file_that_breaks_off_is_a_failure_that_says_where() {
    let made = binance::recording(5, "btcusdt", 5_000).text();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packed, &made).unwrap();
    let packed = packed.finish().unwrap();
    let source = source("cut.jsonl.gz", &packed[..packed.len() / 2]);
    let output = backtest(&source, &["--strategy", "coin"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("breaks off after"), "{output:?}");
}

#[test]
fn real_recordings_of_every_feed_have_prices_and_no_bad_lines() {
    let folder = std::env::var_os("LINEAGE_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"),
        PathBuf::from,
    );
    if !folder.is_dir() {
        eprintln!("NOT TESTED: no real recordings in {} (set LINEAGE_DATA)", folder.display());
        return;
    }
    let mut files: Vec<PathBuf> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().ends_with(".jsonl.gz"))
        .collect();
    files.sort();
    assert!(!files.is_empty());
    for path in files {
        let source = format!("replay:{}", path.display());
        let words = ["--strategy", "all", "--interval-ms", "100"];
        let report = json(&source, &words);
        assert_eq!(report["bad_lines"], 0, "{report}");
        assert!(report["prices"].as_u64().unwrap() > 0, "{report}");
        for row in report["agents"].as_array().unwrap() {
            check_books(row);
            // In a few updates an agent may hold every time.
            let is_short = report["updates"].as_u64().unwrap() < 100;
            assert!(is_short || row["trades"].as_u64().unwrap() > 0, "{report}");
        }
    }
}
