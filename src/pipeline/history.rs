//! The newest candles of every symbol, for who asks over HTTP, and the way to older ones.
//!
//! One writer (the pipeline's thread) records candles as it tells them; any thread reads. Never: files (it asks
//! [`OlderCandles`] for what has left it), trades, topics.
//!
//! Invariants: at most `candles_kept` per symbol and interval, in order of time, those that are not final last; each
//! candle once. The lock is held for one insertion or one copy of the rows asked for (5,000: about 100 µs), never
//! while a file is read.

use crate::api::{Asked, Parameter, Refusal, Route, Shape};
use crate::event::{Bar, Candle, Interval, OlderCandles};
use crate::pipeline::Options;
use serde_json::json;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

/// Candles in an answer, unless the question says otherwise.
pub const LIMIT_DEFAULT: usize = 500;
/// Candles in an answer at most.
pub const LIMIT_MAX: usize = 5_000;
/// The last millisecond of the year 9999.
const FROM_MS_MAX: u64 = 253_402_300_799_999;

/// The newest candles in memory.
#[derive(Debug)]
pub struct History {
    kept: usize,
    symbols: Mutex<HashMap<Arc<str>, [VecDeque<Bar>; 3]>>,
    older: Option<Arc<dyn OlderCandles>>,
}

/// Rows from memory, and where they begin to be complete.
struct Found {
    bars: Vec<Bar>,
    /// When the oldest candle in memory opens.
    oldest_ms: Option<u64>,
}

impl History {
    /// No candles yet; what has left memory is asked of `older`, if there is one.
    #[must_use]
    pub fn new(options: &Options, older: Option<Arc<dyn OlderCandles>>) -> Arc<Self> {
        let symbols = Mutex::new(HashMap::new());
        Arc::new(Self { kept: options.candles_kept, symbols, older })
    }

    /// Puts a candle in its place, instead of an earlier state of it. Symbols are never forgotten: how many there are
    /// is bounded by who makes the candles.
    pub fn record(&self, candle: &Candle) {
        let mut symbols = self.symbols.lock().unwrap_or_else(PoisonError::into_inner);
        let bars = match symbols.get_mut(&candle.symbol) {
            Some(of_symbol) => &mut of_symbol[candle.interval.index()],
            None => {
                let of_symbol = symbols.entry(Arc::clone(&candle.symbol)).or_default();
                &mut of_symbol[candle.interval.index()]
            }
        };
        let bar = candle.bar.clone();
        let place = bars.partition_point(|kept| kept.open_time_ms < bar.open_time_ms);
        match bars.get_mut(place) {
            Some(kept) if kept.open_time_ms == bar.open_time_ms => *kept = bar,
            _ => bars.insert(place, bar),
        }
        if bars.len() > self.kept {
            bars.pop_front();
        }
    }

    /// At most `limit` candles in order of time: with `from_ms` (milliseconds since the Unix epoch, inclusive) the
    /// first ones that open there or later, without it the newest ones. The last ones may not be final; they are as
    /// they were last told. None: there are no candles of that symbol. Waits for a file when memory does not reach
    /// back far enough and there is an older part.
    ///
    /// # Errors
    /// Why older candles cannot be read.
    pub fn candles(
        &self,
        symbol: &str,
        interval: Interval,
        from_ms: Option<u64>,
        limit: usize,
    ) -> Result<Option<Vec<Bar>>, String> {
        let limit = limit.min(LIMIT_MAX);
        let found = self.find(symbol, interval, from_ms, limit);
        let is_known = found.is_some();
        let Found { bars: newer, oldest_ms } =
            found.unwrap_or(Found { bars: Vec::new(), oldest_ms: None });
        let before_ms = oldest_ms.unwrap_or(u64::MAX);
        let wanted = match from_ms {
            Some(from_ms) if from_ms >= before_ms => 0,
            Some(_) => limit,
            None => limit - newer.len(),
        };
        let mut bars = match &self.older {
            Some(older) if wanted > 0 => {
                older.older(symbol, interval, from_ms, before_ms, wanted)?
            }
            _ => Vec::new(),
        };
        let left = limit.saturating_sub(bars.len());
        bars.extend(newer.into_iter().take(left));
        Ok((is_known || !bars.is_empty()).then_some(bars))
    }

    fn find(
        &self,
        symbol: &str,
        interval: Interval,
        from_ms: Option<u64>,
        limit: usize,
    ) -> Option<Found> {
        let symbols = self.symbols.lock().unwrap_or_else(PoisonError::into_inner);
        let bars = &symbols.get(symbol)?[interval.index()];
        let first = match from_ms {
            Some(from_ms) => bars.partition_point(|bar| bar.open_time_ms < from_ms),
            None => bars.len().saturating_sub(limit),
        };
        let oldest_ms = bars.front().map(|bar| bar.open_time_ms);
        Some(Found { bars: bars.iter().skip(first).take(limit).cloned().collect(), oldest_ms })
    }

    /// `GET /api/candles`.
    #[must_use]
    pub fn routes(self: &Arc<Self>) -> Vec<Route> {
        let history = Arc::clone(self);
        vec![Route {
            path: "/api/candles",
            summary: "Candles of a symbol in order of time, the ones that are not final last.",
            parameters: parameters(),
            example: json!([{
                "open_time_ms": 1_723_161_250_000_u64, "open": "61837.63", "high": "61855.37",
                "low": "61824", "close": "61828", "volume": "12.43238",
                "taker_buy_volume": "6.32003", "trades": 875, "final": true
            }]),
            // A full answer takes milliseconds to make, even from memory.
            is_blocking: true,
            answer: Arc::new(move |asked| history.answer(asked)),
        }]
    }

    fn answer(&self, asked: &Asked) -> Result<serde_json::Value, Refusal> {
        let symbol = asked.text("symbol").unwrap_or_default();
        let interval = asked.text("interval").and_then(Interval::parse).unwrap_or(Interval::Minute);
        let limit = asked.integer("limit").and_then(|limit| usize::try_from(limit).ok());
        let limit = limit.unwrap_or(LIMIT_DEFAULT);
        let candles = self.candles(symbol, interval, asked.integer("from"), limit);
        let bars = candles
            .map_err(Refusal::Unavailable)?
            .ok_or_else(|| Refusal::Unknown(format!("no candles of the symbol {symbol:?}")))?;
        serde_json::to_value(bars).map_err(|error| Refusal::Unavailable(error.to_string()))
    }
}

fn parameters() -> Vec<Parameter> {
    vec![
        Parameter {
            name: "symbol",
            meaning: "as the feed names it, such as BTCUSDT",
            is_required: true,
            shape: Shape::Text,
        },
        Parameter {
            name: "interval",
            meaning: "how long a candle is; 1m unless given",
            is_required: false,
            shape: Shape::Words(&Interval::WORDS),
        },
        Parameter {
            name: "from",
            meaning: "open time of the first candle at the earliest, in milliseconds since the Unix epoch; \
                      the newest candles unless given",
            is_required: false,
            shape: Shape::Integer(0, FROM_MS_MAX),
        },
        Parameter {
            name: "limit",
            meaning: "most candles in the answer; 500 unless given",
            is_required: false,
            shape: Shape::Integer(1, LIMIT_MAX as u64),
        },
    ]
}

#[cfg(test)]
#[path = "history_tests.rs"]
mod tests;
