//! `lineage serve --source replay:…` and `lineage record` together, both as the built program. Goal: what was recorded
//! of a simulation is what a replay of the file sends, once or in rounds, whole or in parts, after a kill too.
//!
//! Method: servers on free ports that a file names, recorders that have each line on the disk; processes that a failing
//! test leaves are killed. Nothing is waited for but the contents of files.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise, its helpers too")]

use lineage::source::replay::{Journal, JournalEvent, Noted};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);
/// Events of the simulation that are recorded.
const EVENTS: usize = 40;

/// A path where no file is.
fn fresh(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("serve-{name}"));
    let _ = std::fs::remove_file(&path);
    path
}

/// Blocks until `look` finds something.
fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "{what} did not come about");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

/// A process that does not outlive its test.
struct Process(Option<Child>);

impl Process {
    fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lineage"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("LINEAGE_")) {
            command.env_remove(name);
        }
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        Self(Some(command.spawn().unwrap()))
    }

    /// Ends it; what it said on stderr.
    fn end(mut self, signal: &str) -> String {
        let child = self.0.take().unwrap();
        let pid = child.id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &pid]).status().unwrap().success());
        String::from_utf8_lossy(&child.wait_with_output().unwrap().stderr).into_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A server that begins with its first client, and its URL.
fn serve(name: &str, arguments: &[&str]) -> (Process, String) {
    let ports = fresh(&format!("{name}.ports"));
    let fixed = ["serve", "--ws", "0", "--http", "off", "--metrics", "off"];
    let begin = ["--start-at-clients", "1", "--ports-file", ports.to_str().unwrap()];
    let server = Process::start(&[&fixed[..], &begin, arguments].concat());
    let text = wait_for("the ports file", || std::fs::read_to_string(&ports).ok());
    let ports: serde_json::Value = serde_json::from_str(&text).unwrap();
    let url = format!("ws://{}/v1", ports["ws"].as_str().unwrap());
    (server, url)
}

/// The events of a journal so far.
fn events(path: &Path) -> Vec<JournalEvent> {
    let mut events = Vec::new();
    if std::fs::metadata(path).is_ok_and(|file| file.len() > 0)
        && let Ok(Some(mut journal)) = Journal::open(path)
    {
        while let Ok(Some(noted)) = journal.next_line() {
            if let Noted::Event(event) = noted {
                events.push(event);
            }
        }
    }
    events
}

/// Records at least so many events of a server with these arguments, and ends both.
fn recorded(name: &str, file: &Path, arguments: &[&str], least: usize) -> Vec<JournalEvent> {
    let (server, url) = serve(name, arguments);
    let recorder = Process::start(&["record", file.to_str().unwrap(), &url, "--sync", "each"]);
    wait_for("the events", || (events(file).len() >= least).then_some(()));
    let said = recorder.end("TERM");
    assert!(said.contains("; 0 gaps with 0 events missed"), "{said}");
    server.end("TERM");
    events(file)
}

/// All that a replay has to keep: everything but when it was received.
fn kept(events: &[JournalEvent]) -> Vec<(String, u64, u64, String)> {
    let text = |event: &JournalEvent| String::from_utf8(event.payload.bytes().to_vec()).unwrap();
    events.iter().map(|e| (e.topic.clone(), e.seq, e.us, text(e))).collect()
}

fn replay(path: &Path) -> String {
    format!("replay:{}", path.display())
}

#[test]
fn a_recording_of_a_simulation_is_the_simulation_and_its_replay_sends_the_same() {
    let (first, again, rounds, late) = (
        fresh("simulation.jsonl.gz"),
        fresh("again.jsonl"),
        fresh("rounds.jsonl"),
        fresh("late.jsonl"),
    );
    let simulation = recorded("simulation", &first, &["--seed", "7"], EVENTS);
    assert!(simulation.iter().all(|event| event.us > 0));
    let pos: Vec<u64> = simulation.iter().map(|event| event.pos).collect();
    assert_eq!(pos, (1..=simulation.len() as u64).collect::<Vec<_>>(), "from the first event on");

    let (source, count) = (replay(&first), simulation.len());
    let quiet = ["--source", &source, "--pipeline-enabled", "false"];
    let paced = [&quiet[..], &["--speed", "100x"]].concat();
    let replayed = recorded("again", &again, &paced, count);
    assert_eq!(kept(&replayed), kept(&simulation));

    let looped = [&quiet[..], &["--speed", "max", "--loop", "2"]].concat();
    let both = recorded("rounds", &rounds, &looped, 2 * count);
    assert_eq!(both.len(), 2 * count);
    assert_eq!(kept(&both[..count]), kept(&simulation));
    let us = || simulation.iter().map(|event| event.us);
    let span_us = us().max().unwrap() - us().min().unwrap();
    for (second, event) in both[count..].iter().zip(&simulation) {
        let last = simulation.iter().filter(|other| other.topic == event.topic).count() as u64;
        assert_eq!((&second.topic, &second.payload), (&event.topic, &event.payload));
        assert_eq!(second.seq, last + event.seq, "seq goes on");
        assert!(second.us > event.us && second.us > simulation[0].us + span_us, "time goes on");
    }

    let from = (count / 2).to_string();
    let from = [&quiet[..], &["--speed", "max", "--from", &from]].concat();
    let tail = recorded("late", &late, &from, count - count / 2 + 1);
    let expected = &simulation[count / 2 - 1..];
    let bodies = |events: &[JournalEvent]| {
        kept(events).into_iter().map(|(topic, _, us, text)| (topic, us, text)).collect::<Vec<_>>()
    };
    assert_eq!(bodies(&tail), bodies(expected));
    assert_eq!(tail[0].seq, 1, "seq begins anew");
}

#[test]
fn the_log_of_a_replay_says_what_a_killed_recorder_did_not_finish() {
    let (killed, again) = (fresh("killed.jsonl"), fresh("after-kill.jsonl"));
    let (server, url) = serve("killed", &["--seed", "7"]);
    let recorder = Process::start(&["record", killed.to_str().unwrap(), &url, "--sync", "each"]);
    wait_for("some events", || (events(&killed).len() >= 10).then_some(()));
    recorder.end("KILL");
    server.end("TERM");
    let whole = events(&killed);
    // What a kill within a write leaves.
    let bytes = std::fs::read(&killed).unwrap();
    std::fs::write(&killed, &bytes[..bytes.len() - 12]).unwrap();
    let left = &whole[..whole.len() - 1];

    let source = replay(&killed);
    let arguments = ["--source", &source, "--speed", "max", "--pipeline-enabled", "false"];
    let (server, url) = serve("after-kill", &arguments);
    let recorder = Process::start(&["record", again.to_str().unwrap(), &url, "--sync", "each"]);
    wait_for("the events", || (events(&again).len() >= left.len()).then_some(()));
    recorder.end("TERM");
    let said = server.end("TERM");
    assert_eq!(kept(&events(&again)), kept(left), "only the last is missing");
    let line = said.lines().find(|line| line.contains("did not finish this file"));
    let line = line.unwrap_or_else(|| panic!("{said}"));
    assert!(line.contains("cut_line_bytes") && !line.contains("cut_line_bytes=0"), "{line}");
}
