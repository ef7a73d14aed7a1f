//! Rounds: when they end, who wins, and what the agents begin the next one with.

use super::{START_US, name, run};
use lineage::event::{Body, Round, Topics};
use lineage::simulation::{Arena, Options};
use std::collections::BTreeMap;

const START: [(&str, i64); 3] =
    [("momentum", 5_000_000), ("conservative", 4_500_000), ("balanced", 4_800_000)];
const UPDATES: u64 = 200;

/// The rounds of `UPDATES` updates: in which update each ended, what it says, and what it should say.
fn rounds(options: &Options) -> Vec<(u64, Round, Round)> {
    let topics = Topics::new();
    let mut arena = Arena::new(options, &topics, START_US).expect("the topics are free");
    let start: BTreeMap<String, i64> = START.map(|(slug, cents)| (slug.to_owned(), cents)).into();
    let (mut capital, mut began, mut gains) = (start.clone(), start, BTreeMap::new());
    let (mut rounds, mut names) = (Vec::new(), BTreeMap::new());
    let interval_us = u64::try_from(options.agent_interval.as_micros()).expect("short");
    let steps = usize::try_from(UPDATES * 2).expect("few");
    run(&mut arena, steps, |event| match &event.body {
        Body::Trade(trade) => {
            *gains.entry(trade.agent.slug.to_string()).or_insert(0) += trade.pnl.0
        }
        Body::Agent(agent) => {
            let slug = agent.agent.slug.to_string();
            names.insert(slug.clone(), agent.agent.clone());
            let expected = began[&slug] + gains.get(&slug).copied().unwrap_or_default();
            assert_eq!(agent.capital.0, expected, "{slug}");
            capital.insert(slug, agent.capital.0);
        }
        Body::Typed(typed) => {
            assert_eq!(name(&topics, event), "arena");
            let round = typed.get::<Round>().expect("the payload of the topic").clone();
            // The first of those that gained most, in the order of the agents.
            let gain = |slug: &str| capital[slug] - began[slug];
            let most = START.iter().map(|(slug, _)| gain(slug)).max().expect("three");
            let (winner, _) = START.iter().find(|(slug, _)| gain(slug) == most).expect("one");
            let expected = Round {
                round: rounds.len() as u64 + 1,
                winner: names[*winner].clone(),
                capital: START
                    .map(|(slug, _)| (names[slug].clone(), lineage::event::Cents(capital[slug])))
                    .into(),
            };
            rounds.push(((event.time_us - START_US) / interval_us + 1, round, expected));
            if options.is_capital_reset {
                capital = START.map(|(slug, cents)| (slug.to_owned(), cents)).into();
            }
            began.clone_from(&capital);
            gains.clear();
        }
        Body::Market(_) | Body::External(_) | Body::Recorded { .. } => {}
    });
    rounds
}

#[test]
fn s17_a_round_ends_every_twenty_updates_and_the_greatest_gain_wins() {
    assert_eq!(Options::default().round_updates, 20);
    for (round_updates, is_capital_reset) in
        [(20, false), (20, true), (19, false), (21, true), (1, false), (1, true)]
    {
        let options = Options { round_updates, is_capital_reset, ..Options::arena() };
        let rounds = rounds(&options);
        let ends: Vec<u64> = rounds.iter().map(|(update, _, _)| *update).collect();
        let each = u64::from(round_updates);
        let expected: Vec<u64> = (1..=UPDATES / each).map(|round| round * each).collect();
        assert_eq!(ends, expected, "rounds of {round_updates}");
        for (_, round, expected) in rounds {
            assert_eq!(round, expected, "rounds of {round_updates}, reset: {is_capital_reset}");
        }
    }
}

#[test]
fn s17_every_agent_wins_rounds_although_their_capitals_differ() {
    let mut wins: BTreeMap<String, u32> = BTreeMap::new();
    for seed in 1..=40 {
        for (_, round, _) in rounds(&Options { seed, ..Options::arena() }) {
            *wins.entry(round.winner.slug.to_string()).or_default() += 1;
        }
    }
    assert_eq!(wins.values().sum::<u32>(), 400);
    assert!(wins.len() == 3 && wins.values().all(|&times| times > 40), "seeds 1 to 40: {wins:?}");
}

#[test]
fn s17_without_updates_in_a_round_there_are_none() {
    assert_eq!(rounds(&Options { round_updates: 0, ..Options::arena() }).len(), 0);
}
