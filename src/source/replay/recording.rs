//! A recording: one frame after the other, with its receive time, its topic and its bytes as they were.
//!
//! ```text
//! 1723161254087896568 {"stream":"btcusdt@trade","data":{…}}\n
//! └ receive time, ns  └ the frame, which is the payload byte for byte
//! ```
//!
//! Runs on the replay's thread. A frame is copied once into a block of 64 KiB that it shares with its
//! neighbours (one allocation for about 400 frames; a frame above 16 KiB has one of its own); the block lives as
//! long as any of its payloads, so that a last value kept for hours keeps at most 64 KiB, or its own size, alive.
//! Never reorders, joins or changes frames, except that a raw carriage return inside one, which in JSON can only
//! be white space, becomes a space. A line that cannot be used is handed out as a fact, never an end.

use std::io;
use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};

use super::error::{BadLine, BadReason, ReplayError};
use super::feed::{Feed, Frames, Kind};
use super::lines::{FRAME_BYTES_MAX, Line, Lines};
use crate::event::{Class, Json};

/// Size of the blocks that payloads are slices of.
const BLOCK_BYTES: usize = 64 * 1024;
/// Longer frames have an allocation of their own: they would leave the rest of a block unused, or outgrow it.
const SHARED_BYTES_MAX: usize = BLOCK_BYTES / 4;
/// How many lines are looked at on opening, to recognise the feed and find the first symbol.
const PEEK_LINES_MAX: u64 = 256;
/// How many bytes are looked at on opening, the last line in full.
const PEEK_BYTES_MAX: usize = 1 << 20;

/// A file that is read frame by frame.
#[derive(Debug)]
pub struct Recording {
    path: PathBuf,
    feed: Feed,
    lines: Lines,
    frames: Frames,
    block: BytesMut,
    lines_read: u64,
}

/// One line of a recording.
#[derive(Debug, PartialEq)]
pub enum Entry<'a> {
    /// A frame.
    Frame(Recorded<'a>),
    /// A line without one; the next line is not affected.
    Bad(BadLine),
}

/// A recorded frame.
#[derive(Debug, PartialEq)]
pub struct Recorded<'a> {
    /// When it was received, nanoseconds since the Unix epoch by the recorder's clock. May run backwards.
    pub received_ns: u64,
    /// Its topic, such as `binance:trade:BTCUSDT`.
    pub topic: &'a str,
    /// The topic's class.
    pub class: Class,
    /// The frame.
    pub payload: Json,
}

impl Recording {
    /// Opens a file, plain or gzip, and looks at its first lines. `feed`: None to recognise it. Blocks on the disk.
    ///
    /// # Errors
    /// When the file cannot be read, holds no line of the form above, or is of no known feed.
    pub fn open(path: &Path, feed: Option<Feed>) -> Result<Self, ReplayError> {
        let failed = |error: io::Error| ReplayError::Open { path: path.to_owned(), error };
        let mut lines = Lines::open(path).map_err(failed)?;
        let frames = recognise(path, &mut lines, feed)?;
        Ok(Self {
            path: path.to_owned(),
            feed: frames.feed(),
            lines,
            frames,
            block: BytesMut::with_capacity(BLOCK_BYTES),
            lines_read: 0,
        })
    }

    /// The feed that was named or recognised.
    #[must_use]
    pub fn feed(&self) -> Feed {
        self.feed
    }

    /// The next line, or none at the end. Blocks on the disk.
    ///
    /// # Errors
    /// [`ReplayError::Read`] when the file breaks off; there is nothing to read after that.
    pub fn next_entry(&mut self) -> Result<Option<Entry<'_>>, ReplayError> {
        let line = match self.lines.next_line() {
            Ok(Some(line)) => line,
            Ok(None) => return Ok(None),
            Err(error) => {
                return Err(ReplayError::Read {
                    path: self.path.clone(),
                    lines: self.lines_read,
                    error,
                });
            }
        };
        self.lines_read += 1;
        let read = stamped(line).and_then(|(received_ns, frame)| {
            if frame.contains(&b'\r') {
                frame.iter_mut().filter(|byte| **byte == b'\r').for_each(|byte| *byte = b' ');
            }
            // The copy comes first: the parser unescapes strings in place.
            let payload = if frame.len() > SHARED_BYTES_MAX {
                Bytes::copy_from_slice(frame)
            } else {
                self.block.extend_from_slice(frame);
                self.block.split().freeze()
            };
            let kind = self.frames.read(frame).map_err(|_| BadReason::NotJson)?;
            Ok((received_ns, kind, payload))
        });
        Ok(Some(match read {
            Ok((received_ns, kind, payload)) => Entry::Frame(Recorded {
                received_ns,
                topic: self.frames.topic(),
                class: kind.class(),
                payload: Json::vouched(payload),
            }),
            Err(reason) => Entry::Bad(BadLine { number: self.lines_read, reason }),
        }))
    }
}

/// The receive time and the frame of a line.
pub(super) fn stamped(line: Line<'_>) -> Result<(u64, &mut [u8]), BadReason> {
    let Line::Whole(line) = line else {
        return Err(BadReason::TooLong);
    };
    let digits = line.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if line.get(digits) != Some(&b' ') {
        return Err(BadReason::NoStamp);
    }
    let (stamp, rest) = line.split_at_mut(digits);
    let number = std::str::from_utf8(stamp).ok().and_then(|stamp| stamp.parse().ok());
    let received_ns = number.ok_or(BadReason::NoStamp)?;
    match rest {
        [_, frame @ ..] if frame.len() <= FRAME_BYTES_MAX => Ok((received_ns, frame)),
        _ => Err(BadReason::TooLong),
    }
}

/// Looks at the first lines until a frame names a symbol; the reader of frames then knows it.
fn recognise(path: &Path, lines: &mut Lines, feed: Option<Feed>) -> Result<Frames, ReplayError> {
    let failed = |error: io::Error| ReplayError::Open { path: path.to_owned(), error };
    let named = feed.as_slice();
    let mut candidates: Vec<Frames> = if feed.is_some() { named } else { &Feed::ALL }
        .iter()
        .map(|feed| Frames::of(*feed))
        .collect();
    let (mut count, mut bytes, mut well_formed, mut first_bad) = (0, 0, false, None);
    while count < PEEK_LINES_MAX && bytes < PEEK_BYTES_MAX {
        let Some(line) = lines.peek_line().map_err(failed)? else {
            break;
        };
        count += 1;
        if let Line::Whole(whole) = &line {
            bytes += whole.len();
        }
        let read = stamped(line).and_then(|(_, frame)| {
            let original = frame.to_vec();
            for (index, candidate) in candidates.iter_mut().enumerate() {
                frame.copy_from_slice(&original);
                let kind = candidate.read(frame).map_err(|_| BadReason::NotJson)?;
                if kind != Kind::Control && candidate.has_symbol() {
                    return Ok(Some(index));
                }
            }
            Ok(None)
        });
        match read {
            Ok(Some(index)) => return Ok(candidates.swap_remove(index)),
            Ok(None) => well_formed = true,
            Err(reason) => first_bad = first_bad.or(Some(BadLine { number: count, reason })),
        }
    }
    let path = path.to_owned();
    match (feed, first_bad) {
        _ if count == 0 => Err(ReplayError::Empty { path }),
        (_, Some(first)) if !well_formed => Err(ReplayError::NotARecording { path, first }),
        (Some(feed), _) => Ok(Frames::of(feed)),
        (None, _) => Err(ReplayError::UnrecognisedFeed { path }),
    }
}
