//! A small v1 broadcast server that does one thing wrong: a thread publishes on a schedule, a thread per client sends.
//!
//! It speaks what the load tester needs of the protocol: welcome, ack, snapshots, resume, gaps. The client whose topic
//! `who:N` carries its number is the one that the fault hits, when topic `t:0` comes to the seq `AT`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use loadtest::publish::PayloadWriter;

use super::{Peer, UPGRADE, server};

/// The seq of `t:0` at which the fault happens.
pub(crate) const AT: u64 = 120;
/// The client that it hits.
pub(crate) const VICTIM: u64 = 3;
/// Pause between two events.
const PERIOD: Duration = Duration::from_millis(2);
/// How long the publisher stands still in [`Fault::StalledPublisher`].
pub(crate) const STALL: Duration = Duration::from_millis(200);
/// Events that a gap skips.
pub(crate) const SKIPPED: u64 = 4;
const TOPICS: [&str; 2] = ["t:0", "t:1"];

/// What is done wrong, once, to one client (or to all).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// An event is left out.
    Drop,
    /// An event comes after its successor.
    Swap,
    /// An event comes twice.
    Repeat,
    /// Events are skipped, and a gap says so: no fault.
    Gap,
    /// Events are skipped, and the gap names one too few.
    ShortGap,
    /// Events are skipped without a word.
    SilentGap,
    /// A byte of the payload is another one.
    Corrupt,
    /// Nothing is published for a while; the schedule goes on.
    StalledPublisher,
    /// A client that resumes gets what it missed but for the first event.
    HoleOnResume,
    /// A client that resumes gets its last event again.
    RepeatOnResume,
    /// What was missed is said to be gone: a gap for each topic, no fault.
    ExpiredOnResume,
    /// The snapshot is older than the ack.
    StaleSnapshot,
    /// The last event of the run never comes, to anybody but client 0.
    NoTail,
}

/// An event of the stream.
struct Event {
    topic: usize,
    seq: u64,
    text: String,
}

#[derive(Default)]
struct Log {
    events: Vec<Event>,
    seqs: [u64; 2],
}

struct Shared {
    log: Mutex<Log>,
    grown: Condvar,
    fault: Fault,
}

/// Starts a server with this fault; it ends with the test.
pub(crate) fn broadcast(fault: Fault) -> SocketAddr {
    let shared = Arc::new(Shared { log: Mutex::default(), grown: Condvar::new(), fault });
    let publisher = Arc::clone(&shared);
    thread::spawn(move || publish(&publisher));
    server(move |_, peer| Client::serve(&shared, peer))
}

#[expect(clippy::disallowed_methods, reason = "the load tester holds stamps against the real time")]
fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_nanos()).unwrap()
}

/// An event each period, for ten seconds; `ts` is when it was due.
fn publish(shared: &Shared) {
    let writer = PayloadWriter::new(&[String::new()], true);
    let begun_ns = now_ns();
    for n in 0..5_000_u64 {
        let due_ns = begun_ns + n * u64::try_from(PERIOD.as_nanos()).unwrap();
        thread::sleep(Duration::from_nanos(due_ns.saturating_sub(now_ns())));
        let mut log = shared.log.lock().unwrap();
        let topic = usize::try_from(n % 2).unwrap();
        if shared.fault == Fault::StalledPublisher && n % 600 == 599 {
            thread::sleep(STALL);
        }
        log.seqs[topic] += 1;
        let (seq, pos, sent_ns) = (log.seqs[topic], n + 1, now_ns());
        let mut payload = Vec::new();
        writer.payload(&mut payload, 200, n, (due_ns, sent_ns));
        let text =
            envelope("tick", topic, seq, pos, sent_ns, std::str::from_utf8(&payload).unwrap());
        log.events.push(Event { topic, seq, text });
        drop(log);
        shared.grown.notify_all();
    }
}

fn envelope(kind: &str, topic: usize, seq: u64, pos: u64, ns: u64, payload: &str) -> String {
    let (name, us, ms) = (TOPICS[topic], ns / 1_000, ns / 1_000_000);
    format!(
        r#"{{"type":"{kind}","topic":"{name}","seq":{seq},"pos":{pos},"us":{us},"payload":{payload},"timestamp":{ms}}}"#
    )
}

/// One client.
struct Client<'a> {
    shared: &'a Shared,
    peer: Peer,
    is_victim: bool,
    number: u64,
    /// An event that waits for its successor.
    held: Option<String>,
    /// Events of `t:0` that are still to be skipped.
    skipping: u64,
}

impl<'a> Client<'a> {
    fn serve(shared: &'a Shared, mut peer: Peer) {
        peer.upgrade(UPGRADE);
        let welcome =
            r#"{"type":"welcome","payload":{"protocol":1,"epoch":"test1"},"timestamp":1}"#;
        peer.text(welcome);
        let Some(subscribe) = peer.long_frame() else {
            return;
        };
        let subscribe: serde_json::Value = serde_json::from_slice(&subscribe).unwrap();
        let number = subscribe["topics"]
            .as_array()
            .unwrap()
            .iter()
            .find_map(|topic| topic.as_str()?.strip_prefix("who:")?.parse::<u64>().ok());
        let number = number.unwrap_or_default();
        let is_victim = number == VICTIM;
        let mut client = Self { shared, peer, is_victim, number, held: None, skipping: 0 };
        let from = subscribe["from"]["pos"].as_u64();
        let next = client.begin(from);
        client.follow(next);
    }

    /// The ack and what belongs to it; the place in the log from which the client follows.
    fn begin(&mut self, from: Option<u64>) -> usize {
        let log = self.shared.log.lock().unwrap();
        let fault = self.shared.fault;
        let is_gone = fault == Fault::ExpiredOnResume;
        let mut next = log.events.len();
        if let Some(pos) = from.filter(|_| !is_gone) {
            next = usize::try_from(pos).unwrap();
        }
        let mut seqs: BTreeMap<usize, u64> = BTreeMap::from([(0, 0), (1, 0)]);
        for event in &log.events[..next] {
            seqs.insert(event.topic, event.seq);
        }
        let recovered = from.map_or(String::new(), |_| format!(r#""recovered":{},"#, !is_gone));
        let mut text = format!(
            r#"{{"type":"ack","id":1,"payload":{{"op":"subscribe",{recovered}"pos":{next},"topics":["#
        );
        for (topic, seq) in &seqs {
            write!(text, r#"{{"topic":"{}","seq":{seq}}},"#, TOPICS[*topic]).unwrap();
        }
        write!(
            text,
            r#"{{"topic":"who:{}","seq":0}}],"rejected":[]}},"timestamp":1}}"#,
            self.number
        )
        .unwrap();
        self.peer.text(&text);
        if from.is_some() && is_gone {
            for (topic, seq) in &seqs {
                self.peer.text(&gap(*topic, 0, *seq, "expired"));
            }
        } else if from.is_none() {
            self.snapshots(&seqs);
        }
        match (from, fault) {
            (Some(_), Fault::HoleOnResume) => next + 1,
            (Some(_), Fault::RepeatOnResume) => next - 1,
            _ => next,
        }
    }

    fn snapshots(&mut self, seqs: &BTreeMap<usize, u64>) {
        for (topic, seq) in seqs {
            let is_stale =
                self.shared.fault == Fault::StaleSnapshot && self.is_victim && *topic == 0;
            let seq = if is_stale { seq.saturating_sub(2) } else { *seq };
            if seq > 0 {
                self.peer.text(&envelope("snapshot", *topic, seq, 0, now_ns(), r#"{"last":true}"#));
            }
        }
    }

    /// Sends what comes, until the client is gone.
    fn follow(&mut self, mut next: usize) {
        loop {
            let mut log = self.shared.log.lock().unwrap();
            while log.events.len() <= next {
                let waited = self.shared.grown.wait_timeout(log, Duration::from_secs(1)).unwrap();
                if waited.1.timed_out() {
                    return self.peer.until_gone();
                }
                log = waited.0;
            }
            let (topic, seq, text) = {
                let event = &log.events[next];
                (event.topic, event.seq, event.text.clone())
            };
            drop(log);
            next += 1;
            self.send(topic, seq, text);
            if self.peer.is_gone {
                return;
            }
        }
    }

    fn send(&mut self, topic: usize, seq: u64, mut text: String) {
        let fault = self.shared.fault;
        if fault == Fault::NoTail && self.number > 0 && topic == 0 && seq >= AT {
            return;
        }
        if topic == 0 && self.skipping > 0 {
            self.skipping -= 1;
            if self.skipping == 0 && fault != Fault::SilentGap {
                let last = if fault == Fault::ShortGap { seq - 1 } else { seq };
                self.peer.text(&gap(0, AT, last, "slow"));
            }
            return;
        }
        let is_hit = self.is_victim && topic == 0 && seq == AT;
        if !is_hit {
            self.peer.text(&text);
            if let Some(held) = self.held.take_if(|_| topic == 0) {
                self.peer.text(&held);
            }
            return;
        }
        match fault {
            Fault::Drop => {}
            Fault::Swap => self.held = Some(text),
            Fault::Gap | Fault::ShortGap | Fault::SilentGap => self.skipping = SKIPPED - 1,
            Fault::Repeat => {
                self.peer.text(&text);
                self.peer.text(&text);
            }
            Fault::Corrupt => {
                text = text.replacen("xxxx", "xyxx", 1);
                self.peer.text(&text);
            }
            _ => self.peer.text(&text),
        }
    }
}

fn gap(topic: usize, from: u64, to: u64, reason: &str) -> String {
    let name = TOPICS[topic];
    format!(
        r#"{{"type":"gap","topic":"{name}","payload":{{"from":{from},"to":{to},"reason":"{reason}","action":"resume"}},"timestamp":1}}"#
    )
}

impl Peer {
    /// The payload of the next masked frame of any length; none when the client is gone.
    fn long_frame(&mut self) -> Option<Vec<u8>> {
        use std::io::Read as _;
        let mut head = [0; 2];
        self.stream.read_exact(&mut head).ok()?;
        let length = match head[1] & 0x7f {
            126 => {
                let mut length = [0; 2];
                self.stream.read_exact(&mut length).ok()?;
                usize::from(u16::from_be_bytes(length))
            }
            short => usize::from(short),
        };
        let mut rest = vec![0; 4 + length];
        self.stream.read_exact(&mut rest).ok()?;
        let (mask, payload) = rest.split_at(4);
        Some(payload.iter().enumerate().map(|(at, byte)| byte ^ mask[at % 4]).collect())
    }
}
