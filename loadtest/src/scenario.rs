//! Scenarios: settings with a name, built in or from a file.

use std::path::Path;

use serde::Deserialize;

use crate::settings::Settings;

/// A named set of settings.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Scenario {
    /// Its name; a file's is its stem.
    #[serde(skip)]
    pub name: String,
    /// What it shows, in one line.
    pub about: String,
    /// The server's options that it is made for, as a command line.
    #[serde(default)]
    pub server: String,
    /// The settings.
    pub settings: Settings,
}

/// The built-in scenarios: name and text.
const BUILT_IN: [(&str, &str); 9] = [
    ("first-look", include_str!("../scenarios/first-look.toml")),
    ("10k-idle", include_str!("../scenarios/10k-idle.toml")),
    ("10k-firehose", include_str!("../scenarios/10k-firehose.toml")),
    ("bursty-market", include_str!("../scenarios/bursty-market.toml")),
    ("dashboards", include_str!("../scenarios/dashboards.toml")),
    ("own-sets", include_str!("../scenarios/own-sets.toml")),
    ("slow-mix", include_str!("../scenarios/slow-mix.toml")),
    ("reconnect-storm", include_str!("../scenarios/reconnect-storm.toml")),
    ("soak", include_str!("../scenarios/soak.toml")),
];

impl Scenario {
    /// All built-in scenarios, from the simplest to the longest.
    ///
    /// # Panics
    /// Never: a test reads them all.
    #[must_use]
    pub fn built_in() -> Vec<Self> {
        let read = |(name, text): &(&str, &str)| {
            Self::parse(name, text).expect("the built-in scenarios are valid, as a test shows")
        };
        BUILT_IN.iter().map(read).collect()
    }

    /// The built-in scenario of this name, or the file at this path (it must end with `.toml`).
    ///
    /// # Errors
    /// What is wrong: no such scenario or file, or a value in it.
    pub fn find(name: &str) -> Result<Self, String> {
        if name.ends_with(".toml") {
            let path = Path::new(name);
            let text = std::fs::read_to_string(path)
                .map_err(|error| format!("cannot read the scenario {name:?}: {error}"))?;
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            return Self::parse(&stem, &text).map_err(|error| format!("{name}: {error}"));
        }
        if let Some((name, text)) = BUILT_IN.iter().find(|(known, _)| *known == name) {
            return Self::parse(name, text);
        }
        let known: Vec<&str> = BUILT_IN.iter().map(|(name, _)| *name).collect();
        let known = known.join(", ");
        Err(format!("no scenario {name:?}; known are {known}, or the path of a .toml file"))
    }

    fn parse(name: &str, text: &str) -> Result<Self, String> {
        let mut scenario: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        name.clone_into(&mut scenario.name);
        Ok(scenario)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Plan;

    #[test]
    fn every_built_in_scenario_is_read_and_makes_a_plan() {
        let all = Scenario::built_in();
        assert_eq!(all.len(), BUILT_IN.len());
        for scenario in all {
            assert!(!scenario.about.is_empty(), "{}", scenario.name);
            let plan = Plan::new(&scenario.name, &scenario.settings);
            assert!(plan.is_ok(), "{}: {plan:?}", scenario.name);
        }
    }

    #[test]
    fn an_unknown_scenario_is_told_which_are_known() {
        let error = Scenario::find("10k-idel").unwrap_err();
        assert!(error.contains("10k-idel") && error.contains("10k-idle, "), "{error}");
        let error = Scenario::find("missing.toml").unwrap_err();
        assert!(error.contains("missing.toml"), "{error}");
    }
}
