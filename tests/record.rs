//! `lineage record` and the replay of what it wrote, through the built program. Goal: nothing is lost or changed on
//! the way, whatever ends the recorder.
//!
//! Method: an engine in this process publishes what a simulated arena gives at times of its own; the recorder is told
//! to have each line on the disk, so that the file says when it has seen an event.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise, its helpers too")]

use lineage::Engine;
use lineage::config::{Config, SourceChoice};
use lineage::event::Topics;
use lineage::simulation::{Arena, Options};
use lineage::source::replay::{Cut, Journal, JournalEvent, Noted, Speed};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const SEED: u64 = 7;
/// 2026-01-01T00:00:00Z.
const START_US: u64 = 1_767_225_600_000_000;
const PATIENCE: Duration = Duration::from_secs(30);

fn config(source: SourceChoice) -> Config {
    let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
    Config {
        ws: any_port,
        http: None,
        metrics: None,
        source,
        shards: 1,
        start_at_clients: 1,
        speed: Speed::Max,
        pipeline_enabled: false,
        ..Config::default()
    }
}

/// A path where no file is.
fn fresh(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_file(&path);
    path
}

/// A recorder that does not outlive its test.
struct Recorder(Option<Child>);

impl Recorder {
    fn start(engine: &Engine, path: &Path) -> Self {
        let url = format!("ws://{}/v1", engine.addresses().ws);
        let mut command = Command::new(env!("CARGO_BIN_EXE_lineage"));
        command.arg("record").arg(path).arg(url).args(["--sync", "each"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        Self(Some(command.spawn().unwrap()))
    }

    fn end(mut self, signal: &str) -> Output {
        let child = self.0.take().unwrap();
        let pid = child.id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &pid]).status().unwrap().success());
        child.wait_with_output().unwrap()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The events of a journal, and what is missing at its end.
fn read(path: &Path) -> (Vec<JournalEvent>, Option<Cut>) {
    let mut journal = Journal::open(path).unwrap().expect("a journal");
    let (mut events, mut cut) = (Vec::new(), None);
    while let Some(noted) = journal.next_line().unwrap() {
        match noted {
            Noted::Event(event) => events.push(event),
            Noted::Cut(found) => cut = Some(found),
            Noted::Bad(bad) => panic!("{bad}"),
            Noted::Other => {}
        }
    }
    (events, cut)
}

/// Waits until the file says that so many events, or the subscription when 0, have come.
fn wait_for(path: &Path, events: usize) {
    let start = Instant::now();
    loop {
        let journal = std::fs::metadata(path).ok().filter(|file| file.len() > 0);
        let mut is_connected = false;
        if journal.is_some()
            && let Ok(Some(mut journal)) = Journal::open(path)
        {
            let (mut notes, mut found) = (0, 0);
            while let Ok(Some(noted)) = journal.next_line() {
                notes += usize::from(noted == Noted::Other);
                found += usize::from(matches!(noted, Noted::Event(_)));
            }
            // The first note is of the beginning, the second of the subscription.
            is_connected = notes >= 2 && found >= events;
        }
        if is_connected {
            return;
        }
        assert!(start.elapsed() < PATIENCE, "{} has not got {events} events", path.display());
        std::thread::yield_now();
    }
}

/// Publishes at least `count` events of an arena; gives how many.
fn publish(engine: &Engine, count: usize) -> usize {
    let topics = Topics::new();
    let options = Options { seed: SEED, ..Options::default() };
    let mut arena = Arena::new(&options, &topics, START_US).unwrap();
    let mut publisher = engine.publisher().unwrap();
    let (mut events, mut published) = (Vec::new(), 0);
    while published < count {
        arena.step(arena.next_due_us(), &mut events);
        for mut event in events.drain(..) {
            let info = topics.info(event.topic);
            event.topic = engine.topic(&info.name, info.class).unwrap();
            publisher.publish(event).unwrap();
            published += 1;
        }
    }
    published
}

/// All that a recording has to keep: everything but when it was received.
fn kept(events: &[JournalEvent]) -> Vec<JournalEvent> {
    events.iter().cloned().map(|event| JournalEvent { received_ns: 0, ..event }).collect()
}

#[test]
fn a_recording_that_is_replayed_and_recorded_again_is_the_same() {
    let (first, second) = (fresh("first.jsonl"), fresh("second.jsonl.gz"));
    let engine = Engine::start(config(SourceChoice::None)).unwrap();
    let recorder = Recorder::start(&engine, &first);
    wait_for(&first, 0);
    let published = publish(&engine, 500);
    wait_for(&first, published);
    let output = recorder.end("TERM");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{stderr}");
    let said = format!("recorded {published} events in 1 file(s)");
    assert!(stderr.contains(&said) && stderr.contains("0 gaps with 0 events"), "{stderr}");
    let (events, cut) = read(&first);
    assert_eq!((events.len(), cut), (published, None), "seed {SEED}");
    assert_eq!(events[0].us, START_US);

    let source = SourceChoice::Replay { path: first, feed: None };
    let engine = Engine::start(config(source)).unwrap();
    let recorder = Recorder::start(&engine, &second);
    wait_for(&second, published);
    assert!(recorder.end("INT").status.success());
    let (again, cut) = read(&second);
    assert_eq!(cut, None);
    assert_eq!(kept(&again), kept(&events), "seed {SEED}");
}

#[test]
fn a_recorder_that_is_killed_leaves_a_file_whose_whole_part_is_replayed() {
    for name in ["killed.jsonl", "killed.jsonl.gz"] {
        let path = fresh(name);
        let engine = Engine::start(config(SourceChoice::None)).unwrap();
        let recorder = Recorder::start(&engine, &path);
        wait_for(&path, 0);
        let published = publish(&engine, 60);
        wait_for(&path, published);
        assert!(!recorder.end("KILL").status.success());
        let (events, cut) = read(&path);
        assert_eq!(events.len(), published, "{name}: each line was on the disk");
        let none = Cut { line_bytes: 0, file_bytes: 0 };
        assert_eq!(cut, Some(none), "{name}: no end, and nothing unfinished");
        // What a kill within a write leaves.
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 12]).unwrap();
        let (left, cut) = read(&path);
        assert_eq!(left, events[..events.len() - 1], "{name}: only the last is missing");
        assert!(cut.is_some_and(|cut| cut.file_bytes > 0), "{name}: {cut:?}");
    }
}

#[test]
fn a_recording_that_cannot_be_made_is_an_error_before_anything_is_sent() {
    let taken = fresh("taken.jsonl");
    std::fs::write(&taken, "mine").unwrap();
    let taken = taken.to_str().unwrap();
    for (arguments, code, part) in [
        (vec!["record", taken], 1, "cannot create"),
        (vec!["record", "x.jsonl", "ws://127.0.0.1:1/"], 2, "/v1"),
        (vec!["record", "x.jsonl", "x y"], 2, "x y is neither"),
        (vec!["record", "x.jsonl", "--sync", "often"], 2, "never"),
        (vec!["record", "x.jsonl", "--rotate", "0"], 2, "100MB"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_lineage")).args(&arguments).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
        assert!(stderr.contains(part), "{arguments:?}: {stderr}");
    }
    assert_eq!(std::fs::read_to_string(taken).unwrap(), "mine");
}
