//! The prices of a recording, one after the other: of a feed, or of our own stream.
//!
//! A frame of a feed is read as its exchange means it; of our own stream prices (`market:*`), the simulation's trades and
//! quotes (`sim:trade:*`, `sim:quote:*`) and feeds' frames are read, and everything else is passed over. A line that cannot
//! be used is counted by its reason and never the end. Blocks on the disk; holds one line at a time.

use lineage::feeds::{Item, Normaliser, Options, Reason};
use lineage::simulation::PriceKind;
use lineage::source::replay::{
    BadLine, BadReason, Cut, Entry, Feed, Journal, JournalEvent, Noted, Recording, ReplayError,
};
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// A price at a moment of the recording.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Price {
    pub(super) symbol: Arc<str>,
    pub(super) kind: PriceKind,
    pub(super) price: Decimal,
    /// When it was received; of our own stream when it was published. Microseconds since the Unix epoch.
    pub(super) time_us: u64,
}

/// A recording that is read price by price.
#[derive(Debug)]
pub(super) struct Recorded {
    input: Input,
    normaliser: Normaliser,
    items: Vec<Item>,
    /// Lines read so far.
    pub(super) lines: u64,
    /// Lines that could not be used, by reason; those of feeds' frames are in the normaliser.
    bad: BTreeMap<&'static str, u64>,
    first_bad: Option<BadLine>,
    /// What the recorder did not finish.
    pub(super) cut: Option<Cut>,
}

#[derive(Debug)]
enum Input {
    Feed(Box<Recording>),
    Own(Box<Journal>),
}

impl Recorded {
    /// Opens a recording and recognises its kind, unless `feed` says that it is of a feed.
    ///
    /// # Errors
    /// When the file cannot be read, or is no recording.
    pub(super) fn open(path: &Path, feed: Option<Feed>) -> Result<Self, ReplayError> {
        let own = if feed.is_none() { Journal::open(path)? } else { None };
        let input = match own {
            Some(journal) => Input::Own(Box::new(journal)),
            None => Input::Feed(Box::new(Recording::open(path, feed)?)),
        };
        Ok(Self {
            input,
            normaliser: Normaliser::new(Options::default()),
            items: Vec::new(),
            lines: 0,
            bad: BTreeMap::new(),
            first_bad: None,
            cut: None,
        })
    }

    /// Who recorded it: a feed's name, or ours.
    pub(super) fn kind(&self) -> &'static str {
        match &self.input {
            Input::Feed(recording) => recording.feed().name(),
            Input::Own(_) => "lineage",
        }
    }

    /// The first line that could not be used.
    pub(super) fn first_bad(&self) -> Option<&BadLine> {
        self.first_bad.as_ref()
    }

    /// How many lines could not be used, by reason.
    pub(super) fn bad_by_reason(&self) -> BTreeMap<&'static str, u64> {
        let mut bad = self.bad.clone();
        for reason in Reason::ALL {
            let refused = self.normaliser.counts().refused(reason);
            if refused > 0 {
                *bad.entry(reason.name()).or_default() += refused;
            }
        }
        bad
    }

    /// Reads a line and appends its prices; false at the end.
    ///
    /// # Errors
    /// When the file breaks off; there is nothing to read after that.
    pub(super) fn read_line(&mut self, out: &mut Vec<Price>) -> Result<bool, ReplayError> {
        match &mut self.input {
            Input::Feed(recording) => match recording.next_entry()? {
                None => return Ok(false),
                Some(Entry::Bad(bad)) => self.refuse(bad),
                Some(Entry::Frame(frame)) => {
                    let time_us = frame.received_ns / 1_000;
                    let bytes = frame.payload.bytes();
                    self.normaliser.read(frame.topic, bytes, time_us, &mut self.items);
                    take(&mut self.items, time_us, out);
                }
            },
            Input::Own(journal) => match journal.next_line()? {
                None => return Ok(false),
                Some(Noted::Cut(cut)) => {
                    self.cut = Some(cut);
                    return Ok(false);
                }
                Some(Noted::Bad(bad)) => self.refuse(bad),
                Some(Noted::Other) => {}
                Some(Noted::Event(event)) => self.read_event(&event, out),
            },
        }
        self.lines += 1;
        Ok(true)
    }

    fn read_event(&mut self, event: &JournalEvent, out: &mut Vec<Price>) {
        let JournalEvent { topic, us, payload, .. } = event;
        let kind = match topic.split_once(':') {
            Some(("market", _)) => PriceKind::Market,
            Some(("sim", rest)) if rest.starts_with("trade:") => PriceKind::Trade,
            Some(("sim", rest)) if rest.starts_with("quote:") => PriceKind::Quote,
            Some((feed, _)) if feed.parse::<Feed>().is_ok() => {
                self.normaliser.read(topic, payload.bytes(), *us, &mut self.items);
                return take(&mut self.items, *us, out);
            }
            _ => return,
        };
        match own_price(kind, payload.bytes()) {
            Some((symbol, Some(price))) => {
                out.push(Price { symbol: (*symbol).into(), kind, price, time_us: *us });
            }
            // A quote with one side only.
            Some((_, None)) => {}
            None => {
                self.refuse(BadLine { number: self.lines + 1, reason: BadReason::NoEvent });
            }
        }
    }

    fn refuse(&mut self, bad: BadLine) {
        let name = match bad.reason {
            BadReason::NoStamp => "no_stamp",
            BadReason::NotJson => "not_json",
            BadReason::NoEvent => "no_event",
            BadReason::TooLong => "too_long",
            BadReason::Topic(_) => "topic",
        };
        *self.bad.entry(name).or_default() += 1;
        self.first_bad.get_or_insert(bad);
    }
}

/// The prices among what a frame means. The time is that of the recording, since those of exchanges disagree.
fn take(items: &mut Vec<Item>, time_us: u64, out: &mut Vec<Price>) {
    out.extend(items.drain(..).filter_map(|item| {
        let (symbol, kind, price) = match item {
            Item::Trade(tick) => (tick.symbol, PriceKind::Trade, tick.price),
            Item::Quote(quote) => {
                let (bid, ask) = (quote.bid?.0, quote.ask?.0);
                (quote.symbol, PriceKind::Quote, halfway(bid, ask)?)
            }
            Item::Book(_) => return None,
        };
        Some(Price { symbol, kind, price, time_us })
    }));
}

fn halfway(bid: Decimal, ask: Decimal) -> Option<Decimal> {
    bid.checked_add(ask)?.checked_div(Decimal::TWO)
}

/// What of our own events is a price.
#[derive(Deserialize)]
struct Own<'a> {
    #[serde(borrow)]
    symbol: Cow<'a, str>,
    #[serde(borrow)]
    price: Option<&'a RawValue>,
    #[serde(borrow)]
    bid: Option<&'a RawValue>,
    #[serde(borrow)]
    ask: Option<&'a RawValue>,
}

/// Symbol and price of an event of ours; none when it is no such event.
fn own_price(kind: PriceKind, payload: &[u8]) -> Option<(Cow<'_, str>, Option<Decimal>)> {
    let own: Own<'_> = serde_json::from_slice(payload).ok()?;
    // Numbers and strings alike: real feeds' prices are strings with every digit.
    let exact = |value: &RawValue| value.get().trim_matches('"').parse::<Decimal>().ok();
    let price = if kind == PriceKind::Quote {
        let sides = own.bid.zip(own.ask);
        let sides = sides.map(|(bid, ask)| Some((exact(bid)?, exact(ask)?)));
        match sides {
            None => None,
            Some(sides) => Some(sides.and_then(|(bid, ask)| halfway(bid, ask))?),
        }
    } else {
        Some(exact(own.price?)?)
    };
    Some((own.symbol, price))
}

#[cfg(test)]
mod tests {
    use super::{Decimal, PriceKind, own_price};
    use proptest::prelude::*;

    #[test]
    fn our_own_events_have_prices_as_numbers_or_as_exact_strings() {
        let price = |kind, text: &'static str| {
            own_price(kind, text.as_bytes()).map(|(symbol, price)| (symbol.into_owned(), price))
        };
        let found = |mantissa, places| Some(("X".to_owned(), Some(Decimal::new(mantissa, places))));
        let market = r#"{"symbol":"X","price":42000.50,"timestamp":1}"#;
        assert_eq!(price(PriceKind::Market, market), found(4_200_050, 2));
        let trade = r#"{"symbol":"X","price":"0.000000012345678901","quantity":"1"}"#;
        assert_eq!(price(PriceKind::Trade, trade), found(12_345_678_901, 18));
        let quote = r#"{"symbol":"X","bid":42000.49,"ask":"42000.52"}"#;
        assert_eq!(price(PriceKind::Quote, quote), found(42_000_505, 3));
        let one_side = r#"{"symbol":"X","bid":42000.49,"ask":null}"#;
        assert_eq!(price(PriceKind::Quote, one_side), Some(("X".to_owned(), None)));
        for wrong in ["{}", "1", r#"{"symbol":"X"}"#, r#"{"symbol":"X","price":true}"#] {
            assert_eq!(price(PriceKind::Market, wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(
            bytes in proptest::collection::vec(any::<u8>(), 0..60),
            text in r#"\{"symbol":"X","(price|bid|ask)":("?[-0-9.e]{0,40}"?|null),"ask":[0-9]{1,40}\}"#,
        ) {
            for kind in [PriceKind::Market, PriceKind::Quote] {
                let _ = (own_price(kind, &bytes), own_price(kind, text.as_bytes()));
            }
        }
    }
}
