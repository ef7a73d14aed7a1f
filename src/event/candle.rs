//! A candle: what became of a price within one interval, exactly.
//!
//! Plain data. It knows no trades and no files; [`OlderCandles`] is how whoever keeps candles lends them out.
//!
//! Invariants: `open_time_ms` is a multiple of the interval since the Unix epoch (UTC), so that no candle crosses
//! midnight; `low <= open, close <= high`; `trades` is at least 1, for an interval without trades has no candle.

use super::{Exact, Payload};
use rust_decimal::Decimal;
use serde::ser::{Serialize, SerializeStruct, Serializer};
use std::fmt;
use std::sync::Arc;

/// How long a candle is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Interval {
    /// One second.
    Second,
    /// Ten seconds.
    TenSeconds,
    /// One minute.
    Minute,
}

impl Interval {
    /// All of them, from the shortest.
    pub const ALL: [Self; 3] = [Self::Second, Self::TenSeconds, Self::Minute];
    /// The words of all of them, from the shortest.
    pub const WORDS: [&'static str; 3] = ["1s", "10s", "1m"];

    /// `1s`, `10s` or `1m`.
    #[must_use]
    pub fn word(self) -> &'static str {
        Self::WORDS[self.index()]
    }

    /// The interval that [`word`](Self::word) gives as `word`.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|interval| interval.word() == word)
    }

    /// Its place in [`ALL`](Self::ALL).
    #[must_use]
    pub fn index(self) -> usize {
        match self {
            Self::Second => 0,
            Self::TenSeconds => 1,
            Self::Minute => 2,
        }
    }

    /// Its length in milliseconds.
    #[must_use]
    pub fn length_ms(self) -> u64 {
        match self {
            Self::Second => 1_000,
            Self::TenSeconds => 10_000,
            Self::Minute => 60_000,
        }
    }
}

/// The figures of a candle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bar {
    /// When it begins, milliseconds since the Unix epoch; the interval's end belongs to the next one.
    pub open_time_ms: u64,
    /// Price of its first trade.
    pub open: Decimal,
    /// Highest price.
    pub high: Decimal,
    /// Lowest price.
    pub low: Decimal,
    /// Price of its last trade.
    pub close: Decimal,
    /// Quantity traded.
    pub volume: Decimal,
    /// Quantity traded where the side that took liquidity bought.
    pub taker_buy_volume: Decimal,
    /// How many trades; at least 1.
    pub trades: u64,
    /// Whether nothing more comes to it.
    pub is_final: bool,
}

impl Serialize for Bar {
    /// All decimals as strings.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Bar", 9)?;
        self.write_fields(&mut object, false)?;
        object.end()
    }
}

impl Bar {
    fn write_fields<O: SerializeStruct>(
        &self,
        object: &mut O,
        is_simulated: bool,
    ) -> Result<(), O::Error> {
        let exact = |value| Exact::new(value, is_simulated);
        object.serialize_field("open_time_ms", &self.open_time_ms)?;
        object.serialize_field("open", &exact(self.open))?;
        object.serialize_field("high", &exact(self.high))?;
        object.serialize_field("low", &exact(self.low))?;
        object.serialize_field("close", &exact(self.close))?;
        object.serialize_field("volume", &exact(self.volume))?;
        object.serialize_field("taker_buy_volume", &exact(self.taker_buy_volume))?;
        object.serialize_field("trades", &self.trades)?;
        object.serialize_field("final", &self.is_final)
    }
}

/// A candle of a symbol: the payload of `candle:<symbol>:<1s|10s|1m>`, running or final.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candle {
    /// As the feed names it: `BTCUSDT`.
    pub symbol: Arc<str>,
    /// How long it is.
    pub interval: Interval,
    /// Its figures.
    pub bar: Bar,
    /// The sum of price times quantity over its trades; not in the payload.
    pub notional: Decimal,
    /// Whether it is of the simulation: then decimals are written as numbers with two decimals, else as strings.
    pub is_simulated: bool,
}

impl Serialize for Candle {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Candle", 11)?;
        object.serialize_field("symbol", &*self.symbol)?;
        object.serialize_field("interval", self.interval.word())?;
        self.bar.write_fields(&mut object, self.is_simulated)?;
        object.end()
    }
}

impl Payload for Candle {
    fn write_json(&self, out: &mut Vec<u8>) {
        let written = serde_json::to_writer(out, self);
        debug_assert!(written.is_ok(), "plain data is always JSON");
    }
}

/// Candles that somebody keeps, beyond the newest ones in memory and beyond a restart. Its calls may wait for a file.
pub trait OlderCandles: fmt::Debug + Send + Sync {
    /// Final candles of `symbol` that open before `before_ms`, at most `limit`, in order of time: with `from_ms` the
    /// first ones that open there or later, without it the newest ones.
    ///
    /// # Errors
    /// Why they cannot be read, as a sentence for the operator.
    fn older(
        &self,
        symbol: &str,
        interval: Interval,
        from_ms: Option<u64>,
        before_ms: u64,
        limit: usize,
    ) -> Result<Vec<Bar>, String>;
}

#[cfg(test)]
mod tests {
    use super::{Bar, Candle, Interval};
    use crate::event::{Payload, Typed};
    use rust_decimal::Decimal;

    fn candle(is_simulated: bool) -> Candle {
        Candle {
            symbol: "BTCUSDT".into(),
            interval: Interval::TenSeconds,
            bar: Bar {
                open_time_ms: 1_723_161_250_000,
                open: Decimal::new(6_183_763, 2),
                high: Decimal::new(6_185_537, 2),
                low: Decimal::new(6_182_400, 2),
                close: Decimal::new(6_182_800, 2),
                volume: Decimal::new(1_243_238, 5),
                taker_buy_volume: Decimal::new(632_003, 5),
                trades: 875,
                is_final: true,
            },
            notional: Decimal::ZERO,
            is_simulated,
        }
    }

    fn json(candle: Candle) -> String {
        let mut out = Vec::new();
        Typed::new(candle).0.write_json(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn s54_candle_of_a_feed_has_the_keys_of_the_protocol_and_strings() {
        assert_eq!(
            json(candle(false)),
            r#"{"symbol":"BTCUSDT","interval":"10s","open_time_ms":1723161250000,"open":"61837.63","high":"61855.37","low":"61824","close":"61828","volume":"12.43238","taker_buy_volume":"6.32003","trades":875,"final":true}"#
        );
    }

    #[test]
    fn s54_candle_of_the_simulation_has_numbers_with_two_decimals() {
        assert_eq!(
            json(candle(true)),
            r#"{"symbol":"BTCUSDT","interval":"10s","open_time_ms":1723161250000,"open":61837.63,"high":61855.37,"low":61824.00,"close":61828.00,"volume":12.43,"taker_buy_volume":6.32,"trades":875,"final":true}"#
        );
    }

    #[test]
    fn a_reader_gets_the_candle_back_and_its_bar_is_written_without_symbol() {
        let typed = Typed::new(candle(true));
        assert_eq!(typed.get::<Candle>(), Some(&candle(true)));
        assert_eq!(
            serde_json::to_string(&candle(true).bar).unwrap(),
            r#"{"open_time_ms":1723161250000,"open":"61837.63","high":"61855.37","low":"61824","close":"61828","volume":"12.43238","taker_buy_volume":"6.32003","trades":875,"final":true}"#
        );
        let mut out = b"before".to_vec();
        candle(true).write_json(&mut out);
        assert!(out.starts_with(b"before{"), "it is appended");
    }

    #[test]
    fn intervals_are_named_by_their_words_alone() {
        for (place, interval) in Interval::ALL.into_iter().enumerate() {
            assert_eq!(Interval::parse(interval.word()), Some(interval));
            assert_eq!(interval.index(), place);
        }
        assert_eq!(Interval::ALL.map(Interval::length_ms), [1_000, 10_000, 60_000]);
        for word in ["", "1", "1S", "60s", "1m "] {
            assert_eq!(Interval::parse(word), None);
        }
    }
}
