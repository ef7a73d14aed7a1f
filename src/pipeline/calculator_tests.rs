//! Goal: indicators are what their definitions say, however many candles came before. Method: known values by hand,
//! and random candles against a recomputation of everything from the whole list after each of them.

use super::{Calculator, RSI_WINDOW, WINDOW};
use crate::event::{Bar, Candle, Indicator, Interval};
use proptest::prelude::*;
use rust_decimal::Decimal;

const DAY_MS: u64 = 86_400_000;
/// 2024-08-09T00:00:00Z.
const MIDNIGHT_MS: u64 = 1_723_161_600_000;

fn candle(open_time_ms: u64, close: Decimal, volume: Decimal) -> Candle {
    let bar = Bar {
        open_time_ms,
        open: close,
        high: close,
        low: close,
        close,
        volume,
        taker_buy_volume: Decimal::ZERO,
        trades: 1,
        is_final: true,
    };
    let (symbol, interval, notional) = ("BTCUSDT".into(), Interval::Second, close * volume);
    Candle { symbol, interval, bar, notional, is_simulated: false }
}

/// The indicators after candles of one second with these closes, each of volume 1.
fn after(closes: impl IntoIterator<Item = i64>) -> Vec<Indicator> {
    let mut calculator = Calculator::new();
    let candles = closes.into_iter().zip(0_u64..).map(|(close, second)| {
        candle(MIDNIGHT_MS + second * 1_000, Decimal::from(close), Decimal::ONE)
    });
    candles.map(|candle| calculator.candle(&candle).expect("the candle is final")).collect()
}

#[test]
fn s54_means_are_known_from_the_twentieth_candle_on() {
    let told = after(1..=22);
    assert!(told[..WINDOW - 1].iter().all(|told| told.sma_20.is_none() && told.ema_20.is_none()));
    let means = |at: usize| (told[at].sma_20, told[at].ema_20);
    // (1 + … + 20) / 20; then each is one more, and of a straight line the exponential mean goes on so too.
    assert_eq!(means(19), (Some(10.5), Some(10.5)));
    assert_eq!(means(20), (Some(11.5), Some(11.5)));
    assert_eq!(means(21), (Some(12.5), Some(12.5)));
    let told = after((1..=20).chain([31]));
    assert_eq!(told[20].ema_20, Some(10.5 + (31.0 - 10.5) * 2.0 / 21.0));
}

#[test]
fn s54_strength_is_wilders() {
    let changes = RSI_WINDOW as usize;
    // Up 2 and down 1 in turn: 14 over 7 in the first window.
    let told = after((0..=15).map(|n: i64| 100 + n / 2 + 2 * (n % 2)));
    assert!(told[..changes].iter().all(|told| told.rsi_14.is_none()));
    let first = told[changes].rsi_14.expect("fourteen changes");
    assert!((first - 100.0 * 14.0 / 21.0).abs() < 1e-9, "{first}");
    let (gain, loss) = ((1.0 * 13.0 + 2.0) / 14.0, (0.5 * 13.0) / 14.0);
    let second = told[changes + 1].rsi_14.expect("fifteen changes");
    assert!((second - 100.0 * gain / (gain + loss)).abs() < 1e-9, "{second}");

    let strength = |closes: [i64; 15]| after(closes)[changes].rsi_14;
    assert_eq!(strength(std::array::from_fn(|n| n as i64)), Some(100.0), "only gains");
    assert_eq!(strength(std::array::from_fn(|n| -(n as i64))), Some(0.0), "only losses");
    assert_eq!(strength([7; 15]), Some(50.0), "no change");
}

#[test]
fn s54_returns_are_simple_and_volatility_is_their_deviation() {
    let told = after([100, 110, 99]);
    assert_eq!(told[0].last_return, None);
    assert!((told[1].last_return.unwrap() - 0.1).abs() < 1e-12);
    assert!((told[2].last_return.unwrap() + 0.1).abs() < 1e-12);
    // Doubled and halved in turn: returns of 1 and -1/2, ten of each.
    let told = after((0..=20).map(|n: i64| 100 << (n % 2)));
    assert!(told[..WINDOW].iter().all(|told| told.volatility.is_none()));
    let expected = (20.0 * 0.75_f64.powi(2) / 19.0).sqrt();
    assert!((told[WINDOW].volatility.unwrap() - expected).abs() < 1e-12);
    assert_eq!(after([5; 21])[WINDOW].volatility, Some(0.0));
}

#[test]
fn there_is_no_return_over_a_price_of_zero() {
    let told = after([0, 5, 0, -5]);
    let returns: Vec<_> = told.iter().map(|told| told.last_return).collect();
    assert_eq!(returns, [None, None, Some(-1.0), None]);
}

#[test]
fn s54_mean_price_by_volume_begins_anew_at_midnight() {
    let mut calculator = Calculator::new();
    let mut after = |open_time_ms, close: i64, volume: i64| {
        let candle = candle(open_time_ms, Decimal::from(close), Decimal::from(volume));
        calculator.candle(&candle).and_then(|told| told.vwap)
    };
    assert_eq!(after(MIDNIGHT_MS - 2_000, 10, 1), Some(10.0));
    assert_eq!(after(MIDNIGHT_MS - 1_000, 20, 3), Some(17.5));
    assert_eq!(after(MIDNIGHT_MS, 40, 2), Some(40.0));
    assert_eq!(after(MIDNIGHT_MS + DAY_MS - 1_000, 10, 4), Some(20.0));
    assert_eq!(after(MIDNIGHT_MS + DAY_MS, 7, 1), Some(7.0));
}

#[test]
fn symbols_and_intervals_are_apart_and_running_candles_are_passed_over() {
    let mut calculator = Calculator::new();
    let of = |symbol: &str, interval, close: i64, is_final| {
        let mut candle = candle(MIDNIGHT_MS, Decimal::from(close), Decimal::ONE);
        (candle.symbol, candle.interval, candle.bar.is_final) = (symbol.into(), interval, is_final);
        candle
    };
    let mut told = |symbol, interval, close, is_final| {
        let told = calculator.candle(&of(symbol, interval, close, is_final));
        told.map(|told| (told.interval, told.last_return))
    };
    assert_eq!(told("A", Interval::Second, 1, false), None);
    assert_eq!(told("A", Interval::Second, 1, true), Some((Interval::Second, None)));
    assert_eq!(told("A", Interval::Minute, 1, true), Some((Interval::Minute, None)));
    assert_eq!(told("B", Interval::Second, 1, true), Some((Interval::Second, None)));
    assert_eq!(told("A", Interval::Second, 9, false), None);
    assert_eq!(told("A", Interval::Second, 2, true), Some((Interval::Second, Some(1.0))));
}

/// All indicators of the last candle, from the whole list.
fn recomputed(candles: &[Candle]) -> [Option<f64>; 6] {
    let closes: Vec<f64> = candles.iter().map(|candle| float(candle.bar.close)).collect();
    let newest = candles.last().unwrap();
    let windows = |count: usize| closes.len().checked_sub(count).map(|from| &closes[from..]);
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let ema = closes.get(..20).map(|first| {
        closes[20..]
            .iter()
            .fold(mean(first), |ema, close| close * (2.0 / 21.0) + ema * (19.0 / 21.0))
    });
    let returns: Vec<f64> = closes.windows(2).map(|pair| pair[1] / pair[0] - 1.0).collect();
    let volatility = returns.len().checked_sub(20).map(|from| {
        let (last, mean) = (&returns[from..], mean(&returns[from..]));
        (last.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / 19.0).sqrt()
    });
    let changes: Vec<f64> = closes.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let wilder = |parts: Vec<f64>| {
        let first = mean(parts.get(..14)?);
        Some(parts[14..].iter().fold(first, |before, part| (before * 13.0 + part) / 14.0))
    };
    let gain = wilder(changes.iter().map(|change| change.max(0.0)).collect());
    let loss = wilder(changes.iter().map(|change| (-change).max(0.0)).collect());
    let strength = gain.zip(loss).map(|(gain, loss)| {
        if gain + loss == 0.0 { 50.0 } else { 100.0 - 100.0 / (1.0 + gain / loss) }
    });
    let day =
        |candle: &&Candle| candle.bar.open_time_ms / DAY_MS == newest.bar.open_time_ms / DAY_MS;
    let today = || candles.iter().filter(day);
    let vwap = float(today().map(|candle| candle.notional).sum())
        / float(today().map(|candle| candle.bar.volume).sum());
    [windows(20).map(mean), ema, strength, volatility, Some(vwap), returns.last().copied()]
}

fn float(value: Decimal) -> f64 {
    value.to_string().parse().unwrap()
}

fn is_close(told: Option<f64>, expected: Option<f64>) -> bool {
    match (told, expected) {
        (Some(told), Some(expected)) => (told - expected).abs() <= 1e-9 * expected.abs().max(1e-3),
        (told, expected) => told.is_none() && expected.is_none(),
    }
}

proptest! {
    #[test]
    fn streaming_agrees_with_recomputation_from_the_whole_list(
        steps in prop::collection::vec((1_u64..7_200, -500_i64..=500, 1_i64..9_999), 1..120),
        start in 1_000_i64..9_000_000,
    ) {
        let (mut calculator, mut candles) = (Calculator::new(), Vec::new());
        let (mut open_time_ms, mut close) = (MIDNIGHT_MS, start);
        for (seconds, change, volume) in steps {
            open_time_ms += seconds * 1_000;
            close = (close + change).max(1);
            candles.push(candle(open_time_ms, Decimal::new(close, 2), Decimal::new(volume, 5)));
            let told = calculator.candle(&candles[candles.len() - 1]).expect("the candle is final");
            let told = [told.sma_20, told.ema_20, told.rsi_14, told.volatility, told.vwap, told.last_return];
            let expected = recomputed(&candles);
            for (told, expected) in told.into_iter().zip(expected) {
                prop_assert!(is_close(told, expected), "{:?} {:?} after {}", told, expected, candles.len());
            }
        }
    }
}
