//! Frames of exchanges in the stream: read as trades for the candles and for whoever wants prices, and as order books,
//! which are published.
//!
//! The frames themselves are in the stream already, byte for byte; nothing of them is published again. Trades keep the
//! symbol that the feed gives them, so that a candle is found under the name of its feed.
//!
//! Never: a frame of a topic that is no feed's. A frame costs one reading, see [`Normaliser::read`].

use super::outlet;
use crate::event::{Book, Event, Json, Tick, Topic, Topics};
use crate::feeds::{self, Item, Normaliser};
use crate::source::replay::Feed;
use prometheus::core::Collector;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use tracing::warn;

/// Hears of every trade of a feed, on the pipeline's thread; must not block.
pub trait TradeListener: fmt::Debug + Send {
    /// A trade, with the symbol as the feed names it.
    fn trade(&mut self, tick: &Tick);
}

/// Reads frames of feeds for a [`Pipeline`](super::Pipeline).
#[derive(Debug)]
pub struct Feeds {
    normaliser: Normaliser,
    listener: Option<Box<dyn TradeListener>>,
    /// None: it could not be registered, which was logged. As many as the normaliser has symbols at most.
    books: HashMap<Arc<str>, Option<Topic>>,
    items: Vec<Item>,
}

impl Feeds {
    /// One that has read nothing.
    #[must_use]
    pub fn new(options: feeds::Options) -> Self {
        Self {
            normaliser: Normaliser::new(options),
            listener: None,
            books: HashMap::new(),
            items: Vec::new(),
        }
    }

    /// Tells `listener` of every trade too.
    #[must_use]
    pub fn heard_by(self, listener: impl TradeListener + 'static) -> Self {
        Self { listener: Some(Box::new(listener)), ..self }
    }

    /// The topics it reads, as patterns for a tap: `binance:*` and so on.
    #[must_use]
    pub fn topics() -> [String; Feed::ALL.len()] {
        Feed::ALL.map(|feed| format!("{}:*", feed.name()))
    }

    /// What it has read and refused, for the exposition.
    #[must_use]
    pub fn collectors(&self) -> Vec<Box<dyn Collector>> {
        self.normaliser.counts().collectors()
    }

    /// Reads the frame `json` of `event`, if it is a feed's: its trades go to `on_trade`, its order book to `out`.
    pub(super) fn frame(
        &mut self,
        event: &Event,
        json: &Json,
        now_us: u64,
        topics: &Topics,
        out: &mut Vec<Event>,
        mut on_trade: impl FnMut(&Tick),
    ) {
        let topic = &*topics.info(event.topic).name;
        if !is_of_feed(topic) {
            return;
        }
        self.normaliser.read(topic, json.bytes(), event.time_us, &mut self.items);
        for item in self.items.drain(..) {
            match item {
                Item::Trade(tick) => {
                    on_trade(&tick);
                    if let Some(listener) = &mut self.listener {
                        listener.trade(&tick);
                    }
                }
                // The frame says it already, and nothing here is made of quotes.
                Item::Quote(_) => {}
                Item::Book(book) => {
                    if let Some(topic) = book_topic(&mut self.books, &book, topics) {
                        out.push(outlet::event(topic, now_us, book));
                    }
                }
            }
        }
    }
}

fn is_of_feed(topic: &str) -> bool {
    topic
        .split_once(':')
        .is_some_and(|(first, _)| Feed::ALL.iter().any(|feed| feed.name() == first))
}

fn book_topic(
    books: &mut HashMap<Arc<str>, Option<Topic>>,
    book: &Book,
    topics: &Topics,
) -> Option<Topic> {
    if let Some(topic) = books.get(&book.symbol) {
        return *topic;
    }
    let name = format!("book:{}", outlet::segment(&book.symbol));
    let topic = topics
        .register(&name, None)
        .inspect_err(|error| warn!(symbol = %book.symbol, "its book is not published: {error:?}"));
    *books.entry(Arc::clone(&book.symbol)).or_insert(topic.ok())
}
