//! Agents win as often as they are said to, whatever the prices do; those that live by the prices alone are reported
//! as they are.

use super::{START_US, run};
use lineage::event::{Body, Cents, Topics};
use lineage::simulation::{
    Arena, Coin, Contestant, MeanReversion, Mixed, Momentum, Options, PricePath,
};
use std::collections::BTreeMap;

const SEEDS: std::ops::RangeInclusive<u64> = 1..=20;
/// Updates of each agent.
const CYCLES: usize = 10_000;

/// Trades and wins of each agent.
type Books = BTreeMap<String, (u32, u32)>;

fn books(seed: u64, contestants: Vec<Contestant>) -> Books {
    let options = Options { seed, ..Options::arena() };
    let topics = Topics::new();
    let arena = Arena::with_contestants(&options, contestants, &topics, START_US);
    let mut arena = arena.expect("the topics are free");
    let mut books = Books::new();
    // Two prices for each update of the agents.
    run(&mut arena, CYCLES * 2, |event| match &event.body {
        Body::Trade(trade) => assert_eq!(trade.won, trade.pnl.0 > 0, "seed {seed}: {trade:?}"),
        Body::Agent(agent) => {
            books.insert(agent.agent.slug.to_string(), (agent.trades, agent.wins));
        }
        Body::Market(_) | Body::External(_) | Body::Recorded { .. } | Body::Typed(_) => {}
    });
    books
}

fn rate((trades, wins): (u32, u32)) -> f64 {
    f64::from(wins) / f64::from(trades)
}

#[test]
fn s15_each_agent_wins_as_often_as_stated_with_every_seed_and_over_all() {
    let stated = [("momentum", 0.575), ("conservative", 0.615), ("balanced", 0.525)];
    let coin = ("coin", 0.45);
    let mut all = Books::new();
    for seed in SEEDS {
        let mut contestants = Contestant::defaults();
        contestants.push(Contestant::new("coin", "Coin", Coin));
        let books = books(seed, contestants);
        for (slug, probability) in stated.into_iter().chain([coin]) {
            let (trades, wins) = books[slug];
            let rate = rate((trades, wins));
            assert!(trades > 2_000, "seed {seed}: {slug} traded {trades} times");
            assert!((rate - probability).abs() <= 0.03, "seed {seed}: {slug} won {rate}");
            let sum = all.entry(slug.to_owned()).or_default();
            *sum = (sum.0 + trades, sum.1 + wins);
        }
    }
    for (slug, probability) in stated.into_iter().chain([coin]) {
        let rate = rate(all[slug]);
        assert!((rate - probability).abs() <= 0.01, "seeds {SEEDS:?}: {slug} won {rate}");
    }
}

/// The strategies of the arena with the outcome of the prices.
fn pure() -> Vec<Contestant> {
    let stake = Cents(500_000);
    vec![
        Contestant::new("momentum", "Momentum", PricePath::new(Momentum, stake)),
        Contestant::new("mean-reversion", "Mean reversion", PricePath::new(MeanReversion, stake)),
        Contestant::new("mixed", "Mixed", PricePath::new(Mixed, stake)),
        Contestant::new("coin", "Coin", PricePath::new(Coin, stake)),
    ]
}

#[test]
fn s15_pure_price_strategies_win_as_often_as_the_document_says() {
    let runs: Vec<Books> = SEEDS.map(|seed| books(seed, pure())).collect();
    let document = include_str!("../../docs/strategies.md");
    let row = |slug: &str| {
        let rates = runs.iter().map(|books| rate(books[slug]));
        let lowest = rates.clone().fold(1.0, f64::min);
        let highest = rates.fold(0.0, f64::max);
        let sum = runs
            .iter()
            .fold((0, 0), |sum: (u32, u32), books| (sum.0 + books[slug].0, sum.1 + books[slug].1));
        format!("| `{slug}` | {:.3} | {lowest:.3} to {highest:.3} |\n", rate(sum))
    };
    let rows: String = ["momentum", "mean-reversion", "mixed", "coin"].map(row).concat();
    assert!(document.contains(&rows), "docs/strategies.md has not the rows\n{rows}");
}
