//! The data collector: exact trades in, candles of 1 s, 10 s and 1 m out, running ones and final ones.
//!
//! A pure state machine. It goes by the trades' own times, so that a recording gives the same candles at any speed;
//! its caller's clock only paces the running candles and closes those of a symbol that has fallen silent. It reads no
//! clock, knows no topics, keeps no final candle and makes none for an interval without trades.
//!
//! ```text
//!                    floor (newest − grace)        newest
//!   ── final candles ──┤· · · open candles · · · ────┤─► time of the venue
//!        late: left out │  out of order: still taken
//! ```
//!
//! Invariants, per symbol: a trade before the floor is left out of all three intervals, and every other one is in all
//! three, so that their sums agree; a candle is final exactly when it ends at or before the floor; the floor never
//! moves back. A symbol's candles are either all of a feed or all of the simulation.
//!
//! Runs on the pipeline's thread; a trade costs one look-up and three additions, and allocates for a new candle alone.

use crate::event::{Bar, Candle, Interval, Tick};
use crate::pipeline::Options;
use rust_decimal::Decimal;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// Largest price, quantity or product of both that a trade may have, 10^18 in words of 32 bits: sums of 10^10 of them
/// still fit a [`Decimal`].
const AMOUNT_MAX: Decimal = Decimal::from_parts(2_808_348_672, 232_830_643, 0, false, 0);

/// Longest symbol, so that its topics have valid names.
const SYMBOL_BYTES_MAX: usize = 64;

/// Why a trade is in no candle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeftOut {
    /// It came later than the grace period allows, or its candle was closed because the symbol was silent.
    Late,
    /// Its time lies further ahead of our clock than allowed, so it cannot be true.
    Ahead,
    /// Its quantity is not above zero, an amount is beyond 10^18, or its symbol is empty or longer than 64 bytes.
    Unusable,
    /// It is of the simulation and its symbol of a feed, or the other way round.
    Mixed,
    /// As many symbols as allowed are collected already.
    Symbols,
}

impl LeftOut {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Late, Self::Ahead, Self::Unusable, Self::Mixed, Self::Symbols];

    /// A word for metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Late => "late",
            Self::Ahead => "ahead",
            Self::Unusable => "unusable",
            Self::Mixed => "mixed",
            Self::Symbols => "symbols",
        }
    }
}

/// Makes candles of trades.
#[derive(Debug)]
pub struct Collector {
    options: Options,
    /// In the order in which they first traded, so that what is due together always comes in the same order.
    markets: Vec<Market>,
    /// Where in `markets` a symbol stands.
    places: HashMap<Arc<str>, usize>,
    /// When running candles are told next, by the caller's clock.
    update_due_us: u64,
}

impl Collector {
    /// No trades yet.
    #[must_use]
    pub fn new(options: &Options) -> Self {
        Self {
            options: options.clone(),
            markets: Vec::new(),
            places: HashMap::new(),
            update_due_us: 0,
        }
    }

    /// Takes a trade that arrived at `now_us` (our clock, microseconds since the Unix epoch), and appends the candles
    /// that are final with it, the oldest first.
    ///
    /// # Errors
    /// Why it is in no candle; nothing changed then.
    pub fn trade(
        &mut self,
        tick: &Tick,
        now_us: u64,
        out: &mut Vec<Candle>,
    ) -> Result<(), LeftOut> {
        let fill = Fill::of(tick).ok_or(LeftOut::Unusable)?;
        if tick.time_us > now_us.saturating_add(micros(self.options.ahead_max)) {
            return Err(LeftOut::Ahead);
        }
        let market = match self.places.get(&tick.symbol) {
            Some(&place) => &mut self.markets[place],
            None if self.markets.len() >= self.options.symbols_max => return Err(LeftOut::Symbols),
            None => {
                self.places.insert(Arc::clone(&tick.symbol), self.markets.len());
                self.markets.push(Market::new(tick));
                let last = self.markets.len() - 1;
                &mut self.markets[last]
            }
        };
        market.trade(&fill, tick, now_us, micros(self.options.grace))?;
        market.close(out);
        Ok(())
    }

    /// Appends what is due at `now_us`: the last candles of symbols that fell silent, final; and from time to time
    /// every running candle that changed. To be called often; does little when nothing is due.
    pub fn step(&mut self, now_us: u64, out: &mut Vec<Candle>) {
        let (quiet_us, grace_us) = (micros(self.options.quiet_close), micros(self.options.grace));
        if quiet_us > 0 {
            for market in &mut self.markets {
                market.close_if_quiet(now_us, quiet_us, grace_us, out);
            }
        }
        let interval_us = micros(self.options.update_interval);
        let was_set_back = self.update_due_us.saturating_sub(now_us) > interval_us;
        if now_us >= self.update_due_us || was_set_back {
            let told = out.len();
            self.markets.iter_mut().for_each(|market| market.changed(out));
            // After a silence the first change is told at once.
            if out.len() > told {
                self.update_due_us = now_us.saturating_add(interval_us);
            }
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// A trade that fits every candle.
struct Fill {
    price: Decimal,
    quantity: Decimal,
    notional: Decimal,
    is_taker_buy: bool,
    /// Where it stands among the trades of its symbol.
    order: (u64, Option<u64>),
}

impl Fill {
    fn of(tick: &Tick) -> Option<Self> {
        // Without trailing zeros a product and a sum keep all their digits.
        let (price, quantity) = (tick.price.normalize(), tick.quantity.normalize());
        let notional = price.checked_mul(quantity)?;
        let fits = [price, quantity, notional].iter().all(|amount| amount.abs() <= AMOUNT_MAX);
        let is_named = (1..=SYMBOL_BYTES_MAX).contains(&tick.symbol.len());
        (fits && is_named && quantity > Decimal::ZERO).then_some(Self {
            price,
            quantity,
            notional,
            is_taker_buy: tick.is_taker_buy,
            order: (tick.time_us, tick.id),
        })
    }
}

/// A symbol and its candles that are not final.
#[derive(Debug)]
struct Market {
    symbol: Arc<str>,
    is_simulated: bool,
    /// Time of the newest trade, by the venue's clock.
    newest_us: u64,
    /// When the last trade arrived, by our clock.
    received_us: u64,
    /// Trades before this are late, candles up to here are final.
    floor_us: u64,
    /// By interval, each in order of time.
    open: [VecDeque<Open>; 3],
}

/// A candle that is not final, and which of its trades are the first and the last.
#[derive(Debug)]
struct Open {
    candle: Candle,
    first: (u64, Option<u64>),
    last: (u64, Option<u64>),
    is_changed: bool,
}

impl Market {
    fn new(tick: &Tick) -> Self {
        Self {
            symbol: Arc::clone(&tick.symbol),
            is_simulated: tick.is_simulated,
            newest_us: 0,
            received_us: 0,
            floor_us: 0,
            open: Default::default(),
        }
    }

    fn trade(
        &mut self,
        fill: &Fill,
        tick: &Tick,
        now_us: u64,
        grace_us: u64,
    ) -> Result<(), LeftOut> {
        if tick.is_simulated != self.is_simulated {
            return Err(LeftOut::Mixed);
        }
        if tick.time_us < self.floor_us {
            return Err(LeftOut::Late);
        }
        for interval in Interval::ALL {
            let length_ms = interval.length_ms();
            let open_time_ms = tick.time_us / 1_000 / length_ms * length_ms;
            let open = &mut self.open[interval.index()];
            let place = open.partition_point(|open| open.candle.bar.open_time_ms < open_time_ms);
            match open.get_mut(place) {
                Some(open) if open.candle.bar.open_time_ms == open_time_ms => open.add(fill),
                _ => {
                    let candle = Candle {
                        symbol: Arc::clone(&self.symbol),
                        interval,
                        bar: fill.bar(open_time_ms),
                        notional: fill.notional,
                        is_simulated: self.is_simulated,
                    };
                    let (first, last) = (fill.order, fill.order);
                    open.insert(place, Open { candle, first, last, is_changed: true });
                }
            }
        }
        self.received_us = now_us;
        self.newest_us = self.newest_us.max(tick.time_us);
        self.floor_us = self.floor_us.max(self.newest_us.saturating_sub(grace_us));
        Ok(())
    }

    /// Moves the floor past the candles that the venue's clock, as far as ours can tell, has left behind.
    fn close_if_quiet(&mut self, now_us: u64, quiet_us: u64, grace_us: u64, out: &mut Vec<Candle>) {
        let silent_us = now_us.saturating_sub(self.received_us);
        if silent_us < quiet_us || self.open.iter().all(VecDeque::is_empty) {
            return;
        }
        let reached_us = self.newest_us.saturating_add(silent_us).saturating_sub(grace_us);
        let ends = self.open.iter().flatten().map(|open| end_us(&open.candle));
        if let Some(end_us) = ends.filter(|&end_us| end_us <= reached_us).max() {
            self.floor_us = self.floor_us.max(end_us);
            self.close(out);
        }
    }

    /// Appends what has ended by the floor.
    fn close(&mut self, out: &mut Vec<Candle>) {
        for open in &mut self.open {
            while open.front().is_some_and(|oldest| end_us(&oldest.candle) <= self.floor_us) {
                out.extend(open.pop_front().map(|closed| {
                    let Open { mut candle, .. } = closed;
                    candle.bar.is_final = true;
                    candle
                }));
            }
        }
    }

    /// Appends the running candles that changed since the last call.
    fn changed(&mut self, out: &mut Vec<Candle>) {
        for open in self.open.iter_mut().flatten().filter(|open| open.is_changed) {
            open.is_changed = false;
            out.push(open.candle.clone());
        }
    }
}

impl Fill {
    /// The candle of this trade alone.
    fn bar(&self, open_time_ms: u64) -> Bar {
        Bar {
            open_time_ms,
            open: self.price,
            high: self.price,
            low: self.price,
            close: self.price,
            volume: self.quantity,
            taker_buy_volume: self.taken(),
            trades: 1,
            is_final: false,
        }
    }

    fn taken(&self) -> Decimal {
        if self.is_taker_buy { self.quantity } else { Decimal::ZERO }
    }
}

impl Open {
    /// Of trades at one time without numbers the one that arrived first is first.
    fn add(&mut self, fill: &Fill) {
        let bar = &mut self.candle.bar;
        if fill.order < self.first {
            (self.first, bar.open) = (fill.order, fill.price);
        }
        if fill.order >= self.last {
            (self.last, bar.close) = (fill.order, fill.price);
        }
        bar.high = bar.high.max(fill.price);
        bar.low = bar.low.min(fill.price);
        bar.volume = bar.volume.saturating_add(fill.quantity);
        bar.taker_buy_volume = bar.taker_buy_volume.saturating_add(fill.taken());
        self.candle.notional = self.candle.notional.saturating_add(fill.notional);
        bar.trades += 1;
        self.is_changed = true;
    }
}

/// Where the next candle begins, in microseconds since the Unix epoch.
fn end_us(candle: &Candle) -> u64 {
    candle.bar.open_time_ms.saturating_add(candle.interval.length_ms()).saturating_mul(1_000)
}

#[cfg(test)]
#[path = "collector_tests.rs"]
mod tests;
