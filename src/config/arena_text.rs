//! Options of the arena as text, where they are more than a number or a time.

use super::text::{self, Allowed};
use crate::simulation::{Symbol, TradeLines};

/// Symbols at most.
pub(super) const SYMBOLS_MAX: usize = 1_000;

/// `NAME:MIDDLE:BAND`, separated by commas; each name once.
pub(super) fn symbols(text: &str) -> Result<Vec<Symbol>, Allowed> {
    let read: Result<Vec<Symbol>, _> = text::words(text).iter().map(|word| word.parse()).collect();
    let is_repeated = |symbols: &[Symbol]| {
        let mut names: Vec<&str> = symbols.iter().map(|symbol| &*symbol.name).collect();
        names.sort_unstable();
        names.windows(2).any(|pair| pair[0] == pair[1])
    };
    read.ok()
        .filter(|symbols| (1..=SYMBOLS_MAX).contains(&symbols.len()) && !is_repeated(symbols))
        .ok_or_else(|| {
            format!(
                "1 to {SYMBOLS_MAX} different symbols such as `BTC-USD:42000:1000`: name, middle and band in \
                 dollars, the middle at most 10000000000 and the band at most the middle"
            )
        })
}

pub(super) fn show_symbols(symbols: &[Symbol]) -> String {
    symbols.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

pub(super) fn trade_lines(text: &str) -> Result<TradeLines, Allowed> {
    match text {
        "info" => Ok(TradeLines::Info),
        "debug" => Ok(TradeLines::Debug),
        _ => Err("`info` or `debug`".to_owned()),
    }
}

pub(super) fn show_trade_lines(lines: TradeLines) -> String {
    match lines {
        TradeLines::Info => "info".to_owned(),
        TradeLines::Debug => "debug".to_owned(),
    }
}
