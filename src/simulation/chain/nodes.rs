//! The nodes: machines in regions that serve, fail, are repaired and start again.
//!
//! ```text
//! spare ── fewer serve or start than are wanted ─► starting ── seconds later ─► up ── fails ─► down ── repaired ─► spare
//! ```
//!
//! A node's answer time is its own distance plus the state of the lines of its region, which walks. What a round decides
//! depends on where the nodes are, and never on the time of day.

use super::Options;
use crate::event::NetworkHealth;
use crate::simulation::Random;

/// Regions; a node belongs to that of its number modulo this.
const REGIONS: usize = 5;

/// Least and greatest answer time of a node whose region's lines are in their usual state.
const ANSWER_US: (u64, u64) = (36_000, 48_000);

/// How far the lines of a region move an answer time at most, either way.
const LINES_US_MAX: i64 = 4_500;

/// The longest step of that from round to round.
const LINES_STEP_US: u64 = 1_500;

/// A region's lines lose a sixteenth of their deviation in each round.
const LINES_PULL: i64 = 16;

/// Rounds that a node takes to start: the least, and how many values there are from it on.
const START_ROUNDS: (u32, u32) = (2, 5);

/// Rounds after an outage until there may be another one.
const OUTAGE_ROUNDS: u32 = 60;

/// Rounds until a node that failed is repaired: the least, and how many values there are from it on.
const REPAIR_ROUNDS: (u32, u32) = (30, 61);

/// What a node does; where it waits, for how many more rounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Up,
    Starting(u32),
    Down(u32),
    Spare,
}

#[derive(Debug)]
struct Node {
    state: State,
    answer_us: u64,
}

/// All nodes.
#[derive(Debug)]
pub(super) struct Nodes {
    random: Random,
    nodes: Vec<Node>,
    /// How far each region's lines move the answer times of its nodes.
    lines_us: [i64; REGIONS],
    wanted: usize,
    failure_permille: u32,
    outage_permille: u32,
    outage_nodes_max: u32,
    /// Rounds until there may be an outage.
    spared_rounds: u32,
}

impl Nodes {
    /// As many nodes as are wanted are up, the others are spare.
    pub(super) fn new(options: &Options, mut random: Random) -> Self {
        let wanted = options.nodes_wanted.min(options.nodes) as usize;
        let (least, greatest) = ANSWER_US;
        let mut node = |number| Node {
            state: if number < wanted { State::Up } else { State::Spare },
            answer_us: least + random.below(greatest - least + 1),
        };
        let nodes = (0..options.nodes as usize).map(&mut node).collect();
        Self {
            nodes,
            random,
            lines_us: [0; REGIONS],
            wanted,
            failure_permille: options.node_failure_permille,
            outage_permille: options.outage_permille,
            outage_nodes_max: options.outage_nodes_max,
            spared_rounds: 0,
        }
    }

    /// A second passes: lines change, nodes fail, are repaired and start.
    pub(super) fn round(&mut self) {
        for lines_us in &mut self.lines_us {
            let step = self.random.below(2 * LINES_STEP_US + 1).cast_signed();
            let moved = *lines_us - *lines_us / LINES_PULL + step - LINES_STEP_US.cast_signed();
            *lines_us = moved.clamp(-LINES_US_MAX, LINES_US_MAX);
        }
        for node in &mut self.nodes {
            node.state = match node.state {
                State::Up if self.random.chance(self.failure_permille) => repair(&mut self.random),
                State::Starting(0) => State::Up,
                State::Starting(rounds) => State::Starting(rounds - 1),
                State::Down(0) => State::Spare,
                State::Down(rounds) => State::Down(rounds - 1),
                state => state,
            };
        }
        self.spared_rounds = self.spared_rounds.saturating_sub(1);
        if self.spared_rounds == 0 && self.random.chance(self.outage_permille) {
            self.outage();
        }
        self.start_spares();
    }

    /// A region loses some of its nodes at once.
    fn outage(&mut self) {
        self.spared_rounds = OUTAGE_ROUNDS;
        let region = self.random.below(REGIONS as u64);
        let region = usize::try_from(region).expect("it is one of a few");
        let mut left = self.outage_nodes_max;
        for node in self.nodes.iter_mut().skip(region).step_by(REGIONS) {
            if left > 0 && node.state == State::Up {
                node.state = repair(&mut self.random);
                left -= 1;
            }
        }
    }

    /// Starts spare nodes in the place of those that are missing.
    fn start_spares(&mut self) {
        let serves = |node: &&Node| matches!(node.state, State::Up | State::Starting(_));
        let present = self.nodes.iter().filter(serves).count();
        let spares = self.nodes.iter_mut().filter(|node| node.state == State::Spare);
        for node in spares.take(self.wanted.saturating_sub(present)) {
            node.state = State::Starting(rounds(START_ROUNDS, &mut self.random));
        }
    }

    /// All of them.
    pub(super) fn total(&self) -> usize {
        self.nodes.len()
    }

    /// How many serve.
    pub(super) fn active(&self) -> usize {
        self.nodes.iter().filter(|node| node.state == State::Up).count()
    }

    /// Whether the node of that number serves.
    pub(super) fn is_up(&self, number: usize) -> bool {
        self.nodes.get(number).is_some_and(|node| node.state == State::Up)
    }

    /// How long the node of that number takes to answer.
    pub(super) fn answer_us(&self, number: usize) -> u64 {
        let own_us = self.nodes.get(number).map_or(0, |node| node.answer_us);
        own_us.saturating_add_signed(self.lines_us[number % REGIONS])
    }

    /// Mean answer time of those that serve; 0 when none does.
    pub(super) fn mean_answer_us(&self) -> u64 {
        let up = (0..self.nodes.len()).filter(|&number| self.is_up(number));
        let sum: u64 = up.map(|number| self.answer_us(number)).sum();
        sum.checked_div(self.active() as u64).unwrap_or(0)
    }

    /// How the number of those that serve compares to how many are wanted.
    pub(super) fn health(&self) -> NetworkHealth {
        let (active, wanted) = (self.active(), self.wanted);
        if active == 0 || active * 3 < wanted * 2 {
            NetworkHealth::Critical
        } else if active * 10 < wanted * 9 {
            NetworkHealth::Degraded
        } else {
            NetworkHealth::Healthy
        }
    }
}

fn repair(random: &mut Random) -> State {
    State::Down(rounds(REPAIR_ROUNDS, random))
}

fn rounds((least, values): (u32, u32), random: &mut Random) -> u32 {
    let more = u32::try_from(random.below(values.into()));
    least + more.expect("it is below a limit of as many bits")
}

#[cfg(test)]
mod tests {
    use super::{Node, Nodes, OUTAGE_ROUNDS, REGIONS, REPAIR_ROUNDS, START_ROUNDS, State};
    use crate::event::NetworkHealth;
    use crate::simulation::Random;
    use crate::simulation::chain::Options;

    const QUIET: fn() -> Options =
        || Options { node_failure_permille: 0, outage_permille: 0, ..Options::default() };

    fn nodes(options: &Options) -> Nodes {
        Nodes::new(options, Random::new(8))
    }

    #[test]
    fn s46_health_changes_at_nine_tenths_and_at_two_thirds_of_the_wanted_nodes() {
        let mut nodes = nodes(&QUIET());
        for active in (0..=64).rev() {
            let expected = match active {
                58..=64 => NetworkHealth::Healthy,
                43..=57 => NetworkHealth::Degraded,
                _ => NetworkHealth::Critical,
            };
            assert_eq!((nodes.active(), nodes.health()), (active, expected));
            if active > 0 {
                nodes.nodes[active - 1].state = State::Down(1);
            }
        }
    }

    #[test]
    fn s46_a_node_that_fails_is_replaced_by_a_spare_one_and_becomes_spare_when_repaired() {
        let mut nodes = nodes(&QUIET());
        nodes.nodes[10].state = State::Down(REPAIR_ROUNDS.0);
        nodes.round();
        assert_eq!(nodes.active(), 63, "the spare node takes its time");
        assert!(matches!(nodes.nodes[64].state, State::Starting(_)));
        let start_rounds_max = START_ROUNDS.0 + START_ROUNDS.1;
        (0..start_rounds_max).for_each(|_| nodes.round());
        assert!(nodes.active() == 64 && nodes.is_up(64) && !nodes.is_up(10));
        (0..REPAIR_ROUNDS.0).for_each(|_| nodes.round());
        assert_eq!((nodes.nodes[10].state, nodes.active()), (State::Spare, 64));
    }

    #[test]
    fn s46_an_outage_takes_at_most_its_number_of_nodes_of_one_region() {
        for (outage_nodes_max, taken) in [(0, 0..=0), (1, 1..=1), (6, 6..=6), (1_000, 12..=13)] {
            let mut nodes = nodes(&Options { outage_nodes_max, ..QUIET() });
            nodes.outage();
            let down: Vec<usize> = (0..64).filter(|&number| !nodes.is_up(number)).collect();
            assert!(taken.contains(&down.len()), "{down:?}");
            assert!(down.windows(2).all(|pair| pair[1] - pair[0] == REGIONS), "{down:?}");
        }
    }

    #[test]
    fn s46_one_outage_is_over_before_the_next_begins() {
        let options = Options { outage_permille: 1_000, outage_nodes_max: 1, ..QUIET() };
        let mut nodes = nodes(&options);
        let down = |node: &&Node| matches!(node.state, State::Down(_));
        let is_struck = |round: u32, nodes: &mut Nodes| {
            nodes.nodes.iter_mut().for_each(|node| node.state = State::Up);
            nodes.round();
            let is_struck = nodes.nodes.iter().filter(down).count() == 1;
            is_struck.then_some(round)
        };
        let struck: Vec<u32> =
            (0..=2 * OUTAGE_ROUNDS).filter_map(|round| is_struck(round, &mut nodes)).collect();
        assert_eq!(struck, [0, OUTAGE_ROUNDS, 2 * OUTAGE_ROUNDS]);
    }

    #[test]
    fn a_network_of_which_nothing_serves_has_no_answer_time_and_is_critical() {
        let mut nodes = nodes(&Options { nodes: 0, ..QUIET() });
        nodes.round();
        assert_eq!((nodes.total(), nodes.active(), nodes.mean_answer_us()), (0, 0, 0));
        assert_eq!(nodes.health(), NetworkHealth::Critical);
    }
}
