//! Recordings read from files: every frame arrives unchanged, under its topic, whatever stands between.
//!
//! Made-up recordings with every trap that real ones hold, and the real ones where they are present (in
//! `../shared/data`, or where `LINEAGE_DATA` says), judged by counts that a separate program computed.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test fails by panicking, and says on stderr what it could not test"
)]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use flate2::Compression;
use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;
use lineage::event::Class;
use lineage::source::replay::{BadReason, Entry, FRAME_BYTES_MAX, Feed, Recording, ReplayError};

#[path = "support/binance.rs"]
mod binance;

/// What a recording holds, read to its end.
#[derive(Debug, Default)]
struct Read {
    /// Receive time, topic, payload.
    frames: Vec<(u64, String, Vec<u8>)>,
    bad: Vec<(u64, BadReason)>,
}

impl Read {
    fn per_topic(&self) -> BTreeMap<&str, u64> {
        let mut counts = BTreeMap::new();
        for (_, topic, _) in &self.frames {
            *counts.entry(topic.as_str()).or_default() += 1;
        }
        counts
    }
}

fn read(path: &Path, feed: Option<Feed>) -> Result<Read, ReplayError> {
    let mut recording = Recording::open(path, feed)?;
    let mut read = Read::default();
    while let Some(entry) = recording.next_entry()? {
        match entry {
            Entry::Frame(frame) => {
                let is_quote = frame.topic.contains(":quote:");
                assert_eq!(
                    frame.class == Class::State,
                    is_quote,
                    "only of quotes the last value is enough"
                );
                read.frames.push((
                    frame.received_ns,
                    frame.topic.to_owned(),
                    frame.payload.bytes().to_vec(),
                ));
            }
            Entry::Bad(bad) => read.bad.push((bad.number, bad.reason)),
        }
    }
    Ok(read)
}

/// Writes a file of this test's own.
fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, bytes).unwrap();
    path
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn every_frame_of_a_made_up_recording_arrives_unchanged_under_its_topic() {
    for seed in 1..=5 {
        let made = binance::recording(seed, "btcusdt", 3_000);
        // Plain under a gzip name, and in two gzip members under a plain one: the bytes decide.
        let text = made.text();
        let (first, second) = text.split_at(text.len() / 3);
        let plain = file(&format!("made-{seed}.gz"), &text);
        let packed = file(&format!("made-{seed}.jsonl"), &[gzip(first), gzip(second)].concat());
        for path in [plain, packed] {
            let read = read(&path, None).unwrap();
            assert_eq!(read.bad, [], "seed {seed}");
            assert_eq!(read.frames.len(), made.lines.len(), "seed {seed}");
            for ((at_ns, frame), (read_ns, _, payload)) in made.lines.iter().zip(&read.frames) {
                assert_eq!((at_ns, frame.as_bytes()), (read_ns, payload.as_slice()), "seed {seed}");
            }
            let counts = made.counts;
            let expected = [
                ("binance:depth:BTCUSDT", counts.depth),
                ("binance:quote:BTCUSDT", counts.quote),
                ("binance:snapshot:BTCUSDT", counts.snapshot),
                ("binance:trade:BTCUSDT", counts.trade),
            ];
            assert_eq!(read.per_topic(), BTreeMap::from(expected), "seed {seed}");
        }
    }
}

const GOOD: &str = r#"{"stream":"btcusdt@trade","data":{"p":"1.00000000"}}"#;

/// A frame of just the limit.
fn longest() -> String {
    let longest =
        format!(r#"{{"stream":"btcusdt@trade","data":"{}"}}"#, "x".repeat(FRAME_BYTES_MAX - 36));
    assert_eq!(longest.len(), FRAME_BYTES_MAX);
    longest
}

/// Lines, and what is wrong with each.
fn traps() -> Vec<(Vec<u8>, Option<BadReason>)> {
    let longest = longest();
    let too_long = longest.replace("\"}", "x\"}");
    let far_too_long = "y".repeat(3 * FRAME_BYTES_MAX);
    let (no_stamp, not_json, long) = (BadReason::NoStamp, BadReason::NotJson, BadReason::TooLong);
    vec![
        (format!("1 {GOOD}").into(), None),
        (GOOD.into(), Some(no_stamp.clone())),
        (b"".into(), Some(no_stamp.clone())),
        (format!(" {GOOD}").into(), Some(no_stamp.clone())),
        (format!("12345\t{GOOD}").into(), Some(no_stamp.clone())),
        (format!("-5 {GOOD}").into(), Some(no_stamp.clone())),
        (format!("+5 {GOOD}").into(), Some(no_stamp.clone())),
        (format!("1723161254.5: {GOOD}").into(), Some(no_stamp.clone())),
        (format!("18446744073709551615 {GOOD}").into(), None),
        (format!("18446744073709551616 {GOOD}").into(), Some(no_stamp.clone())),
        (b"12345".into(), Some(no_stamp)),
        (b"12345 ".into(), Some(not_json.clone())),
        (format!("3 {}", &GOOD[..20]).into(), Some(not_json.clone())),
        (format!("4 {GOOD}{GOOD}").into(), Some(not_json.clone())),
        (b"5 {\"stream\":\"btcusdt@trade\",\"data\":\"\xff\"}".into(), Some(not_json.clone())),
        (b"6 {\"stream\":\"btcusdt@trade\",\"data\":\"\x00\"}".into(), Some(not_json.clone())),
        (format!("7 {longest}").into(), None),
        (format!("8 {too_long}").into(), Some(long.clone())),
        (format!("9 {far_too_long}").into(), Some(long)),
        (far_too_long.clone().into(), Some(BadReason::TooLong)),
        (format!("2 {GOOD}").into(), None),
        (format!("10 {GOOD}\r").into(), None),
        (b"11 {\"stream\":\"btcusdt@trade\",\r\"data\":{}}".into(), None),
        (b"12 {\"result\":null,\"id\":1}".into(), None),
        (b"13 [\"btcusdt@trade\"]".into(), None),
        (b"14 {\"stream\":\"btcusdt@tr".into(), Some(not_json)),
    ]
}

#[test]
fn every_trap_is_counted_and_nothing_else_is_lost() {
    let (cases, longest) = (traps(), longest());
    let lines: Vec<&[u8]> = cases.iter().map(|(line, _)| line.as_slice()).collect();
    let read = read(&file("traps.jsonl", &lines.join(&b'\n')), None).unwrap();

    let expected: Vec<(u64, BadReason)> =
        (1..).zip(&cases).filter_map(|(number, (_, bad))| Some((number, bad.clone()?))).collect();
    assert_eq!(read.bad, expected);
    let times: Vec<u64> = read.frames.iter().map(|(at_ns, _, _)| *at_ns).collect();
    assert_eq!(times, [1, u64::MAX, 7, 2, 10, 11, 12, 13], "in file order, backwards or not");
    let trades = ("binance:trade:BTCUSDT", 6);
    assert_eq!(read.per_topic(), BTreeMap::from([("binance:control", 2), trades]));
    let payload = |at: usize| std::str::from_utf8(&read.frames[at].2).unwrap();
    assert_eq!((payload(0), payload(2), payload(4)), (GOOD, longest.as_str(), GOOD));
    assert_eq!(
        payload(5),
        "{\"stream\":\"btcusdt@trade\", \"data\":{}}",
        "a raw carriage return is white space"
    );
}

#[test]
fn a_snapshot_before_the_first_stream_is_of_the_symbol_that_follows() {
    let mut random = binance::Random(99);
    let snapshot = binance::snapshot(&mut random, 1);
    let text: String = (0..3).map(|n| format!("{n} {snapshot}\n")).collect::<String>()
        + &format!("9 {}\n", binance::quote(&mut random, "ethusdt", 2));
    let read = read(&file("snapshot-first.jsonl", text.as_bytes()), None).unwrap();
    let expected = [("binance:quote:ETHUSDT", 1), ("binance:snapshot:ETHUSDT", 3)];
    assert_eq!(read.per_topic(), BTreeMap::from(expected));
}

#[test]
fn a_file_that_is_no_recording_of_a_known_feed_says_why_and_what_to_do() {
    let unknown = b"1 {\"ch\":\"market.btcusdt.trade\",\"tick\":[]}\n2 {\"event\":\"heartbeat\"}\n";
    for (name, bytes, part) in [
        ("empty.jsonl", &b""[..], "is empty"),
        ("text.jsonl", b"hello\nworld\n", "line 1 has no receive time"),
        ("unknown.jsonl", unknown, "`kraken-futures`"),
        ("unknown.jsonl", unknown, "replay:binance=PATH"),
        ("magic-only.gz", &[0x1f, 0x8b], "cannot open"),
    ] {
        let path = file(name, bytes);
        let message = Recording::open(&path, None).unwrap_err().to_string();
        assert!(message.contains(part) && message.contains(name), "{message}");
    }
    // Named, the same file is taken at the operator's word.
    let read = read(&file("unknown-named.jsonl", unknown), Some(Feed::Binance)).unwrap();
    assert_eq!(read.per_topic(), BTreeMap::from([("binance:control", 2)]));
    let directory = Recording::open(Path::new(env!("CARGO_TARGET_TMPDIR")), None).unwrap_err();
    assert!(directory.to_string().contains("cannot open"), "{directory}");
}

#[test]
fn a_file_cut_in_mid_transfer_gives_its_frames_and_then_an_error() {
    let made = binance::recording(11, "btcusdt", 2_000);
    let whole = gzip(&made.text());
    let path = file("cut.jsonl.gz", &whole[..whole.len() / 2]);
    let mut recording = Recording::open(&path, None).unwrap();
    let mut count = 0;
    let error = loop {
        match recording.next_entry() {
            Ok(Some(Entry::Frame(_))) => count += 1,
            Ok(other) => panic!("{other:?} after {count} frames"),
            Err(error) => break error,
        }
    };
    assert!(
        count > 100 && matches!(error, ReplayError::Read { lines, .. } if lines == count),
        "{count} {error}"
    );
    assert!(error.to_string().contains(&format!("breaks off after {count} lines")), "{error}");
}

/// The folder of real recordings, if there is one.
fn real_data() -> Option<PathBuf> {
    let folder = std::env::var_os("LINEAGE_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"),
        PathBuf::from,
    );
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("NOT TESTED: no real recordings in {} (set LINEAGE_DATA)", folder.display());
    None
}

#[test]
fn real_recordings_arrive_whole_and_unchanged() {
    let Some(folder) = real_data() else { return };
    for name in [
        "binance-spot-btcusdt-20240808",
        "binance-spot-ethusdt-20240808",
        "binance-usdm-btcusdt-20240808",
    ] {
        let path = folder.join(format!("{name}.jsonl.gz"));
        let oracle = fs::read(folder.join(format!("oracle/{name}.json"))).unwrap();
        let oracle: serde_json::Value = serde_json::from_slice(&oracle).unwrap();

        let begun = Instant::now();
        let mut recording = Recording::open(&path, None).unwrap();
        assert_eq!(recording.feed(), Feed::Binance);
        while recording.next_entry().unwrap().is_some() {}
        let parsing = begun.elapsed();

        let mut recording = Recording::open(&path, None).unwrap();
        let mut original =
            BufReader::new(MultiGzDecoder::new(BufReader::new(fs::File::open(&path).unwrap())))
                .lines();
        let (mut counts, mut bytes, mut first_ns, mut last_ns) =
            (BTreeMap::<String, u64>::new(), 0, None, 0);
        while let Some(entry) = recording.next_entry().unwrap() {
            let Entry::Frame(frame) = entry else { panic!("{entry:?} in {name}") };
            let line = original.next().unwrap().unwrap();
            assert_eq!(
                line.split_once(' ').unwrap().1.as_bytes(),
                &frame.payload.bytes()[..],
                "unchanged"
            );
            *counts.entry(frame.topic.to_owned()).or_default() += 1;
            bytes += frame.payload.bytes().len() as u64;
            first_ns.get_or_insert(frame.received_ns);
            last_ns = frame.received_ns;
        }
        assert!(original.next().is_none());
        let lines: u64 = counts.values().sum();
        eprintln!("{name}: {:.0} lines/s", lines as f64 / parsing.as_secs_f64());

        let symbol = name.split('-').nth(2).unwrap().to_uppercase();
        for (kind, expected) in oracle["types"].as_object().unwrap() {
            let word = match kind.as_str() {
                "bookTicker" => "quote",
                kind => kind.split('@').next().unwrap(),
            };
            let topic = format!("binance:{word}:{symbol}");
            assert_eq!(counts.remove(&topic), expected.as_u64(), "{topic} of {name}");
        }
        assert_eq!(counts, BTreeMap::new(), "nothing else in {name}");
        assert_eq!(Some(lines), oracle["messages"].as_u64());
        assert_eq!(Some(bytes), oracle["payload_bytes"].as_u64());
        assert_eq!(
            (first_ns, Some(last_ns)),
            (oracle["first_recv_ns"].as_u64(), oracle["last_recv_ns"].as_u64())
        );
    }
}
