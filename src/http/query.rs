//! The query of a request: its parameters in order, percent-decoded.
//!
//! Never: what a parameter means. Total: whatever the bytes, something is read, and what is not UTF-8 becomes the
//! replacement character, which no name or number contains. `+` stays what it is.

use percent_encoding::percent_decode_str;
use std::borrow::Cow;

/// Name and value of each parameter; the value of one without `=` is empty.
pub fn parameters(query: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    query.split('&').filter(|parameter| !parameter.is_empty()).map(|parameter| {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        (decoded(name), decoded(value))
    })
}

/// The text that percent signs stand for.
pub fn decoded(text: &str) -> Cow<'_, str> {
    percent_decode_str(text).decode_utf8_lossy()
}

#[cfg(test)]
mod tests {
    use super::*;
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use proptest::prelude::*;

    fn read(query: &str) -> Vec<(String, String)> {
        parameters(query).map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
    }

    #[test]
    fn parameters_come_in_order_and_decoded() {
        let expected =
            [("a", "1,2"), ("b", ""), ("", "c"), ("é", "x=y"), ("d", "+"), ("e", "%zz\u{fffd}")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(read("a=1%2c2&b&&=c&%C3%A9=x=y&d=+&e=%zz%ff"), expected);
        assert_eq!(read(""), []);
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_read_again(pairs in prop::collection::vec((".{1,9}", ".{0,9}"), 0..6)) {
            let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
            let encoded: Vec<String> = pairs
                .iter()
                .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
                .collect();
            prop_assert_eq!(read(&encoded.join("&")), pairs);
        }

        #[test]
        fn any_text_is_read(query in ".{0,64}") {
            prop_assert!(read(&query).len() <= query.matches('&').count() + 1);
        }
    }
}
