//! How prices are distributed over many seeds: in their band, reverting to its middle, without a trend to follow, and
//! large moves after large ones.

use super::{START_US, name, run};
use lineage::event::{Body, Topics};
use lineage::simulation::{Arena, Options, Symbol};
use std::collections::BTreeMap;

const SEEDS: std::ops::RangeInclusive<u64> = 1..=40;
const STEPS: usize = 5_000;

/// The prices of each symbol without agents, in parts of the half width from the middle.
fn paths(seed: u64) -> BTreeMap<String, Vec<f64>> {
    let options = Options { seed, ..Options::arena() };
    let topics = Topics::new();
    let arena = Arena::with_contestants(&options, Vec::new(), &topics, START_US);
    let mut paths: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    run(&mut arena.expect("the topics are free"), STEPS, |event| {
        let Body::Market(market) = &event.body else { panic!("only prices: {event:?}") };
        let symbol = options.symbols.iter().find(|symbol| *symbol.name == *market.symbol);
        let symbol = symbol.expect("a symbol of the options");
        let offset = (market.price.0 - symbol.middle.0) as f64 / symbol.half_width.0 as f64;
        paths.entry(market.symbol.to_string()).or_default().push(offset);
    });
    paths
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// How much of a value is in the one `lag` later: from -1 to 1.
fn autocorrelation(values: &[f64], lag: usize) -> f64 {
    let mean = mean(values);
    let product = |(a, b): (&f64, &f64)| (a - mean) * (b - mean);
    let variance: f64 = values.iter().zip(values).map(product).sum();
    values.iter().zip(&values[lag..]).map(product).sum::<f64>() / variance
}

#[test]
fn s14_prices_are_distributed_and_correlated_as_a_reverting_market_with_calm_and_wild_times() {
    let paths: Vec<Vec<f64>> = SEEDS.flat_map(|seed| paths(seed).into_values()).collect();
    assert_eq!(paths.len(), 80, "two symbols for each seed");
    let changes: Vec<Vec<f64>> =
        paths.iter().map(|path| path.windows(2).map(|pair| pair[1] - pair[0]).collect()).collect();
    let moves: Vec<Vec<f64>> =
        changes.iter().map(|path| path.iter().map(|change| change.abs()).collect()).collect();
    let over_all = |paths: &[Vec<f64>], of: &dyn Fn(&[f64]) -> f64| {
        mean(&paths.iter().map(|path| of(path)).collect::<Vec<f64>>())
    };
    let correlated = |paths: &[Vec<f64>], lag| over_all(paths, &|path| autocorrelation(path, lag));
    let share = |path: &[f64], is_in: &dyn Fn(f64) -> bool| {
        path.iter().filter(|&&offset| is_in(offset)).count() as f64 / path.len() as f64
    };
    let figures = [
        ("beyond the band", over_all(&paths, &|path| share(path, &|x| x.abs() > 1.0)), 0.0, 0.0),
        ("at its edge", over_all(&paths, &|path| share(path, &|x| x.abs() == 1.0)), 0.0, 0.01),
        (
            "within half of it",
            over_all(&paths, &|path| share(path, &|x| x.abs() < 0.5)),
            0.93,
            0.99,
        ),
        ("mean", over_all(&paths, &|path| mean(path)), -0.02, 0.02),
        ("above the middle", over_all(&paths, &|path| share(path, &|x| x > 0.0)), 0.46, 0.54),
        // A twentieth of the distance is taken back in a step: 0.95, and 0.95 to the power of 20.
        ("price and the next", correlated(&paths, 1), 0.93, 0.96),
        ("price and 20 later", correlated(&paths, 20), 0.25, 0.45),
        ("price and 400 later", correlated(&paths, 400), -0.05, 0.05),
        // Nothing to be had from the last move alone.
        ("change and the next", correlated(&changes, 1), -0.05, 0.0),
        ("change and 20 later", correlated(&changes, 20), -0.03, 0.02),
        // Large moves come in clusters, and the clusters end.
        ("size of a move and the next", correlated(&moves, 1), 0.15, 0.35),
        ("size of a move and ten later", correlated(&moves, 10), 0.1, 0.3),
        ("size of a move and 400 later", correlated(&moves, 400), -0.05, 0.05),
    ];
    for (what, figure, low, high) in figures {
        assert!((low..=high).contains(&figure), "seeds {SEEDS:?}: {what}: {figure}");
    }
    // No path is alone in it: each reverts.
    for path in &paths {
        let next = autocorrelation(path, 1);
        assert!((0.9..0.98).contains(&next), "seeds {SEEDS:?}: price and the next: {next}");
    }
}

#[test]
fn s14_any_number_of_symbols_has_prices_in_the_order_of_the_options() {
    for count in [0, 1, 3, 1_000] {
        let symbols: Vec<Symbol> =
            (1..=count).map(|number| Symbol::new(&format!("S{number}"), number, 1)).collect();
        let options = Options { symbols, ..Options::arena() };
        let topics = Topics::new();
        let mut arena = Arena::new(&options, &topics, START_US).expect("the topics are free");
        let mut prices = Vec::new();
        run(&mut arena, 3, |event| match &event.body {
            Body::Market(_) => prices.push(name(&topics, event).to_owned()),
            Body::Trade(_) => assert!(count > 0, "nothing to trade"),
            Body::Agent(_) | Body::External(_) | Body::Recorded { .. } | Body::Typed(_) => {}
        });
        // Without markets all three steps are updates of the agents.
        let step = (1..=count).map(|number| format!("market:S{number}"));
        let expected: Vec<String> = std::iter::repeat_n(step, 3).flatten().collect();
        assert_eq!(prices, expected);
    }
}
