//! Candles and indicators on their way out: each under its topic, stamped with our time.
//!
//! A symbol's six topics are registered when its first candle comes. Characters of a symbol that no topic may have
//! become `-`; the payload keeps the symbol as the feed names it.

use crate::event::{
    Body, Candle, Event, Indicator, Interval, Payload, Topic, TopicError, Topics, Typed,
};
use std::collections::HashMap;
use std::sync::Arc;
use tracing::warn;

/// Knows the topics of every symbol.
#[derive(Debug, Default)]
pub(super) struct Outlet {
    /// None: they could not be registered, which was logged.
    symbols: HashMap<Arc<str>, Option<SymbolTopics>>,
}

#[derive(Debug, Clone, Copy)]
struct SymbolTopics {
    /// By interval.
    candles: [Topic; 3],
    /// By interval too, so that each has a last value of its own.
    indicators: [Topic; 3],
}

impl Outlet {
    pub(super) fn candle(
        &mut self,
        candle: Candle,
        now_us: u64,
        topics: &Topics,
        out: &mut Vec<Event>,
    ) {
        if let Some(of_symbol) = self.topics(&candle.symbol, topics) {
            out.push(event(of_symbol.candles[candle.interval.index()], now_us, candle));
        }
    }

    pub(super) fn indicator(
        &mut self,
        indicator: Indicator,
        now_us: u64,
        topics: &Topics,
        out: &mut Vec<Event>,
    ) {
        if let Some(of_symbol) = self.topics(&indicator.symbol, topics) {
            out.push(event(of_symbol.indicators[indicator.interval.index()], now_us, indicator));
        }
    }

    fn topics(&mut self, symbol: &Arc<str>, topics: &Topics) -> Option<SymbolTopics> {
        if let Some(of_symbol) = self.symbols.get(symbol) {
            return *of_symbol;
        }
        let of_symbol = register(symbol, topics)
            .inspect_err(|error| warn!(%symbol, "its candles are not published: {error:?}"));
        *self.symbols.entry(Arc::clone(symbol)).or_insert(of_symbol.ok())
    }
}

/// An event stamped with `time_us`.
pub(super) fn event(topic: Topic, time_us: u64, payload: impl Payload) -> Event {
    Event { topic, key: 0, time_us, body: Body::Typed(Typed::new(payload)) }
}

/// A symbol as a segment of a topic.
pub(super) fn segment(symbol: &str) -> String {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    symbol.chars().map(|c| if is_allowed(c) { c } else { '-' }).collect()
}

fn register(symbol: &str, topics: &Topics) -> Result<SymbolTopics, TopicError> {
    let segment = segment(symbol);
    let by_interval = |kind: &str| {
        let topic = |interval: Interval| {
            topics.register(&format!("{kind}:{segment}:{}", interval.word()), None)
        };
        let [second, ten_seconds, minute] = Interval::ALL.map(topic);
        Ok([second?, ten_seconds?, minute?])
    };
    Ok(SymbolTopics { candles: by_interval("candle")?, indicators: by_interval("indicator")? })
}

#[cfg(test)]
mod tests {
    use super::register;
    use crate::event::{Class, TopicError, Topics};

    #[test]
    fn s54_candles_are_of_class_event_and_indicators_of_class_state() {
        let topics = Topics::new();
        let of_symbol = register("XBT/USD", &topics).expect("valid");
        let names = of_symbol.candles.map(|topic| &*topics.info(topic).name);
        assert_eq!(names, ["candle:XBT-USD:1s", "candle:XBT-USD:10s", "candle:XBT-USD:1m"]);
        for topic in of_symbol.candles {
            assert_eq!(topics.info(topic).class, Class::Event);
            assert_eq!(&*topics.info(topic).kind, "candle");
        }
        let names = of_symbol.indicators.map(|topic| &*topics.info(topic).name);
        let expected = ["indicator:XBT-USD:1s", "indicator:XBT-USD:10s", "indicator:XBT-USD:1m"];
        assert_eq!(names, expected);
        for topic in of_symbol.indicators {
            assert_eq!(topics.info(topic).class, Class::State);
            assert_eq!(&*topics.info(topic).kind, "indicator");
        }
    }

    #[test]
    fn a_symbol_that_is_too_long_has_no_topics() {
        let register = |length: usize| register(&"X".repeat(length), &Topics::new());
        for (length, fits) in [(113, true), (114, true), (115, false)] {
            assert_eq!(register(length).is_ok(), fits, "{length}");
        }
        assert_eq!(register(115).map(|_| ()), Err(TopicError::BadName));
    }
}
