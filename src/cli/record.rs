//! `lineage record`: writes what a server sends into a file that `--source replay:FILE` plays again.
//!
//! A lost connection is made again and the stream resumed; what is missing after all is written down as a note, and
//! told on stderr. A signal ends the file cleanly. While the disk is slow nothing is read from the socket: the server
//! then sees a slow client, and memory stays bounded.

use super::arguments::{URL_DEFAULT, retry_for, retry_time, target};
use super::recording::{Form, Recorder, Sync, parse_bytes};
use super::subscribe::{Absence, Asked, Subscription, client, ended};
use super::{runtime, tell};
use clap::{Arg, ArgMatches, Command};
use futures_util::StreamExt as _;
use lineage::client::{Gap, Update};
use lineage::clock::Clock;
use lineage::error::Error;
use serde_json::{Value, json};
use std::io;
use std::path::PathBuf;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep_until};

const HELP: &str = "\
Examples:
  lineage record day.jsonl.gz                      everything from ws://127.0.0.1:9001/v1
  lineage record trades.jsonl ws://example.net:9001/v1 'trade:*'
  lineage record day.jsonl.gz --rotate 100MB --sync 1s
  lineage --source replay:day.jsonl.gz             plays it again

A file that exists is not replaced. A name that ends in .gz is compressed. A full part is followed by day.0002.jsonl.gz
and so on; parts that are joined with cat are one recording. ^C or SIGTERM ends the file with a note that says how many
events it holds and how many are missing; the same goes to stderr.

Exit codes: 0 ended by a signal or by the server, 1 failure while running (the file cannot be written), 2 usage,
69 cannot connect, 77 refused by the server.";

/// The command and its options.
pub(super) fn command() -> Command {
    Command::new("record")
        .about("Write what a server sends into a file, until ^C")
        .after_help(HELP)
        .arg(Arg::new("file").value_name("FILE").required(true).help("The file to make"))
        .arg(Arg::new("target").value_name("[URL] TOPIC").num_args(0..).help(format!(
            "Where to connect [default: {URL_DEFAULT}] and what to record: topics or patterns \
             [default: *]"
        )))
        .arg(
            Arg::new("rotate")
                .long("rotate")
                .value_name("SIZE")
                .value_parser(parse_bytes)
                .help("Begin a new file when one has so many bytes [default: never]"),
        )
        .arg(
            Arg::new("sync")
                .long("sync")
                .value_name("WHEN")
                .default_value("1s")
                .value_parser(Sync::parse)
                .help("When events are on the disk: never (when the system likes), 1s, each"),
        )
        .arg(retry_for())
}

/// What the command line asks for.
///
/// # Errors
/// When the address or a topic is none.
pub(super) fn recording(matches: &ArgMatches) -> Result<Recording, Error> {
    let (url, topics) = target(matches);
    let asked = Asked {
        url,
        topics,
        is_without_snapshot: true,
        retry_for: retry_time(matches),
        ..Asked::default()
    };
    let form = Form {
        path: matches.get_one::<String>("file").map(PathBuf::from).unwrap_or_default(),
        rotate_bytes: matches.get_one("rotate").copied(),
        sync: matches.get_one("sync").copied().unwrap_or(Sync::EachSecond),
    };
    Recording::new(asked, form)
}

/// What to record, and where to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Recording {
    asked: Asked,
    form: Form,
}

impl Recording {
    /// # Errors
    /// When the URL is not that of a v1 server, or a topic is none.
    pub(super) fn new(asked: Asked, form: Form) -> Result<Self, Error> {
        if !asked.url.ends_with("/v1") {
            return Err(Error::Usage(format!(
                "{} cannot be recorded: only URLs that end in /v1 tell what is missing",
                asked.url
            )));
        }
        let asked = Subscription::new(asked)?.into_asked();
        Ok(Self { asked, form })
    }
}

/// What is missing.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Losses {
    gaps: u64,
    events: u64,
}

impl Losses {
    fn count(&mut self, gap: &Gap) {
        let events = match gap.from {
            0 => gap.to,
            from if gap.to < from => return,
            from => gap.to - from + 1,
        };
        self.gaps += 1;
        self.events = self.events.saturating_add(events);
    }
}

/// Records until a signal, or until the server is gone for good.
///
/// # Errors
/// When the file cannot be written, the server cannot be reached or refuses, or the connection is lost and cannot be
/// made again in time. The file is ended cleanly whatever happens, as far as the disk allows.
pub(super) fn record(recording: &Recording) -> Result<(), Error> {
    let Recording { asked, form } = recording;
    let clock = Clock::system();
    let origin = json!({ "format": 1, "url": asked.url, "topics": asked.topics });
    let path = form.path.display();
    let mut recorder = Recorder::create(form.clone(), origin, clock.now_ns())
        .map_err(|error| Error::Runtime(format!("cannot create {path}: {error}")))?;
    let mut losses = Losses::default();
    let mut events = 0;
    let (why, end) = runtime()?.block_on(async {
        let signals = [SignalKind::interrupt(), SignalKind::terminate()].map(signal);
        let [Ok(mut interrupt), Ok(mut terminate)] = signals else {
            return ("failure", Err(Error::Runtime("cannot wait for signals".to_owned())));
        };
        let following = follow(asked, form, &clock, &mut recorder, &mut losses, &mut events);
        tokio::select! {
            biased;
            () = either(&mut interrupt, &mut terminate) => ("signal", Ok(())),
            end = following => (if end.is_ok() { "closed" } else { "failure" }, end),
        }
    });
    let note = json!({ "note": "end", "why": why, "events": events, "gaps": losses.gaps, "missed": losses.events });
    let written = recorder.end(clock.now_ns(), &note).map_err(|error| unwritable(&error));
    tell(&format!(
        "recorded {events} events in {} file(s), {} bytes, beginning with {path}; {} gaps with {} events missed",
        recorder.parts(),
        recorder.bytes(),
        losses.gaps,
        losses.events
    ));
    end.and(written)
}

async fn either(one: &mut Signal, other: &mut Signal) {
    tokio::select! {
        _ = one.recv() => {}
        _ = other.recv() => {}
    }
}

fn unwritable(error: &io::Error) -> Error {
    Error::Runtime(format!("cannot write the recording: {error}"))
}

async fn follow(
    asked: &Asked,
    form: &Form,
    clock: &Clock,
    recorder: &mut Recorder,
    losses: &mut Losses,
    events: &mut u64,
) -> Result<(), Error> {
    let mut client = client(asked).map_err(|error| Error::Usage(error.to_string()))?;
    let mut absence = Absence::default();
    let mut flush_at: Option<Instant> = None;
    loop {
        let update = tokio::select! {
            biased;
            () = until(flush_at) => {
                recorder.flush().map_err(|error| unwritable(&error))?;
                flush_at = None;
                continue;
            }
            update = client.next() => update,
        };
        let update = match update {
            Some(Ok(update)) => update,
            Some(Err(error)) => return ended(asked, &error).map(|_| ()),
            None => return Ok(()),
        };
        let now_ns = clock.now_ns();
        let written = match &update {
            Update::Event(event) => {
                *events += 1;
                recorder.line(now_ns, event.text())
            }
            update => match noted(update, losses) {
                Some(note) => recorder.note(now_ns, &note),
                None => Ok(()),
            },
        };
        written.map_err(|error| unwritable(&error))?;
        if recorder.has_unflushed() && flush_at.is_none() {
            flush_at = Some(Instant::now() + form.sync.patience());
        }
        match &update {
            Update::Reconnecting(next) => {
                let was_connected = client.counts().connections > 0;
                let patience = if was_connected { asked.retry_for } else { Duration::ZERO };
                if let Some(end) = absence.goes_on(asked, next, patience) {
                    return end.map(|_| ());
                }
            }
            update if update.text().is_some() => absence = Absence::default(),
            _ => {}
        }
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// What is to be noted of an update that is no event, and told to whoever watches.
fn noted(update: &Update, losses: &mut Losses) -> Option<Value> {
    match update {
        Update::Connected(connected) => Some(json!({
            "note": "connected", "epoch": connected.epoch, "pos": connected.pos, "recovered": connected.recovered,
        })),
        Update::Gap(gap) => {
            losses.count(gap);
            tell(&format!("GAP {} {} to {}: {}", gap.topic, gap.from, gap.to, gap.reason));
            Some(json!({
                "note": "gap", "topic": gap.topic, "from": gap.from, "to": gap.to, "reason": gap.reason.to_string(),
            }))
        }
        Update::Broken(broken) => {
            tell(&format!("BROKEN {} {} instead of {}", broken.topic, broken.seq, broken.expected));
            Some(json!({
                "note": "broken", "topic": broken.topic, "expected": broken.expected, "seq": broken.seq,
            }))
        }
        Update::Rejected(rejected) => {
            tell(&format!("{} was not taken: {}", rejected.topic, rejected.code));
            Some(json!({ "note": "rejected", "topic": rejected.topic, "code": rejected.code }))
        }
        Update::Reconnecting(next) => {
            Some(json!({ "note": "lost", "why": next.why.to_string(), "attempt": next.attempt }))
        }
        _ => None,
    }
}
