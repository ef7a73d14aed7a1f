//! What is written is read back: exactly, in order, within limits.

use super::support::{Folder, agent, alert, candle, open, round, trade};
use lineage::store::{Alert, Candle, Options, QUERY_ROWS_MAX};
use proptest::prelude::*;
use rust_decimal::Decimal;
use std::collections::BTreeMap;

/// The last `limit` of what is there, or the first `limit` from a time on.
fn chosen<T: Clone>(
    all: &[T],
    time: impl Fn(&T) -> u64,
    from: Option<u64>,
    limit: usize,
) -> Vec<T> {
    match from {
        None => all[all.len().saturating_sub(limit)..].to_vec(),
        Some(from) => all.iter().filter(|row| time(row) >= from).take(limit).cloned().collect(),
    }
}

/// Around how many there are.
fn limits(count: usize) -> [usize; 4] {
    [0, count.saturating_sub(1), count, count + 1]
}

fn decimals() -> impl Strategy<Value = Decimal> {
    (any::<i64>(), 0..=28_u32).prop_map(|(digits, scale)| Decimal::new(digits, scale))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn candles_are_read_back_exactly_and_a_later_version_replaces_an_earlier(
        written in prop::collection::vec((0..2_usize, 0..2_usize, 0..30_u64, decimals()), 1..120),
        from in prop::option::of(0..32_u64),
        batch_rows in 1..40_usize,
    ) {
        let folder = Folder::new();
        let store = open(Options { batch_rows, ..Options::new(folder.file()) });
        let writer = store.writer();
        let mut model: BTreeMap<(usize, usize), BTreeMap<u64, Candle>> = BTreeMap::new();
        let (symbols, intervals) = (["BTCUSDT", "ETH-'; DROP"], ["1s", "1m"]);
        for (symbol, interval, time, close) in written {
            let row = candle(symbols[symbol], intervals[interval], time, close);
            prop_assert!(writer.candle(row.clone()));
            model.entry((symbol, interval)).or_default().insert(time, row);
        }
        store.flush().unwrap();
        for ((symbol, interval), rows) in &model {
            let rows: Vec<Candle> = rows.values().cloned().collect();
            for limit in limits(rows.len()) {
                let found = store.candles(symbols[*symbol], intervals[*interval], from, limit);
                let expected = chosen(&rows, |row| row.open_time_ms, from, limit);
                // The text tells decimals apart that are equal and have other digits.
                prop_assert_eq!(format!("{:?}", found.unwrap()), format!("{:?}", expected));
            }
        }
    }

    #[test]
    fn history_alerts_and_rounds_are_read_back_in_order(
        written in prop::collection::vec((0..5_u8, 0..20_u64, any::<i64>()), 0..150),
        from_ms in prop::option::of(0..22_u64),
        batch_rows in 1..40_usize,
    ) {
        let folder = Folder::new();
        let store = open(Options { batch_rows, ..Options::new(folder.file()) });
        let writer = store.writer();
        let (mut states, mut trades, mut alerts, mut rounds) = (vec![], vec![], vec![], vec![]);
        for (kind, ms, number) in written {
            let (time_us, number) = (ms * 1_000, number.max(-i64::MAX));
            let is_taken = match kind {
                0 => {
                    states.push(agent("momentum", time_us, number));
                    writer.agent(agent("momentum", time_us, number))
                }
                1 => {
                    trades.push(trade("momentum", time_us, number));
                    writer.trade(trade("momentum", time_us, number))
                }
                2 => {
                    alerts.push(alert(time_us));
                    writer.alert(alert(time_us))
                }
                3 => {
                    rounds.push(round(ms));
                    writer.round(round(ms))
                }
                _ => {
                    writer.trade(trade("balanced", time_us, number))
                        && writer.agent(agent("balanced", time_us, number))
                }
            };
            prop_assert!(is_taken);
        }
        // Stable: equal times keep the order in which they came.
        states.sort_by_key(|row| row.time_us);
        trades.sort_by_key(|row| row.time_us);
        drop(store);
        let store = folder.open();
        prop_assert_eq!(store.unclean(), None);
        let from_us = from_ms.map(|ms| ms * 1_000);
        for limit in limits(states.len()).into_iter().chain(limits(trades.len())) {
            let found = store.agent_history("momentum", from_ms, limit).unwrap();
            prop_assert_eq!(found.states, chosen(&states, |row| row.time_us, from_us, limit));
            prop_assert_eq!(found.trades, chosen(&trades, |row| row.time_us, from_us, limit));
        }
        for limit in limits(alerts.len()) {
            prop_assert_eq!(store.alerts(limit).unwrap(), chosen(&alerts, |_| 0, None, limit));
        }
        for limit in limits(rounds.len()) {
            prop_assert_eq!(store.rounds(limit).unwrap(), chosen(&rounds, |_| 0, None, limit));
        }
    }
}

#[test]
fn a_query_gives_no_more_than_its_largest_limit() {
    let folder = Folder::new();
    let store = folder.open();
    for (rows, expected) in
        [(QUERY_ROWS_MAX - 1, QUERY_ROWS_MAX - 1), (1, QUERY_ROWS_MAX), (1, QUERY_ROWS_MAX)]
    {
        for row in 0..rows {
            assert!(store.writer().round(round(row as u64)));
        }
        store.flush().unwrap();
        assert_eq!(store.rounds(usize::MAX).unwrap().len(), expected);
    }
}

#[test]
fn what_is_no_number_is_read_back_as_such() {
    let folder = Folder::new();
    let store = folder.open();
    let odd =
        Alert { value: f64::NAN, threshold: f64::NEG_INFINITY, since_ms: u64::MAX, ..alert(1) };
    assert!(store.writer().alert(odd));
    store.flush().unwrap();
    let found = &store.alerts(1).unwrap()[0];
    assert!(found.value.is_nan());
    assert_eq!((found.threshold, found.since_ms), (f64::NEG_INFINITY, i64::MAX as u64));
}
