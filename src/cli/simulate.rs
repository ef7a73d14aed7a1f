//! `lineage simulate`: the simulation without a server, as fast as it goes.
//!
//! Its clock starts at [`START_US`] and jumps from one moment at which something is due to the next, so that the same
//! seed prints the same bytes on every machine, whatever the time of day. It opens no socket and reads no clock.

use super::subscribe::is_open;
use clap::{Arg, ArgAction, ArgMatches, Command};
use lineage::encode::json::write_v1;
use lineage::error::Error;
use lineage::event::{Event, Topics};
use lineage::simulation::chain::{self, Live};
use lineage::simulation::hub::{self, Board};
use lineage::simulation::{EVENTS_PER_S_MAX, Options, Simulation};
use lineage::telemetry::PerformanceMetrics;
use sha2::{Digest as _, Sha256};
use std::io::Write;
use std::sync::Arc;

/// Where the clock starts: 2026-01-01T00:00:00Z.
const START_US: u64 = 1_767_225_600_000_000;
/// Bytes that are collected before they are hashed or printed.
const PIECE_BYTES: usize = 64 * 1024;

const HELP: &str = "\
Examples:
  lineage simulate --seed 7 --events 20            the first events, as a v1 client would read them
  lineage simulate --flow-per-s 50 | jq .payload   with trades and quotes of the markets themselves
  lineage simulate --seed 7 --events 1000000 --hash

No server and no waiting: the clock starts at 2026-01-01T00:00:00Z and jumps from one event to the next. The same seed
prints the same bytes on every machine and in every run; another seed prints others.

--hash prints one line: the SHA-256, in hex, of a line `topic seq us payload` for each event, in the order of pos, each
ended by LF, with the payload as v1 clients get it. Two builds that print the same hash simulate the same.

Exit codes: 0 ok, also when the reader closes the pipe, 1 failure while running, 2 usage.";
/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    /// Of the random numbers.
    pub(super) seed: u64,
    /// How many events, from the first on.
    pub(super) events: u64,
    /// Trades and quotes of the markets' own order flow, per second of simulated time.
    pub(super) flow_per_s: u32,
    /// The hash in place of the events.
    pub(super) is_hash: bool,
}

/// The command and its options.
pub(super) fn command() -> Command {
    Command::new("simulate")
        .about("Print what the simulation does, without a server and as fast as it goes")
        .after_help(HELP)
        .args(options())
}

fn options() -> [Arg; 4] {
    let number = |name: &'static str, default: &'static str| {
        Arg::new(name).long(name).value_name("NUMBER").default_value(default)
    };
    [
        number("seed", "1")
            .value_parser(clap::value_parser!(u64))
            .help("Seed of the random numbers; the same seed gives the same bytes"),
        number("events", "1000")
            .value_parser(clap::value_parser!(u64))
            .help("How many events, from the first on"),
        number("flow-per-s", "0")
            .value_parser(clap::value_parser!(u32).range(0..=i64::from(EVENTS_PER_S_MAX)))
            .help(
                "Trades and quotes of the markets per second of simulated time, to 100000; 0: none",
            ),
        Arg::new("hash")
            .long("hash")
            .action(ArgAction::SetTrue)
            .help("Print the SHA-256 of the events in place of the events"),
    ]
}

/// What the command line asks for.
pub(super) fn asked(matches: &ArgMatches) -> Asked {
    let number = |name| matches.get_one::<u64>(name).copied().unwrap_or_default();
    Asked {
        seed: number("seed"),
        events: number("events"),
        flow_per_s: matches.get_one("flow-per-s").copied().unwrap_or_default(),
        is_hash: matches.get_flag("hash"),
    }
}

/// Prints what was asked for to stdout. A closed pipe ends it.
///
/// # Errors
/// When stdout cannot be written.
pub(super) fn simulate(asked: &Asked) -> Result<(), Error> {
    let mut out = std::io::stdout().lock();
    if asked.is_hash {
        let mut hash = Sha256::new();
        run(asked, &mut |lines| {
            hash.update(lines);
            Ok(true)
        })?;
        let digest: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        is_open(writeln!(out, "{digest}"))?;
    } else {
        run(asked, &mut |lines| is_open(out.write_all(lines)))?;
        is_open(out.flush())?;
    }
    Ok(())
}

/// Hands the lines of all events to `take`, in pieces and in order, until it says that it is enough.
fn run(asked: &Asked, take: &mut impl FnMut(&[u8]) -> Result<bool, Error>) -> Result<(), Error> {
    let topics = Topics::new();
    let options = Options { seed: asked.seed, flow_per_s: asked.flow_per_s, ..Options::default() };
    let board = Board::new(&hub::Options::default(), Arc::new(PerformanceMetrics::new()));
    let scheduler = Simulation::new(options)
        .with_hub(hub::Options::default(), board)
        .with_chain(chain::Options::default(), Live::new())
        .into_scheduler(&topics, START_US);
    let mut scheduler =
        scheduler.map_err(|error| Error::Runtime(format!("cannot simulate: {error:?}")))?;
    let mut lines = Lines { is_hash: asked.is_hash, ..Lines::default() };
    let mut events = Vec::new();
    while lines.pos < asked.events {
        scheduler.advance(scheduler.next_due_us(), &mut events);
        for event in events.drain(..) {
            if lines.pos < asked.events {
                lines.write(&topics, &event);
            }
        }
        if lines.out.len() >= PIECE_BYTES || lines.pos == asked.events {
            if !take(&lines.out)? {
                return Ok(());
            }
            lines.out.clear();
        }
    }
    Ok(())
}

/// Events as lines, and their places.
#[derive(Debug, Default)]
struct Lines {
    out: Vec<u8>,
    is_hash: bool,
    /// Of the last event, from 1.
    pos: u64,
    /// Of each topic's last event, from 1.
    seqs: Vec<u64>,
    message: Vec<u8>,
}

impl Lines {
    /// The event's v1 message, or what of it is hashed: `topic seq us payload`.
    fn write(&mut self, topics: &Topics, event: &Event) {
        let (index, info) = (usize::from(event.topic.index()), topics.info(event.topic));
        if self.seqs.len() <= index {
            self.seqs.resize(index + 1, 0);
        }
        self.pos += 1;
        self.seqs[index] += 1;
        let seq = self.seqs[index];
        self.message.clear();
        write_v1(&mut self.message, info, seq, self.pos, event);
        if self.is_hash {
            let head = format!("{} {seq} {} ", info.name, event.time_us);
            self.out.extend_from_slice(head.as_bytes());
            self.out.extend_from_slice(payload(&self.message, info.prefix.len()));
        } else {
            self.out.extend_from_slice(&self.message);
        }
        self.out.push(b'\n');
    }
}

/// The payload of a v1 message whose seq stands at `seq_at`: between there and the key only numbers stand, and behind
/// the payload only the timestamp.
fn payload(message: &[u8], seq_at: usize) -> &[u8] {
    const KEY: &[u8] = br#""payload":"#;
    let from = message[seq_at..].windows(KEY.len()).position(|part| part == KEY);
    let from = seq_at + from.expect("every v1 event has a payload") + KEY.len();
    let behind = message[from..].iter().rposition(|&byte| byte == b',');
    &message[from..from + behind.expect("the timestamp is the last key")]
}
