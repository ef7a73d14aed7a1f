//! Numbers in messages of any shape, found by the names of their fields: time stamps, sequence, topic.
//!
//! A field is found where its quoted name and a colon first stand, at any depth, so a message needs no schema and is
//! not parsed (some 30 ns per field for 200 bytes). A name that also occurs inside a string before its field misleads
//! it; servers that time their events put the stamp first.

use std::time::Duration;

use memchr::memmem::Finder;
use serde::{Deserialize, Serialize};

use super::number::leading;

/// The unit of a time stamp.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum TimeUnit {
    /// Nanoseconds since the Unix epoch.
    #[default]
    Ns,
    /// Microseconds.
    Us,
    /// Milliseconds, with or without a fraction.
    Ms,
    /// Seconds, with or without a fraction.
    S,
}

impl TimeUnit {
    /// Nanoseconds in one.
    #[must_use]
    pub fn ns(self) -> u64 {
        let unit = match self {
            Self::Ns => Duration::from_nanos(1),
            Self::Us => Duration::from_micros(1),
            Self::Ms => Duration::from_millis(1),
            Self::S => Duration::from_secs(1),
        };
        u64::try_from(unit.as_nanos()).unwrap_or(u64::MAX)
    }
}

/// Names of the fields that say when, which and where.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldNames {
    /// When the event was due (or published).
    pub time: Option<String>,
    /// In which unit.
    pub time_unit: TimeUnit,
    /// When it was published, where `time` is when it was due; same unit.
    pub sent: Option<String>,
    /// Its number; each follows the one before by one.
    pub seq: Option<String>,
    /// What the number counts within; none: the whole stream.
    pub topic: Option<String>,
}

/// A field that is looked for in every message.
#[derive(Debug, Clone)]
pub struct Field(Finder<'static>);

impl Field {
    /// The field of this name.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(Finder::new(format!("\"{name}\":").as_bytes()).into_owned())
    }

    /// Its value's text and everything after it.
    fn value<'a>(&self, text: &'a [u8]) -> Option<&'a [u8]> {
        let at = self.0.find(text)? + self.0.needle().len();
        Some(text[at..].trim_ascii_start())
    }

    /// Its value as a whole number, quoted or not.
    #[must_use]
    pub fn number(&self, text: &[u8]) -> Option<u64> {
        let value = self.value(text)?;
        leading(value.strip_prefix(b"\"").unwrap_or(value)).map(|(number, _)| number)
    }

    /// Its value as a time in nanoseconds, with or without a fraction, quoted or not.
    #[must_use]
    pub fn time_ns(&self, text: &[u8], unit: TimeUnit) -> Option<u64> {
        let value = self.value(text)?;
        let (whole, rest) = leading(value.strip_prefix(b"\"").unwrap_or(value))?;
        let mut ns = whole.checked_mul(unit.ns())?;
        let mut place_ns = unit.ns();
        for digit in rest.strip_prefix(b".").unwrap_or_default() {
            if !digit.is_ascii_digit() || place_ns < 10 {
                break;
            }
            place_ns /= 10;
            ns += u64::from(digit - b'0') * place_ns;
        }
        Some(ns)
    }

    /// Its value as text without quotes; escapes stay as they are.
    #[must_use]
    pub fn text<'a>(&self, text: &'a [u8]) -> Option<&'a str> {
        let value = self.value(text)?;
        let end = match value.strip_prefix(b"\"") {
            Some(inside) => {
                return std::str::from_utf8(&inside[..memchr::memchr(b'"', inside)?]).ok();
            }
            None => value.iter().position(|byte| b",}] ".contains(byte))?,
        };
        std::str::from_utf8(&value[..end]).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fields_are_found_at_any_depth_quoted_or_not() {
        let text = br#"{"e":"trade","data":{"s":"BTC","n": 12,"t":"1700000000123","f":1700000000.25,"m":17.5}}"#;
        assert_eq!(Field::new("n").number(text), Some(12));
        assert_eq!(Field::new("t").number(text), Some(1_700_000_000_123));
        assert_eq!(Field::new("s").text(text), Some("BTC"));
        assert_eq!(Field::new("n").text(text), Some("12"));
        let seconds = Field::new("f").time_ns(text, TimeUnit::S);
        assert_eq!(seconds, Some(1_700_000_000_250_000_000));
        assert_eq!(Field::new("m").time_ns(text, TimeUnit::Ms), Some(17_500_000));
        assert_eq!(Field::new("m").time_ns(text, TimeUnit::Ns), Some(17));
        assert_eq!(Field::new("x").number(text), None);
        assert_eq!(Field::new("s").number(text), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_searched_without_a_panic(before: Vec<u8>, after: Vec<u8>) {
            let text = [&before[..], b"\"n\":", &after[..]].concat();
            for unit in [TimeUnit::Ns, TimeUnit::Us, TimeUnit::Ms, TimeUnit::S] {
                let _ = Field::new("n").time_ns(&text, unit);
            }
            let _ = (Field::new("n").number(&text), Field::new("n").text(&text));
        }

        #[test]
        fn a_number_is_found_among_other_fields(number: u64, name in "[a-z]{1,8}") {
            let text = format!(r#"{{"0":1,"{name}":{number},"pad":"x"}}"#);
            prop_assert_eq!(Field::new(&name).number(text.as_bytes()), Some(number));
        }
    }
}
