//! `BitMEX`: rows of the tables `trade` and `quote`. A message may hold several rows, and each names its symbol. Sides
//! are the taker's, sizes are contracts, and trades are named by a text, so they have no id here.

use serde::Deserialize;

use super::counts::Reason;
use super::frame::{Frame, parse};
use super::number::{Number, side, time_us_of_date};
use crate::event::{Quote, Tick};

#[derive(Deserialize)]
struct Message<T> {
    data: Vec<T>,
}

#[derive(Deserialize)]
struct TradeRow<'a> {
    timestamp: &'a str,
    symbol: &'a str,
    side: &'a str,
    #[serde(borrow)]
    size: Number<'a>,
    #[serde(borrow)]
    price: Number<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct QuoteRow<'a> {
    timestamp: &'a str,
    symbol: &'a str,
    #[serde(borrow)]
    bid_size: Option<Number<'a>>,
    #[serde(borrow)]
    bid_price: Option<Number<'a>>,
    #[serde(borrow)]
    ask_price: Option<Number<'a>>,
    #[serde(borrow)]
    ask_size: Option<Number<'a>>,
}

pub(super) fn trades(frame: &mut Frame<'_>) -> Result<(), Reason> {
    for row in &parse::<Message<TradeRow<'_>>>(frame.text)?.data {
        let is_taker_buy = match row.side {
            "Buy" => true,
            "Sell" => false,
            _ => return Err(Reason::Shape),
        };
        let tick = Tick {
            symbol: frame.symbol_of(row.symbol)?,
            price: row.price.positive()?,
            quantity: row.size.positive()?,
            time_us: time_us_of_date(row.timestamp)?,
            is_taker_buy,
            id: None,
            is_simulated: false,
        };
        frame.trade(tick);
    }
    Ok(())
}

pub(super) fn quotes(frame: &mut Frame<'_>) -> Result<(), Reason> {
    for row in &parse::<Message<QuoteRow<'_>>>(frame.text)?.data {
        let quote = Quote {
            is_simulated: false,
            symbol: frame.symbol_of(row.symbol)?,
            bid: side(row.bid_price.as_ref(), row.bid_size.as_ref())?,
            ask: side(row.ask_price.as_ref(), row.ask_size.as_ref())?,
            time_us: time_us_of_date(row.timestamp)?,
        };
        frame.quote(quote);
    }
    Ok(())
}
