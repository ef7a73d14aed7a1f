//! OKX, version 5: channels `trades` and `tickers`. Numbers are strings, an empty one where there is no value. Sides
//! are the taker's; sizes are contracts, or the base currency on spot markets.

use serde::Deserialize;

use super::counts::Reason;
use super::frame::{Frame, parse};
use super::number::{Number, side};
use crate::event::{Quote, Tick};

#[derive(Deserialize)]
struct Message<T> {
    data: Vec<T>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TradeRow<'a> {
    #[serde(borrow)]
    trade_id: Number<'a>,
    #[serde(borrow)]
    px: Number<'a>,
    #[serde(borrow)]
    sz: Number<'a>,
    side: &'a str,
    #[serde(borrow)]
    ts: Number<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TickerRow<'a> {
    #[serde(borrow)]
    ask_px: Option<Number<'a>>,
    #[serde(borrow)]
    ask_sz: Option<Number<'a>>,
    #[serde(borrow)]
    bid_px: Option<Number<'a>>,
    #[serde(borrow)]
    bid_sz: Option<Number<'a>>,
    #[serde(borrow)]
    ts: Number<'a>,
}

pub(super) fn trades(frame: &mut Frame<'_>) -> Result<(), Reason> {
    for row in &parse::<Message<TradeRow<'_>>>(frame.text)?.data {
        let is_taker_buy = match row.side {
            "buy" => true,
            "sell" => false,
            _ => return Err(Reason::Shape),
        };
        frame.trade(Tick {
            symbol: frame.symbol(),
            price: row.px.positive()?,
            quantity: row.sz.positive()?,
            time_us: row.ts.time_us_of_ms()?,
            is_taker_buy,
            id: Some(row.trade_id.integer()?),
            is_simulated: false,
        });
    }
    Ok(())
}

pub(super) fn quotes(frame: &mut Frame<'_>) -> Result<(), Reason> {
    for row in &parse::<Message<TickerRow<'_>>>(frame.text)?.data {
        frame.quote(Quote {
            is_simulated: false,
            symbol: frame.symbol(),
            bid: side(row.bid_px.as_ref(), row.bid_sz.as_ref())?,
            ask: side(row.ask_px.as_ref(), row.ask_sz.as_ref())?,
            time_us: row.ts.time_us_of_ms()?,
        });
    }
    Ok(())
}
