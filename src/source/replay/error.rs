//! Why a recording cannot be replayed, and why one of its lines was left out.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::feed::{Feed, UnknownFeed};
use super::lines::FRAME_BYTES_MAX;
use super::speed::{FACTOR_MAX, FACTOR_MIN, Speed};
use crate::event::TopicError;

/// Why a recording cannot be replayed, or not to its end; the messages are sentences for the operator.
#[derive(Debug)]
pub enum ReplayError {
    /// The file cannot be opened, or its first bytes cannot be read.
    Open {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The file breaks off: the disk or the decompressor failed after that many lines, all of which were published.
    Read {
        /// The file.
        path: PathBuf,
        /// Lines before the fault.
        lines: u64,
        /// What the system says.
        error: io::Error,
    },
    /// The file holds no line.
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// None of the first lines is a time stamp and a frame.
    NotARecording {
        /// The file.
        path: PathBuf,
        /// What is wrong with the first line.
        first: BadLine,
    },
    /// The first lines are well formed, but of no feed that is known.
    UnrecognisedFeed {
        /// The file.
        path: PathBuf,
    },
    /// The word before `=` names no feed.
    UnknownFeed(UnknownFeed),
    /// There is no path.
    NoPath,
    /// A factor outside the allowed range.
    BadSpeed(Speed),
}

impl fmt::Display for ReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open { path, error } => {
                write!(f, "cannot open the recording {}: {error}", path.display())
            }
            Self::Read { path, lines, error } => {
                write!(
                    f,
                    "the recording {} breaks off after {lines} lines: {error}",
                    path.display()
                )
            }
            Self::Empty { path } => write!(f, "the recording {} is empty", path.display()),
            Self::NotARecording { path, first } => write!(
                f,
                "{} is not a recording: lines are `<receive time in ns> <frame>`, but {first}",
                path.display()
            ),
            Self::UnrecognisedFeed { path } => write!(
                f,
                "cannot tell which feed {} was recorded from; name it as in `replay:binance=PATH`; known feeds: {}",
                path.display(),
                Feed::names()
            ),
            Self::UnknownFeed(unknown) => unknown.fmt(f),
            Self::NoPath => f.write_str(
                "no path given; a recording is named as in `replay:PATH` or `replay:binance=PATH`",
            ),
            Self::BadSpeed(speed) => {
                write!(f, "speed {speed} is outside the range from {FACTOR_MIN}x to {FACTOR_MAX}x")
            }
        }
    }
}

impl std::error::Error for ReplayError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Open { error, .. } | Self::Read { error, .. } => Some(error),
            Self::UnknownFeed(unknown) => Some(unknown),
            _ => None,
        }
    }
}

/// A line that was counted and left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    /// Its number, from 1.
    pub number: u64,
    /// What is wrong with it.
    pub reason: BadReason,
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadReason {
    /// It does not start with a decimal number of at most 64 bits and one space.
    NoStamp,
    /// The frame is not one JSON value in UTF-8.
    NotJson,
    /// The frame has a topic, but is no event: it has no seq, no time or no payload.
    NoEvent,
    /// The frame is longer than [`FRAME_BYTES_MAX`].
    TooLong,
    /// Its topic cannot be registered.
    Topic(TopicError),
}

impl BadReason {
    /// The words of all reasons.
    pub const NAMES: [&str; 5] = ["no_stamp", "not_json", "no_event", "too_long", "topic"];

    /// The word in metrics.
    #[must_use]
    pub fn name(&self) -> &'static str {
        let index = match self {
            Self::NoStamp => 0,
            Self::NotJson => 1,
            Self::NoEvent => 2,
            Self::TooLong => 3,
            Self::Topic(_) => 4,
        };
        Self::NAMES[index]
    }
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} ", self.number)?;
        match &self.reason {
            BadReason::NoStamp => f.write_str("has no receive time"),
            BadReason::NotJson => f.write_str("has a frame that is not JSON in UTF-8"),
            BadReason::NoEvent => f.write_str("has a frame that is no event"),
            BadReason::TooLong => write!(f, "has a frame of more than {FRAME_BYTES_MAX} bytes"),
            BadReason::Topic(error) => {
                write!(f, "has a topic that cannot be registered ({error:?})")
            }
        }
    }
}
