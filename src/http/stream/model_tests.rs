//! The promise of a stream, from the text of its body, over random histories.
//!
//! Method: publishes, looks at the log, chunks, heartbeats, pauses and lapses in any order, with a log of two short
//! segments and a small lag budget. The client checks every frame by what it had before, keeps what it had at the last
//! `id`, and is now and then cut off at any byte; it then comes back with that `id` and has to be given what follows.

use super::Options;
use super::hub::Ticket;
use super::open::Kind;
use super::page::Page;
use super::tests::{World, all_of, answer, next_of};
use crate::event::{Class, Topic};
use crate::log;
use proptest::prelude::*;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

const NAMES: [(&str, Class); 3] =
    [("quote:a", Class::State), ("quote:b", Class::State), ("trade:c", Class::Event)];
/// The exact names too: the ack says of them where they stand.
const ALL: &str = "topics=quote:*,quote:a,quote:b,trade:c";

#[derive(Debug, Clone)]
enum Step {
    /// So many events of a topic, each with so many bytes more than it needs.
    Publish {
        topic: usize,
        events: usize,
        filler: usize,
    },
    /// The hub's task runs.
    Look,
    /// The socket takes a chunk.
    Chunk,
    Heartbeat,
    /// Time goes by, milliseconds.
    Pause(u64),
    /// The client sees this share of what it was not given yet, in thousandths, and comes back.
    Cut(usize),
    /// Somebody polls, with this many bytes for events, and comes back with the next.
    Poll {
        bytes_max: usize,
        lapses: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let publish = (0..3usize, 1..4usize, 0..300usize);
    let burst = (0..3usize, 8..40usize, 0..20usize);
    // Two values that are so long are written in two portions.
    let long = (0..3usize, Just(1), Just(9_000));
    let publish = prop_oneof![4 => publish, 1 => burst, 1 => long];
    prop_oneof![
        8 => publish.prop_map(|(topic, events, filler)| Step::Publish { topic, events, filler }),
        6 => Just(Step::Look),
        6 => Just(Step::Chunk),
        1 => Just(Step::Heartbeat),
        1 => (0..800u64).prop_map(Step::Pause),
        2 => (0..=1_000usize).prop_map(Step::Cut),
        2 => (0..2_000usize, any::<bool>())
            .prop_map(|(bytes_max, lapses)| Step::Poll { bytes_max, lapses }),
    ]
}

/// What a client has.
#[derive(Debug, Clone, Default)]
struct Had {
    /// The seq that has to come next, by topic; a topic that is not here begins with 1.
    next: BTreeMap<String, u64>,
    /// Topics whose value is still to come, with its seq.
    owed: BTreeMap<String, u64>,
}

impl Had {
    fn next(&self, topic: &str) -> u64 {
        self.next.get(topic).copied().unwrap_or(1)
    }

    /// What an ack says; behind it come gaps and values, if the client could not go on.
    fn take_ack(&mut self, ack: &Value, is_new: bool) {
        let recovered = ack["payload"]["recovered"].as_bool();
        assert_eq!(recovered.is_none(), is_new, "{ack}");
        for stands in ack["payload"]["topics"].as_array().expect("topics") {
            let (Some(topic), Some(seq)) = (stands["topic"].as_str(), stands["seq"].as_u64())
            else {
                continue;
            };
            if recovered == Some(true) {
                assert_eq!(self.next(topic), seq + 1, "{ack}");
                continue;
            }
            if is_new {
                self.next.insert(topic.to_owned(), seq + 1);
            }
            if topic.starts_with("quote:") && seq > 0 {
                self.owed.insert(topic.to_owned(), seq);
            }
        }
    }

    fn take(&mut self, frame: &Value) {
        let kind = frame["type"].as_str().expect("a type");
        let topic = frame["topic"].as_str().expect("a topic").to_owned();
        let payload = &frame["payload"];
        if kind == "gap" {
            let [from, to] = ["from", "to"].map(|key| payload[key].as_u64().expect("a seq"));
            match payload["reason"].as_str() {
                Some("slow" | "overrun") => assert_eq!(self.next(&topic), from, "{frame}"),
                Some("expired") => assert_eq!(from, 0, "{frame}"),
                _ => panic!("{frame}"),
            }
            assert!(from <= to, "{frame}");
            self.next.insert(topic.clone(), to + 1);
            let is_state = topic.starts_with("quote:");
            assert_eq!(payload["action"], if is_state { "snapshot" } else { "resume" }, "{frame}");
            if is_state {
                self.owed.insert(topic, to);
            }
            return;
        }
        let seq = frame["seq"].as_u64().expect("a seq");
        assert_eq!(payload[0], seq, "the payload of this event: {frame}");
        if kind == "snapshot" {
            match self.owed.remove(&topic) {
                Some(owed) => assert_eq!(owed, seq, "{frame}"),
                None => assert_eq!(self.next(&topic), seq + 1, "{frame}"),
            }
        } else {
            assert_eq!(self.next(&topic), seq, "{frame}");
            assert!(!self.owed.contains_key(&topic), "before its value: {frame}");
        }
        self.next.insert(topic, seq + 1);
    }
}

/// A client of a stream.
struct Reader {
    ticket: Ticket,
    page: Page,
    /// Written, and not seen yet.
    text: String,
    had: Had,
    is_new: bool,
    /// The last `id`, and what it had then.
    saved: Option<(String, Had)>,
}

impl Reader {
    fn begin(world: &World, saved: Option<(String, Had)>) -> Self {
        let from = saved.as_ref().map_or(String::new(), |(id, _)| format!("&from={id}"));
        let (ticket, page) = world.stream(&format!("{ALL}{from}"));
        let (is_new, had) = match &saved {
            None => (true, Had::default()),
            Some((_, had)) => (false, had.clone()),
        };
        Self { ticket, page, text: String::new(), had, is_new, saved }
    }

    /// Sees so many bytes; the rest is lost with the connection.
    fn see(&mut self, bytes: usize) {
        let seen = self.text[..bytes].rfind("\n\n").map_or(0, |end| end + 2);
        let text = std::mem::take(&mut self.text);
        for event in text[..seen].split_terminator("\n\n") {
            let (mut id, mut json) = (None, None);
            for line in event.lines() {
                match line.split_once(": ").expect("a field") {
                    ("id", value) => id = Some(value.to_owned()),
                    ("data", value) => json = Some(value),
                    other => assert_eq!(other, ("retry", "1000")),
                }
            }
            let Some(json) = json else { continue };
            let frame: Value = serde_json::from_str(json).expect("JSON");
            match frame["type"].as_str().expect("a type") {
                "welcome" => {}
                "ack" => self.had.take_ack(&frame, self.is_new),
                "heartbeat" => {
                    for (topic, seq) in frame["payload"]["heads"].as_object().into_iter().flatten()
                    {
                        assert_eq!(
                            self.had.next(topic),
                            seq.as_u64().expect("a seq") + 1,
                            "{json}"
                        );
                    }
                }
                _ => self.had.take(&frame),
            }
            if let Some(id) = id {
                assert!(self.had.owed.is_empty(), "an id before a value: {event}");
                self.saved = Some((id, self.had.clone()));
            }
        }
        self.text = text[seen..].to_owned();
    }
}

/// A client of polls.
#[derive(Debug, Default)]
struct Poller {
    from: Option<u64>,
    had: Had,
}

impl Poller {
    fn poll(&mut self, world: &mut World, bytes_max: usize, lapses_on: Option<(Topic, &mut u64)>) {
        let from = self.from.map_or(String::new(), |pos| format!("&from=k3f9k3f9.{pos}"));
        let ticket = world.admit(&format!("{ALL}{from}"), Kind::Poll).expect("room");
        let until = ticket.close_at(bytes_max);
        if let Some((topic, seq)) = lapses_on {
            publish(world, topic, seq, 30, 0);
            world.round();
        }
        // An answer that is cut off is asked for again.
        let Ok(frames) = answer(&ticket) else { return };
        let [ack, rest @ .., heartbeat] = &frames[..] else { panic!("{frames:?}") };
        assert_eq!(heartbeat["payload"]["pos"], until);
        self.had.take_ack(ack, self.from.is_none());
        rest.iter().for_each(|frame| self.had.take(frame));
        assert!(self.had.owed.is_empty());
        let is_list = |frame: &Value| ["gap", "snapshot"].iter().any(|kind| frame["type"] == *kind);
        let bytes: usize = rest.iter().map(|frame| frame.to_string().len()).sum();
        assert!(rest.len() == 1 || bytes <= bytes_max || rest.iter().all(is_list), "{bytes} bytes");
        self.from = Some(until);
    }
}

fn publish(world: &mut World, topic: Topic, seq: &mut u64, events: usize, filler: usize) {
    for _ in 0..events {
        *seq += 1;
        world.publish(topic, &format!("[{seq},\"{}\"]", "x".repeat(filler)));
    }
}

fn run(steps: &[Step]) {
    let options =
        Options { lag_bytes_max: 1_500, lag_age_max: Duration::from_secs(1), ..Options::default() };
    let log = log::Options { segment_records: 8, segments_max: 3, ..log::Options::default() };
    let mut world = World::new(options, log);
    let topics = NAMES.map(|(name, class)| world.topic(name, class));
    let mut seqs = [0; 3];
    let mut reader = Reader::begin(&world, None);
    let mut poller = Poller::default();
    for step in steps {
        match *step {
            Step::Publish { topic, events, filler } => {
                publish(&mut world, topics[topic], &mut seqs[topic], events, filler);
            }
            Step::Look => world.round(),
            Step::Chunk => {
                let chunk = next_of(&reader.ticket, &mut reader.page);
                reader.text += &chunk.unwrap_or_default();
            }
            Step::Heartbeat => {
                let heartbeat = reader.ticket.heartbeat_of_stream(&mut reader.page);
                reader.text += std::str::from_utf8(&heartbeat.unwrap_or_default()).expect("text");
            }
            Step::Pause(ms) => world.hand.advance_us(ms * 1_000),
            Step::Cut(share) => {
                reader.see(reader.text.len() * share / 1_000);
                let saved = reader.saved.take();
                drop(reader);
                reader = Reader::begin(&world, saved);
            }
            Step::Poll { bytes_max, lapses } => {
                let lapses_on = lapses.then_some((topics[2], &mut seqs[2]));
                poller.poll(&mut world, bytes_max, lapses_on);
            }
        }
    }
    world.round();
    reader.text += &all_of(&reader.ticket, &mut reader.page);
    reader.see(reader.text.len());
    for _ in 0..seqs.iter().sum::<u64>() + 2 {
        poller.poll(&mut world, 100_000, None);
    }
    assert!(reader.had.owed.is_empty() && reader.text.is_empty());
    for ((name, _), seq) in NAMES.iter().zip(seqs) {
        assert_eq!((reader.had.next(name), poller.had.next(name)), (seq + 1, seq + 1), "{name}");
    }
}

#[test]
fn two_long_values_are_two_portions_and_only_the_second_is_one_to_go_on_from() {
    let long = |topic| Step::Publish { topic, events: 1, filler: 9_000 };
    for share in [400, 600, 1_000] {
        run(&[long(0), long(1), Step::Cut(0), Step::Chunk, Step::Cut(share), Step::Chunk]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn no_event_is_missing_unless_a_gap_names_it_and_every_id_is_one_to_go_on_from(
        steps in prop::collection::vec(step(), 1..80),
    ) {
        run(&steps);
    }
}
