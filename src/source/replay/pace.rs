//! When each frame is published: at its time, or as soon as everybody can follow.
//!
//! Runs on the replay's thread and owns its read-ahead: frames are read and parsed *before* the sleep that ends at
//! their time, so that the instant of publishing costs one batch publish and nothing else. At a pace it never waits
//! for readers; at full speed it does nothing but that. Never drops, reorders or repeats a frame.
//!
//! ```text
//! read ahead ──► first due ──► sleep ──► publish what is due by now + 250 µs ──► count the pacing error ─┐
//!     ▲                                                                                                  │
//!     └──────────────────────────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! Invariants: due times never decrease (a receive time that runs backwards counts as the newest one seen, so the
//! frame is due at once and nothing after it moves); at most [`AHEAD_EVENTS_MAX`] frames and [`AHEAD_BYTES_MAX`]
//! bytes (and one frame) are read ahead.

use std::collections::VecDeque;
use std::time::Duration;

use super::error::ReplayError;
use super::report::ReplayReport;
use crate::clock::Clock;
use crate::encode::Publisher;
use crate::event::{Body, Event};
use crate::source::{FlowGate, Stop};

/// Frames due within this time of the first one are published with it, up to this much early.
const BATCH_US: u64 = 250;
/// Reading ahead ends this long before the next frame is due: several times what a usual frame takes to parse.
const MARGIN_US: u64 = 100;
/// How many frames are read ahead.
const AHEAD_EVENTS_MAX: usize = 1_024;
/// How many payload bytes are read ahead, plus at most one frame.
const AHEAD_BYTES_MAX: usize = 1 << 20;
/// How many frames at full speed are read between two looks at the gate.
const GATED_READ_EVENTS: usize = 256;
/// What a frame's envelope adds to its payload at most: type, topic, seq, pos and times of a short topic.
const ENVELOPE_BYTES: u64 = 192;
/// How long it waits for a ring or a gate before it looks again.
const RETRY: Duration = Duration::from_micros(50);

/// A frame that is ready to be published.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) received_ns: u64,
    pub(super) event: Event,
}

/// Where events go: a publisher, or a test's record.
pub(super) trait Outlet {
    /// Publishes as many from the front of `events` as fit, removes them, and says how many.
    fn publish_batch(&mut self, events: &mut Vec<Event>) -> usize;
    /// Whether everything published was taken.
    fn is_drained(&self) -> bool;
    /// How many fit when it is drained.
    fn capacity(&self) -> usize;
}

impl Outlet for Publisher {
    fn publish_batch(&mut self, events: &mut Vec<Event>) -> usize {
        Self::publish_batch(self, events)
    }
    fn is_drained(&self) -> bool {
        Self::is_drained(self)
    }
    fn capacity(&self) -> usize {
        Self::capacity(self)
    }
}

/// How a replay ended without an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// Every frame was published.
    Complete,
    /// It was asked to stop.
    Stopped,
}

/// Publishes the frames of `frames` through `outlet`.
pub(super) struct Pacer<'a, O, F> {
    pub(super) outlet: &'a mut O,
    pub(super) clock: &'a Clock,
    pub(super) stop: &'a Stop,
    pub(super) report: &'a ReplayReport,
    ahead: ReadAhead<F>,
    /// Events about to be published, and when each was due.
    batch: Vec<Event>,
    dues_us: Vec<u64>,
}

impl<'a, O, F> Pacer<'a, O, F>
where
    O: Outlet,
    F: Iterator<Item = Result<Prepared, ReplayError>>,
{
    pub(super) fn new(
        frames: F,
        outlet: &'a mut O,
        clock: &'a Clock,
        stop: &'a Stop,
        report: &'a ReplayReport,
    ) -> Self {
        let ahead = ReadAhead::new(frames);
        let (batch, dues_us) = (Vec::new(), Vec::new());
        Self { outlet, clock, stop, report, ahead, batch, dues_us }
    }

    /// Publishes every frame at its time: `factor` times as fast as it was received, the first one at once.
    pub(super) fn run_paced(mut self, factor: f64) -> Result<Ended, ReplayError> {
        self.ahead.read();
        self.ahead.timeline.start_us = self.clock.now_us();
        self.ahead.timeline.factor = factor;
        while let Some(first_due_us) = self.ahead.first_due_us() {
            self.read_before(first_due_us);
            if self.stop.wait_until(self.clock, first_due_us) {
                return Ok(Ended::Stopped);
            }
            let horizon_us = self.clock.now_us().saturating_add(BATCH_US);
            while self.batch.len() < self.outlet.capacity() {
                let Some((due_us, event)) = self.ahead.take_due(horizon_us) else {
                    break;
                };
                self.batch.push(event);
                self.dues_us.push(due_us);
            }
            if self.publish() == Ended::Stopped {
                return Ok(Ended::Stopped);
            }
        }
        self.ahead.end()
    }

    /// Publishes every frame as soon as `gate` allows it, in batches that fit through: never more bytes or events
    /// than the gate's window, but at least one frame when it is open at all.
    pub(super) fn run_gated(mut self, gate: &dyn FlowGate) -> Result<Ended, ReplayError> {
        loop {
            for _ in 0..GATED_READ_EVENTS {
                if !self.ahead.read() {
                    break;
                }
            }
            if self.ahead.is_empty() {
                return self.ahead.end();
            }
            let (bytes, events) = loop {
                // Only a drained ring makes the windows exact, so it is asked first.
                if self.outlet.is_drained() {
                    let (bytes, events) = (gate.window_bytes(), gate.window_events());
                    if bytes > 0 && events > 0 {
                        break (bytes, events);
                    }
                }
                if self.stop.wait_for(RETRY) {
                    return Ok(Ended::Stopped);
                }
            };
            self.fill_within(bytes, events);
            if self.publish() == Ended::Stopped || self.stop.is_stopped() {
                return Ok(Ended::Stopped);
            }
        }
    }

    /// Reads until the batch that starts at `first_due_us` is complete, and then on while there is time.
    fn read_before(&mut self, first_due_us: u64) {
        let complete_us = first_due_us.saturating_add(BATCH_US);
        loop {
            let is_complete = self.ahead.last_due_us() > complete_us;
            if is_complete && self.clock.now_us().saturating_add(MARGIN_US) >= first_due_us {
                return;
            }
            if !self.ahead.read() {
                return;
            }
        }
    }

    /// Moves frames into the batch, at least one, at most as many as the window and the ring allow.
    fn fill_within(&mut self, window_bytes: u64, window_events: u64) {
        let events_max =
            usize::try_from(window_events).unwrap_or(usize::MAX).min(self.outlet.capacity());
        let mut bytes = 0;
        while self.batch.len() < events_max {
            let Some(next_bytes) = self.ahead.first_bytes() else {
                break;
            };
            bytes += next_bytes as u64 + ENVELOPE_BYTES;
            if bytes > window_bytes && !self.batch.is_empty() {
                break;
            }
            self.batch.extend(self.ahead.take_first());
        }
    }

    /// Publishes the batch, all of it, however often the ring is full. Stamps the events with the
    /// time at which they are published, and counts their pacing error when they were due at some time.
    fn publish(&mut self) -> Ended {
        let is_paced = !self.dues_us.is_empty();
        let mut published = 0;
        while !self.batch.is_empty() {
            let now_us = self.clock.now_us();
            self.batch.iter_mut().for_each(|event| event.time_us = now_us);
            let count = self.outlet.publish_batch(&mut self.batch);
            if is_paced {
                self.report.count_paced(now_us, &self.dues_us[published..published + count]);
            } else {
                self.report.events.add(count as u64);
            }
            published += count;
            if !self.batch.is_empty() && self.stop.wait_for(RETRY) {
                return Ended::Stopped;
            }
        }
        self.dues_us.clear();
        Ended::Complete
    }
}

/// Frames that were read and not published yet.
struct ReadAhead<F> {
    frames: F,
    queue: VecDeque<(u64, Event)>,
    bytes: usize,
    newest_ns: u64,
    timeline: Timeline,
    /// Set when there is nothing more to read: how it ended.
    end: Option<Result<Ended, ReplayError>>,
}

/// Maps receive times to publish times.
struct Timeline {
    /// Receive time of the first frame.
    origin_ns: Option<u64>,
    /// When that one is published.
    start_us: u64,
    factor: f64,
}

impl Timeline {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "spans are positive, exact up to 104 days, and an absurd one saturates at the end of time"
    )]
    fn due_us(&mut self, received_ns: u64) -> u64 {
        let origin_ns = *self.origin_ns.get_or_insert(received_ns);
        let span_us = (received_ns - origin_ns) as f64 / 1_000.0 / self.factor;
        self.start_us.saturating_add(span_us as u64)
    }
}

impl<F: Iterator<Item = Result<Prepared, ReplayError>>> ReadAhead<F> {
    fn new(frames: F) -> Self {
        Self {
            frames,
            queue: VecDeque::with_capacity(AHEAD_EVENTS_MAX),
            bytes: 0,
            newest_ns: 0,
            timeline: Timeline { origin_ns: None, start_us: 0, factor: 1.0 },
            end: None,
        }
    }

    /// Reads one frame; false when there is none, or enough was read ahead.
    fn read(&mut self) -> bool {
        if self.end.is_some()
            || self.queue.len() >= AHEAD_EVENTS_MAX
            || self.bytes >= AHEAD_BYTES_MAX
        {
            return false;
        }
        match self.frames.next() {
            Some(Ok(prepared)) => {
                self.newest_ns = self.newest_ns.max(prepared.received_ns);
                self.bytes += payload_bytes(&prepared.event);
                self.queue.push_back((self.newest_ns, prepared.event));
                true
            }
            Some(Err(error)) => {
                self.end = Some(Err(error));
                false
            }
            None => {
                self.end = Some(Ok(Ended::Complete));
                false
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// When the first frame is due; none when all were taken and there are no more.
    fn first_due_us(&mut self) -> Option<u64> {
        if self.queue.is_empty() {
            self.read();
        }
        let received_ns = self.queue.front()?.0;
        Some(self.timeline.due_us(received_ns))
    }

    /// When the last frame that was read is due.
    fn last_due_us(&mut self) -> u64 {
        self.timeline.due_us(self.newest_ns)
    }

    /// Takes the first frame, and when it was due, if that is not after `horizon_us`.
    fn take_due(&mut self, horizon_us: u64) -> Option<(u64, Event)> {
        let received_ns = self.queue.front()?.0;
        let due_us = self.timeline.due_us(received_ns);
        if due_us > horizon_us {
            return None;
        }
        Some((due_us, self.take_first()?))
    }

    fn first_bytes(&self) -> Option<usize> {
        self.queue.front().map(|(_, event)| payload_bytes(event))
    }

    fn take_first(&mut self) -> Option<Event> {
        let (_, event) = self.queue.pop_front()?;
        self.bytes -= payload_bytes(&event);
        Some(event)
    }

    /// How the reading ended.
    fn end(self) -> Result<Ended, ReplayError> {
        self.end.unwrap_or(Ok(Ended::Complete))
    }
}

fn payload_bytes(event: &Event) -> usize {
    match &event.body {
        Body::External(json) | Body::Recorded { payload: json, .. } => json.bytes().len(),
        // A recording holds nothing else; what has no payload of its own weighs nothing here.
        Body::Market(_) | Body::Agent(_) | Body::Trade(_) | Body::Typed(_) => 0,
    }
}
