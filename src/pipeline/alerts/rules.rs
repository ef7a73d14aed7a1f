//! Rules as data: what is looked at, what it is held against, and how long it has to last.
//!
//! A [`Rule`] exists only if it was checked (`parse`), so that nothing here can fail. It holds no state: where a rule
//! stands with a subject is `watch`'s business.

use super::fields::{Kind, Readings};
use super::phase::{Side, Waits};
use super::{default_rules, parse};
use crate::error::Error;
use crate::event::{Pattern, Severity};
use std::path::Path;

/// Rules of one engine at most.
pub const RULES_MAX: usize = 256;

/// What the difference of two decimals may be off by in binary, as a share of them.
const ROUNDING: f64 = 1e-15;

/// Checked rules, in the order of their file.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules(pub(super) Vec<Rule>);

/// One rule.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rule {
    pub(super) name: Box<str>,
    pub(super) severity: Severity,
    /// The subjects it is for.
    pub(super) subject: Pattern,
    /// Their kind.
    pub(super) kind: &'static Kind,
    /// Of a kind whose topics end in an interval: the one it looks at. `subject` is without it.
    pub(super) interval: Option<&'static str>,
    /// Index of the number it looks at.
    pub(super) field: usize,
    pub(super) test: Test,
    /// Which side of the threshold is the bad one.
    pub(super) is: Direction,
    pub(super) threshold: Threshold,
    /// How far back from the threshold a number has to be before the alert may resolve; not below zero.
    pub(super) hysteresis: f64,
    pub(super) waits: Waits,
    /// A field and its least value; below it the rule does not judge.
    pub(super) only_if: Option<(usize, f64)>,
}

/// What a rule judges.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Test {
    /// The number itself.
    Threshold,
    /// The number itself, after it was seen on the good side.
    Crossing,
    /// How much it changed over a window.
    Rate { window_us: u64, change: Measure },
}

/// How a change is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Measure {
    /// As a share of the older number: 0.05 is five percent more.
    Relative,
    /// In the number's unit, per second.
    PerSecond,
}

/// The bad side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Above,
    Below,
}

/// What a number is held against.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Threshold {
    /// A number of the rule.
    Number(f64),
    /// Another field of the same event.
    Field(usize),
}

impl Rules {
    /// The rules that hold unless a file says otherwise.
    ///
    /// # Panics
    /// Never: a test reads the same text.
    #[must_use]
    pub fn defaults() -> Self {
        Self::parse(default_rules::TEXT, "default rules").expect("the built-in rules are rules")
    }

    /// No rules: nothing is ever told.
    #[must_use]
    pub fn none() -> Self {
        Self(Vec::new())
    }

    /// Reads and checks a file. Blocks.
    ///
    /// # Errors
    /// [`Error::Config`] when it cannot be read, or as [`parse`](Self::parse).
    pub fn read(path: &Path) -> Result<Self, Error> {
        let origin = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|error| Error::Config(format!("cannot read {origin}: {error}")))?;
        Self::parse(&text, &origin)
    }

    /// Reads and checks TOML text; `origin` names it in errors.
    ///
    /// # Errors
    /// [`Error::Config`] with origin, rule, key, value and what is allowed, for the first thing that is wrong.
    pub fn parse(text: &str, origin: &str) -> Result<Self, Error> {
        parse::rules(text, origin).map(Self)
    }

    /// Their names, in the order of the file.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|rule| &*rule.name)
    }

    /// The patterns of the topics that they look at: what a tap for them has to name. Each once.
    #[must_use]
    pub fn topics(&self) -> Vec<Pattern> {
        let mut patterns: Vec<Pattern> = self.0.iter().map(Rule::topics).collect();
        patterns.retain(|pattern| pattern.as_str() != super::ENGINE);
        patterns.sort();
        patterns.dedup();
        patterns
    }
}

impl Rule {
    /// Whether it is for the subject of that name, which is of its kind.
    pub(super) fn is_for(&self, name: &str) -> bool {
        let name = match self.interval {
            None => Some(name),
            Some(interval) => name.strip_suffix(interval).and_then(|name| name.strip_suffix(':')),
        };
        name.is_some_and(|name| self.subject.matches(name))
    }

    /// The topics of its subjects; of all symbols those of every interval.
    fn topics(&self) -> Pattern {
        let subject = &self.subject;
        let exact = self.interval.filter(|_| subject.is_exact());
        let exact = exact.map(|interval| format!("{}:{interval}", subject.as_str()));
        // A name that is too long with its interval is no topic's.
        exact.and_then(|text| Pattern::parse(&text).ok()).unwrap_or_else(|| subject.clone())
    }

    /// The number to judge, before it is made a change, and what it is held against; none where one of them is absent
    /// or the rule's condition does not hold.
    pub(super) fn pick(&self, readings: &Readings) -> Option<(f64, f64)> {
        if let Some((field, least)) = self.only_if {
            readings[field].filter(|number| *number >= least)?;
        }
        let threshold = match self.threshold {
            Threshold::Number(number) => number,
            Threshold::Field(field) => readings[field]?,
        };
        Some((readings[self.field]?, threshold))
    }

    /// Which side of `threshold` `value` is on. Exactly on it is not past it; exactly at the hysteresis is back.
    pub(super) fn side(&self, value: f64, threshold: f64) -> Side {
        let beyond = match self.is {
            Direction::Above => value - threshold,
            Direction::Below => threshold - value,
        };
        // 0.82 is back from below 0.8 by 0.02, although their difference in binary is a little less.
        let rounding = ROUNDING * (value.abs() + threshold.abs());
        if beyond > 0.0 {
            Side::Breached
        } else if beyond <= rounding - self.hysteresis {
            Side::Recovered
        } else {
            Side::Between
        }
    }
}
