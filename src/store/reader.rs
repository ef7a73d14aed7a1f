//! Queries, on a connection of their own that cannot write.
//!
//! They see every batch that was stored before they began, and never wait for the thread that writes. One at a time:
//! who asks while another asks waits for it, and for the disk. Every query has a limit and an index, so that it reads
//! about as many rows as it gives.

use super::error::{Error, Problem};
use super::metrics::{Counted, Metrics};
use super::rows::{
    AGENT, ALERT, Agent, Alert, CANDLE, Candle, ROUND, Round, TRADE, Trade, integer,
};
use crate::sync::{Arc, Mutex};
use rusqlite::{Connection, ToSql, params};
use std::path::PathBuf;
use std::sync::PoisonError;

/// Rows of one kind that a query gives at most, whatever it is asked for.
pub const QUERY_ROWS_MAX: usize = 5_000;

/// What is kept of an agent, by time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AgentHistory {
    /// Its states.
    pub states: Vec<Agent>,
    /// Its trades.
    pub trades: Vec<Trade>,
}

/// The connection that reads.
#[derive(Debug)]
pub(super) struct Reader {
    path: PathBuf,
    connection: Mutex<Connection>,
    _counted: Counted,
}

/// Which rows of a table, in which order.
struct Choice<'a> {
    table: &'a str,
    columns: &'a str,
    /// A condition, with its values.
    of: (&'a str, &'a [&'a dyn ToSql]),
    /// The column that orders, and the one that decides between equals.
    by: (&'a str, &'a str),
    /// From which value of the ordering column on; none: the newest.
    from: Option<i64>,
    limit: usize,
}

impl Reader {
    pub(super) fn new(path: PathBuf, connection: Connection, metrics: Arc<Metrics>) -> Self {
        Self { path, connection: Mutex::new(connection), _counted: Counted::new(metrics) }
    }

    pub(super) fn candles(
        &self,
        symbol: &str,
        interval: &str,
        from_ms: Option<u64>,
        limit: usize,
    ) -> Result<Vec<Candle>, Error> {
        let choice = Choice {
            table: "candles",
            columns: CANDLE,
            of: ("symbol = ? AND interval = ?", params![symbol, interval]),
            by: ("open_time_ms", "open_time_ms"),
            from: from_ms.map(integer),
            limit,
        };
        self.rows(&choice, Candle::read)
    }

    pub(super) fn alerts(&self, limit: usize) -> Result<Vec<Alert>, Error> {
        self.rows(&Choice::newest("alerts", ALERT, limit), Alert::read)
    }

    /// Final candles that open before a time.
    pub(super) fn candles_before(
        &self,
        symbol: &str,
        interval: &str,
        from_ms: Option<u64>,
        before_ms: u64,
        limit: usize,
    ) -> Result<Vec<Candle>, Error> {
        let before = integer(before_ms);
        let condition = "symbol = ? AND interval = ? AND open_time_ms < ? AND is_final";
        let choice = Choice {
            table: "candles",
            columns: CANDLE,
            of: (condition, params![symbol, interval, before]),
            by: ("open_time_ms", "open_time_ms"),
            from: from_ms.map(integer),
            limit,
        };
        self.rows(&choice, Candle::read)
    }

    /// The newest changes of alerts before a time, oldest first.
    pub(super) fn alerts_before(&self, before_us: u64, limit: usize) -> Result<Vec<Alert>, Error> {
        let before = integer(before_us);
        let choice = Choice {
            table: "alerts",
            columns: ALERT,
            of: ("time_us < ?", params![before]),
            by: ("time_us", "id"),
            from: None,
            limit,
        };
        self.rows(&choice, Alert::read)
    }

    /// Of each rule and subject the newest change, where that is firing. Reads an index from end to end and gives at
    /// most as many rows as rules have subjects: for the start.
    pub(super) fn firing(&self) -> Result<Vec<Alert>, Error> {
        let sql = format!(
            "SELECT {ALERT} FROM alerts WHERE id IN (SELECT max(id) FROM alerts GROUP BY rule, subject) \
             AND state = 'firing' ORDER BY id"
        );
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let found = connection.prepare(&sql).and_then(|mut statement| {
            statement.query_map([], Alert::read)?.collect::<rusqlite::Result<Vec<_>>>()
        });
        found.map_err(|error| Error::of_database(&self.path, &error))
    }

    pub(super) fn rounds(&self, limit: usize) -> Result<Vec<Round>, Error> {
        self.rows(&Choice::newest("rounds", ROUND, limit), Round::read)
    }

    pub(super) fn agent_history(
        &self,
        name: &str,
        from_ms: Option<u64>,
        limit: usize,
    ) -> Result<AgentHistory, Error> {
        let from = from_ms.map(|from_ms| integer(from_ms.saturating_mul(1_000)));
        let of = ("agent = ?", params![name]);
        let choice =
            |table, columns| Choice { table, columns, of, by: ("time_us", "id"), from, limit };
        Ok(AgentHistory {
            states: self.rows(&choice("agents", AGENT), Agent::read)?,
            trades: self.rows(&choice("trades", TRADE), Trade::read)?,
        })
    }

    /// The rows of a choice, oldest first.
    fn rows<T>(
        &self,
        choice: &Choice<'_>,
        read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, Error> {
        // A query that panicked left no transaction open: its statement was reset when it was dropped.
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let found = choice.rows(&connection, read);
        found.map_err(|error| Error::of_database(&self.path, &error))
    }

    /// Something that went wrong with this store.
    pub(super) fn error(&self, what: &str) -> Error {
        Error::new(&self.path, Problem::Other(what.to_owned()))
    }
}

impl<'a> Choice<'a> {
    /// The newest rows of a table, in the order in which they were stored.
    fn newest(table: &'a str, columns: &'a str, limit: usize) -> Self {
        Choice { table, columns, of: ("TRUE", &[]), by: ("id", "id"), from: None, limit }
    }

    fn rows<T>(
        &self,
        connection: &Connection,
        read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Vec<T>> {
        let Self { table, columns, of: (condition, values), by: (first, second), .. } = self;
        let (from, order) = match self.from {
            Some(_) => (format!("AND {first} >= ?"), "ASC"),
            None => (String::new(), "DESC"),
        };
        let sql = format!(
            "SELECT {columns} FROM {table} WHERE {condition} {from} ORDER BY {first} {order}, {second} {order} LIMIT ?"
        );
        let limit = i64::try_from(self.limit.min(QUERY_ROWS_MAX)).unwrap_or(i64::MAX);
        let mut all = values.to_vec();
        all.extend(self.from.as_ref().map(|from| from as &dyn ToSql));
        all.push(&limit);
        let mut statement = connection.prepare_cached(&sql)?;
        let rows = statement.query_map(&*all, read)?;
        let mut rows = rows.collect::<rusqlite::Result<Vec<T>>>()?;
        if self.from.is_none() {
            rows.reverse();
        }
        Ok(rows)
    }
}
