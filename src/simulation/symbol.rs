//! What is traded and where its price moves, as a value and as text: `BTC-USD:42000:1000`.

use super::market::PRICE_MAX;
use crate::event::{Cents, is_segment};
use std::fmt;
use std::str::FromStr;

/// Something traded, and where its price moves.
///
/// As text it is `NAME:MIDDLE:BAND`, both amounts in dollars with up to two decimals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Symbol {
    /// A segment of a topic: `BTC-USD`.
    pub name: Box<str>,
    /// The price it starts at and reverts to; from 0 to ten billion dollars.
    pub middle: Cents,
    /// The farthest the price goes from there; from 0 to `middle`.
    pub half_width: Cents,
}

/// Text that is no [`Symbol`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotASymbol;

impl Symbol {
    /// A symbol whose price stays within `half_width` of `middle`, both in whole dollars.
    #[must_use]
    pub fn new(name: &str, middle: u32, half_width: u32) -> Self {
        let cents = |dollars: u32| Cents(i64::from(dollars) * 100);
        Self { name: name.into(), middle: cents(middle), half_width: cents(half_width) }
    }
}

impl fmt::Display for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.name, Dollars(self.middle), Dollars(self.half_width))
    }
}

impl fmt::Display for NotASymbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a symbol such as `BTC-USD:42000:1000`, name, middle and band in dollars")
    }
}

impl std::error::Error for NotASymbol {}

impl FromStr for Symbol {
    type Err = NotASymbol;

    /// Takes what stands within the limits of the fields and nothing else.
    fn from_str(text: &str) -> Result<Self, NotASymbol> {
        let mut parts = text.split(':');
        let (Some(name), Some(middle), Some(half_width), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(NotASymbol);
        };
        let amounts = cents(middle).zip(cents(half_width));
        let (middle, half_width) = amounts.ok_or(NotASymbol)?;
        if !is_segment(name)
            || name.len() > NAME_BYTES_MAX
            || middle > PRICE_MAX
            || half_width > middle
        {
            return Err(NotASymbol);
        }
        Ok(Self { name: name.into(), middle, half_width })
    }
}

/// Longest name: with the longest kind of topic before it, it is a topic still.
const NAME_BYTES_MAX: usize = 64;

/// Dollars as they are written: without decimals where there are no cents.
struct Dollars(Cents);

impl fmt::Display for Dollars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.0 / 100, self.0.0 % 100) {
            (dollars, 0) => write!(f, "{dollars}"),
            (dollars, cents) => write!(f, "{dollars}.{cents:02}"),
        }
    }
}

/// Dollars with up to two decimals, as cents; `None` for anything else, signs included.
fn cents(text: &str) -> Option<Cents> {
    let (dollars, cents) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(dollars) || !digits(cents) || !(1..=2).contains(&cents.len()) {
        return None;
    }
    let tens = if cents.len() == 1 { 10 } else { 1 };
    let whole = dollars.parse::<i64>().ok()?.checked_mul(100)?;
    whole.checked_add(cents.parse::<i64>().ok()? * tens).map(Cents)
}

#[cfg(test)]
mod tests {
    use super::{NAME_BYTES_MAX, NotASymbol, Symbol};
    use crate::event::Cents;
    use proptest::prelude::*;

    #[test]
    fn s14_a_symbol_is_read_from_its_name_its_middle_and_its_band() {
        assert_eq!("BTC-USD:42000:1000".parse(), Ok(Symbol::new("BTC-USD", 42_000, 1_000)));
        let odd: Symbol = "a_b.c:0.5:0.05".parse().expect("cents");
        assert_eq!((odd.middle, odd.half_width), (Cents(50), Cents(5)));
        assert_eq!(odd.to_string(), "a_b.c:0.50:0.05");
        for text in [
            "",
            "A",
            "A:1",
            "A:1:1:1",
            ":1:1",
            "A::1",
            "A:1:",
            "A B:1:1",
            "A:-1:0",
            "A:+1:1",
            "A:1.:1",
            "A:.5:0",
            "A:1.005:1",
            "A:1e3:1",
            "A:99999999999999999999:1",
        ] {
            assert_eq!(text.parse::<Symbol>(), Err(NotASymbol), "{text}");
        }
    }

    #[test]
    fn names_prices_and_bands_reach_their_limits_and_no_further() {
        let is_symbol = |text: &str| text.parse::<Symbol>().is_ok();
        for (length, is_right) in [(1, true), (NAME_BYTES_MAX, true), (NAME_BYTES_MAX + 1, false)] {
            assert_eq!(is_symbol(&format!("{}:1:1", "A".repeat(length))), is_right, "{length}");
        }
        for (text, is_right) in [
            ("A:9999999999.99:0", true),
            ("A:10000000000:0", true),
            ("A:10000000000.01:0", false),
            ("A:5:4.99", true),
            ("A:5:5", true),
            ("A:5:5.01", false),
            ("A:0:0", true),
        ] {
            assert_eq!(is_symbol(text), is_right, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_so_that_it_reads_the_same(text in "[A-Z:.0-9-]{0,24}|.{0,24}") {
            if let Ok(symbol) = text.parse::<Symbol>() {
                prop_assert_eq!(symbol.to_string().parse(), Ok(symbol));
            }
        }

        #[test]
        fn every_symbol_within_the_limits_survives_being_written(
            name in "[A-Za-z0-9._-]{1,64}", middle in 0_i64..=1_000_000_000_000, part in 0_i64..=100,
        ) {
            let half_width = Cents(middle / 100 * part);
            let symbol = Symbol { name: name.into(), middle: Cents(middle), half_width };
            prop_assert_eq!(symbol.to_string().parse(), Ok(symbol));
        }
    }
}
