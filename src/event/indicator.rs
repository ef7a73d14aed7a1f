//! The indicators of a symbol after a candle: what rules are asked about and charts show.
//!
//! Plain data. Averages and ratios are no exact decimals, so they are floating-point numbers, for feeds too. What is
//! not known yet, because too few candles were seen, is `null`.

use super::exact::Average;
use super::{Interval, Payload};
use serde::ser::{Serialize, SerializeStruct, Serializer};
use std::sync::Arc;

/// Indicators after a final candle: the payload of `indicator:<symbol>:<interval>`. All numbers are finite.
#[derive(Debug, Clone, PartialEq)]
pub struct Indicator {
    /// As the feed names it: `BTCUSDT`.
    pub symbol: Arc<str>,
    /// Of the candles that were looked at.
    pub interval: Interval,
    /// Mean of the last 20 closes.
    pub sma_20: Option<f64>,
    /// Exponential mean of the closes with the weight 2/21 for the newest; begins as the mean of the first 20.
    pub ema_20: Option<f64>,
    /// Wilder's relative strength index over 14 changes of the close, 0–100; 50 while nothing changed.
    pub rsi_14: Option<f64>,
    /// Standard deviation (n − 1) of the last 20 returns, as a ratio per candle, not annualised.
    pub volatility: Option<f64>,
    /// Mean price weighted by volume since the candle's UTC day began, or since the first candle of it that was seen.
    pub vwap: Option<f64>,
    /// Close over the close of the candle before, less 1; `return` in the payload.
    pub last_return: Option<f64>,
    /// Whether it is of the simulation: then prices are written with two decimals.
    pub is_simulated: bool,
}

impl Indicator {
    /// How many of the six values are known.
    #[must_use]
    pub fn known(&self) -> usize {
        let values =
            [self.sma_20, self.ema_20, self.rsi_14, self.volatility, self.vwap, self.last_return];
        values.iter().flatten().count()
    }
}

impl Serialize for Indicator {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let price = |value: Option<f64>| {
            value.map(|price| Average { price, is_simulated: self.is_simulated })
        };
        let mut object = serializer.serialize_struct("Indicator", 8)?;
        object.serialize_field("symbol", &*self.symbol)?;
        object.serialize_field("interval", self.interval.word())?;
        object.serialize_field("sma_20", &price(self.sma_20))?;
        object.serialize_field("ema_20", &price(self.ema_20))?;
        object.serialize_field("rsi_14", &self.rsi_14)?;
        object.serialize_field("volatility", &self.volatility)?;
        object.serialize_field("vwap", &price(self.vwap))?;
        object.serialize_field("return", &self.last_return)?;
        object.end()
    }
}

impl Payload for Indicator {
    fn write_json(&self, out: &mut Vec<u8>) {
        let written = serde_json::to_writer(out, self);
        debug_assert!(written.is_ok(), "plain data is always JSON");
    }
}

#[cfg(test)]
mod tests {
    use super::Indicator;
    use crate::event::{Interval, Payload};

    #[test]
    fn s54_indicator_has_the_keys_of_the_protocol_and_null_for_what_is_not_known() {
        let indicator = Indicator {
            symbol: "BTC-USD".into(),
            interval: Interval::Minute,
            sma_20: None,
            ema_20: Some(42_000.5),
            rsi_14: Some(62.5),
            volatility: None,
            vwap: Some(41_999.996),
            last_return: Some(-0.25),
            is_simulated: false,
        };
        assert_eq!(indicator.known(), 4);
        let json = |indicator: &Indicator| {
            let mut out = Vec::new();
            indicator.write_json(&mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(
            json(&indicator),
            r#"{"symbol":"BTC-USD","interval":"1m","sma_20":null,"ema_20":42000.5,"rsi_14":62.5,"volatility":null,"vwap":41999.996,"return":-0.25}"#
        );
        assert_eq!(
            json(&Indicator { is_simulated: true, ..indicator }),
            r#"{"symbol":"BTC-USD","interval":"1m","sma_20":null,"ema_20":42000.50,"rsi_14":62.5,"volatility":null,"vwap":42000.00,"return":-0.25}"#
        );
    }
}
