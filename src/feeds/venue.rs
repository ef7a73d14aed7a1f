//! Whose frame it is, by its topic: `<venue>:<kind>:<symbol>`, as the replay names it.

/// Who sent a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Venue {
    Binance,
    Coinbase,
    Kraken,
    KrakenFutures,
    Bitmex,
    Okx,
}

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Trade,
    Quote,
    Depth,
    Snapshot,
    Control,
}

/// Venue, kind and symbol of a topic; control has no symbol. None for topics of another form.
pub(super) fn address(topic: &str) -> Option<(Venue, Kind, &str)> {
    let (venue, rest) = topic.split_once(':')?;
    let (kind, symbol) = rest.split_once(':').unwrap_or((rest, ""));
    let venue = match venue {
        "binance" => Venue::Binance,
        "coinbase" => Venue::Coinbase,
        "kraken" => Venue::Kraken,
        "kraken-futures" => Venue::KrakenFutures,
        "bitmex" => Venue::Bitmex,
        "okx" => Venue::Okx,
        _ => return None,
    };
    let kind = match kind {
        "trade" => Kind::Trade,
        "quote" => Kind::Quote,
        "depth" => Kind::Depth,
        "snapshot" => Kind::Snapshot,
        "control" => Kind::Control,
        _ => return None,
    };
    let is_whole = symbol.is_empty() == (kind == Kind::Control) && !symbol.contains(':');
    is_whole.then_some((venue, kind, symbol))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_names_venue_kind_and_symbol() {
        for (topic, expected) in [
            ("binance:trade:BTCUSDT", Some((Venue::Binance, Kind::Trade, "BTCUSDT"))),
            ("kraken-futures:quote:PI_X", Some((Venue::KrakenFutures, Kind::Quote, "PI_X"))),
            ("okx:depth:A-B", Some((Venue::Okx, Kind::Depth, "A-B"))),
            ("bitmex:snapshot:X", Some((Venue::Bitmex, Kind::Snapshot, "X"))),
            ("coinbase:control", Some((Venue::Coinbase, Kind::Control, ""))),
            ("kraken:control", Some((Venue::Kraken, Kind::Control, ""))),
            ("binance:control:X", None),
            ("binance:trade", None),
            ("binance:trade:", None),
            ("binance:trade:A:B", None),
            ("binance:candle:A", None),
            ("ftx:trade:A", None),
            ("binance", None),
            ("", None),
        ] {
            assert_eq!(address(topic), expected, "{topic}");
        }
    }
}
