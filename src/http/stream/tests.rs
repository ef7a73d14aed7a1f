//! Streams, polls and snapshots without sockets: bodies are polled by hand, and the encoder runs when a test says so.

use super::hub::{Output, Ticket};
use super::open::Kind;
use super::*;
use crate::clock::ManualClock;
use crate::encode;
use crate::event::{Class, Event, Json, Topic, Topics};
use crate::snapshot::Keeper;
use crate::wake::Wake;
use crate::{event, log, ring};
use serde_json::Value;
use std::sync::Arc as StdArc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Wake as TaskWake, Waker};
use tokio::runtime::Runtime;

/// A hub over an empty log.
pub(in crate::http) fn hub(options: Options) -> Arc<Hub> {
    World::new(options, log::Options::default()).hub
}

/// A hub, a publisher, and a clock that stands. The hub's task never runs: a test moves the streams on.
pub(super) struct World {
    pub(super) hub: Arc<Hub>,
    pub(super) topics: Arc<Topics>,
    pub(super) telemetry: Arc<Telemetry>,
    pub(super) hand: ManualClock,
    intake: Arc<ring::Intake<Event>>,
    ring: ring::Publisher<Event>,
    runtime: Runtime,
}

/// What was asked for, with defaults.
pub(super) fn query(text: &str) -> query::Query {
    query::parse(Some(text), None).expect("a valid query")
}

impl World {
    pub(super) fn new(options: Options, log: log::Options) -> Self {
        let wake = Arc::new(Wake::new(1));
        let telemetry = Telemetry::new(1);
        let (intake, consumer) = ring::intake(64, wake.clone());
        let ring = intake.publisher().expect("a free ring");
        let (keeper, values) = Keeper::new(log.segments_max);
        let topics = Arc::new(Topics::new());
        let encoder = Arc::new(Encoder::new(encode::Parts {
            topics: topics.clone(),
            intake: intake.clone(),
            consumer,
            wake,
            telemetry: telemetry.clone(),
            log,
            values: Box::new(keeper),
        }));
        let (clock, hand) = Clock::manual(1_738_512_000_000_000);
        let epoch = "k3f9k3f9".into();
        let parts = Parts { encoder, values, telemetry: telemetry.clone(), clock, epoch };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let runtime = runtime.expect("a runtime");
        Self { hub: Hub::new(parts, options), topics, telemetry, hand, intake, ring, runtime }
    }

    pub(super) fn topic(&self, name: &str, class: Class) -> Topic {
        self.topics.register(name, Some(class)).expect("a valid name")
    }

    /// Publishes and encodes; no stream takes notice.
    pub(super) fn publish(&mut self, topic: Topic, payload: &str) {
        self.ring.publish(event(topic, payload, self.hub.now_us())).expect("room");
        assert_eq!(self.hub.parts.encoder.run(), 1);
    }

    /// What the hub's task does when it is told of a commit.
    pub(super) fn round(&self) {
        self.hub.refresh(&mut self.hub.lock());
    }

    pub(super) fn admit(&self, text: &str, kind: Kind) -> Result<Ticket, Problem> {
        let _guard = self.runtime.enter();
        self.hub.admit(query(text), kind)
    }

    /// A stream that was admitted, and what is written into.
    pub(super) fn stream(&self, text: &str) -> (Ticket, Page) {
        let ticket = self.admit(text, Kind::Stream).expect("room");
        (ticket, Page::new(Form::Events, "k3f9k3f9".into()))
    }

    /// A poll that is answered at once: what it says, and where to go on.
    pub(super) fn poll(&self, text: &str, bytes_max: usize) -> (Vec<Value>, u64) {
        let ticket = self.admit(text, Kind::Poll).expect("room");
        let until = ticket.close_at(bytes_max);
        (answer(&ticket).expect("it is in the log"), until)
    }

    pub(super) fn gaps(&self) -> u64 {
        self.telemetry.value(EngineCounter::HttpGaps)
    }
}

fn event(topic: Topic, payload: &str, time_us: u64) -> Event {
    let payload = Json::parse(payload.as_bytes().to_vec().into()).expect("JSON");
    Event { topic, key: 0, time_us, body: event::Body::External(payload) }
}

/// The array that an answer is.
pub(super) fn answer(ticket: &Ticket) -> std::io::Result<Vec<Value>> {
    let mut page = Page::new(Form::Array, "k3f9k3f9".into());
    let mut text = Vec::new();
    while let Some(mut bytes) = ticket.next_of_answer(&mut page)? {
        text.append(&mut bytes);
    }
    text.append(&mut ticket.heartbeat(&mut page));
    page.end(&mut text);
    Ok(serde_json::from_slice(&text).expect("JSON"))
}

/// Counts how often it is woken.
#[derive(Debug, Default)]
pub(super) struct Bell(AtomicU64);

impl TaskWake for Bell {
    fn wake(self: StdArc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Bell {
    fn rings(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Everything that a stream has to say now, one text after the other.
pub(super) fn all_of(ticket: &Ticket, page: &mut Page) -> String {
    let mut text = String::new();
    while let Some(chunk) = next_of(ticket, page) {
        text += &chunk;
    }
    text
}

/// The frames of a text.
fn frames(text: &str) -> Vec<Value> {
    let json = text.lines().filter_map(|line| line.strip_prefix("data: "));
    json.map(|json| serde_json::from_str(json).expect("JSON")).collect()
}

/// The next chunk of a stream that nobody ends.
pub(super) fn next_of(ticket: &Ticket, page: &mut Page) -> Option<String> {
    match ticket.next_of_stream(page, &Context::from_waker(Waker::noop())) {
        Output::Chunk(bytes) => Some(String::from_utf8(bytes).expect("text")),
        Output::Nothing => None,
        Output::Farewell(bytes) => panic!("{}", String::from_utf8_lossy(&bytes)),
    }
}

/// A log of two segments with four records each.
pub(super) fn short_log() -> log::Options {
    log::Options { segment_records: 4, segments_max: 2, ..log::Options::default() }
}

#[test]
fn an_event_that_another_request_brought_to_light_wakes_those_who_wait() {
    let mut world = World::new(Options::default(), log::Options::default());
    let note = world.topic("note", Class::Event);
    let bell = StdArc::new(Bell::default());
    let waker = Waker::from(bell.clone());
    let cx = Context::from_waker(&waker);
    let (ticket, mut page) = world.stream("topics=note");
    all_of(&ticket, &mut page);
    assert!(matches!(ticket.next_of_stream(&mut page, &cx), Output::Nothing));
    world.publish(note, "1");
    // The hub's task will find nothing new: the other request took notice of it.
    drop(world.admit("topics=other", Kind::Snapshot).expect("room"));
    assert_eq!(bell.rings(), 1);
    assert!(all_of(&ticket, &mut page).contains("\"seq\":1"));
}

#[test]
fn a_stream_that_was_away_for_more_than_the_log_is_told_exactly_what_it_missed() {
    let mut world = World::new(Options::default(), short_log());
    let note = world.topic("note", Class::Event);
    let price = world.topic("price", Class::State);
    let (ticket, mut page) = world.stream("topics=note,price");
    world.publish(note, "1");
    world.publish(price, "1");
    world.round();
    all_of(&ticket, &mut page);
    world.publish(price, "2");
    for n in 2..=40 {
        world.publish(note, &n.to_string());
    }
    world.round();
    let text = all_of(&ticket, &mut page);
    let frames = frames(&text);
    let [a, b, c] = &frames[..] else { panic!("{text}") };
    assert_eq!((&a["type"], &a["topic"]), (&"gap".into(), &"note".into()), "{text}");
    let named = |gap: &Value| {
        let payload = &gap["payload"];
        (payload["from"].as_u64(), payload["to"].as_u64(), payload["reason"].clone())
    };
    assert_eq!(named(a), (Some(2), Some(40), "overrun".into()));
    assert_eq!(named(b), (Some(2), Some(2), "overrun".into()));
    assert_eq!((&c["type"], &c["seq"], &c["payload"]), (&"snapshot".into(), &2.into(), &2.into()));
    assert_eq!(world.gaps(), 2);
    world.publish(note, "41");
    world.round();
    assert!(all_of(&ticket, &mut page).contains("\"seq\":41,"));
}

#[test]
fn a_drain_ends_a_stream_behind_what_it_was_owed_then_however_much_is_published() {
    let mut world = World::new(Options::default(), log::Options::default());
    let note = world.topic("note", Class::Event);
    let (ticket, mut page) = world.stream("topics=note");
    all_of(&ticket, &mut page);
    world.publish(note, "1");
    world.hub.drain((0, 250));
    let cx = Context::from_waker(Waker::noop());
    let mut chunks = 0;
    let farewell = loop {
        world.publish(note, "2");
        world.round();
        match ticket.next_of_stream(&mut page, &cx) {
            Output::Chunk(bytes) => {
                chunks += 1;
                assert!(chunks == 1, "{}", String::from_utf8_lossy(&bytes));
            }
            Output::Farewell(bytes) => break String::from_utf8(bytes).expect("text"),
            Output::Nothing => panic!("it has to be told"),
        }
    };
    assert!(farewell.contains("\"reconnect_ms\":[0,250]") && !farewell.contains("id:"));
    assert_eq!(chunks, 1, "the event of before the drain comes first");
    assert_eq!(world.admit("topics=note", Kind::Poll).expect_err("late").code, "draining");
}

#[test]
fn as_many_streams_polls_and_snapshots_are_let_in_as_may_be_and_places_are_given_back() {
    let world = World::new(Options { streams_max: 2, ..Options::default() }, short_log());
    let admit = |kind| world.admit("topics=a", kind);
    let refused = |kind| admit(kind).map(drop).expect_err("full").code;
    let first = admit(Kind::Stream).expect("one below the limit");
    let second = admit(Kind::Poll).expect("at the limit");
    for kind in [Kind::Stream, Kind::Poll, Kind::Snapshot] {
        assert_eq!(refused(kind), "too_many_streams");
    }
    assert_eq!(world.telemetry.value(EngineCounter::HttpStreamsRefused), 3);
    drop(first);
    let third = admit(Kind::Snapshot).expect("a place was given back");
    assert_eq!(refused(Kind::Stream), "too_many_streams");
    drop((second, third));
    assert_eq!((world.hub.open(), world.telemetry.value(EngineCounter::HttpStreams)), (0, 0));
}

#[test]
fn a_lag_of_as_many_bytes_as_may_be_is_none_and_one_more_is() {
    let events = ["[1]", "[22]", "[333]"];
    let lagging = |lag_bytes_max| {
        let options = Options { lag_bytes_max, ..Options::default() };
        let mut world = World::new(options, log::Options::default());
        let note = world.topic("note", Class::Event);
        let (ticket, mut page) = world.stream("topics=note");
        all_of(&ticket, &mut page);
        events.iter().for_each(|payload| world.publish(note, payload));
        world.round();
        let bytes = world.hub.lock().window.reader().head_bytes();
        (world.gaps(), all_of(&ticket, &mut page).contains("\"slow\""), bytes)
    };
    let bytes = lagging(u64::MAX).2;
    assert_eq!(lagging(bytes - 1), (1, true, bytes), "one above the limit");
    assert_eq!(lagging(bytes), (0, false, bytes), "at the limit");
    assert_eq!(lagging(bytes + 1), (0, false, bytes), "one below the limit");
}

#[test]
fn a_lag_as_old_as_may_be_is_none_and_a_microsecond_more_is() {
    for (age_us, is_told) in [(999, false), (1_000, false), (1_001, true)] {
        let options = Options { lag_age_max: Duration::from_millis(1), ..Options::default() };
        let mut world = World::new(options, log::Options::default());
        let note = world.topic("note", Class::Event);
        let (ticket, mut page) = world.stream("topics=note");
        world.publish(note, "1");
        world.round();
        world.hand.advance_us(age_us);
        assert_eq!(all_of(&ticket, &mut page).contains("\"slow\""), is_told, "{age_us} us");
    }
}

#[test]
fn a_poll_takes_events_up_to_its_limit_and_values_alone() {
    let mut world = World::new(Options::default(), log::Options::default());
    let (note, price) = (world.topic("note", Class::Event), world.topic("price", Class::State));
    let from = |pos: u64| format!("topics=note&from=k3f9k3f9.{pos}");
    let (first, start) = world.poll("topics=note", 0);
    assert_eq!((first.len(), start), (2, 0));
    world.publish(note, "[1]");
    world.publish(note, "[2]");
    // The least limit with which both come; with one byte less it is the first alone.
    let least = (0..4_096).find(|&bytes_max| world.poll(&from(0), bytes_max).1 == 2);
    let least = least.expect("they are short");
    assert_eq!(world.poll(&from(0), least - 1).0.len(), 3);
    let text = |frames: &[Value]| serde_json::to_string(frames).expect("JSON").len();
    let (both, _) = world.poll(&from(0), least);
    assert!(text(&both[..3]) <= least, "{} bytes, not {least}", text(&both[..3]));
    assert_eq!(world.poll(&from(0), 0).1, 1, "a single event goes alone");
    world.publish(price, "1");
    let waiting = world.admit("topics=note,price", Kind::Poll).expect("room");
    world.publish(note, "[3]");
    world.round();
    let until = waiting.close_at(1 << 20);
    let frames = answer(&waiting).expect("it is in the log");
    assert_eq!((frames.len(), &frames[1]["type"], until), (3, &"snapshot".into(), 3));
    assert_eq!(world.poll(&from(until), 1 << 20).1, 4, "the event comes with the next");
}

#[test]
fn gaps_are_counted_as_they_are_written() {
    let options = Options { lag_bytes_max: 200, ..Options::default() };
    let mut world = World::new(options, log::Options::default());
    let note = world.topic("note", Class::Event);
    let (ticket, mut page) = world.stream("topics=note");
    all_of(&ticket, &mut page);
    for expected in [1, 2] {
        for _ in 0..20 {
            world.publish(note, "1");
            world.round();
        }
        let text = all_of(&ticket, &mut page);
        assert_eq!(text.matches("\"slow\"").count(), 1, "{text}");
        assert_eq!(world.gaps(), expected);
    }
}

#[test]
fn last_values_are_those_of_the_position_that_the_ack_names_however_fast_it_moves() {
    const ASKED: u64 = 10_000;
    let world = World::new(Options::default(), short_log());
    let topics = ["a", "b", "c"].map(|name| world.topic(name, Class::State));
    let (encoder, is_enough) = (world.hub.parts.encoder.clone(), AtomicBool::new(false));
    let mut ring = world.intake.publisher().expect("a free ring");
    let publish = || {
        for n in (1_usize..).take_while(|_| !is_enough.load(Ordering::Relaxed)) {
            ring.publish(event(topics[n % 7 % 3], "1", 0)).expect("room");
            // Batches of one event, and some of three times the log.
            while (n % 48 == 0 || n % 48 > 24) && encoder.is_ready() {
                encoder.run();
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(publish);
        let _end = Enough(&is_enough);
        let stream = world.stream("topics=a");
        for n in 0..ASKED {
            let (ticket, mut page) = world.stream("topics=a,b,c");
            let text = next_of(&ticket, &mut page).expect("a beginning");
            let frames = frames(&text);
            let stands = frames[1]["payload"]["topics"].as_array().expect("topics");
            for stands in stands {
                let value = frames.iter().find(|frame| frame["topic"] == stands["topic"]);
                let seq = value.map_or(&Value::from(0), |value| &value["seq"]).clone();
                assert_eq!(stands["seq"], seq, "request {n}: {text}");
            }
        }
        drop(stream);
    });
}

/// Ends a publisher, also when what it publishes for fails.
struct Enough<'a>(&'a AtomicBool);

impl Drop for Enough<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
