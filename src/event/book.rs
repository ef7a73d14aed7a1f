//! The top of a rebuilt order book: what `book:<symbol>` says.

use std::sync::Arc;

use rust_decimal::Decimal;
use serde::ser::{SerializeSeq as _, Serializer};

use super::Payload;

/// How many levels of each side are published.
pub const BOOK_LEVELS: usize = 10;

/// The best levels of an order book.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Book {
    /// As in [`Tick`](super::Tick).
    #[serde(serialize_with = "text")]
    pub symbol: Arc<str>,
    /// Whether every change since the last snapshot is in it. If not, the levels are those before the first change
    /// that is missing.
    #[serde(rename = "synchronised")]
    pub is_synchronised: bool,
    /// Price and quantity of at most [`BOOK_LEVELS`] bids, the highest price first.
    #[serde(serialize_with = "levels")]
    pub bids: Vec<(Decimal, Decimal)>,
    /// Price and quantity of at most [`BOOK_LEVELS`] asks, the lowest price first.
    #[serde(serialize_with = "levels")]
    pub asks: Vec<(Decimal, Decimal)>,
}

impl Payload for Book {
    fn write_json(&self, out: &mut Vec<u8>) {
        // Memory takes every byte, and nothing in a book can fail to be written.
        let _ = serde_json::to_writer(out, self);
    }
}

fn text<S: Serializer>(symbol: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(symbol)
}

/// Pairs of strings, without exponent and without trailing zeros.
fn levels<S: Serializer>(levels: &[(Decimal, Decimal)], serializer: S) -> Result<S::Ok, S::Error> {
    let mut list = serializer.serialize_seq(Some(levels.len()))?;
    for (price, quantity) in levels {
        list.serialize_element(&(price.normalize(), quantity.normalize()))?;
    }
    list.end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_book_is_written_as_exact_strings_in_the_protocols_order() {
        let level =
            |price: &str, quantity: &str| (price.parse().unwrap(), quantity.parse().unwrap());
        let book = Book {
            symbol: "BTCUSDT".into(),
            is_synchronised: true,
            bids: vec![level("61685.99000000", "1.00870000"), level("600", "0.00000001")],
            asks: vec![],
        };
        let mut json = Vec::new();
        book.write_json(&mut json);
        assert_eq!(
            String::from_utf8(json).unwrap(),
            r#"{"symbol":"BTCUSDT","synchronised":true,"bids":[["61685.99","1.0087"],["600","0.00000001"]],"asks":[]}"#
        );
    }
}
