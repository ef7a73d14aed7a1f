//! Goal: tasks flow as agents act, nothing is lost uncounted, and what the hub tells is what happened. Method: made-up
//! updates of agents at made-up times, and the arena's own where long runs matter.

use super::answer_tests::ask;
use super::{Board, Hub, LaneOptions, Options};
use crate::event::hub::{HubLane, HubLanes};
use crate::event::{
    Action, Agent, AgentName, Body, Cents, Class, Event, HubStatus, Market, Side, Status, Topics,
    Trade,
};
use crate::simulation::{Arena, Random};
use proptest::prelude::*;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

pub(super) const SEED: u64 = 12;
const START_US: u64 = 1_767_225_600_000_000;
pub(super) const SECOND_US: u64 = 1_000_000;

pub(super) struct World {
    topics: Topics,
    pub(super) board: Arc<Board>,
    hub: Hub,
    agents: Vec<Arc<AgentName>>,
}

impl World {
    pub(super) fn new(options: &Options) -> Self {
        Self::with_seed(options, SEED)
    }

    fn with_seed(options: &Options, seed: u64) -> Self {
        let (topics, board) = (Topics::new(), Board::new(options, Arc::default()));
        let hub = Hub::new(options, Random::new(seed), &board, &topics, START_US);
        let hub = hub.expect("the topic is free");
        let agent = |slug: &str| Arc::new(AgentName { slug: slug.into(), name: slug.into() });
        let agents = ["momentum", "balanced", "custom"].map(agent).to_vec();
        Self { topics, board, hub, agents }
    }

    fn event(&self, at_us: u64, body: Body) -> Event {
        let topic = self.topics.find("hub").expect("it is registered");
        Event { topic, key: 0, time_us: START_US + at_us, body }
    }

    /// An update of an agent without a trade.
    pub(super) fn update(&mut self, agent: usize, action: Action, at_us: u64) {
        let agent = Arc::clone(&self.agents[agent]);
        let status = Status::Active;
        let body = Agent { agent, capital: Cents(0), trades: 0, wins: 0, scars: 0, status, action };
        self.hub.observe(&self.event(at_us, Body::Agent(body)));
    }

    /// A trade of an agent, and the update that comes with it.
    pub(super) fn trade(&mut self, agent: usize, won: bool, at_us: u64) {
        let trade = Trade {
            agent: Arc::clone(&self.agents[agent]),
            symbol: "BTC-USD".into(),
            side: Side::Buy,
            price: Cents(1),
            quantity: Cents(1),
            pnl: Cents(if won { 2_000 } else { -2_000 }),
            won,
        };
        self.hub.observe(&self.event(at_us, Body::Trade(trade)));
        self.update(agent, if won { Action::Won(20) } else { Action::Lost(20) }, at_us);
    }

    fn prices(&mut self, count: usize, at_us: u64) {
        let price = Market { symbol: "BTC-USD".into(), price: Cents(1) };
        let event = self.event(at_us, Body::Market(price));
        (0..count).for_each(|_| self.hub.observe(&event));
    }

    /// Steps at every moment at which something is due, up to and with `until_us`: the statuses.
    pub(super) fn run(&mut self, until_us: u64) -> Vec<Event> {
        let mut events = Vec::new();
        while self.hub.next_due_us() <= START_US + until_us {
            self.hub.step(self.hub.next_due_us(), &mut events);
        }
        events
    }

    fn enqueued(&self) -> [u64; 3] {
        let status = self.board.status();
        HubLane::ALL.map(|lane| status.metrics.of(lane).enqueued)
    }
}

/// One worker and `capacity` places in each lane, 10 ms for an attempt, no failures.
pub(super) fn plain(capacity: usize) -> Options {
    let attempt = Duration::from_millis(10);
    let lane = LaneOptions { capacity, workers: 1, attempt_min: attempt, attempt_max: attempt };
    Options { failure_permille: 0, lanes: HubLanes::new(|_| lane), ..Options::default() }
}

fn statuses(events: &[Event]) -> Vec<&HubStatus> {
    let status = |event: &'_ Event| matches!(event.body, Body::Typed(_));
    assert!(events.iter().all(status), "the hub publishes statuses alone");
    let typed = events.iter().filter_map(|event| match &event.body {
        Body::Typed(typed) => typed.get::<HubStatus>(),
        _ => None,
    });
    typed.collect()
}

#[test]
fn s36_research_comes_before_a_trade_and_a_risk_check_after_a_loss() {
    let mut world = World::new(&plain(8));
    world.trade(0, false, 0);
    for (at_us, enqueued) in [
        (0, [1, 0, 0]),
        (9_999, [1, 0, 0]),
        (10_000, [1, 1, 0]),
        (19_999, [1, 1, 0]),
        (20_000, [1, 1, 1]),
        (SECOND_US, [1, 1, 1]),
    ] {
        world.run(at_us);
        assert_eq!(world.enqueued(), enqueued, "{at_us}");
    }
    world.trade(1, true, SECOND_US);
    world.update(2, Action::Holds, SECOND_US);
    world.update(2, Action::Rests, SECOND_US);
    world.run(2 * SECOND_US);
    assert_eq!(
        world.enqueued(),
        [3, 2, 1],
        "a win is not checked, a hold not traded, rest is rest"
    );
    let stats = world.board.status().stats;
    assert_eq!((stats.enqueued, stats.completed, stats.failed), (6, 6, 0));
}

#[test]
fn s36_a_loss_is_checked_even_if_what_came_before_failed_or_was_dropped() {
    let mut world = World::new(&Options { failure_permille: 1_000, ..plain(8) });
    world.trade(0, false, 0);
    world.run(SECOND_US);
    let stats = world.board.status().stats;
    assert_eq!((stats.enqueued, stats.completed, stats.failed), (3, 0, 3));
    assert_eq!(world.enqueued(), [1, 1, 1]);

    // One is worked, one waits; the third finds research full and goes on to trading at once.
    let mut world = World::new(&plain(1));
    (0..3).for_each(|agent| world.trade(agent, false, 0));
    assert_eq!(world.enqueued(), [2, 1, 0]);
    world.run(SECOND_US);
    assert_eq!(world.enqueued(), [2, 3, 3]);
    let rejected =
        ask(Some(&world.board), "/api/hub/stats")["lanes"]["research"]["rejected"].clone();
    assert_eq!(rejected, json!(1));
}

#[test]
fn s36_research_takes_longer_for_the_prices_it_has_to_read() {
    for (prices, reading_us) in [(0, 0), (7, 70), (999, 9_990), (1_000, 10_000), (1_001, 10_000)] {
        let mut world = World::new(&plain(8));
        world.prices(prices, 0);
        world.update(0, Action::Holds, 0);
        world.run(SECOND_US - 1);
        assert_eq!(world.board.status().metrics.research.execution.mean.0, 10_000 + reading_us);
    }
}

#[test]
fn s36_sessions_are_opened_by_updates_and_ended_by_silence() {
    let options = Options { session_idle: Duration::from_secs(4), sessions_max: 2, ..plain(8) };
    let mut world = World::new(&options);
    assert_eq!(world.board.status().sessions, 0);
    world.update(0, Action::Holds, 0);
    world.update(1, Action::Rests, SECOND_US);
    world.update(2, Action::Holds, SECOND_US);
    assert_eq!(world.board.status().sessions, 2, "there is no room for the third");
    assert_eq!(world.enqueued(), [1, 0, 0], "and it gets no task");
    let events = world.run(6 * SECOND_US);
    let sessions: Vec<_> = statuses(&events).iter().map(|status| status.sessions).collect();
    assert_eq!(sessions, [2, 2, 1, 0]);
}

#[test]
fn s36_the_hub_runs_from_its_start_until_it_is_dropped() {
    let (options, topics) = (Options::default(), Topics::new());
    let board = Board::new(&options, Arc::default());
    assert!(!board.status().running);
    let hub = Hub::new(&options, Random::new(SEED), &board, &topics, 0).expect("it begins");
    assert!(board.status().running);
    drop(hub);
    assert!(!board.status().running);
}

#[test]
fn s35_a_status_comes_every_two_seconds_from_the_start_on_and_keeps_its_phase() {
    let mut world = World::new(&Options::default());
    let events = world.run(10 * SECOND_US);
    let times: Vec<_> = events.iter().map(|event| event.time_us - START_US).collect();
    assert_eq!(times, [0, 2, 4, 6, 8, 10].map(|second| second * SECOND_US));
    assert_eq!(world.topics.info(events[0].topic).class, Class::State);
    let mut late = Vec::new();
    world.hub.step(START_US + 19 * SECOND_US, &mut late);
    assert_eq!(late.len(), 1, "what was missed is left out");
    assert_eq!(world.hub.next_due_us(), START_US + 20 * SECOND_US);
}

#[test]
fn s35_the_time_between_statuses_is_at_least_a_millisecond() {
    for (micros, expected_us) in [(0, 1_000), (999, 1_000), (1_000, 1_000), (1_001, 1_001)] {
        let status_interval = Duration::from_micros(micros);
        let mut world = World::new(&Options { status_interval, ..Options::default() });
        world.run(0);
        assert_eq!(world.hub.next_due_us() - START_US, expected_us);
    }
}

/// The statuses of the hub beside an arena for ten minutes, as clients read them.
fn beside_an_arena(seed: u64, is_stepped_often: bool) -> Vec<u8> {
    let mut world = World::with_seed(&Options::default(), seed);
    let options = crate::simulation::Options { seed, ..crate::simulation::Options::arena() };
    let mut arena = Arena::new(&options, &world.topics, START_US).expect("the topics are free");
    let (mut acts, mut events) = (Vec::new(), Vec::new());
    for second in 0..600 {
        let now_us = START_US + second * SECOND_US;
        if is_stepped_often && second > 0 {
            events.append(&mut world.run(second * SECOND_US - 1));
        }
        arena.step(now_us, &mut acts);
        acts.drain(..).for_each(|event| world.hub.observe(&event));
        world.hub.step(now_us, &mut events);
    }
    let all = statuses(&events);
    assert_eq!(all.len(), 300);
    let stats = all[299].stats;
    assert!(stats.completed > 150 && stats.enqueued == stats.completed + stats.failed);
    let mut out = Vec::new();
    for status in all {
        crate::event::Payload::write_json(status, &mut out);
    }
    out
}

#[test]
fn s36_the_same_seed_gives_the_same_bytes_however_often_the_hub_is_stepped() {
    assert_eq!(beside_an_arena(1, false), beside_an_arena(1, false));
    assert_eq!(beside_an_arena(1, false), beside_an_arena(1, true));
    assert_ne!(beside_an_arena(1, false), beside_an_arena(2, false));
}

proptest! {
    #[test]
    fn s36_every_task_is_waiting_worked_completed_or_failed(
        acts in proptest::collection::vec((0_usize..3, 0_u8..4, 0_u64..20_000), 1..80),
        capacity in 1_usize..4,
    ) {
        let mut options = Options { failure_permille: 500, ..plain(capacity) };
        options.lanes.trading.workers = 2;
        let (mut world, mut at_us, mut trades, mut losses) = (World::new(&options), 0, 0, 0);
        for (agent, act, wait_us) in acts {
            at_us += wait_us;
            match act {
                0 => world.update(agent, Action::Holds, at_us),
                1 => drop(world.run(at_us)),
                _ => {
                    world.trade(agent, act == 2, at_us);
                    trades += 1;
                    losses += u64::from(act != 2);
                }
            }
            let (status, occupancy) = world.board.look();
            for (lane, workers) in HubLane::ALL.into_iter().zip([1, 2, 1]) {
                let (figures, held) = (status.metrics.of(lane), occupancy.of(lane));
                let over = figures.completed + figures.failed;
                prop_assert_eq!(figures.enqueued, over + held.queued + held.running);
                prop_assert!(held.queued <= capacity as u64 && held.running <= workers);
            }
        }
        world.run(at_us + 60 * SECOND_US);
        let (status, occupancy) = world.board.look();
        prop_assert_eq!(status.stats.enqueued, status.stats.completed + status.stats.failed);
        // Every trade comes to trading and every loss to risk, or is counted where there was no room.
        let offered = |lane| status.metrics.of(lane).enqueued + occupancy.of(lane).rejected;
        prop_assert_eq!((offered(HubLane::Trading), offered(HubLane::Risk)), (trades, losses));
    }
}
