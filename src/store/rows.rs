//! What the store keeps: one plain type per table, and how each becomes a row and is read back.
//!
//! Prices and volumes of candles are exact decimals and stand in the file as their text; money of the simulation is
//! in hundredths and stands there as an integer. Never: a query, a transaction, or when a row is written.
//!
//! Times and counts above 2^63 - 1, which the file cannot hold, are stored as that. A value that is not a number is
//! stored as no value and read back as not a number.

use crate::event::{Cents, Side, Status};
use rusqlite::types::Type;
use rusqlite::{Connection, Row as Found, params};
use rust_decimal::Decimal;
use std::fmt;
use std::sync::Arc;

/// A candle. Symbol, interval and open time are its key: a later version takes the place of an earlier one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candle {
    /// As its feed names it: `BTCUSDT`.
    pub symbol: Arc<str>,
    /// How long it is: `1s`, `10s`, `1m`.
    pub interval: Arc<str>,
    /// When it opened, milliseconds since the Unix epoch.
    pub open_time_ms: u64,
    /// Price of its first trade.
    pub open: Decimal,
    /// Highest price.
    pub high: Decimal,
    /// Lowest price.
    pub low: Decimal,
    /// Price of its last trade.
    pub close: Decimal,
    /// Quantity traded.
    pub volume: Decimal,
    /// Quantity traded by buyers who took.
    pub taker_buy_volume: Decimal,
    /// How many trades.
    pub trades: u64,
    /// Whether no later version is to be expected.
    pub is_final: bool,
}

/// A change of state of an alert.
#[derive(Debug, Clone, PartialEq)]
pub struct Alert {
    /// When, microseconds since the Unix epoch.
    pub time_us: u64,
    /// Which rule.
    pub rule: Arc<str>,
    /// `firing` or `resolved`.
    pub state: Arc<str>,
    /// How bad: `warning`, `critical`.
    pub severity: Arc<str>,
    /// What it is about: a topic, a metric.
    pub subject: Arc<str>,
    /// The value that was looked at.
    pub value: f64,
    /// The rule's threshold.
    pub threshold: f64,
    /// Since when the condition holds, milliseconds since the Unix epoch.
    pub since_ms: u64,
}

/// A trade of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trade {
    /// When, microseconds since the Unix epoch.
    pub time_us: u64,
    /// The agent's name in topics: `momentum`.
    pub agent: Arc<str>,
    /// Such as `BTC-USD`.
    pub symbol: Arc<str>,
    /// Buy or sell.
    pub side: Side,
    /// Price.
    pub price: Cents,
    /// Quantity, in hundredths.
    pub quantity: Cents,
    /// Profit, or loss below zero.
    pub pnl: Cents,
    /// Whether it was won.
    pub is_won: bool,
}

/// The state of an agent after a cycle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// When, microseconds since the Unix epoch.
    pub time_us: u64,
    /// Its name in topics: `momentum`.
    pub agent: Arc<str>,
    /// Its display name.
    pub name: Arc<str>,
    /// Money.
    pub capital: Cents,
    /// Trades so far.
    pub trades: u32,
    /// Trades won so far.
    pub wins: u32,
    /// Losses that left a mark.
    pub scars: u32,
    /// Active or resting.
    pub status: Status,
    /// What it did, as people read it.
    pub action: Arc<str>,
}

/// The end of a round of the arena.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Round {
    /// When, microseconds since the Unix epoch.
    pub time_us: u64,
    /// Its number in its run; every start of the program begins anew.
    pub round: u64,
    /// Who won, as in topics.
    pub winner: Arc<str>,
    /// What each agent had at the end.
    pub capital: Vec<(String, Cents)>,
}

/// A row of any table, on its way to the file.
#[derive(Debug)]
pub(super) enum Row {
    Candle(Candle),
    Alert(Alert),
    Trade(Trade),
    Agent(Agent),
    Round(Round),
}

/// The columns of each table, in the order in which rows are written and read.
pub(super) const CANDLE: &str = "symbol, interval, open_time_ms, open, high, low, close, volume, taker_buy_volume, trades, is_final";
pub(super) const ALERT: &str =
    "time_us, rule, state, severity, subject, value, threshold, since_ms";
pub(super) const TRADE: &str =
    "time_us, agent, symbol, side, price_cents, quantity_cents, pnl_cents, is_won";
pub(super) const AGENT: &str =
    "time_us, agent, name, capital_cents, trades, wins, scars, status, action";
pub(super) const ROUND: &str = "time_us, round, winner, capital";

impl Row {
    /// Writes it; a statement is compiled once per connection. Some microseconds, in a transaction of the caller's.
    pub(super) fn insert(&self, connection: &Connection) -> rusqlite::Result<()> {
        match self {
            Self::Candle(row) => row.insert(connection),
            Self::Alert(row) => row.insert(connection),
            Self::Trade(row) => row.insert(connection),
            Self::Agent(row) => row.insert(connection),
            Self::Round(row) => row.insert(connection),
        }
    }
}

/// Writes one row of `columns` into `table`.
fn insert(
    connection: &Connection,
    verb: &str,
    columns: &str,
    values: &[&dyn rusqlite::ToSql],
) -> rusqlite::Result<()> {
    let marks = ["?"; 11][..values.len()].join(", ");
    let statement = format!("{verb} ({columns}) VALUES ({marks})");
    connection.prepare_cached(&statement)?.execute(values).map(drop)
}

impl Candle {
    fn insert(&self, connection: &Connection) -> rusqlite::Result<()> {
        let [open, high, low, close, volume, taker] =
            [self.open, self.high, self.low, self.close, self.volume, self.taker_buy_volume]
                .map(|decimal| decimal.to_string());
        insert(
            connection,
            "INSERT OR REPLACE INTO candles",
            CANDLE,
            params![
                &*self.symbol,
                &*self.interval,
                integer(self.open_time_ms),
                open,
                high,
                low,
                close,
                volume,
                taker,
                integer(self.trades),
                self.is_final,
            ],
        )
    }

    pub(super) fn read(row: &Found<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            symbol: row.get(0)?,
            interval: row.get(1)?,
            open_time_ms: unsigned(row, 2)?,
            open: decimal(row, 3)?,
            high: decimal(row, 4)?,
            low: decimal(row, 5)?,
            close: decimal(row, 6)?,
            volume: decimal(row, 7)?,
            taker_buy_volume: decimal(row, 8)?,
            trades: unsigned(row, 9)?,
            is_final: row.get(10)?,
        })
    }
}

impl Alert {
    fn insert(&self, connection: &Connection) -> rusqlite::Result<()> {
        insert(
            connection,
            "INSERT INTO alerts",
            ALERT,
            params![
                integer(self.time_us),
                &*self.rule,
                &*self.state,
                &*self.severity,
                &*self.subject,
                self.value,
                self.threshold,
                integer(self.since_ms),
            ],
        )
    }

    pub(super) fn read(row: &Found<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            time_us: unsigned(row, 0)?,
            rule: row.get(1)?,
            state: row.get(2)?,
            severity: row.get(3)?,
            subject: row.get(4)?,
            value: row.get::<_, Option<f64>>(5)?.unwrap_or(f64::NAN),
            threshold: row.get::<_, Option<f64>>(6)?.unwrap_or(f64::NAN),
            since_ms: unsigned(row, 7)?,
        })
    }
}

impl Trade {
    fn insert(&self, connection: &Connection) -> rusqlite::Result<()> {
        insert(
            connection,
            "INSERT INTO trades",
            TRADE,
            params![
                integer(self.time_us),
                &*self.agent,
                &*self.symbol,
                side(self.side),
                self.price.0,
                self.quantity.0,
                self.pnl.0,
                self.is_won,
            ],
        )
    }

    pub(super) fn read(row: &Found<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            time_us: unsigned(row, 0)?,
            agent: row.get(1)?,
            symbol: row.get(2)?,
            side: word(row, 3, &[("buy", Side::Buy), ("sell", Side::Sell)])?,
            price: Cents(row.get(4)?),
            quantity: Cents(row.get(5)?),
            pnl: Cents(row.get(6)?),
            is_won: row.get(7)?,
        })
    }
}

impl Agent {
    fn insert(&self, connection: &Connection) -> rusqlite::Result<()> {
        insert(
            connection,
            "INSERT INTO agents",
            AGENT,
            params![
                integer(self.time_us),
                &*self.agent,
                &*self.name,
                self.capital.0,
                self.trades,
                self.wins,
                self.scars,
                status(self.status),
                &*self.action,
            ],
        )
    }

    pub(super) fn read(row: &Found<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            time_us: unsigned(row, 0)?,
            agent: row.get(1)?,
            name: row.get(2)?,
            capital: Cents(row.get(3)?),
            trades: row.get(4)?,
            wins: row.get(5)?,
            scars: row.get(6)?,
            status: word(row, 7, &[("active", Status::Active), ("resting", Status::Resting)])?,
            action: row.get(8)?,
        })
    }
}

impl Round {
    fn insert(&self, connection: &Connection) -> rusqlite::Result<()> {
        let capital = self.capital.iter().map(|(agent, Cents(cents))| (&**agent, *cents));
        let capital: Vec<(&str, i64)> = capital.collect();
        let capital = serde_json::to_string(&capital).map_err(refused)?;
        insert(
            connection,
            "INSERT INTO rounds",
            ROUND,
            params![integer(self.time_us), integer(self.round), &*self.winner, capital,],
        )
    }

    pub(super) fn read(row: &Found<'_>) -> rusqlite::Result<Self> {
        let capital: Vec<(String, i64)> =
            serde_json::from_str(text(row, 3)?).map_err(|error| damaged(3, error))?;
        Ok(Self {
            time_us: unsigned(row, 0)?,
            round: unsigned(row, 1)?,
            winner: row.get(2)?,
            capital: capital.into_iter().map(|(agent, cents)| (agent, Cents(cents))).collect(),
        })
    }
}

/// The word for a side, in the file and in answers.
pub(super) fn side(side: Side) -> &'static str {
    match side {
        Side::Buy => "buy",
        Side::Sell => "sell",
    }
}

/// The word for a status, in the file and in answers.
pub(super) fn status(status: Status) -> &'static str {
    match status {
        Status::Active => "active",
        Status::Resting => "resting",
    }
}

/// As the file can hold it.
pub(super) fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(super) fn unsigned(row: &Found<'_>, column: usize) -> rusqlite::Result<u64> {
    u64::try_from(row.get::<_, i64>(column)?).map_err(|error| damaged(column, error))
}

fn decimal(row: &Found<'_>, column: usize) -> rusqlite::Result<Decimal> {
    Decimal::from_str_exact(text(row, column)?).map_err(|error| damaged(column, error))
}

/// Which of `words` stands there.
fn word<T: Copy>(row: &Found<'_>, column: usize, words: &[(&str, T)]) -> rusqlite::Result<T> {
    let found = text(row, column)?;
    let known = words.iter().find(|(word, _)| *word == found);
    known.map(|(_, value)| *value).ok_or_else(|| damaged(column, UnknownWord(found.to_owned())))
}

fn text<'a>(row: &'a Found<'_>, column: usize) -> rusqlite::Result<&'a str> {
    row.get_ref(column)?.as_str().map_err(|error| damaged(column, error))
}

fn damaged(
    column: usize,
    error: impl std::error::Error + Send + Sync + 'static,
) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error))
}

fn refused(error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(Box::new(error))
}

/// A word that no version of this program writes.
#[derive(Debug)]
struct UnknownWord(String);

impl fmt::Display for UnknownWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is none of the words of its column", self.0)
    }
}

impl std::error::Error for UnknownWord {}
