//! Trades and quotes as payloads of events.
//!
//! ```text
//! {"symbol":"BTC-USD","price":42000.50,"quantity":0.25,"side":"buy","time_us":1738512000123456,"id":7}
//! {"symbol":"BTC-USD","bid":42000.49,"bid_quantity":0.25,"ask":42000.51,"ask_quantity":0.08,"time_us":1738512000123456}
//! ```
//!
//! `side` is that of who took liquidity. A trade without a number has no `id`, a quote without a bid or an ask has null
//! in its place. Decimals of a real feed are strings with every digit that counts, those of the simulation numbers with
//! two. Nothing is read back; called once per event by whoever encodes.

use super::{Payload, Quote, Tick};
use rust_decimal::Decimal;
use std::io::Write as _;

/// Why writing cannot fail.
const TAKES_EVERYTHING: &str = "a vector takes everything";

impl Payload for Tick {
    fn write_json(&self, out: &mut Vec<u8>) {
        write_symbol(out, &self.symbol);
        write_amount(out, "price", Some(self.price), self.is_simulated);
        write_amount(out, "quantity", Some(self.quantity), self.is_simulated);
        let side = if self.is_taker_buy { "buy" } else { "sell" };
        write!(out, r#","side":"{side}","time_us":{}"#, self.time_us).expect(TAKES_EVERYTHING);
        if let Some(id) = self.id {
            write!(out, r#","id":{id}"#).expect(TAKES_EVERYTHING);
        }
        out.push(b'}');
    }
}

impl Payload for Quote {
    fn write_json(&self, out: &mut Vec<u8>) {
        write_symbol(out, &self.symbol);
        for (side, names) in
            [(self.bid, ["bid", "bid_quantity"]), (self.ask, ["ask", "ask_quantity"])]
        {
            write_amount(out, names[0], side.map(|(price, _)| price), self.is_simulated);
            write_amount(out, names[1], side.map(|(_, quantity)| quantity), self.is_simulated);
        }
        write!(out, r#","time_us":{}}}"#, self.time_us).expect(TAKES_EVERYTHING);
    }
}

fn write_symbol(out: &mut Vec<u8>, symbol: &str) {
    out.extend_from_slice(br#"{"symbol":"#);
    serde_json::to_writer(out, symbol).expect(TAKES_EVERYTHING);
}

fn write_amount(out: &mut Vec<u8>, name: &str, amount: Option<Decimal>, is_simulated: bool) {
    match amount {
        None => write!(out, r#","{name}":null"#),
        Some(amount) if is_simulated => write!(out, r#","{name}":{amount:.2}"#),
        Some(amount) => write!(out, r#","{name}":"{}""#, amount.normalize()),
    }
    .expect(TAKES_EVERYTHING);
}

#[cfg(test)]
mod tests {
    use super::{Decimal, Payload, Quote, Tick};

    fn json(payload: &impl Payload) -> String {
        let mut out = Vec::new();
        payload.write_json(&mut out);
        String::from_utf8(out).expect("text")
    }

    fn tick(is_simulated: bool, id: Option<u64>) -> Tick {
        Tick {
            symbol: "BTC\"USD".into(),
            price: Decimal::new(6_168_599_000_000, 8),
            quantity: Decimal::new(25, 2),
            time_us: 1_738_512_000_123_456,
            is_taker_buy: id.is_some(),
            id,
            is_simulated,
        }
    }

    #[test]
    fn a_trade_of_the_simulation_has_numbers_and_one_of_a_feed_exact_strings() {
        assert_eq!(
            json(&tick(true, Some(7))),
            r#"{"symbol":"BTC\"USD","price":61685.99,"quantity":0.25,"side":"buy","time_us":1738512000123456,"id":7}"#
        );
        assert_eq!(
            json(&tick(false, None)),
            r#"{"symbol":"BTC\"USD","price":"61685.99","quantity":"0.25","side":"sell","time_us":1738512000123456}"#
        );
    }

    #[test]
    fn a_quote_without_a_side_has_null_there() {
        let level = |price| Some((Decimal::new(price, 2), Decimal::new(8, 2)));
        let quote = |bid, ask, is_simulated| Quote {
            symbol: "X".into(),
            bid,
            ask,
            time_us: 5,
            is_simulated,
        };
        assert_eq!(
            json(&quote(level(4_200_050), level(4_200_060), true)),
            r#"{"symbol":"X","bid":42000.50,"bid_quantity":0.08,"ask":42000.60,"ask_quantity":0.08,"time_us":5}"#
        );
        assert_eq!(
            json(&quote(level(4_200_050), None, false)),
            r#"{"symbol":"X","bid":"42000.5","bid_quantity":"0.08","ask":null,"ask_quantity":null,"time_us":5}"#
        );
    }
}
