//! One lane: a bounded queue in front of workers that take simulated time.
//!
//! How a task goes is drawn when a worker takes it up: it tries until an attempt succeeds or there were enough of them,
//! and each attempt takes its time. A worker that ends takes up the task that waits longest, at that very moment.
//!
//! Invariants: nobody waits while a worker is free; at most `capacity` tasks wait and `workers` are worked.

use super::{LaneOptions, Options, micros};
use crate::event::AgentName;
use crate::event::hub::HubLane;
use crate::simulation::Random;
use crate::sync::Arc;
use std::collections::VecDeque;

/// A piece of work for an agent.
#[derive(Debug)]
pub(super) struct Task {
    /// Counts up from 1 over all lanes.
    pub(super) id: u64,
    /// Who issued it.
    pub(super) agent: Arc<AgentName>,
    /// What comes after it.
    pub(super) next: &'static [HubLane],
    /// Time it takes before the first attempt.
    pub(super) reading_us: u64,
}

/// A task that is over.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) task: Task,
    /// When it ended.
    pub(super) end_us: u64,
    /// What it took, without its time in the queue.
    pub(super) took_us: u64,
    pub(super) is_success: bool,
}

/// A lane at work.
#[derive(Debug)]
pub(super) struct Lane {
    capacity: usize,
    workers: usize,
    attempt_min_us: u64,
    /// What an attempt may take beyond the least.
    attempt_spread_us: u64,
    failure_permille: u32,
    attempts_max: u32,
    waiting: VecDeque<Task>,
    /// Known to the end from the moment they began; in no order.
    working: Vec<Done>,
    random: Random,
}

impl Lane {
    pub(super) fn new(options: &Options, kind: HubLane, random: Random) -> Self {
        let LaneOptions { capacity, workers, attempt_min, attempt_max } = *options.lanes.of(kind);
        let attempt_min_us = micros(attempt_min);
        Self {
            capacity: capacity.max(1),
            workers: workers.max(1),
            attempt_min_us,
            attempt_spread_us: micros(attempt_max).saturating_sub(attempt_min_us),
            failure_permille: options.failure_permille,
            attempts_max: options.attempts_max.max(1),
            waiting: VecDeque::new(),
            working: Vec::new(),
            random,
        }
    }

    /// Takes a task in at `now_us`; false, and the task is gone, when the queue is full.
    pub(super) fn offer(&mut self, task: Task, now_us: u64) -> bool {
        if self.waiting.len() >= self.capacity {
            return false;
        }
        self.waiting.push_back(task);
        self.take_up(now_us);
        true
    }

    /// Tasks that wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Tasks that are worked.
    pub(super) fn working(&self) -> usize {
        self.working.len()
    }

    /// When a task ends next, and its number: of two that end together the older one comes first.
    pub(super) fn next_end(&self) -> Option<(u64, u64)> {
        self.working.iter().map(|done| (done.end_us, done.task.id)).min()
    }

    /// Ends the task that ends next, and takes up the next one in its place.
    pub(super) fn finish(&mut self) -> Option<Done> {
        let (_, id) = self.next_end()?;
        let at = self.working.iter().position(|done| done.task.id == id)?;
        let done = self.working.swap_remove(at);
        self.take_up(done.end_us);
        Some(done)
    }

    /// Gives the task that waits longest to a free worker, if there are both.
    fn take_up(&mut self, now_us: u64) {
        if self.working.len() < self.workers
            && let Some(task) = self.waiting.pop_front()
        {
            let (took_us, is_success) = self.work(task.reading_us);
            let end_us = now_us.saturating_add(took_us);
            self.working.push(Done { task, end_us, took_us, is_success });
        }
    }

    /// How a task goes: what it takes, and whether it succeeds.
    fn work(&mut self, reading_us: u64) -> (u64, bool) {
        let mut took_us = reading_us;
        for _ in 0..self.attempts_max {
            let beyond_us = self.random.below(self.attempt_spread_us.saturating_add(1));
            took_us = took_us.saturating_add(self.attempt_min_us).saturating_add(beyond_us);
            if !self.random.chance(self.failure_permille) {
                return (took_us, true);
            }
        }
        (took_us, false)
    }
}

#[cfg(test)]
mod tests {
    use super::{AgentName, Arc, HubLane, Lane, LaneOptions, Options, Random, Task};
    use crate::event::hub::HubLanes;
    use std::time::Duration;

    const SEED: u64 = 3;

    fn options(capacity: usize, workers: usize) -> Options {
        let lane = LaneOptions {
            capacity,
            workers,
            attempt_min: Duration::from_micros(10),
            attempt_max: Duration::from_micros(10),
        };
        Options { failure_permille: 0, lanes: HubLanes::new(|_| lane), ..Options::default() }
    }

    fn lane(options: &Options) -> Lane {
        Lane::new(options, HubLane::Research, Random::new(SEED))
    }

    fn task(id: u64) -> Task {
        let agent = Arc::new(AgentName { slug: "a".into(), name: "A".into() });
        Task { id, agent, next: &[], reading_us: 0 }
    }

    #[test]
    fn s36_a_queue_takes_as_many_as_its_capacity_and_no_more() {
        for capacity in [1, 2, 7] {
            let mut lane = lane(&options(capacity, 2));
            // Two are worked at once, and then the queue fills.
            let taken = (1..=capacity as u64 + 5).filter(|&id| lane.offer(task(id), 0)).count();
            assert_eq!((taken, lane.waiting(), lane.working()), (capacity + 2, capacity, 2));
            assert_eq!(lane.finish().map(|done| done.task.id), Some(1));
            assert!(lane.offer(task(100), 10), "there is room for one");
            assert!(!lane.offer(task(101), 10), "and no more");
        }
        let mut none = lane(&options(0, 0));
        assert!(none.offer(task(1), 0) && none.offer(task(2), 0) && !none.offer(task(3), 0));
    }

    #[test]
    fn s36_tasks_are_worked_in_their_order_without_a_pause() {
        let mut lane = lane(&options(8, 2));
        for id in 1..=5 {
            assert!(lane.offer(task(id), 100));
        }
        let ends: Vec<_> = std::iter::from_fn(|| lane.finish())
            .map(|done| (done.task.id, done.end_us, done.took_us))
            .collect();
        assert_eq!(ends, [(1, 110, 10), (2, 110, 10), (3, 120, 10), (4, 120, 10), (5, 130, 10)]);
    }

    #[test]
    fn s36_a_task_is_given_up_after_its_last_attempt() {
        for attempts_max in [1, 2, 3] {
            let fails = Options { attempts_max, failure_permille: 1_000, ..options(1, 1) };
            let mut lane = lane(&fails);
            assert!(lane.offer(task(1), 0));
            let done = lane.finish().expect("it ends");
            assert!(!done.is_success);
            assert_eq!(done.took_us, 10 * u64::from(attempts_max));
        }
    }

    #[test]
    fn s36_tasks_fail_as_often_as_their_attempts_all_do() {
        let options = Options { failure_permille: 500, attempts_max: 3, ..options(1, 1) };
        let (mut lane, mut failures) = (lane(&options), 0_u32);
        for id in 0..100_000 {
            assert!(lane.offer(task(id), 0));
            failures += u32::from(!lane.finish().expect("it ends").is_success);
        }
        // One in eight; four standard deviations are 418.
        assert!(failures.abs_diff(12_500) < 418, "seed {SEED}: {failures}");
    }

    #[test]
    fn s36_attempts_reach_both_bounds_of_their_time_and_no_further() {
        let mut options = options(1, 1);
        options.lanes.research.attempt_max = Duration::from_micros(14);
        let mut lane = lane(&options);
        let mut times = Vec::new();
        for id in 0..1_000 {
            assert!(lane.offer(task(id), 0));
            times.push(lane.finish().expect("it ends").took_us);
        }
        assert_eq!((times.iter().min(), times.iter().max()), (Some(&10), Some(&14)), "seed {SEED}");
    }
}
