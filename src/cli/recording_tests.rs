//! The recorder's files: their parts, what is flushed when, and what a size is.

use super::recording::{Form, Recorder, Sync, parse_bytes, part_path};
use serde_json::json;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// A directory without files of an earlier run.
fn directory(test: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("lineage-{test}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).expect("a directory");
    path
}

fn recorder(path: PathBuf, rotate_bytes: Option<u64>, sync: Sync) -> Recorder {
    Recorder::create(Form { path, rotate_bytes, sync }, json!({}), 1).expect("a new file")
}

fn unpacked(path: &Path) -> String {
    let (text, is_whole) = unpacked_so_far(path);
    assert!(is_whole, "whole members");
    text
}

/// What can be read, and whether that is the whole file.
fn unpacked_so_far(path: &Path) -> (String, bool) {
    let bytes = std::fs::read(path).expect("a file");
    let mut text = Vec::new();
    let mut reader = flate2::bufread::MultiGzDecoder::new(&*bytes);
    let is_whole = reader.read_to_end(&mut text).is_ok();
    (String::from_utf8(text).expect("text"), is_whole)
}

#[test]
fn sizes_are_numbers_with_a_unit() {
    for (text, bytes) in [
        ("1", Some(1)),
        ("16384", Some(16_384)),
        ("64KiB", Some(65_536)),
        ("100MB", Some(100_000_000)),
        ("1GiB", Some(1 << 30)),
        ("2GB", Some(2_000_000_000)),
        ("7B", Some(7)),
        ("0", None),
        ("", None),
        ("MB", None),
        ("-1", None),
        ("1.5MB", None),
        ("99999999999GiB", None),
    ] {
        assert_eq!(parse_bytes(text).ok(), bytes, "{text}");
    }
}

#[test]
fn parts_are_numbered_before_the_ending() {
    for (first, second) in [
        ("a/day.jsonl.gz", "a/day.0002.jsonl.gz"),
        ("day.jsonl", "day.0002.jsonl"),
        ("day", "day.0002"),
        ("day.gz", "day.0002.gz"),
        (".day", ".day.0002"),
    ] {
        assert_eq!(part_path(Path::new(first), 2), Path::new(second));
    }
}

#[test]
fn a_file_that_exists_is_not_replaced() {
    let path = directory("exists").join("a.jsonl");
    std::fs::write(&path, "mine").expect("written");
    let form = Form { path: path.clone(), rotate_bytes: None, sync: Sync::Never };
    let error = Recorder::create(form, json!({}), 1).expect_err("refused");
    assert_eq!(error.kind(), std::io::ErrorKind::AlreadyExists);
    assert_eq!(std::fs::read_to_string(&path).expect("a file"), "mine");
}

#[test]
fn a_part_ends_with_the_line_that_reaches_the_limit() {
    let directory = directory("rotation");
    // The note at the beginning and one line of nine bytes: `2 [1,2,3]` and its line feed.
    let begin = r#"1 {"payload":{"note":"begin","part":1},"type":"recorder"}"#.len() as u64 + 1;
    for (case, (limit, parts)) in
        [(begin + 11, 1), (begin + 10, 2), (begin + 9, 2)].into_iter().enumerate()
    {
        let path = directory.join(format!("{case}.jsonl"));
        let mut recorder = recorder(path, Some(limit), Sync::Never);
        recorder.line(2, "[1,2,3]").expect("written");
        assert_eq!(recorder.parts(), parts, "limit {limit}");
    }
}

#[test]
fn what_is_flushed_is_whole_while_the_recorder_still_runs() {
    for (sync, has_second) in
        [(Sync::EachLine, true), (Sync::EachSecond, false), (Sync::Never, false)]
    {
        let path = directory(&format!("flush-{sync:?}")).join("a.jsonl.gz");
        let mut recorder = recorder(path.clone(), None, sync);
        recorder.line(2, "{\n}").expect("written");
        recorder.flush().expect("flushed");
        recorder.line(3, "[]").expect("written");
        let (text, is_whole) = unpacked_so_far(&path);
        assert!(is_whole || !has_second, "{sync:?}");
        assert!(text.contains("\n2 { }\n"), "{text}");
        assert_eq!(text.contains("\n3 []\n"), has_second, "{sync:?}: {text}");
        assert_eq!(recorder.has_unflushed(), !has_second);
        recorder.end(4, &json!({ "note": "end" })).expect("ended");
        assert!(unpacked(&path).ends_with("\n"), "{sync:?}");
        assert!(unpacked(&path).contains("\"note\":\"end\""), "{sync:?}");
    }
}
