//! The hub as a pure stepper: it is told the time and what agents did, and answers with the statuses that are due.
//!
//! Tasks end at moments of their own between two steps. Whatever is told brings the hub up to that moment first, ends
//! in their order, so that the figures do not depend on how often it is stepped.

use super::board::{Board, Ended, Load};
use super::lane::{Lane, Task};
use super::sessions::Sessions;
use super::{Options, micros};
use crate::event::hub::HubLane;
use crate::event::{Action, AgentName, Body, Event, Topic, TopicError, Topics, Typed};
use crate::simulation::Random;
use crate::sync::Arc;
use tracing::debug;

/// Shortest time between two statuses; shorter ones become it.
const STATUS_INTERVAL_US_MIN: u64 = 1_000;
/// Prices that research reads at most.
const PRICES_READ_MAX: u64 = 1_000;

const OF_A_HOLD: &[HubLane] = &[HubLane::Research];
const OF_A_WIN: &[HubLane] = &[HubLane::Research, HubLane::Trading];
const OF_A_LOSS: &[HubLane] = &[HubLane::Research, HubLane::Trading, HubLane::Risk];

/// Lanes and sessions at work. Dropping it ends the hub: the board says that it does not run.
#[derive(Debug)]
pub struct Hub {
    topic: Topic,
    board: Arc<Board>,
    lanes: [Lane; 3],
    sessions: Sessions,
    price_reading_us: u64,
    /// Prices seen so far.
    prices: u64,
    /// Number of the newest task.
    newest: u64,
    status_interval_us: u64,
    status_due_us: u64,
}

impl Hub {
    /// A hub that begins at `start_us` (microseconds since the Unix epoch), when its first status is due. Its figures
    /// go to `board`.
    ///
    /// # Errors
    /// When topic `hub` cannot be registered.
    pub fn new(
        options: &Options,
        mut random: Random,
        board: &Arc<Board>,
        topics: &Topics,
        start_us: u64,
    ) -> Result<Self, TopicError> {
        let topic = topics.register("hub", None)?;
        board.set_running(true);
        debug!("hub started, a status every {:?}", options.status_interval);
        Ok(Self {
            topic,
            board: Arc::clone(board),
            lanes: HubLane::ALL.map(|lane| Lane::new(options, lane, random.split())),
            sessions: Sessions::new(options.sessions_max, micros(options.session_idle)),
            price_reading_us: micros(options.price_reading),
            prices: 0,
            newest: 0,
            status_interval_us: micros(options.status_interval).max(STATUS_INTERVAL_US_MIN),
            status_due_us: start_us,
        })
    }

    /// When something is due next, a status or the end of a task, in microseconds since the Unix epoch.
    #[must_use]
    pub fn next_due_us(&self) -> u64 {
        let ends = self.lanes.iter().filter_map(Lane::next_end);
        ends.map(|(end_us, _)| end_us).fold(self.status_due_us, u64::min)
    }

    /// Hears of an event of the arena, at the event's time: agents' updates and trades become tasks, prices become
    /// something to read. Other events do not concern it.
    pub fn observe(&mut self, event: &Event) {
        match &event.body {
            Body::Market(_) => self.prices = self.prices.saturating_add(1),
            Body::Trade(trade) => {
                let stages = if trade.won { OF_A_WIN } else { OF_A_LOSS };
                self.hear(&trade.agent, stages, event.time_us);
            }
            Body::Agent(agent) => {
                // Who traded has just been heard of with its trade.
                let stages = if agent.action == Action::Holds { OF_A_HOLD } else { &[] };
                self.hear(&agent.agent, stages, event.time_us);
            }
            Body::External(_) | Body::Recorded { .. } | Body::Typed(_) => {}
        }
    }

    /// Ends the tasks that end until `now_us`, and appends the status if it is due, stamped with `now_us`. Statuses keep
    /// their phase: a late one does not move what follows, and those missed altogether are left out.
    pub fn step(&mut self, now_us: u64, out: &mut Vec<Event>) {
        self.advance(now_us);
        let Some(late_us) = now_us.checked_sub(self.status_due_us) else { return };
        let ahead_us = self.status_interval_us - late_us % self.status_interval_us;
        self.status_due_us = now_us.saturating_add(ahead_us);
        self.sessions.expire(now_us);
        self.board.set_sessions(self.sessions.count());
        let body = Body::Typed(Typed::new(self.board.status()));
        out.push(Event { topic: self.topic, key: 0, time_us: now_us, body });
    }

    /// Hears of `agent` at `now_us`, who has work in `stages`.
    fn hear(&mut self, agent: &Arc<AgentName>, stages: &'static [HubLane], now_us: u64) {
        self.advance(now_us);
        if !self.sessions.hear(agent, now_us) {
            self.board.session_refused();
            return;
        }
        self.board.set_sessions(self.sessions.count());
        if !stages.is_empty() {
            let unread = self.sessions.read(agent, self.prices).min(PRICES_READ_MAX);
            let reading_us = unread.saturating_mul(self.price_reading_us);
            self.enqueue(agent, stages, reading_us, now_us);
        }
    }

    /// Ends the tasks that end until `now_us` in their order; each is followed by its next stage.
    fn advance(&mut self, now_us: u64) {
        while let Some(lane) = self.next_ended(now_us) {
            let Some(done) = self.lanes[lane as usize].finish() else { return };
            let ended = Ended { took_us: done.took_us, is_success: done.is_success };
            self.board.ended(lane, ended, self.load(lane));
            let (task_id, lane, agent) = (done.task.id, lane.as_str(), &*done.task.agent.slug);
            let took_us = done.took_us;
            if done.is_success {
                debug!(task_id, lane, agent, took_us, "task_completed");
            } else {
                debug!(task_id, lane, agent, took_us, "task_failed");
            }
            self.enqueue(&done.task.agent, done.task.next, 0, done.end_us);
        }
    }

    /// The lane whose task ends next, if it does until `now_us`.
    fn next_ended(&self, now_us: u64) -> Option<HubLane> {
        let ends = HubLane::ALL.into_iter().filter_map(|lane| {
            let (end_us, id) = self.lanes[lane as usize].next_end()?;
            Some((end_us, id, lane))
        });
        let (end_us, _, lane) = ends.min_by_key(|&(end_us, id, _)| (end_us, id))?;
        (end_us <= now_us).then_some(lane)
    }

    /// Hands the first stage to its lane; where that is full, the one after it, and so on.
    fn enqueue(
        &mut self,
        agent: &Arc<AgentName>,
        mut stages: &'static [HubLane],
        reading_us: u64,
        now_us: u64,
    ) {
        while let Some((&lane, next)) = stages.split_first() {
            self.newest += 1;
            let (task_id, reading_us) =
                (self.newest, if lane == HubLane::Research { reading_us } else { 0 });
            let task = Task { id: task_id, agent: Arc::clone(agent), next, reading_us };
            let agent = &*agent.slug;
            if self.lanes[lane as usize].offer(task, now_us) {
                let load = self.load(lane);
                self.board.enqueued(lane, load);
                let (lane, queue_size) = (lane.as_str(), load.waiting);
                debug!(task_id, lane, agent, queue_size, "task_enqueued");
                return;
            }
            self.board.rejected(lane);
            debug!(task_id, lane = lane.as_str(), agent, "task_rejected");
            stages = next;
        }
    }

    fn load(&self, lane: HubLane) -> Load {
        let lane = &self.lanes[lane as usize];
        Load { waiting: lane.waiting(), working: lane.working() }
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.board.set_running(false);
        debug!("hub stopped");
    }
}
