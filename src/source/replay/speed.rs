//! How fast a recording is replayed: a factor on its own pace, or as fast as everybody can follow.
//!
//! Text in, value out; knows neither clocks nor files.

use std::fmt;
use std::str::FromStr;

/// The slowest pace that can be asked for: a second of recording in 1,000 seconds.
pub const FACTOR_MIN: f64 = 0.001;
/// The fastest pace that can be asked for; beyond it `max` is what is meant.
pub const FACTOR_MAX: f64 = 1_000.0;

/// The pace of a replay.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Speed {
    /// The recording's own pace times this factor, from [`FACTOR_MIN`] to [`FACTOR_MAX`].
    Paced(f64),
    /// Without a pace, held back only by the slowest reader, so that the recording arrives whole.
    Max,
}

impl Default for Speed {
    /// The pace at which it was recorded.
    fn default() -> Self {
        Self::Paced(1.0)
    }
}

impl Speed {
    /// Whether a factor that was not parsed from text lies in the allowed range.
    pub(super) fn is_valid(self) -> bool {
        match self {
            Self::Paced(factor) => (FACTOR_MIN..=FACTOR_MAX).contains(&factor),
            Self::Max => true,
        }
    }
}

impl fmt::Display for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Paced(factor) => write!(f, "{factor}x"),
            Self::Max => f.write_str("max"),
        }
    }
}

/// A text that is not a speed; its message names the forms that are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadSpeed(String);

impl fmt::Display for BadSpeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "speed {:?} is neither `max` nor a factor from {FACTOR_MIN}x to {FACTOR_MAX}x such as `1x`, `10x`, `0.5x`",
            self.0
        )
    }
}

impl std::error::Error for BadSpeed {}

impl FromStr for Speed {
    type Err = BadSpeed;

    fn from_str(text: &str) -> Result<Self, BadSpeed> {
        if text == "max" {
            return Ok(Self::Max);
        }
        let bad = || BadSpeed(text.to_owned());
        let number = text.strip_suffix('x').ok_or_else(bad)?;
        // Digits and a point only: signs, exponents, `inf` and `nan` are floats too, but nobody's pace.
        if !number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
            return Err(bad());
        }
        let speed = Self::Paced(number.parse().map_err(|_| bad())?);
        if speed.is_valid() { Ok(speed) } else { Err(bad()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_and_max_are_understood_and_shown_as_they_were_written() {
        for (text, speed) in [
            ("1x", Speed::Paced(1.0)),
            ("10x", Speed::Paced(10.0)),
            ("0.5x", Speed::Paced(0.5)),
            ("max", Speed::Max),
        ] {
            assert_eq!(text.parse(), Ok(speed));
            assert_eq!(speed.to_string(), text);
        }
    }

    #[test]
    fn the_range_of_factors_is_closed_at_both_ends() {
        for inside in ["0.001x", "0.0010001x", "999.999x", "1000x"] {
            assert!(inside.parse::<Speed>().is_ok(), "{inside}");
        }
        for outside in ["0x", "0.000999x", "1000.001x", "1001x"] {
            assert!(outside.parse::<Speed>().is_err(), "{outside}");
        }
    }

    #[test]
    fn what_is_not_a_speed_is_named_in_the_error_with_the_forms_that_are() {
        for bad in [
            "", "x", "10", "-1x", "+1x", "1e2x", "infx", "nanx", "1.2.3x", ".x", "1x ", "MAX", "1X",
        ] {
            let message = bad.parse::<Speed>().unwrap_err().to_string();
            assert!(message.contains(&format!("{bad:?}")), "{message}");
            assert!(message.contains("max") && message.contains("0.5x"), "{message}");
        }
    }
}
