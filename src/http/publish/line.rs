//! Lines of a published body, and what one of them says: pure, without IO, so that any bytes can be thrown at it.
//!
//! A body comes in chunks that know nothing of lines. [`LineReader`] cuts it: the same lines with the same numbers
//! however it was cut before. It holds at most one line that has not ended, never more than the limit, and goes on
//! behind a line that is too long. [`parse_line`] finds topic, class and payload without rebuilding the payload.

use crate::event::{Class, TopicError};
use bytes::{Buf, Bytes};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// What is wrong with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// Not one JSON object with these fields, not UTF-8, or nested too deep.
    BadJson,
    /// No topic, or not a topic name.
    BadTopic,
    /// A class other than `state` and `event`.
    BadClass,
    /// No payload.
    MissingPayload,
    /// A payload longer than an event may be.
    TooLarge,
    /// The topic exists with the other class.
    ClassConflict,
    /// The topic's event type would be a word of the protocol.
    ReservedTopic,
    /// There is no room for another topic.
    TooManyTopics,
}

impl From<TopicError> for Code {
    fn from(error: TopicError) -> Self {
        match error {
            TopicError::BadName => Self::BadTopic,
            TopicError::ReservedKind => Self::ReservedTopic,
            TopicError::TooMany => Self::TooManyTopics,
            TopicError::ClassConflict => Self::ClassConflict,
        }
    }
}

/// A line that is not empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its number in the body, from 1; empty lines count.
    pub number: u64,
    /// Its bytes without surrounding white space; `None` when it was longer than the limit.
    pub bytes: Option<Bytes>,
}

/// Cuts a body into lines.
#[derive(Debug)]
pub struct LineReader {
    line_bytes_max: usize,
    /// Fed and not yet looked at.
    chunk: Bytes,
    /// The beginning of a line whose end has not come.
    held: Vec<u8>,
    /// The line in progress is too long; its bytes are dropped.
    is_overlong: bool,
    /// Lines ended so far.
    ended: u64,
}

impl LineReader {
    /// A reader of lines of at most `line_bytes_max` bytes, without their LF.
    #[must_use]
    pub fn new(line_bytes_max: usize) -> Self {
        Self { line_bytes_max, chunk: Bytes::new(), held: Vec::new(), is_overlong: false, ended: 0 }
    }

    /// Gives it the next bytes of the body.
    ///
    /// # Panics
    /// When [`next_line`](Self::next_line) has not said `None` since the last chunk.
    pub fn feed(&mut self, chunk: Bytes) {
        assert!(self.chunk.is_empty(), "the lines of the last chunk have not been taken");
        self.chunk = chunk;
    }

    /// The next line that ended in what was fed; `None`: feed more, or [`finish`](Self::finish).
    pub fn next_line(&mut self) -> Option<Line> {
        while let Some(end) = self.chunk.iter().position(|byte| *byte == b'\n') {
            let rest = self.chunk.split_to(end);
            self.chunk.advance(1);
            if let Some(line) = self.end_line(rest) {
                return Some(line);
            }
        }
        let rest = std::mem::take(&mut self.chunk);
        self.hold(&rest);
        None
    }

    /// The last line, when the body did not end in LF.
    ///
    /// # Panics
    /// When [`next_line`](Self::next_line) has not said `None` since the last chunk.
    #[must_use]
    pub fn finish(mut self) -> Option<Line> {
        assert!(self.chunk.is_empty(), "the lines of the last chunk have not been taken");
        self.end_line(Bytes::new())
    }

    fn hold(&mut self, rest: &[u8]) {
        if self.is_overlong || self.held.len() + rest.len() > self.line_bytes_max {
            self.is_overlong = true;
            self.held = Vec::new();
        } else {
            self.held.extend_from_slice(rest);
        }
    }

    /// Ends the line in progress with `rest`; `None` when there is nothing but white space in it.
    fn end_line(&mut self, rest: Bytes) -> Option<Line> {
        self.ended += 1;
        let number = self.ended;
        let whole =
            if self.held.is_empty() && !self.is_overlong && rest.len() <= self.line_bytes_max {
                rest
            } else {
                self.hold(&rest);
                if std::mem::take(&mut self.is_overlong) {
                    return Some(Line { number, bytes: None });
                }
                std::mem::take(&mut self.held).into()
            };
        let text = if number == 1 { whole.strip_prefix(b"\xEF\xBB\xBF") } else { None };
        let text = text.unwrap_or(&whole).trim_ascii();
        (!text.is_empty()).then(|| Line { number, bytes: Some(whole.slice_ref(text)) })
    }
}

/// What a line says; not yet checked against the topics there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed<'a> {
    /// The topic's name, unchecked.
    pub topic: Cow<'a, str>,
    /// The class asked for.
    pub class: Option<Class>,
    /// The payload's bytes as they were sent.
    pub payload: &'a str,
}

/// Reads `{"topic":…,"payload":…,"class":"state|event"?}`; unknown fields are passed over.
///
/// # Errors
/// What is wrong with the line.
pub fn parse_line(line: &[u8], payload_bytes_max: usize) -> Result<Parsed<'_>, Code> {
    #[derive(Deserialize)]
    struct Fields<'a> {
        #[serde(borrow)]
        topic: Option<Cow<'a, str>>,
        #[serde(borrow)]
        class: Option<Cow<'a, str>>,
        #[serde(borrow, default, deserialize_with = "present")]
        payload: Option<&'a RawValue>,
    }
    // A struct is also read from an array of its fields; what we publish are objects.
    if line.first() != Some(&b'{') {
        return Err(Code::BadJson);
    }
    let fields: Fields<'_> = serde_json::from_slice(line).map_err(|_| Code::BadJson)?;
    let topic = fields.topic.ok_or(Code::BadTopic)?;
    let class = match fields.class.as_deref() {
        None => None,
        Some("state") => Some(Class::State),
        Some("event") => Some(Class::Event),
        Some(_) => return Err(Code::BadClass),
    };
    let payload = fields.payload.ok_or(Code::MissingPayload)?.get();
    if payload.len() > payload_bytes_max {
        return Err(Code::TooLarge);
    }
    Ok(Parsed { topic, class, payload })
}

/// A payload of `null` is a payload; only a missing one is `None`.
fn present<'de, D: Deserializer<'de>>(value: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(value).map(Some)
}
