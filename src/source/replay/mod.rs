//! Recordings, replayed: each frame's bytes unchanged under a topic of its feed, at the recording's pace, at a
//! multiple of it, or as fast as the slowest subscriber follows.
//!
//! Runs on a thread of its own that may block on the disk. A frame costs one line copy, one parse and one slot of
//! the private ring. Never drops a frame on a full ring (it retries, and the delay shows as pacing error), never
//! lets a bad line end the stream.
//!
//! `speed` the pace · `lines` the file · `feed` and `venues` what a frame is about · `recording` frames with topic and
//! time · `journal` recordings of our own stream · `passage` which part is replayed, and how often · `pace` when each is
//! published · `report` what became of it.

mod error;
mod feed;
mod journal;
mod lines;
mod pace;
#[cfg(test)]
mod pace_tests;
mod passage;
#[cfg(test)]
mod passage_tests;
mod recording;
mod report;
mod speed;
mod venues;

use std::path::PathBuf;
use std::sync::Arc;

use self::pace::{Ended, Pacer};
use self::passage::{Frames, Input};
use super::{Source, SourceContext, SourceError};

pub use self::error::{BadLine, BadReason, ReplayError};
pub use self::feed::{Feed, UnknownFeed};
pub use self::journal::{Cut, Journal, JournalEvent, Noted};
pub use self::lines::FRAME_BYTES_MAX;
pub use self::passage::{BadStart, PacedBy, Passage, Repeats, Start};
pub use self::recording::{Entry, Recorded, Recording};
pub use self::report::{PacingError, ReplayReport};
pub use self::speed::{BadSpeed, FACTOR_MAX, FACTOR_MIN, Speed};

/// What to replay, and how fast.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// The file, plain or gzip (told apart by its bytes).
    pub path: PathBuf,
    /// Of which feed it is; None: recognised from its first frames.
    pub feed: Option<Feed>,
    /// The pace.
    pub speed: Speed,
}

impl Options {
    /// From what follows `replay:` on the command line: `PATH`, or `FEED=PATH`. A word of letters, digits and `-`
    /// before the first `=` is a feed's name; a file called like that is written `./a=b`.
    ///
    /// # Errors
    /// When the feed is unknown or there is no path.
    pub fn from_spec(spec: &str, speed: Speed) -> Result<Self, ReplayError> {
        let is_word = |text: &str| {
            !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        let (feed, path) = match spec.split_once('=') {
            Some((word, path)) if is_word(word) => {
                (Some(word.parse().map_err(ReplayError::UnknownFeed)?), path)
            }
            _ => (None, spec),
        };
        if path.is_empty() {
            return Err(ReplayError::NoPath);
        }
        Ok(Self { path: path.into(), feed, speed })
    }
}

/// A recording as a [`Source`].
#[derive(Debug)]
pub struct Replay {
    options: Options,
    /// Taken by the first run.
    recording: Option<Input>,
    passage: Passage,
    report: Arc<ReplayReport>,
}

impl Replay {
    /// Opens the file and looks at its first lines, so that a wrong path, file or feed is an error before anything
    /// starts. Blocks on the disk.
    ///
    /// # Errors
    /// See [`ReplayError`]; the message names the path and the reason.
    pub fn open(options: Options) -> Result<Self, ReplayError> {
        if !options.speed.is_valid() {
            return Err(ReplayError::BadSpeed(options.speed));
        }
        let recording = Some(Input::open(&options.path, options.feed)?);
        let (passage, report) = (Passage::default(), Arc::new(ReplayReport::new()));
        Ok(Self { options, recording, passage, report })
    }

    /// The same, of this part of the recording (default: all of it, once).
    #[must_use]
    pub fn passage(self, passage: Passage) -> Self {
        Self { passage, ..self }
    }

    /// What it has done: kept up to date while it runs, and readable after it.
    #[must_use]
    pub fn report(&self) -> Arc<ReplayReport> {
        Arc::clone(&self.report)
    }

    /// Whether the recording is one of our own stream, and not of a feed.
    #[must_use]
    pub fn is_of_own_stream(&self) -> bool {
        matches!(self.recording, Some(Input::Own(..)))
    }

    fn publish_all(&mut self, context: &mut SourceContext) -> Result<Ended, SourceError> {
        let recording =
            self.recording.take().ok_or_else(|| SourceError("a replay runs once".to_owned()))?;
        let frames = Frames::new(recording, self.passage, &context.topics, &self.report);
        let pacer =
            Pacer::new(frames, &mut context.publisher, &context.clock, &context.stop, &self.report);
        match self.options.speed {
            Speed::Paced(factor) => pacer.run_paced(factor),
            Speed::Max => pacer.run_gated(&*context.gate),
        }
        .map_err(|error| SourceError(error.to_string()))
    }

    fn log_summary(&self, ended: &Result<Ended, SourceError>) {
        let report = &*self.report;
        let pacing = report.pacing_error();
        let end = match ended {
            Ok(Ended::Complete) => "complete",
            Ok(Ended::Stopped) => "stopped",
            Err(_) => "failed",
        };
        tracing::info!(
            path = %self.options.path.display(),
            speed = %self.options.speed,
            end,
            lines = report.lines(),
            events = report.events(),
            bad_lines = report.bad_lines(),
            pacing_error_p50_us = pacing.p50_us,
            pacing_error_p99_us = pacing.p99_us,
            pacing_error_max_us = pacing.max_us,
            "replay ended"
        );
    }
}

impl Source for Replay {
    fn name(&self) -> &'static str {
        "replay"
    }

    fn run(&mut self, mut context: SourceContext) -> Result<(), SourceError> {
        let ended = self.publish_all(&mut context);
        self.report.finished.raise();
        self.log_summary(&ended);
        ended.map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spec_is_a_path_or_a_feed_and_a_path() {
        for (spec, feed, path) in [
            ("a.gz", None, "a.gz"),
            ("/x/a=b.jsonl", None, "/x/a=b.jsonl"),
            ("./a=b", None, "./a=b"),
            ("binance=a.gz", Some(Feed::Binance), "a.gz"),
            ("binance=a=b", Some(Feed::Binance), "a=b"),
            ("kraken-futures=a", Some(Feed::KrakenFutures), "a"),
        ] {
            let options = Options::from_spec(spec, Speed::Max).unwrap();
            assert_eq!(options, Options { path: path.into(), feed, speed: Speed::Max }, "{spec}");
        }
    }

    #[test]
    fn a_spec_without_a_path_or_with_an_unknown_feed_says_what_it_should_be() {
        for spec in ["", "binance="] {
            let message = Options::from_spec(spec, Speed::Max).unwrap_err().to_string();
            assert!(message.contains("replay:binance=PATH"), "{message}");
        }
        let message = Options::from_spec("ftx=a.gz", Speed::Max).unwrap_err().to_string();
        assert!(message.contains("\"ftx\"") && message.contains("`binance`"), "{message}");
    }

    #[test]
    fn a_wrong_path_or_speed_is_an_error_before_anything_starts() {
        let missing =
            Options { path: "/no/such/recording.gz".into(), feed: None, speed: Speed::Max };
        let message = Replay::open(missing.clone()).unwrap_err().to_string();
        assert!(
            message.contains("/no/such/recording.gz") && message.contains("No such file"),
            "{message}"
        );
        for factor in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let options = Options { speed: Speed::Paced(factor), ..missing.clone() };
            assert!(matches!(Replay::open(options), Err(ReplayError::BadSpeed(_))), "{factor}");
        }
    }
}
