//! How our payloads write exact decimals: without exponent and without trailing zeros.
//!
//! What a real feed names exactly stays a JSON string, so that no reader's floating point touches it. What the
//! simulation trades in has two decimals and is a JSON number. The number is written as raw JSON, so only
//! `serde_json` writes it as one.

use rust_decimal::{Decimal, RoundingStrategy};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// A decimal on its way into JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exact {
    /// Of a real feed: a string with every digit.
    Feed(Decimal),
    /// Of the simulation: a number with two decimals, a half rounded away from zero.
    Simulated(Decimal),
}

impl Exact {
    /// `value`, of the simulation or of a feed.
    #[must_use]
    pub fn new(value: Decimal, is_simulated: bool) -> Self {
        if is_simulated { Self::Simulated(value) } else { Self::Feed(value) }
    }
}

impl Serialize for Exact {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Feed(value) => serializer.collect_str(&value.normalize()),
            Self::Simulated(value) => {
                let cents = value.round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero);
                raw_number(format!("{:.2}", cents.normalize()), serializer)
            }
        }
    }
}

/// A price that is an average, and so no exact decimal: a number, of the simulation with two decimals.
#[derive(Debug, Clone, Copy)]
pub(super) struct Average {
    pub(super) price: f64,
    pub(super) is_simulated: bool,
}

impl Serialize for Average {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.is_simulated && self.price.is_finite() {
            raw_number(format!("{:.2}", self.price), serializer)
        } else {
            serializer.serialize_f64(self.price)
        }
    }
}

fn raw_number<S: Serializer>(text: String, serializer: S) -> Result<S::Ok, S::Error> {
    RawValue::from_string(text).map_err(serde::ser::Error::custom)?.serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::{Average, Exact};
    use rust_decimal::Decimal;

    fn decimal(text: &str) -> Decimal {
        Decimal::from_str_exact(text).unwrap()
    }

    #[test]
    fn decimals_of_a_feed_are_strings_without_trailing_zeros_or_exponent() {
        let cases = [
            ("61837.63000000", "\"61837.63\""),
            ("100.00", "\"100\""),
            ("0.00000001", "\"0.00000001\""),
            ("-0.00", "\"0\""),
            ("-1.50", "\"-1.5\""),
            ("79228162514264337593543950335", "\"79228162514264337593543950335\""),
        ];
        for (value, written) in cases {
            assert_eq!(serde_json::to_string(&Exact::Feed(decimal(value))).unwrap(), written);
        }
    }

    #[test]
    fn decimals_of_the_simulation_are_numbers_with_two_decimals() {
        let cases = [
            ("42000", "42000.00"),
            ("42000.5", "42000.50"),
            ("0.005", "0.01"),
            ("0.0049", "0.00"),
            ("-0.001", "0.00"),
            ("-7.125", "-7.13"),
        ];
        for (value, written) in cases {
            let exact = Exact::new(decimal(value), true);
            assert_eq!(serde_json::to_string(&exact).unwrap(), written);
        }
    }

    #[test]
    fn averages_are_numbers_and_of_the_simulation_have_two_decimals() {
        for (is_simulated, written) in [(true, "42000.13"), (false, "42000.125625")] {
            let average = Average { price: 42_000.125_625, is_simulated };
            assert_eq!(serde_json::to_string(&average).unwrap(), written);
        }
    }
}
