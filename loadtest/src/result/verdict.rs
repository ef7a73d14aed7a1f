//! The judgement: the checks that always hold, then those that were asked for.
//!
//! | exit code | when |
//! |---|---|
//! | 69 | no strictly judged client connected; or some did not, and all else is well |
//! | 99 | any other check failed |
//! | 0 | all passed |

use super::{Check, FailIf, RunResult};

/// All is well.
pub const OK: u8 = 0;
/// Nobody, or not everybody, could connect.
pub const CANNOT_CONNECT: u8 = 69;
/// Something did not arrive as it should, or an expression was true.
pub const CHECK_FAILED: u8 = 99;

/// The check of what the command line expected, beside expressions.
pub(super) const AS_EXPECTED: &str = "as expected";

/// What is judged by, beside what always holds.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rules<'a> {
    /// Expressions that must not be true.
    pub fail_if: &'a [FailIf],
    /// An older result.
    pub baseline: Option<&'a RunResult>,
    /// Expectations that were not met, in words.
    pub unmet: &'a [String],
}

/// Judges a result; its verdict and exit code are replaced.
pub fn judge(result: &mut RunResult, rules: &Rules<'_>) {
    let connected = connected(result);
    let mut checks = built_in(result);
    checks.extend(rules.unmet.iter().map(|unmet| Check {
        name: AS_EXPECTED.to_owned(),
        value: unmet.clone(),
        pass: false,
    }));
    checks.extend(rules.fail_if.iter().map(|rule| {
        let (is_true, value) = rule.check(result, rules.baseline);
        Check { name: format!("not {rule}"), value, pass: !is_true }
    }));
    let is_well = checks.iter().all(|check| check.pass);
    let verdict = &mut result.verdict;
    verdict.exit_code = match (connected.pass, is_well) {
        _ if result.clients.strict.connected == 0 => CANNOT_CONNECT,
        (_, false) => CHECK_FAILED,
        (false, true) => CANNOT_CONNECT,
        (true, true) => OK,
    };
    checks.insert(0, connected);
    verdict.pass = verdict.exit_code == OK;
    verdict.checks = checks;
}

fn connected(result: &RunResult) -> Check {
    let group = &result.clients.strict;
    // A run that was cut short while connecting has not failed to connect.
    let is_well =
        group.failed == 0 && (group.connected == group.asked || result.verdict.interrupted);
    Check {
        name: "everybody connects".to_owned(),
        value: format!("{} of {}", group.connected, group.asked),
        pass: is_well,
    }
}

fn built_in(result: &RunResult) -> Vec<Check> {
    let (events, faulty) = (&result.events, &result.faulty_events);
    let none = |name: &str, strict: u64, faulty: u64| Check {
        name: name.to_owned(),
        value: if faulty > 0 {
            format!("{strict} (and {faulty} at clients with a fault)")
        } else {
            strict.to_string()
        },
        pass: strict == 0 && faulty == 0,
    };
    let mut checks = vec![
        none("nothing lost", events.lost, faulty.lost),
        none("nothing twice", events.duplicated, faulty.duplicated),
        none("all in order", events.reordered, faulty.reordered),
        none("nothing corrupt", events.corrupt, faulty.corrupt),
        none("protocol kept", events.breaches, faulty.breaches),
        none("nobody closed", result.clients.strict.closed, 0),
        none("everybody is back", result.clients.strict.absent, 0),
    ];
    if events.published.is_some_and(|published| published > 0) {
        checks.push(Check {
            name: "something arrives".to_owned(),
            value: events.delivered.to_string(),
            pass: events.delivered > 0,
        });
    }
    if let Some(published) = &result.published {
        checks.push(Check {
            name: "all is published".to_owned(),
            value: format!("{} of {}", published.accepted, published.due),
            pass: published.rejected + published.dropped == 0,
        });
    }
    checks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::{Group, Part};
    use crate::publish::Published;
    use crate::result::{Environment, Notes};

    /// Ten clients that got all of ten events, and two slow ones.
    fn clean() -> (Part, Published, Notes) {
        let group = |asked| Group { asked, connected: asked, ..Group::default() };
        let mut part = Part { clients: group(10), ..Part::default() };
        part.faulty.insert("slow".to_owned(), group(2));
        (part.counts.expected, part.counts.delivered) = (100, 100);
        (1..=1_000).for_each(|ms| part.latency.scheduled.record(ms * 1_000));
        let published = Published { due: 10, accepted: 10, ..Published::default() };
        (part, published, Notes::default())
    }

    type Change = fn(&mut Part, &mut Published, &mut Notes);

    fn result(change: Change) -> RunResult {
        let (mut part, mut published, mut notes) = clean();
        change(&mut part, &mut published, &mut notes);
        RunResult::new(Environment::default(), part, Some(published), &notes)
    }

    fn nobody(part: &mut Part) {
        (part.clients.connected, part.clients.failed) = (0, 10);
        (part.counts.expected, part.counts.delivered) = (0, 0);
    }

    /// What happened, the exit code without an expression, and the check that fails by itself.
    const RUNS: [(&str, Change, u8, &str); 20] = [
        ("all well", |_, _, _| (), OK, ""),
        ("lost", |part, _, _| part.counts.lost = 1, CHECK_FAILED, "nothing lost"),
        ("twice", |part, _, _| part.counts.duplicated = 1, CHECK_FAILED, "nothing twice"),
        ("swapped", |part, _, _| part.counts.reordered = 1, CHECK_FAILED, "all in order"),
        ("corrupt", |part, _, _| part.counts.corrupt = 1, CHECK_FAILED, "nothing corrupt"),
        ("breach", |part, _, _| part.counts.breaches = 1, CHECK_FAILED, "protocol kept"),
        ("slow lost", |part, _, _| part.faulty_counts.lost = 1, CHECK_FAILED, "nothing lost"),
        (
            "slow twice",
            |part, _, _| part.faulty_counts.duplicated = 1,
            CHECK_FAILED,
            "nothing twice",
        ),
        (
            "slow breach",
            |part, _, _| part.faulty_counts.breaches = 1,
            CHECK_FAILED,
            "protocol kept",
        ),
        ("closed", |part, _, _| part.clients.closed = 1, CHECK_FAILED, "nobody closed"),
        ("absent", |part, _, _| part.clients.absent = 1, CHECK_FAILED, "everybody is back"),
        ("silent", |part, _, _| part.counts.delivered = 0, CHECK_FAILED, "something arrives"),
        ("dropped", |_, published, _| published.dropped = 1, CHECK_FAILED, "all is published"),
        ("rejected", |_, published, _| published.rejected = 1, CHECK_FAILED, "all is published"),
        ("announced", |part, _, _| part.counts.announced_gaps = 1, OK, ""),
        (
            "slow closed",
            |part, _, _| {
                let slow = part.faulty.entry("slow".to_owned()).or_default();
                (slow.closed, slow.failed, slow.absent) = (1, 1, 1);
            },
            OK,
            "",
        ),
        (
            "one failed",
            |part, _, _| {
                (part.clients.connected, part.clients.failed) = (9, 1);
            },
            CANNOT_CONNECT,
            "everybody connects",
        ),
        ("nobody", |part, _, _| nobody(part), CANNOT_CONNECT, "everybody connects"),
        (
            "one failed, one lost",
            |part, _, _| {
                (part.clients.failed, part.counts.lost) = (1, 1);
            },
            CHECK_FAILED,
            "nothing lost",
        ),
        (
            "cut short while connecting",
            |part, _, notes| {
                (part.clients.connected, notes.is_interrupted) = (4, true);
            },
            OK,
            "",
        ),
    ];

    /// Expressions, and whether they are true of every run above.
    const RULES: [(&[&str], bool); 9] = [
        (&[], false),
        (&["lost>5"], false),
        (&["p99<1ms", "lost>50%"], false),
        (&["lost>=0"], true),
        (&["lost>5", "p99>1ms"], true),
        (&["p99.99<1s"], true),
        (&["actual.p50<1s"], true),
        (&["p99>+10%"], false),
        (&["p99>-10%"], true),
    ];

    #[test]
    fn what_happened_and_what_was_asked_make_the_exit_code() {
        let old = result(|_, _, _| ());
        for (what, change, alone, check) in RUNS {
            for (texts, is_true) in RULES {
                let mut result = result(change);
                // A share of nothing cannot be checked, and fails as it should.
                let is_true =
                    is_true || (texts.contains(&"lost>50%") && result.events.expected == 0);
                let fail_if: Vec<FailIf> = texts.iter().map(|text| text.parse().unwrap()).collect();
                judge(&mut result, &Rules { fail_if: &fail_if, baseline: Some(&old), unmet: &[] });
                let verdict = &result.verdict;
                let is_nobody = result.clients.strict.connected == 0;
                let expected = if is_true && !is_nobody { CHECK_FAILED } else { alone };
                assert_eq!(verdict.exit_code, expected, "{what}, {texts:?}: {:?}", verdict.checks);
                assert_eq!(verdict.pass, expected == OK);
                let failed = verdict.checks.iter().filter(|check| !check.pass);
                let failed: Vec<&str> = failed.map(|check| check.name.as_str()).collect();
                assert!(check.is_empty() || failed.contains(&check), "{what}: {failed:?}");
                let of_rules = failed.iter().filter(|name| name.starts_with("not ")).count();
                assert_eq!(of_rules > 0, is_true, "{what}, {texts:?}: {failed:?}");
            }
        }
    }

    #[test]
    fn what_was_expected_and_did_not_come_fails() {
        let mut result = result(|_, _, _| ());
        let unmet = ["4 events of 5 expected".to_owned()];
        judge(&mut result, &Rules { unmet: &unmet, ..Rules::default() });
        assert_eq!(result.verdict.exit_code, CHECK_FAILED);
        let last = result.verdict.checks.last().unwrap();
        assert_eq!((last.name.as_str(), &last.value, last.pass), (AS_EXPECTED, &unmet[0], false));
    }

    #[test]
    fn every_check_stands_in_the_table_with_its_value() {
        let mut result = result(|part, _, _| {
            (part.counts.lost, part.faulty_counts.lost) = (3, 2);
        });
        let rules = ["lost>=4".parse().unwrap()];
        judge(&mut result, &Rules { fail_if: &rules, ..Rules::default() });
        let checks: Vec<_> =
            result.verdict.checks.iter().map(|check| (check.name.as_str(), check.pass)).collect();
        assert_eq!(
            checks,
            [
                ("everybody connects", true),
                ("nothing lost", false),
                ("nothing twice", true),
                ("all in order", true),
                ("nothing corrupt", true),
                ("protocol kept", true),
                ("nobody closed", true),
                ("everybody is back", true),
                ("something arrives", true),
                ("all is published", true),
                ("not lost>=4", true),
            ]
        );
        assert_eq!(result.verdict.checks[1].value, "3 (and 2 at clients with a fault)");
        assert_eq!(result.verdict.checks[10].value, "3");
    }

    #[test]
    fn judging_again_replaces_the_judgement() {
        let mut result = result(|part, _, _| part.counts.lost = 1);
        judge(&mut result, &Rules::default());
        let first = result.verdict.clone();
        judge(&mut result, &Rules::default());
        assert_eq!(result.verdict, first);
    }
}
