//! The report as a reader sees it: every figure in its place, at every usual width.

use super::*;
use crate::measure::{Hist, Part, SkewSample};
use crate::publish::Published;
use crate::result::{Environment, FailIf, Notes, Rules, judge};

fn hist(values: impl IntoIterator<Item = u64>) -> Hist {
    let mut hist = Hist::default();
    values.into_iter().for_each(|value| hist.record(value));
    hist
}

/// Ten thousand clients whose publisher was late once.
fn whole(change: impl FnOnce(&mut Part)) -> RunResult {
    let clients = Group { asked: 10_000, connected: 10_000, ..Group::default() };
    let mut part = Part { clients, ..Part::default() };
    let slow = Group { asked: 100, connected: 100, closed: 12, ..Group::default() };
    part.faulty.insert("slow".to_owned(), slow);
    (part.counts.expected, part.counts.delivered) = (6_000_000, 6_000_000);
    part.latency.scheduled = hist((0..20_000).map(|n| 1_000 + n + 200_000 * (n / 19_990)));
    part.latency.actual = hist((0..20_000).map(|n| 1_000 + n));
    part.connect = hist([400, 900, 70_000]);
    part.per_client = hist([600; 10]);
    part.effort.loop_delay = hist([100, 2_400]);
    let sample = SkewSample { first_us: 1, last_us: 38_001, clients: 10_000 };
    part.skew.insert("e/t#1".to_owned(), sample);
    part.effort.measured_s = 60.0;
    change(&mut part);
    let published =
        Published { due: 600, accepted: 600, delay: hist([11, 200_000]), ..Published::default() };
    let environment = Environment {
        scenario: "10k-firehose".to_owned(),
        url: "ws://127.0.0.1:9001/v1".to_owned(),
        host: "bench".to_owned(),
        cpu: "Example CPU @ 2.80GHz".to_owned(),
        kernel: "Linux 6.1.0".to_owned(),
        cores: 2,
        descriptors: 1_048_576,
        ..Environment::default()
    };
    let mut result = RunResult::new(environment, part, Some(published), &Notes::default());
    let rules: [FailIf; 1] = ["p99>2s".parse().unwrap()];
    judge(&mut result, &Rules { fail_if: &rules, ..Rules::default() });
    result
}

/// The words of each line, frames left out.
fn lines(text: &str) -> Vec<String> {
    let plain = |line: &str| line.replace(['│', '┆'], " ");
    let words = |line| plain(line).split_whitespace().collect::<Vec<_>>().join(" ");
    text.lines().map(words).collect()
}

/// The first one that begins with this.
fn line(text: &str, begin: &str) -> String {
    let mut lines = lines(text).into_iter();
    lines.find(|line| line.starts_with(begin)).unwrap_or_else(|| panic!("{begin} in\n{text}"))
}

#[test]
fn a_result_is_one_screen_at_any_usual_width() {
    let result = whole(|part| part.latency.scheduled.record_n(99_900, 9_979_999));
    for width in [WIDTH_MIN, 90, WIDTH_MAX] {
        let text = at_width(width, &result, Some(&result), false);
        let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= usize::from(width), "{widest} of {width}\n{text}");
        assert!(text.lines().count() <= 60, "{} lines\n{text}", text.lines().count());
        assert!(text.starts_with("10k-firehose · ws://127.0.0.1:9001/v1 · "), "{text}");
        assert_eq!(text.lines().last(), Some("result  ok"));
        let figures = "99.9 ms 99.9 ms 99.9 ms 99.9 ms 99.9 ms 221 ms 9,999,999";
        assert_eq!(line(&text, "scheduled"), format!("scheduled {figures}"));
        assert!(!text.contains('\u{1b}'), "colours without a terminal");
    }
}

#[test]
fn latency_stands_beside_what_the_actual_times_hide() {
    let text = at_width(WIDTH_MAX, &whole(|_| ()), None, false);
    for expected in [
        "scheduled 11.0 ms 19.0 ms 20.8 ms 21.0 ms 221 ms 221 ms 20,000",
        "actual 11.0 ms 19.0 ms 20.8 ms 21.0 ms 21.0 ms 21.0 ms 20,000",
        "sent late 11 us 200 ms 200 ms - - 200 ms 2",
        "difference 0 us 0 us 0 us 0 us 200 ms 200 ms",
    ] {
        assert_eq!(line(&text, expected.split_once(' ').unwrap().0), expected);
    }
    assert!(line(&text, "limited by the load generator").contains("no claim"), "{text}");
    assert_eq!(line(&text, "events were sent"), "events were sent up to 200 ms late (p99)");
}

#[test]
fn the_figures_stand_where_a_reader_looks_for_them() {
    let text = at_width(WIDTH_MAX, &whole(|_| ()), None, false);
    for expected in [
        "clients 10000 asked, 10000 connected",
        "slow 100 asked, 100 connected, 12 closed",
        "events 600 published, 6,000,000 deliveries of 6,000,000 due: 0 lost,",
        "per client 600 to 600 deliveries, median 600; fairness 1.0000",
        "connecting p50 900 us, p99 70.0 ms, max 70.0 ms",
        "last less first client p50 38.0 ms, p99 38.0 ms, max 38.0 ms of 1 events",
        "not p99>2s 20.8 ms pass",
    ] {
        assert!(lines(&text).iter().any(|line| line.starts_with(expected)), "{expected}\n{text}");
    }
}

#[test]
fn what_was_not_measured_is_left_out() {
    let notes = Notes { latency_note: Some("two clocks".to_owned()), ..Notes::default() };
    let mut empty = RunResult::new(Environment::default(), Part::default(), None, &notes);
    judge(&mut empty, &Rules::default());
    let text = at_width(WIDTH_MAX, &empty, None, false);
    for absent in
        ["scheduled", "rates", "CPU", "connecting", "fairness", "last less", "published", "limited"]
    {
        assert!(!text.contains(absent), "{absent}\n{text}");
    }
    assert_eq!(line(&text, "no latency"), "no latency: two clocks");
    assert_eq!(text.lines().last(), Some("result  cannot connect"));
}

#[test]
fn the_last_line_says_how_it_ended() {
    for (exit_code, interrupted, words) in [
        (0, false, "ok"),
        (0, true, "interrupted; ok so far"),
        (69, false, "cannot connect"),
        (69, true, "interrupted; cannot connect"),
        (99, false, "check failed"),
        (99, true, "interrupted; check failed"),
    ] {
        let mut result = whole(|_| ());
        (result.verdict.exit_code, result.verdict.interrupted) = (exit_code, interrupted);
        let text = at_width(WIDTH_MAX, &result, None, false);
        assert_eq!(text.lines().last(), Some(format!("result  {words}").as_str()));
    }
}

#[test]
fn the_baseline_stands_beside_the_run_with_what_else_differs() {
    let old = whole(|part| part.latency.scheduled = hist([10_000]));
    let mut new = whole(|part| part.latency.scheduled = hist([15_000]));
    new.environment.kernel = "Linux 6.2.0".to_owned();
    let text = at_width(WIDTH_MIN, &new, Some(&old), false);
    assert_eq!(line(&text, "latency p50 10"), "latency p50 10.0 ms 15.0 ms +50.0 %");
    let difference = "not as in the baseline: kernel: \"Linux 6.1.0\" then, \"Linux 6.2.0\" now";
    assert_eq!(line(&text, "not as in"), difference);
}

#[test]
fn nothing_from_outside_reaches_the_terminal_as_a_command() {
    let evil = "\u{1b}[2J\u{7}\r";
    let mut result = whole(|part| {
        part.faults.push(format!("client 1: {evil} 3..4 did not come"));
        part.clients.failure_reasons.insert(evil.to_owned(), 1);
    });
    result.environment.url = evil.to_owned();
    result.latency_note = Some(evil.to_owned());
    result.generator.limits.push(evil.to_owned());
    result.verdict.checks[0].value = evil.to_owned();
    result.verdict.checks[1].name = evil.to_owned();
    let text = at_width(WIDTH_MAX, &result, None, false);
    let bad = text.chars().find(|c| c.is_control() && *c != '\n');
    assert_eq!(bad, None, "{text:?}");
    assert_eq!(
        line(&text, "fault"),
        "fault client 1: \u{fffd}[2J\u{fffd}\u{fffd} 3..4 did not come"
    );
}
