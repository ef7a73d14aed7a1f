//! Figures in words: four digits at most, and a unit.

/// Microseconds as `0.67 us`, `85 us`, `1.24 ms`, `12.3 s`.
#[must_use]
pub fn time_text(us: f64) -> String {
    match us {
        us if us.fract() != 0.0 && us < 1e2 => format!("{} us", digits(us)),
        us if us < 1e3 => format!("{us:.0} us"),
        us if us < 1e6 => format!("{} ms", digits(us / 1e3)),
        us => format!("{} s", digits(us / 1e6)),
    }
}

/// A number as `0.95`, `960`, `12,345`, `1.23 M`.
#[must_use]
pub fn number_text(number: f64) -> String {
    match number {
        number if number.fract() != 0.0 && number < 1e3 => digits(number),
        number if number < 1e7 => grouped(number),
        number if number < 1e10 => format!("{} M", digits(number / 1e6)),
        number => format!("{} G", digits(number / 1e9)),
    }
}

/// Three digits; the limits are where rounding makes a fourth.
fn digits(number: f64) -> String {
    match number {
        number if number < 9.995 => format!("{number:.2}"),
        number if number < 99.95 => format!("{number:.1}"),
        number => format!("{number:.0}"),
    }
}

/// Whole, with a comma before each three digits.
fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Text from outside, for a terminal: what would move the cursor or change a colour is shown as a mark.
#[must_use]
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short_and_have_a_unit() {
        for (us, text) in [
            (0.0, "0 us"),
            (0.672, "0.67 us"),
            (12.0, "12 us"),
            (12.34, "12.3 us"),
            (999.0, "999 us"),
            (1_240.0, "1.24 ms"),
            (9_994.0, "9.99 ms"),
            (9_995.0, "10.0 ms"),
            (85_000.0, "85.0 ms"),
            (99_949.0, "99.9 ms"),
            (99_950.0, "100 ms"),
            (999_999.0, "1000 ms"),
            (12_300_000.0, "12.3 s"),
        ] {
            assert_eq!(time_text(us), text);
        }
        for (number, text) in [
            (0.95, "0.95"),
            (960.0, "960"),
            (12_345.0, "12,345"),
            (6_000_000.0, "6,000,000"),
            (12_300_000.0, "12.3 M"),
            (123_456_789_012.0, "123 G"),
        ] {
            assert_eq!(number_text(number), text);
        }
    }

    #[test]
    fn text_from_outside_cannot_command_a_terminal() {
        assert_eq!(
            printable("t:\u{e9} \u{1b}[2J\r\n\u{9b}"),
            "t:\u{e9} \u{fffd}[2J\u{fffd}\u{fffd}\u{fffd}"
        );
    }
}
