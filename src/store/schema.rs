//! The file: how it is opened, whose it is, and how an older one becomes the present one.
//!
//! `PRAGMA application_id` says that it is ours, `PRAGMA user_version` which of the [`MIGRATIONS`] it has seen; both
//! are set in the transaction that makes the tables, so that a file is wholly of one version. Never: reads or writes
//! rows.

use super::error::{Error, Problem};
use super::{Fsync, Options};
use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Says that a file is a store of this program: `LNGE`.
const APPLICATION: i32 = 0x4c4e_4745;
/// How long one connection waits for the other.
const BUSY: Duration = Duration::from_secs(5);
/// SQLite's unit of a file's size, fixed when the file is made.
const PAGE_BYTES: u64 = 4_096;
/// The log of the database is cut to this after a checkpoint.
const LOG_BYTES: u32 = 16 << 20;

/// What makes version n + 1 of version n; the first makes the tables. One that was released is never changed.
const MIGRATIONS: &[&str] = &["
CREATE TABLE candles (
    symbol TEXT NOT NULL, interval TEXT NOT NULL, open_time_ms INTEGER NOT NULL,
    open TEXT NOT NULL, high TEXT NOT NULL, low TEXT NOT NULL, close TEXT NOT NULL,
    volume TEXT NOT NULL, taker_buy_volume TEXT NOT NULL, trades INTEGER NOT NULL, is_final INTEGER NOT NULL,
    PRIMARY KEY (symbol, interval, open_time_ms)
) STRICT, WITHOUT ROWID;
CREATE TABLE alerts (
    id INTEGER PRIMARY KEY, time_us INTEGER NOT NULL, rule TEXT NOT NULL, state TEXT NOT NULL,
    severity TEXT NOT NULL, subject TEXT NOT NULL, value REAL, threshold REAL, since_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX alerts_by_time ON alerts (time_us);
CREATE INDEX alerts_of_subject ON alerts (rule, subject);
CREATE TABLE trades (
    id INTEGER PRIMARY KEY, time_us INTEGER NOT NULL, agent TEXT NOT NULL, symbol TEXT NOT NULL, side TEXT NOT NULL,
    price_cents INTEGER NOT NULL, quantity_cents INTEGER NOT NULL, pnl_cents INTEGER NOT NULL, is_won INTEGER NOT NULL
) STRICT;
CREATE INDEX trades_of_agent ON trades (agent, time_us);
CREATE TABLE agents (
    id INTEGER PRIMARY KEY, time_us INTEGER NOT NULL, agent TEXT NOT NULL, name TEXT NOT NULL,
    capital_cents INTEGER NOT NULL, trades INTEGER NOT NULL, wins INTEGER NOT NULL, scars INTEGER NOT NULL,
    status TEXT NOT NULL, action TEXT NOT NULL
) STRICT;
CREATE INDEX agents_of_agent ON agents (agent, time_us);
CREATE TABLE rounds (
    id INTEGER PRIMARY KEY, time_us INTEGER NOT NULL, round INTEGER NOT NULL, winner TEXT NOT NULL,
    capital TEXT NOT NULL
) STRICT;
CREATE TABLE runs (
    id INTEGER PRIMARY KEY, started_ms INTEGER NOT NULL, ended_ms INTEGER, waiting_max INTEGER NOT NULL,
    accepted INTEGER NOT NULL, stored INTEGER NOT NULL, failed INTEGER NOT NULL, refused INTEGER NOT NULL
) STRICT;
"];

/// Keeps every other process, and every other store of this one, off a file until it is dropped.
///
/// It is a file of its own beside the database: closing a second handle of the database itself would take away the
/// locks that SQLite holds on it.
#[derive(Debug)]
pub(super) struct Claim(#[expect(dead_code, reason = "holding it is what it is for")] File);

impl Claim {
    /// Claims the database at `path`; makes the file beside it, which stays.
    pub(super) fn on(path: &Path) -> Result<Self, Error> {
        let mut beside = path.as_os_str().to_owned();
        beside.push("-lock");
        let file = File::options().create(true).append(true).open(PathBuf::from(beside));
        let file = file.map_err(|error| Error::of_file(path, &error))?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(Error::new(path, Problem::InUse)),
            Err(TryLockError::Error(error)) => Err(Error::of_file(path, &error)),
        }
    }
}

/// Opens the database for the one writer, makes it or brings it to the present version. Blocks on the disk.
pub(super) fn open(options: &Options) -> Result<Connection, Error> {
    let path = &*options.path;
    let failed = |error: rusqlite::Error| Error::of_database(path, &error);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    connection.busy_timeout(BUSY).map_err(failed)?;
    if connection.is_readonly("main").map_err(failed)? {
        return Err(Error::new(path, Problem::ReadOnly));
    }
    let pages_max = (options.file_bytes_max / PAGE_BYTES).clamp(1, u64::from(u32::MAX - 1));
    let settings = |connection: &Connection| {
        connection.pragma_update(None, "page_size", super::rows::integer(PAGE_BYTES))?;
        connection.query_row(&format!("PRAGMA max_page_count = {pages_max}"), [], |row| {
            row.get::<_, i64>(0)
        })
    };
    settings(&connection).map_err(failed)?;
    check_owner(path, &connection)?;
    let mode: String =
        connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).map_err(failed)?;
    if mode != "wal" {
        return Err(Error::new(path, Problem::NoLog(mode)));
    }
    let synchronous = match options.fsync {
        Fsync::Checkpoint => "NORMAL",
        Fsync::Batch => "FULL",
    };
    connection.pragma_update(None, "synchronous", synchronous).map_err(failed)?;
    let _: i64 = connection
        .query_row(&format!("PRAGMA journal_size_limit = {LOG_BYTES}"), [], |row| row.get(0))
        .map_err(failed)?;
    migrate(path, &mut connection, MIGRATIONS)?;
    Ok(connection)
}

/// Opens a database that [`open`] has opened, for queries alone.
pub(super) fn open_reader(path: &Path) -> Result<Connection, Error> {
    let failed = |error: rusqlite::Error| Error::of_database(path, &error);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    connection.busy_timeout(BUSY).map_err(failed)?;
    Ok(connection)
}

/// Refuses a database of another program before anything is written to it.
fn check_owner(path: &Path, connection: &Connection) -> Result<(), Error> {
    let failed = |error: rusqlite::Error| Error::of_database(path, &error);
    let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    let owner = number("PRAGMA application_id").map_err(failed)?;
    let tables = number("SELECT count(*) FROM sqlite_schema").map_err(failed)?;
    match (owner == i64::from(APPLICATION), tables) {
        (true, _) | (false, 0) => Ok(()),
        (false, _) => Err(Error::new(path, Problem::Foreign)),
    }
}

/// Applies what the file has not seen; one transaction for all, so that a failure leaves the file as it was.
fn migrate(path: &Path, connection: &mut Connection, migrations: &[&str]) -> Result<(), Error> {
    let failed = |error: rusqlite::Error| Error::of_database(path, &error);
    let transaction =
        connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    let version: i64 =
        transaction.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(failed)?;
    let known = migrations.len();
    let Some(missing) = usize::try_from(version).ok().and_then(|seen| migrations.get(seen..))
    else {
        return Err(Error::new(path, Problem::Version { found: version, known }));
    };
    if missing.is_empty() {
        return Ok(());
    }
    for migration in missing {
        transaction.execute_batch(migration).map_err(failed)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION).map_err(failed)?;
    transaction.pragma_update(None, "user_version", known.to_string()).map_err(failed)?;
    transaction.commit().map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: [&str; 2] = [
        "CREATE TABLE a (x INTEGER); INSERT INTO a VALUES (7);",
        "ALTER TABLE a ADD y INTEGER DEFAULT 8;",
    ];

    fn version(connection: &Connection) -> i64 {
        connection.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn an_older_file_is_brought_to_the_present_version_with_its_rows() {
        let mut connection = Connection::open_in_memory().unwrap();
        let path = Path::new("memory");
        migrate(path, &mut connection, &TWO[..1]).unwrap();
        assert_eq!(version(&connection), 1);
        migrate(path, &mut connection, &TWO).unwrap();
        assert_eq!(version(&connection), 2);
        let row: (i64, i64) = connection
            .query_row("SELECT x, y FROM a", [], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap();
        assert_eq!(row, (7, 8));
        migrate(path, &mut connection, &TWO).unwrap();
        let rows: i64 =
            connection.query_row("SELECT count(*) FROM a", [], |row| row.get(0)).unwrap();
        assert_eq!(rows, 1, "nothing is applied twice");
    }

    #[test]
    fn a_migration_that_fails_leaves_the_file_as_it_was() {
        let mut connection = Connection::open_in_memory().unwrap();
        let path = Path::new("memory");
        migrate(path, &mut connection, &TWO[..1]).unwrap();
        let broken = [TWO[0], TWO[1], "CREATE TABLE a (x INTEGER)"];
        assert!(migrate(path, &mut connection, &broken).is_err());
        assert_eq!(version(&connection), 1);
        assert!(connection.prepare("SELECT y FROM a").is_err(), "the second was undone too");
    }

    #[test]
    fn a_newer_or_senseless_version_is_refused() {
        for found in [2, i64::from(i32::MAX), -1] {
            let mut connection = Connection::open_in_memory().unwrap();
            connection.pragma_update(None, "user_version", found).unwrap();
            let error = migrate(Path::new("memory"), &mut connection, &TWO[..1]).unwrap_err();
            assert_eq!(error.problem, Problem::Version { found, known: 1 });
        }
    }
}
