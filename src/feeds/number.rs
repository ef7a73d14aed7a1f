//! Numbers and times of feeds, exactly as they were written.
//!
//! Prices and quantities come as JSON strings or as JSON numbers; both are read from their text, never through a
//! float. Strict: no sign but `-`, no white space, no separators, no `NaN`. Nothing here rounds a price, and nothing
//! panics.

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::counts::Reason;

/// Prices and quantities stay below this, so that their product can be kept exactly or nearly so, and never
/// overflows.
const VALUE_MAX: u64 = 100_000_000_000_000;
/// The longest text of a number.
const TEXT_BYTES_MAX: usize = 48;
/// Times lie before the year 10000: later ones cannot be written as dates.
const TIME_US_MAX: u64 = 253_402_300_800_000_000;

const DAYS_TO_1970: i64 = 719_468;

/// A JSON value that should be a number, or a string that holds one.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct Number<'a>(#[serde(borrow)] &'a RawValue);

impl<'a> Number<'a> {
    /// The text without quotes. Escapes stay, and then are no number.
    fn text(&self) -> &'a str {
        let text = self.0.get();
        text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text)
    }

    /// Whether it is the empty string: how some feeds write that there is no value.
    fn is_empty(&self) -> bool {
        self.text().is_empty()
    }

    /// Above zero.
    pub(super) fn positive(&self) -> Result<Decimal, Reason> {
        let value = decimal(self.text())?;
        if value.is_zero() || value.is_sign_negative() { Err(Reason::Sign) } else { Ok(value) }
    }

    /// Zero or above.
    pub(super) fn not_negative(&self) -> Result<Decimal, Reason> {
        let value = decimal(self.text())?;
        if value.is_sign_negative() { Err(Reason::Sign) } else { Ok(value) }
    }

    /// A whole number: an id of the venue.
    pub(super) fn integer(&self) -> Result<u64, Reason> {
        integer(self.text()).ok_or(Reason::Number)
    }

    /// Milliseconds since the Unix epoch, as microseconds.
    pub(super) fn time_us_of_ms(&self) -> Result<u64, Reason> {
        in_time(integer(self.text()).and_then(|ms| ms.checked_mul(1_000)))
    }

    /// Seconds since the Unix epoch with a fraction, as microseconds; finer parts are cut off.
    pub(super) fn time_us_of_seconds(&self) -> Result<u64, Reason> {
        let seconds = decimal(self.text()).map_err(|_| Reason::Time)?;
        in_time(seconds.checked_mul(Decimal::from(1_000_000)).and_then(|us| us.to_u64()))
    }
}

/// One side of a quote: none where there is no price, or a price of zero.
pub(super) fn side(
    price: Option<&Number<'_>>,
    quantity: Option<&Number<'_>>,
) -> Result<Option<(Decimal, Decimal)>, Reason> {
    let Some(price) = price.filter(|price| !price.is_empty()) else {
        return Ok(None);
    };
    let price = price.not_negative()?;
    let quantity = match quantity.filter(|quantity| !quantity.is_empty()) {
        Some(quantity) => quantity.not_negative()?,
        None => Decimal::ZERO,
    };
    Ok((!price.is_zero()).then_some((price, quantity)))
}

/// `2021-04-17T16:43:30.244075Z` as microseconds since the Unix epoch; finer parts are cut off. The fraction may be
/// missing.
pub(super) fn time_us_of_date(text: &str) -> Result<u64, Reason> {
    in_time(date_us(text))
}

fn date_us(text: &str) -> Option<u64> {
    let text = text.strip_suffix('Z')?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let (date, time) = whole.split_once('T')?;
    let [year, month, day] = fields(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = fields(time, ':', [2, 2, 2])?;
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days_in_month = match month {
        4 | 6 | 9 | 11 => 30,
        2 => 28 + u64::from(is_leap),
        _ => 31,
    };
    // A leap second is the second after it, as in the time of the epoch.
    let is_valid = (1..=12).contains(&month)
        && (1..=days_in_month).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    if !is_valid || fraction.is_empty() || fraction.len() > 9 {
        return None;
    }
    let fraction_us = integer(fraction)? * 10_u64.pow(9 - u32::try_from(fraction.len()).ok()?);
    let seconds = ((days_since_1970(year, month, day)? * 24 + hour) * 60 + minute) * 60 + second;
    Some(seconds * 1_000_000 + fraction_us / 1_000)
}

/// Three numbers of fixed widths.
fn fields(text: &str, separator: char, widths: [usize; 3]) -> Option<[u64; 3]> {
    let mut parts = text.split(separator);
    let mut values = [0; 3];
    for (value, width) in values.iter_mut().zip(widths) {
        *value = integer(parts.next().filter(|part| part.len() == width)?)?;
    }
    parts.next().is_none().then_some(values)
}

/// Days of the Gregorian calendar, counted in years that begin in March, so that the leap day is the last one.
fn days_since_1970(year: u64, month: u64, day: u64) -> Option<u64> {
    let (year, month) =
        if month > 2 { (year, month - 3) } else { (year.checked_sub(1)?, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    u64::try_from(i64::try_from(days).ok()? - DAYS_TO_1970).ok()
}

fn in_time(time_us: Option<u64>) -> Result<u64, Reason> {
    time_us.filter(|time_us| *time_us < TIME_US_MAX).ok_or(Reason::Time)
}

/// Digits only.
fn integer(text: &str) -> Option<u64> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

fn decimal(text: &str) -> Result<Decimal, Reason> {
    if text.len() > TEXT_BYTES_MAX || !is_number(text) {
        return Err(Reason::Number);
    }
    let value = match text.find(['e', 'E']) {
        None => Decimal::from_str_exact(text),
        // Read twice: with an exponent the library rounds digits that do not fit.
        Some(at) => {
            Decimal::from_str_exact(&text[..at]).and_then(|_| Decimal::from_scientific(text))
        }
    };
    value.ok().filter(|value| value.abs() < Decimal::from(VALUE_MAX)).ok_or(Reason::Number)
}

/// Whether it is a number as JSON writes them (leading zeros are forgiven).
fn is_number(text: &str) -> bool {
    let digits = |text: &mut &str| {
        let rest = text.trim_start_matches(|c: char| c.is_ascii_digit());
        let is_any = rest.len() < text.len();
        *text = rest;
        is_any
    };
    let mut rest = text.strip_prefix('-').unwrap_or(text);
    if !digits(&mut rest) {
        return false;
    }
    if let Some(fraction) = rest.strip_prefix('.') {
        rest = fraction;
        if !digits(&mut rest) {
            return false;
        }
    }
    if let Some(exponent) = rest.strip_prefix(['e', 'E']) {
        rest = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        if !digits(&mut rest) {
            return false;
        }
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn number(json: &str) -> Number<'_> {
        serde_json::from_str(json).expect("the test writes JSON")
    }

    fn positive(json: &str) -> Result<String, Reason> {
        number(json).positive().map(|value| value.to_string())
    }

    #[test]
    fn numbers_are_kept_as_they_were_written() {
        for (json, expected) in [
            (r#""61837.63000000""#, "61837.63000000"),
            ("0.00001814", "0.00001814"),
            ("1.814e-5", "0.00001814"),
            ("1E2", "100"),
            ("439", "439"),
            (r#""99999999999999.99999999999999""#, "99999999999999.99999999999999"),
        ] {
            assert_eq!(positive(json).as_deref(), Ok(expected), "{json}");
        }
    }

    #[test]
    fn what_is_no_exact_number_in_range_is_refused() {
        for json in [
            r#""NaN""#,
            r#""inf""#,
            r#""+1""#,
            r#""1_000""#,
            r#"" 1""#,
            r#""1.""#,
            r#"".5""#,
            r#""1e""#,
            r#""0x10""#,
            r#""\u0031""#,
            r#""""#,
            "null",
            "true",
            "[1]",
            "1e400",
            "1e-400",
            "1e4294967296",
            "100000000000000",
            "1234567890123456789012345678901",
            "0.00000000000000000000000000001",
            "1.23456789012345678901234567890e1",
        ] {
            assert_eq!(positive(json), Err(Reason::Number), "{json}");
        }
        for json in ["0", "0.00", "-1", "-0.0", r#""-5""#] {
            assert_eq!(positive(json), Err(Reason::Sign), "{json}");
        }
        assert!(number("0.0").not_negative().is_ok());
        assert_eq!(number("-0.1").not_negative(), Err(Reason::Sign));
    }

    #[test]
    fn integers_and_times_are_whole_and_in_range() {
        assert_eq!(number("18446744073709551615").integer(), Ok(u64::MAX));
        for json in ["18446744073709551616", "-1", "1.0", "1e3", r#""""#, r#""x""#, "null"] {
            assert!(number(json).integer().is_err(), "{json}");
        }
        assert_eq!(number(r#""1652459199958""#).time_us_of_ms(), Ok(1_652_459_199_958_000));
        assert_eq!(number("253402300799999").time_us_of_ms(), Ok(253_402_300_799_999_000));
        assert_eq!(number("253402300800000").time_us_of_ms(), Err(Reason::Time));
        assert_eq!(number("18446744073709551615").time_us_of_ms(), Err(Reason::Time));
        assert_eq!(number("-1").time_us_of_ms(), Err(Reason::Time));
        assert_eq!(
            number(r#""1618678142.5575359""#).time_us_of_seconds(),
            Ok(1_618_678_142_557_535)
        );
        assert_eq!(number("-1").time_us_of_seconds(), Err(Reason::Time));
    }

    #[test]
    fn dates_are_read_to_the_microsecond() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2021-04-17T16:43:30.244075Z", 1_618_677_810_244_075),
            ("2021-07-22T22:36:10.014Z", 1_626_993_370_014_000),
            ("2000-02-29T23:59:59.9999999Z", 951_868_799_999_999),
            ("9999-12-31T23:59:59.999999Z", TIME_US_MAX - 1),
        ] {
            assert_eq!(time_us_of_date(text), Ok(expected), "{text}");
        }
        for text in [
            "",
            "Z",
            "T",
            "2021-04-17",
            "2021-04-17T16:43:30",
            "2021-04-17T16:43:30.Z",
            "2021-02-29T00:00:00Z",
            "2100-02-29T00:00:00Z",
            "2021-13-01T00:00:00Z",
            "2021-00-01T00:00:00Z",
            "2021-01-00T00:00:00Z",
            "2021-01-32T00:00:00Z",
            "2021-01-01T24:00:00Z",
            "2021-01-01T00:60:00Z",
            "2021-01-01T00:00:61Z",
            "1969-12-31T23:59:59Z",
            "0000-01-01T00:00:00Z",
            "21-01-01T00:00:00Z",
            "+021-01-01T00:00:00Z",
            "2021-01-01T00:00:00.0000000000Z",
            "2021-01-01T00:00:00+00:00",
            "2021-01-01-01T00:00:00Z",
        ] {
            assert_eq!(time_us_of_date(text), Err(Reason::Time), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[-+0-9.eE_]{0,40}|.{0,60}") {
            if let Ok(value) = decimal(&text) {
                prop_assert!(value.abs() < Decimal::from(VALUE_MAX));
                prop_assert!(text.parse::<f64>().is_ok(), "{text}");
            }
            let _ = time_us_of_date(&text);
        }

        #[test]
        fn plain_decimals_survive_exactly(whole in 0_u64..VALUE_MAX, fraction in "[0-9]{1,14}") {
            let text = format!("{whole}.{fraction}");
            prop_assert_eq!(decimal(&text).map(|value| value.to_string()), Ok(text));
        }

        #[test]
        fn times_of_dates_agree_with_counting_days(days in 0_u64..2_932_896, us in 0_u64..86_400_000_000) {
            // Walks the calendar year by year and month by month.
            let (mut year, mut left) = (1970_u64, days);
            let is_leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
            while left >= 365 + u64::from(is_leap(year)) {
                left -= 365 + u64::from(is_leap(year));
                year += 1;
            }
            let mut month = 0;
            let lengths = [31, 28 + u64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
            while left >= lengths[month] {
                left -= lengths[month];
                month += 1;
            }
            let (s, fraction) = (us / 1_000_000, us % 1_000_000);
            let text = format!(
                "{year:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{fraction:06}Z",
                month + 1, left + 1, s / 3600, s / 60 % 60, s % 60
            );
            prop_assert_eq!(time_us_of_date(&text), Ok(days * 86_400_000_000 + us), "{}", text);
        }
    }
}
