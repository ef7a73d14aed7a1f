//! What it costs to read one frame of an exchange: nanoseconds per frame, into a vector that is reused.
//!
//! `baseline` is the same trade as a generic JSON value: what a reader without types of its own would pay before it
//! looked at anything. The frames are made up, with the members and lengths of real ones.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lineage::feeds::{Normaliser, Options};
use std::fmt::Write as _;
use std::hint::black_box;

const TRADE: &str = concat!(
    r#"{"stream":"btcusdt@trade","data":{"e":"trade","E":1723161253937,"s":"BTCUSDT","t":3735683259,"#,
    r#""p":"61685.99000000","q":"0.00010000","T":1723161253936,"m":true,"M":true}}"#
);
const QUOTE: &str = concat!(
    r#"{"stream":"btcusdt@bookTicker","data":{"u":49827364512,"s":"BTCUSDT","b":"61685.99000000","#,
    r#""B":"1.25012000","a":"61686.00000000","A":"3.10449000"}}"#
);
const SNAPSHOT_LEVELS: u64 = 1_000;
const DIFF_LEVELS: u64 = 20;

/// Levels from `first` cents on, in steps of `step`.
fn levels(first: u64, step: i64, count: u64, quantity: u64) -> String {
    let mut text = String::new();
    for level in 0..count {
        let cents = first.saturating_add_signed(step * i64::try_from(level).expect("few levels"));
        let comma = if level == 0 { "" } else { "," };
        write!(text, r#"{comma}["{}.{:02}000000","{quantity}.5"]"#, cents / 100, cents % 100)
            .expect("a string takes everything");
    }
    text
}

fn snapshot() -> String {
    let bids = levels(6_168_599, -1, SNAPSHOT_LEVELS, 1);
    let asks = levels(6_168_600, 1, SNAPSHOT_LEVELS, 1);
    format!(r#"{{"lastUpdateId":1000,"bids":[{bids}],"asks":[{asks}]}}"#)
}

/// The change that follows `last_id`.
fn diff(last_id: u64) -> String {
    let id = last_id + 1;
    let bids = levels(6_168_599, -1, DIFF_LEVELS / 2, 1 + id % 9);
    let asks = levels(6_168_600, 1, DIFF_LEVELS / 2, 1 + id % 9);
    format!(
        r#"{{"stream":"btcusdt@depth@100ms","data":{{"e":"depthUpdate","E":1723161253937,"s":"BTCUSDT","U":{id},"u":{id},"b":[{bids}],"a":[{asks}]}}}}"#
    )
}

fn feeds(c: &mut Criterion) {
    let mut group = c.benchmark_group("feeds");
    group.throughput(Throughput::Elements(1));
    group.bench_function("baseline", |b| {
        b.iter(|| serde_json::from_str::<serde_json::Value>(black_box(TRADE)).expect("JSON"));
    });
    for (name, topic, frame) in
        [("trade", "binance:trade:BTCUSDT", TRADE), ("quote", "binance:quote:BTCUSDT", QUOTE)]
    {
        let (mut normaliser, mut items) = (Normaliser::new(Options::default()), Vec::new());
        group.bench_function(name, |b| {
            b.iter(|| {
                items.clear();
                normaliser.read(topic, black_box(frame.as_bytes()), 1, &mut items);
            });
        });
        assert_eq!(normaliser.counts().refused_in_all(), 0, "{name}");
    }
    let (mut normaliser, mut items) = (Normaliser::new(Options::default()), Vec::new());
    normaliser.read("binance:snapshot:BTCUSDT", snapshot().as_bytes(), 1, &mut items);
    let mut last_id = 1_000;
    group.bench_function("book_change_of_20_levels", |b| {
        b.iter_batched(
            || {
                last_id += 1;
                diff(last_id - 1)
            },
            |frame| {
                items.clear();
                normaliser.read("binance:depth:BTCUSDT", frame.as_bytes(), 1, &mut items);
            },
            criterion::BatchSize::SmallInput,
        );
    });
    let counts = normaliser.counts();
    assert_eq!((counts.refused_in_all(), counts.gaps.get()), (0, 0), "every change was applied");
    group.finish();
}

criterion_group!(benches, feeds);
criterion_main!(benches);
