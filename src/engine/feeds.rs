//! Recorded exchanges in place of the simulated prices.
//!
//! ```text
//! replay ─ frames ─► ring ─► … ─► clients
//!                     └ tap ─► pipeline ─ trades ─► Prices ─► arena ─ market:*, agent:* ─► ring
//! ```
//!
//! The newest price of each mapped symbol waits here until the arena asks for it; older ones are passed over, so a feed
//! never outruns the market interval.

use crate::config::Config;
use crate::event::{Cents, Tick};
use crate::pipeline::{Feeds, TradeListener};
use crate::simulation::{self, PRICE_MAX, PriceSource, Simulation, Symbol};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A reader of feeds, if there is a pipeline to hold it.
pub(super) fn reader(config: &Config) -> Option<Feeds> {
    config.pipeline_enabled.then(|| Feeds::new(config.feeds.clone()))
}

/// The reader of a replayed feed, and the arena at its prices where symbols are mapped.
pub(super) fn priced(config: &Config) -> (Option<Feeds>, Option<Simulation>) {
    let Some(feeds) = reader(config) else {
        tracing::warn!("pipeline_enabled = false: no candles, books and market prices of the feed");
        return (None, None);
    };
    let prices = Prices::new(&config.symbol_map);
    let symbols: Vec<Symbol> = prices.table().keys().map(|name| Symbol::new(name, 0, 0)).collect();
    if symbols.is_empty() {
        return (Some(feeds), None);
    }
    // What the feed trades is all the flow there is.
    let (seed, flow_per_s) = (config.seed, 0);
    let options = simulation::Options { symbols, seed, flow_per_s, ..config.arena.clone() };
    let arena = Simulation::new(options).priced_by(prices.clone());
    (Some(feeds.heard_by(prices)), Some(arena))
}

/// The newest prices of mapped symbols; its clones are one.
#[derive(Debug, Clone)]
struct Prices {
    /// Market by symbol of the feed.
    markets: Arc<BTreeMap<String, String>>,
    /// By market; none: the arena has it already, or none came.
    newest: Arc<Mutex<BTreeMap<String, Option<Cents>>>>,
}

impl Prices {
    fn new(markets: &BTreeMap<String, String>) -> Self {
        let newest = markets.values().map(|market| (market.clone(), None)).collect();
        Self { markets: Arc::new(markets.clone()), newest: Arc::new(Mutex::new(newest)) }
    }

    fn table(&self) -> MutexGuard<'_, BTreeMap<String, Option<Cents>>> {
        // A price is whole whatever a panicking holder did.
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TradeListener for Prices {
    fn trade(&mut self, tick: &Tick) {
        let Some(market) = self.markets.get(&*tick.symbol) else { return };
        // A price that has no cents, or too many, is none that a market can show.
        if let Some(price) = cents(tick.price)
            && let Some(newest) = self.table().get_mut(market)
        {
            *newest = Some(price);
        }
    }
}

impl PriceSource for Prices {
    fn newest(&mut self, symbol: &str) -> Option<Cents> {
        self.table().get_mut(symbol)?.take()
    }
}

/// The price to the nearest cent, if that is above zero and none too many.
fn cents(price: Decimal) -> Option<Cents> {
    let cents = price.checked_mul(Decimal::ONE_HUNDRED)?.round().to_i64()?;
    (1..=PRICE_MAX.0).contains(&cents).then_some(Cents(cents))
}

#[cfg(test)]
mod tests {
    use super::{BTreeMap, Cents, Decimal, PRICE_MAX, PriceSource as _, Prices, Tick, cents};
    use crate::pipeline::TradeListener as _;

    fn tick(symbol: &str, price: &str) -> Tick {
        Tick {
            symbol: symbol.into(),
            price: price.parse().expect("a price"),
            quantity: Decimal::ONE,
            time_us: 1,
            is_taker_buy: true,
            id: None,
            is_simulated: false,
        }
    }

    #[test]
    fn s18_the_newest_price_of_a_mapped_symbol_is_given_once() {
        let map = [("BTCUSDT", "BTC-USD"), ("XBTUSD", "BTC-USD"), ("ETHUSDT", "ETH-USD")];
        let map = map.map(|(feed, market)| (feed.to_owned(), market.to_owned()));
        let mut prices = Prices::new(&BTreeMap::from(map));
        let mut arena = prices.clone();
        assert_eq!(arena.newest("BTC-USD"), None);
        for (symbol, price) in [("BTCUSDT", "61685.99"), ("XBTUSD", "61700.5"), ("BNBUSDT", "1")] {
            prices.trade(&tick(symbol, price));
        }
        assert_eq!(arena.newest("BTC-USD"), Some(Cents(6_170_050)));
        assert_eq!((arena.newest("BTC-USD"), arena.newest("ETH-USD")), (None, None));
        assert_eq!(arena.newest("BNBUSDT"), None, "it is not mapped");
    }

    #[test]
    fn a_price_is_told_to_the_nearest_cent_and_never_as_nothing() {
        let most = Decimal::new(PRICE_MAX.0, 2);
        for (price, expected) in [
            ("0.004", None),
            ("0.006", Some(1)),
            ("0.01", Some(1)),
            ("61685.994", Some(6_168_599)),
            ("79228162514264337593543950335", None),
        ] {
            assert_eq!(cents(price.parse().expect("a price")), expected.map(Cents), "{price}");
        }
        assert_eq!(cents(most), Some(PRICE_MAX));
        assert_eq!(cents(most + Decimal::new(1, 2)), None);
    }
}
