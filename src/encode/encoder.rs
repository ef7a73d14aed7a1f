//! The encoder: what the holder of the role does with a batch of events.
//!
//! Called by shard threads once per turn and by publishers that [help](super::OnFull::Help). One batch is at most
//! [`BATCH_EVENTS_MAX`] events, 20 to 65 µs, so that a shard never disappears into encoding for long.
//!
//! Invariants: an event gets the next position and its topic's next seq when, and only when, its v1 frame is
//! appended; a panic while its bytes are made skips that one event and is counted. The v1 lane's log index of a
//! frame is its position minus one.

use super::frame::FrameBuffer;
use super::tap::{TapSender, TapState, tap};
use super::{LastValues, Role, Tap, json, legacy};
use crate::event::{Event, Pattern, Topics};
use crate::log::{Entry, Log, Options, Writer, log};
use crate::ring::{self, Consumer, Intake};
use crate::sync::{Arc, Gauge, Mutex, Watermark};
use crate::telemetry::{EngineCounter, Telemetry};
use crate::wake::Wake;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Events that are drained in one hold of the role.
const BATCH_EVENTS_MAX: usize = 256;
/// Longest v1 payload; a longer one is dropped and counted.
const FRAME_BYTES_MAX: usize = (1 << 20) + 1024;
/// Segments the legacy lane keeps: it has no resume.
const LEGACY_SEGMENTS_MAX: usize = 8;

const _: () =
    assert!(ring::slot_bytes::<Event>() == 128, "an event and its stamp take two cache lines");

/// One encoding of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lane {
    /// The v1 JSON of every event.
    V1,
    /// The legacy firehose.
    Legacy,
}

/// What an encoder is made of.
#[derive(Debug)]
pub struct Parts {
    /// All topics.
    pub topics: Arc<Topics>,
    /// Where events come from.
    pub intake: Arc<Intake<Event>>,
    /// The intake's reading end.
    pub consumer: Consumer<Event>,
    /// Who is woken when frames are there.
    pub wake: Arc<Wake>,
    /// What is counted.
    pub telemetry: Arc<Telemetry>,
    /// Sizes of the v1 lane's log.
    pub log: Options,
}

/// The role's shared handle; see the module documentation.
#[derive(Debug)]
pub struct Encoder {
    role: Role<State>,
    intake: Arc<Intake<Event>>,
    v1: Log,
    legacy: Log,
    shared: Arc<Shared>,
    topics: Arc<Topics>,
}

/// What others may look at without the role.
#[derive(Debug)]
struct Shared {
    head_bytes: Watermark,
    legacy_subscribers: Gauge,
    taps: Mutex<Vec<Arc<TapState>>>,
}

/// What only the holder of the role touches.
#[derive(Debug)]
struct State {
    consumer: Consumer<Event>,
    work: Work,
}

#[derive(Debug)]
struct Work {
    topics: Arc<Topics>,
    shared: Arc<Shared>,
    telemetry: Arc<Telemetry>,
    v1: Writer,
    legacy: Writer,
    buffer: FrameBuffer,
    seqs: Vec<u64>,
    values: LastValues,
    taps: Vec<TapSender>,
}

impl Encoder {
    /// Puts an encoder together.
    pub fn new(parts: Parts) -> Self {
        let (v1_writer, v1) = log(parts.log);
        let (legacy_writer, legacy) = log(Options {
            segments_max: LEGACY_SEGMENTS_MAX.min(parts.log.segments_max),
            ..parts.log
        });
        let shared = Arc::new(Shared {
            head_bytes: Watermark::new(),
            legacy_subscribers: Gauge::new(),
            taps: Mutex::new(Vec::new()),
        });
        let state = State {
            consumer: parts.consumer,
            work: Work {
                topics: parts.topics.clone(),
                shared: shared.clone(),
                telemetry: parts.telemetry,
                v1: v1_writer,
                legacy: legacy_writer,
                buffer: FrameBuffer::default(),
                seqs: Vec::new(),
                values: LastValues::default(),
                taps: Vec::new(),
            },
        };
        let role = Role::new(state, parts.wake);
        Self { role, intake: parts.intake, v1, legacy, shared, topics: parts.topics }
    }

    /// Encodes at most one batch, if events wait and nobody else holds the role. Returns how many.
    pub fn run(&self) -> usize {
        if !self.intake.is_ready() {
            return 0;
        }
        // One batch only: a publisher that never pauses must not keep a shard from its sweep. What is left is seen
        // at the shard's next turn, or by its look at `is_ready` before it sleeps.
        self.role.run(|| false, State::batch)
    }

    /// Whether events wait in a ring.
    pub fn is_ready(&self) -> bool {
        self.intake.is_ready()
    }

    /// The log of `lane`.
    pub fn log(&self, lane: Lane) -> &Log {
        match lane {
            Lane::V1 => &self.v1,
            Lane::Legacy => &self.legacy,
        }
    }

    /// All topics.
    pub fn topics(&self) -> &Arc<Topics> {
        &self.topics
    }

    /// Cumulative frame bytes of the v1 lane.
    pub fn head_bytes(&self) -> u64 {
        self.shared.head_bytes.observe()
    }

    /// From now on the legacy lane is encoded, also while nobody is connected: called when a shard takes its
    /// first legacy client.
    pub fn join_legacy(&self) {
        self.shared.legacy_subscribers.add(1);
    }

    /// Takes back one [`join_legacy`](Self::join_legacy).
    pub fn leave_legacy(&self) {
        self.shared.legacy_subscribers.subtract(1);
    }

    /// Runs `read` on the last values, if nobody holds the role: no event is being encoded meanwhile, so that the
    /// log's head and the values agree.
    pub fn try_values<R>(&self, read: impl FnOnce(&LastValues) -> R) -> Option<R> {
        self.role.try_with(|state| read(&state.work.values))
    }

    /// The committed seq of every topic, by index. Waits for the role (a fraction of a millisecond): only for a
    /// shard that was away for longer than the whole log.
    pub fn seqs(&self) -> Vec<u64> {
        loop {
            if let Some(seqs) = self.role.try_with(|state| state.work.seqs.clone()) {
                return seqs;
            }
            std::thread::yield_now();
        }
    }

    /// The last legacy frame of every topic, and the legacy lane's index behind them. Waits for the role, as
    /// [`seqs`](Self::seqs).
    pub fn legacy_values(&self) -> (u64, Vec<u8>) {
        loop {
            let values = self.role.try_with(|state| {
                let mut frames = Vec::new();
                state.work.values.write_all(&mut frames);
                (state.work.legacy.next_index(), frames)
            });
            if let Some(values) = values {
                return values;
            }
            std::thread::yield_now();
        }
    }

    /// Opens a tap of `capacity` events (a power of two, 2 to 2^20) on the topics that `patterns` name. Waits for
    /// the role, so never call it on a shard.
    pub fn tap(&self, patterns: Vec<Pattern>, capacity: usize) -> Tap {
        let (sender, reader) = tap(patterns, capacity);
        self.lock_taps().push(sender.state());
        let mut sender = Some(sender);
        while self.role.try_with(|state| state.work.taps.extend(sender.take())).is_none() {
            std::thread::yield_now();
        }
        reader
    }

    /// Events that may be published before the fullest tap overflows.
    pub fn tap_room(&self) -> u64 {
        self.lock_taps().iter().map(|tap| tap.room()).min().unwrap_or(u64::MAX)
    }

    fn lock_taps(&self) -> std::sync::MutexGuard<'_, Vec<Arc<TapState>>> {
        self.shared.taps.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl State {
    /// Drains and encodes one batch and commits it.
    fn batch(&mut self) -> usize {
        let Self { consumer, work } = self;
        let (mut seen, first) = (0, work.v1.next_index());
        while seen < BATCH_EVENTS_MAX {
            let before = seen;
            let drained = catch_unwind(AssertUnwindSafe(|| {
                consumer.drain(BATCH_EVENTS_MAX - before, |event| {
                    seen += 1;
                    work.encode(&event);
                })
            }));
            if drained.is_ok() {
                break;
            }
            work.telemetry.add(EngineCounter::EncodeFailures, 1);
        }
        if seen > 0 {
            // Skipped events are not in the log.
            let appended = work.v1.next_index() - first;
            work.commit(appended);
        }
        seen
    }
}

impl Work {
    fn encode(&mut self, event: &Event) {
        let topics = self.topics.clone();
        let info = topics.info(event.topic);
        let index = usize::from(event.topic.index());
        if self.seqs.len() <= index {
            self.seqs.resize(index + 1, 0);
        }
        let (seq, pos) = (self.seqs[index] + 1, self.v1.next_index() + 1);
        json::write_v1(self.buffer.begin(), info, seq, pos, event);
        let frame = self.buffer.finish();
        if frame.len() > FRAME_BYTES_MAX {
            self.telemetry.add(EngineCounter::FramesTooLarge, 1);
            return;
        }
        let entry = Entry {
            topic: event.topic.index(),
            flags: 0,
            key: event.key,
            seq,
            time_us: event.time_us,
        };
        self.v1.append(entry, frame);
        self.seqs[index] = seq;
        if legacy::write_legacy(self.buffer.begin(), event) {
            let frame = self.buffer.finish();
            self.values.keep(event.topic, frame);
            if self.shared.legacy_subscribers.value() > 0 {
                self.legacy.append(entry, frame);
            }
        }
        for tap in &mut self.taps {
            if !tap.offer(info, pos, seq, event) {
                self.telemetry.add(EngineCounter::TapMissed, 1);
            }
        }
    }

    fn commit(&mut self, events: u64) {
        self.v1.commit();
        self.legacy.commit();
        self.shared.head_bytes.publish(self.v1.total_bytes());
        self.telemetry.add(EngineCounter::Events, events);
        self.telemetry.add(EngineCounter::EncoderHolds, 1);
        if self.taps.iter().any(TapSender::is_gone) {
            self.taps.retain(|tap| !tap.is_gone());
        }
    }
}
