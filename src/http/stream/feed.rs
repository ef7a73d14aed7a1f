//! One client's place in the log: what it was promised and has not been given yet.
//!
//! As on a shard, there is no queue: a cursor, and a list of gaps and last values where it was moved on. Frames are
//! written when the body is asked for more. Never: waits, or keeps a frame.
//!
//! Invariant: what is wanted and lies between cursor and head is counted in `owed_bytes`; where nothing is, the cursor
//! is at the head.

use super::page::Page;
use super::window::{Lapse, Window, source, visit};
use crate::encode::frame::{payload, payloads};
use crate::event::{Topic, Topics};
use crate::session::{self, GapReason, Selection};
use crate::shard::{Gap, Piece, Pieces};
use crate::snapshot::Block;
use crate::sync::Arc;
use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::task::Waker;

/// A body is written in chunks of at most so many bytes; a longer frame goes alone.
pub(super) const CHUNK_BYTES_MAX: usize = 64 * 1024;
/// Most that stands around a frame in a body: its id.
const AROUND_BYTES_MAX: usize = 64;
/// Topics that a heartbeat lists; if more moved, it lists none.
const HEADS_MAX: usize = 64;

/// Which topics a selection has, remembered.
#[derive(Debug)]
struct Wanted {
    selection: Selection,
    /// By topic, one bit each, of those that were asked for once.
    bits: Vec<u64>,
    judged: u32,
}

impl Wanted {
    fn has(&mut self, topic: u16, topics: &Topics) -> bool {
        while self.judged <= u32::from(topic) {
            let next = u16::try_from(self.judged).expect("topics are numbered in 16 bits");
            let info = topics.info(Topic::from_index(next));
            let is_wanted = self.selection.wants(&info.name, info.class);
            self.bits.resize(usize::from(next / 64) + 1, 0);
            self.bits[usize::from(next / 64)] |= u64::from(is_wanted) << (next % 64);
            self.judged += 1;
        }
        self.bits[usize::from(topic / 64)] >> (topic % 64) & 1 == 1
    }
}

/// The state of one stream, poll or snapshot.
#[derive(Debug)]
pub(super) struct Feed {
    wanted: Wanted,
    /// Index of the next record.
    cursor: u64,
    owed_bytes: u64,
    /// What lies below was asked for in a resume: it is no lag.
    resumed_to: u64,
    /// Whole frames that come first.
    greeting: Vec<u8>,
    /// Whether there are gaps among them.
    greets_with_gaps: bool,
    /// Then, and whenever the cursor was moved on.
    pieces: Pieces,
    /// Whether the client is still owed the first list, behind which it may go on.
    is_beginning: bool,
    /// Of a poll that is answered: where it ends.
    until: Option<u64>,
    /// Topics that moved since the last heartbeat; `None`: too many.
    moved: Option<BTreeSet<u16>>,
    /// What it asked for below `until` has left the log.
    is_broken: bool,
    /// Who waits for more.
    pub(super) waker: Option<Waker>,
}

impl Feed {
    /// A feed that goes on at `cursor`, and is given `greeting` and `pieces` before that.
    pub(super) fn new(
        selection: Selection,
        cursor: u64,
        greeting: Vec<u8>,
        pieces: Pieces,
        window: &Window,
    ) -> Self {
        let greets_with_gaps = payloads(&greeting).any(is_gap);
        let mut feed = Self {
            wanted: Wanted { selection, bits: Vec::new(), judged: 0 },
            cursor,
            owed_bytes: 0,
            resumed_to: window.head(),
            greets_with_gaps,
            greeting,
            pieces,
            is_beginning: true,
            until: None,
            moved: Some(BTreeSet::new()),
            is_broken: false,
            waker: None,
        };
        feed.note(cursor..window.head(), window);
        feed
    }

    /// Takes notice of fresh records.
    pub(super) fn note(&mut self, fresh: Range<u64>, window: &Window) {
        if self.until.is_some() {
            return;
        }
        let end = fresh.end;
        visit(window.reader(), fresh, |_, record, _| {
            if self.wanted.has(record.topic, window.table()) {
                self.owed_bytes += u64::from(record.length);
            }
            true
        });
        if self.owed_bytes == 0 {
            self.cursor = end;
        }
    }

    /// Whether there is something to write, beside the ack of a poll.
    pub(super) fn has_news(&self) -> bool {
        self.owed_bytes > 0 || !self.pieces.is_done() || self.greets_with_gaps
    }

    /// Whether everything was written.
    pub(super) fn is_level(&self) -> bool {
        let has_events = self.until.map_or(self.owed_bytes > 0, |until| self.cursor < until);
        self.greeting.is_empty() && self.pieces.is_done() && !has_events
    }

    /// Whether everything below `at` was written, or told to be missing.
    pub(super) fn is_past(&self, at: u64) -> bool {
        self.greeting.is_empty() && self.pieces.is_done() && self.cursor >= at
    }

    pub(super) fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// Ends the feed behind the wanted records of the window that fit into `bytes_max`, at least one, or behind the
    /// list of last values, if there is one; returns where.
    pub(super) fn close_at(&mut self, bytes_max: usize, window: &Window) -> u64 {
        let (mut bytes, mut until) = (0, window.head());
        let bytes_max = bytes_max.saturating_sub(self.greeting.len());
        if !self.pieces.is_done() {
            // Last values are not divided: they come alone, and events with the next poll.
            until = self.cursor;
        }
        visit(window.reader(), self.cursor..until, |index, record, _| {
            if !self.wanted.has(record.topic, window.table()) {
                return true;
            }
            let is_first = bytes == 0;
            // In place of the frame's header there is a comma and a line end.
            bytes += record.length as usize;
            if !is_first && bytes > bytes_max {
                until = index;
            }
            until > index
        });
        self.until = Some(until);
        until
    }

    /// Ends the feed where it is; returns where.
    pub(super) fn close(&mut self) -> u64 {
        self.until = Some(self.cursor);
        self.cursor
    }

    /// Whether the client is further behind than it may be.
    pub(super) fn is_lagging(
        &mut self,
        bytes_max: u64,
        age_us_max: u64,
        now_us: u64,
        window: &Window,
    ) -> bool {
        if self.until.is_some() || self.owed_bytes == 0 {
            return false;
        }
        let mut oldest = None;
        visit(window.reader(), self.cursor..window.head(), |index, record, _| {
            if self.wanted.has(record.topic, window.table()) {
                oldest = Some((index, record.time_us));
            }
            oldest.is_none()
        });
        let Some((index, time_us)) = oldest else { return false };
        self.cursor = index;
        index >= self.resumed_to
            && (self.owed_bytes > bytes_max || now_us.saturating_sub(time_us) > age_us_max)
    }

    /// Moves the cursor to the head, and puts what is passed over on the list. Returns how many gaps that are.
    pub(super) fn skip(&mut self, reason: GapReason, window: &Window) -> u64 {
        let mut places: HashMap<u16, usize> = HashMap::new();
        let mut skipped: Vec<Piece> = Vec::new();
        visit(window.reader(), self.cursor..window.head(), |index, record, segment| {
            let (topic, seq) = (record.topic, record.seq);
            if !self.wanted.has(topic, window.table()) {
                return true;
            }
            let place = *places.entry(topic).or_insert(skipped.len());
            if place == skipped.len() {
                let gap = Some(Gap { from: seq, to: seq, reason });
                skipped.push(Piece { topic, gap, newest: None });
            }
            if let Some(gap) = &mut skipped[place].gap {
                gap.to = seq;
            }
            if window.is_state(topic) {
                skipped[place].newest = Some(source(segment, index));
            }
            true
        });
        self.pass_over(skipped, window)
    }

    /// The window has lost more than the client had been given: it is told, topic by topic.
    pub(super) fn lapse(&mut self, lapse: &Lapse, block: &Arc<Block>, window: &Window) -> u64 {
        if self.until.is_some() {
            self.overrun(window.oldest(), window);
            return 0;
        }
        let mut unsent: HashMap<u16, u64> = HashMap::new();
        visit(&lapse.reader, self.cursor..lapse.end, |_, record, _| {
            unsent.entry(record.topic).or_insert(record.seq);
            true
        });
        let mut skipped = Vec::new();
        for topic in window.topics() {
            let routed = lapse.seqs.get(usize::from(topic)).copied().unwrap_or(0);
            let from = unsent.get(&topic).copied().unwrap_or(routed + 1);
            let to = window.seq(topic);
            if from <= to && self.wanted.has(topic, window.table()) {
                let gap = Some(Gap { from, to, reason: GapReason::Overrun });
                skipped.push(Piece { topic, gap, newest: window.value(topic, block) });
            }
        }
        self.pass_over(skipped, window)
    }

    /// What lies below `index` is about to leave the window. Returns how many gaps that makes.
    pub(super) fn overrun(&mut self, index: u64, window: &Window) -> u64 {
        if self.cursor >= index || self.is_level() {
            return 0;
        }
        match self.until {
            Some(until) => {
                self.is_broken |= self.cursor < until;
                0
            }
            None => self.skip(GapReason::Overrun, window),
        }
    }

    fn pass_over(&mut self, skipped: Vec<Piece>, window: &Window) -> u64 {
        self.cursor = window.head();
        self.owed_bytes = 0;
        let before = self.pieces.gaps();
        for piece in skipped {
            self.note_moved(piece.topic);
            self.pieces.add(piece);
        }
        // A gap that was not written yet is longer now, and still one.
        (self.pieces.gaps() - before) as u64
    }

    fn note_moved(&mut self, topic: u16) {
        if let Some(moved) = &mut self.moved {
            moved.insert(topic);
            if moved.len() > HEADS_MAX {
                self.moved = None;
            }
        }
    }

    /// Appends what comes next, up to a chunk; nothing when the client has everything. Returns how many events.
    pub(super) fn write(
        &mut self,
        window: &Window,
        page: &mut Page,
        now_us: u64,
        out: &mut Vec<u8>,
    ) -> u64 {
        if !self.greeting.is_empty() {
            let frames = std::mem::take(&mut self.greeting);
            self.greets_with_gaps = false;
            let pos = self.pieces.is_done().then_some(self.cursor);
            write_list(&frames, page, |_| pos, out);
        }
        let mut portion = Vec::new();
        while !self.pieces.is_done() {
            if out.len() > CHUNK_BYTES_MAX / 2 {
                return 0;
            }
            portion.clear();
            self.pieces.produce(window.table(), true, now_us, &mut portion);
            let (is_done, is_beginning) = (self.pieces.is_done(), self.is_beginning);
            // Nobody may go on behind a frame that a value is still to follow.
            let may_resume = |json: &[u8]| is_done && (is_beginning || is_snapshot(json));
            write_list(&portion, page, |json| may_resume(json).then_some(self.cursor), out);
        }
        self.is_beginning = false;
        self.pieces = Pieces::default();
        self.write_events(window, page, out)
    }

    fn write_events(&mut self, window: &Window, page: &mut Page, out: &mut Vec<u8>) -> u64 {
        let until = self.until.unwrap_or(window.head());
        let (mut events, mut is_full) = (0, false);
        visit(window.reader(), self.cursor..until, |index, record, segment| {
            if self.wanted.has(record.topic, window.table()) {
                let json = payload(segment.bytes(record.range()));
                let bytes = out.len() + json.len() + AROUND_BYTES_MAX;
                is_full = !out.is_empty() && bytes > CHUNK_BYTES_MAX;
                if is_full {
                    return false;
                }
                page.frame(json, Some(index + 1), out);
                self.owed_bytes = self.owed_bytes.saturating_sub(u64::from(record.length));
                self.note_moved(record.topic);
                events += 1;
            }
            self.cursor = index + 1;
            true
        });
        if !is_full {
            self.cursor = self.cursor.max(until);
        }
        events
    }

    /// Appends a heartbeat: everything up to the cursor was written. That of a stream says how far its topics are.
    pub(super) fn heartbeat(
        &mut self,
        window: &Window,
        page: &mut Page,
        now_us: u64,
        out: &mut Vec<u8>,
    ) {
        let moved = self.moved.replace(BTreeSet::new());
        let heads = moved.filter(|_| self.until.is_none()).map(|moved| {
            moved.into_iter().map(|topic| (&*window.info(topic).name, window.seq(topic)))
        });
        let mut frame = Vec::new();
        session::heartbeat(self.cursor, heads, now_us, &mut frame);
        page.frame(payload(&frame), Some(self.cursor), out);
    }
}

fn is_snapshot(json: &[u8]) -> bool {
    json.starts_with(b"{\"type\":\"snapshot\"")
}

fn is_gap(json: &[u8]) -> bool {
    json.starts_with(b"{\"type\":\"gap\"")
}

/// Appends whole frames; the last of them has the position that `pos` says.
fn write_list(
    frames: &[u8],
    page: &mut Page,
    pos: impl Fn(&[u8]) -> Option<u64>,
    out: &mut Vec<u8>,
) {
    let mut frames = payloads(frames).peekable();
    while let Some(json) = frames.next() {
        let pos = if frames.peek().is_none() { pos(json) } else { None };
        page.frame(json, pos, out);
    }
}
