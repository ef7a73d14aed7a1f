//! Judges the index of the suite's report: every case of every group is there, and ended as it has to.

use serde_json::Value;
use std::collections::BTreeMap;

/// The groups that are run, and how many cases the suite has in each.
const GROUPS: [(&str, usize); 9] = [
    ("1", 16),
    ("2", 11),
    ("3", 7),
    ("4", 10),
    ("5", 20),
    ("6", 145),
    ("7", 37),
    ("9", 54),
    ("10", 1),
];
/// Text that turns invalid in the middle of a frame, which is noticed at the frame's end: right, but not at once.
const NON_STRICT: [&str; 2] = ["6.4.3", "6.4.4"];
/// What RFC 6455 leaves open; the suite only tells what it saw.
const INFORMATIONAL: [&str; 3] = ["7.1.6", "7.13.1", "7.13.2"];

/// The groups that are run.
pub(super) fn groups() -> impl Iterator<Item = &'static str> {
    GROUPS.iter().map(|(group, _)| *group)
}

/// A sentence on the cases of a report, or what is wrong with them.
///
/// # Errors
/// A line for each case that did not end as it has to, and for each group that is not whole.
pub(super) fn judge(cases: &Value) -> Result<String, Vec<String>> {
    let Some(cases) = cases.as_object() else {
        return Err(vec!["the report knows no such server".to_owned()]);
    };
    let mut faults = Vec::new();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut slowest = (0, "none");
    for (case, result) in cases {
        let word = |field: &str| result[field].as_str().unwrap_or("missing");
        let (behavior, close) = (word("behavior"), word("behaviorClose"));
        if !is_right(case, behavior, close) {
            faults.push(format!("{case}: {behavior}, closing: {close}"));
        }
        *counts.entry(behavior).or_default() += 1;
        slowest = slowest.max((result["duration"].as_u64().unwrap_or(0), case));
    }
    for (group, expected) in GROUPS {
        let is_of_group = |case: &&String| case.split('.').next() == Some(group);
        let count = cases.keys().filter(is_of_group).count();
        if count != expected {
            faults.push(format!("group {group}: {count} cases of {expected}"));
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let counts: Vec<String> =
        counts.iter().map(|(behavior, count)| format!("{count} {behavior}")).collect();
    let (slowest_ms, slowest) = slowest;
    let total = cases.len();
    Ok(format!(
        "{total} cases: {}; the slowest, {slowest}, took {slowest_ms} ms",
        counts.join(", ")
    ))
}

/// Whether a case may end so.
fn is_right(case: &str, behavior: &str, close: &str) -> bool {
    match (behavior, close) {
        ("OK", "OK") => true,
        ("NON-STRICT", "OK") => NON_STRICT.contains(&case),
        ("INFORMATIONAL", "OK" | "INFORMATIONAL") => INFORMATIONAL.contains(&case),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A report whose cases all ended well; the names within a group do not matter unless they are known.
    fn report() -> Value {
        let mut cases = serde_json::Map::new();
        for (group, count) in GROUPS {
            for case in 1..=count {
                let result = json!({"behavior": "OK", "behaviorClose": "OK", "duration": case});
                cases.insert(format!("{group}.0.{case}"), result);
            }
        }
        Value::Object(cases)
    }

    fn renamed(report: &mut Value, from: &str, to: &str, behavior: &str, close: &str) {
        let cases = report.as_object_mut().unwrap();
        cases.remove(from).unwrap();
        let result = json!({"behavior": behavior, "behaviorClose": close, "duration": 5, "remoteCloseCode": 1007});
        cases.insert(to.to_owned(), result);
    }

    #[test]
    fn a_report_in_which_all_is_well_passes() {
        let mut report = report();
        renamed(&mut report, "6.0.1", "6.4.3", "NON-STRICT", "OK");
        renamed(&mut report, "6.0.2", "6.4.4", "NON-STRICT", "OK");
        renamed(&mut report, "7.0.1", "7.13.1", "INFORMATIONAL", "INFORMATIONAL");
        let told = judge(&report).unwrap();
        assert_eq!(
            told,
            "301 cases: 1 INFORMATIONAL, 2 NON-STRICT, 298 OK; the slowest, 6.0.145, took 145 ms"
        );
    }

    #[test]
    fn each_end_that_is_not_allowed_is_named() {
        for (from, to, behavior, close) in [
            ("1.0.1", "1.1.1", "FAILED", "OK"),
            ("2.0.1", "2.3", "OK", "UNCLEAN"),
            ("2.0.2", "2.4", "OK", "FAILED"),
            ("7.0.1", "7.7.1", "OK", "WRONG CODE"),
            ("6.0.1", "6.4.1", "NON-STRICT", "OK"),
            ("6.0.1", "6.4.3", "NON-STRICT", "UNCLEAN"),
            ("9.0.1", "9.1.1", "NON-STRICT", "OK"),
            ("9.0.1", "9.1.1", "UNIMPLEMENTED", "OK"),
            ("7.0.1", "7.1.5", "INFORMATIONAL", "OK"),
            ("7.0.1", "7.1.6", "INFORMATIONAL", "UNCLEAN"),
        ] {
            let mut report = report();
            renamed(&mut report, from, to, behavior, close);
            let faults = judge(&report).unwrap_err();
            assert_eq!(faults, [format!("{to}: {behavior}, closing: {close}")]);
        }
    }

    #[test]
    fn a_case_that_was_not_run_and_a_result_without_words_are_faults() {
        let mut less = report();
        less.as_object_mut().unwrap().remove("9.0.54");
        assert_eq!(judge(&less).unwrap_err(), ["group 9: 53 cases of 54"]);
        let mut silent = report();
        silent["10.0.1"] = json!({});
        assert_eq!(judge(&silent).unwrap_err(), ["10.0.1: missing, closing: missing"]);
        assert_eq!(judge(&json!({})).unwrap_err().len(), GROUPS.len());
        assert_eq!(judge(&Value::Null).unwrap_err().len(), 1);
    }
}
