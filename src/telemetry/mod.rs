//! What is going on, in numbers: counters that cost next to nothing to write and are read at a scrape.
//!
//! A shard owns its [`ShardTelemetry`]: the cells lie on cache lines of their own, one thread writes them, and an
//! addition is a relaxed load and a relaxed store, no locked instruction. Everyone else adds to [`EngineCounter`]s
//! with one relaxed `fetch_add`. Latencies go into a histogram of the shard's own and are merged aside. Reading happens
//! at a scrape, on the edge thread, and never stops a writer: a scrape sees each counter at some recent moment, not
//! all of them at the same moment.
//!
//! Never on the data path: names, labels, text, locks, allocation.

mod agents;
mod exposition;
mod latency;
mod names;
#[cfg(test)]
mod names_tests;
mod performance;
mod systems;
mod table;
#[cfg(test)]
mod tests;

pub use agents::{AGENTS_MAX, AgentRow, Agents};
pub use latency::LatencyRecorder;
pub use performance::{Context, Measure, PerformanceMetrics};
pub use systems::{ApiTotals, Lookup, Options, Systems};
pub use table::{Description, EngineCounter, Kind, ShardCounter, Unit};

use crate::clock::Clock;
use crate::error::Error;
use crate::sync::{Arc, AtomicBool, AtomicU64, Mutex, Ordering};
use crossbeam::utils::CachePadded;
use exposition::Exposition;
use latency::SharedLatency;
use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

const SHARD_COUNTERS: usize = ShardCounter::ALL.len();
const ENGINE_COUNTERS: usize = EngineCounter::ALL.len();

/// What only the engine can read, filled at every scrape by the function given to [`Telemetry::set_probe`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Probe {
    /// Events that wait in the rings.
    pub ring_depth: u64,
    /// Slots of one ring.
    pub ring_capacity: u64,
    /// Wake-ups sent to parked shards.
    pub wakes: u64,
    /// Events in the stream so far: the position of the next one.
    pub log_head: u64,
    /// Bytes appended to the log so far.
    pub log_bytes: u64,
    /// Registered topics.
    pub topics: u64,
    /// File descriptors the process may open.
    pub fd_limit: u64,
    /// Connections the server accepts at most.
    pub connections_max: u64,
}

/// All counters of an engine.
pub struct Telemetry {
    cells: Arc<Cells>,
    exposition: Exposition,
}

type ProbeFn = Box<dyn Fn() -> Probe + Send + Sync>;

/// What writers write and the collector reads.
struct Cells {
    clock: Clock,
    started_us: u64,
    /// One block per shard; written by that shard's thread alone.
    shards: Vec<CachePadded<[AtomicU64; SHARD_COUNTERS]>>,
    /// Whether a shard's block has its writer.
    owned: Vec<AtomicBool>,
    /// Each on a line of its own: the writers are different threads.
    engine: [CachePadded<AtomicU64>; ENGINE_COUNTERS],
    latency: Arc<SharedLatency>,
    probe: Mutex<Option<ProbeFn>>,
}

impl Telemetry {
    /// Counters for `shards` shards, all zero, with the system's clock.
    #[must_use]
    pub fn new(shards: usize) -> Arc<Self> {
        Self::with_clock(shards, Clock::system())
    }

    /// As [`new`](Self::new); `clock` gives the uptime and the interval of the percentiles.
    #[must_use]
    pub fn with_clock(shards: usize, clock: Clock) -> Arc<Self> {
        let cells = Arc::new(Cells {
            started_us: clock.now_us(),
            shards: (0..shards)
                .map(|_| CachePadded::new([const { AtomicU64::new(0) }; SHARD_COUNTERS]))
                .collect(),
            owned: (0..shards).map(|_| AtomicBool::new(false)).collect(),
            engine: [const { CachePadded::new(AtomicU64::new(0)) }; ENGINE_COUNTERS],
            latency: Arc::new(SharedLatency::new(clock.clone())),
            probe: Mutex::new(None),
            clock,
        });
        let exposition = Exposition::new(Arc::clone(&cells));
        Arc::new(Self { cells, exposition })
    }

    /// Time since this was made.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        Duration::from_micros(self.cells.uptime_us())
    }

    /// Adds families of a part of the engine to the exposition; they are collected at every scrape, on the thread of
    /// whoever asks, and must not block.
    ///
    /// # Errors
    /// When a family of that name is there already.
    pub fn register(&self, collector: Box<dyn prometheus::core::Collector>) -> Result<(), Error> {
        self.exposition.register(collector)
    }

    /// How many shards it counts for.
    #[must_use]
    pub fn shards(&self) -> usize {
        self.cells.shards.len()
    }

    /// The writing end of `shard`. It may be dropped and taken again, but exists once at a time.
    ///
    /// # Panics
    /// When there is no such shard, or its writing end exists already.
    #[must_use]
    pub fn shard(&self, shard: usize) -> ShardTelemetry {
        // Acquire pairs with the Release in `ShardTelemetry::drop`: the last writer's stores come first.
        let was_owned = self.cells.owned[shard].swap(true, Ordering::Acquire);
        assert!(!was_owned, "shard {shard} has a writer of its counters already");
        ShardTelemetry {
            cells: Arc::clone(&self.cells),
            shard,
            latency: LatencyRecorder::new(Arc::clone(&self.cells.latency)),
            single_writer: PhantomData,
        }
    }

    /// Adds `count`. Any thread; one relaxed addition.
    #[inline]
    pub fn add(&self, counter: EngineCounter, count: u64) {
        self.cells.engine[counter as usize].fetch_add(count, Ordering::Relaxed);
    }

    /// Takes `count` back from a gauge. Any thread; one relaxed subtraction.
    pub fn subtract(&self, counter: EngineCounter, count: u64) {
        self.cells.engine[counter as usize].fetch_sub(count, Ordering::Relaxed);
    }

    /// Raises a gauge of maxima to `value`, unless it is higher already. Any thread.
    pub fn raise_to(&self, counter: EngineCounter, value: u64) {
        self.cells.engine[counter as usize].fetch_max(value, Ordering::Relaxed);
    }

    /// Counts a request refused with this HTTP status.
    pub fn refused(&self, status: u16) {
        self.add(EngineCounter::of_status(status), 1);
    }

    /// The present value, in the table's raw unit.
    #[must_use]
    pub fn value(&self, counter: EngineCounter) -> u64 {
        self.cells.engine[counter as usize].load(Ordering::Relaxed)
    }

    /// The present value over all shards, in the table's raw unit.
    #[must_use]
    pub fn sum(&self, counter: ShardCounter) -> u64 {
        (0..self.shards()).map(|shard| self.cells.shard_value(shard, counter)).sum()
    }

    /// The 99th percentile of delivery latency over the last 30 to 60 seconds, from publish to written; none when nothing
    /// was delivered in them. As costly as a scrape's part of it, some ten microseconds; waits for at most one flush.
    #[must_use]
    pub fn delivery_latency_p99(&self) -> Option<Duration> {
        let quantiles_us = self.cells.latency.snapshot().quantiles_us?;
        let p99 = latency::QUANTILES.iter().position(|quantile| *quantile == 0.99)?;
        Some(Duration::from_micros(quantiles_us[p99]))
    }

    /// Sets the function that reads what only the engine can read. It runs at every scrape, on the scraper's thread.
    /// It must not hold this `Telemetry` itself, or neither is ever freed.
    pub fn set_probe(&self, probe: Box<dyn Fn() -> Probe + Send + Sync>) {
        *self.cells.probe.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(probe);
    }

    /// All metrics in the Prometheus text format 0.0.4. A control-plane call: some hundred
    /// microseconds, most of them for what `/proc` says of the process; allocates.
    #[must_use]
    pub fn text(&self) -> Vec<u8> {
        self.exposition.text(&[""])
    }

    /// As [`text`](Self::text), of the families alone whose names begin with one of `prefixes`.
    #[must_use]
    pub fn text_of(&self, prefixes: &[&str]) -> Vec<u8> {
        self.exposition.text(prefixes)
    }
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Telemetry").field("shards", &self.shards()).finish_non_exhaustive()
    }
}

impl Cells {
    fn uptime_us(&self) -> u64 {
        self.clock.now_us().saturating_sub(self.started_us)
    }

    fn shard_value(&self, shard: usize, counter: ShardCounter) -> u64 {
        self.shards[shard][counter as usize].load(Ordering::Relaxed)
    }

    fn probe(&self) -> Option<Probe> {
        self.probe
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .as_ref()
            .map(|probe| probe())
    }
}

/// The writing end of one shard's counters; owned by the shard's thread, and not shareable: that there is one writer
/// is what makes an addition without a locked instruction exact.
pub struct ShardTelemetry {
    cells: Arc<Cells>,
    shard: usize,
    latency: LatencyRecorder,
    /// `Cell` is `Send` and not `Sync`, and so is this.
    single_writer: PhantomData<Cell<()>>,
}

impl ShardTelemetry {
    /// Adds `count`: a relaxed load and a relaxed store.
    #[inline]
    pub fn add(&self, counter: ShardCounter, count: u64) {
        let cell = &self.cells.shards[self.shard][counter as usize];
        cell.store(cell.load(Ordering::Relaxed).wrapping_add(count), Ordering::Relaxed);
    }

    /// Sets a gauge: a relaxed store.
    #[inline]
    pub fn set(&self, counter: ShardCounter, value: u64) {
        self.cells.shards[self.shard][counter as usize].store(value, Ordering::Relaxed);
    }

    /// The recorder of delivery latencies.
    #[inline]
    pub fn latency(&mut self) -> &mut LatencyRecorder {
        &mut self.latency
    }

    /// Hands the recorded latencies on, as [`LatencyRecorder::flush`]: to be called now and then (every 100 ms, and
    /// before the shard parks for longer). Never waits.
    pub fn flush(&mut self) {
        self.latency.flush();
    }
}

impl fmt::Debug for ShardTelemetry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ShardTelemetry").field("shard", &self.shard).finish_non_exhaustive()
    }
}

impl Drop for ShardTelemetry {
    fn drop(&mut self) {
        self.latency.flush();
        // Release pairs with the Acquire in `Telemetry::shard`.
        self.cells.owned[self.shard].store(false, Ordering::Release);
    }
}
