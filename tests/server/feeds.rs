//! Recordings of exchanges through the engine: candles over HTTP, order books and market prices over sockets.
//!
//! Method: the real recordings, where they are present (in `../shared/data`, or where `LINEAGE_DATA` says), at full
//! speed, judged by what a separate program computed; made-up ones for prices and for the turn of a day.

use super::client::Client;
use super::order::{Order, number, payload};
use super::replay::real_data;
use super::support::{config, get, http, start, wait_until};
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use lineage::Engine;
use lineage::config::{Config, SourceChoice};
use lineage::source::replay::Speed;
use rust_decimal::Decimal;
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

const BINANCE: [&str; 3] = [
    "binance-spot-btcusdt-20240808",
    "binance-spot-ethusdt-20240808",
    "binance-usdm-btcusdt-20240808",
];
const MIDNIGHT_S: u64 = 1_723_161_600;

/// An engine that replays `path` as soon as so many clients are subscribed.
pub(crate) fn replaying(path: PathBuf, clients: usize) -> Engine {
    start(Config {
        source: SourceChoice::Replay { path, feed: None },
        speed: Speed::Max,
        start_at_clients: clients,
        lag_age_max: Duration::from_secs(600),
        write_stall_max: Duration::from_secs(600),
        ..config()
    })
}

/// A value of the metrics page; `series` with its labels. None: there is no such series.
pub(crate) fn metric(engine: &Engine, series: &str) -> Option<u64> {
    let text = String::from_utf8(engine.telemetry().text()).expect("text");
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
    Some(line.parse().expect("a whole number"))
}

fn scratch(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("feeds-{}-{name}", std::process::id()))
}

fn oracle(folder: &Path, name: &str) -> Value {
    let text = std::fs::read(folder.join(format!("oracle/{name}.json"))).expect("an oracle");
    serde_json::from_slice(&text).expect("JSON")
}

fn symbol(name: &str) -> String {
    name.split('-').nth(2).expect("a symbol").to_uppercase()
}

/// Rows of the separate program: seven decimals and the number of trades.
fn oracle_rows(folder: &Path, name: &str, seconds: u64) -> Vec<[Decimal; 8]> {
    let path = folder.join(format!("oracle/{name}.candles-{seconds}s.csv"));
    let text = std::fs::read_to_string(path).expect("an oracle");
    let row = |line: &str| {
        let cells: Vec<Decimal> =
            line.split(',').map(|cell| cell.parse().expect("a decimal")).collect();
        cells.try_into().expect("eight cells")
    };
    text.lines().skip(1).map(row).collect()
}

/// The same rows as the engine answers them.
fn served_rows(engine: &Engine, symbol: &str, word: &str) -> Vec<[Decimal; 8]> {
    let path = format!("/api/candles?symbol={symbol}&interval={word}&limit=5000");
    let answer = get(http(engine), &path);
    if answer.status != 200 {
        return Vec::new();
    }
    let row = |candle: &Value| {
        let decimal = |key: &str| {
            candle[key].as_str().expect("a string").parse::<Decimal>().expect("a decimal")
        };
        let whole = |key: &str| Decimal::from(candle[key].as_u64().expect("a whole number"));
        [
            whole("open_time_ms") / Decimal::ONE_THOUSAND,
            decimal("open"),
            decimal("high"),
            decimal("low"),
            decimal("close"),
            decimal("volume"),
            whole("trades"),
            decimal("taker_buy_volume"),
        ]
    };
    answer.json().as_array().expect("an array").iter().map(row).collect()
}

/// Waits until every trade is in the candles, and compares all of them; `later_s` is how much later they are.
fn assert_candles(engine: &Engine, folder: &Path, name: &str, later_s: u64) {
    let trades = Decimal::from(oracle(folder, name)["types"]["trade"].as_u64().expect("a count"));
    for (word, seconds) in [("1s", 1), ("10s", 10), ("1m", 60)] {
        let served = || served_rows(engine, &symbol(name), word);
        wait_until("a candle of every trade", || {
            served().iter().map(|row| row[6]).sum::<Decimal>() == trades
        });
        let mut expected = oracle_rows(folder, name, seconds);
        expected.iter_mut().for_each(|row| row[0] += Decimal::from(later_s));
        let served = served();
        assert_eq!(served.len(), expected.len(), "{name} {word}");
        for (served, expected) in served.iter().zip(&expected) {
            assert_eq!(served, expected, "{name} {word}");
        }
    }
}

fn assert_nothing_lost(engine: &Engine, name: &str) {
    for series in [
        "lineage_tap_missed_events_total",
        "lineage_source_bad_lines_total",
        "lineage_feed_book_gaps_total",
        "lineage_feed_book_diffs_lost_total",
        "lineage_collector_trades_left_out_total{reason=\"late\"}",
    ] {
        assert_eq!(metric(engine, series), Some(0), "{series} of {name}");
    }
}

/// Whether levels of a book are those of the oracle.
fn is_side(told: &Value, expected: &Value) -> bool {
    let levels = |value: &Value| -> Vec<(Decimal, Decimal)> {
        let decimal = |cell: &Value| cell.as_str().expect("a string").parse().expect("a decimal");
        let level = |level: &Value| (decimal(&level[0]), decimal(&level[1]));
        value.as_array().expect("levels").iter().map(level).collect()
    };
    levels(told) == levels(expected)
}

#[test]
fn s54_s62_candles_and_books_of_replayed_recordings_equal_those_of_a_separate_program() {
    let Some(folder) = real_data() else { return };
    for name in BINANCE {
        let engine = replaying(folder.join(format!("{name}.jsonl.gz")), 1);
        let (mut client, ack) = Client::subscribed(engine.addresses().ws, &["book:*"]);
        let (mut order, oracle) = (Order::after(&ack), oracle(&folder, name));
        let (types, book) = (&oracle["types"], &oracle["book"]);
        let counts = [
            ("lineage_feed_trades_total", &types["trade"]),
            ("lineage_feed_quotes_total", &types["bookTicker"]),
            ("lineage_feed_book_diffs_applied_total", &book["depth_applied"]),
        ];
        // Everything was read and the newest book has come: it is the oracle's, and none is missing before it.
        loop {
            let text = client.message();
            order.take(text);
            let told: Value = serde_json::from_str(payload(text)).expect("JSON");
            if is_side(&told["bids"], &book["top10_bids"])
                && is_side(&told["asks"], &book["top10_asks"])
                && counts.iter().all(|(series, count)| metric(&engine, series) == count.as_u64())
                && metric(&engine, "lineage_feed_books_total") == Some(number(text, "seq"))
            {
                assert_eq!(told["synchronised"], true, "{name}");
                assert_eq!(told["symbol"], symbol(name), "{name}");
                break;
            }
        }
        assert_eq!(order.gaps, [], "{name}");
        assert_candles(&engine, &folder, name, 0);
        assert_nothing_lost(&engine, name);
        // Who comes later is told the newest book at once.
        let topic = format!("book:{}", symbol(name));
        let (mut late, _) = Client::subscribed(engine.addresses().ws, &[&topic]);
        let state = late.json();
        assert_eq!(state["topic"], topic, "{state}");
        assert!(is_side(&state["payload"]["bids"], &book["top10_bids"]), "{name}: {state}");
    }
}

#[test]
fn s54_candles_go_on_over_midnight_and_over_two_files_joined_into_one() {
    let Some(folder) = real_data() else { return };
    let name = "binance-spot-ethusdt-20240808";
    let source = File::open(folder.join(format!("{name}.jsonl.gz"))).expect("a recording");
    // It ends before midnight: three minutes later midnight lies in the middle, and whole candles stay whole.
    const LATER_S: u64 = 180;
    let later = |line: &str| -> String {
        let (received_ns, frame) = line.split_once(' ').expect("a receive time");
        let received_ns = received_ns.parse::<u64>().expect("a number") + LATER_S * 1_000_000_000;
        let mut moved = frame.to_owned();
        for key in ["\"E\":", "\"T\":"] {
            if let Some(at) = moved.find(key).map(|at| at + key.len()) {
                let time_ms: u64 = moved[at..at + 13].parse().expect("milliseconds");
                moved.replace_range(at..at + 13, &(time_ms + LATER_S * 1_000).to_string());
            }
        }
        format!("{received_ns} {moved}\n")
    };
    let lines = BufReader::new(MultiGzDecoder::new(source)).lines();
    let lines: Vec<String> = lines.map(|line| later(&line.expect("text"))).collect();
    let is_next_day = |line: &String| line[..10].parse::<u64>().expect("a number") >= MIDNIGHT_S;
    let cut = lines.iter().position(is_next_day).expect("midnight is inside");
    assert!(cut > 1_000 && lines.len() - cut > 1_000, "cut at {cut} of {}", lines.len());
    let mut joined = Vec::new();
    for day in [&lines[..cut], &lines[cut..]] {
        let mut file = GzEncoder::new(&mut joined, Compression::fast());
        day.iter().for_each(|line| file.write_all(line.as_bytes()).expect("memory"));
        file.finish().expect("memory");
    }
    let path = scratch("midnight.jsonl.gz");
    std::fs::write(&path, joined).expect("a folder for tests");
    let engine = replaying(path.clone(), 0);
    assert_candles(&engine, &folder, name, LATER_S);
    assert_nothing_lost(&engine, name);
    std::fs::remove_file(path).expect("it was just written");
}

#[test]
fn s54_replayed_recordings_of_other_venues_become_trades_and_quotes() {
    let Some(folder) = real_data() else { return };
    // Frames that are neither: books, acknowledgements, and trades of the time before.
    for (name, trades, quotes, others) in [
        ("coinbase-pro-20210417", 97, 107, 3 + 9_719 + 20),
        ("kraken-v1-20210417", 10, 18, 125 + 4_269 + 10),
        ("kraken-futures-20210722", 3, 107, 31 + 7_014 + 20),
        ("bitmex-20210722", 17, 436, 31 + 1_969 + 20),
        ("okx-v5-20220513", 74, 28, 18 + 287 + 3),
    ] {
        let engine = replaying(folder.join(format!("{name}.jsonl.gz")), 0);
        for (series, count) in [
            ("lineage_feed_trades_total", trades),
            ("lineage_feed_quotes_total", quotes),
            ("lineage_feed_frames_ignored_total", others),
        ] {
            wait_until(&format!("{count} {series} of {name}"), || {
                metric(&engine, series) == Some(count)
            });
        }
        let text = String::from_utf8(engine.telemetry().text()).expect("text");
        let refused: Vec<&str> =
            text.lines().filter(|line| line.starts_with("lineage_feed_frames_refused")).collect();
        assert!(
            refused.len() == 8 && refused.iter().all(|line| line.ends_with(" 0")),
            "{refused:?}"
        );
        assert_nothing_lost(&engine, name);
    }
}

fn trade(symbol: &str, id: u64, price: &str) -> String {
    let stream = symbol.to_lowercase();
    format!(
        r#"{{"stream":"{stream}@trade","data":{{"e":"trade","s":"{symbol}","t":{id},"p":"{price}","q":"0.5","T":1723161253937,"m":false}}}}"#
    )
}

/// An engine that replays these trades once a client is there.
fn trading(name: &str, trades: &[String], symbols: &[(&str, &str)]) -> Engine {
    let path = scratch(name);
    let lines = trades.iter().zip(1..).map(|(trade, at)| format!("{at} {trade}\n"));
    std::fs::write(&path, lines.collect::<String>()).expect("a folder for tests");
    let symbols = symbols.iter().map(|(feed, market)| ((*feed).to_owned(), (*market).to_owned()));
    let engine = start(Config {
        source: SourceChoice::Replay { path: path.clone(), feed: None },
        speed: Speed::Max,
        start_at_clients: 1,
        symbol_map: symbols.collect(),
        ..config()
    });
    // The engine holds it open.
    std::fs::remove_file(path).expect("it was just written");
    engine
}

#[test]
fn s18_the_prices_of_a_replayed_feed_drive_the_market_the_agents_and_the_firehose() {
    let trades = [
        trade("ETHUSDT", 1, "2345.674"),
        trade("BNBUSDT", 2, "500"),
        trade("BTCUSDT", 3, "61685.99"),
    ];
    let default: Vec<(String, String)> = Config::default().symbol_map.into_iter().collect();
    let symbols: Vec<(&str, &str)> = default.iter().map(|(a, b)| (&**a, &**b)).collect();
    let engine = trading("prices.jsonl", &trades, &symbols);
    let mut firehose = Client::open(engine.addresses().ws, "/");
    let (mut markets, mut agents) = (Vec::new(), Vec::new());
    while markets.len() < 2 || agents.len() < 3 {
        let told = firehose.json();
        match told["type"].as_str() {
            Some("market") => markets.push((told["symbol"].to_string(), told["price"].to_string())),
            Some("agent") => agents.push(told["agent_name"].to_string()),
            _ => panic!("no message of the firehose: {told}"),
        }
    }
    markets.sort();
    let quoted = |symbol: &str, price: &str| (format!("{symbol:?}"), price.to_owned());
    assert_eq!(markets, [quoted("BTC-USD", "61685.99"), quoted("ETH-USD", "2345.67")]);
    // Candles keep the names of the feed, mapped or not.
    for symbol in ["BTCUSDT", "ETHUSDT", "BNBUSDT"] {
        wait_until("its candle", || served_rows(&engine, symbol, "1m").len() == 1);
    }
    assert_eq!(served_rows(&engine, "BTC-USD", "1m"), Vec::<[Decimal; 8]>::new());
}

#[test]
fn s18_a_map_of_ones_own_names_the_markets_and_an_empty_one_makes_none() {
    let trades = [trade("BNBUSDT", 1, "500"), trade("BTCUSDT", 2, "61685.99")];
    let engine = trading("own-map.jsonl", &trades, &[("BNBUSDT", "BNB")]);
    let (mut client, _) = Client::subscribed(engine.addresses().ws, &["market:*"]);
    let told = client.json();
    assert_eq!((&told["topic"], &told["payload"]["price"]), (&"market:BNB".into(), &500.0.into()));
    let engine = trading("no-map.jsonl", &trades, &[]);
    let (mut client, _) =
        Client::subscribed(engine.addresses().ws, &["market:*", "agent:*", "candle:*"]);
    // All candles of both symbols come, and no price before, between or after them.
    for _ in 0..6 {
        let told = client.json();
        assert_eq!(told["type"], "candle", "{told}");
    }
}
