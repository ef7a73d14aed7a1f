//! A recording of good lines with every kind of bad one between them, through the replay and the normaliser.

use std::fs;
use std::path::Path;

use lineage::feeds::{Normaliser, Options, Reason};
use lineage::source::replay::{BadReason, Entry, Recording};

use super::{Frame, read};

const GOOD: &str = r#"{"stream":"btcusdt@trade","data":{"e":"trade","t":7,"p":"100.5","q":"2","T":1000,"m":false}}"#;

/// What is wrong with a line: the replay finds it, or else the normaliser.
type Fault = Result<BadReason, Reason>;

/// Lines of a recording, and what is wrong with each.
fn hostile() -> Vec<(Vec<u8>, Option<Fault>)> {
    let with = |from: &str, to: &str| {
        assert!(GOOD.contains(from));
        format!("9 {}", GOOD.replacen(from, to, 1)).into_bytes()
    };
    let line = |frame: &str| format!("9 {frame}").into_bytes();
    let deep = format!("{}{}", "[".repeat(2_000), "]".repeat(2_000));
    let at_fault = |bad: BadReason| Some(Fault::Ok(bad));
    let refused = |reason: Reason| Some(Fault::Err(reason));
    vec![
        (line(&GOOD[..GOOD.len() - 1]), at_fault(BadReason::NotJson)),
        (line(&GOOD[..30]), at_fault(BadReason::NotJson)),
        (with("\"2\"", "NaN"), at_fault(BadReason::NotJson)),
        (with("\"2\"", "\"NaN\""), refused(Reason::Number)),
        (with("\"2\"", "\"-2\""), refused(Reason::Sign)),
        (with("\"2\"", "-2"), refused(Reason::Sign)),
        (with("\"100.5\"", "\"-1\""), refused(Reason::Sign)),
        (with("\"2\"", "\"99999999999999999999999999999999999\""), refused(Reason::Number)),
        (with("\"2\"", "\"1e308\""), refused(Reason::Number)),
        (with("1000", "18446744073709551615"), refused(Reason::Time)),
        // The replay's parser takes no whole number beyond 64 bits.
        (with("\"t\":7", "\"t\":18446744073709551616"), at_fault(BadReason::NotJson)),
        (with("\"t\":7", "\"t\":-7"), refused(Reason::Number)),
        (
            b"9 {\"stream\":\"btcusdt@trade\",\"data\":\"\xff\xfe\"}".to_vec(),
            at_fault(BadReason::NotJson),
        ),
        (format!("\u{feff}9 {GOOD}").into(), at_fault(BadReason::NoStamp)),
        (format!("9 \u{feff}{GOOD}").into(), at_fault(BadReason::NotJson)),
        (format!("9 {GOOD}\r").into(), None),
        (with("\"2\"", &deep), at_fault(BadReason::NotJson)),
        (line(&deep), at_fault(BadReason::NotJson)),
        (with("\"2\"", &format!("\"{}\"", "2".repeat(2 << 20))), at_fault(BadReason::TooLong)),
        (with("\"p\"", "\"x\""), refused(Reason::Shape)),
        (format!("1 {GOOD}").into(), None),
        (b"".to_vec(), at_fault(BadReason::NoStamp)),
    ]
}

#[test]
fn hostile_lines_are_counted_by_reason_and_the_next_line_is_delivered() {
    let lines = hostile();
    // A good line after each, later and later; the last line has no end.
    let mut text = Vec::new();
    for (at, (line, _)) in lines.iter().enumerate() {
        text.extend_from_slice(line);
        text.extend_from_slice(format!("\n{} {}\n", 1_000 + at, GOOD).as_bytes());
    }
    text.extend_from_slice(&format!("5 {GOOD}").into_bytes());
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("feeds-hostile.jsonl");
    fs::write(&path, text).unwrap();

    let mut recording = Recording::open(&path, None).unwrap();
    let mut normaliser = Normaliser::new(Options::default());
    let mut found = Vec::new();
    while let Some(entry) = recording.next_entry().unwrap() {
        match entry {
            Entry::Bad(bad) => found.push(Some(Ok(bad.reason))),
            Entry::Frame(frame) => {
                let before = Reason::ALL.map(|reason| normaliser.counts().refused(reason));
                let frame = Frame {
                    received_us: frame.received_ns / 1_000,
                    topic: frame.topic.to_owned(),
                    payload: frame.payload.bytes().to_vec(),
                };
                let items = read(&mut normaliser, &frame);
                let after = Reason::ALL.map(|reason| normaliser.counts().refused(reason));
                let at = (0..before.len()).find(|&at| before[at] != after[at]);
                assert_eq!(items.len(), usize::from(at.is_none()), "{}", frame.topic);
                found.push(at.map(|at| Err(Reason::ALL[at])));
            }
        }
    }
    let expected: Vec<_> =
        lines.into_iter().flat_map(|(_, fault)| [fault, None]).chain([None]).collect();
    assert_eq!(found, expected);
}
