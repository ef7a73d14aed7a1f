//! The validators: who votes on slots and seals blocks, by the weight of what they have at stake.
//!
//! ```text
//! active ── its node fails ─► inactive ── moves to a node with few others, or its own is up again ─► active
//!                                 └── missed too many rounds in a row ─► jailed ── its time is over ─► active
//! ```
//!
//! The network agrees on a slot when validators with more than two thirds of the stake have voted; those that are
//! jailed are left out of the count, those that are inactive are not. A validator votes as fast as its node answers.

use super::Options;
use super::nodes::Nodes;
use crate::event::ChainValidators;
use crate::simulation::Random;

/// Least and greatest stake.
const STAKE: (u32, u32) = (1_000, 10_000);

/// What a validator does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Active,
    /// For how many rounds it has missed its votes.
    Inactive(u32),
    /// For how many more rounds.
    Jailed(u32),
}

#[derive(Debug)]
struct Validator {
    state: State,
    stake: u32,
    /// The node that it runs on, or ran on before that failed.
    node: Option<usize>,
}

/// All validators.
#[derive(Debug)]
pub(super) struct Validators {
    random: Random,
    validators: Vec<Validator>,
    /// How many of them are on each node.
    loads: Vec<u32>,
    move_permille: u32,
    missed_rounds_max: u32,
    jail_rounds: u32,
    jailings: u64,
    releases: u64,
}

impl Validators {
    /// Validators that are active, spread over the nodes that serve.
    pub(super) fn new(options: &Options, nodes: &Nodes, mut random: Random) -> Self {
        let (least, greatest) = STAKE;
        let mut loads = vec![0; nodes.total()];
        let mut validator = |_| {
            let more = u32::try_from(random.below(u64::from(greatest - least) + 1));
            let stake = least + more.expect("it is below a limit of as many bits");
            Validator { state: State::Active, stake, node: take_place(&mut loads, nodes) }
        };
        let validators = (0..options.validators).map(&mut validator).collect();
        Self {
            validators,
            loads,
            random,
            move_permille: options.validator_move_permille,
            missed_rounds_max: options.missed_rounds_max,
            jail_rounds: options.jail_rounds,
            jailings: 0,
            releases: 0,
        }
    }

    /// A second passes: votes are missed, validators move, are jailed and released.
    pub(super) fn round(&mut self, nodes: &Nodes) {
        for validator in &mut self.validators {
            let has_node = validator.node.is_some_and(|node| nodes.is_up(node));
            validator.state = match validator.state {
                State::Active | State::Inactive(_) if has_node => State::Active,
                State::Active => State::Inactive(1),
                State::Inactive(missed) if missed >= self.missed_rounds_max => {
                    self.jailings += 1;
                    State::Jailed(self.jail_rounds)
                }
                State::Inactive(missed) if self.random.chance(self.move_permille) => {
                    validator.change_place(&mut self.loads, nodes, missed + 1)
                }
                State::Inactive(missed) => State::Inactive(missed + 1),
                State::Jailed(0) => {
                    self.releases += 1;
                    validator.change_place(&mut self.loads, nodes, 1)
                }
                State::Jailed(rounds) => State::Jailed(rounds - 1),
            };
        }
    }

    /// How long the network takes to agree on a slot; none when too few can vote.
    ///
    /// The time is searched by halves: each trial is one pass over two dense arrays, which costs less than to sort.
    pub(super) fn agree_us(&self, nodes: &Nodes) -> Option<u64> {
        let is_bound = |validator: &&Validator| !matches!(validator.state, State::Jailed(_));
        let bound = self.validators.iter().filter(is_bound);
        let needed = bound.map(|validator| validator.stake).sum::<u32>() * 2 / 3;
        // Exact, as answers take far less than an hour.
        let answer_us = |node| u32::try_from(nodes.answer_us(node)).unwrap_or(u32::MAX);
        let answers = self.validators.iter().map(|it| it.node.map_or(0, answer_us));
        let answers: Vec<u32> = answers.collect();
        let has_vote = |it: &Validator| it.state == State::Active && it.node.is_some();
        let stakes = self.validators.iter().map(|it| if has_vote(it) { it.stake } else { 0 });
        let stakes: Vec<u32> = stakes.collect();
        let voted = |until_us: u32| -> u32 {
            let votes = answers.iter().zip(&stakes);
            votes.map(|(answer_us, stake)| if *answer_us <= until_us { *stake } else { 0 }).sum()
        };
        let (mut least, mut most) = (*answers.iter().min()?, *answers.iter().max()?);
        if voted(most) <= needed {
            return None;
        }
        while least < most {
            let middle = u32::midpoint(least, most);
            if voted(middle) > needed {
                most = middle;
            } else {
                least = middle + 1;
            }
        }
        Some(least.into())
    }

    /// The number of the one that seals the next block, each as likely as its share of the active stake; none when
    /// none is active.
    pub(super) fn producer(&mut self) -> Option<usize> {
        let is_active = |validator: &Validator| validator.state == State::Active;
        let total = self.active().map(|validator| u64::from(validator.stake)).sum();
        let mut left = self.random.below(total);
        let active = self.validators.iter().enumerate().filter(|(_, it)| is_active(it));
        for (number, validator) in active {
            match left.checked_sub(validator.stake.into()) {
                Some(rest) => left = rest,
                None => return Some(number),
            }
        }
        None
    }

    /// How many are in which state.
    pub(super) fn counts(&self) -> ChainValidators {
        let mut counts = ChainValidators::default();
        for validator in &self.validators {
            counts.total_validators += 1;
            match validator.state {
                State::Active => counts.active_validators += 1,
                State::Inactive(_) => counts.inactive_validators += 1,
                State::Jailed(_) => counts.jailed_validators += 1,
            }
        }
        counts
    }

    /// How often one was jailed since the start.
    pub(super) fn jailings(&self) -> u64 {
        self.jailings
    }

    /// How often one was released since the start.
    pub(super) fn releases(&self) -> u64 {
        self.releases
    }

    fn active(&self) -> impl Iterator<Item = &Validator> {
        self.validators.iter().filter(|validator| validator.state == State::Active)
    }
}

impl Validator {
    /// Leaves its node for another: active there, or inactive with `missed` rounds behind it when none serves.
    fn change_place(&mut self, loads: &mut [u32], nodes: &Nodes, missed: u32) -> State {
        if let Some(node) = self.node {
            loads[node] -= 1;
        }
        self.node = take_place(loads, nodes);
        if self.node.is_some() { State::Active } else { State::Inactive(missed) }
    }
}

/// Takes a place on the node that serves and carries the fewest; none when no node serves.
fn take_place(loads: &mut [u32], nodes: &Nodes) -> Option<usize> {
    let up = (0..loads.len()).filter(|&node| nodes.is_up(node));
    let place = up.min_by_key(|&node| loads[node])?;
    loads[place] += 1;
    Some(place)
}

#[cfg(test)]
mod tests {
    use super::{State, Validators};
    use crate::simulation::Random;
    use crate::simulation::chain::Options;
    use crate::simulation::chain::nodes::Nodes;

    /// Nodes that never fail, and no spare ones.
    fn quiet() -> Options {
        Options { node_failure_permille: 0, outage_permille: 0, ..Options::default() }
    }

    fn network(options: &Options) -> (Nodes, Validators) {
        let nodes = Nodes::new(options, Random::new(4));
        let validators = Validators::new(options, &nodes, Random::new(5));
        (nodes, validators)
    }

    /// Puts a validator on a node.
    fn put(validators: &mut Validators, number: usize, node: usize) {
        let before = validators.validators[number].node.replace(node).expect("it has a node");
        validators.loads[before] -= 1;
        validators.loads[node] += 1;
    }

    #[test]
    fn validators_are_spread_evenly_and_each_is_counted_on_its_node() {
        let (mut nodes, mut validators) = network(&Options::default());
        assert!(validators.loads[..64].iter().all(|load| (1..=2).contains(load)));
        for round in 0..2_000 {
            nodes.round();
            validators.round(&nodes);
            let mut loads = vec![0; nodes.total()];
            let places = validators.validators.iter().filter_map(|it| it.node);
            places.for_each(|node| loads[node] += 1);
            assert_eq!(validators.loads, loads, "round {round}");
        }
    }

    #[test]
    fn s47_a_validator_that_misses_too_many_rounds_is_jailed_and_released() {
        let options = Options {
            validators: 1,
            validator_move_permille: 0,
            missed_rounds_max: 3,
            jail_rounds: 2,
            ..quiet()
        };
        let (nodes, mut validators) = network(&options);
        put(&mut validators, 0, 99); // A spare one.
        let states = [(); 9].map(|()| {
            validators.round(&nodes);
            validators.validators[0].state
        });
        let expected = [
            State::Inactive(1),
            State::Inactive(2),
            State::Inactive(3),
            State::Jailed(2),
            State::Jailed(1),
            State::Jailed(0),
            State::Active,
            State::Active,
            State::Active,
        ];
        assert_eq!(states, expected);
        assert_eq!((validators.jailings(), validators.releases()), (1, 1));
    }

    #[test]
    fn s47_a_validator_moves_away_from_a_node_that_fails_or_waits_until_it_is_up_again() {
        let (nodes, mut validators) =
            network(&Options { validator_move_permille: 1_000, ..quiet() });
        put(&mut validators, 7, 99);
        validators.round(&nodes);
        assert_eq!(validators.counts().inactive_validators, 1);
        validators.round(&nodes);
        assert_eq!(validators.counts().active_validators, 100);
        assert!(validators.validators[7].node.is_some_and(|node| nodes.is_up(node)));

        let (nodes, mut validators) = network(&Options { validator_move_permille: 0, ..quiet() });
        validators.validators[7].state = State::Inactive(40);
        validators.round(&nodes);
        assert_eq!(validators.validators[7].state, State::Active);
    }

    #[test]
    fn s47_the_counts_add_up() {
        let (_, mut validators) = network(&quiet());
        for (number, state) in
            [(1, State::Inactive(1)), (2, State::Jailed(9)), (3, State::Jailed(0))]
        {
            validators.validators[number].state = state;
        }
        let counts = validators.counts();
        assert_eq!((counts.active_validators, counts.inactive_validators), (97, 1));
        assert_eq!((counts.jailed_validators, counts.total_validators), (2, 100));
    }

    #[test]
    fn s45_blocks_are_produced_in_proportion_to_the_stake_of_those_that_are_active() {
        let (_, mut validators) = network(&Options { validators: 4, ..quiet() });
        for (number, stake) in [(0, 1_000), (1, 3_000), (2, 6_000), (3, 90_000)] {
            validators.validators[number].stake = stake;
        }
        validators.validators[3].state = State::Jailed(9);
        let mut blocks = [0_i32; 4];
        (0..100_000).for_each(|_| blocks[validators.producer().expect("some are active")] += 1);
        // Five standard deviations of the widest of the three.
        for (number, expected) in [(0, 10_000), (1, 30_000), (2, 60_000)] {
            assert!((blocks[number] - expected).abs() < 775, "{blocks:?}");
        }
        assert_eq!(blocks[3], 0);
    }

    #[test]
    fn the_network_agrees_when_more_than_two_thirds_of_the_stake_have_voted() {
        let (nodes, mut validators) = network(&Options { validators: 6, ..quiet() });
        for number in 0..6 {
            validators.validators[number].stake = 100;
            put(&mut validators, number, number);
        }
        let mut answers_us: Vec<u64> = (0..6).map(|node| nodes.answer_us(node)).collect();
        answers_us.sort_unstable();
        assert_eq!(validators.agree_us(&nodes), Some(answers_us[4]), "400 of 600 is not more");
        validators.validators[0].state = State::Inactive(1);
        assert!(validators.agree_us(&nodes).is_some(), "500 of 600 are");
        validators.validators[1].state = State::Inactive(1);
        assert_eq!(validators.agree_us(&nodes), None, "400 of 600 are not");
        validators.validators[1].state = State::Jailed(1);
        assert!(validators.agree_us(&nodes).is_some(), "400 of 500 are");
    }

    #[test]
    fn without_active_validators_there_is_no_producer_and_no_agreement() {
        for count in [0, 3] {
            let (nodes, mut validators) = network(&Options { validators: count, ..quiet() });
            validators.validators.iter_mut().for_each(|it| it.state = State::Jailed(5));
            assert_eq!((validators.producer(), validators.agree_us(&nodes)), (None, None));
        }
    }
}
