//! Rules out of TOML text, checked: what is wrong is told with the file, the rule, the key, the value and what is allowed.
//!
//! Bytes from outside: any text gives rules or one error, never a panic. It reads no file.

use super::fields::{INTERVALS, KINDS, Kind};
use super::phase::Waits;
use super::rules::{Direction, Measure, RULES_MAX, Rule, Test, Threshold};
use crate::error::Error;
use crate::event::{Pattern, Severity};
use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};

/// Longest name of a rule, in bytes.
const NAME_BYTES_MAX: usize = 64;
/// The greatest number that a rule may have, and its negative the least: integers up to it are exact.
const NUMBER_MAX: f64 = 1e15;
/// The longest wait.
const WAIT_US_MAX: u64 = 24 * 3_600_000_000;
/// The shortest and the longest window of a rate.
const WINDOW_US: [u64; 2] = [1_000_000, 3_600_000_000];

/// What a rule may say.
const KEYS: [&str; 14] = [
    "name",
    "severity",
    "subject",
    "field",
    "interval",
    "kind",
    "window",
    "change",
    "is",
    "threshold",
    "hysteresis",
    "for",
    "resolve_for",
    "only_if",
];

/// Reads `text`; `origin` names it in errors.
pub(super) fn rules(text: &str, origin: &str) -> Result<Vec<Rule>, Error> {
    let refuse = |message: String| Error::Config(format!("{origin}: {message}"));
    let table: Table = text.parse().map_err(|error| refuse(format!("{error}")))?;
    if let Some(key) = table.keys().find(|key| *key != "rule") {
        let line = line(text, None, key);
        return Err(refuse(format!(
            "line {line}: unknown key `{key}`; each rule begins with [[rule]]"
        )));
    }
    let tables = match table.get("rule") {
        None => &[][..],
        Some(Value::Array(tables)) => tables,
        Some(other) => return Err(refuse(format!("rule = {other} is not a list; write [[rule]]"))),
    };
    if tables.len() > RULES_MAX {
        return Err(refuse(format!("{} rules; {RULES_MAX} at most", tables.len())));
    }
    let mut rules: Vec<Rule> = Vec::with_capacity(tables.len());
    for (at, value) in tables.iter().enumerate() {
        let written = Written::new(at, value, text).map_err(refuse)?;
        let rule = written.rule().map_err(|message| refuse(written.told(&message)))?;
        if rules.iter().any(|other| other.name == rule.name) {
            let message = format!("name = \"{}\" is taken by an earlier rule", rule.name);
            return Err(refuse(written.told(&message)));
        }
        rules.push(rule);
    }
    Ok(rules)
}

/// A rule as it is written.
struct Written<'a> {
    /// From 1.
    number: usize,
    table: &'a Table,
    /// All of the file.
    text: &'a str,
}

impl<'a> Written<'a> {
    fn new(at: usize, value: &'a Value, text: &'a str) -> Result<Self, String> {
        let number = at + 1;
        let table = value.as_table();
        let table = table.ok_or_else(|| format!("rule {number} = {value} is not a table"))?;
        Ok(Self { number, table, text })
    }

    /// `message`, with which rule it is about and where that is. It begins with the key that is wrong.
    fn told(&self, message: &str) -> String {
        let key = message.split([' ', '.']).next().unwrap_or_default();
        let line = line(self.text, Some(self.number - 1), key);
        match self.table.get("name").and_then(Value::as_str) {
            Some(name) => format!("line {line}: rule {} ({name:?}): {message}", self.number),
            None => format!("line {line}: rule {}: {message}", self.number),
        }
    }

    fn rule(&self) -> Result<Rule, String> {
        if let Some((key, value)) = self.table.iter().find(|(key, _)| !KEYS.contains(&&***key)) {
            return Err(format!("{key} = {value} is no key of a rule; those are {}", list(&KEYS)));
        }
        let name = self.name()?;
        let severity = self.choice("severity", &Severity::ALL.map(|one| (one.word(), one)))?;
        let (subject, kind) = self.subject()?;
        let test = self.test()?;
        let is = [("above", Direction::Above), ("below", Direction::Below)];
        let waits = Waits {
            for_us: self.wait("for")?,
            resolve_for_us: self.wait("resolve_for")?,
            must_cross: test == Test::Crossing,
        };
        Ok(Rule {
            name: name.into(),
            severity,
            subject,
            kind,
            interval: self.interval(kind)?,
            field: field(kind, "field", self.value("field", "a field of the subject")?)?,
            test,
            is: self.choice("is", &is)?,
            threshold: self.threshold(kind, test)?,
            hysteresis: self.hysteresis()?,
            waits,
            only_if: self.only_if(kind)?,
        })
    }

    fn name(&self) -> Result<&'a str, String> {
        let allowed = format!("1 to {NAME_BYTES_MAX} of a-z, 0-9 and _");
        let value = self.value("name", &allowed)?;
        let is_name = |text: &&str| {
            let is_allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_');
            (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(is_allowed)
        };
        value.as_str().filter(is_name).ok_or_else(|| refused("name", value, &allowed))
    }

    fn subject(&self) -> Result<(Pattern, &'static Kind), String> {
        let allowed = KINDS.map(|kind| match kind.prefix.strip_suffix(':') {
            Some(_) => format!("{}<name> or {}*", kind.prefix, kind.prefix),
            None => kind.prefix.to_owned(),
        });
        let allowed = allowed.join(", ");
        let value = self.value("subject", &allowed)?;
        let found = value.as_str().and_then(|text| {
            let kind = Kind::of(text)?;
            // The interval is a key of its own.
            let is_whole = !kind.has_intervals || text.matches(':').count() == 1;
            Some((Pattern::parse(text).ok().filter(|_| is_whole)?, kind))
        });
        found.ok_or_else(|| refused("subject", value, &allowed))
    }

    fn interval(&self, kind: &Kind) -> Result<Option<&'static str>, String> {
        if kind.has_intervals {
            return self.choice("interval", &INTERVALS.map(|word| (word, Some(word))));
        }
        self.absent("interval", "the subject has no intervals").map(|()| None)
    }

    fn test(&self) -> Result<Test, String> {
        let kinds = ["threshold", "crossing", "rate"].map(|word| (word, word));
        let kind = match self.table.get("kind") {
            None => "threshold",
            Some(_) => self.choice("kind", &kinds)?,
        };
        if kind == "rate" {
            let changes = [("relative", Measure::Relative), ("per_second", Measure::PerSecond)];
            let change = self.choice("change", &changes)?;
            let value = self.value("window", &spans(WINDOW_US))?;
            return Ok(Test::Rate { window_us: span("window", value, WINDOW_US)?, change });
        }
        for key in ["window", "change"] {
            self.absent(key, "only a rule of kind \"rate\" has one")?;
        }
        Ok(if kind == "crossing" { Test::Crossing } else { Test::Threshold })
    }

    fn threshold(&self, kind: &Kind, test: Test) -> Result<Threshold, String> {
        let value = self.value("threshold", "a number, or another field of the subject")?;
        match (value, test) {
            (Value::String(_), Test::Rate { .. }) => {
                Err(refused("threshold", value, "a number, as it has to be for a rate"))
            }
            (Value::String(_), _) => field(kind, "threshold", value).map(Threshold::Field),
            _ => number("threshold", value, -NUMBER_MAX).map(Threshold::Number),
        }
    }

    fn hysteresis(&self) -> Result<f64, String> {
        self.table.get("hysteresis").map_or(Ok(0.0), |value| number("hysteresis", value, 0.0))
    }

    fn wait(&self, key: &str) -> Result<u64, String> {
        self.table.get(key).map_or(Ok(0), |value| span(key, value, [0, WAIT_US_MAX]))
    }

    fn only_if(&self, kind: &Kind) -> Result<Option<(usize, f64)>, String> {
        const ALLOWED: &str = "{ field = \"…\", at_least = … }";
        let Some(value) = self.table.get("only_if") else { return Ok(None) };
        let condition = value.as_table().filter(|table| table.len() == 2);
        let pair = condition.and_then(|table| Some((table.get("field")?, table.get("at_least")?)));
        let (name, least) = pair.ok_or_else(|| refused("only_if", value, ALLOWED))?;
        let least = number("only_if.at_least", least, -NUMBER_MAX)?;
        Ok(Some((field(kind, "only_if.field", name)?, least)))
    }

    fn value(&self, key: &str, allowed: &str) -> Result<&'a Value, String> {
        self.table.get(key).ok_or_else(|| format!("{key} is missing; allowed: {allowed}"))
    }

    /// What the word of `key` stands for.
    fn choice<T: Copy>(&self, key: &str, choices: &[(&str, T)]) -> Result<T, String> {
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        let allowed = format!("one of {}", list(&words));
        let value = self.value(key, &allowed)?;
        let found = choices.iter().find(|(word, _)| value.as_str() == Some(word));
        found.map(|(_, choice)| *choice).ok_or_else(|| refused(key, value, &allowed))
    }

    fn absent(&self, key: &str, why: &str) -> Result<(), String> {
        match self.table.get(key) {
            None => Ok(()),
            Some(value) => Err(format!("{key} = {value} has no place here: {why}")),
        }
    }
}

/// In which line of `text`, from 1, `key` stands in the rule at this place, or at the top; where the rule begins if it has
/// no such key.
fn line(text: &str, rule: Option<usize>, key: &str) -> usize {
    let offset = DeTable::parse(text).ok().and_then(|whole| {
        let Some(rule) = rule else { return start_of(whole.get_ref(), key) };
        let rules = whole.get_ref().iter().find(|(name, _)| &**name.get_ref() == "rule")?.1;
        let DeValue::Array(rules) = rules.get_ref() else { return None };
        let table = rules.get(rule)?;
        let found = match table.get_ref() {
            DeValue::Table(inside) => start_of(inside, key),
            _ => None,
        };
        Some(found.unwrap_or(table.span().start))
    });
    let before = text.as_bytes().iter().take(offset.unwrap_or(0));
    before.filter(|byte| **byte == b'\n').count() + 1
}

/// Where a key of a table stands.
fn start_of(table: &DeTable<'_>, key: &str) -> Option<usize> {
    table.keys().find(|name| &**name.get_ref() == key).map(Spanned::span).map(|span| span.start)
}

fn refused(key: &str, value: &Value, allowed: &str) -> String {
    format!("{key} = {value} is not allowed; allowed: {allowed}")
}

fn list(words: &[&str]) -> String {
    words.join(", ")
}

fn field(kind: &Kind, key: &str, value: &Value) -> Result<usize, String> {
    let found = value.as_str().and_then(|name| kind.field(name));
    found.ok_or_else(|| refused(key, value, &format!("one of {}", list(kind.fields))))
}

fn number(key: &str, value: &Value, least: f64) -> Result<f64, String> {
    let number = match value {
        // Exact up to the greatest number that is allowed.
        Value::Integer(integer) => Some(*integer as f64),
        Value::Float(float) => Some(*float),
        _ => None,
    };
    let allowed = |number: &f64| (least..=NUMBER_MAX).contains(number);
    number
        .filter(allowed)
        .ok_or_else(|| refused(key, value, &format!("a number from {least:?} to {NUMBER_MAX:?}")))
}

/// A time with its unit, such as `500ms` or `2m`, in microseconds.
fn span(key: &str, value: &Value, range_us: [u64; 2]) -> Result<u64, String> {
    const UNITS_US: [(&str, u64); 4] =
        [("ms", 1_000), ("s", 1_000_000), ("m", 60_000_000), ("h", 3_600_000_000)];
    let parsed = value.as_str().and_then(|text| {
        UNITS_US.iter().find_map(|(unit, us)| {
            let digits = text.strip_suffix(unit)?;
            let is_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
            let count: u64 = Some(digits).filter(|_| is_digits)?.parse().ok()?;
            count.checked_mul(*us)
        })
    });
    let is_within = |us: &u64| (range_us[0]..=range_us[1]).contains(us);
    parsed.filter(is_within).ok_or_else(|| refused(key, value, &spans(range_us)))
}

fn spans([least_us, most_us]: [u64; 2]) -> String {
    let (least, most) = (least_us / 1_000_000, most_us / 3_600_000_000);
    format!("a time from {least}s to {most}h with its unit, such as \"500ms\" or \"2m\"")
}
