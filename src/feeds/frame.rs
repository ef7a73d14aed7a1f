//! One frame on its way through its venue's parser, and where its items go.
//!
//! A parser may stop in the middle: what it handed over of a frame that it then refuses is taken back by the caller.

use std::sync::Arc;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::Item;
use super::counts::Reason;
use super::symbols::Symbols;
use crate::event::{Quote, Tick};

/// A frame, and its surroundings.
#[derive(Debug)]
pub(super) struct Frame<'a> {
    /// The JSON.
    pub(super) text: &'a str,
    /// When it was received, microseconds since the Unix epoch.
    pub(super) received_us: u64,
    /// The symbol of its topic.
    pub(super) named: &'a str,
    /// The same by the name that items carry.
    pub(super) known: Arc<str>,
    pub(super) symbols: &'a mut Symbols,
    pub(super) out: &'a mut Vec<Item>,
}

impl Frame<'_> {
    /// The symbol of the topic.
    pub(super) fn symbol(&self) -> Arc<str> {
        Arc::clone(&self.known)
    }

    /// A symbol that stands in the frame itself.
    pub(super) fn symbol_of(&mut self, text: &str) -> Result<Arc<str>, Reason> {
        if text == self.named {
            return Ok(self.symbol());
        }
        // As in topics: upper case, and `-` for what no topic may have.
        let topic_form = |c: char| match c {
            'A'..='Z' | '0'..='9' | '.' | '_' | '-' => c,
            'a'..='z' => c.to_ascii_uppercase(),
            _ => '-',
        };
        let named: String = text.chars().map(topic_form).collect();
        if named.is_empty() {
            return Err(Reason::Shape);
        }
        self.symbols.named(&named)
    }

    /// Hands over a trade.
    pub(super) fn trade(&mut self, tick: Tick) {
        self.out.push(Item::Trade(tick));
    }

    /// Hands over a quote.
    pub(super) fn quote(&mut self, quote: Quote) {
        self.out.push(Item::Quote(quote));
    }
}

/// Reads a frame of one form. Does not recurse into what it ignores, however deep that nests.
pub(super) fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Reason> {
    serde_json::from_str(text).map_err(|_| {
        // The first fault that is met may be of the form, while the text ends early further on.
        let is_json = serde_json::from_str::<IgnoredAny>(text).is_ok();
        if is_json { Reason::Shape } else { Reason::NotJson }
    })
}
