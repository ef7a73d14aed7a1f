//! The book of runs: what each opening of the file took, stored and lost, so that the next one can tell what a crash
//! took away.
//!
//! A run's numbers change in the transaction of the batch that changes them; they are never ahead of the rows, nor
//! behind. Never: decides what happens to rows.

use super::error::Error;
use super::rows::{integer, unsigned};
use crate::clock::Clock;
use rusqlite::{Connection, OptionalExtension, params};
use std::fmt;
use std::path::Path;

/// A run that has no end in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unclean {
    /// Its number.
    pub run: u64,
    /// Rows its queue had taken when its last batch was stored.
    pub accepted: u64,
    /// Rows it stored: the first that its queue took, except for `failed` ones.
    pub stored: u64,
    /// Rows that it gave up because the database did not accept them.
    pub failed: u64,
    /// Rows that could wait in its queue and its batch at most.
    pub waiting_max: u64,
}

impl Unclean {
    /// Rows that its queue had taken when its last batch was stored, and that are not in the file.
    #[must_use]
    pub fn missing(&self) -> u64 {
        self.accepted.saturating_sub(self.stored).saturating_sub(self.failed)
    }

    /// Rows that its queue may have taken and that are not in the file, those after its last batch included.
    #[must_use]
    pub fn missing_max(&self) -> u64 {
        self.waiting_max.max(self.missing())
    }
}

impl fmt::Display for Unclean {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "run {} of the store has no end: {} rows are stored, {} that waited at its last batch are missing, {} at \
             most with what came after",
            self.run,
            self.stored,
            self.missing(),
            self.missing_max()
        )
    }
}

/// The numbers of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) accepted: u64,
    pub(super) stored: u64,
    pub(super) failed: u64,
    pub(super) refused: u64,
}

/// The run that is under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run(i64);

/// Begins a run, and tells of the one before if it has no end.
pub(super) fn begin(
    path: &Path,
    connection: &Connection,
    clock: &Clock,
    waiting_max: u64,
) -> Result<(Run, Option<Unclean>), Error> {
    let failed = |error: rusqlite::Error| Error::of_database(path, &error);
    let last = "SELECT id, accepted, stored, failed, waiting_max, ended_ms IS NULL FROM runs ORDER BY id DESC LIMIT 1";
    let last = connection.query_row(last, [], |row| {
        let unclean = Unclean {
            run: unsigned(row, 0)?,
            accepted: unsigned(row, 1)?,
            stored: unsigned(row, 2)?,
            failed: unsigned(row, 3)?,
            waiting_max: unsigned(row, 4)?,
        };
        Ok((unclean, row.get::<_, bool>(5)?))
    });
    let last = last.optional().map_err(failed)?;
    let unclean = last.and_then(|(run, has_no_end)| has_no_end.then_some(run));
    let begin = "INSERT INTO runs (started_ms, waiting_max, accepted, stored, failed, refused) VALUES (?, ?, 0, 0, 0, 0)";
    let values = [clock.now_us() / 1_000, waiting_max].map(integer);
    connection.execute(begin, values).map_err(failed)?;
    Ok((Run(connection.last_insert_rowid()), unclean))
}

impl Run {
    /// Notes the numbers, in the caller's transaction.
    pub(super) fn note(self, connection: &Connection, counts: Counts) -> rusqlite::Result<()> {
        let note = "UPDATE runs SET accepted = ?, stored = ?, failed = ?, refused = ? WHERE id = ?";
        let Counts { accepted, stored, failed, refused } = counts;
        let [accepted, stored, failed, refused] = [accepted, stored, failed, refused].map(integer);
        let values = params![accepted, stored, failed, refused, self.0];
        connection.prepare_cached(note)?.execute(values).map(drop)
    }

    /// Notes the end.
    pub(super) fn end(self, connection: &Connection, clock: &Clock) -> rusqlite::Result<()> {
        let values = params![integer(clock.now_us() / 1_000), self.0];
        connection.execute("UPDATE runs SET ended_ms = ? WHERE id = ?", values).map(drop)
    }
}
