//! One rule on one subject: the last number judged, and where the rule stands.
//!
//! Pure: readings and the time in, changes out. A number holds until the next one comes, so that waits go on while
//! nothing is heard; readings without the number leave the last judgement as it is.

use super::fields::Readings;
use super::phase::{Change, Phase, Side};
use super::rules::{Measure, Rule, Test, Threshold};
use std::collections::VecDeque;

/// Numbers that a rate keeps at most.
const SAMPLES_MAX: usize = 128;
/// What its window's length is divided by: numbers closer together are thinned out, so that a rate holds against a number
/// of up to that part of the window earlier (1.6 %). Of three numbers the outer ones are at least as far apart.
const WINDOW_PARTS: u64 = SAMPLES_MAX as u64 / 2 - 2;

/// A rule on a subject.
#[derive(Debug)]
pub(super) struct Watch {
    /// Index of the rule.
    pub(super) rule: usize,
    phase: Phase,
    judged: Option<Judged>,
    /// Of a rate: when numbers came and what they were, the newest at the back, one of a window ago or more at the front.
    samples: VecDeque<(u64, f64)>,
}

/// A number held against its threshold.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Judged {
    value: f64,
    threshold: f64,
    side: Side,
}

/// What is to be told of a watch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Told {
    pub(super) change: Change,
    pub(super) value: f64,
    pub(super) threshold: f64,
    pub(super) since_us: u64,
}

impl Watch {
    /// A rule that has seen nothing of its subject.
    pub(super) fn new(rule: usize) -> Self {
        Self { rule, phase: Phase::quiet(), judged: None, samples: VecDeque::new() }
    }

    /// Goes on from an alert that is on since `since_us`.
    pub(super) fn resume(&mut self, since_us: u64) {
        self.phase = Phase::firing(since_us);
    }

    /// Numbers came at `now_us`. What was due before them is told first, so that it makes no difference how often
    /// [`tick`](Self::tick) is called.
    pub(super) fn observe(
        &mut self,
        rule: &Rule,
        readings: &Readings,
        now_us: u64,
        tell: &mut impl FnMut(Told),
    ) {
        self.step(rule, now_us, tell);
        let Some((value, threshold)) = rule.pick(readings) else { return };
        let value = match rule.test {
            Test::Threshold | Test::Crossing => Some(value),
            Test::Rate { window_us, change } => {
                self.sample(value, window_us, now_us);
                self.change(window_us, change, now_us)
            }
        };
        self.judge(rule, value, threshold);
        self.step(rule, now_us, tell);
    }

    /// Time has come to `now_us`.
    pub(super) fn tick(&mut self, rule: &Rule, now_us: u64, tell: &mut impl FnMut(Told)) {
        if let (Test::Rate { window_us, change }, Threshold::Number(threshold)) =
            (rule.test, rule.threshold)
        {
            let value = self.change(window_us, change, now_us);
            self.judge(rule, value, threshold);
        }
        self.step(rule, now_us, tell);
    }

    fn judge(&mut self, rule: &Rule, value: Option<f64>, threshold: f64) {
        if let Some(value) = value.filter(|value| value.is_finite()) {
            let side = rule.side(value, threshold);
            self.judged = Some(Judged { value, threshold, side });
        }
    }

    fn step(&mut self, rule: &Rule, now_us: u64, tell: &mut impl FnMut(Told)) {
        let Some(Judged { value, threshold, side }) = self.judged else { return };
        if let Some(change) = self.phase.step(side, now_us, &rule.waits) {
            tell(Told { change, value, threshold, since_us: self.phase.since_us() });
        }
    }

    /// How much the newest number differs from the one that held a window ago; none where nothing was known then.
    fn change(&mut self, window_us: u64, change: Measure, now_us: u64) -> Option<f64> {
        let then_us = now_us.checked_sub(window_us)?;
        while self.samples.get(1).is_some_and(|(at_us, _)| *at_us <= then_us) {
            self.samples.pop_front();
        }
        let (_, then) = self.samples.front().filter(|(at_us, _)| *at_us <= then_us)?;
        let (_, latest) = self.samples.back()?;
        Some(match change {
            Measure::Relative => (latest - then) / then.abs(),
            Measure::PerSecond => (latest - then) / (window_us as f64 / 1e6),
        })
    }

    /// Keeps the newest number; the one before it goes if it is close to the one before that too.
    fn sample(&mut self, value: f64, window_us: u64, now_us: u64) {
        let apart_us = window_us.div_ceil(WINDOW_PARTS);
        let last_us = self.samples.back().map(|(at_us, _)| *at_us);
        let before = self.samples.len().checked_sub(2).and_then(|at| self.samples.get(at));
        let is_close = before.is_some_and(|(at_us, _)| now_us.saturating_sub(*at_us) < apart_us);
        if is_close || last_us.is_some_and(|last_us| last_us >= now_us) {
            self.samples.pop_back();
        }
        // A clock that was set back does not change the order.
        self.samples.push_back((last_us.map_or(now_us, |last_us| last_us.max(now_us)), value));
        debug_assert!(self.samples.len() <= SAMPLES_MAX, "{}", self.samples.len());
    }
}

#[cfg(test)]
mod tests {
    use super::super::rules::Rules;
    use super::*;
    use proptest::prelude::*;

    const SECOND_US: u64 = 1_000_000;

    fn rule(lines: &str) -> Rule {
        let text = format!(
            "[[rule]]\nname = \"x\"\nseverity = \"info\"\nsubject = \"market:*\"\nfield = \"price\"\n{lines}"
        );
        Rules::parse(&text, "test").unwrap().0.remove(0)
    }

    fn price(value: f64) -> Readings {
        let mut readings = Readings::default();
        readings[0] = Some(value);
        readings
    }

    /// What a rule tells about a path of seconds and prices, in short: when, what, value.
    fn told(rule: &Rule, path: &[(u64, f64)]) -> Vec<(u64, Change, f64)> {
        let (mut watch, mut all) = (Watch::new(0), Vec::new());
        for &(at, value) in path {
            let mut tell = |told: Told| all.push((at, told.change, told.value));
            watch.observe(rule, &price(value), at * SECOND_US, &mut tell);
        }
        all
    }

    #[test]
    fn exactly_on_the_threshold_is_not_past_it_and_exactly_at_the_hysteresis_is_back() {
        let above = rule("is = \"above\"\nthreshold = 10\nhysteresis = 2");
        let sides = [10.0, 10.5, 9.0, 8.5, 8.0, 7.0].map(|value| above.side(value, 10.0));
        let (breached, between, back) = (Side::Breached, Side::Between, Side::Recovered);
        assert_eq!(sides, [between, breached, between, between, back, back]);
        let below = rule("is = \"below\"\nthreshold = 10");
        assert_eq!([9.5, 10.0, 10.5].map(|value| below.side(value, 10.0)), [breached, back, back]);
    }

    #[test]
    fn a_value_within_the_hysteresis_neither_fires_nor_resolves() {
        let rule = rule("is = \"above\"\nthreshold = 10\nhysteresis = 2");
        let path = [(0, 9.0), (1, 11.0), (2, 9.0), (3, 11.0), (4, 8.5), (5, 8.0), (6, 9.5)];
        assert_eq!(told(&rule, &path), [(1, Change::Fired, 11.0), (5, Change::Resolved, 8.0)]);
    }

    #[test]
    fn a_wait_that_ended_before_the_next_number_is_told_with_the_number_that_held() {
        let rule = rule("is = \"above\"\nthreshold = 10\nfor = \"30s\"");
        for (at, count) in [(29, 0), (30, 2), (31, 2)] {
            let all = told(&rule, &[(0, 11.0), (at, 5.0)]);
            assert_eq!(all.len(), count, "after {at} s");
            if count > 0 {
                assert_eq!(all, [(at, Change::Fired, 11.0), (at, Change::Resolved, 5.0)]);
            }
        }
    }

    #[test]
    fn a_crossing_of_a_number_that_began_past_the_threshold_is_none() {
        let rule = rule("kind = \"crossing\"\nis = \"above\"\nthreshold = 10");
        assert_eq!(told(&rule, &[(0, 11.0), (1, 12.0)]), []);
        let path = [(0, 11.0), (1, 9.0), (2, 12.0)];
        assert_eq!(told(&rule, &path), [(2, Change::Fired, 12.0)]);
    }

    #[test]
    fn a_rate_holds_the_newest_number_against_the_one_of_a_window_ago() {
        let relative = rule(
            "kind = \"rate\"\nwindow = \"10s\"\nchange = \"relative\"\nis = \"above\"\nthreshold = 0.1",
        );
        // Nine seconds after the first number there is nothing to compare with.
        assert_eq!(told(&relative, &[(0, 100.0), (9, 200.0)]), []);
        let path = [(0, 100.0), (10, 110.0), (11, 111.0), (12, 100.0)];
        let all = told(&relative, &path);
        assert_eq!(all, [(11, Change::Fired, 0.11), (12, Change::Resolved, 0.0)]);
        let per_second = rule(
            "kind = \"rate\"\nwindow = \"10s\"\nchange = \"per_second\"\nis = \"below\"\nthreshold = -1",
        );
        assert_eq!(told(&per_second, &[(0, 100.0), (10, 85.0)]), [(10, Change::Fired, -1.5)]);
    }

    #[test]
    fn a_rate_falls_back_to_zero_when_nothing_moves_any_more() {
        let rule = rule(
            "kind = \"rate\"\nwindow = \"10s\"\nchange = \"relative\"\nis = \"above\"\nthreshold = 0.1",
        );
        let (mut watch, mut all) = (Watch::new(0), Vec::new());
        watch.observe(&rule, &price(100.0), 0, &mut |told| all.push((0, told.change)));
        watch
            .observe(&rule, &price(200.0), 10 * SECOND_US, &mut |told| all.push((10, told.change)));
        for at in 11..=21 {
            watch.tick(&rule, at * SECOND_US, &mut |told| all.push((at, told.change)));
        }
        assert_eq!(all, [(10, Change::Fired), (20, Change::Resolved)]);
    }

    #[test]
    fn a_rate_of_nothing_is_not_judged() {
        let rule = rule(
            "kind = \"rate\"\nwindow = \"1s\"\nchange = \"relative\"\nis = \"above\"\nthreshold = 0.1",
        );
        assert_eq!(
            told(&rule, &[(0, 0.0), (1, 5.0), (2, 5.0), (3, 6.0)]),
            [(3, Change::Fired, 0.2)]
        );
    }

    proptest! {
        /// A rate keeps a bounded number of samples and stays close to the exact one, however often numbers come.
        #[test]
        fn a_rate_is_close_to_the_exact_one(
            steps in prop::collection::vec((1_u64..2_000_000, -1_i32..=1), 1..400),
        ) {
            let rule = rule(
                "kind = \"rate\"\nwindow = \"10s\"\nchange = \"per_second\"\nis = \"above\"\nthreshold = 1e9",
            );
            let (window_us, mut watch) = (10 * SECOND_US, Watch::new(0));
            let (mut now_us, mut value, mut all) = (0, 0.0, Vec::<(u64, f64)>::new());
            for (after_us, by) in steps {
                now_us += after_us;
                value += f64::from(by);
                all.push((now_us, value));
                watch.observe(&rule, &price(value), now_us, &mut |_| ());
                prop_assert!(watch.samples.len() <= SAMPLES_MAX);
                let Some(then_us) = now_us.checked_sub(window_us) else { continue };
                // The numbers that held around that moment, as far as samples lie apart.
                let apart_us = window_us.div_ceil(WINDOW_PARTS);
                let held = |at_us: u64| all.iter().rev().find(|(us, _)| *us <= at_us);
                let Some((_, latest_possible)) = held(then_us) else { continue };
                let near = all.iter().filter(|(us, _)| (then_us.saturating_sub(apart_us)..=then_us).contains(us));
                let candidates: Vec<f64> = near
                    .map(|(_, value)| *value)
                    .chain([*latest_possible])
                    .chain(held(then_us.saturating_sub(apart_us)).map(|(_, value)| *value))
                    .collect();
                let judged = watch.judged.map(|judged| judged.value);
                let is_near = |judged: f64| candidates.iter().any(|then| ((value - then) / 10.0 - judged).abs() < 1e-9);
                prop_assert!(judged.is_some_and(is_near), "{judged:?} of {candidates:?}");
            }
        }
    }
}
