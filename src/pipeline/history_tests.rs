//! Goal: whoever asks gets the candles there are, each once and in order, from memory and from what is older. Method:
//! a history of seconds numbered from 0, asked around every limit, with an older part that answers from a list.

use super::{History, LIMIT_DEFAULT, LIMIT_MAX};
use crate::api::{Asked, Refusal};
use crate::event::{Bar, Candle, Interval, OlderCandles};
use crate::pipeline::Options;
use rust_decimal::Decimal;
use serde_json::{Value, json};
use std::ops::Range;
use std::sync::Arc;

fn bar(second: u64, trades: u64, is_final: bool) -> Bar {
    Bar {
        open_time_ms: second * 1_000,
        open: Decimal::new(150, 2),
        high: Decimal::TWO,
        low: Decimal::ONE,
        close: Decimal::ONE,
        volume: Decimal::new(25, 1),
        taker_buy_volume: Decimal::ZERO,
        trades,
        is_final,
    }
}

fn record(history: &History, symbol: &str, bar: Bar) {
    let (symbol, interval) = (symbol.into(), Interval::Second);
    let notional = Decimal::ZERO;
    history.record(&Candle { symbol, interval, bar, notional, is_simulated: false });
}

/// Candles of these seconds in memory.
fn history(seconds: Range<u64>, older: Option<Arc<dyn OlderCandles>>) -> Arc<History> {
    let history = History::new(&Options::default(), older);
    seconds.for_each(|second| record(&history, "A", bar(second, 1, true)));
    history
}

/// The seconds of an answer.
fn seconds(history: &History, from: Option<u64>, limit: usize) -> Vec<u64> {
    let from_ms = from.map(|second| second * 1_000);
    let bars = history.candles("A", Interval::Second, from_ms, limit).unwrap().unwrap();
    bars.iter().map(|bar| bar.open_time_ms / 1_000).collect()
}

fn range(seconds: Range<u64>) -> Vec<u64> {
    seconds.collect()
}

#[test]
fn the_newest_five_thousand_are_kept() {
    for (count, oldest) in [(4_999, 0), (5_000, 0), (5_001, 1)] {
        let history = history(0..count, None);
        assert_eq!(seconds(&history, Some(0), LIMIT_MAX), range(oldest..count), "{count}");
    }
}

#[test]
fn an_answer_has_at_most_the_limit_and_never_more_than_five_thousand() {
    let history = History::new(&Options { candles_kept: 6_000, ..Options::default() }, None);
    (0..5_500).for_each(|second| record(&history, "A", bar(second, 1, true)));
    for (limit, count) in [(0, 0), (1, 1), (4_999, 4_999), (5_000, 5_000), (5_001, 5_000)] {
        assert_eq!(seconds(&history, None, limit), range(5_500 - count..5_500), "{limit}");
        assert_eq!(seconds(&history, Some(100), limit), range(100..100 + count), "{limit}");
    }
}

#[test]
fn from_is_inclusive_in_milliseconds() {
    let history = history(0..10, None);
    let first = |from_ms| {
        let bars = history.candles("A", Interval::Second, Some(from_ms), 1).unwrap().unwrap();
        bars.first().map(|bar| bar.open_time_ms)
    };
    assert_eq!(first(2_999), Some(3_000));
    assert_eq!(first(3_000), Some(3_000));
    assert_eq!(first(3_001), Some(4_000));
    assert_eq!(first(9_001), None);
}

#[test]
fn a_candle_takes_the_place_of_its_earlier_state_and_running_ones_are_last() {
    let history = history(0..2, None);
    record(&history, "A", bar(3, 1, false));
    record(&history, "A", bar(2, 1, false));
    record(&history, "A", bar(2, 5, true));
    let bars = history.candles("A", Interval::Second, None, 10).unwrap().unwrap();
    let told: Vec<_> =
        bars.iter().map(|bar| (bar.open_time_ms / 1_000, bar.trades, bar.is_final)).collect();
    assert_eq!(told, [(0, 1, true), (1, 1, true), (2, 5, true), (3, 1, false)]);
    assert_eq!(history.candles("B", Interval::Second, None, 10), Ok(None));
    assert_eq!(history.candles("A", Interval::Minute, None, 10), Ok(Some(Vec::new())));
}

/// Seconds that somebody keeps.
#[derive(Debug)]
struct Kept(Range<u64>);

impl OlderCandles for Kept {
    fn older(
        &self,
        symbol: &str,
        interval: Interval,
        from_ms: Option<u64>,
        before_ms: u64,
        limit: usize,
    ) -> Result<Vec<Bar>, String> {
        if interval != Interval::Second {
            return Err("the file is gone".to_owned());
        }
        let asked = from_ms.unwrap_or(0)..before_ms;
        let is_asked = |second: &u64| asked.contains(&(second * 1_000));
        let found: Vec<u64> = self.0.clone().filter(is_asked).filter(|_| symbol == "A").collect();
        let skipped = if from_ms.is_none() { found.len().saturating_sub(limit) } else { 0 };
        Ok(found.into_iter().skip(skipped).take(limit).map(|second| bar(second, 9, true)).collect())
    }
}

#[test]
fn what_has_left_memory_comes_from_the_older_part_each_candle_once() {
    // The older part has what memory has too, as a store would.
    let history = history(100..110, Some(Arc::new(Kept(0..108))));
    assert_eq!(seconds(&history, None, 10), range(100..110), "memory is enough");
    assert_eq!(seconds(&history, None, 11), range(99..110));
    assert_eq!(seconds(&history, None, 500), range(0..110));
    assert_eq!(seconds(&history, Some(0), 5), range(0..5));
    assert_eq!(seconds(&history, Some(90), 5), range(90..95));
    assert_eq!(seconds(&history, Some(95), 10), range(95..105));
    assert_eq!(seconds(&history, Some(99), 2), range(99..101));
    assert_eq!(seconds(&history, Some(100), 3), range(100..103));
    assert_eq!(seconds(&history, Some(105), 100), range(105..110));
}

#[test]
fn a_symbol_that_only_the_older_part_knows_is_known() {
    let history = History::new(&Options::default(), Some(Arc::new(Kept(0..5))));
    assert_eq!(seconds(&history, None, 3), range(2..5));
    assert_eq!(history.candles("B", Interval::Second, None, 3), Ok(None));
}

fn ask(history: &Arc<History>, given: &[(&str, &str)]) -> Result<Value, Refusal> {
    let route = &history.routes()[0];
    assert_eq!(route.path, "/api/candles");
    let asked = Asked::check(&route.parameters, given.iter().copied())?;
    (route.answer)(&asked)
}

#[test]
fn s54_the_route_answers_with_exact_strings_and_the_open_candle_last() {
    let history = history(0..1, None);
    record(&history, "A", bar(1, 2, false));
    let row = |second: u64, trades: u64, is_final: bool| {
        json!({"open_time_ms": second * 1_000, "open": "1.5", "high": "2", "low": "1", "close": "1",
               "volume": "2.5", "taker_buy_volume": "0", "trades": trades, "final": is_final})
    };
    let answer = ask(&history, &[("symbol", "A"), ("interval", "1s")]);
    assert_eq!(answer, Ok(json!([row(0, 1, true), row(1, 2, false)])));
    let answer =
        ask(&history, &[("symbol", "A"), ("interval", "1s"), ("from", "1"), ("limit", "1")]);
    assert_eq!(answer, Ok(json!([row(1, 2, false)])));
    assert_eq!(ask(&history, &[("symbol", "A")]), Ok(json!([])), "minutes, unless asked");
}

#[test]
fn the_route_has_a_default_limit_and_refuses_what_is_beyond_it() {
    let history = history(0..5_000, None);
    let count = |limit: Option<&str>| {
        let limit = limit.map(|limit| ("limit", limit));
        let given: Vec<_> =
            [("symbol", "A"), ("interval", "1s")].into_iter().chain(limit).collect();
        ask(&history, &given).map(|answer| answer.as_array().map_or(0, Vec::len))
    };
    assert_eq!(count(None), Ok(LIMIT_DEFAULT));
    assert_eq!(count(Some("4999")), Ok(4_999));
    assert_eq!(count(Some("5000")), Ok(5_000));
    assert!(matches!(count(Some("5001")), Err(Refusal::Bad(_))));
}

#[test]
fn the_route_says_which_symbol_is_unknown_and_why_older_candles_cannot_be_read() {
    let history = history(0..1, Some(Arc::new(Kept(0..1))));
    let unknown = Refusal::Unknown("no candles of the symbol \"B\"".to_owned());
    assert_eq!(ask(&history, &[("symbol", "B"), ("interval", "1s")]), Err(unknown));
    let unavailable = Refusal::Unavailable("the file is gone".to_owned());
    assert_eq!(ask(&history, &[("symbol", "A"), ("interval", "1m")]), Err(unavailable));
    assert!(matches!(ask(&history, &[]), Err(Refusal::Bad(_))));
    let wrong = [("symbol", "A"), ("interval", "2s")];
    assert!(matches!(ask(&history, &wrong), Err(Refusal::Bad(_))));
}
