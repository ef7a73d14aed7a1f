//! Recordings of exchanges, read by the replay and normalised: judged by counts, sums and order books that a separate
//! program computed, where the real recordings are present (in `../shared/data`, or where `LINEAGE_DATA` says), and by a
//! made-up one with every fault a recording can have.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test fails by panicking, and says on stderr what it could not test"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use lineage::event::Book;
use lineage::feeds::{Item, Normaliser, Options};
use lineage::source::replay::{Entry, Feed, Recording};
use rust_decimal::Decimal;
use serde_json::Value;

#[path = "../support/hostile.rs"]
mod faults;
mod hostile;

const BINANCE: [&str; 3] = [
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

/// A frame of a recording.
struct Frame {
    received_us: u64,
    topic: String,
    payload: Vec<u8>,
}

/// All frames of a recording of `feed`, which is recognised; none may be bad.
fn frames(path: &Path, feed: Feed) -> Vec<Frame> {
    let mut recording = Recording::open(path, None).unwrap();
    assert_eq!(recording.feed(), feed, "{}", path.display());
    let mut frames = Vec::new();
    while let Some(entry) = recording.next_entry().unwrap() {
        let Entry::Frame(frame) = entry else { panic!("{entry:?} in {}", path.display()) };
        frames.push(Frame {
            received_us: frame.received_ns / 1_000,
            topic: frame.topic.to_owned(),
            payload: frame.payload.bytes().to_vec(),
        });
    }
    frames
}

fn read(normaliser: &mut Normaliser, frame: &Frame) -> Vec<Item> {
    let mut items = Vec::new();
    normaliser.read(&frame.topic, &frame.payload, frame.received_us, &mut items);
    items
}

fn oracle(folder: &Path, name: &str) -> Value {
    serde_json::from_slice(&fs::read(folder.join(format!("oracle/{name}.json"))).unwrap()).unwrap()
}

fn decimal(value: &Value) -> Decimal {
    value.as_str().unwrap().parse().unwrap()
}

fn levels(value: &Value) -> Vec<(Decimal, Decimal)> {
    let level = |level: &Value| (decimal(&level[0]), decimal(&level[1]));
    value.as_array().unwrap().iter().map(level).collect()
}

fn assert_top(book: &Book, oracle: &Value, name: &str) {
    assert!(book.is_synchronised, "{name}");
    assert_eq!(book.bids, levels(&oracle["book"]["top10_bids"]), "{name}");
    assert_eq!(book.asks, levels(&oracle["book"]["top10_asks"]), "{name}");
}

#[test]
fn trades_quotes_and_books_of_real_recordings_are_those_of_the_oracle() {
    let Some(folder) = real_data() else { return };
    for name in BINANCE {
        let oracle = oracle(&folder, name);
        let frames = frames(&folder.join(format!("{name}.jsonl.gz")), Feed::Binance);
        let mut normaliser = Normaliser::new(Options::default());
        let (mut volume, mut notional) = (Decimal::ZERO, Decimal::ZERO);
        let (mut last_id, mut last_quote, mut last_book) = (None, None, None);
        let begun = Instant::now();
        for frame in &frames {
            for item in read(&mut normaliser, frame) {
                match item {
                    Item::Trade(tick) => {
                        volume += tick.quantity;
                        notional += tick.price * tick.quantity;
                        assert!(last_id.is_none_or(|last| tick.id == Some(last + 1)), "{name}");
                        last_id = tick.id;
                    }
                    Item::Quote(quote) => last_quote = Some(quote),
                    Item::Book(book) => last_book = Some(book),
                }
            }
        }
        let took = begun.elapsed().as_secs_f64();
        eprintln!("{name}: {:.0} frames/s", frames.len() as f64 / took);

        let (counts, types) = (normaliser.counts(), &oracle["types"]);
        assert_eq!(Some(counts.trades.get()), types["trade"].as_u64(), "{name}");
        assert_eq!(Some(counts.quotes.get()), types["bookTicker"].as_u64(), "{name}");
        assert_eq!((counts.refused_in_all(), counts.ignored.get()), (0, 0), "{name}");
        assert_eq!(
            (volume, notional),
            (decimal(&oracle["trade_volume"]), decimal(&oracle["trade_notional"]))
        );
        assert_eq!(last_id, oracle["last_trade_id"].as_u64(), "{name}");

        let (quote, ticker) = (last_quote.unwrap(), &oracle["last_bookTicker"]);
        assert_eq!(quote.bid, Some((decimal(&ticker["b"]), decimal(&ticker["B"]))), "{name}");
        assert_eq!(quote.ask, Some((decimal(&ticker["a"]), decimal(&ticker["A"]))), "{name}");
        let stated_us = ticker["T"].as_u64().map(|ms| ms * 1_000);
        assert!(stated_us.is_none_or(|us| us == quote.time_us), "{name}");

        let book = &oracle["book"];
        assert_eq!(Some(counts.gaps.get()), book["sequence_gaps"].as_u64(), "{name}");
        assert_eq!(Some(counts.diffs_applied.get()), book["depth_applied"].as_u64(), "{name}");
        let dropped = book["depth_dropped_before_snapshot"].as_u64();
        assert_eq!(Some(counts.diffs_dropped.get()), dropped, "{name}");
        assert_eq!((counts.diffs_lost.get(), counts.levels_cut.get()), (0, 0), "{name}");
        assert_top(&last_book.unwrap(), &oracle, name);
    }
}

/// The word of each frame's type in the feed's own language.
fn native_type(feed: Feed, frame: &Value) -> String {
    let word = |key: &str| frame[key].as_str().map(str::to_owned);
    match feed {
        Feed::Binance => "binance".to_owned(),
        Feed::Coinbase => word("type").unwrap(),
        Feed::Kraken => match frame.as_array() {
            Some(array) => array[array.len() - 2].as_str().unwrap().to_owned(),
            None => word("event").unwrap(),
        },
        Feed::KrakenFutures => word("event").or_else(|| word("feed")).unwrap(),
        Feed::Bitmex => word("table").unwrap_or_else(|| "acknowledgement".to_owned()),
        Feed::Okx if frame["event"].is_string() => "acknowledgement".to_owned(),
        Feed::Okx => frame["arg"]["channel"].as_str().unwrap().to_owned(),
    }
}

/// A recording, how many frames of each native type it holds, how many of each kind of topic, trades and quotes.
struct Expected {
    name: &'static str,
    feed: Feed,
    types: &'static [(&'static str, u64)],
    kinds: &'static [(&'static str, u64)],
    trades: u64,
    quotes: u64,
}

const OTHERS: [Expected; 5] = [
    Expected {
        name: "coinbase-pro-20210417",
        feed: Feed::Coinbase,
        types: &[
            ("l2update", 9_719),
            ("last_match", 10),
            ("match", 97),
            ("snapshot", 10),
            ("subscriptions", 3),
            ("ticker", 107),
        ],
        kinds: &[("control", 3), ("depth", 9_719), ("quote", 107), ("snapshot", 20), ("trade", 97)],
        trades: 97,
        quotes: 107,
    },
    Expected {
        name: "kraken-v1-20210417",
        feed: Feed::Kraken,
        types: &[
            ("book-1000", 4_279),
            ("heartbeat", 92),
            ("subscriptionStatus", 30),
            ("systemStatus", 3),
            ("ticker", 18),
            ("trade", 8),
        ],
        kinds: &[("control", 125), ("depth", 4_269), ("quote", 18), ("snapshot", 10), ("trade", 8)],
        trades: 10,
        quotes: 18,
    },
    Expected {
        name: "kraken-futures-20210722",
        feed: Feed::KrakenFutures,
        types: &[
            ("book", 7_014),
            ("book_snapshot", 10),
            ("info", 1),
            ("subscribed", 30),
            ("ticker_lite", 107),
            ("trade", 3),
            ("trade_snapshot", 10),
        ],
        kinds: &[("control", 31), ("depth", 7_014), ("quote", 107), ("snapshot", 20), ("trade", 3)],
        trades: 3,
        quotes: 107,
    },
    Expected {
        name: "bitmex-20210722",
        feed: Feed::Bitmex,
        types: &[("acknowledgement", 31), ("orderBookL2", 1_979), ("quote", 93), ("trade", 17)],
        kinds: &[("control", 31), ("depth", 1_969), ("quote", 93), ("snapshot", 20), ("trade", 7)],
        trades: 17,
        quotes: 436,
    },
    Expected {
        name: "okx-v5-20220513",
        feed: Feed::Okx,
        types: &[("acknowledgement", 18), ("books", 290), ("tickers", 28), ("trades", 74)],
        kinds: &[("control", 18), ("depth", 287), ("quote", 28), ("snapshot", 3), ("trade", 74)],
        trades: 74,
        quotes: 28,
    },
];

#[test]
fn every_other_feed_is_recognised_and_counted_as_its_own_types_are() {
    let Some(folder) = real_data() else { return };
    for expected in OTHERS {
        let name = expected.name;
        let frames = frames(&folder.join(format!("{name}.jsonl.gz")), expected.feed);
        let mut normaliser = Normaliser::new(Options::default());
        let (mut types, mut kinds) = (BTreeMap::<String, u64>::new(), BTreeMap::<&str, u64>::new());
        for frame in &frames {
            let value: Value = serde_json::from_slice(&frame.payload).unwrap();
            *types.entry(native_type(expected.feed, &value)).or_default() += 1;
            let mut segments = frame.topic.split(':');
            assert_eq!(segments.next(), Some(expected.feed.name()));
            *kinds.entry(segments.next().unwrap()).or_default() += 1;
            for item in read(&mut normaliser, frame) {
                assert_plausible(&item, frame);
            }
        }
        let known: BTreeMap<&str, u64> =
            types.iter().map(|(word, n)| (word.as_str(), *n)).collect();
        assert_eq!(known, BTreeMap::from_iter(expected.types.iter().copied()), "{name}");
        assert_eq!(kinds, BTreeMap::from_iter(expected.kinds.iter().copied()), "{name}");
        let counts = normaliser.counts();
        assert_eq!(counts.refused_in_all(), 0, "{name}");
        assert_eq!(
            (counts.trades.get(), counts.quotes.get()),
            (expected.trades, expected.quotes),
            "{name}"
        );
        let of_use = kinds["trade"] + kinds["quote"];
        assert_eq!(counts.ignored.get(), frames.len() as u64 - of_use, "{name}");
    }
}

/// Its symbol is that of the topic, its time near the receipt, its prices in order.
fn assert_plausible(item: &Item, frame: &Frame) {
    let (symbol, time_us) = match item {
        Item::Trade(tick) => (&tick.symbol, tick.time_us),
        Item::Quote(quote) => {
            if let (Some(bid), Some(ask)) = (quote.bid, quote.ask) {
                assert!(bid.0 < ask.0, "{quote:?}");
            }
            (&quote.symbol, quote.time_us)
        }
        Item::Book(book) => panic!("{book:?}"),
    };
    assert_eq!(frame.topic.rsplit(':').next(), Some(&**symbol));
    // Right after subscribing, feeds repeat the newest trade or ticker, which may be old where little is traded.
    let day_us = 86_400_000_000;
    assert!(time_us.abs_diff(frame.received_us) < day_us, "{time_us} {}", frame.received_us);
}

/// The whole book as a plain reader keeps it: prices and quantities of bids and asks, and the last id.
#[derive(Default)]
struct Plain {
    sides: [BTreeMap<Decimal, String>; 2],
    last: u64,
}

impl Plain {
    fn take(&mut self, frame: &Frame) {
        let value: Value = serde_json::from_slice(&frame.payload).unwrap();
        let (data, keys, id) = if value["data"].is_object() {
            (&value["data"], ["b", "a"], "u")
        } else {
            (&value, ["bids", "asks"], "lastUpdateId")
        };
        if data[id].as_u64().unwrap() <= self.last {
            return;
        }
        self.last = data[id].as_u64().unwrap();
        for (side, key) in self.sides.iter_mut().zip(keys) {
            for level in data[key].as_array().unwrap() {
                if decimal(&level[1]).is_zero() {
                    side.remove(&decimal(&level[0]));
                } else {
                    side.insert(decimal(&level[0]), level[1].as_str().unwrap().to_owned());
                }
            }
        }
    }

    /// As the REST snapshot writes it.
    fn snapshot(&self, topic: &str) -> Frame {
        let side = |side: &BTreeMap<Decimal, String>| -> Vec<[String; 2]> {
            side.iter().map(|(price, quantity)| [price.to_string(), quantity.clone()]).collect()
        };
        let payload = serde_json::json!({
            "lastUpdateId": self.last, "bids": side(&self.sides[0]), "asks": side(&self.sides[1])
        });
        let payload = payload.to_string().into_bytes();
        Frame { received_us: 0, topic: topic.replace(":depth:", ":snapshot:"), payload }
    }
}

#[test]
fn a_piece_cut_out_of_a_recording_is_a_gap_that_the_next_snapshot_heals() {
    let Some(folder) = real_data() else { return };
    for name in BINANCE {
        let oracle = oracle(&folder, name);
        let frames = frames(&folder.join(format!("{name}.jsonl.gz")), Feed::Binance);
        let of_book: Vec<&Frame> = frames
            .iter()
            .filter(|frame| frame.topic.contains(":depth:") || frame.topic.contains(":snapshot:"))
            .collect();
        let (cut, healed) = (1_000..1_050, 2_000);
        let mut normaliser = Normaliser::new(Options::default());
        let (mut plain, mut last_book) = (Plain::default(), None);
        // Some diffs come before the snapshot that they follow.
        plain.take(of_book.iter().find(|frame| frame.topic.contains(":snapshot:")).unwrap());
        for (at, frame) in of_book.into_iter().enumerate() {
            plain.take(frame);
            if cut.contains(&at) {
                continue;
            }
            let mut items = read(&mut normaliser, frame);
            if at == healed {
                assert!(items.is_empty(), "{name}: nothing is news until the snapshot");
                items = read(&mut normaliser, &plain.snapshot(&frame.topic));
            }
            if let Some(Item::Book(book)) = items.pop() {
                let is_lost = (cut.end..healed).contains(&at);
                assert_eq!(book.is_synchronised, !is_lost, "{name} at {at}");
                last_book = Some(book);
            }
        }
        let counts = normaliser.counts();
        assert_eq!((counts.gaps.get(), counts.resyncs.get()), (1, 1), "{name}");
        assert_top(&last_book.unwrap(), &oracle, name);
    }
}
