//! How frames are written into a body: as Server-Sent Events, or as a JSON array.
//!
//! The JSON of a frame is one line, so that it is the data of one event as it is. Never: decides what is written.

use crate::sync::Arc;
use std::io::Write as _;

/// The form of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// `id: epoch.pos`, `data: {…}`, a blank line.
    Events,
    /// `[{…},{…}]`
    Array,
}

/// A body that is being written.
#[derive(Debug)]
pub(super) struct Page {
    form: Form,
    epoch: Arc<str>,
    is_begun: bool,
}

impl Page {
    pub(super) fn new(form: Form, epoch: Arc<str>) -> Self {
        Self { form, epoch, is_begun: false }
    }

    /// Appends a frame; with `pos`, a client that has it may go on from there.
    pub(super) fn frame(&mut self, json: &[u8], pos: Option<u64>, out: &mut Vec<u8>) {
        self.begin(out);
        match self.form {
            Form::Events => {
                if let Some(pos) = pos {
                    writeln!(out, "id: {}.{pos}", self.epoch).expect("memory takes everything");
                }
                out.extend_from_slice(b"data: ");
                out.extend_from_slice(json);
                out.extend_from_slice(b"\n\n");
            }
            Form::Array => out.extend_from_slice(json),
        }
    }

    /// Appends what comes before a frame.
    fn begin(&mut self, out: &mut Vec<u8>) {
        let is_first = !std::mem::replace(&mut self.is_begun, true);
        out.extend_from_slice(match (self.form, is_first) {
            (Form::Events, true) => b"retry: 1000\n\n",
            (Form::Events, false) => b"",
            (Form::Array, true) => b"[",
            (Form::Array, false) => b",\n",
        });
    }

    /// Appends what comes behind the last frame.
    pub(super) fn end(&mut self, out: &mut Vec<u8>) {
        if self.form == Form::Array {
            if !self.is_begun {
                out.push(b'[');
            }
            out.extend_from_slice(b"]\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(form: Form, frames: &[(&str, Option<u64>)]) -> String {
        let (mut page, mut out) = (Page::new(form, "k3f9".into()), Vec::new());
        for (json, pos) in frames {
            page.frame(json.as_bytes(), *pos, &mut out);
        }
        page.end(&mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn frames_are_events_with_an_id_where_one_may_go_on() {
        let text = written(Form::Events, &[("{}", None), ("{\"a\":1}", Some(7))]);
        assert_eq!(text, "retry: 1000\n\ndata: {}\n\nid: k3f9.7\ndata: {\"a\":1}\n\n");
    }

    #[test]
    fn frames_are_an_array_also_where_there_is_none() {
        assert_eq!(written(Form::Array, &[]), "[]\n");
        assert_eq!(written(Form::Array, &[("{}", Some(1))]), "[{}]\n");
        assert_eq!(written(Form::Array, &[("{}", None), ("1", None)]), "[{},\n1]\n");
    }
}
