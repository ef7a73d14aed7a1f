//! Kraken: the spot protocol in version 1, whose messages are arrays, and the futures.
//!
//! Spot trades have no id, spot tickers no time; the futures' light ticker has neither time nor quantities. Where a
//! time is missing, the time of receipt stands in. Sides are the taker's.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::counts::Reason;
use super::frame::{Frame, parse};
use super::number::{Number, side};
use crate::event::{Quote, Tick};

/// Price, volume, time, side, order type, miscellaneous.
#[derive(Deserialize)]
struct SpotTrade<'a>(
    #[serde(borrow)] Number<'a>,
    #[serde(borrow)] Number<'a>,
    #[serde(borrow)] Number<'a>,
    &'a str,
    IgnoredAny,
    IgnoredAny,
);

/// Price, volume in whole lots, volume.
#[derive(Deserialize)]
struct SpotBest<'a>(#[serde(borrow)] Number<'a>, IgnoredAny, #[serde(borrow)] Number<'a>);

#[derive(Deserialize)]
struct SpotTicker<'a> {
    #[serde(borrow, rename = "b")]
    bid: SpotBest<'a>,
    #[serde(borrow, rename = "a")]
    ask: SpotBest<'a>,
}

/// Channel id, payload, channel, pair.
#[derive(Deserialize)]
struct SpotMessage<T>(IgnoredAny, T, IgnoredAny, IgnoredAny);

#[derive(Deserialize)]
struct FuturesTrade<'a> {
    side: &'a str,
    #[serde(borrow)]
    seq: Number<'a>,
    #[serde(borrow)]
    time: Number<'a>,
    #[serde(borrow)]
    qty: Number<'a>,
    #[serde(borrow)]
    price: Number<'a>,
}

#[derive(Deserialize)]
struct FuturesTicker<'a> {
    #[serde(borrow)]
    bid: Option<Number<'a>>,
    #[serde(borrow)]
    bid_size: Option<Number<'a>>,
    #[serde(borrow)]
    ask: Option<Number<'a>>,
    #[serde(borrow)]
    ask_size: Option<Number<'a>>,
    #[serde(borrow)]
    time: Option<Number<'a>>,
}

pub(super) fn spot_trades(frame: &mut Frame<'_>) -> Result<(), Reason> {
    let message = parse::<SpotMessage<Vec<SpotTrade<'_>>>>(frame.text)?;
    for SpotTrade(price, volume, time, side, ..) in &message.1 {
        let is_taker_buy = match *side {
            "b" => true,
            "s" => false,
            _ => return Err(Reason::Shape),
        };
        frame.trade(Tick {
            symbol: frame.symbol(),
            price: price.positive()?,
            quantity: volume.positive()?,
            time_us: time.time_us_of_seconds()?,
            is_taker_buy,
            id: None,
            is_simulated: false,
        });
    }
    Ok(())
}

pub(super) fn spot_quote(frame: &mut Frame<'_>) -> Result<(), Reason> {
    let SpotTicker { bid, ask } = parse::<SpotMessage<SpotTicker<'_>>>(frame.text)?.1;
    frame.quote(Quote {
        is_simulated: false,
        symbol: frame.symbol(),
        bid: side(Some(&bid.0), Some(&bid.2))?,
        ask: side(Some(&ask.0), Some(&ask.2))?,
        time_us: frame.received_us,
    });
    Ok(())
}

pub(super) fn futures_trade(frame: &mut Frame<'_>) -> Result<(), Reason> {
    let data = parse::<FuturesTrade<'_>>(frame.text)?;
    let is_taker_buy = match data.side {
        "buy" => true,
        "sell" => false,
        _ => return Err(Reason::Shape),
    };
    frame.trade(Tick {
        symbol: frame.symbol(),
        price: data.price.positive()?,
        quantity: data.qty.positive()?,
        time_us: data.time.time_us_of_ms()?,
        is_taker_buy,
        id: Some(data.seq.integer()?),
        is_simulated: false,
    });
    Ok(())
}

pub(super) fn futures_quote(frame: &mut Frame<'_>) -> Result<(), Reason> {
    let data = parse::<FuturesTicker<'_>>(frame.text)?;
    let time_us = match &data.time {
        Some(time) => time.time_us_of_ms()?,
        None => frame.received_us,
    };
    frame.quote(Quote {
        is_simulated: false,
        symbol: frame.symbol(),
        bid: side(data.bid.as_ref(), data.bid_size.as_ref())?,
        ask: side(data.ask.as_ref(), data.ask_size.as_ref())?,
        time_us,
    });
    Ok(())
}
