//! Several results as one: what one process or one host could not generate alone.
//!
//! Sums and histograms are added; everything else is worked out anew and judged again by the checks that always hold.
//! What another check found in one of the results still holds for the whole.

use std::collections::BTreeMap;

use super::verdict::AS_EXPECTED;
use super::{Check, Environment, Notes, Rules, RunResult, judge};
use crate::measure::Part;
use crate::publish::Published;

/// Results of one run overlap, or follow each other within this many seconds.
pub const PAUSE_MAX_S: u64 = 60;

/// Merges results of one run.
///
/// Hosts have different clocks: their latency is not comparable and left out, and so is the skew between their clients;
/// deliveries, loss and order are added, second by second from the first one of each.
///
/// # Errors
/// When there are none, when one is there twice, or when they cannot be of one run.
pub fn merge(results: Vec<RunResult>) -> Result<RunResult, String> {
    let Some(first) = results.first() else {
        return Err("nothing to merge: name at least one result".to_owned());
    };
    let has_one_clock =
        results.iter().all(|result| result.environment.boot_id == first.environment.boot_id);
    is_one_run(&results, has_one_clock)?;
    let environment = environment(&results);
    let mut notes = Notes::default();
    let (mut parts, mut published) = (Part::default(), None::<Published>);
    let mut failed = Vec::new();
    let begin_s = first_second(first);
    for (at, mut result) in results.into_iter().enumerate() {
        notes.is_interrupted |= result.verdict.interrupted;
        notes.latency_note = notes.latency_note.or(result.latency_note.take());
        if !has_one_clock {
            begin_at(&mut result.detail, begin_s);
            result.detail.skew.clear();
        }
        parts.add(&result.detail);
        if let Some(more) = &result.published {
            published.get_or_insert_default().add(more);
        }
        failed.extend(result.verdict.checks.into_iter().filter(|c| !c.pass).map(|c| (at + 1, c)));
    }
    if !has_one_clock {
        let note = "several hosts, whose clocks differ: latency and skew are left out";
        notes.latency_note = Some(note.to_owned());
    }
    let mut merged = RunResult::new(environment, parts, published, &notes);
    judge(&mut merged, &Rules::default());
    let unmet = unmet(&merged, &failed);
    judge(&mut merged, &Rules { unmet: &unmet, ..Rules::default() });
    Ok(merged)
}

/// Failed checks of the results (by their number) that the judgement of the whole does not repeat.
fn unmet(merged: &RunResult, failed: &[(usize, Check)]) -> Vec<String> {
    let is_repeated =
        |check: &Check| merged.verdict.checks.iter().any(|own| !own.pass && own.name == check.name);
    let words = |(number, check): &(usize, Check)| {
        // A result that was merged before says already which one and which check it was.
        let name = if check.name == AS_EXPECTED { "" } else { &check.name };
        let colon = if name.is_empty() { "" } else { ": " };
        format!("result {number}: {name}{colon}{}", check.value)
    };
    failed.iter().filter(|(_, check)| !is_repeated(check)).map(words).collect()
}

/// Where all of them ran. Words that differ stand beside each other, so that a merged result can be merged again.
fn environment(results: &[RunResult]) -> Environment {
    let words = |of: fn(&Environment) -> &String| {
        let mut all: Vec<&str> = Vec::new();
        for word in results.iter().flat_map(|result| of(&result.environment).split(", ")) {
            if !word.is_empty() && !all.contains(&word) {
                all.push(word);
            }
        }
        all.join(", ")
    };
    let numbers = || results.iter().map(|result| &result.environment);
    // Processes on one host share its cores.
    let cores: BTreeMap<_, _> = numbers().map(|env| (&env.boot_id, env.cores)).collect();
    Environment {
        tool: words(|env| &env.tool),
        command: format!("merged from {} results", results.len()),
        scenario: words(|env| &env.scenario),
        url: words(|env| &env.url),
        started_unix_ms: numbers().map(|env| env.started_unix_ms).min().unwrap_or_default(),
        host: words(|env| &env.host),
        boot_id: words(|env| &env.boot_id),
        kernel: words(|env| &env.kernel),
        cpu: words(|env| &env.cpu),
        cores: cores.values().sum(),
        descriptors: numbers().map(|env| env.descriptors).min().unwrap_or_default(),
    }
}

fn first_second(result: &RunResult) -> Option<u64> {
    result.detail.seconds.first_key_value().map(|(at, _)| *at)
}

/// Moves a part's seconds so that they begin with another one's.
fn begin_at(part: &mut Part, begin_s: Option<u64>) {
    let own_s = part.seconds.first_key_value().map(|(at, _)| *at);
    let (Some(own_s), Some(begin_s)) = (own_s, begin_s) else {
        return;
    };
    let seconds = std::mem::take(&mut part.seconds);
    part.seconds = seconds
        .into_iter()
        .filter_map(|(at, second)| Some((begin_s.checked_add(at - own_s)?, second)))
        .collect();
}

/// Whether no result is there twice, and (where one clock tells) none is of another time.
fn is_one_run(results: &[RunResult], has_one_clock: bool) -> Result<(), String> {
    for (at, result) in results.iter().enumerate() {
        if let Some(twin) = results[..at].iter().position(|other| other == result) {
            let (twin, at) = (twin + 1, at + 1);
            return Err(format!("results {twin} and {at} are the same: it would count twice"));
        }
    }
    if !has_one_clock {
        return Ok(());
    }
    let span = |(at, result): (usize, &RunResult)| {
        let last = result.detail.seconds.last_key_value()?.0;
        Some((first_second(result)?, *last, at + 1))
    };
    let mut spans: Vec<_> = results.iter().enumerate().filter_map(span).collect();
    spans.sort_unstable();
    let mut end_s = spans.first().map_or(0, |span| span.1);
    for (first_s, last_s, number) in spans {
        let pause_s = first_s.saturating_sub(end_s);
        if pause_s > PAUSE_MAX_S {
            return Err(format!(
                "result {number} begins {pause_s} s after the others ended: they are not of one run (at most {PAUSE_MAX_S} s)"
            ));
        }
        end_s = end_s.max(last_s);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::{Group, Hist, Packed, Second, SkewSample};
    use crate::result::{CANNOT_CONNECT, CHECK_FAILED, FailIf, OK};

    /// Ten clients on a host, that got 100 of 100 events each from second `begin_s` on.
    fn part(begin_s: u64) -> Part {
        let clients = Group { asked: 10, connected: 10, ..Group::default() };
        let mut part = Part { clients, ..Part::default() };
        (part.counts.expected, part.counts.delivered, part.counts.measured) = (1_000, 1_000, 1_000);
        part.effort.measured_s = 2.0;
        for at in begin_s..begin_s + 2 {
            let mut hist = Hist::default();
            hist.record_n(200, 500);
            part.latency.scheduled.merge(&hist);
            let (delivered, latency) = (500, Packed::new(&hist));
            part.seconds.insert(at, Second { delivered, latency, ..Second::default() });
        }
        (0..10).for_each(|_| part.per_client.record(100));
        let sample = SkewSample {
            first_us: begin_s * 1_000_000,
            last_us: begin_s * 1_000_000 + 40,
            clients: 10,
        };
        part.skew.insert("e/t#1".to_owned(), sample);
        part
    }

    fn result(boot_id: &str, part: Part, fail_if: &[&str]) -> RunResult {
        let environment = Environment {
            boot_id: boot_id.to_owned(),
            host: format!("host {boot_id}"),
            cores: 2,
            started_unix_ms: part.seconds.keys().next().map_or(0, |at| at * 1_000),
            ..Environment::default()
        };
        let mut result = RunResult::new(environment, part, None, &Notes::default());
        let rules: Vec<FailIf> = fail_if.iter().map(|text| text.parse().unwrap()).collect();
        judge(&mut result, &Rules { fail_if: &rules, ..Rules::default() });
        result
    }

    fn failed(result: &RunResult) -> Vec<(&str, &str)> {
        let checks = result.verdict.checks.iter().filter(|check| !check.pass);
        checks.map(|check| (check.name.as_str(), check.value.as_str())).collect()
    }

    #[test]
    fn results_of_one_host_are_added_with_their_latency() {
        let merged = merge(vec![result("a", part(101), &[]), result("a", part(100), &[])]).unwrap();
        assert_eq!((merged.clients.asked, merged.events.delivered), (20, 2_000));
        assert_eq!(merged.latency_us.as_ref().unwrap().scheduled.unwrap().count, 2_000);
        assert_eq!(merged.latency_note, None);
        let lines: Vec<_> =
            merged.per_second.iter().map(|line| (line.at_s, line.delivered, line.max_us)).collect();
        assert_eq!(lines, [(0, 500, 200), (1, 1_000, 200), (2, 500, 200)]);
        // Both had the event, the second one a second earlier.
        assert_eq!((merged.skew_us.events, merged.detail.skew["e/t#1"].clients), (1, 20));
        assert!(merged.skew_us.last_less_first.p50 >= 1_000_000);
        assert_eq!((merged.rates.delivered_per_s, merged.rates.fairness), (1_000.0, 1.0));
        let env = &merged.environment;
        assert_eq!((env.started_unix_ms, env.cores, env.host.as_str()), (100_000, 2, "host a"));
        assert_eq!((merged.verdict.exit_code, failed(&merged)), (OK, vec![]));
    }

    #[test]
    fn hosts_with_different_clocks_keep_their_deliveries_and_lose_latency_and_skew() {
        let merged =
            merge(vec![result("a", part(1_000_000), &[]), result("b", part(7), &[])]).unwrap();
        assert_eq!((&merged.latency_us, merged.skew_us.events), (&None, 0));
        assert!(merged.latency_note.as_ref().unwrap().contains("clocks differ"));
        assert_eq!((merged.events.expected, merged.events.delivered), (2_000, 2_000));
        let lines: Vec<_> =
            merged.per_second.iter().map(|line| (line.at_s, line.delivered, line.max_us)).collect();
        assert_eq!(lines, [(0, 1_000, 0), (1, 1_000, 0)]);
        let env = &merged.environment;
        assert_eq!(
            (env.boot_id.as_str(), env.host.as_str(), env.cores),
            ("a, b", "host a, host b", 4)
        );
        assert_eq!(merged.verdict.exit_code, OK);

        let again = merge(vec![merged, result("a", part(1_000_001), &[])]).unwrap();
        assert_eq!((&again.latency_us, again.events.delivered), (&None, 3_000));
        assert_eq!(again.environment.boot_id, "a, b");
    }

    #[test]
    fn a_result_without_latency_takes_it_from_the_whole() {
        let mut far = result("a", part(100), &[]);
        far.latency_note = Some("another host".to_owned());
        let merged = merge(vec![result("a", part(100), &[]), far]).unwrap();
        assert_eq!(
            (&merged.latency_us, merged.latency_note.as_deref()),
            (&None, Some("another host"))
        );
        assert_eq!((merged.per_second[0].max_us, merged.skew_us.events), (0, 1));
    }

    #[test]
    fn what_failed_in_one_fails_in_the_whole_and_is_told_once() {
        let mut lossy = part(100);
        lossy.counts.lost = 3;
        let slow = result("a", part(100), &["p99>100us"]);
        let merged = merge(vec![result("a", lossy, &[]), slow]).unwrap();
        let expected = [("nothing lost", "3"), ("as expected", "result 2: not p99>100us: 200 us")];
        assert_eq!((merged.verdict.exit_code, failed(&merged)), (CHECK_FAILED, expected.to_vec()));

        let again = merge(vec![result("a", part(101), &[]), merged]).unwrap();
        assert_eq!(failed(&again)[1].1, "result 2: result 2: not p99>100us: 200 us");
    }

    #[test]
    fn who_could_not_connect_is_69_in_the_whole_too() {
        let mut refused = part(100);
        (refused.clients.connected, refused.clients.failed) = (0, 10);
        let nobody = result("a", refused, &[]);
        let merged = merge(vec![result("a", part(100), &[]), nobody.clone()]).unwrap();
        assert_eq!((merged.verdict.exit_code, merged.verdict.pass), (CANNOT_CONNECT, false));
        assert_eq!(failed(&merged), [("everybody connects", "10 of 20")]);
        let alone = merge(vec![nobody]).unwrap();
        assert_eq!(alone.verdict.exit_code, CANNOT_CONNECT);
    }

    #[test]
    fn an_interrupted_result_interrupts_the_whole() {
        let mut short = result("a", part(100), &[]);
        short.verdict.interrupted = true;
        assert!(merge(vec![result("a", part(100), &[]), short]).unwrap().verdict.interrupted);
    }

    #[test]
    fn publishers_are_added() {
        let published = Published { accepted: 5, due: 6, dropped: 1, ..Published::default() };
        let mut results = vec![result("a", part(100), &[]), result("a", part(101), &[])];
        results.iter_mut().for_each(|result| result.published = Some(published.clone()));
        let merged = merge(results).unwrap();
        assert_eq!((merged.events.published, merged.published.unwrap().dropped), (Some(10), 2));
        assert_eq!(merged.verdict.exit_code, CHECK_FAILED);
    }

    #[test]
    fn results_that_follow_each_other_are_one_run_from_link_to_link() {
        let steps = [0, 2, 1].map(|step| result("a", part(100 + step * PAUSE_MAX_S), &[]));
        assert_eq!(merge(steps.to_vec()).unwrap().events.delivered, 3_000);
        let without_the_middle = merge(steps[..2].to_vec()).unwrap_err();
        assert!(without_the_middle.contains("result 2 begins"), "{without_the_middle}");
    }

    #[test]
    fn what_is_not_of_one_run_is_refused() {
        assert!(merge(Vec::new()).unwrap_err().contains("at least one"));
        let one = result("a", part(100), &[]);
        let twice = merge(vec![one.clone(), result("a", part(101), &[]), one.clone()]).unwrap_err();
        assert!(twice.contains("results 1 and 3 are the same"), "{twice}");
        for (pause_s, is_well) in
            [(PAUSE_MAX_S - 1, true), (PAUSE_MAX_S, true), (PAUSE_MAX_S + 1, false)]
        {
            let later = result("a", part(101 + pause_s), &[]);
            for results in [vec![one.clone(), later.clone()], vec![later, one.clone()]] {
                let merged = merge(results);
                assert_eq!(merged.is_ok(), is_well, "{pause_s}: {:?}", merged.err());
            }
        }
    }
}
