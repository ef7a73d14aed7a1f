//! The metrics calculator: final candles in, indicators out, one step per candle.
//!
//! A pure state machine. What it keeps per symbol and interval has a fixed size, and a step costs the same however
//! many candles there were (under 2 µs, most of it the division of exact decimals). It knows no topics and no clock,
//! and looks at no candle that may still change.
//!
//! Sums of prices and volumes are exact decimals and never drift; ratios and exponential means are `f64` without
//! functions whose last digit depends on the machine, so the same candles give the same bits everywhere.

use crate::event::{Candle, Indicator};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// Candles of the means, and returns of the volatility.
pub const WINDOW: usize = 20;
/// Changes of the relative strength index.
pub const RSI_WINDOW: u32 = 14;

const WINDOW_AS_F64: f64 = 20.0;
const RSI_WINDOW_AS_F64: f64 = 14.0;
const DAY_MS: u64 = 86_400_000;

/// Makes indicators of candles.
#[derive(Debug, Default)]
pub struct Calculator {
    symbols: HashMap<Arc<str>, [Rolling; 3]>,
}

impl Calculator {
    /// No candles yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Goes one candle on; nothing for a candle that is not final. Candles of a symbol and interval come in order.
    /// Keeps a fixed amount for every symbol it meets: how many there are is bounded by who makes the candles.
    pub fn candle(&mut self, candle: &Candle) -> Option<Indicator> {
        if !candle.bar.is_final {
            return None;
        }
        let rolling = self.symbols.entry(Arc::clone(&candle.symbol)).or_default();
        Some(rolling[candle.interval.index()].step(candle))
    }
}

/// What is kept of the candles of one symbol and interval.
#[derive(Debug, Default)]
struct Rolling {
    /// The last [`WINDOW`] closes and their exact sum.
    closes: VecDeque<Decimal>,
    closes_sum: Decimal,
    ema: Option<f64>,
    strength: Strength,
    /// The last [`WINDOW`] returns.
    returns: VecDeque<f64>,
    day: Day,
}

impl Rolling {
    fn step(&mut self, candle: &Candle) -> Indicator {
        let close = candle.bar.close;
        let before = self.closes.back().copied();
        let last_return = before.and_then(|before| ratio(close, before)).map(|ratio| ratio - 1.0);
        if let Some(value) = last_return {
            keep(&mut self.returns, value);
        }
        if let Some(change) = before.and_then(|before| (close - before).to_f64()) {
            self.strength.step(change);
        }
        let fallen_out = keep(&mut self.closes, close).unwrap_or_default();
        self.closes_sum += close - fallen_out;
        let sma_20 = (self.closes.len() == WINDOW).then(|| mean(self.closes_sum)).flatten();
        self.ema = match (self.ema, close.to_f64()) {
            (Some(ema), Some(close)) => Some(ema + (close - ema) * 2.0 / (WINDOW_AS_F64 + 1.0)),
            _ => sma_20,
        };
        Indicator {
            symbol: Arc::clone(&candle.symbol),
            interval: candle.interval,
            sma_20,
            ema_20: self.ema,
            rsi_14: self.strength.index(),
            volatility: deviation(&self.returns),
            vwap: self.day.step(candle),
            last_return,
            is_simulated: candle.is_simulated,
        }
    }
}

/// Appends `value` and returns what it pushed out of the window.
fn keep<T>(window: &mut VecDeque<T>, value: T) -> Option<T> {
    let fallen_out = if window.len() == WINDOW { window.pop_front() } else { None };
    window.push_back(value);
    fallen_out
}

fn mean(sum: Decimal) -> Option<f64> {
    sum.checked_div(Decimal::from(WINDOW))?.to_f64()
}

/// None where there is no such number, as over a price of zero.
fn ratio(value: Decimal, over: Decimal) -> Option<f64> {
    let ratio = value.to_f64()? / over.to_f64()?;
    ratio.is_finite().then_some(ratio)
}

/// Standard deviation of a full window. Two passes over it lose no digits, as a running sum of squares would.
fn deviation(returns: &VecDeque<f64>) -> Option<f64> {
    if returns.len() < WINDOW {
        return None;
    }
    let mean = returns.iter().sum::<f64>() / WINDOW_AS_F64;
    let squares: f64 = returns.iter().map(|value| (value - mean) * (value - mean)).sum();
    Some((squares / (WINDOW_AS_F64 - 1.0)).sqrt()).filter(|value| value.is_finite())
}

/// Wilder's means of gains and losses: plain over the first window, then with the weight 1/14 for the newest change.
#[derive(Debug, Default)]
struct Strength {
    changes: u32,
    gain: f64,
    loss: f64,
}

impl Strength {
    fn step(&mut self, change: f64) {
        let (gain, loss) = (change.max(0.0), (-change).max(0.0));
        if self.changes < RSI_WINDOW {
            self.changes += 1;
            self.gain += gain / RSI_WINDOW_AS_F64;
            self.loss += loss / RSI_WINDOW_AS_F64;
        } else {
            self.gain += (gain - self.gain) / RSI_WINDOW_AS_F64;
            self.loss += (loss - self.loss) / RSI_WINDOW_AS_F64;
        }
    }

    fn index(&self) -> Option<f64> {
        if self.changes < RSI_WINDOW {
            return None;
        }
        let both = self.gain + self.loss;
        Some(if both > 0.0 { 100.0 * (self.gain / both) } else { 50.0 })
    }
}

/// What was traded since a UTC day began.
#[derive(Debug, Default)]
struct Day {
    number: u64,
    volume: Decimal,
    notional: Decimal,
}

impl Day {
    fn step(&mut self, candle: &Candle) -> Option<f64> {
        let number = candle.bar.open_time_ms / DAY_MS;
        if number != self.number {
            *self = Self { number, ..Self::default() };
        }
        self.volume = self.volume.saturating_add(candle.bar.volume);
        self.notional = self.notional.saturating_add(candle.notional);
        self.notional.checked_div(self.volume)?.to_f64()
    }
}

#[cfg(test)]
#[path = "calculator_tests.rs"]
mod tests;
