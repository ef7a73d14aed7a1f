//! A recording of good lines with every kind of bad one between them, through the replay and the normaliser.

use std::fs;
use std::path::Path;

use lineage::feeds::{Normaliser, Options, Reason};
use lineage::source::replay::{Entry, Recording};

use super::faults::{GOOD, hostile};
use super::{Frame, read};

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
