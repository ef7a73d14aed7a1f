//! Profiles: sets of options under one word, for the uses that the product has.
//!
//! A profile says which systems run and at which rates. It stands below every other layer: whatever option is given,
//! in the file, the environment or as a flag, wins over the profile, wherever the profile itself was given.

use super::{Config, text};
use crate::simulation::Options;

/// What a server is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Profile {
    /// Every system, at the rates of the arena.
    #[default]
    All,
    /// The arena alone: prices every 5 s, agents every 10 s.
    Arena,
    /// The arena alone: prices every 30 s, agents every 15 s.
    ArenaSlow,
    /// The arena alone at 10,000 prices per second, its trades logged at debug.
    Bench,
    /// The ledger, and the arena whose trades are transactions.
    Chain,
    /// The hub, and the arena whose agents issue its tasks.
    Hub,
    /// Candles, indicators and alerts, and an arena with trades to make them of.
    Pipeline,
}

impl Profile {
    /// All of them, in the order of the documents.
    pub const ALL: [Self; 7] = [
        Self::All,
        Self::Arena,
        Self::ArenaSlow,
        Self::Bench,
        Self::Chain,
        Self::Hub,
        Self::Pipeline,
    ];

    /// Its name: `arena-slow`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Arena => "arena",
            Self::ArenaSlow => "arena-slow",
            Self::Bench => "bench",
            Self::Chain => "chain",
            Self::Hub => "hub",
            Self::Pipeline => "pipeline",
        }
    }

    /// The defaults as it changes them, for programs that embed the engine.
    #[must_use]
    pub fn config(self) -> Config {
        let is_all = self == Self::All;
        Config {
            hub_enabled: is_all || self == Self::Hub,
            chain_enabled: is_all || self == Self::Chain,
            pipeline_enabled: is_all || self == Self::Pipeline,
            arena: match self {
                Self::All | Self::Arena | Self::Chain | Self::Hub => Options::arena(),
                Self::ArenaSlow => Options::arena_slow(),
                Self::Bench => Options::bench(),
                Self::Pipeline => Options::pipeline(),
            },
            ..Config::default()
        }
    }

    pub(super) fn parse(word: &str) -> Result<Self, text::Allowed> {
        let found = Self::ALL.into_iter().find(|profile| profile.word() == word);
        found.ok_or_else(|| {
            let words = Self::ALL.map(|profile| format!("`{}`", profile.word()));
            format!("one of {}", words.join(", "))
        })
    }
}
