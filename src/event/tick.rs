//! Trades and quotes with exact decimals, from whichever feed: what candles and books are made of.

use rust_decimal::Decimal;
use std::sync::Arc;

/// One trade on a venue, or of the simulated order flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tick {
    /// As the feed names it: `BTCUSDT`; of the simulation `BTC-USD`.
    pub symbol: Arc<str>,
    /// Price.
    pub price: Decimal,
    /// Quantity, above zero.
    pub quantity: Decimal,
    /// When it happened by the venue's clock, microseconds since the Unix epoch.
    pub time_us: u64,
    /// Whether the side that took liquidity bought.
    pub is_taker_buy: bool,
    /// The venue's number of it, where it has one.
    pub id: Option<u64>,
    /// Whether it is of the simulation: then prices are written as numbers with two decimals, else as strings.
    pub is_simulated: bool,
}

/// The best bid and ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quote {
    /// As in [`Tick`].
    pub symbol: Arc<str>,
    /// Price and quantity of the best bid, if there is one. A quantity of zero: the venue does not say.
    pub bid: Option<(Decimal, Decimal)>,
    /// Price and quantity of the best ask, if there is one. A quantity of zero: the venue does not say.
    pub ask: Option<(Decimal, Decimal)>,
    /// When it was valid by the venue's clock; where the venue does not say, when it was received. Microseconds.
    pub time_us: u64,
    /// As in [`Tick`].
    pub is_simulated: bool,
}
