//! The payloads of Lineage's own events, as types for [`Event::parse`](super::Event::parse).
//!
//! Text is borrowed from the message where it holds no escapes. Fields that are not listed are ignored, so that a
//! newer server is understood. Money and prices are read exactly, never through floating point.

use crate::event::Cents;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// Of `market:<symbol>`: a price.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Market<'a> {
    /// Such as `BTC-USD`.
    #[serde(borrow)]
    pub symbol: Cow<'a, str>,
    /// Price.
    #[serde(deserialize_with = "cents")]
    pub price: Cents,
}

/// Of `agent:<slug>`: an agent's state after one cycle.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Agent<'a> {
    /// Its slug, as in the topic: `momentum`.
    #[serde(borrow)]
    pub agent: Cow<'a, str>,
    /// Display name.
    #[serde(borrow)]
    pub name: Cow<'a, str>,
    /// Money.
    #[serde(deserialize_with = "cents")]
    pub capital: Cents,
    /// Trades so far.
    pub trades: u64,
    /// Share of trades won, 0 to 1.
    pub win_rate: f64,
    /// Losses that left a mark.
    pub scars: u64,
    /// `active` or `resting`.
    #[serde(borrow)]
    pub status: Cow<'a, str>,
    /// What it did in this cycle, for people.
    #[serde(borrow)]
    pub action: Cow<'a, str>,
}

/// Of `trade:<slug>`: one trade of an agent.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Trade<'a> {
    /// Its slug, as in the topic.
    #[serde(borrow)]
    pub agent: Cow<'a, str>,
    /// Such as `BTC-USD`.
    #[serde(borrow)]
    pub symbol: Cow<'a, str>,
    /// `buy` or `sell`.
    #[serde(borrow)]
    pub side: Cow<'a, str>,
    /// Price.
    #[serde(deserialize_with = "cents")]
    pub price: Cents,
    /// Quantity, in hundredths.
    #[serde(deserialize_with = "cents")]
    pub quantity: Cents,
    /// Profit, or loss below zero.
    #[serde(deserialize_with = "cents")]
    pub pnl: Cents,
    /// Whether it was won.
    pub won: bool,
}

fn cents<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Cents, D::Error> {
    let number = <&RawValue>::deserialize(deserializer)?.get();
    hundredths(number)
        .map(Cents)
        .ok_or_else(|| D::Error::custom(format!("{number} is no number of hundredths")))
}

/// A decimal with at most two places as a count of hundredths.
fn hundredths(number: &str) -> Option<i64> {
    let (sign, digits) = match number.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, number),
    };
    let (whole, places) = digits.split_once('.').unwrap_or((digits, ""));
    if places.len() > 2 || !whole.bytes().chain(places.bytes()).all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let scale =
        if places.is_empty() { 100 } else { 10_i64.pow(2 - u32::try_from(places.len()).ok()?) };
    let part = if places.is_empty() { 0 } else { places.parse::<i64>().ok()? * scale };
    // The sign first, so that the least number of all is read too.
    (sign * whole.parse::<i64>().ok()?).checked_mul(100)?.checked_add(sign * part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn decimals_are_read_exactly_or_not_at_all() {
        for (text, expected) in [
            ("0", Some(0)),
            ("42000.50", Some(4_200_050)),
            ("-0.05", Some(-5)),
            ("7.5", Some(750)),
            ("92233720368547758.07", Some(i64::MAX)),
            ("92233720368547758.08", None),
            ("-92233720368547758.08", Some(i64::MIN)),
            ("1.005", None),
            ("1e3", None),
            ("\"1\"", None),
            ("-", None),
            ("", None),
        ] {
            assert_eq!(hundredths(text), expected, "{text}");
        }
    }

    #[test]
    fn fields_of_a_newer_server_are_ignored_and_missing_ones_are_errors() {
        let market: Market<'_> =
            serde_json::from_str(r#"{"symbol":"BTC-USD","price":1.50,"venue":{"x":[1]}}"#).unwrap();
        assert_eq!((&*market.symbol, market.price), ("BTC-USD", Cents(150)));
        assert!(matches!(market.symbol, Cow::Borrowed(_)));
        assert!(serde_json::from_str::<Market<'_>>(r#"{"symbol":"BTC-USD"}"#).is_err());
    }

    proptest! {
        #[test]
        fn every_amount_survives_its_text(amount: i64) {
            let (sign, size) = (if amount < 0 { "-" } else { "" }, amount.unsigned_abs());
            let text = format!("{sign}{}.{:02}", size / 100, size % 100);
            prop_assert_eq!(hundredths(&text), Some(amount));
        }
    }
}
