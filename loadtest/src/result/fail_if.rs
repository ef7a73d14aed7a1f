//! `--fail-if 'p99>50ms'`: expressions over a result that must not be true.
//!
//! ```text
//! NAME OPERATOR [+|-]NUMBER[UNIT]      p99>50ms   lost>0   failed>=1%   p99>+10% (against --baseline)
//! ```
//! What cannot be checked has not passed: without the metric, or without what it is compared with, an expression
//! counts as true.

use std::fmt;
use std::str::FromStr;

use super::RunResult;
use super::metrics::{Kind, METRICS, Metric, latency};

/// The largest number in an expression. Beyond 2^53 numbers are not exact, and an infinite limit would never be
/// reached: the expression would pass whatever happens.
const NUMBER_MAX: f64 = 1e15;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    AtLeast,
    AtMost,
    Is,
    IsNot,
    Above,
    Below,
}

/// Longer ones first, so that `>=` is not read as `>`.
const OPERATORS: [(&str, Operator); 6] = [
    (">=", Operator::AtLeast),
    ("<=", Operator::AtMost),
    ("==", Operator::Is),
    ("!=", Operator::IsNot),
    (">", Operator::Above),
    ("<", Operator::Below),
];

#[derive(Debug, Clone, Copy, PartialEq)]
enum Value {
    /// In the metric's own unit.
    Plain(f64),
    /// Of the metric's whole.
    Percent(f64),
    /// More (or less) than the baseline's, in percent.
    Relative(f64),
}

/// A parsed expression.
#[derive(Debug, Clone, PartialEq)]
pub struct FailIf {
    text: String,
    /// Place in `METRICS`.
    metric: usize,
    operator: Operator,
    value: Value,
}

impl FailIf {
    /// Whether it compares with an older result.
    #[must_use]
    pub fn needs_baseline(&self) -> bool {
        matches!(self.value, Value::Relative(_))
    }

    /// Whether it is true, and the metric in words: its value (with the limit where the expression does not say it),
    /// or why there is none, which makes the expression true.
    #[must_use]
    pub fn check(&self, result: &RunResult, baseline: Option<&RunResult>) -> (bool, String) {
        let metric = &METRICS[self.metric];
        let Some(value) = (metric.of)(result) else {
            return (true, missing(metric, result));
        };
        let words = |figure: f64| {
            if metric.kind.is_time() {
                crate::output::time_text(figure)
            } else {
                crate::output::number_text(figure)
            }
        };
        let limit = match self.value {
            Value::Plain(limit) => return (self.is_true(value, limit), words(value)),
            Value::Percent(percent) => {
                let whole = metric.kind.whole(result).map(|whole| whole * percent / 100.0);
                whole.ok_or("a share of nothing: none were due")
            }
            Value::Relative(percent) => {
                let then = baseline.and_then(|old| (metric.of)(old));
                // Whole percents of whole numbers stay exact this way round.
                then.map(|then| then * (100.0 + percent) / 100.0)
                    .ok_or("the baseline does not have it")
            }
        };
        match limit {
            Ok(limit) => {
                let text = format!("{} (limit {})", words(value), words(limit));
                (self.is_true(value, limit), text)
            }
            Err(why) => (true, format!("{}; {why}", words(value))),
        }
    }

    fn is_true(&self, value: f64, limit: f64) -> bool {
        match self.operator {
            Operator::AtLeast => value >= limit,
            Operator::AtMost => value <= limit,
            // Counts and whole microseconds are exact.
            Operator::Is => (value - limit).abs() < f64::EPSILON,
            Operator::IsNot => (value - limit).abs() >= f64::EPSILON,
            Operator::Above => value > limit,
            Operator::Below => value < limit,
        }
    }
}

/// Why a result does not have a metric.
fn missing(metric: &Metric, result: &RunResult) -> String {
    match &result.latency_note {
        Some(note) if metric.kind == Kind::Latency => format!("not measured: {note}"),
        _ if metric.kind == Kind::Latency && latency(result).is_some() => {
            "not measured: too few values".to_owned()
        }
        _ => "not measured".to_owned(),
    }
}

impl fmt::Display for FailIf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for FailIf {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |what: String| format!("--fail-if {text:?}: {what}");
        let found = OPERATORS
            .iter()
            .filter_map(|(sign, operator)| text.find(sign).map(|at| (at, sign.len(), *operator)));
        let Some((at, length, operator)) =
            found.min_by_key(|(at, length, _)| (*at, usize::MAX - length))
        else {
            return Err(wrong(
                "an operator is missing: one of > >= < <= == !=, as in 'p99>50ms'".to_owned(),
            ));
        };
        let (name, value) = (text[..at].trim(), text[at + length..].trim());
        let metric = METRICS.iter().position(|metric| {
            // `scheduled.` says what the plain names of latency mean anyway.
            let plain = name.strip_prefix("scheduled.");
            let is_plain = metric.kind == Kind::Latency && !metric.name.starts_with("actual.");
            metric.name == name || (is_plain && plain == Some(metric.name))
        });
        let Some(metric) = metric else {
            let known: Vec<&str> = METRICS.iter().map(|metric| metric.name).collect();
            return Err(wrong(format!("{name:?} is not one of {}", known.join(" "))));
        };
        let value = parse_value(value, METRICS[metric].kind).map_err(wrong)?;
        Ok(Self { text: text.trim().to_owned(), metric, operator, value })
    }
}

fn parse_value(text: &str, kind: Kind) -> Result<Value, String> {
    let (sign, rest) = match text.as_bytes().first() {
        Some(b'+') => (Some(1.0), &text[1..]),
        Some(b'-') => (Some(-1.0), &text[1..]),
        _ => (None, text),
    };
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    let (digits, unit) = rest.split_at(end);
    let number: f64 =
        digits.parse().map_err(|_| format!("{text:?} is not a number with a unit"))?;
    if number > NUMBER_MAX {
        return Err(format!("{text:?} is beyond {NUMBER_MAX:e}, which nothing here reaches"));
    }
    // Thousandths of a unit's thousandth, so that 1.001 ms are 1,001 us and not a little less.
    let scaled = |unit: f64| Ok(Value::Plain((number * unit * 1e3).round() / 1e3));
    let unit = unit.trim();
    match (sign, unit) {
        (Some(sign), "%") => Ok(Value::Relative(sign * number)),
        (Some(_), _) => {
            Err(format!("{text:?}: what has a sign is relative to the baseline and ends with %"))
        }
        (None, "%") if kind.has_whole() => Ok(Value::Percent(number)),
        (None, "us") if kind.is_time() => scaled(1.0),
        (None, "ms") if kind.is_time() => scaled(1e3),
        (None, "s") if kind.is_time() => scaled(1e6),
        (None, _) if kind.is_time() => Err(format!("{text:?}: a time ends with us, ms or s")),
        (None, "") => Ok(Value::Plain(number)),
        (None, "k") => scaled(1e3),
        (None, "m") => scaled(1e6),
        (None, "%") => {
            Err(format!("{text:?}: this has no whole to take a share of; nothing, k or m"))
        }
        (None, _) => {
            Err(format!("{text:?}: a count ends with nothing, k or m (or % where it has a whole)"))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::measure::Part;
    use crate::publish::Published;
    use crate::result::{Environment, Notes};

    fn rule(text: &str) -> FailIf {
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    /// A result with 1,000 expected deliveries at 10 clients and latencies of 1 to `latencies` milliseconds.
    fn result(latencies: u64) -> RunResult {
        let mut part = Part::default();
        part.clients.asked = 10;
        (part.counts.expected, part.counts.delivered) = (1_000, 990);
        part.counts.lost = 10;
        (1..=latencies).for_each(|ms| part.latency.scheduled.record(ms * 1_000));
        RunResult::new(Environment::default(), part, None, &Notes::default())
    }

    #[test]
    fn names_operators_and_units_are_read() {
        for text in [
            "p99>50ms",
            " p99.99 >= 1.5 s ",
            "lost>0",
            "failed>=1%",
            "p99>+10%",
            "delivered_per_s<100k",
            "scheduled.p50<-5%",
            "limited==1",
            "actual.p99!=3us",
            "cpu>90%",
        ] {
            let rule = rule(text);
            assert_eq!(rule.to_string(), text.trim());
            assert_eq!(rule.needs_baseline(), text.contains('+') || text.contains('-'));
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, part) in [
            ("p99", "operator"),
            ("p98>5ms", "p99.9"),
            ("scheduled.lost>5", "is not one of"),
            ("scheduled.actual.p50>5ms", "is not one of"),
            ("p99>5", "us, ms or s"),
            ("p99>5%", "us, ms or s"),
            ("p99>fast", "not a number"),
            ("p99>1.2.3ms", "not a number"),
            ("p99>>5ms", "not a number"),
            ("p99=>5ms", "is not one of"),
            ("lost>5ms", "k or m"),
            ("gaps>1%", "no whole"),
            ("p99>+5ms", "baseline"),
            (">5", "is not one of"),
            ("", "operator"),
        ] {
            let error = text.parse::<FailIf>().unwrap_err();
            assert!(error.contains(part) && error.contains("--fail-if"), "{text}: {error}");
        }
    }

    #[test]
    fn a_limit_that_nothing_reaches_is_refused() {
        for (digits, is_well) in [
            ("999999999999999", true),
            ("1000000000000000", true),
            ("1000000000000001", false),
            (&"9".repeat(400), false),
        ] {
            assert_eq!(format!("lost>{digits}").parse::<FailIf>().is_ok(), is_well, "{digits}");
        }
    }

    #[test]
    fn each_operator_holds_below_at_and_above_its_limit() {
        let result = result(0);
        for (operator, expected) in [
            (">", [true, false, false]),
            (">=", [true, true, false]),
            ("<", [false, false, true]),
            ("<=", [false, true, true]),
            ("==", [false, true, false]),
            ("!=", [true, false, true]),
        ] {
            let got =
                [9, 10, 11].map(|n| rule(&format!("lost{operator}{n}")).check(&result, None).0);
            assert_eq!(got, expected, "lost is 10, {operator} 9, 10, 11");
        }
    }

    #[test]
    fn limits_are_exact_where_numbers_are() {
        let with = |p50, p99| {
            let mut result = result(1);
            let latency = result.latency_us.as_mut().unwrap().scheduled.as_mut().unwrap();
            (latency.p50, latency.p99) = (p50, p99);
            result
        };
        let (old, new) = (with(100, 1_001), with(110, 1_001));
        assert!(rule("p99==1.001ms").check(&old, None).0);
        assert!(!rule("p99>0.001001s").check(&old, None).0);
        assert!(rule("p50==+10%").check(&new, Some(&old)).0);
        assert!(!rule("p50>+10%").check(&new, Some(&old)).0);
        assert!(rule("p50>+9.9%").check(&new, Some(&old)).0);
        assert!(rule("p50<-9%").check(&old, Some(&new)).0);
        assert!(!rule("p50<-10%").check(&old, Some(&new)).0);
    }

    #[test]
    fn a_share_is_of_what_was_expected_and_the_limit_is_told() {
        let result = result(0);
        assert_eq!(rule("lost>=1%").check(&result, None), (true, "10 (limit 10)".to_owned()));
        assert!(!rule("lost>1%").check(&result, None).0);
        assert!(rule("failed>=0%").check(&result, None).0);
    }

    #[test]
    fn what_cannot_be_checked_counts_as_true_and_says_why() {
        let (few, none) = (result(999), result(0));
        let mut far = none.clone();
        far.latency_note = Some("another clock".to_owned());
        let mut nothing = none.clone();
        nothing.events.expected = 0;
        for (text, result, baseline, why) in [
            ("p99.9<1us", &few, None, "too few values"),
            ("p99<1us", &none, None, "not measured"),
            ("p99<1us", &far, None, "another clock"),
            ("connect.p99<1us", &far, None, "not measured"),
            ("published_per_s<0", &few, None, "not measured"),
            ("delay.p99<0us", &few, None, "not measured"),
            ("lost<0%", &nothing, None, "share of nothing"),
            ("p99<-50%", &few, None, "the baseline"),
            ("p99<-50%", &few, Some(&none), "the baseline"),
        ] {
            let (is_true, words) = rule(text).check(result, baseline);
            assert!(is_true && words.contains(why), "{text}: {words}");
        }
        assert!(rule("p99.9<1s").check(&result(1_000), None).0);
        assert!(!rule("p99.9<999ms").check(&result(1_000), None).0);
    }

    #[test]
    fn how_late_events_were_published_is_known_without_latency() {
        let mut published = Published::default();
        published.delay.record(5_000);
        let notes = Notes { latency_note: Some("another clock".to_owned()), ..Notes::default() };
        let part = Part::default();
        let result = RunResult::new(Environment::default(), part, Some(published), &notes);
        assert!(rule("delay.p99>4ms").check(&result, None).0);
        assert!(!rule("delay.p99>6ms").check(&result, None).0);
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_without_a_panic(text in ".{0,16}", value in ".{0,8}") {
            let _ = text.parse::<FailIf>();
            let _ = format!("p99>{value}").parse::<FailIf>();
            let _ = format!("lost{text}").parse::<FailIf>();
        }

        #[test]
        fn what_is_shown_is_read_again_as_the_same(
            metric in 0..METRICS.len(),
            operator in 0..OPERATORS.len(),
            sign in 0..3_usize,
            number in 0.0..1e9_f64,
            unit in 0..7_usize,
            blanks in proptest::array::uniform4("[ \t]{0,2}"),
        ) {
            let (name, (operator, meant)) = (METRICS[metric].name, OPERATORS[operator]);
            let unit = ["", "us", "ms", "s", "k", "m", "%"][unit];
            let sign = ["", "+", "-"][sign];
            let [a, b, c, d] = blanks;
            let text = format!("{a}{name}{b}{operator}{c}{sign}{number}{unit}{d}");
            if let Ok(rule) = text.parse::<FailIf>() {
                prop_assert_eq!(&rule.to_string().parse::<FailIf>().unwrap(), &rule);
                prop_assert_eq!((rule.metric, rule.operator), (metric, meant));
            } else {
                let is_time = METRICS[metric].kind.is_time();
                let is_signed = !sign.is_empty();
                // One of these must be the reason.
                let has_wrong_unit = match unit {
                    "%" => !is_signed && !METRICS[metric].kind.has_whole(),
                    "us" | "ms" | "s" => is_signed || !is_time,
                    _ => is_signed || is_time,
                };
                prop_assert!(has_wrong_unit, "{}", text);
            }
        }
    }
}
