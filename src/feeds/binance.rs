//! Binance, spot and USD-M futures, combined streams; and the REST snapshot of the book.
//!
//! Spot quotes have no time: the time of receipt stands in. `m` says that the buyer was the maker, so the taker sold.
//! Futures diffs name the id before them (`pu`), which is how the two markets are told apart.

use serde::Deserialize;

use super::counts::Reason;
use super::frame::{Frame, parse};
use super::number::{Number, side};
use super::rebuild::{Diff, Levels, Snapshot};
use crate::event::{Quote, Tick};

#[derive(Deserialize)]
struct Envelope<T> {
    data: T,
}

#[derive(Deserialize)]
struct TradeData<'a> {
    #[serde(borrow, rename = "t")]
    id: Number<'a>,
    #[serde(borrow, rename = "p")]
    price: Number<'a>,
    #[serde(borrow, rename = "q")]
    quantity: Number<'a>,
    #[serde(borrow, rename = "T")]
    time_ms: Number<'a>,
    #[serde(rename = "m")]
    is_buyer_maker: bool,
}

#[derive(Deserialize)]
struct QuoteData<'a> {
    #[serde(borrow, rename = "b")]
    bid: Number<'a>,
    #[serde(borrow, rename = "B")]
    bid_quantity: Number<'a>,
    #[serde(borrow, rename = "a")]
    ask: Number<'a>,
    #[serde(borrow, rename = "A")]
    ask_quantity: Number<'a>,
    #[serde(borrow, rename = "T")]
    time_ms: Option<Number<'a>>,
}

#[derive(Deserialize)]
struct DiffData<'a> {
    #[serde(rename = "U")]
    first: u64,
    #[serde(rename = "u")]
    last: u64,
    #[serde(rename = "pu")]
    previous: Option<u64>,
    #[serde(borrow, rename = "b")]
    bids: Vec<(Number<'a>, Number<'a>)>,
    #[serde(borrow, rename = "a")]
    asks: Vec<(Number<'a>, Number<'a>)>,
}

#[derive(Deserialize)]
struct SnapshotData<'a> {
    #[serde(rename = "lastUpdateId")]
    last: u64,
    #[serde(borrow)]
    bids: Vec<(Number<'a>, Number<'a>)>,
    #[serde(borrow)]
    asks: Vec<(Number<'a>, Number<'a>)>,
}

pub(super) fn trade(frame: &mut Frame<'_>) -> Result<(), Reason> {
    let Envelope { data } = parse::<Envelope<TradeData<'_>>>(frame.text)?;
    frame.trade(Tick {
        symbol: frame.symbol(),
        price: data.price.positive()?,
        quantity: data.quantity.positive()?,
        time_us: data.time_ms.time_us_of_ms()?,
        is_taker_buy: !data.is_buyer_maker,
        id: Some(data.id.integer()?),
        is_simulated: false,
    });
    Ok(())
}

pub(super) fn quote(frame: &mut Frame<'_>) -> Result<(), Reason> {
    let Envelope { data } = parse::<Envelope<QuoteData<'_>>>(frame.text)?;
    let time_us = match data.time_ms {
        Some(time_ms) => time_ms.time_us_of_ms()?,
        None => frame.received_us,
    };
    frame.quote(Quote {
        is_simulated: false,
        symbol: frame.symbol(),
        bid: side(Some(&data.bid), Some(&data.bid_quantity))?,
        ask: side(Some(&data.ask), Some(&data.ask_quantity))?,
        time_us,
    });
    Ok(())
}

pub(super) fn diff(text: &str) -> Result<Diff, Reason> {
    let Envelope { data } = parse::<Envelope<DiffData<'_>>>(text)?;
    Ok(Diff {
        first: data.first,
        last: data.last,
        previous: data.previous,
        bids: levels(&data.bids)?,
        asks: levels(&data.asks)?,
    })
}

pub(super) fn snapshot(text: &str) -> Result<Snapshot, Reason> {
    let data = parse::<SnapshotData<'_>>(text)?;
    Ok(Snapshot { last: data.last, bids: levels(&data.bids)?, asks: levels(&data.asks)? })
}

fn levels(levels: &[(Number<'_>, Number<'_>)]) -> Result<Levels, Reason> {
    let level = |(price, quantity): &(Number<'_>, Number<'_>)| {
        Ok((price.positive()?, quantity.not_negative()?))
    };
    levels.iter().map(level).collect()
}
