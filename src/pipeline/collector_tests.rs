//! Goal: candles hold exactly the trades they should, whatever the order in which trades come. Method: tables of
//! trades around every limit, and random trades against candles made of the whole list at once.

use super::{AMOUNT_MAX, Collector, LeftOut, SYMBOL_BYTES_MAX};
use crate::event::{Bar, Candle, Interval, Tick};
use crate::pipeline::Options;
use proptest::prelude::*;
use rust_decimal::Decimal;
use std::collections::BTreeMap;
use std::time::Duration;

/// 2024-08-09T00:00:00Z.
const MIDNIGHT_US: u64 = 1_723_161_600_000_000;
const SECOND_US: u64 = 1_000_000;
const GRACE_US: u64 = 1_000_000;

fn tick(time_us: u64, price: i64, quantity: i64) -> Tick {
    Tick {
        symbol: "BTCUSDT".into(),
        price: Decimal::new(price, 2),
        quantity: Decimal::new(quantity, 3),
        time_us,
        is_taker_buy: quantity % 2 == 0,
        id: None,
        is_simulated: false,
    }
}

/// A collector that is given trades at the moment they happened, and what it told.
struct Bench {
    collector: Collector,
    told: Vec<Candle>,
}

impl Bench {
    fn new(options: &Options) -> Self {
        Self { collector: Collector::new(options), told: Vec::new() }
    }

    fn trade(&mut self, tick: &Tick) -> Result<(), LeftOut> {
        self.collector.trade(tick, tick.time_us, &mut self.told)
    }

    fn step(&mut self, now_us: u64) {
        self.collector.step(now_us, &mut self.told);
    }

    /// What was told since the last call, of one interval: open time in seconds after midnight, trades, final.
    fn told(&mut self, interval: Interval) -> Vec<(i64, u64, bool)> {
        let of_interval = self.told.iter().filter(|candle| candle.interval == interval);
        let told = of_interval
            .map(|Candle { bar, .. }| (seconds(bar), bar.trades, bar.is_final))
            .collect();
        self.told.retain(|candle| candle.interval != interval);
        told
    }
}

fn seconds(bar: &Bar) -> i64 {
    (i64::try_from(bar.open_time_ms).unwrap() - i64::try_from(MIDNIGHT_US / 1_000).unwrap()) / 1_000
}

#[test]
fn s54_a_candle_has_the_first_last_highest_and_lowest_price_and_the_sums_of_its_trades() {
    let mut bench = Bench::new(&Options::default());
    for (after_us, price, quantity) in [(0, 500, 10), (1, 700, 4), (2, 300, 1), (3, 600, 5)] {
        bench.trade(&tick(MIDNIGHT_US + after_us, price, quantity)).unwrap();
    }
    bench.step(MIDNIGHT_US);
    let [second, ten_seconds, minute] = &bench.told[..] else { panic!("{:?}", bench.told) };
    let expected = Bar {
        open_time_ms: MIDNIGHT_US / 1_000,
        open: Decimal::new(5, 0),
        high: Decimal::new(7, 0),
        low: Decimal::new(3, 0),
        close: Decimal::new(6, 0),
        volume: Decimal::new(20, 3),
        taker_buy_volume: Decimal::new(14, 3),
        trades: 4,
        is_final: false,
    };
    for (candle, interval) in [second, ten_seconds, minute].into_iter().zip(Interval::ALL) {
        assert_eq!((candle.interval, &candle.bar), (interval, &expected));
        // 5 × 0.010 + 7 × 0.004 + 3 × 0.001 + 6 × 0.005
        assert_eq!(candle.notional, Decimal::new(111, 3));
        assert_eq!((&*candle.symbol, candle.is_simulated), ("BTCUSDT", false));
    }
}

#[test]
fn s54_a_day_ends_at_midnight_for_every_interval_and_its_last_microsecond_belongs_to_it() {
    let mut bench = Bench::new(&Options::default());
    for time_us in [MIDNIGHT_US - 1, MIDNIGHT_US, MIDNIGHT_US + 2 * SECOND_US] {
        bench.trade(&tick(time_us, 100, 1)).unwrap();
    }
    assert_eq!(bench.told(Interval::Second), [(-1, 1, true), (0, 1, true)]);
    assert_eq!(bench.told(Interval::TenSeconds), [(-10, 1, true)]);
    assert_eq!(bench.told(Interval::Minute), [(-60, 1, true)]);
    bench.step(MIDNIGHT_US);
    assert_eq!(bench.told(Interval::Second), [(2, 1, false)]);
    assert_eq!(bench.told(Interval::TenSeconds), [(0, 2, false)]);
    assert_eq!(bench.told(Interval::Minute), [(0, 2, false)]);
}

#[test]
fn an_interval_without_trades_has_no_candle() {
    let mut bench = Bench::new(&Options::default());
    for after_us in [0, 7 * SECOND_US, 3_600 * SECOND_US] {
        bench.trade(&tick(MIDNIGHT_US + after_us, 100, 1)).unwrap();
    }
    assert_eq!(bench.told(Interval::Second), [(0, 1, true), (7, 1, true)]);
    assert_eq!(bench.told(Interval::TenSeconds), [(0, 2, true)]);
    assert_eq!(bench.told(Interval::Minute), [(0, 2, true)]);
}

#[test]
fn a_trade_is_taken_up_to_the_grace_period_and_left_out_beyond_it() {
    let newest_us = MIDNIGHT_US + 5 * SECOND_US;
    for (behind_us, expected) in
        [(GRACE_US - 1, Ok(())), (GRACE_US, Ok(())), (GRACE_US + 1, Err(LeftOut::Late))]
    {
        let mut bench = Bench::new(&Options::default());
        bench.trade(&tick(newest_us, 100, 1)).unwrap();
        assert_eq!(bench.trade(&tick(newest_us - behind_us, 100, 1)), expected, "{behind_us}");
        bench.step(newest_us);
        let trades = 1 + u64::from(expected.is_ok());
        assert_eq!(bench.told(Interval::Minute), [(0, trades, false)], "{behind_us}");
        assert_eq!(bench.told(Interval::TenSeconds), [(0, trades, false)], "{behind_us}");
        let of_seconds = bench.told(Interval::Second);
        assert_eq!(of_seconds.iter().map(|candle| candle.1).sum::<u64>(), trades, "{behind_us}");
    }
}

#[test]
fn a_candle_is_final_when_a_trade_is_the_grace_period_beyond_its_end() {
    let end_us = MIDNIGHT_US + SECOND_US;
    for (after_us, is_final) in [(GRACE_US - 1, false), (GRACE_US, true), (GRACE_US + 1, true)] {
        let mut bench = Bench::new(&Options::default());
        bench.trade(&tick(MIDNIGHT_US, 100, 1)).unwrap();
        bench.trade(&tick(end_us + after_us, 100, 1)).unwrap();
        let expected: &[_] = if is_final { &[(0, 1, true)] } else { &[] };
        assert_eq!(bench.told(Interval::Second), expected, "{after_us}");
        let last = bench.trade(&tick(end_us - 1, 100, 1));
        assert_eq!(last, if is_final { Err(LeftOut::Late) } else { Ok(()) }, "{after_us}");
    }
}

#[test]
fn trades_out_of_order_are_put_in_order_by_time_and_then_by_number() {
    let mut bench = Bench::new(&Options::default());
    let numbered = |after_us, price, id| Tick { id, ..tick(MIDNIGHT_US + after_us, price, 1) };
    let trades = [
        numbered(500, 300, Some(7)),
        numbered(500, 200, Some(6)),
        numbered(500, 400, Some(8)),
        numbered(500, 350, Some(7)),
        numbered(400, 250, Some(9)),
    ];
    for trade in &trades {
        bench.trade(trade).unwrap();
    }
    bench.step(MIDNIGHT_US);
    let bar = &bench.told[0].bar;
    assert_eq!((bar.open, bar.close), (Decimal::new(25, 1), Decimal::new(4, 0)));

    let mut bench = Bench::new(&Options::default());
    for price in [100, 200, 300] {
        bench.trade(&numbered(0, price, None)).unwrap();
    }
    bench.step(MIDNIGHT_US);
    let bar = &bench.told[0].bar;
    assert_eq!((bar.open, bar.close), (Decimal::new(1, 0), Decimal::new(3, 0)));
}

#[test]
fn a_running_candle_is_told_when_it_changed_and_not_more_often_than_the_interval() {
    let mut bench = Bench::new(&Options::default());
    let interval_us = 250_000;
    bench.step(MIDNIGHT_US - 1);
    bench.trade(&tick(MIDNIGHT_US, 100, 1)).unwrap();
    bench.step(MIDNIGHT_US);
    assert_eq!(bench.told(Interval::Second), [(0, 1, false)], "at once");
    bench.trade(&tick(MIDNIGHT_US, 100, 1)).unwrap();
    bench.step(MIDNIGHT_US + interval_us - 1);
    assert_eq!(bench.told(Interval::Second), []);
    bench.step(MIDNIGHT_US + interval_us);
    assert_eq!(bench.told(Interval::Second), [(0, 2, false)]);
    bench.step(MIDNIGHT_US + 2 * interval_us);
    assert_eq!(bench.told(Interval::Second), [], "nothing changed");
    bench.trade(&tick(MIDNIGHT_US, 100, 1)).unwrap();
    bench.step(MIDNIGHT_US - 3_600 * SECOND_US);
    assert_eq!(bench.told(Interval::Second), [(0, 3, false)], "the clock was set back");
}

#[test]
fn candles_of_a_silent_symbol_are_closed_once_it_was_silent_for_long_enough() {
    let quiet_us = 10 * SECOND_US;
    for (silent_us, is_final) in [(quiet_us - 1, false), (quiet_us, true), (quiet_us + 1, true)] {
        let mut bench = Bench::new(&Options::default());
        bench.trade(&tick(MIDNIGHT_US, 100, 1)).unwrap();
        bench.step(MIDNIGHT_US);
        bench.told.clear();
        bench.step(MIDNIGHT_US + silent_us);
        let expected: &[_] = if is_final { &[(0, 1, true)] } else { &[] };
        assert_eq!(bench.told(Interval::Second), expected, "{silent_us}");
        assert_eq!(bench.told(Interval::Minute), [], "the minute is not over");
        let again = bench.trade(&tick(MIDNIGHT_US, 100, 1));
        assert_eq!(again, if is_final { Err(LeftOut::Late) } else { Ok(()) }, "{silent_us}");
    }
    let mut bench = Bench::new(&Options::default());
    bench.trade(&tick(MIDNIGHT_US, 100, 1)).unwrap();
    bench.step(MIDNIGHT_US + 61 * SECOND_US - 1);
    assert_eq!(bench.told(Interval::Minute), [(0, 1, false)]);
    bench.step(MIDNIGHT_US + 61 * SECOND_US);
    assert_eq!(bench.told(Interval::Minute), [(0, 1, true)], "its end and the grace period passed");
    bench.step(MIDNIGHT_US + 3_600 * SECOND_US);
    assert_eq!(bench.told(Interval::Minute), [], "and nothing more");
}

#[test]
fn silence_closes_nothing_when_that_is_off() {
    let mut bench = Bench::new(&Options { quiet_close: Duration::ZERO, ..Options::default() });
    bench.trade(&tick(MIDNIGHT_US, 100, 1)).unwrap();
    bench.step(u64::MAX);
    assert_eq!(bench.told(Interval::Second), [(0, 1, false)]);
}

#[test]
fn a_trade_may_be_ahead_of_our_clock_up_to_the_limit() {
    let ahead_us = 60 * SECOND_US;
    for (by_us, expected) in [
        (ahead_us - 1, Ok(())),
        (ahead_us, Ok(())),
        (ahead_us + 1, Err(LeftOut::Ahead)),
        (u64::MAX - MIDNIGHT_US, Err(LeftOut::Ahead)),
    ] {
        let mut bench = Bench::new(&Options::default());
        let tick = tick(MIDNIGHT_US + by_us, 100, 1);
        assert_eq!(bench.collector.trade(&tick, MIDNIGHT_US, &mut bench.told), expected);
    }
}

#[test]
fn amounts_are_taken_up_to_the_limit_and_quantities_above_zero() {
    let outcome = |price: Decimal, quantity: Decimal| {
        let tick = Tick { price, quantity, ..tick(MIDNIGHT_US, 0, 1) };
        Bench::new(&Options::default()).trade(&tick)
    };
    let (one, smallest) = (Decimal::ONE, Decimal::new(1, 28));
    assert_eq!(AMOUNT_MAX, Decimal::from(10_u64.pow(18)));
    for (amount, expected) in [
        (AMOUNT_MAX - one, Ok(())),
        (AMOUNT_MAX, Ok(())),
        (AMOUNT_MAX + one, Err(LeftOut::Unusable)),
        (Decimal::MAX, Err(LeftOut::Unusable)),
    ] {
        assert_eq!(outcome(amount, one), expected, "price {amount}");
        assert_eq!(outcome(-amount, one), expected, "price -{amount}");
        assert_eq!(outcome(one, amount), expected, "quantity {amount}");
    }
    assert_eq!(outcome(AMOUNT_MAX, Decimal::TWO), Err(LeftOut::Unusable), "the product");
    assert_eq!(outcome(Decimal::ZERO, smallest), Ok(()));
    for quantity in [Decimal::ZERO, -smallest] {
        assert_eq!(outcome(one, quantity), Err(LeftOut::Unusable), "{quantity}");
    }
}

#[test]
fn symbols_are_taken_up_to_the_limit_and_known_ones_go_on() {
    let mut bench = Bench::new(&Options { symbols_max: 3, ..Options::default() });
    let of = |symbol: &str| Tick { symbol: symbol.into(), ..tick(MIDNIGHT_US, 100, 1) };
    for (symbol, expected) in
        [("A", Ok(())), ("B", Ok(())), ("C", Ok(())), ("D", Err(LeftOut::Symbols)), ("A", Ok(()))]
    {
        assert_eq!(bench.trade(&of(symbol)), expected, "{symbol}");
    }
    bench.step(MIDNIGHT_US);
    let told: Vec<_> =
        bench.told.iter().map(|candle| (&*candle.symbol, candle.bar.trades)).collect();
    assert_eq!(told.iter().step_by(3).copied().collect::<Vec<_>>(), [("A", 2), ("B", 1), ("C", 1)]);
}

#[test]
fn a_symbol_has_a_name_of_up_to_the_limit() {
    for (bytes, expected) in [
        (0, Err(LeftOut::Unusable)),
        (1, Ok(())),
        (SYMBOL_BYTES_MAX - 1, Ok(())),
        (SYMBOL_BYTES_MAX, Ok(())),
        (SYMBOL_BYTES_MAX + 1, Err(LeftOut::Unusable)),
    ] {
        let tick = Tick { symbol: "X".repeat(bytes).into(), ..tick(MIDNIGHT_US, 100, 1) };
        assert_eq!(Bench::new(&Options::default()).trade(&tick), expected, "{bytes}");
    }
}

#[test]
fn a_symbol_is_of_a_feed_or_of_the_simulation() {
    for is_simulated in [false, true] {
        let mut bench = Bench::new(&Options::default());
        let of = |is_simulated| Tick { is_simulated, ..tick(MIDNIGHT_US, 100, 1) };
        assert_eq!(bench.trade(&of(is_simulated)), Ok(()));
        assert_eq!(bench.trade(&of(!is_simulated)), Err(LeftOut::Mixed));
        assert_eq!(bench.trade(&of(is_simulated)), Ok(()));
        bench.step(MIDNIGHT_US);
        assert!(bench.told.iter().all(|candle| candle.bar.trades == 2));
    }
}

#[test]
fn the_reasons_have_words_of_their_own() {
    let words = LeftOut::ALL.map(LeftOut::word);
    assert_eq!(words, ["late", "ahead", "unusable", "mixed", "symbols"]);
}

/// The candles of the whole list at once: the trades of each, sorted.
fn candles_of(trades: &[Tick], interval: Interval) -> Vec<Bar> {
    let mut by_time: BTreeMap<u64, Vec<&Tick>> = BTreeMap::new();
    for trade in trades {
        let open_time_ms = trade.time_us / 1_000 / interval.length_ms() * interval.length_ms();
        by_time.entry(open_time_ms).or_default().push(trade);
    }
    let bar = |(open_time_ms, mut trades): (u64, Vec<&Tick>)| {
        trades.sort_by_key(|trade| trade.time_us);
        let prices = || trades.iter().map(|trade| trade.price);
        let bought = trades.iter().filter(|trade| trade.is_taker_buy);
        Bar {
            open_time_ms,
            open: trades[0].price,
            high: prices().max().unwrap(),
            low: prices().min().unwrap(),
            close: trades[trades.len() - 1].price,
            volume: trades.iter().map(|trade| trade.quantity).sum(),
            taker_buy_volume: bought.map(|trade| trade.quantity).sum(),
            trades: trades.len() as u64,
            is_final: true,
        }
    };
    by_time.into_iter().map(bar).collect()
}

proptest! {
    #[test]
    fn every_trade_is_in_one_candle_of_each_interval_or_counted(
        steps in prop::collection::vec((0_u64..3_000_000, 0_u64..1_600_000, 1_i64..9_999, 1_i64..999), 1..80),
        is_stepped in any::<bool>(),
    ) {
        let mut bench = Bench::new(&Options { quiet_close: Duration::ZERO, ..Options::default() });
        let (mut now_us, mut newest_us, mut taken) = (MIDNIGHT_US - 30 * SECOND_US, 0, Vec::new());
        for (on_us, back_us, price, quantity) in steps {
            now_us += on_us;
            let tick = tick(now_us - back_us, price, quantity);
            let is_late = tick.time_us + GRACE_US < newest_us;
            let outcome = bench.collector.trade(&tick, now_us, &mut bench.told);
            prop_assert_eq!(outcome, if is_late { Err(LeftOut::Late) } else { Ok(()) });
            if !is_late {
                newest_us = newest_us.max(tick.time_us);
                taken.push(tick);
            }
            if is_stepped {
                bench.step(now_us);
            }
        }
        let end = tick(now_us + 120 * SECOND_US, 1, 1);
        prop_assert_eq!(bench.trade(&end), Ok(()));
        for interval in Interval::ALL {
            let finals = bench.told.iter().filter(|candle| candle.bar.is_final && candle.interval == interval);
            let bars: Vec<Bar> = finals.map(|candle| candle.bar.clone()).collect();
            prop_assert_eq!(bars, candles_of(&taken, interval));
        }
    }
}
