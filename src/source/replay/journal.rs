//! A recording of our own stream, as `lineage record` writes it: v1 frames, each with its receive time.
//!
//! ```text
//! 1723161254087896568 {"type":"recorder","payload":{"note":"begin",…}}\n
//! 1723161254087999000 {"type":"market","topic":"market:BTC-USD","seq":1,"pos":7,"us":…,"payload":{…},"timestamp":…}\n
//! 1723161260000000000 {"type":"recorder","payload":{"note":"end",…}}\n
//! └ receive time, ns  └ the message as it came
//! ```
//!
//! Runs on the replay's thread. An event keeps its topic, its time and its payload byte for byte. Messages that are no
//! events (notes of the recorder, snapshots, gaps) are passed over. A recorder that was killed leaves a last line
//! without its end, or a gzip member without its end: what is whole is handed out, the rest is told as a [`Cut`].

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};
use flate2::bufread::GzDecoder;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::error::{BadLine, BadReason, ReplayError};
use super::lines::Lines;
use super::recording::stamped;
use crate::event::Json;

/// How many lines are looked at to tell a journal from another recording.
const PEEK_LINES_MAX: usize = 16;
/// Payloads are slices of blocks of this size; longer ones than a quarter of it have an allocation of their own.
const BLOCK_BYTES: usize = 64 * 1024;

/// A journal that is read line by line.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    lines: Lines,
    block: BytesMut,
    lines_read: u64,
    /// The recorder said that it began, and not yet that it ended.
    is_open: bool,
    /// The last line has no line feed, yet is all there.
    is_last_line_whole: bool,
    /// Nothing more is to be read.
    is_over: bool,
}

/// One line of a journal.
#[derive(Debug, PartialEq)]
pub enum Noted {
    /// An event.
    Event(JournalEvent),
    /// A message that is none.
    Other,
    /// A line that cannot be used; the next one is not affected.
    Bad(BadLine),
    /// The recorder did not finish the file. The last thing a journal gives.
    Cut(Cut),
}

/// A recorded event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalEvent {
    /// When it was received, nanoseconds since the Unix epoch by the recorder's clock. May run backwards.
    pub received_ns: u64,
    /// What it is about.
    pub topic: String,
    /// Place within its topic when it was recorded.
    pub seq: u64,
    /// Place in the stream when it was recorded; 0 if the server did not tell.
    pub pos: u64,
    /// When it was published first, microseconds since the Unix epoch.
    pub us: u64,
    /// What happened.
    pub payload: Json,
}

/// What is unfinished at the end of a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// Bytes of a last line without its end.
    pub line_bytes: u64,
    /// Bytes of the file behind its last whole gzip member; of a file that is not compressed the same as
    /// `line_bytes`.
    pub file_bytes: u64,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    topic: Option<&'a str>,
    seq: Option<u64>,
    pos: Option<u64>,
    us: Option<u64>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Note<'a> {
    note: &'a str,
}

/// What a message is.
enum Meaning<'a> {
    Event { topic: &'a str, seq: u64, pos: u64, us: u64, payload: &'a [u8] },
    Begin,
    End,
    Other,
}

impl Journal {
    /// Opens a file, plain or gzip, if its first lines are those of a journal; none when they are not. Blocks on the
    /// disk.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn open(path: &Path) -> Result<Option<Self>, ReplayError> {
        let failed = |error: io::Error| ReplayError::Open { path: path.to_owned(), error };
        let mut lines = Lines::open(path).map_err(failed)?;
        for _ in 0..PEEK_LINES_MAX {
            // What cannot be read here will be an error of whoever reads the file as something else.
            let Ok(Some(line)) = lines.peek_line() else { break };
            let Ok((_, frame)) = stamped(line) else { continue };
            let is_ours = meaning(frame).is_ok_and(|found| !matches!(found, Meaning::Other));
            return Ok(is_ours.then(|| Self {
                path: path.to_owned(),
                lines,
                block: BytesMut::with_capacity(BLOCK_BYTES),
                lines_read: 0,
                is_open: false,
                is_last_line_whole: false,
                is_over: false,
            }));
        }
        Ok(None)
    }

    /// The next line, or none at the end. Blocks on the disk.
    ///
    /// # Errors
    /// [`ReplayError::Read`] when the disk fails or a compressed file is damaged; there is nothing to read after that.
    pub fn next_line(&mut self) -> Result<Option<Noted>, ReplayError> {
        if self.is_over {
            return Ok(None);
        }
        let line = match self.lines.next_line() {
            Ok(Some(line)) => line,
            Ok(None) => return self.end(),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return self.end(),
            Err(error) => {
                let (path, lines) = (self.path.clone(), self.lines_read);
                return Err(ReplayError::Read { path, lines, error });
            }
        };
        self.lines_read += 1;
        let number = self.lines_read;
        let block = &mut self.block;
        let read = stamped(line).and_then(|(received_ns, frame)| {
            Ok(match meaning(frame)? {
                Meaning::Event { topic, seq, pos, us, payload } => {
                    let payload =
                        Json::parse(shared(block, payload)).map_err(|_| BadReason::NotJson)?;
                    let topic = topic.to_owned();
                    Noted::Event(JournalEvent { received_ns, topic, seq, pos, us, payload })
                }
                Meaning::Begin => {
                    self.is_open = true;
                    Noted::Other
                }
                Meaning::End => {
                    self.is_open = false;
                    Noted::Other
                }
                Meaning::Other => Noted::Other,
            })
        });
        match read {
            // The part of a line that a killed recorder had written.
            Err(_) if self.lines.unfinished_bytes() > 0 => self.end(),
            Err(reason) => Ok(Some(Noted::Bad(BadLine { number, reason }))),
            Ok(noted) => {
                self.is_last_line_whole = self.lines.unfinished_bytes() > 0;
                Ok(Some(noted))
            }
        }
    }

    /// What is to be said at the end of the file.
    fn end(&mut self) -> Result<Option<Noted>, ReplayError> {
        self.is_over = true;
        let unfinished = if self.is_last_line_whole { 0 } else { self.lines.unfinished_bytes() };
        let line_bytes = unfinished as u64;
        let failed =
            |error| ReplayError::Read { path: self.path.clone(), lines: self.lines_read, error };
        let file_bytes = match bytes_behind_members(&self.path).map_err(failed)? {
            Some(bytes) => bytes,
            None => line_bytes,
        };
        let is_cut = self.is_open || line_bytes > 0 || file_bytes > 0;
        Ok(is_cut.then_some(Noted::Cut(Cut { line_bytes, file_bytes })))
    }
}

/// Finds out what a frame is.
fn meaning(frame: &[u8]) -> Result<Meaning<'_>, BadReason> {
    let message: Message<'_> = serde_json::from_slice(frame).map_err(|_| BadReason::NotJson)?;
    let (kind, payload) = (message.kind, message.payload);
    match message {
        Message { kind: "snapshot" | "gap", .. } => Ok(Meaning::Other),
        Message {
            topic: Some(topic),
            seq: Some(seq),
            us: Some(us),
            payload: Some(raw),
            pos,
            ..
        } => {
            let payload = with_space(frame, raw.get().as_bytes());
            Ok(Meaning::Event { topic, seq, pos: pos.unwrap_or_default(), us, payload })
        }
        Message { topic: Some(_), .. } => Err(BadReason::NoEvent),
        _ if kind == "recorder" => {
            let note = payload.and_then(|raw| serde_json::from_str::<Note<'_>>(raw.get()).ok());
            Ok(match note.map(|note| note.note) {
                Some("begin") => Meaning::Begin,
                Some("end") => Meaning::End,
                _ => Meaning::Other,
            })
        }
        _ => Ok(Meaning::Other),
    }
}

/// `value` with the white space around it: what came from outside has some, and is to stay byte for byte.
fn with_space<'a>(frame: &'a [u8], value: &[u8]) -> &'a [u8] {
    let start = value.as_ptr().addr() - frame.as_ptr().addr();
    let end = start + value.len();
    let is_space = |byte: &&u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    let before = frame[..start].iter().rev().take_while(is_space).count();
    let after = frame[end..].iter().take_while(is_space).count();
    &frame[start - before..end + after]
}

/// A copy of `payload`, in a block with its neighbours unless it is long.
fn shared(block: &mut BytesMut, payload: &[u8]) -> Bytes {
    if payload.len() > BLOCK_BYTES / 4 {
        return Bytes::copy_from_slice(payload);
    }
    if block.capacity() < payload.len() {
        *block = BytesMut::with_capacity(BLOCK_BYTES);
    }
    block.extend_from_slice(payload);
    block.split().freeze()
}

/// How many bytes follow the last whole gzip member of a file; none when it is not compressed. Reads all of it.
fn bytes_behind_members(path: &Path) -> io::Result<Option<u64>> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut input = Counted { input: BufReader::with_capacity(BLOCK_BYTES, file), read: 0 };
    if !input.fill_buf()?.starts_with(&[0x1f, 0x8b]) {
        return Ok(None);
    }
    let mut whole = 0;
    while io::copy(&mut GzDecoder::new(&mut input), &mut io::sink()).is_ok() && input.read > whole {
        whole = input.read;
    }
    Ok(Some(length.saturating_sub(whole)))
}

/// Counts what is read.
struct Counted<R> {
    input: R,
    read: u64,
}

impl<R: BufRead> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.read += count as u64;
        Ok(count)
    }
}

impl<R: BufRead> BufRead for Counted<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.input.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.input.consume(count);
        self.read += count as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::{Meaning, meaning};
    use proptest::prelude::*;

    fn payload_of(frame: &str) -> Option<&str> {
        match meaning(frame.as_bytes()) {
            Ok(Meaning::Event { payload, .. }) => std::str::from_utf8(payload).ok(),
            _ => None,
        }
    }

    #[test]
    fn a_payload_keeps_the_white_space_around_it() {
        for payload in ["{}", " {} ", "\t[1, 2]", "7", "\"a\" "] {
            let frame = format!(
                r#"{{"type":"x","topic":"x:y","seq":1,"pos":2,"us":3,"payload":{payload},"timestamp":0}}"#
            );
            assert_eq!(payload_of(&frame), Some(payload));
        }
    }

    #[test]
    fn messages_without_an_event_are_passed_over_and_broken_events_are_bad() {
        for frame in [
            r#"{"type":"snapshot","topic":"a:b","seq":1,"us":2,"payload":{}}"#,
            r#"{"type":"gap","topic":"a:b","payload":{"from":1,"to":2}}"#,
            r#"{"type":"heartbeat","payload":{"pos":1}}"#,
            r#"{"type":"recorder"}"#,
            r#"{"type":"recorder","payload":{"note":7}}"#,
        ] {
            assert!(matches!(meaning(frame.as_bytes()), Ok(Meaning::Other)), "{frame}");
        }
        for frame in [
            r#"{"type":"a","topic":"a:b"}"#,
            r#"{"type":"a","topic":"a:b","seq":1,"us":2}"#,
            r#"{"type":"a","topic":"a:b","seq":-1,"us":2,"payload":0}"#,
            r#"{"topic":"a:b","seq":1,"us":2,"payload":0}"#,
            "[]",
            "",
        ] {
            assert!(meaning(frame.as_bytes()).is_err(), "{frame}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = meaning(&bytes);
        }

        #[test]
        fn every_cut_of_an_event_is_bad(at in 0..90_usize) {
            let frame = r#"{"type":"x","topic":"x:y","seq":1,"pos":2,"us":3,"payload":{"a":[1,2]},"timestamp":0123456}"#;
            prop_assert!(meaning(&frame.as_bytes()[..at]).is_err());
        }
    }
}
