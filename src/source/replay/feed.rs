//! Which feed a recording is of, and what one frame of it is about.
//!
//! A frame is parsed once, with buffers that are kept between frames, to prove that it is JSON and to find its
//! topic; its payload is never rebuilt from the parse. Runs on the replay's thread; each byte of a frame is
//! looked at once. How each feed names symbol and kind stands in `venues`.
//!
//! Binance's REST depth snapshot, which a recorder writes between the frames, names neither: it is taken to be of the
//! symbol of the stream before it (or, when it comes first, of the first stream in the part of the file looked at on
//! opening).

use std::fmt;
use std::str::FromStr;

use simd_json::{Buffers, Tape};

use super::venues::classify;
use crate::event::{Class, DEPTH_MAX};

/// A feed whose frames are understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feed {
    /// Binance spot and USD-M futures, combined streams.
    Binance,
    /// Coinbase Exchange.
    Coinbase,
    /// Kraken spot, version 1 of its protocol.
    Kraken,
    /// Kraken futures.
    KrakenFutures,
    /// `BitMEX`.
    Bitmex,
    /// OKX, version 5 of its protocol.
    Okx,
}

impl Feed {
    /// All feeds, in the order in which they are tried. No frame is market data of two of them.
    pub const ALL: [Self; 6] =
        [Self::Binance, Self::Coinbase, Self::Kraken, Self::KrakenFutures, Self::Bitmex, Self::Okx];

    /// The word that names it on the command line and starts its topics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Binance => "binance",
            Self::Coinbase => "coinbase",
            Self::Kraken => "kraken",
            Self::KrakenFutures => "kraken-futures",
            Self::Bitmex => "bitmex",
            Self::Okx => "okx",
        }
    }

    /// The names of all feeds, for messages.
    pub(super) fn names() -> String {
        Self::ALL.map(|feed| format!("`{}`", feed.name())).join(", ")
    }
}

impl fmt::Display for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A word that names no feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownFeed(pub(super) String);

impl fmt::Display for UnknownFeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "unknown feed {:?}; known feeds: {} (as in `replay:binance=PATH`)",
            self.0,
            Feed::names()
        )
    }
}

impl std::error::Error for UnknownFeed {}

impl FromStr for Feed {
    type Err = UnknownFeed;

    fn from_str(text: &str) -> Result<Self, UnknownFeed> {
        Self::ALL
            .into_iter()
            .find(|feed| feed.name() == text)
            .ok_or_else(|| UnknownFeed(text.to_owned()))
    }
}

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Trade,
    Quote,
    Depth,
    /// What a feed sends of the time before the subscription: a whole book, past trades.
    Snapshot,
    /// Valid, but none of the above: acknowledgements, other streams.
    Control,
}

impl Kind {
    /// The second segment of its topic.
    fn word(self) -> &'static str {
        match self {
            Self::Trade => "trade",
            Self::Quote => "quote",
            Self::Depth => "depth",
            Self::Snapshot => "snapshot",
            Self::Control => "control",
        }
    }

    /// Of a quote the last one matters, of the rest each one.
    pub(super) fn class(self) -> Class {
        if self == Self::Quote { Class::State } else { Class::Event }
    }
}

/// The frame is not one JSON value in UTF-8.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotJson;

/// Tells what frames are about, one after the other.
pub(super) struct Frames {
    feed: Feed,
    buffers: Buffers,
    tape: Tape<'static>,
    /// Of the newest frame that named one, in upper case; empty before.
    symbol: String,
    topic: String,
}

impl fmt::Debug for Frames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frames")
            .field("feed", &self.feed)
            .field("symbol", &self.symbol)
            .finish_non_exhaustive()
    }
}

impl Frames {
    pub(super) fn of(feed: Feed) -> Self {
        Self {
            feed,
            // Deeper frames would be no payload: the default of the parser is ten times that.
            buffers: Buffers::with_max_depth(1024, DEPTH_MAX),
            tape: Tape(Vec::new()),
            symbol: String::new(),
            topic: String::new(),
        }
    }

    /// Parses one frame, which is overwritten in doing so; [`topic`](Self::topic) then names its topic.
    pub(super) fn read(&mut self, frame: &mut [u8]) -> Result<Kind, NotJson> {
        // An empty tape fits any lifetime: its memory goes from frame to frame, its contents do not.
        let mut tape = std::mem::replace(&mut self.tape, Tape(Vec::new())).reset();
        let parsed = simd_json::fill_tape(frame, &mut self.buffers, &mut tape);
        let kind = match parsed {
            Ok(()) => Ok(classify(self.feed, &tape, &mut self.symbol)),
            Err(_) => Err(NotJson),
        };
        self.tape = tape.reset();
        let kind = kind?;
        self.name_topic(kind);
        Ok(kind)
    }

    /// The feed whose frames these are.
    pub(super) fn feed(&self) -> Feed {
        self.feed
    }

    /// The topic of the frame that was read last: `binance:trade:BTCUSDT`.
    pub(super) fn topic(&self) -> &str {
        &self.topic
    }

    /// Whether a frame named a symbol.
    pub(super) fn has_symbol(&self) -> bool {
        !self.symbol.is_empty()
    }

    fn name_topic(&mut self, kind: Kind) {
        self.topic.clear();
        self.topic.push_str(self.feed.name());
        self.topic.push(':');
        self.topic.push_str(kind.word());
        if kind != Kind::Control {
            self.topic.push(':');
            self.topic.push_str(&self.symbol);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topics(frames: &[&str]) -> Vec<Result<String, NotJson>> {
        let mut reader = Frames::of(Feed::Binance);
        let read = |frame: &&str| {
            let kind = reader.read(&mut frame.as_bytes().to_vec())?;
            assert_eq!(kind.class() == Class::State, kind == Kind::Quote);
            Ok(reader.topic().to_owned())
        };
        frames.iter().map(read).collect()
    }

    #[test]
    fn a_frame_may_nest_as_deep_as_a_payload() {
        for (levels, is_frame) in [(99, true), (100, true), (101, false), (1025, false)] {
            let (open, close) = ("[".repeat(levels - 1), "]".repeat(levels - 1));
            let frame = format!(r#"{{"stream":"btcusdt@trade","data":{open}{close}}}"#);
            let taken = topics(&[&frame])[0].is_ok();
            assert_eq!(taken, is_frame, "{levels} levels");
            assert_eq!(crate::event::Json::parse(frame.into()).is_ok(), is_frame);
        }
    }

    #[test]
    fn streams_are_mapped_to_topics_by_their_name() {
        for (stream, topic) in [
            ("btcusdt@trade", "binance:trade:BTCUSDT"),
            ("ethusdt@bookTicker", "binance:quote:ETHUSDT"),
            ("btcusdt@depth", "binance:depth:BTCUSDT"),
            ("btcusdt@depth@100ms", "binance:depth:BTCUSDT"),
            ("btcusdt@depth@0ms", "binance:depth:BTCUSDT"),
            ("btcusdt_240927@trade", "binance:trade:BTCUSDT_240927"),
            ("b\\u0074c/usdté@trade", "binance:trade:BTC-USDT-"),
            ("btcusdt@aggTrade", "binance:control"),
            ("btcusdt@depth20@100ms", "binance:control"),
            ("btcusdt@kline_1m", "binance:control"),
            ("!bookTicker", "binance:control"),
            ("@trade", "binance:control"),
        ] {
            let frame = format!(r#"{{"stream":"{stream}","data":{{"e":"x"}}}}"#);
            assert_eq!(topics(&[&frame]), [Ok(topic.to_owned())], "{stream}");
        }
    }

    #[test]
    fn a_snapshot_is_of_the_symbol_before_it_and_control_when_there_is_none() {
        let snapshot = r#"{"lastUpdateId":1,"bids":[["1","2"]],"asks":[]}"#;
        let eth = r#"{"stream":"ethusdt@depth@100ms","data":{}}"#;
        let other = r#"{"stream":"btcusdt@kline_1m","data":{}}"#;
        assert_eq!(
            topics(&[snapshot, eth, snapshot, other, snapshot]),
            ["control", "depth:ETHUSDT", "snapshot:ETHUSDT", "control", "snapshot:ETHUSDT"]
                .map(|rest| Ok(format!("binance:{rest}")))
        );
    }

    #[test]
    fn anything_else_that_is_json_is_control() {
        for frame in [
            r#"{"result":null,"id":1}"#,
            r#"{"stream":"btcusdt@trade"}"#,
            r#"{"stream":7,"data":{}}"#,
            r#"{"lastUpdateId":1,"bids":[]}"#,
            r#"["stream","btcusdt@trade"]"#,
            " {} ",
            "null",
            "-1.5e3",
        ] {
            assert_eq!(topics(&[frame]), [Ok("binance:control".to_owned())], "{frame}");
        }
    }

    #[test]
    fn what_is_not_one_json_value_is_refused_and_leaves_the_reader_usable() {
        let mut reader = Frames::of(Feed::Binance);
        let good = br#"{"stream":"btcusdt@trade","data":{"p":"1.0"}}"#;
        let bad: [&[u8]; 10] = [
            b"",
            b" ",
            b"{",
            br#"{"stream":"btcusdt@trade","data":{"#,
            br#"{"a":1} {"b":2}"#,
            br#"{"a":1}x"#,
            br#"{"a":01}"#,
            br#"{'a':1}"#,
            b"{\"a\":\"\xff\xfe\"}",
            b"nul",
        ];
        for frame in bad {
            assert_eq!(reader.read(&mut frame.to_vec()), Err(NotJson), "{}", frame.escape_ascii());
            assert_eq!(reader.read(&mut good.to_vec()), Ok(Kind::Trade));
            assert_eq!(reader.topic(), "binance:trade:BTCUSDT");
        }
    }

    #[test]
    fn an_unknown_feed_names_the_known_ones_and_the_option() {
        for feed in Feed::ALL {
            assert_eq!(feed.name().parse(), Ok(feed));
        }
        let message = "ftx".parse::<Feed>().unwrap_err().to_string();
        assert!(
            message.contains("`binance`") && message.contains("replay:binance=PATH"),
            "{message}"
        );
    }
}
