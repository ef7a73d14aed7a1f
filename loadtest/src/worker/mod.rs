//! One worker: clients on one thread, told what to do by the coordinator.
//!
//! ```text
//! coordinator ── Measure ─► HeadsPlease ─► Drain ─► Stop ──► worker
//!             ◄─ Settled ── Tick …  Heads ── Drained ── Part ──
//! ```
//! A worker is a thread of the program or a process of its own; both speak the same words (`remote` carries them as
//! lines of JSON).
//!
//! `turn` the loop · `shared` what its clients share · `tally` what is measured · `memo` what was read before · `connect` sockets · `behave` the
//! clients that behave badly · `remote` another process.

mod behave;
mod connect;
pub(crate) mod memo;
mod remote;
pub(crate) mod shared;
pub(crate) mod tally;
mod turn;

pub use remote::{Link, serve_commands};
pub use turn::run;

use std::fmt;
use std::io;

use serde::{Deserialize, Serialize};

use crate::measure::Part;
use crate::plan::Plan;

/// Descriptors beside those of the clients.
pub const OTHER_DESCRIPTORS: u64 = 128;

/// Which clients a worker holds: number `worker`, and every `workers`-th after it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Assignment {
    /// The run.
    pub plan: Plan,
    /// This worker's number, from 0.
    pub worker: u64,
    /// How many there are.
    pub workers: u64,
}

impl Assignment {
    /// How many connections it holds.
    #[must_use]
    pub fn connections(&self) -> u64 {
        (self.plan.connections() + self.workers - 1 - self.worker) / self.workers
    }
}

/// How far a topic has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Epoch of its stream.
    pub epoch: String,
    /// Its name.
    pub topic: String,
    /// Where it stood when the first client subscribed, where the server said so.
    pub base: Option<u64>,
    /// The highest seq that any client had; 0: none.
    pub head: u64,
}

/// What a worker is told.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Command {
    /// The measured time begins.
    Measure,
    /// The measured time is over; say how far every topic has come.
    HeadsPlease,
    /// Say when every client has come so far.
    Drain(Vec<Head>),
    /// End, and say what was measured.
    Stop,
}

/// What a worker says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Report {
    /// Every client is connected or has failed.
    Settled,
    /// How it goes, some times a second.
    Tick(Tick),
    /// How far topics have come.
    Heads(Vec<Head>),
    /// Every client has what it should have.
    Drained,
    /// The end.
    Part(Box<Part>),
    /// It cannot go on, and why.
    Failed(String),
}

/// How it goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Tick {
    /// Clients connected now.
    pub connected: u64,
    /// Clients that could not connect.
    pub failed: u64,
    /// Strictly judged clients that the server closed.
    pub closed: u64,
    /// Events so far.
    pub delivered: u64,
    /// Events lost so far.
    pub lost: u64,
    /// Latency of the last whole second, microseconds.
    pub p50_us: u64,
    /// 99 % of it.
    pub p99_us: u64,
    /// Strictly judged clients of which nothing more is expected.
    pub done: u64,
}

/// Why a run did not take place.
#[derive(Debug)]
pub enum RunError {
    /// The system allows fewer descriptors than there are clients.
    Descriptors {
        /// How many are needed.
        needed: u64,
        /// How many are allowed.
        allowed: u64,
    },
    /// Polling or making a socket failed.
    System(io::Error),
    /// A worker process ended or said so.
    Worker(String),
    /// The publisher could not start.
    Publish(String),
}

impl RunError {
    /// The process's exit code.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Descriptors { .. } | Self::Publish(_) => 69,
            Self::System(_) | Self::Worker(_) => 1,
        }
    }
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Descriptors { needed, allowed } => write!(
                f,
                "{needed} descriptors are needed, {allowed} allowed: raise the limit (`ulimit -Hn`) or let --workers be auto"
            ),
            Self::System(error) => error.fmt(f),
            Self::Worker(reason) | Self::Publish(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for RunError {}

impl From<io::Error> for RunError {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}
