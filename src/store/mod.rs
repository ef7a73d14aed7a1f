//! What is kept when the program ends: candles, alerts, and the history of the arena, in one SQLite file.
//!
//! [`Store::open`] claims the file and starts one thread, which alone writes. [`Writer`]s hand rows to its bounded
//! queue: a full queue counts the row as dropped and never makes the publisher wait. The thread stores batches, each
//! in one transaction. A second connection answers queries; whoever asks waits for the disk, so they are asked on
//! threads that may.
//!
//! **What a crash costs.** The file has a write-ahead log, so that a batch is in it wholly or not at all. When the
//! process is killed, what was stored stays; what waited in the queue or in the batch under way is missing: at most
//! `queue_rows + batch_rows` rows, no older than `batch_wait` unless the disk is behind. When the machine loses power,
//! [`Fsync`] says what stays. Every batch notes in its own transaction how many rows the queue had taken until then
//! and how many are stored; the next start finds a run without an end and says how many are missing, and how many at
//! most with what the queue took after the last batch ([`Unclean`]).
//!
//! **When the disk does not take rows** (full, read-only, failing) the batch is tried again every second while the
//! queue fills; what does not fit is dropped and counted. The trouble and its end are logged once each.
//!
//! Never: decides what is worth keeping, deletes anything, or blocks whoever publishes.
//!
//! `rows` what is kept · `schema` the file · `writer` the handle · `task` the thread · `run` the book of runs ·
//! `reader` queries · `lend` the same for those who keep the newest in memory · `routes` what is answered over HTTP ·
//! `metrics` · `condition` how it fares · `error`.

mod condition;
mod error;
mod lend;
mod metrics;
mod reader;
mod routes;
mod rows;
mod run;
mod schema;
mod task;
mod writer;

use crate::api::Route;
use crate::clock::Clock;
use crate::event::{AlertHistory, OlderCandles};
use crate::sync::Arc;
use crossbeam::channel::{Sender, bounded};
use prometheus::core::Collector;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::thread::{self, JoinHandle};
use std::time::Duration;

pub use condition::Condition;
pub use error::{Error, Problem};
pub use reader::{AgentHistory, QUERY_ROWS_MAX};
pub use rows::{Agent, Alert, Candle, Round, Trade};
pub use run::Unclean;
pub use writer::Writer;

use metrics::Metrics;
use reader::Reader;
use task::{Command, Task};

/// Commands that wait for the thread; more only make who asks wait.
const COMMANDS_MAX: usize = 4;

/// Where the store is, and its limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The file; made when there is none, in a folder that must exist. `-wal`, `-shm` and `-lock` stand beside it. An
    /// engine whose path is empty has no store.
    pub path: PathBuf,
    /// When the disk is waited for. Default: [`Fsync::Checkpoint`].
    pub fsync: Fsync,
    /// Rows of one transaction at most: 1 to 100,000; default 1,000.
    pub batch_rows: usize,
    /// How long the first row of a batch waits for others at most: 0 to 60 s; default 250 ms.
    pub batch_wait: Duration,
    /// Rows that wait for the thread at most: 1 to 1,000,000; default 8,192. About 200 bytes each.
    pub queue_rows: usize,
    /// Size of the file at most, without its write-ahead log: 1 MiB to 16 TiB; default 4 GiB. Beyond it nothing more
    /// is stored, as on a full disk.
    pub file_bytes_max: u64,
}

/// When the disk is waited for. A process that is killed loses nothing that was stored either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fsync {
    /// At checkpoints of the write-ahead log, about every 4 MiB: a loss of power may take the batches since then, and
    /// never leaves a damaged file.
    #[default]
    Checkpoint,
    /// At every batch: a loss of power takes no stored batch.
    Batch,
}

impl Options {
    /// The defaults, with the file at `path`.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), ..Self::default() }
    }
}

impl Default for Options {
    /// The defaults, without a file.
    fn default() -> Self {
        Self {
            path: PathBuf::new(),
            fsync: Fsync::default(),
            batch_rows: 1_000,
            batch_wait: Duration::from_millis(250),
            queue_rows: 8_192,
            file_bytes_max: 4 << 30,
        }
    }
}

impl fmt::Display for Fsync {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Checkpoint => "checkpoint",
            Self::Batch => "batch",
        })
    }
}

impl FromStr for Fsync {
    /// What is allowed.
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "checkpoint" => Ok(Self::Checkpoint),
            "batch" => Ok(Self::Batch),
            _ => Err("`checkpoint` or `batch`"),
        }
    }
}

/// An open store. Dropping it stores what waits, closes the file and waits for that.
#[derive(Debug)]
pub struct Store {
    writer: Writer,
    reader: Arc<Reader>,
    metrics: Arc<Metrics>,
    condition: Condition,
    control: Sender<Command>,
    thread: Option<JoinHandle<()>>,
    unclean: Option<Unclean>,
}

impl Store {
    /// Opens the file, makes it or brings it to the present version, and starts the thread that writes. `clock` dates
    /// the runs. Blocks on the disk. Says in the log when the run before had no end.
    ///
    /// # Errors
    /// With the file, what is wrong with it and what to do.
    pub fn open(options: Options, clock: Clock) -> Result<Self, Error> {
        let claim = schema::Claim::on(&options.path)?;
        let connection = schema::open(&options)?;
        let reader_connection = schema::open_reader(&options.path)?;
        let waiting_max = options.queue_rows.saturating_add(options.batch_rows);
        let waiting_max = u64::try_from(waiting_max).unwrap_or(u64::MAX);
        let (run, unclean) = run::begin(&options.path, &connection, &clock, waiting_max)?;
        if let Some(unclean) = &unclean {
            tracing::warn!(
                path = %options.path.display(),
                stored = unclean.stored,
                missing = unclean.missing(),
                missing_max = unclean.missing_max(),
                "{unclean}"
            );
        }
        let metrics = Arc::new(Metrics::new());
        let reader = Reader::new(options.path.clone(), reader_connection, Arc::clone(&metrics));
        let (rows, queue) = bounded(options.queue_rows.max(1));
        let (control, commands) = bounded(COMMANDS_MAX);
        let writer = Writer::new(rows, Arc::clone(&metrics));
        let path = options.path.clone();
        let condition = Condition::new(path.clone(), Arc::clone(&metrics));
        let task = Task::new(
            options,
            connection,
            claim,
            run,
            clock,
            queue,
            commands,
            Arc::clone(&metrics),
        );
        let thread = thread::Builder::new().name("store".to_owned()).spawn(move || task.run());
        let thread = thread.map_err(|error| Error::of_file(&path, &error))?;
        let reader = Arc::new(reader);
        Ok(Self { writer, reader, metrics, condition, control, thread: Some(thread), unclean })
    }

    /// A handle that hands rows to the store; cheap to clone, for any thread.
    #[must_use]
    pub fn writer(&self) -> Writer {
        self.writer.clone()
    }

    /// What is known of the run before, when it had no end: the process was killed, or its last rows did not fit.
    #[must_use]
    pub fn unclean(&self) -> Option<&Unclean> {
        self.unclean.as_ref()
    }

    /// Stores what this thread handed in before, and waits for it.
    ///
    /// # Errors
    /// When the disk does not take it; the rows wait on, and are tried again.
    pub fn flush(&self) -> Result<(), Error> {
        let (reply, answer) = bounded(1);
        let sent = self.control.send(Command::Flush(reply));
        let answer = sent.ok().and_then(|()| answer.recv().ok());
        answer.unwrap_or_else(|| Err(self.reader.error("the thread that writes has ended")))
    }

    /// The candles of a symbol and an interval, by open time: the first `limit` from `from_ms` (milliseconds since the
    /// Unix epoch, included) on, or the newest `limit`. At most [`QUERY_ROWS_MAX`]. Blocks on the disk.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn candles(
        &self,
        symbol: &str,
        interval: &str,
        from_ms: Option<u64>,
        limit: usize,
    ) -> Result<Vec<Candle>, Error> {
        self.reader.candles(symbol, interval, from_ms, limit)
    }

    /// The newest `limit` changes of alerts in the order in which they came, at most [`QUERY_ROWS_MAX`]. Blocks on the
    /// disk.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn alerts(&self, limit: usize) -> Result<Vec<Alert>, Error> {
        self.reader.alerts(limit)
    }

    /// States and trades of the agent that topics call `name`, by time: of each the first `limit` from `from_ms`
    /// (milliseconds since the Unix epoch, included) on, or the newest `limit`. At most [`QUERY_ROWS_MAX`] of each.
    /// Blocks on the disk.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn agent_history(
        &self,
        name: &str,
        from_ms: Option<u64>,
        limit: usize,
    ) -> Result<AgentHistory, Error> {
        self.reader.agent_history(name, from_ms, limit)
    }

    /// The newest `limit` rounds in the order in which they ended, at most [`QUERY_ROWS_MAX`]. Blocks on the disk.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn rounds(&self, limit: usize) -> Result<Vec<Round>, Error> {
        self.reader.rounds(limit)
    }

    /// How it fares.
    #[must_use]
    pub fn condition(&self) -> Condition {
        self.condition.clone()
    }

    /// Candles that have left memory.
    #[must_use]
    pub fn older_candles(&self) -> Arc<dyn OlderCandles> {
        Arc::<Reader>::clone(&self.reader)
    }

    /// Alerts that have left memory.
    #[must_use]
    pub fn alert_history(&self) -> Arc<dyn AlertHistory> {
        Arc::<Reader>::clone(&self.reader)
    }

    /// What it answers over HTTP: the history of an agent, and the rounds.
    #[must_use]
    pub fn routes(&self) -> Vec<Route> {
        routes::routes(Some(&self.reader))
    }

    /// The same routes where there is no store: each answers that it is not available, which is no error.
    #[must_use]
    pub fn routes_without() -> Vec<Route> {
        routes::routes(None)
    }

    /// Its metric families, to be registered once.
    #[must_use]
    pub fn collectors(&self) -> Vec<Box<dyn Collector>> {
        self.metrics.collectors()
    }

    /// The same histogram and gauge under the names of older dashboards, to be registered once.
    #[must_use]
    pub fn compat_collectors(&self) -> Vec<Box<dyn Collector>> {
        self.metrics.compat_collectors()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // Without a receiver the thread has ended already.
        let _ = self.control.send(Command::Stop);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of the store panicked; what waited for it is lost");
        }
    }
}
