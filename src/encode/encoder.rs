//! The encoder: what the holder of the role does with a batch of events.
//!
//! Called by shard threads once per turn and by publishers that [help](super::OnFull::Help). One batch is at most
//! [`BATCH_EVENTS_MAX`] events, 20 to 65 µs, so that a shard never disappears into encoding for long.
//!
//! Invariants: an event gets the next position and its topic's next seq when, and only when, its v1 frame is
//! appended; a panic while its bytes are made skips that one event and is counted. The v1 lane's log index of a
//! frame is its position minus one.

use super::frame::{FrameBuffer, payload};
use super::tap::{TapSender, TapState, tap};
use super::{LastValues, LogEnd, Role, Tap, ValueSink, json, legacy};
use crate::event::{Body, Class, Event, Pattern, TopicInfo, Topics};
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
    /// What the views for older clients pick from: the firehose, the hub's status, the ledger's updates.
    Legacy,
    /// The legacy firehose in its nested form.
    Nested,
}

/// A legacy lane: encoded only while somebody reads it.
#[derive(Debug)]
struct LegacyLane {
    log: Log,
    subscribers: Gauge,
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
    /// Keeps the last v1 frame of every state topic.
    pub values: Box<dyn ValueSink>,
}

/// The role's shared handle; see the module documentation.
#[derive(Debug)]
pub struct Encoder {
    role: Role<State>,
    intake: Arc<Intake<Event>>,
    wake: Arc<Wake>,
    v1: Log,
    shared: Arc<Shared>,
    topics: Arc<Topics>,
}

/// What others may look at without the role.
#[derive(Debug)]
struct Shared {
    head_bytes: Watermark,
    /// Flat and nested.
    legacy: [LegacyLane; 2],
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
    /// Flat and nested.
    legacy: [Writer; 2],
    buffer: FrameBuffer,
    nested: FrameBuffer,
    seqs: Vec<u64>,
    values: Box<dyn ValueSink>,
    legacy_values: LastValues,
    taps: Vec<TapSender>,
}

impl Encoder {
    /// Puts an encoder together.
    pub fn new(parts: Parts) -> Self {
        let (v1_writer, v1) = log(parts.log);
        let segments_max = LEGACY_SEGMENTS_MAX.min(parts.log.segments_max);
        let [flat, nested] = [(); 2].map(|()| log(Options { segments_max, ..parts.log }));
        let lane = |log| LegacyLane { log, subscribers: Gauge::new() };
        let shared = Arc::new(Shared {
            head_bytes: Watermark::new(),
            legacy: [lane(flat.1), lane(nested.1)],
            taps: Mutex::new(Vec::new()),
        });
        let state = State {
            consumer: parts.consumer,
            work: Work {
                topics: parts.topics.clone(),
                shared: shared.clone(),
                telemetry: parts.telemetry,
                v1: v1_writer,
                legacy: [flat.0, nested.0],
                buffer: FrameBuffer::default(),
                nested: FrameBuffer::default(),
                seqs: Vec::new(),
                values: parts.values,
                legacy_values: LastValues::default(),
                taps: Vec::new(),
            },
        };
        let role = Role::new(state, parts.wake.clone());
        Self { role, intake: parts.intake, wake: parts.wake, v1, shared, topics: parts.topics }
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

    /// What tells a reader outside the shards of the next commit.
    pub fn wake(&self) -> &Arc<Wake> {
        &self.wake
    }

    /// Whether events wait in a ring.
    pub fn is_ready(&self) -> bool {
        self.intake.is_ready()
    }

    /// The log of `lane`.
    pub fn log(&self, lane: Lane) -> &Log {
        match lane {
            Lane::V1 => &self.v1,
            Lane::Legacy => &self.shared.legacy[0].log,
            Lane::Nested => &self.shared.legacy[1].log,
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

    /// From now on the legacy lane `lane` is encoded, also while nobody is connected: called when a shard takes its
    /// first client there. The v1 lane is always encoded.
    pub fn join(&self, lane: Lane) {
        if let Some(legacy) = self.legacy(lane) {
            legacy.subscribers.add(1);
        }
    }

    /// Takes back one [`join`](Self::join).
    pub fn leave(&self, lane: Lane) {
        if let Some(legacy) = self.legacy(lane) {
            legacy.subscribers.subtract(1);
        }
    }

    fn legacy(&self, lane: Lane) -> Option<&LegacyLane> {
        match lane {
            Lane::V1 => None,
            Lane::Legacy => Some(&self.shared.legacy[0]),
            Lane::Nested => Some(&self.shared.legacy[1]),
        }
    }

    /// Runs `read` on the last legacy values, if nobody holds the role: no event is being encoded meanwhile, so that
    /// the log's head and the values agree.
    pub fn try_values<R>(&self, read: impl FnOnce(&LastValues) -> R) -> Option<R> {
        self.role.try_with(|state| read(&state.work.legacy_values))
    }

    /// Runs `read` on the committed seq of every topic, by index, while nothing is committed: what it finds in the log
    /// and among the last values is of the same moment. Waits for the role (a fraction of a millisecond): only for a
    /// reader that was away for longer than the whole log.
    pub fn between_batches<R>(&self, mut read: impl FnMut(&[u64]) -> R) -> R {
        loop {
            if let Some(found) = self.role.try_with(|state| read(&state.work.seqs)) {
                return found;
            }
            std::thread::yield_now();
        }
    }

    /// Runs `read` on the last legacy values and the index of the legacy lane `lane` behind them. Waits for the role,
    /// as [`between_batches`](Self::between_batches).
    pub fn legacy_values<R>(&self, lane: Lane, mut read: impl FnMut(u64, &LastValues) -> R) -> R {
        let place = usize::from(lane == Lane::Nested);
        loop {
            let values = self.role.try_with(|state| {
                read(state.work.legacy[place].next_index(), &state.work.legacy_values)
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
        if info.class == Class::State {
            let at = LogEnd { index: pos - 1, segment: self.v1.segment_id() };
            self.values.keep(&entry, at, frame);
        }
        self.encode_legacy(event, info, entry);
        for tap in &mut self.taps {
            if !tap.offer(info, pos, seq, event) {
                self.telemetry.add(EngineCounter::TapMissed, 1);
            }
        }
    }

    fn encode_legacy(&mut self, event: &Event, info: &TopicInfo, entry: Entry) {
        if !legacy::write_legacy(self.buffer.begin(), event) {
            return;
        }
        let frame = self.buffer.finish();
        self.legacy_values.keep(event.topic, frame);
        let [flat, nested] = &self.shared.legacy;
        if flat.subscribers.value() > 0 {
            self.legacy[0].append(entry, frame);
        }
        let has_nested_form = matches!(event.body, Body::Market(_) | Body::Agent(_));
        if has_nested_form && nested.subscribers.value() > 0 {
            legacy::write_nested(self.nested.begin(), &info.kind, payload(frame));
            self.legacy[1].append(entry, self.nested.finish());
        }
    }

    fn commit(&mut self, events: u64) {
        self.v1.commit();
        self.legacy.iter_mut().for_each(Writer::commit);
        let end = LogEnd { index: self.v1.next_index(), segment: self.v1.segment_id() };
        self.values.commit(end);
        self.shared.head_bytes.publish(self.v1.total_bytes());
        self.telemetry.add(EngineCounter::Events, events);
        self.telemetry.add(EngineCounter::EncoderHolds, 1);
        if self.taps.iter().any(TapSender::is_gone) {
            self.taps.retain(|tap| !tap.is_gone());
        }
    }
}
