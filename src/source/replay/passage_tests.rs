//! Parts of a recording: where they begin, how they repeat, which times they keep. Made-up journals in files.

use super::passage::{Frames, Input, PacedBy, Passage, Repeats, Start};
use super::report::ReplayReport;
use crate::event::{Body, Topics};
use std::path::PathBuf;

/// A journal of five events at positions 10 to 50: published 2 s apart from 100 s on, received 1 s apart from 500 s on.
fn journal(test: &str) -> PathBuf {
    let line = |n: u64| {
        let (received_ns, us) = ((499 + n) * 1_000_000_000, (98 + 2 * n) * 1_000_000);
        let pos = n * 10;
        format!(
            r#"{received_ns} {{"type":"x","topic":"x:y","seq":{n},"pos":{pos},"us":{us},"payload":{n},"timestamp":{}}}"#,
            us / 1_000
        ) + "\n"
    };
    let path = std::env::temp_dir().join(format!("lineage-{test}-{}.jsonl", std::process::id()));
    std::fs::write(&path, (1..=5).map(line).collect::<String>()).expect("written");
    path
}

/// Payload, publish time and pace of the first events, in seconds.
fn replayed(test: &str, passage: Passage, count: usize) -> Vec<(String, f64, f64)> {
    let path = journal(test);
    let (topics, report) = (Topics::new(), ReplayReport::new());
    let frames =
        Frames::new(Input::open(&path, None).expect("a journal"), passage, &topics, &report);
    let read = frames.take(count).map(|prepared| {
        let prepared = prepared.expect("no error");
        let Body::Recorded { us, payload } = prepared.event.body else { panic!("not recorded") };
        let payload = String::from_utf8(payload.bytes().to_vec()).expect("text");
        (payload, us as f64 / 1e6, prepared.received_ns as f64 / 1e9)
    });
    let read = read.collect();
    let _ = std::fs::remove_file(path);
    assert_eq!(report.bad_lines(), 0);
    read
}

fn row(payload: u32, us: f64, pace: f64) -> (String, f64, f64) {
    (payload.to_string(), us, pace)
}

#[test]
fn the_pace_follows_the_publish_times_unless_the_receive_times_are_asked_for() {
    for (name, paced_by, pace) in [
        ("by-publish", PacedBy::PublishTime, [100.0, 102.0, 104.0]),
        ("by-receive", PacedBy::ReceiveTime, [500.0, 501.0, 502.0]),
    ] {
        let rows = replayed(name, Passage { paced_by, ..Passage::default() }, 3);
        let expected = [row(1, 100.0, pace[0]), row(2, 102.0, pace[1]), row(3, 104.0, pace[2])];
        assert_eq!(rows, expected, "{paced_by:?}");
    }
}

#[test]
fn a_passage_begins_with_the_first_event_that_its_start_names() {
    for (case, (start, first)) in [
        (Start::default(), Some("1")),
        (Start::Position(20), Some("2")),
        (Start::Position(21), Some("3")),
        (Start::Position(51), None),
        (Start::AfterUs(0), Some("1")),
        (Start::AfterUs(2_000_000), Some("2")),
        (Start::AfterUs(2_000_001), Some("3")),
        (Start::AtUs(108_000_000), Some("5")),
        (Start::AtUs(108_000_001), None),
    ]
    .into_iter()
    .enumerate()
    {
        let rows = replayed(&format!("start-{case}"), Passage { start, ..Passage::default() }, 9);
        assert_eq!(rows.first().map(|row| &*row.0), first, "{start:?}");
        assert!(rows.is_empty() || rows.last().is_some_and(|row| row.0 == "5"), "{rows:?}");
    }
}

#[test]
fn a_repeated_passage_goes_on_in_time_where_it_ended() {
    let passage = Passage {
        start: Start::Position(40),
        repeats: Repeats::Forever,
        paced_by: PacedBy::PublishTime,
    };
    // Two events 2 s apart, and a pause of a millisecond.
    let expected = [
        row(4, 106.0, 106.0),
        row(5, 108.0, 108.0),
        row(4, 108.001, 108.001),
        row(5, 110.001, 110.001),
        row(4, 110.002, 110.002),
    ];
    assert_eq!(replayed("repeat", passage, 5), expected);
}

#[test]
fn a_passage_is_repeated_as_often_as_was_asked_for() {
    for times in 1..=3 {
        let passage = Passage {
            start: Start::Position(40),
            repeats: Repeats::Times(times),
            ..Passage::default()
        };
        let rows = replayed(&format!("times-{times}"), passage, 99);
        assert_eq!(rows.len() as u64, 2 * times);
    }
}

#[test]
fn a_passage_without_events_ends_even_if_it_is_to_repeat() {
    let passage = Passage {
        start: Start::Position(51),
        repeats: Repeats::Forever,
        paced_by: PacedBy::PublishTime,
    };
    assert_eq!(replayed("nothing", passage, 1), []);
}

#[test]
fn a_start_is_a_position_a_span_or_a_time() {
    for (text, start) in [
        ("0", Start::Position(0)),
        ("81234", Start::Position(81_234)),
        ("+90s", Start::AfterUs(90_000_000)),
        ("+250us", Start::AfterUs(250)),
        ("+1500ms", Start::AfterUs(1_500_000)),
        ("+2m", Start::AfterUs(120_000_000)),
        ("+1h", Start::AfterUs(3_600_000_000)),
        ("@1723161254", Start::AtUs(1_723_161_254_000_000)),
        ("@1723161254.5", Start::AtUs(1_723_161_254_500_000)),
        ("@0.000001", Start::AtUs(1)),
    ] {
        assert_eq!(text.parse(), Ok(start), "{text}");
        assert_eq!(start.to_string().parse(), Ok(start), "shown so that it can be read");
    }
    let wrong = ["", "+", "-1", "+90", "90s", "+-1s", "@", "@1.", "@.5", "@1.0000001", "1e3"];
    for text in wrong {
        let message = text.parse::<Start>().unwrap_err().to_string();
        assert!(message.contains(&format!("{text:?}")) && message.contains("+90s"), "{message}");
    }
}
