//! Which part of a recording is replayed, how often, and what its pace follows: lines in, events out.
//!
//! Runs on the replay's thread. Counts every line, and leaves bad ones out. When a recording begins again its times go
//! on: each repetition is moved behind the one before, so that no time runs backwards. A repetition without an event
//! ends the replay: it would go on for ever with nothing.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::error::{BadLine, BadReason, ReplayError};
use super::feed::Feed;
use super::journal::{Journal, Noted};
use super::pace::Prepared;
use super::recording::{Entry, Recording};
use super::report::ReplayReport;
use crate::event::{Body, Class, Event, Json, Topics};

/// Between the last event of a repetition and the first of the next.
const PAUSE_US: u64 = 1_000;

/// A part of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Passage {
    /// Where it begins.
    pub start: Start,
    /// How often it is replayed.
    pub repeats: Repeats,
    /// What the pace of a recording of our own stream follows; others have receive times only.
    pub paced_by: PacedBy,
}

/// Where a replay begins. As text: `81234`, `+90s`, `@1723161254.5`. By default with the first event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With the first event at or behind this position in the stream; of a recording of a foreign feed, with its
    /// n-th frame, from 1. With 0 it is the first.
    Position(u64),
    /// So many microseconds after the first event.
    AfterUs(u64),
    /// With the first event of this time or later, microseconds since the Unix epoch.
    AtUs(u64),
}

impl Default for Start {
    fn default() -> Self {
        Self::Position(0)
    }
}

impl fmt::Display for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Position(position) => write!(f, "{position}"),
            Self::AfterUs(us) if us % 1_000_000 == 0 => write!(f, "+{}s", us / 1_000_000),
            Self::AfterUs(us) => write!(f, "+{us}us"),
            Self::AtUs(us) if us % 1_000_000 == 0 => write!(f, "@{}", us / 1_000_000),
            Self::AtUs(us) => write!(f, "@{}.{:06}", us / 1_000_000, us % 1_000_000),
        }
    }
}

/// How often a passage is replayed. As text: `1`, `12`, `forever`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeats {
    /// So often, one after the other: at least once.
    Times(u64),
    /// Until the replay is stopped.
    Forever,
}

impl Default for Repeats {
    fn default() -> Self {
        Self::Times(1)
    }
}

impl fmt::Display for Repeats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Times(times) => write!(f, "{times}"),
            Self::Forever => f.write_str("forever"),
        }
    }
}

/// What the pace follows. As text: `publish` or `receive`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PacedBy {
    /// The times at which the events were published first.
    #[default]
    PublishTime,
    /// The times at which the recorder received them.
    ReceiveTime,
}

impl fmt::Display for PacedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PublishTime => "publish",
            Self::ReceiveTime => "receive",
        })
    }
}

/// A text that is no start of a passage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadStart(String);

impl fmt::Display for BadStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "start {:?} is neither a position such as `81234`, nor a time from the first event such as `+90s` or \
             `+1500ms`, nor a time since 1970 in seconds such as `@1723161254.5`",
            self.0
        )
    }
}

impl std::error::Error for BadStart {}

impl FromStr for Start {
    type Err = BadStart;

    fn from_str(text: &str) -> Result<Self, BadStart> {
        let parsed = if let Some(span) = text.strip_prefix('+') {
            let units = [
                ("us", 1),
                ("ms", 1_000),
                ("s", 1_000_000),
                ("m", 60_000_000),
                ("h", 3_600_000_000),
            ];
            units.iter().find_map(|(unit, us)| {
                digits(span.strip_suffix(unit)?)?.checked_mul(*us).map(Self::AfterUs)
            })
        } else if let Some(seconds) = text.strip_prefix('@') {
            seconds_us(seconds).map(Self::AtUs)
        } else {
            digits(text).map(Self::Position)
        };
        parsed.ok_or_else(|| BadStart(text.to_owned()))
    }
}

fn digits(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// Seconds with up to six decimals, in microseconds.
fn seconds_us(text: &str) -> Option<u64> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    if !(1..=6).contains(&decimals.len()) {
        return None;
    }
    let part = digits(&format!("{decimals:0<6}"))?;
    digits(whole)?.checked_mul(1_000_000)?.checked_add(part)
}

/// A recording of either kind.
#[derive(Debug)]
pub(super) enum Input {
    /// Of a foreign feed.
    Foreign(Box<Recording>, PathBuf),
    /// Of our own stream.
    Own(Box<Journal>, PathBuf),
}

impl Input {
    /// Opens a recording and recognises its kind, unless `feed` says that it is of a foreign feed.
    pub(super) fn open(path: &Path, feed: Option<Feed>) -> Result<Self, ReplayError> {
        let own = if feed.is_none() { Journal::open(path)? } else { None };
        Ok(match own {
            Some(journal) => Self::Own(Box::new(journal), path.to_owned()),
            None => Self::Foreign(Box::new(Recording::open(path, feed)?), path.to_owned()),
        })
    }

    /// The same, at its beginning.
    fn again(&self) -> Result<Self, ReplayError> {
        match self {
            Self::Foreign(recording, path) => Self::open(path, Some(recording.feed())),
            Self::Own(_, path) => Self::open(path, None),
        }
    }
}

/// An event of a recording.
struct Found {
    received_ns: u64,
    /// When it was published first, if it was.
    us: Option<u64>,
    /// Place in the stream, or in the file.
    position: u64,
    topic: String,
    /// None: the topic's name says it.
    class: Option<Class>,
    payload: Json,
}

/// The frames of a recording as events.
pub(super) struct Frames<'a> {
    input: Input,
    passage: Passage,
    topics: &'a Topics,
    report: &'a ReplayReport,
    /// Repetitions that are over.
    repeated: u64,
    /// Frames read in this repetition.
    frames: u64,
    /// Whether the passage has begun.
    has_begun: bool,
    /// Time of the first event of the recording.
    first_us: Option<u64>,
    /// Earliest and latest time of the events given in this repetition.
    given_us: Option<(u64, u64)>,
    /// What is added to all times of this repetition.
    shift_us: u64,
}

impl<'a> Frames<'a> {
    pub(super) fn new(
        input: Input,
        passage: Passage,
        topics: &'a Topics,
        report: &'a ReplayReport,
    ) -> Self {
        Self {
            input,
            passage,
            topics,
            report,
            repeated: 0,
            frames: 0,
            has_begun: false,
            first_us: None,
            given_us: None,
            shift_us: 0,
        }
    }

    /// The next event of the recording; none at its end.
    fn find(&mut self) -> Result<Option<Found>, ReplayError> {
        loop {
            let found = match &mut self.input {
                Input::Own(journal, _) => match journal.next_line()? {
                    None => return Ok(None),
                    Some(Noted::Cut(cut)) => {
                        self.report.note_cut(cut);
                        continue;
                    }
                    Some(Noted::Other) => None,
                    Some(Noted::Bad(bad)) => Some(Err(bad)),
                    Some(Noted::Event(event)) => Some(Ok(Found {
                        received_ns: event.received_ns,
                        us: Some(event.us),
                        position: event.pos,
                        topic: event.topic,
                        class: None,
                        payload: event.payload,
                    })),
                },
                Input::Foreign(recording, _) => match recording.next_entry()? {
                    None => return Ok(None),
                    Some(Entry::Bad(bad)) => Some(Err(bad)),
                    Some(Entry::Frame(frame)) => Some(Ok(Found {
                        received_ns: frame.received_ns,
                        us: None,
                        position: self.frames + 1,
                        topic: frame.topic.to_owned(),
                        class: Some(frame.class),
                        payload: frame.payload,
                    })),
                },
            };
            self.report.lines.add(1);
            match found {
                None => {}
                Some(Err(bad)) => self.report.count_bad(bad),
                Some(Ok(found)) => {
                    self.frames += 1;
                    return Ok(Some(found));
                }
            }
        }
    }

    /// The time that the pace follows.
    fn pace_ns(&self, found: &Found) -> u64 {
        match (found.us, self.passage.paced_by) {
            (Some(us), PacedBy::PublishTime) => us.saturating_mul(1_000),
            _ => found.received_ns,
        }
    }

    /// Whether the passage has begun with this event.
    fn begins(&mut self, found: &Found, time_us: u64) -> bool {
        let first_us = *self.first_us.get_or_insert(time_us);
        self.has_begun = self.has_begun
            || match self.passage.start {
                Start::Position(position) => found.position >= position,
                Start::AfterUs(span_us) => time_us >= first_us.saturating_add(span_us),
                Start::AtUs(at_us) => time_us >= at_us,
            };
        self.has_begun
    }

    /// Begins again behind what was given, if that is wanted and anything was.
    fn repeat(&mut self) -> Result<bool, ReplayError> {
        let Some((earliest_us, latest_us)) = self.given_us.take() else { return Ok(false) };
        self.repeated += 1;
        if matches!(self.passage.repeats, Repeats::Times(times) if self.repeated >= times) {
            return Ok(false);
        }
        self.input = self.input.again()?;
        (self.frames, self.has_begun, self.first_us) = (0, false, None);
        self.shift_us = self.shift_us.saturating_add(latest_us - earliest_us + PAUSE_US);
        Ok(true)
    }

    fn prepare(&mut self) -> Result<Option<Prepared>, ReplayError> {
        loop {
            let Some(found) = self.find()? else {
                if self.repeat()? {
                    continue;
                }
                return Ok(None);
            };
            let pace_ns = self.pace_ns(&found);
            let time_us = pace_ns / 1_000;
            if !self.begins(&found, time_us) {
                continue;
            }
            let topic = match self.topics.register(&found.topic, found.class) {
                Ok(topic) => topic,
                Err(error) => {
                    let (number, reason) = (self.report.lines(), BadReason::Topic(error));
                    self.report.count_bad(BadLine { number, reason });
                    continue;
                }
            };
            let (earliest_us, latest_us) = self.given_us.unwrap_or((time_us, time_us));
            self.given_us = Some((earliest_us.min(time_us), latest_us.max(time_us)));
            let body = match found.us {
                Some(us) => {
                    Body::Recorded { us: us.saturating_add(self.shift_us), payload: found.payload }
                }
                None => Body::External(found.payload),
            };
            return Ok(Some(Prepared {
                received_ns: pace_ns.saturating_add(self.shift_us.saturating_mul(1_000)),
                // Its time is that at which it is published.
                event: Event { topic, key: 0, time_us: 0, body },
            }));
        }
    }
}

impl Iterator for Frames<'_> {
    type Item = Result<Prepared, ReplayError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.prepare().transpose()
    }
}
