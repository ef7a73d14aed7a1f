//! Rules out of text: what is wrong is named with the file, the rule, the key, the value and what is allowed; any text
//! gives rules or an error.

use super::fields::{INTERVALS, KINDS};
use super::rules::{Direction, Measure, RULES_MAX, Rules, Test, Threshold};
use crate::event::Severity;
use proptest::prelude::*;

/// A rule without `key`, and with the line `instead`.
fn rule(key: &str, instead: &str) -> String {
    let lines = [
        ("name", "name = \"low\""),
        ("severity", "severity = \"info\""),
        ("subject", "subject = \"agent:*\""),
        ("field", "field = \"win_rate\""),
        ("is", "is = \"below\""),
        ("threshold", "threshold = 0.5"),
    ];
    let kept = lines.iter().filter(|(name, _)| *name != key).map(|(_, line)| *line);
    let lines: Vec<&str> = ["[[rule]]"].into_iter().chain(kept).chain([instead]).collect();
    lines.join("\n")
}

fn refusal(text: &str) -> String {
    Rules::parse(text, "my.toml").expect_err(text).to_string()
}

#[test]
fn s24_the_defaults_are_the_rules_of_the_product_and_the_literal_one_is_a_comment() {
    let rules = Rules::defaults();
    let names: Vec<&str> = rules.names().collect();
    for name in [
        "agent_capital_low",
        "agent_win_rate_low",
        "cache_hit_rate_low",
        "no_active_connections",
        "api_errors_high",
        "http_errors_high",
        "store_disk_low",
    ] {
        assert!(names.contains(&name), "{name} is not one of {names:?}");
    }
    let literal = "# threshold = 50_000";
    assert!(super::default_rules::TEXT.contains(literal));
    assert!(!names.contains(&"agent_capital_below_50k"));
    let patterns = rules.topics();
    let topics: Vec<&str> = patterns.iter().map(crate::event::Pattern::as_str).collect();
    assert_eq!(topics, ["agent:*", "indicator:*", "market:*"]);
}

#[test]
fn s54_a_rule_says_what_its_lines_say() {
    let text = "[[rule]]\nname = \"x_1\"\nseverity = \"critical\"\nsubject = \"indicator:BTC-USD\"\ninterval = \"10s\"\n\
                field = \"sma_20\"\nkind = \"crossing\"\nis = \"above\"\nthreshold = \"ema_20\"\nhysteresis = 1.5\n\
                for = \"500ms\"\nresolve_for = \"2m\"\nonly_if = { field = \"vwap\", at_least = 3 }";
    let rule = Rules::parse(text, "my.toml").unwrap().0.remove(0);
    assert_eq!((&*rule.name, rule.severity), ("x_1", Severity::Critical));
    assert_eq!((rule.subject.as_str(), rule.interval), ("indicator:BTC-USD", Some("10s")));
    assert_eq!((rule.field, rule.test, rule.is), (0, Test::Crossing, Direction::Above));
    assert_eq!((rule.threshold, rule.hysteresis), (Threshold::Field(1), 1.5));
    assert_eq!((rule.waits.for_us, rule.waits.resolve_for_us), (500_000, 120_000_000));
    assert_eq!((rule.waits.must_cross, rule.only_if), (true, Some((4, 3.0))));
    let rate = "kind = \"rate\"\nwindow = \"1h\"\nchange = \"per_second\"\nthreshold = 7";
    let rule = Rules::parse(&self::rule("threshold", rate), "my.toml").unwrap().0.remove(0);
    let test = Test::Rate { window_us: 3_600_000_000, change: Measure::PerSecond };
    assert_eq!((rule.test, rule.threshold), (test, Threshold::Number(7.0)));
}

#[test]
fn no_rules_are_rules() {
    assert_eq!(Rules::parse("# none", "my.toml").unwrap(), Rules::none());
}

#[test]
fn what_is_wrong_is_told_with_file_rule_key_value_and_what_is_allowed() {
    let fields = "one of capital, capital_ratio, trades, win_rate, scars, resting";
    let number = "a number from -1000000000000000.0 to 1000000000000000.0";
    let wait = "a time from 0s to 24h with its unit, such as \"500ms\" or \"2m\"";
    // In which line a rule has the key is another test's business.
    let refused = |line: &str, allowed: &str| {
        format!("my.toml: rule 1 (\"low\"): {line} is not allowed; allowed: {allowed}")
    };
    let refusal = |text: &str| without_line(&refusal(text));
    for (key, line, allowed) in [
        ("severity", "severity = \"bad\"", "one of info, warning, critical"),
        ("severity", "severity = 1", "one of info, warning, critical"),
        ("field", "field = \"rsi_14\"", fields),
        ("is", "is = \"under\"", "one of above, below"),
        ("kind", "kind = \"level\"", "one of threshold, crossing, rate"),
        ("threshold", "threshold = nan", number),
        ("threshold", "threshold = inf", number),
        ("threshold", "threshold = 1000000000000001", number),
        ("threshold", "threshold = true", number),
        ("threshold", "threshold = \"rsi_14\"", fields),
        ("hysteresis", "hysteresis = -0.1", "a number from 0.0 to 1000000000000000.0"),
        ("for", "for = 30", wait),
        ("for", "for = \"30\"", wait),
        ("for", "for = \"+3s\"", wait),
        ("for", "for = \"25h\"", wait),
        ("for", "for = \"99999999999999999999s\"", wait),
        ("resolve_for", "resolve_for = \"1d\"", wait),
        ("only_if", "only_if = \"trades\"", "{ field = \"…\", at_least = … }"),
    ] {
        assert_eq!(refusal(&rule(key, line)), refused(line, allowed));
    }
    let subjects = "agent:<name> or agent:*, market:<name> or market:*, indicator:<name> or indicator:*, engine";
    for line in [
        "subject = \"*\"",
        "subject = \"trade:x\"",
        "subject = \"agent:\"",
        "subject = \"agent:a b\"",
        "subject = \"indicator:BTC-USD:1m\"",
        "subject = \"indicator:BTC-USD:*\"",
    ] {
        assert_eq!(refusal(&rule("subject", line)), refused(line, subjects));
    }
    let other = |number: &str, message: &str| format!("my.toml: rule {number}: {message}");
    for (key, allowed) in [("field", "a field of the subject"), ("is", "one of above, below")] {
        let message = format!("{key} is missing; allowed: {allowed}");
        assert_eq!(refusal(&rule(key, "")), other("1 (\"low\")", &message));
    }
    for line in ["name = \"\"", "name = \"A\"", "name = 7"] {
        let message = format!("{line} is not allowed; allowed: 1 to 64 of a-z, 0-9 and _");
        assert!(refusal(&rule("name", line)).ends_with(&message), "{line}");
    }
}

/// A message without the words on the line.
fn without_line(message: &str) -> String {
    let (before, after) = message.split_once(": line ").expect("a line is named");
    let (line, rest) = after.split_once(": ").expect("a line is named");
    assert!(line.parse::<usize>().is_ok_and(|line| line > 0), "{message}");
    format!("{before}: {rest}")
}

#[test]
fn the_line_of_a_wrong_key_is_told_and_of_a_missing_one_that_of_its_rule() {
    let good = rule("", "");
    let lines = good.lines().count();
    let wrong = format!("# é\n{good}\n\n{}", rule("name", "name = \"two\"\nhysteresis = -1"));
    let at = wrong.lines().position(|line| line == "hysteresis = -1").expect("it is there") + 1;
    assert!(at > lines + 2);
    assert!(
        refusal(&wrong).starts_with(&format!("my.toml: line {at}: rule 2 (\"two\"): hysteresis"))
    );
    let missing = format!("{good}\n\n{}", rule("field", "").replace("\"low\"", "\"two\""));
    let at = missing.lines().skip(1).position(|line| line == "[[rule]]").expect("a second one") + 2;
    assert!(refusal(&missing).starts_with(&format!("my.toml: line {at}: rule 2 (\"two\"): field")));
    let inline = "rule = [\n { name = \"a\",\n  severity = 7 }]";
    assert!(refusal(inline).starts_with("my.toml: line 3: rule 1 (\"a\"): severity = 7"));
    let condition = rule("only_if", "only_if = { field = \"x\", at_least = 1 }");
    let at = condition.lines().position(|line| line.starts_with("only_if")).expect("there") + 1;
    assert!(
        refusal(&condition).starts_with(&format!("my.toml: line {at}: ")),
        "{}",
        refusal(&condition)
    );
    assert!(refusal("[[rule]]\nname = ?").contains("line 2"));
}

#[test]
fn a_key_without_a_place_is_told_with_why() {
    let message = |lines: &str| refusal(&rule("", lines));
    assert!(
        message("window = \"1m\"")
            .ends_with("window = \"1m\" has no place here: only a rule of kind \"rate\" has one")
    );
    assert!(
        message("interval = \"1m\"")
            .ends_with("interval = \"1m\" has no place here: the subject has no intervals")
    );
    assert!(
        message("summary = \"?\"")
            .contains("summary = \"?\" is no key of a rule; those are name, severity")
    );
    assert!(
        message("kind = \"rate\"\nchange = \"relative\"")
            .contains("window is missing; allowed: a time from 1s to 1h")
    );
    let rate = "kind = \"rate\"\nwindow = \"1m\"\nchange = \"relative\"\nthreshold = \"scars\"";
    assert!(
        refusal(&rule("threshold", rate))
            .ends_with("allowed: a number, as it has to be for a rate")
    );
    let indicator = rule("subject", "subject = \"indicator:*\"");
    assert!(refusal(&indicator).contains("interval is missing; allowed: one of 1s, 10s, 1m"));
    let twice = format!("{0}\n{0}", rule("", ""));
    assert_eq!(
        without_line(&refusal(&twice)),
        "my.toml: rule 2 (\"low\"): name = \"low\" is taken by an earlier rule"
    );
    assert_eq!(
        refusal("\nrules = 1"),
        "my.toml: line 2: unknown key `rules`; each rule begins with [[rule]]"
    );
    assert_eq!(refusal("rule = 1"), "my.toml: rule = 1 is not a list; write [[rule]]");
    assert_eq!(refusal("rule = [1]"), "my.toml: rule 1 = 1 is not a table");
    assert!(refusal("[[rule]").starts_with("my.toml: "));
}

#[test]
fn every_limit_is_allowed_and_one_more_is_not() {
    let is_taken = |lines: &str| Rules::parse(&rule("", lines), "my.toml").is_ok();
    let rate = |window: &str| {
        is_taken(&format!("kind = \"rate\"\nchange = \"relative\"\nwindow = \"{window}\""))
    };
    assert_eq!(["999ms", "1000ms", "1001ms"].map(rate), [false, true, true]);
    assert_eq!(["3599s", "60m", "3601s"].map(rate), [true, true, false]);
    let wait = |wait: &str| is_taken(&format!("for = \"{wait}\""));
    assert_eq!(["86399s", "24h", "86401s"].map(wait), [true, true, false]);
    let name = |bytes: usize| {
        Rules::parse(&rule("name", &format!("name = \"{}\"", "a".repeat(bytes))), "").is_ok()
    };
    assert_eq!([1, 63, 64, 65].map(name), [true, true, true, false]);
    let rules = |count: usize| {
        let each = (0..count).map(|at| rule("name", &format!("name = \"r{at}\"")));
        Rules::parse(&each.collect::<Vec<_>>().join("\n"), "").is_ok()
    };
    assert_eq!([RULES_MAX - 1, RULES_MAX, RULES_MAX + 1].map(rules), [true, true, false]);
}

/// A line of a rule, right or wrong.
fn line() -> impl Strategy<Value = String> {
    let key = prop::sample::select(vec![
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
        "other",
    ]);
    let word = prop::sample::select(vec![
        "\"a\"",
        "\"info\"",
        "\"agent:*\"",
        "\"engine\"",
        "\"indicator:X\"",
        "\"win_rate\"",
        "\"rsi_14\"",
        "\"1m\"",
        "\"rate\"",
        "\"crossing\"",
        "\"relative\"",
        "\"above\"",
        "1",
        "-1",
        "0.5",
        "nan",
        "-inf",
        "true",
        "[]",
        "\"0s\"",
        "{ field = \"trades\", at_least = 1 }",
        "{ field = 1, at_least = \"\" }",
        "1979-05-27",
        "\"18446744073709551615h\"",
    ]);
    (key, word).prop_map(|(key, value)| format!("{key} = {value}"))
}

/// A rule with nothing wrong, and how many fields its kind has.
fn good() -> impl Strategy<Value = String> {
    let fields = (0..KINDS.len(), any::<prop::sample::Index>(), any::<prop::sample::Index>());
    (fields, 0..3_usize, any::<bool>(), -1e15..1e15, 0.0..1e15, 0_u64..=86_400, 1_u64..=3_600).prop_map(
        |((kind, field, interval), test, is_above, threshold, hysteresis, wait, window)| {
            let kind = &KINDS[kind];
            let subject = kind.prefix.strip_suffix(':').map_or(kind.prefix.to_owned(), |stem| format!("{stem}:*"));
            let is = if is_above { "above" } else { "below" };
            let mut text = format!(
                "[[rule]]\nname = \"x\"\nseverity = \"info\"\nsubject = \"{subject}\"\nfield = \"{}\"\nis = \"{is}\"\n\
                 threshold = {threshold:?}\nhysteresis = {hysteresis:?}\nfor = \"{wait}s\"\nkind = \"{}\"\n",
                field.get(kind.fields),
                ["threshold", "crossing", "rate"][test],
            );
            if kind.has_intervals {
                text += &format!("interval = \"{}\"\n", interval.get(&INTERVALS));
            }
            if test == 2 {
                text += &format!("window = \"{window}s\"\nchange = \"per_second\"\n");
            }
            text
        },
    )
}

proptest! {
    #[test]
    fn any_text_gives_rules_or_an_error_that_names_the_file(text in "\\PC{0,200}") {
        if let Err(error) = Rules::parse(&text, "my.toml") {
            prop_assert!(error.to_string().starts_with("my.toml: "), "{error}");
        }
    }

    #[test]
    fn any_lines_of_a_rule_give_a_rule_or_an_error_that_names_it(lines in prop::collection::hash_set(line(), 0..12)) {
        let text = format!("[[rule]]\n{}", lines.into_iter().collect::<Vec<_>>().join("\n"));
        if let Err(error) = Rules::parse(&text, "my.toml") {
            prop_assert!(error.to_string().starts_with("my.toml: "), "{error}");
        }
    }

    #[test]
    fn a_rule_with_nothing_wrong_is_taken(text in good()) {
        let rules = Rules::parse(&text, "my.toml");
        prop_assert!(rules.is_ok(), "{rules:?} of\n{text}");
    }
}
