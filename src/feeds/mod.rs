//! Recorded messages of exchanges as typed trades, quotes and order books, beside their unchanged bytes.
//!
//! [`Normaliser::read`] is given a frame under the topic that the replay publishes it under (`binance:trade:BTCUSDT`)
//! and appends what it means. It is total: any bytes under any topic are read, ignored or refused for one counted
//! reason, and never disturb the next frame. It never reads a clock, never does IO, and knows neither the engine nor
//! its sources.
//!
//! | feed | trades | quotes | order book |
//! |---|---|---|---|
//! | Binance spot and USD-M futures | yes | yes | rebuilt |
//! | Coinbase, Kraken, Kraken futures, `BitMEX`, OKX | yes | yes | no |
//!
//! Trades that a feed sends of the time before the subscription (topic kind `snapshot`) are ignored: after each
//! reconnect they would be counted again. A frame of which one part cannot be understood gives nothing at all.
//! Trades come out in the order they were received, with the venue's times, which may run backwards.
//!
//! `venue` whose frame it is · `binance` … `okx` the forms of its messages · `number` exact numbers and times ·
//! `rebuild` order books · `symbols` names · `counts` what was done and refused.

mod binance;
mod bitmex;
mod coinbase;
mod counts;
mod frame;
mod kraken;
mod number;
mod okx;
mod rebuild;
mod symbols;
#[cfg(test)]
mod tests;
mod venue;

use std::collections::BTreeMap;

use crate::event::{Book, Quote, Tick};

use self::frame::Frame;
use self::rebuild::Limits;
use self::symbols::Symbols;
use self::venue::{Kind, Venue, address};

pub use self::counts::{Counts, Reason};

/// How frames are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Names of symbols in what comes out, by the feed's symbol as topics write it (`BTCUSDT` → `BTC-USD`). Symbols
    /// that are not here keep their name. Default: empty.
    pub symbols: BTreeMap<String, String>,
    /// How many symbols are known at a time, 1 or more; frames of further ones are refused. Default: 4,096.
    pub symbols_max: usize,
    /// The longest frame that is read, bytes. Default: 1 MiB.
    pub frame_bytes_max: usize,
    /// How many price levels are held back per order book while it waits for a snapshot (each change counts as one
    /// more); the oldest changes make room. Default: 200,000.
    pub held_levels_max: usize,
    /// How many price levels a side of an order book keeps, 10 or more; those furthest from the best make room.
    /// Default: 50,000.
    pub side_levels_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            symbols: BTreeMap::new(),
            symbols_max: 4_096,
            frame_bytes_max: 1 << 20,
            held_levels_max: 200_000,
            side_levels_max: 50_000,
        }
    }
}

/// What a frame means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A trade.
    Trade(Tick),
    /// The best bid and ask.
    Quote(Quote),
    /// The top of a rebuilt order book, when it changed or lost its synchronisation.
    Book(Book),
}

/// Reads frames, one after the other.
#[derive(Debug)]
pub struct Normaliser {
    frame_bytes_max: usize,
    symbols: Symbols,
    counts: Counts,
}

impl Normaliser {
    /// One that has seen nothing.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let Options { symbols, symbols_max, frame_bytes_max, held_levels_max, side_levels_max } =
            options;
        let limits = Limits { held_levels_max, side_levels_max };
        Self {
            frame_bytes_max,
            symbols: Symbols::new(symbols, symbols_max, limits),
            counts: Counts::new(),
        }
    }

    /// What it did so far; the handles stay valid and count on.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Appends what the frame `json` under `topic` means to `out`: nothing, one item or several. `received_us` stands
    /// in where the venue names no time. A trade or quote costs one parse of its frame and
    /// no look at any other; a book's frame also a search in the book for each level that changed.
    pub fn read(&mut self, topic: &str, json: &[u8], received_us: u64, out: &mut Vec<Item>) {
        let before = out.len();
        match self.read_frame(topic, json, received_us, out) {
            Ok(true) => {
                for item in &out[before..] {
                    match item {
                        Item::Trade(_) => self.counts.trades.inc(),
                        Item::Quote(_) => self.counts.quotes.inc(),
                        Item::Book(_) => self.counts.books.inc(),
                    }
                }
            }
            Ok(false) => self.counts.ignored.inc(),
            Err(reason) => {
                out.truncate(before);
                self.counts.refuse(reason);
            }
        }
    }

    /// Whether the frame is of a kind that is read.
    fn read_frame(
        &mut self,
        topic: &str,
        json: &[u8],
        received_us: u64,
        out: &mut Vec<Item>,
    ) -> Result<bool, Reason> {
        let (venue, kind, named) = address(topic).ok_or(Reason::Topic)?;
        let is_of_book = matches!(kind, Kind::Depth | Kind::Snapshot);
        if kind == Kind::Control || is_of_book && venue != Venue::Binance {
            return Ok(false);
        }
        if json.len() > self.frame_bytes_max {
            return Err(Reason::TooLong);
        }
        let text = std::str::from_utf8(json).map_err(|_| Reason::NotJson)?;
        if is_of_book {
            out.extend(self.read_book(kind, named, text)?.map(Item::Book));
            return Ok(true);
        }
        let known = self.symbols.named(named)?;
        let frame = &mut Frame { text, received_us, named, known, symbols: &mut self.symbols, out };
        match (venue, kind == Kind::Trade) {
            (Venue::Binance, true) => binance::trade(frame),
            (Venue::Binance, false) => binance::quote(frame),
            (Venue::Coinbase, true) => coinbase::trade(frame),
            (Venue::Coinbase, false) => coinbase::quote(frame),
            (Venue::Kraken, true) => kraken::spot_trades(frame),
            (Venue::Kraken, false) => kraken::spot_quote(frame),
            (Venue::KrakenFutures, true) => kraken::futures_trade(frame),
            (Venue::KrakenFutures, false) => kraken::futures_quote(frame),
            (Venue::Bitmex, true) => bitmex::trades(frame),
            (Venue::Bitmex, false) => bitmex::quotes(frame),
            (Venue::Okx, true) => okx::trades(frame),
            (Venue::Okx, false) => okx::quotes(frame),
        }?;
        Ok(true)
    }

    fn read_book(&mut self, kind: Kind, named: &str, text: &str) -> Result<Option<Book>, Reason> {
        // The frame is read to its end before the book is touched: a bad one changes nothing.
        if kind == Kind::Snapshot {
            let snapshot = binance::snapshot(text)?;
            Ok(self.symbols.book(named)?.restart(&snapshot, &self.counts))
        } else {
            let diff = binance::diff(text)?;
            Ok(self.symbols.book(named)?.change(diff, &self.counts))
        }
    }
}
