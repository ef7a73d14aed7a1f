//! An older result, to compare with: read and checked, and what has changed since.
//!
//! Shared machines drift: a change of some percent between two runs says little, and one between two machines nothing.

use std::path::Path;

use super::{Quantiles, RunResult, SCHEMA};

/// Reads a result.
///
/// # Errors
/// When the file cannot be read, or is no result of this form, with its name.
pub fn read(path: &Path) -> Result<RunResult, String> {
    let name = path.display();
    let text =
        std::fs::read_to_string(path).map_err(|error| format!("cannot read {name}: {error}"))?;
    let value: serde_json::Value =
        serde_json::from_str(&text).map_err(|error| format!("{name} is no JSON: {error}"))?;
    match value["schema"].as_str() {
        Some(SCHEMA) => {}
        Some(other) => {
            return Err(format!("{name} is of the form {other:?}; this program reads {SCHEMA:?}"));
        }
        None => return Err(format!("{name} is no result of a load test (it has no \"schema\")")),
    }
    let result: RunResult = serde_json::from_value(value)
        .map_err(|error| format!("{name} is no whole result: {error}"))?;
    for second in result.detail.seconds.values() {
        second.latency.unpack().map_err(|error| format!("{name}: {error}"))?;
    }
    Ok(result)
}

/// A figure then and now.
#[derive(Debug, Clone, PartialEq)]
pub struct Delta {
    /// Which.
    pub name: &'static str,
    /// Then; microseconds where it is a time.
    pub old: f64,
    /// Now.
    pub new: f64,
    /// Whether it is a time.
    pub is_time: bool,
}

impl Delta {
    /// By how much it has grown, percent; none where it was 0.
    #[must_use]
    pub fn percent(&self) -> Option<f64> {
        (self.old != 0.0).then(|| (self.new / self.old - 1.0) * 100.0)
    }
}

/// What else was not the same, in words: what changed then says nothing about the server alone.
#[must_use]
pub fn differences(old: &RunResult, new: &RunResult) -> Vec<String> {
    let (then, now) = (&old.environment, &new.environment);
    let clients = |result: &RunResult| result.clients.asked.to_string();
    [
        ("scenario", then.scenario.clone(), now.scenario.clone()),
        ("clients", clients(old), clients(new)),
        ("host", then.host.clone(), now.host.clone()),
        ("processor", then.cpu.clone(), now.cpu.clone()),
        ("cores", then.cores.to_string(), now.cores.to_string()),
        ("kernel", then.kernel.clone(), now.kernel.clone()),
    ]
    .into_iter()
    .filter(|(_, then, now)| then != now)
    .map(|(name, then, now)| format!("{name}: {then:?} then, {now:?} now"))
    .collect()
}

/// The main figures of two results, where both have them.
#[must_use]
pub fn deltas(old: &RunResult, new: &RunResult) -> Vec<Delta> {
    let mut deltas = Vec::new();
    let mut add = |name, old: Option<f64>, new: Option<f64>, is_time| {
        if let (Some(old), Some(new)) = (old, new) {
            deltas.push(Delta { name, old, new, is_time });
        }
    };
    let latency = |result: &RunResult| {
        let latency = result.latency_us.as_ref()?;
        latency.scheduled.or(latency.actual)
    };
    let of = |figure: fn(&Quantiles) -> Option<u64>| {
        #[expect(clippy::cast_precision_loss, reason = "figures for reading; exact below 2^53")]
        let real = move |result: &RunResult| Some(figure(&latency(result)?)? as f64);
        (real(old), real(new))
    };
    let rate = |result: &RunResult| Some(result.rates.delivered_per_s);
    add("deliveries per second", rate(old), rate(new), false);
    for (name, (old, new)) in [
        ("latency p50", of(|quantiles| Some(quantiles.p50))),
        ("latency p99", of(|quantiles| Some(quantiles.p99))),
        ("latency p99.9", of(|quantiles| quantiles.p99_9)),
        ("latency max", of(|quantiles| Some(quantiles.max))),
    ] {
        add(name, old, new, true);
    }
    let cost = |result: &RunResult| Some(result.generator.cpu_us_per_delivery);
    add("generator CPU per delivery", cost(old), cost(new), true);
    deltas
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Part;
    use crate::result::{Environment, Notes};

    fn result(latencies_us: &[u64]) -> RunResult {
        let mut part = Part::default();
        latencies_us.iter().for_each(|us| part.latency.scheduled.record(*us));
        part.effort.measured_s = 1.0;
        part.counts.measured = latencies_us.len() as u64;
        RunResult::new(Environment::default(), part, None, &Notes::default())
    }

    /// A file with this text, read as a result and gone again.
    fn read_text(name: &str, text: &str) -> Result<RunResult, String> {
        let path = std::env::temp_dir().join(format!("loadtest-{}-{name}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        let result = read(&path);
        std::fs::remove_file(&path).unwrap();
        result
    }

    #[test]
    fn a_result_is_read_back_and_anything_else_named() {
        let result = result(&[5, 7]);
        let value = serde_json::to_value(&result).unwrap();
        assert!(read_text("whole.json", &value.to_string()).unwrap() == result);

        let changed = |change: fn(&mut serde_json::Value)| {
            let mut value = value.clone();
            change(&mut value);
            value.to_string()
        };
        for (name, text, part) in [
            ("text.json", "not json".to_owned(), "is no JSON"),
            ("list.json", "[1]".to_owned(), "no \"schema\""),
            ("other.json", "{\"schema\": \"other/9\"}".to_owned(), "\"other/9\""),
            ("newer.json", changed(|v| v["schema"] = "lineage-loadtest/2".into()), SCHEMA),
            ("less.json", changed(|v| v["events"] = 3.into()), "no whole result"),
            ("hist.json", changed(|v| v["detail"]["connect"] = "x".into()), "not a histogram"),
            (
                "second.json",
                changed(|v| {
                    v["detail"]["seconds"]["1"] = serde_json::json!({"delivered": 0, "bytes": 0, "connected": 0, "latency": "x"});
                }),
                "not a histogram",
            ),
        ] {
            let error = read_text(name, &text).unwrap_err();
            assert!(error.contains(part) && error.contains(name), "{name}: {error}");
        }
        let error = read(Path::new("no-such-file.json")).unwrap_err();
        assert!(error.contains("cannot read no-such-file.json"), "{error}");
    }

    #[test]
    fn what_both_have_is_compared() {
        let (old, new) = (result(&[100, 100]), result(&[150, 150, 150]));
        let deltas = deltas(&old, &new);
        let names: Vec<_> = deltas.iter().map(|delta| delta.name).collect();
        assert_eq!(
            names,
            [
                "deliveries per second",
                "latency p50",
                "latency p99",
                "latency max",
                "generator CPU per delivery",
            ]
        );
        assert_eq!((deltas[0].old, deltas[0].new, deltas[0].percent()), (2.0, 3.0, Some(50.0)));
        assert_eq!((deltas[1].percent(), deltas[1].is_time), (Some(50.0), true));
        assert_eq!(deltas[4].percent(), None, "from 0");
        assert_eq!(super::deltas(&old, &result(&[])).len(), 2, "no latency on one side");
    }

    #[test]
    fn what_else_was_not_the_same_is_told() {
        let (old, mut new) = (result(&[1]), result(&[2]));
        assert_eq!(differences(&old, &new), [""; 0]);
        new.environment.cpu = "another one".to_owned();
        new.clients.asked = 7;
        let told = ["clients: \"0\" then, \"7\" now", "processor: \"\" then, \"another one\" now"];
        assert_eq!(differences(&old, &new), told);
    }
}
