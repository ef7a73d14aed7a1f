//! The thread that writes: rows from the queue, batches into the file.
//!
//! It sleeps until a row or a command comes, then gathers rows until the batch is full or its first row has waited long
//! enough, and stores them in one transaction together with the run's numbers. A batch that the disk does not take is
//! kept and tried again; the queue fills meanwhile. Never: reorders rows, or stores a part of a batch.
//!
//! Cost: some microseconds per row and one commit per batch; per row in the queue one slot.

use super::Options;
use super::error::Error;
use super::metrics::{Counted, Metrics};
use super::rows::Row;
use super::run::{Counts, Run};
use super::schema::Claim;
use crate::clock::Clock;
use crate::sync::Arc;
use crossbeam::channel::{Receiver, Select, Sender};
use rusqlite::{Connection, TransactionBehavior};
use std::time::{Duration, Instant};

/// How long a batch that the disk did not take waits.
const RETRY: Duration = Duration::from_secs(1);

/// What the thread is asked to do.
#[derive(Debug)]
pub(super) enum Command {
    /// Store what waits, then answer.
    Flush(Sender<Result<(), Error>>),
    /// Store what waits, then end.
    Stop,
}

/// The thread's own things.
pub(super) struct Task {
    options: Options,
    connection: Connection,
    run: Run,
    clock: Clock,
    queue: Receiver<Row>,
    commands: Receiver<Command>,
    metrics: Arc<Metrics>,
    batch: Vec<Row>,
    /// When the batch is stored even if it is not full.
    due: Instant,
    _counted: Counted,
    _writing: Writing,
    /// The last to go: the file is free for others only when it is closed.
    _claim: Claim,
}

/// Says that the thread is there, until it ends, by a panic too.
struct Writing(Arc<Metrics>);

impl Writing {
    fn new(metrics: Arc<Metrics>) -> Self {
        metrics.is_writing.raise();
        Self(metrics)
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.0.is_writing.lower();
    }
}

/// What the thread woke up for.
enum Woken {
    Row(Row),
    Command(Command),
    Due,
}

impl Task {
    #[expect(
        clippy::too_many_arguments,
        reason = "the thread owns all of it, and nobody else does"
    )]
    pub(super) fn new(
        options: Options,
        connection: Connection,
        claim: Claim,
        run: Run,
        clock: Clock,
        queue: Receiver<Row>,
        commands: Receiver<Command>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            batch: Vec::new(),
            due: Instant::now(),
            _counted: Counted::new(Arc::clone(&metrics)),
            _writing: Writing::new(Arc::clone(&metrics)),
            _claim: claim,
            options,
            connection,
            run,
            clock,
            queue,
            commands,
            metrics,
        }
    }

    /// Until [`Command::Stop`], or until nobody can send one.
    pub(super) fn run(mut self) {
        loop {
            match self.wait() {
                Woken::Row(row) => {
                    if self.batch.is_empty() {
                        self.due = Instant::now() + self.options.batch_wait;
                    }
                    self.batch.push(row);
                    self.take();
                    if self.is_full() && !self.metrics.is_troubled.is_raised() {
                        // What went wrong is counted and logged there.
                        let _ = self.store();
                    }
                }
                Woken::Due => {
                    let _ = self.store();
                }
                Woken::Command(Command::Flush(reply)) => {
                    // Who asked may have gone.
                    let _ = reply.send(self.flush());
                }
                Woken::Command(Command::Stop) => break,
            }
        }
        self.finish();
    }

    /// Sleeps until there is something to do. A full batch takes no more rows.
    fn wait(&self) -> Woken {
        let mut select = Select::new();
        let command = select.recv(&self.commands);
        let row = (!self.is_full()).then(|| select.recv(&self.queue));
        let selected = if self.batch.is_empty() {
            select.select()
        } else {
            match select.select_deadline(self.due) {
                Ok(selected) => selected,
                Err(_) => return Woken::Due,
            }
        };
        let index = selected.index();
        if Some(index) == row {
            // The store keeps a sender, and is joined before it goes: an end of the queue is an end of the store.
            return selected.recv(&self.queue).map_or(Woken::Command(Command::Stop), Woken::Row);
        }
        debug_assert_eq!(index, command);
        Woken::Command(selected.recv(&self.commands).unwrap_or(Command::Stop))
    }

    fn is_full(&self) -> bool {
        self.batch.len() >= self.options.batch_rows.max(1)
    }

    /// Takes what waits, as far as it fits into the batch.
    fn take(&mut self) {
        while !self.is_full()
            && let Ok(row) = self.queue.try_recv()
        {
            self.batch.push(row);
        }
    }

    /// Stores everything that waits at this moment.
    fn flush(&mut self) -> Result<(), Error> {
        let mut waiting = self.queue.len();
        loop {
            let before = self.batch.len();
            self.take();
            waiting = waiting.saturating_sub(self.batch.len() - before);
            self.store()?;
            if waiting == 0 {
                return Ok(());
            }
        }
    }

    /// Stores the batch. One that the disk does not take stays; one that the database does not accept is given up.
    fn store(&mut self) -> Result<(), Error> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let began = Instant::now();
        let rows = u64::try_from(self.batch.len()).unwrap_or(u64::MAX);
        match self.insert(rows) {
            Ok(()) => {
                self.metrics.inserted(began.elapsed().as_secs_f64());
                self.metrics.stored.add(rows);
                self.batch.clear();
                if self.metrics.is_troubled.is_raised() {
                    self.metrics.is_troubled.lower();
                    let refused = self.metrics.refused.value();
                    tracing::info!(refused, "the store takes rows again");
                }
                Ok(())
            }
            Err(found) => Err(self.trouble(&found, rows)),
        }
    }

    /// One transaction: the rows, and the run's numbers as they are with them.
    fn insert(&mut self, rows: u64) -> rusqlite::Result<()> {
        let waiting = u64::try_from(self.queue.len()).unwrap_or(u64::MAX);
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for row in &self.batch {
            row.insert(&transaction)?;
        }
        let (stored, failed) = (self.metrics.stored.value() + rows, self.metrics.failed.value());
        let accepted = stored + failed + waiting;
        let refused = self.metrics.refused.value();
        self.run.note(&transaction, Counts { accepted, stored, failed, refused })?;
        transaction.commit()
    }

    fn trouble(&mut self, found: &rusqlite::Error, rows: u64) -> Error {
        let error = Error::of_database(&self.options.path, found);
        if error.may_pass(found) {
            self.due = Instant::now() + RETRY;
            if !self.metrics.is_troubled.is_raised() {
                self.metrics.is_troubled.raise();
                tracing::error!(
                    rows,
                    "{error}; rows wait, and are dropped and counted when the queue is full"
                );
            }
        } else {
            self.metrics.failed.add(rows);
            self.batch.clear();
            tracing::error!(rows, "{error}; these rows are given up");
        }
        error
    }

    /// Stores what waits, notes the end of the run, and leaves all of it in the one file.
    fn finish(mut self) {
        if let Err(error) = self.flush() {
            let lost = self.batch.len() + self.queue.len();
            self.metrics.failed.add(u64::try_from(lost).unwrap_or(u64::MAX));
            tracing::error!(lost, "{error}; the store ends without them");
            return;
        }
        if let Err(error) = self.run.end(&self.connection, &self.clock) {
            let error = Error::of_database(&self.options.path, &error);
            tracing::warn!("{error}; the end of the run is not noted");
        }
        let checkpoint = self
            .connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, bool>(0));
        if !matches!(checkpoint, Ok(false)) {
            tracing::debug!(?checkpoint, "the write-ahead log stays beside the store");
        }
    }
}
