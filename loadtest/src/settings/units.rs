//! Values with the suffixes that people type: `10k`, `30s`, `64KiB`, `1%`, `5k`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The longest time that is taken: 30 days.
const TIME_MAX_S: f64 = 30.0 * 24.0 * 3600.0;

/// A number of things: `250`, `10k`, `2m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "Text", into = "String")]
pub struct Count(pub u64);

/// A length of time: `500us`, `250ms`, `30s`, `5m`, `1h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "Text", into = "String")]
pub struct Time(pub Duration);

/// Something per second: `10`, `0.5`, `5k`, `10/s`.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, Serialize)]
#[serde(try_from = "Text", into = "String")]
pub struct Rate(pub f64);

/// A number of bytes: `256`, `64KiB`, `1MiB`, `10kB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "Text", into = "String")]
pub struct Bytes(pub u64);

/// A part of all clients: `1%`, `0.5%`, or a number of them: `10`, `2k`.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, Serialize)]
#[serde(try_from = "Text", into = "String")]
pub enum Share {
    /// So many.
    Count(u64),
    /// So many of a hundred.
    Percent(f64),
}

impl Share {
    /// How many of `total` that is, rounded; a share above 0 is at least one.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a share of at most 100 % of a number of clients, far below 2^53"
    )]
    pub fn of(self, total: u64) -> u64 {
        match self {
            Self::Count(count) => count,
            Self::Percent(percent) if percent > 0.0 => {
                ((total as f64 * percent / 100.0).round() as u64).max(1)
            }
            Self::Percent(_) => 0,
        }
    }
}

/// A word that may also be a bare number.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "Text", into = "String")]
pub struct Word(pub String);

impl FromStr for Word {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A value in a scenario file: text as on the command line, or a bare number.
#[derive(Deserialize)]
#[serde(untagged)]
enum Text {
    Word(String),
    Whole(u64),
    Real(f64),
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(word) => f.write_str(word),
            Self::Whole(number) => number.fmt(f),
            Self::Real(number) => number.fmt(f),
        }
    }
}

/// `try_from` the file's form, by way of the command line's.
macro_rules! from_text {
    ($($kind:ident),*) => {$(
        impl TryFrom<Text> for $kind {
            type Error = String;

            fn try_from(text: Text) -> Result<Self, String> {
                text.to_string().parse()
            }
        }

        impl From<$kind> for String {
            fn from(value: $kind) -> Self {
                value.to_string()
            }
        }
    )*};
}
from_text!(Count, Time, Rate, Bytes, Share, Word);

impl FromStr for Count {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (number, unit) = split(text);
        let factor = match unit {
            "" => Some(1),
            "k" | "K" => Some(1_000),
            "m" | "M" => Some(1_000_000),
            _ => None,
        };
        let whole = || scaled(number, factor?);
        whole()
            .map(Self)
            .ok_or_else(|| format!("{text:?} is not a count such as 250, 10k, 1.5k or 2m"))
    }
}

impl FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (number, unit) = split(text);
        let factor = match unit {
            "" | "B" => Some(1),
            "k" | "kB" => Some(1_000),
            "KiB" | "K" => Some(1 << 10),
            "MB" => Some(1_000_000),
            "MiB" | "M" => Some(1 << 20),
            _ => None,
        };
        let whole = || scaled(number, factor?);
        whole()
            .map(Self)
            .ok_or_else(|| format!("{text:?} is not a size such as 256, 64KiB or 1MiB"))
    }
}

impl FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (number, unit) = split(text);
        let unit_s = match unit {
            "us" => Some(1e-6),
            "ms" => Some(1e-3),
            "s" => Some(1.0),
            "m" => Some(60.0),
            "h" => Some(3600.0),
            _ => None,
        };
        let seconds = real(number).zip(unit_s).map(|(number, unit_s)| number * unit_s);
        let seconds = seconds.filter(|seconds| *seconds <= TIME_MAX_S);
        seconds.map(|seconds| Self(Duration::from_secs_f64(seconds))).ok_or_else(|| {
            format!("{text:?} is not a time such as 250ms, 30s, 5m or 1h, at most 30 days")
        })
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (number, unit) = split(text.strip_suffix("/s").unwrap_or(text));
        let factor = match unit {
            "" => Some(1.0),
            "k" | "K" => Some(1e3),
            "m" | "M" => Some(1e6),
            _ => None,
        };
        let rate = real(number).zip(factor).map(|(number, factor)| number * factor);
        rate.map(Self).ok_or_else(|| format!("{text:?} is not a rate such as 10, 0.5, 5k or 10/s"))
    }
}

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let share = match text.strip_suffix('%') {
            Some(number) => real(number).filter(|percent| *percent <= 100.0).map(Self::Percent),
            None => text.parse::<Count>().ok().map(|count| Self::Count(count.0)),
        };
        share.ok_or_else(|| {
            format!("{text:?} is not a share such as 1%, 0.5% or a count such as 10")
        })
    }
}

/// Digits (and a point), and the unit behind them.
fn split(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    text.split_at(end)
}

/// A number of digits and at most one point: no sign, no exponent.
fn real(digits: &str) -> Option<f64> {
    digits.starts_with(|c: char| c.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// A whole number after multiplying; exact where there is no point.
fn scaled(digits: &str, factor: u64) -> Option<u64> {
    let Some((whole, fraction)) = digits.split_once('.') else {
        return digits.parse::<u64>().ok()?.checked_mul(factor);
    };
    let places = u32::try_from(fraction.len()).ok().filter(|places| (1..=6).contains(places))?;
    let parts = whole.parse::<u64>().ok()?.checked_mul(factor)?;
    let more = fraction.parse::<u64>().ok()?.checked_mul(factor)?;
    let unit = 10_u64.pow(places);
    (more % unit == 0).then(|| parts.checked_add(more / unit))?
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}us", self.0.as_micros())
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => count.fmt(f),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_usual_suffixes_are_taken() {
        for (text, count) in [("7", 7), ("10k", 10_000), ("2m", 2_000_000), ("1.5k", 1_500)] {
            assert_eq!(text.parse(), Ok(Count(count)));
        }
        for (text, us) in
            [("250us", 250), ("0.5s", 500_000), ("5m", 300_000_000), ("1h", 3_600_000_000)]
        {
            assert_eq!(text.parse(), Ok(Time(Duration::from_micros(us))));
        }
        for (text, bytes) in [("256", 256), ("64KiB", 65_536), ("1MiB", 1 << 20), ("10kB", 10_000)]
        {
            assert_eq!(text.parse(), Ok(Bytes(bytes)));
        }
        assert_eq!(
            [" 5k", "5k", "0.5", "10/s"].map(|text| text.parse().ok()),
            [None, Some(Rate(5e3)), Some(Rate(0.5)), Some(Rate(10.0))]
        );
        assert_eq!(["0.5%", "10"].map(|text| text.parse::<Share>().unwrap().of(1_000)), [5, 10]);
        assert_eq!(
            ["0.001%", "0%", "100%"].map(|text| text.parse::<Share>().unwrap().of(1_000)),
            [1, 0, 1_000]
        );
    }

    #[test]
    fn what_is_no_value_is_refused_with_an_example() {
        for bad in ["", "k", "-1", "+1", "1.2345k", "10x", "18446744073709551615k", "1.5", "1e3"] {
            assert!(bad.parse::<Count>().unwrap_err().contains("such as"), "{bad}");
        }
        for bad in ["", "s", "30", "-1s", "30 s", "721h", "99999999999999999999h", "1.2.3s"] {
            assert!(bad.parse::<Time>().unwrap_err().contains("such as"), "{bad}");
        }
        assert!("720h".parse::<Time>().is_ok());
        for bad in ["100.1%", "-1%", "%", "1.5"] {
            assert!(bad.parse::<Share>().unwrap_err().contains("such as"), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_without_a_panic(text in ".{0,12}") {
            let _ = (text.parse::<Count>(), text.parse::<Time>(), text.parse::<Rate>());
            let _ = (text.parse::<Bytes>(), text.parse::<Share>());
        }

        #[test]
        fn values_come_back_from_their_text(number in 0_u64..1 << 40, percent in 0.0..100.0_f64) {
            prop_assert_eq!(Count(number).to_string().parse(), Ok(Count(number)));
            prop_assert_eq!(Bytes(number).to_string().parse(), Ok(Bytes(number)));
            let share = Share::Percent(percent);
            prop_assert_eq!(share.to_string().parse(), Ok(share));
        }
    }
}
