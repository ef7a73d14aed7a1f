//! What one frame is, feed by feed: its kind, and the symbol it names.
//!
//! Pure functions of a parsed frame. They look at the few members that tell kinds apart and never at prices: a frame
//! of the right form with wrong numbers is still of its kind. What is valid but none of the kinds is control.
//!
//! | feed | how a frame names its kind and symbol |
//! |---|---|
//! | Binance | `{"stream":"btcusdt@trade","data":…}`; the REST snapshot of the book names neither |
//! | Coinbase | `{"type":"match","product_id":"BTC-USD",…}` |
//! | Kraken | `[channel id, payload…, "book-1000", "XBT/USD"]`: the last two elements |
//! | Kraken futures | `{"feed":"trade","product_id":"PI_XBTUSD",…}` without `event` |
//! | `BitMEX` | `{"table":"quote","action":"insert","data":[{"symbol":"XBTUSD",…}…]}` |
//! | OKX | `{"arg":{"channel":"trades","instId":"BTC-USDT"},"action"?,"data":[…]}` |

use simd_json::Tape;
use simd_json::prelude::ValueAsScalar as _;
use simd_json::tape::{Object, Value};

use super::feed::{Feed, Kind};
use crate::event::NAME_BYTES_MAX;

/// Longest symbol, so that its topics have names whatever feed and kind stand before it.
const SYMBOL_BYTES_MAX: usize = NAME_BYTES_MAX - "kraken-futures:snapshot:".len();

/// The kind of a frame of `feed`; puts the symbol that it names, if any, into `symbol`. A kind other than control
/// has a symbol: of this frame, or of one before it.
pub(super) fn classify(feed: Feed, tape: &Tape<'_>, symbol: &mut String) -> Kind {
    let value = tape.as_value();
    let kind = match feed {
        Feed::Binance => binance(value, symbol),
        Feed::Coinbase => coinbase(value, symbol),
        Feed::Kraken => kraken(value, symbol),
        Feed::KrakenFutures => kraken_futures(value, symbol),
        Feed::Bitmex => bitmex(value, symbol),
        Feed::Okx => okx(value, symbol),
    };
    kind.unwrap_or(Kind::Control)
}

fn binance(value: Value<'_, '_>, symbol: &mut String) -> Option<Kind> {
    let object = value.as_object()?;
    if let Some(stream) = object.get("stream") {
        let (of, channel) = stream.as_str()?.split_once('@')?;
        object.get("data")?;
        return named(of, binance_channel(channel)?, symbol);
    }
    let is_list = |key| object.get(key).is_some_and(|list| list.as_array().is_some());
    let is_snapshot = object.get("lastUpdateId").is_some() && is_list("bids") && is_list("asks");
    (is_snapshot && !symbol.is_empty()).then_some(Kind::Snapshot)
}

/// `trade`, `bookTicker`, `depth` and `depth@100ms` are market data; what else there is (aggregated trades,
/// partial books, candles) has other fields and must not be mistaken for them.
fn binance_channel(channel: &str) -> Option<Kind> {
    match channel {
        "trade" => Some(Kind::Trade),
        "bookTicker" => Some(Kind::Quote),
        "depth" => Some(Kind::Depth),
        _ => channel.starts_with("depth@").then_some(Kind::Depth),
    }
}

fn coinbase(value: Value<'_, '_>, symbol: &mut String) -> Option<Kind> {
    let object = value.as_object()?;
    let kind = match object.get("type")?.as_str()? {
        "match" => Kind::Trade,
        "ticker" => Kind::Quote,
        "l2update" => Kind::Depth,
        // The trade before the subscription stands for what was, as a book's snapshot does.
        "snapshot" | "last_match" => Kind::Snapshot,
        _ => return None,
    };
    named_by(&object, "product_id", kind, symbol)
}

fn kraken(value: Value<'_, '_>, symbol: &mut String) -> Option<Kind> {
    let array = value.as_array()?;
    let length = array.len();
    let (channel, pair) = (array.get(length.checked_sub(2)?)?, array.get(length - 1)?);
    let kind = match channel.as_str()? {
        "trade" => Kind::Trade,
        "ticker" => Kind::Quote,
        channel if channel.starts_with("book-") => {
            let payload = array.get(1)?;
            let sides = payload.as_object()?;
            let is_whole = sides.get("as").is_some() || sides.get("bs").is_some();
            if is_whole { Kind::Snapshot } else { Kind::Depth }
        }
        _ => return None,
    };
    named(pair.as_str()?, kind, symbol)
}

fn kraken_futures(value: Value<'_, '_>, symbol: &mut String) -> Option<Kind> {
    let object = value.as_object()?;
    if object.get("event").is_some() {
        return None;
    }
    let kind = match object.get("feed")?.as_str()? {
        "trade" => Kind::Trade,
        "ticker" | "ticker_lite" => Kind::Quote,
        "book" => Kind::Depth,
        "book_snapshot" | "trade_snapshot" => Kind::Snapshot,
        _ => return None,
    };
    named_by(&object, "product_id", kind, symbol)
}

fn bitmex(value: Value<'_, '_>, symbol: &mut String) -> Option<Kind> {
    let object = value.as_object()?;
    let (table, action) = (object.get("table")?, object.get("action")?);
    let kind = match (table.as_str()?, action.as_str()?) {
        // A partial quote is a quote; a partial book or trade stands for what was before the subscription.
        ("quote", _) => Kind::Quote,
        ("trade" | "orderBookL2", "partial") => Kind::Snapshot,
        ("trade", _) => Kind::Trade,
        ("orderBookL2", _) => Kind::Depth,
        _ => return None,
    };
    let first = object.get("data")?.as_array()?.get(0);
    let Some(first) = first else {
        // A table without rows still says whose it is.
        return named_by(&object.get("filter")?.as_object()?, "symbol", kind, symbol);
    };
    named_by(&first.as_object()?, "symbol", kind, symbol)
}

fn okx(value: Value<'_, '_>, symbol: &mut String) -> Option<Kind> {
    let object = value.as_object()?;
    if object.get("event").is_some() {
        return None;
    }
    object.get("data")?.as_array()?;
    let argument = object.get("arg")?.as_object()?;
    let kind = match argument.get("channel")?.as_str()? {
        "trades" => Kind::Trade,
        "tickers" => Kind::Quote,
        "books" if object.get("action")?.as_str()? == "snapshot" => Kind::Snapshot,
        "books" => Kind::Depth,
        _ => return None,
    };
    named_by(&argument, "instId", kind, symbol)
}

/// `kind`, if the member `key` names a symbol.
fn named_by(object: &Object<'_, '_>, key: &str, kind: Kind, symbol: &mut String) -> Option<Kind> {
    named(object.get(key)?.as_str()?, kind, symbol)
}

/// `kind`, if there is a symbol that a topic has room for: in upper case; characters that no topic may have become `-`.
fn named(text: &str, kind: Kind, symbol: &mut String) -> Option<Kind> {
    // Each character becomes one byte.
    if text.is_empty() || text.chars().count() > SYMBOL_BYTES_MAX {
        return None;
    }
    symbol.clear();
    symbol.extend(text.chars().map(|c| match c {
        'A'..='Z' | '0'..='9' | '.' | '_' | '-' => c,
        'a'..='z' => c.to_ascii_uppercase(),
        _ => '-',
    }));
    Some(kind)
}

#[cfg(test)]
mod tests {
    use super::super::feed::Frames;
    use super::*;

    fn topic(feed: Feed, frame: &str) -> String {
        let mut reader = Frames::of(feed);
        reader.read(&mut frame.as_bytes().to_vec()).expect("the frame is JSON");
        reader.topic().to_owned()
    }

    /// Frames of market data, and their topics.
    const NAMED: [(Feed, &str, &str); 25] = [
        (Feed::Coinbase, r#"{"type":"match","product_id":"A-B"}"#, "coinbase:trade:A-B"),
        (Feed::Coinbase, r#"{"type":"last_match","product_id":"A-B"}"#, "coinbase:snapshot:A-B"),
        (Feed::Coinbase, r#"{"type":"l2update","product_id":"A-B"}"#, "coinbase:depth:A-B"),
        (Feed::Coinbase, r#"{"type":"ticker","product_id":"A-B"}"#, "coinbase:quote:A-B"),
        (Feed::Coinbase, r#"{"type":"snapshot","product_id":"A-B"}"#, "coinbase:snapshot:A-B"),
        (Feed::Kraken, r#"[1,[],"trade","XBT/USD"]"#, "kraken:trade:XBT-USD"),
        (Feed::Kraken, r#"[1,{},"ticker","XBT/USD"]"#, "kraken:quote:XBT-USD"),
        (Feed::Kraken, r#"[1,{"as":[]},"book-10","XBT/USD"]"#, "kraken:snapshot:XBT-USD"),
        (Feed::Kraken, r#"[1,{"bs":[]},"book-10","XBT/USD"]"#, "kraken:snapshot:XBT-USD"),
        (Feed::Kraken, r#"[1,{"a":[]},{"b":[]},"book-10","XBT/USD"]"#, "kraken:depth:XBT-USD"),
        (
            Feed::KrakenFutures,
            r#"{"feed":"trade","product_id":"PI_X"}"#,
            "kraken-futures:trade:PI_X",
        ),
        (Feed::KrakenFutures, r#"{"feed":"ticker","product_id":"P"}"#, "kraken-futures:quote:P"),
        (
            Feed::KrakenFutures,
            r#"{"feed":"ticker_lite","product_id":"P"}"#,
            "kraken-futures:quote:P",
        ),
        (Feed::KrakenFutures, r#"{"feed":"book","product_id":"P"}"#, "kraken-futures:depth:P"),
        (
            Feed::KrakenFutures,
            r#"{"feed":"book_snapshot","product_id":"P"}"#,
            "kraken-futures:snapshot:P",
        ),
        (
            Feed::KrakenFutures,
            r#"{"feed":"trade_snapshot","product_id":"P"}"#,
            "kraken-futures:snapshot:P",
        ),
        (
            Feed::Bitmex,
            r#"{"table":"quote","action":"partial","data":[{"symbol":"X"}]}"#,
            "bitmex:quote:X",
        ),
        (
            Feed::Bitmex,
            r#"{"table":"trade","action":"insert","data":[{"symbol":"X"}]}"#,
            "bitmex:trade:X",
        ),
        (
            Feed::Bitmex,
            r#"{"table":"trade","action":"partial","data":[{"symbol":"X"}]}"#,
            "bitmex:snapshot:X",
        ),
        (
            Feed::Bitmex,
            r#"{"table":"orderBookL2","action":"delete","data":[{"symbol":"X"}]}"#,
            "bitmex:depth:X",
        ),
        (
            Feed::Bitmex,
            r#"{"table":"trade","action":"partial","filter":{"symbol":"X"},"data":[]}"#,
            "bitmex:snapshot:X",
        ),
        (Feed::Okx, r#"{"arg":{"channel":"trades","instId":"A-B"},"data":[]}"#, "okx:trade:A-B"),
        (Feed::Okx, r#"{"arg":{"channel":"tickers","instId":"A-B"},"data":[]}"#, "okx:quote:A-B"),
        (
            Feed::Okx,
            r#"{"arg":{"channel":"books","instId":"A-B"},"action":"update","data":[]}"#,
            "okx:depth:A-B",
        ),
        (
            Feed::Okx,
            r#"{"arg":{"channel":"books","instId":"A-B"},"action":"snapshot","data":[]}"#,
            "okx:snapshot:A-B",
        ),
    ];

    #[test]
    fn each_feed_names_kind_and_symbol_in_its_own_way() {
        for (feed, frame, expected) in NAMED {
            assert_eq!(topic(feed, frame), expected, "{frame}");
        }
    }

    #[test]
    fn a_symbol_that_no_topic_has_room_for_is_none() {
        for (length, fits) in [(103, true), (104, true), (105, false)] {
            let symbol = "ü".repeat(length);
            let frame = format!(r#"{{"type":"match","product_id":"{symbol}"}}"#);
            let expected = if fits {
                format!("coinbase:trade:{}", "-".repeat(length))
            } else {
                "coinbase:control".to_owned()
            };
            assert_eq!(topic(Feed::Coinbase, &frame), expected, "{length}");
        }
    }

    #[test]
    fn what_is_not_market_data_is_control_for_every_feed() {
        let frames = [
            r#"{"event":"heartbeat"}"#,
            r#"{"type":"subscriptions","channels":[]}"#,
            r#"{"type":"match","product_id":""}"#,
            r#"{"type":"match"}"#,
            r#"{"event":"subscribed","feed":"book","product_id":"P"}"#,
            r#"{"event":"subscribe","arg":{"channel":"trades","instId":"A-B"},"data":[]}"#,
            r#"{"arg":{"channel":"books","instId":"A-B"},"data":[]}"#,
            r#"{"arg":{"channel":"candle1D","instId":"A-B"},"data":[]}"#,
            r#"{"table":"trade","action":"insert","data":[]}"#,
            r#"{"table":"funding","action":"insert","data":[{"symbol":"X"}]}"#,
            r#"{"table":"trade","action":"insert","data":[7]}"#,
            r#"[1,[],"spread","XBT/USD"]"#,
            r#"[1,[],"trade",7]"#,
            r#"["trade"]"#,
            "[]",
            "{}",
            "null",
            "7",
            r#""trade""#,
        ];
        for feed in Feed::ALL {
            for frame in frames {
                assert_eq!(topic(feed, frame), format!("{feed}:control"), "{frame}");
            }
        }
    }

    #[test]
    fn no_frame_of_one_feed_is_taken_for_another() {
        for (feed, frame) in [
            (Feed::Binance, r#"{"stream":"a@trade","data":{}}"#),
            (Feed::Coinbase, r#"{"type":"match","product_id":"A-B"}"#),
            (Feed::Kraken, r#"[1,[],"trade","XBT/USD"]"#),
            (Feed::KrakenFutures, r#"{"feed":"trade","product_id":"PI_X"}"#),
            (Feed::Bitmex, r#"{"table":"quote","action":"insert","data":[{"symbol":"X"}]}"#),
            (Feed::Okx, r#"{"arg":{"channel":"trades","instId":"A-B"},"data":[]}"#),
        ] {
            for other in Feed::ALL {
                let is_control = topic(other, frame).ends_with(":control");
                assert_eq!(is_control, other != feed, "{frame} as {other}");
            }
        }
    }
}
