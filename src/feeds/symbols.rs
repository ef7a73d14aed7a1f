//! The symbols that were seen: each name shared, mapped once, and with its order book if it has one.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::counts::Reason;
use super::rebuild::{Limits, Rebuild};

/// All symbols of a normaliser, at most as many as its limit.
#[derive(Debug)]
pub(super) struct Symbols {
    known: HashMap<Box<str>, Known>,
    map: BTreeMap<String, String>,
    count_max: usize,
    limits: Limits,
}

#[derive(Debug)]
struct Known {
    name: Arc<str>,
    book: Option<Box<Rebuild>>,
}

impl Symbols {
    pub(super) fn new(map: BTreeMap<String, String>, count_max: usize, limits: Limits) -> Self {
        Self { known: HashMap::new(), map, count_max, limits }
    }

    /// The name that items carry for the feed's `symbol`.
    pub(super) fn named(&mut self, symbol: &str) -> Result<Arc<str>, Reason> {
        Ok(Arc::clone(&self.know(symbol)?.name))
    }

    /// The book of the feed's `symbol`.
    pub(super) fn book(&mut self, symbol: &str) -> Result<&mut Rebuild, Reason> {
        let limits = self.limits;
        let known = self.know(symbol)?;
        let name = &known.name;
        Ok(known.book.get_or_insert_with(|| Box::new(Rebuild::new(Arc::clone(name), limits))))
    }

    fn know(&mut self, symbol: &str) -> Result<&mut Known, Reason> {
        if !self.known.contains_key(symbol) {
            if self.known.len() >= self.count_max {
                return Err(Reason::Symbols);
            }
            let name = self.map.get(symbol).map_or(symbol, String::as_str).into();
            self.known.insert(symbol.into(), Known { name, book: None });
        }
        self.known.get_mut(symbol).ok_or(Reason::Symbols)
    }
}
