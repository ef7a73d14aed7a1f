//! Coinbase Exchange: `match` and `ticker`. `side` is the maker's, so a trade with `sell` was bought by the taker.
//! Older tickers carry no quantities.

use serde::Deserialize;

use super::counts::Reason;
use super::frame::{Frame, parse};
use super::number::{Number, side, time_us_of_date};
use crate::event::{Quote, Tick};

#[derive(Deserialize)]
struct Match<'a> {
    #[serde(borrow)]
    trade_id: Number<'a>,
    side: &'a str,
    #[serde(borrow)]
    size: Number<'a>,
    #[serde(borrow)]
    price: Number<'a>,
    time: &'a str,
}

#[derive(Deserialize)]
struct Ticker<'a> {
    #[serde(borrow)]
    best_bid: Option<Number<'a>>,
    #[serde(borrow)]
    best_bid_size: Option<Number<'a>>,
    #[serde(borrow)]
    best_ask: Option<Number<'a>>,
    #[serde(borrow)]
    best_ask_size: Option<Number<'a>>,
    time: &'a str,
}

pub(super) fn trade(frame: &mut Frame<'_>) -> Result<(), Reason> {
    let data = parse::<Match<'_>>(frame.text)?;
    let is_taker_buy = match data.side {
        "sell" => true,
        "buy" => false,
        _ => return Err(Reason::Shape),
    };
    frame.trade(Tick {
        symbol: frame.symbol(),
        price: data.price.positive()?,
        quantity: data.size.positive()?,
        time_us: time_us_of_date(data.time)?,
        is_taker_buy,
        id: Some(data.trade_id.integer()?),
        is_simulated: false,
    });
    Ok(())
}

pub(super) fn quote(frame: &mut Frame<'_>) -> Result<(), Reason> {
    let data = parse::<Ticker<'_>>(frame.text)?;
    frame.quote(Quote {
        is_simulated: false,
        symbol: frame.symbol(),
        bid: side(data.best_bid.as_ref(), data.best_bid_size.as_ref())?,
        ask: side(data.best_ask.as_ref(), data.best_ask_size.as_ref())?,
        time_us: time_us_of_date(data.time)?,
    });
    Ok(())
}
