//! The hub's figures, where other threads read them: one set of numbers behind statuses, answers and metrics.
//!
//! The hub writes each change in one piece under a lock, so that a reader's figures agree with each other: tasks
//! enqueued = waiting + worked + completed + failed. A reader holds the lock for some microseconds. The metrics are
//! read one by one at a scrape, without the lock.
//!
//! Distributions take about 4 KiB for each lane. Their quantiles are looked for once after tasks have ended, not for each
//! status.

use super::Options;
use crate::event::hub::{
    HubLane, HubLaneFigures, HubLanes, HubStatus, HubTasks, HubTimes, Microseconds, TenThousandths,
};
use crate::sync::{Arc, Mutex};
use crate::telemetry::PerformanceMetrics;
use hdrhistogram::Histogram as Distribution;
use prometheus::core::Collector;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
};
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

/// Upper bounds of the exposed buckets, in seconds.
const BUCKETS_SECONDS: [f64; 10] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0];
/// Why making a metric cannot fail.
const VALID: &str = "its name, help and labels are constants that the crate accepts";

/// The figures of one hub.
#[derive(Debug)]
pub struct Board {
    figures: Mutex<Figures>,
    sessions: IntGauge,
    sessions_refused: IntCounter,
    families: Families,
    performance: Arc<PerformanceMetrics>,
}

#[derive(Debug)]
struct Figures {
    is_running: bool,
    sessions: usize,
    lanes: [LaneFigures; 3],
}

/// What is counted of a lane; the metrics' own cells hold the numbers.
#[derive(Debug)]
struct LaneFigures {
    capacity: usize,
    enqueued: IntCounter,
    rejected: IntCounter,
    completed: IntCounter,
    failed: IntCounter,
    queued: IntGauge,
    running: IntGauge,
    duration: Histogram,
    times_us: Distribution<u32>,
    sum_us: u64,
    /// Half and 99 of 100 times are at most these; none since a task ended.
    quantiles_us: Option<[u64; 2]>,
}

/// The metrics by lane.
#[derive(Debug)]
struct Families {
    enqueued: IntCounterVec,
    rejected: IntCounterVec,
    completed: IntCounterVec,
    failed: IntCounterVec,
    queued: IntGaugeVec,
    running: IntGaugeVec,
    duration: HistogramVec,
}

/// What the answers say of a lane beside [`HubLaneFigures`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Occupancy {
    pub(super) queued: u64,
    pub(super) running: u64,
    pub(super) capacity: usize,
    /// Tasks that found the queue full, since the start.
    pub(super) rejected: u64,
}

/// A stage of work that is over.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ended {
    pub(super) took_us: u64,
    pub(super) is_success: bool,
}

/// How many tasks a lane holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    pub(super) waiting: usize,
    pub(super) working: usize,
}

impl Board {
    /// The figures of a hub that has not begun; `performance` gets its measurements, among those of others.
    #[must_use]
    pub fn new(options: &Options, performance: Arc<PerformanceMetrics>) -> Arc<Self> {
        let families = Families::new();
        let lanes = HubLane::ALL.map(|lane| families.lane(lane, options));
        let (sessions, sessions_refused) = session_cells();
        Arc::new(Self {
            figures: Mutex::new(Figures { is_running: false, sessions: 0, lanes }),
            sessions,
            sessions_refused,
            families,
            performance,
        })
    }

    /// The metrics, to be registered once.
    #[must_use]
    pub fn collectors(&self) -> Vec<Box<dyn Collector>> {
        let Families { enqueued, rejected, completed, failed, queued, running, duration } =
            &self.families;
        vec![
            Box::new(self.sessions.clone()),
            Box::new(self.sessions_refused.clone()),
            Box::new(enqueued.clone()),
            Box::new(rejected.clone()),
            Box::new(completed.clone()),
            Box::new(failed.clone()),
            Box::new(queued.clone()),
            Box::new(running.clone()),
            Box::new(duration.clone()),
        ]
    }

    /// The status at this moment.
    #[must_use]
    pub fn status(&self) -> HubStatus {
        self.locked().status()
    }

    /// Where the hub's measurements are, among those of others.
    #[must_use]
    pub fn performance(&self) -> &PerformanceMetrics {
        &self.performance
    }

    /// The status, and what it does not say of the lanes, at the same moment.
    pub(super) fn look(&self) -> (HubStatus, HubLanes<Occupancy>) {
        let mut figures = self.locked();
        let occupancy = HubLanes::new(|lane| figures.lanes[lane as usize].occupancy());
        (figures.status(), occupancy)
    }

    /// The hub begins or ends, and holds no tasks.
    pub(super) fn set_running(&self, is_running: bool) {
        let mut figures = self.locked();
        figures.is_running = is_running;
        figures.sessions = 0;
        self.sessions.set(0);
        for lane in &figures.lanes {
            lane.hold(Load { waiting: 0, working: 0 });
        }
    }

    /// There are `count` sessions.
    pub(super) fn set_sessions(&self, count: usize) {
        self.locked().sessions = count;
        self.sessions.set(signed(count));
    }

    /// There was no room for a session.
    pub(super) fn session_refused(&self) {
        self.sessions_refused.inc();
    }

    /// A task was taken into `lane`, which now holds `load`.
    pub(super) fn enqueued(&self, lane: HubLane, load: Load) {
        let figures = self.locked();
        figures.lanes[lane as usize].enqueued.inc();
        figures.lanes[lane as usize].hold(load);
        drop(figures);
        self.performance.increment("hub_tasks_enqueued", 1, &[("lane", lane.as_str())]);
    }

    /// A task found `lane` full.
    pub(super) fn rejected(&self, lane: HubLane) {
        self.locked().lanes[lane as usize].rejected.inc();
        self.performance.increment("hub_tasks_rejected", 1, &[("lane", lane.as_str())]);
    }

    /// A task of `lane` ended, which now holds `load`.
    pub(super) fn ended(&self, lane: HubLane, ended: Ended, load: Load) {
        let mut figures = self.locked();
        figures.lanes[lane as usize].ended(ended);
        figures.lanes[lane as usize].hold(load);
        drop(figures);
        let outcome = if ended.is_success { "completed" } else { "failed" };
        let context = [("lane", lane.as_str()), ("outcome", outcome)];
        self.performance.timing("hub_task", Duration::from_micros(ended.took_us), &context);
    }

    fn locked(&self) -> MutexGuard<'_, Figures> {
        // Numbers stay usable whatever a panicking thread was about to do with them.
        self.figures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Figures {
    fn status(&mut self) -> HubStatus {
        let mut stats = HubTasks::default();
        for lane in &self.lanes {
            stats.enqueued += lane.enqueued.get();
            stats.completed += lane.completed.get();
            stats.failed += lane.failed.get();
        }
        HubStatus {
            running: self.is_running,
            sessions: self.sessions,
            stats,
            metrics: HubLanes::new(|lane| self.lanes[lane as usize].figures()),
        }
    }
}

impl LaneFigures {
    fn hold(&self, load: Load) {
        self.queued.set(signed(load.waiting));
        self.running.set(signed(load.working));
    }

    fn ended(&mut self, Ended { took_us, is_success }: Ended) {
        if is_success {
            self.completed.inc()
        } else {
            self.failed.inc()
        }
        self.duration.observe(Duration::from_micros(took_us).as_secs_f64());
        self.times_us.record(took_us).expect("a distribution grows to any value");
        self.sum_us = self.sum_us.saturating_add(took_us);
        self.quantiles_us = None;
    }

    fn figures(&mut self) -> HubLaneFigures {
        let (completed, failed) = (self.completed.get(), self.failed.get());
        let finished = completed + failed;
        let times_us = &self.times_us;
        let look = || [0.5, 0.99].map(|quantile| times_us.value_at_quantile(quantile));
        let [p50, p99] = self.quantiles_us.get_or_insert_with(look).map(Microseconds);
        HubLaneFigures {
            enqueued: self.enqueued.get(),
            queue_size: unsigned(&self.queued),
            completed,
            failed,
            execution: HubTimes {
                mean: Microseconds(self.sum_us.checked_div(finished).unwrap_or(0)),
                p50,
                p99,
            },
            success_rate: TenThousandths::ratio(completed, finished),
        }
    }

    fn occupancy(&self) -> Occupancy {
        Occupancy {
            queued: unsigned(&self.queued),
            running: unsigned(&self.running),
            capacity: self.capacity,
            rejected: self.rejected.get(),
        }
    }
}

impl Families {
    fn new() -> Self {
        let counter =
            |name, help| IntCounterVec::new(Opts::new(name, help), &["lane"]).expect(VALID);
        let gauge = |name, help| IntGaugeVec::new(Opts::new(name, help), &["lane"]).expect(VALID);
        let duration = HistogramOpts::new(
            "lineage_hub_task_duration_seconds",
            "How long finished tasks took, without their time in the queue.",
        );
        let duration = duration.buckets(BUCKETS_SECONDS.to_vec());
        Self {
            enqueued: counter("lineage_hub_tasks_enqueued_total", "Tasks taken into the queue."),
            rejected: counter(
                "lineage_hub_tasks_rejected_total",
                "Tasks dropped because the queue was full.",
            ),
            completed: counter("lineage_hub_tasks_completed_total", "Tasks done with success."),
            failed: counter("lineage_hub_tasks_failed_total", "Tasks given up."),
            queued: gauge("lineage_hub_queue_size", "Tasks that wait."),
            running: gauge("lineage_hub_tasks_running", "Tasks that are worked."),
            duration: HistogramVec::new(duration, &["lane"]).expect(VALID),
        }
    }

    /// The cells of `lane`; making them is what puts them into the first scrape.
    fn lane(&self, lane: HubLane, options: &Options) -> LaneFigures {
        let label = [lane.as_str()];
        LaneFigures {
            capacity: options.lanes.of(lane).capacity.max(1),
            enqueued: self.enqueued.with_label_values(&label),
            rejected: self.rejected.with_label_values(&label),
            completed: self.completed.with_label_values(&label),
            failed: self.failed.with_label_values(&label),
            queued: self.queued.with_label_values(&label),
            running: self.running.with_label_values(&label),
            duration: self.duration.with_label_values(&label),
            times_us: distribution(),
            sum_us: 0,
            quantiles_us: None,
        }
    }
}

/// Tells times apart by 1 %, those below 4 ms by 16 µs, and grows with the longest.
fn distribution() -> Distribution<u32> {
    let mut times_us = Distribution::new_with_bounds(16, 4_096, 2)
        .expect("the bounds are constants that the crate accepts");
    times_us.auto(true);
    times_us
}

/// How many sessions there are, and how often there was no room for one.
fn session_cells() -> (IntGauge, IntCounter) {
    let sessions = IntGauge::new("lineage_hub_sessions", "Agents that have a session.");
    let refused = IntCounter::new(
        "lineage_hub_sessions_refused_total",
        "Updates of agents for which there was no room among the sessions.",
    );
    (sessions.expect(VALID), refused.expect(VALID))
}

fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn unsigned(gauge: &IntGauge) -> u64 {
    u64::try_from(gauge.get()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{Board, Ended, HubLane, Load, Options};
    use std::sync::Arc;

    #[test]
    fn s40_the_distributions_of_a_hub_take_a_few_kilobytes() {
        let options = Options::default();
        let board = Board::new(&options, Arc::default());
        for lane in HubLane::ALL {
            // The longest that the defaults allow: reading, and three attempts.
            let ended = Ended { took_us: 10_000 + 3 * 60_000, is_success: true };
            board.ended(lane, ended, Load { waiting: 0, working: 0 });
        }
        let cells = board.locked().lanes.each_ref().map(|lane| lane.times_us.distinct_values());
        let bytes = cells.iter().sum::<usize>() * size_of::<u32>();
        assert!(bytes <= 12 * 1_024, "{bytes}");
    }

    #[test]
    fn s39_times_of_any_length_are_counted() {
        let board = Board::new(&Options::default(), Arc::default());
        for took_us in [0, 1, u64::MAX] {
            let ended = Ended { took_us, is_success: false };
            board.ended(HubLane::Risk, ended, Load { waiting: 0, working: 0 });
        }
        let risk = board.status().metrics.risk;
        assert_eq!((risk.failed, risk.success_rate.0, risk.execution.p50.0), (3, 0, 15));
    }
}
