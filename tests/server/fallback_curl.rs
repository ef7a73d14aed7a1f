//! The fallbacks as people use them first: with `curl`, cut off and started again while events come.
//!
//! Method: the real program (Debian's package `curl`), killed by its own id; what it printed before is put together and
//! compared with what was published. The seed is fixed and shown on failure.

use super::fallback_client::Dice;
use super::order::{payload, word};
use super::support::{PATIENCE, config, external, http, publisher, start, topic};
use lineage::Engine;
use lineage::config::Config;
use lineage::event::Class;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How often a client is cut off.
const CUTS: usize = 4;

/// A `curl` that runs, and what it prints.
struct Curl {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Curl {
    fn start(address: SocketAddr, path: &str, arguments: &[&str]) -> Self {
        let mut child = Command::new("curl")
            .args(["--silent", "--show-error", "--no-buffer", "--max-time"])
            .arg(PATIENCE.as_secs().to_string())
            .args(arguments)
            .arg(format!("http://{address}{path}"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| {
                panic!(
                    "curl cannot be started ({error}): install the Debian package curl (apt-get install curl), or run \
                     `cargo xtask test --only tools`, which does"
                )
            });
        let output = BufReader::new(child.stdout.take().expect("piped"));
        Self { child, output }
    }

    /// The next line, without its end; it has to come.
    fn line(&mut self) -> String {
        let mut line = String::new();
        let bytes = self.output.read_line(&mut line).expect("text");
        assert!(bytes > 0 && line.ends_with('\n'), "curl ended: {line}");
        line.trim_end().to_owned()
    }
}

impl Drop for Curl {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server whose clients may take their time.
fn patient() -> Engine {
    let long = Duration::from_secs(600);
    start(Config { lag_bytes_max: 1 << 30, lag_age_max: long, write_stall_max: long, ..config() })
}

/// Publishes numbered events until told to stop; returns how many.
fn publish(engine: &Engine, is_enough: &AtomicBool) -> u64 {
    let topics = ["desk:a", "desk:b"].map(|name| topic(engine, name, Class::Event));
    let mut publisher = publisher(engine);
    let mut count = 0;
    while !is_enough.load(Ordering::Relaxed) {
        for topic in topics {
            publisher.publish(external(topic, &count.to_string())).expect("room");
            count += 1;
        }
        std::thread::park_timeout(Duration::from_micros(200));
    }
    count
}

/// Ends the publisher also when the client fails.
struct Enough<'a>(&'a AtomicBool);

impl Drop for Enough<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The position before everything.
fn first_position(address: SocketAddr) -> String {
    let mut curl = Curl::start(address, "/v1/snapshot?topics=*", &["--include"]);
    let (next, body) = whole_answer(&mut curl);
    assert_eq!(body.trim(), "[]");
    next
}

/// `Lineage-Next` and the body of an answer that curl prints with its head.
fn whole_answer(curl: &mut Curl) -> (String, String) {
    assert_eq!(curl.line(), "HTTP/1.1 200 OK");
    let mut next = None;
    loop {
        let line = curl.line();
        match line.split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("lineage-next") => {
                next = Some(value.to_owned());
            }
            Some(_) => {}
            None => break assert_eq!(line, ""),
        }
    }
    let mut body = String::new();
    curl.output.read_to_string(&mut body).expect("text");
    assert!(curl.child.wait().expect("a child").success(), "{body}");
    (next.expect("where to go on"), body)
}

/// Reads events until there are `enough`; the id of the last one goes to `from`.
fn read_events(
    curl: &mut Curl,
    from: &mut String,
    got: &mut Vec<u64>,
    enough: impl Fn(&[u64]) -> bool,
) {
    let (mut id, mut json) = (None, None);
    while !enough(got) {
        let line = curl.line();
        match line.split_once(": ") {
            Some(("id", value)) => id = Some(value.to_owned()),
            Some(("data", value)) => json = Some(value.to_owned()),
            Some(("retry", _)) => {}
            Some(_) => panic!("{line}"),
            None => {
                // A blank line: the event is whole.
                if let Some(json) = json.take() {
                    match word(&json, "type") {
                        "a" | "b" => got.push(payload(&json).parse().expect("a number")),
                        "ack" => assert!(json.contains("\"recovered\":true"), "{json}"),
                        "welcome" | "heartbeat" => {}
                        _ => panic!("{json}"),
                    }
                }
                if let Some(id) = id.take() {
                    *from = id;
                }
            }
        }
    }
}

#[test]
fn curl_on_a_stream_that_is_killed_and_started_with_its_last_id_misses_nothing() {
    const SEED: u64 = 0x2545_f491_4f6c;
    let engine = patient();
    let address = http(&engine);
    let (mut from, mut got, mut dice) = (first_position(address), Vec::new(), Dice(SEED));
    let is_enough = AtomicBool::new(false);
    let again = |from: &str| {
        let header = format!("Last-Event-ID: {from}");
        Curl::start(address, "/v1/sse?topics=desk:*", &["--header", &header])
    };
    let published = std::thread::scope(|scope| {
        let publishing = scope.spawn(|| publish(&engine, &is_enough));
        let end = Enough(&is_enough);
        for _ in 0..CUTS {
            let until = got.len() + 200 + usize::try_from(dice.below(300)).expect("small");
            read_events(&mut again(&from), &mut from, &mut got, |got| got.len() >= until);
        }
        drop(end);
        publishing.join().expect("no panic")
    });
    let last = published - 1;
    read_events(&mut again(&from), &mut from, &mut got, |got| got.last() == Some(&last));
    assert!(got == (0..published).collect::<Vec<_>>(), "seed {SEED:#x}");
}

#[test]
fn curl_that_polls_and_is_killed_between_misses_nothing() {
    const SEED: u64 = 0x1b87_3593;
    let engine = patient();
    let address = http(&engine);
    let (mut from, mut got, mut dice) = (first_position(address), Vec::new(), Dice(SEED));
    let is_enough = AtomicBool::new(false);
    let poll = |from: &mut String, got: &mut Vec<u64>, cut: Option<u64>| {
        let path = format!("/v1/poll?topics=desk:*&from={from}&wait_ms=1000");
        let mut curl = Curl::start(address, &path, &["--include"]);
        if let Some(bytes) = cut {
            // Killed in the middle of the answer, which counts for nothing then.
            curl.output
                .read_exact(&mut vec![0; usize::try_from(bytes).expect("small")])
                .expect("more");
            return;
        }
        let (next, body) = whole_answer(&mut curl);
        let frames: Vec<serde_json::Value> = serde_json::from_str(&body).expect("JSON");
        let [ack, events @ .., heartbeat] = &frames[..] else { panic!("{body}") };
        assert_eq!(ack["payload"]["recovered"], true, "{ack}");
        assert!(next.ends_with(&format!(".{}", heartbeat["payload"]["pos"])), "{next}");
        got.extend(events.iter().map(|event| event["payload"].as_u64().expect("a number")));
        *from = next;
    };
    let published = std::thread::scope(|scope| {
        let publishing = scope.spawn(|| publish(&engine, &is_enough));
        let end = Enough(&is_enough);
        for _ in 0..CUTS {
            poll(&mut from, &mut got, Some(1 + dice.below(300)));
            poll(&mut from, &mut got, None);
            poll(&mut from, &mut got, None);
        }
        drop(end);
        publishing.join().expect("no panic")
    });
    while got.last() != Some(&(published - 1)) {
        poll(&mut from, &mut got, None);
    }
    assert!(got == (0..published).collect::<Vec<_>>(), "seed {SEED:#x}");
}
