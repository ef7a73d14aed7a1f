//! The agents by the name of their strategy: who can be asked for on a command line.
//!
//! Plain data. The first four have the calibrated outcome; the four whose names begin with `price-` take the same signals
//! and earn what the prices did.

use super::agents::Contestant;
use super::strategy::{Coin, MeanReversion, Mixed, Momentum, PricePath, Strategy};
use crate::event::Cents;

/// What a pure price strategy puts into each position: a tenth of the capital it starts with.
const STAKE: Cents = Cents(500_000);

impl Contestant {
    /// The strategies that [`named`](Self::named) knows.
    pub const STRATEGIES: [&'static str; 8] = [
        "momentum",
        "mean-reversion",
        "mixed",
        "coin",
        "price-momentum",
        "price-mean-reversion",
        "price-mixed",
        "price-coin",
    ];

    /// The agent of a strategy, called like it, or none when there is no such strategy. Those of the arena's three agents
    /// start with their capital and win as often as they do; the others start with $50,000, and pure price strategies put
    /// $5,000 into each position.
    #[must_use]
    pub fn named(strategy: &str) -> Option<Self> {
        let contestant = |dollars: i64, win_permille, strategy_of| Self {
            capital: Cents(dollars * 100),
            win_permille,
            strategy: strategy_of,
            ..Self::new(strategy, strategy, Coin)
        };
        let priced = |signal| contestant(50_000, 0, signal);
        Some(match strategy {
            "momentum" => contestant(50_000, 575, Box::new(Momentum)),
            "mean-reversion" => contestant(45_000, 615, Box::new(MeanReversion)),
            "mixed" => contestant(48_000, 525, Box::new(Mixed)),
            "coin" => Self::new(strategy, strategy, Coin),
            "price-momentum" => priced(price_path(Momentum)),
            "price-mean-reversion" => priced(price_path(MeanReversion)),
            "price-mixed" => priced(price_path(Mixed)),
            "price-coin" => priced(price_path(Coin)),
            _ => return None,
        })
    }
}

fn price_path(signal: impl Strategy + 'static) -> Box<dyn Strategy> {
    Box::new(PricePath::new(signal, STAKE))
}

#[cfg(test)]
mod tests {
    use super::Contestant;

    #[test]
    fn every_listed_strategy_is_known_and_no_other() {
        for name in Contestant::STRATEGIES {
            let contestant = Contestant::named(name).expect("listed");
            assert_eq!((&*contestant.name.slug, &*contestant.name.name), (name, name));
        }
        for name in ["", "Momentum", "price-", "martingale"] {
            assert!(Contestant::named(name).is_none(), "{name}");
        }
    }

    #[test]
    fn the_arenas_agents_have_the_capital_and_the_chances_they_have_there() {
        let named = ["momentum", "mean-reversion", "mixed"].map(|name| {
            let contestant = Contestant::named(name).expect("listed");
            (contestant.capital, contestant.win_permille, format!("{:?}", contestant.strategy))
        });
        let defaults = Contestant::defaults().into_iter();
        let defaults: Vec<_> = defaults
            .map(|it| (it.capital, it.win_permille, format!("{:?}", it.strategy)))
            .collect();
        assert_eq!(named.to_vec(), defaults);
    }
}
