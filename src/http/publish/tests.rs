//! Publishing through its answers: every line is either in the ring or named, however the body is cut, and waiting
//! has bounds. The ring and the subscribers are played by the test.

use super::*;
use crate::event::Class;
use http_body_util::StreamBody;
use hyper::body::Frame;
use proptest::prelude::*;
use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::sync::Mutex;

/// A ring with room for `room` events.
#[derive(Debug, Default)]
struct FakeRing {
    room: Cell<usize>,
    taken: RefCell<Vec<Event>>,
    announced: Cell<usize>,
}

impl Intake for FakeRing {
    fn enqueue(&self, event: Event) -> Result<(), Event> {
        if self.taken.borrow().len() == self.room.get() {
            return Err(event);
        }
        self.taken.borrow_mut().push(event);
        Ok(())
    }
    fn announce(&self) {
        self.announced.set(self.taken.borrow().len());
    }
    fn is_drained(&self) -> bool {
        true
    }
}

/// A gate whose window stays as it is set, and that counts how often it was asked.
#[derive(Debug)]
struct FakeGate {
    window_bytes: u64,
    asked: Mutex<u64>,
}

impl FlowGate for FakeGate {
    fn window_bytes(&self) -> u64 {
        *self.asked.lock().unwrap() += 1;
        self.window_bytes
    }
    fn window_events(&self) -> u64 {
        u64::MAX
    }
}

struct Scene {
    door: Door<FakeRing>,
    gate: Arc<FakeGate>,
}

fn scene(room: usize, window_bytes: u64, options: Options) -> Scene {
    let gate = Arc::new(FakeGate { window_bytes, asked: Mutex::new(0) });
    let parts = Parts {
        intake: FakeRing { room: Cell::new(room), ..FakeRing::default() },
        topics: Arc::new(Topics::new()),
        clock: Clock::manual(7_000_000).0,
        gate: Arc::clone(&gate) as Arc<dyn FlowGate>,
        head: Box::new(|| 41),
        telemetry: Telemetry::new(1),
    };
    Scene { door: Door::new(parts, options), gate }
}

fn open() -> Options {
    let brief = Duration::from_millis(10);
    Options {
        access: PublishAccess::Loopback,
        patience: brief,
        pace_patience: brief,
        settle_patience: brief,
        body_pause_max: brief,
        ..Options::default()
    }
}

type Chunk = Result<Frame<Bytes>, Infallible>;

fn chunks(chunks: Vec<Bytes>) -> impl Body<Data = Bytes, Error = Infallible> + Unpin {
    StreamBody::new(futures_util::stream::iter(
        chunks.into_iter().map(|c| Chunk::Ok(Frame::data(c))),
    ))
}

/// Status and JSON of the answer to this body.
fn post<B: Body<Data = Bytes> + Unpin>(scene: &Scene, body: B) -> (u16, serde_json::Value) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let request = Request::post("/v1/publish").body(body).unwrap();
        let response = respond(&scene.door, request, "127.0.0.1:9".parse().unwrap()).await;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap())
    })
}

fn post_text(scene: &Scene, text: &str) -> (u16, String) {
    let (status, json) = post(scene, chunks(vec![Bytes::copy_from_slice(text.as_bytes())]));
    (status, json.to_string())
}

fn payloads(scene: &Scene) -> Vec<String> {
    let payload = |event: &Event| match &event.body {
        EventBody::External(json) => String::from_utf8(json.bytes().to_vec()).unwrap(),
        other => panic!("published {other:?}"),
    };
    scene.door.intake.taken.borrow().iter().map(payload).collect()
}

#[test]
fn payloads_arrive_byte_for_byte_with_topic_class_and_time() {
    let scene = scene(10, u64::MAX, open());
    let body = "\u{FEFF}{\"topic\":\"desk:a\",\"payload\":{ \"x\" : 1.50, \"é\":\"\\u0041\"}}\r\n\n \n\
        {\"class\":\"state\",\"payload\":null,\"topic\":\"desk:\\u0062\",\"more\":[1]}";
    let (status, answer) = post_text(&scene, body);
    assert_eq!((status, answer.as_str()), (200, "{\"accepted\":2,\"rejected\":[],\"pos\":41}"));
    assert_eq!(payloads(&scene), ["{ \"x\" : 1.50, \"é\":\"\\u0041\"}", "null"]);
    let taken = scene.door.intake.taken.borrow();
    let info = |event: &Event| {
        let info = scene.door.topics.info(event.topic);
        (info.name.to_string(), info.class, event.time_us, event.key)
    };
    assert_eq!(info(&taken[0]), ("desk:a".to_owned(), Class::Event, 7_000_000, 0));
    assert_eq!(info(&taken[1]), ("desk:b".to_owned(), Class::State, 7_000_000, 0));
    assert_eq!(scene.door.intake.announced.get(), 2);
    assert_eq!(scene.door.telemetry.value(EngineCounter::PublishAccepted), 2);
}

#[test]
fn a_bad_line_is_named_with_its_number_and_harms_no_other() {
    let scene = scene(10, u64::MAX, Options { event_bytes_max: 16, ..open() });
    let deep = format!("{{\"topic\":\"a:b\",\"payload\":{}}}", "[".repeat(8));
    let lines = [
        ("nonsense", "bad_json"),
        ("[\"a:b\",null,1]", "bad_json"),
        ("{\"topic\":\"a:b\",\"payload\":1} 2", "bad_json"),
        ("{\"topic\":\"a:b\",\"payload\":1,\"payload\":2}", "bad_json"),
        (deep.as_str(), "bad_json"),
        ("{\"payload\":1}", "bad_topic"),
        ("{\"topic\":\"a b\",\"payload\":1}", "bad_topic"),
        ("{\"topic\":\"a:b\"}", "missing_payload"),
        ("{\"topic\":\"a:b\",\"payload\":1,\"class\":\"both\"}", "bad_class"),
        ("{\"topic\":\"a:b\",\"payload\":\"fifteen_chars_\"}", ""),
        ("{\"topic\":\"a:b\",\"payload\":\"sixteen_chars__\"}", "too_large"),
        ("{\"topic\":\"a:b\",\"payload\":1,\"class\":\"state\"}", "class_conflict"),
        ("{\"topic\":\"a:gap\",\"payload\":1}", "reserved_topic"),
        ("{\"topic\":\"a:b\",\"payload\":2}", ""),
    ];
    let body = lines.map(|(line, _)| line).join("\n");
    let (status, answer) = post(&scene, chunks(vec![body.into()]));
    let bad = (1..).zip(lines).filter(|(_, (_, code))| !code.is_empty());
    let expected: Vec<_> =
        bad.map(|(number, (_, code))| serde_json::json!({"line": number, "code": code})).collect();
    assert_eq!(answer["rejected"], serde_json::Value::from(expected));
    assert_eq!((status, &answer["accepted"]), (200, &2.into()));
    assert_eq!(payloads(&scene), ["\"fifteen_chars_\"", "2"]);
    assert_eq!(scene.door.topics.len(), 1, "a rejected line registers no topic");
}

#[test]
fn a_line_is_too_large_beyond_its_limit_and_the_next_one_is_read() {
    let options = Options { event_bytes_max: 1_024, ..open() };
    let limit = options.event_bytes_max + LINE_OVERHEAD_BYTES;
    for (length, accepted) in [(limit - 1, 2), (limit, 2), (limit + 1, 1)] {
        let scene = scene(10, u64::MAX, options.clone());
        let mut body = String::from("{\"topic\":\"a:b\",\"payload\":1");
        body.push_str(&" ".repeat(length - body.len() - 1));
        body.push_str("}\n{\"topic\":\"a:b\",\"payload\":2}");
        let halves = vec![
            Bytes::copy_from_slice(&body.as_bytes()[..700]),
            Bytes::copy_from_slice(&body.as_bytes()[700..]),
        ];
        for body in [vec![body.into()], halves] {
            let before = payloads(&scene).len();
            assert_eq!(post(&scene, chunks(body)).1["accepted"], accepted, "{length}");
            assert_eq!(payloads(&scene).len() - before, accepted);
        }
    }
}

#[test]
fn a_ring_that_stays_full_ends_with_429_and_tells_where_to_go_on() {
    let scene = scene(2, u64::MAX, open());
    let body = "{\"topic\":\"a:b\",\"payload\":1}\nbad\n{\"topic\":\"a:b\",\"payload\":2}\n{\"topic\":\"a:b\",\"payload\":3}\n";
    let (status, answer) = post(&scene, chunks(vec![body.into()]));
    assert_eq!(status, 429);
    assert_eq!(answer["accepted"], 2);
    assert_eq!((answer["code"].as_str(), &answer["next_line"]), (Some("ring_full"), &4.into()));
    assert_eq!(payloads(&scene), ["1", "2"]);
    assert_eq!(scene.door.telemetry.value(EngineCounter::PublishRefused), 1);
}

#[test]
fn a_ring_that_empties_in_time_delays_and_loses_nothing() {
    let scene = scene(1, u64::MAX, Options { patience: Duration::from_secs(60), ..open() });
    let body = "{\"topic\":\"a:b\",\"payload\":1}\n{\"topic\":\"a:b\",\"payload\":2}\n";
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let status = runtime.block_on(async {
        let request = Request::post("/v1/publish").body(chunks(vec![body.into()])).unwrap();
        let peer = "127.0.0.1:9".parse().unwrap();
        let room = async {
            // The publisher runs until it waits for the ring; then there is room.
            while scene.door.intake.announced.get() == 0 {
                tokio::task::yield_now().await;
            }
            scene.door.intake.room.set(2);
        };
        tokio::join!(respond(&scene.door, request, peer), room).0.status()
    });
    assert_eq!(status, 200);
    assert_eq!(payloads(&scene), ["1", "2"]);
}

#[test]
fn a_long_body_asks_the_gate_and_a_short_one_does_not() {
    let line = "{\"topic\":\"a:b\",\"payload\":1}\n";
    for (lines, asked) in [(3, 0), (4, 0), (5, 1), (9, 2)] {
        let scene = scene(100, u64::MAX, Options { batch_events: 4, ..open() });
        assert_eq!(post(&scene, chunks(vec![line.repeat(lines).into()])).1["accepted"], lines);
        assert_eq!(*scene.gate.asked.lock().unwrap(), asked, "{lines} lines");
    }
}

#[test]
fn a_subscriber_that_stands_still_delays_a_publisher_but_stops_nobody() {
    let scene = scene(100, 0, Options { batch_events: 2, ..open() });
    let body = "{\"topic\":\"a:b\",\"payload\":1}\n".repeat(7);
    let (status, answer) = post(&scene, chunks(vec![body.into()]));
    assert_eq!((status, &answer["accepted"]), (200, &7.into()));
    assert!(*scene.gate.asked.lock().unwrap() > 3, "the gate was asked before each further batch");
}

#[test]
fn a_small_window_lets_one_event_through_at_a_time() {
    let scene = scene(100, 1, Options { batch_events: 2, ..open() });
    let body = "{\"topic\":\"a:b\",\"payload\":1}\n".repeat(6);
    assert_eq!(post(&scene, chunks(vec![body.into()])).1["accepted"], 6);
    assert_eq!(*scene.gate.asked.lock().unwrap(), 4, "two ungated, then one per question");
}

#[test]
fn the_list_of_rejected_lines_is_cut_and_counted() {
    for (lines, total) in [(1, None), (2, None), (3, Some(3))] {
        let scene = scene(1, u64::MAX, Options { rejected_max: 2, ..open() });
        let (_, answer) = post(&scene, chunks(vec!["bad\n".repeat(lines).into()]));
        assert_eq!(answer["rejected"].as_array().unwrap().len(), lines.min(2));
        assert_eq!(answer["rejected_total"].as_u64(), total);
    }
}

#[test]
fn a_body_that_pauses_too_long_is_answered_408_with_what_was_taken() {
    use futures_util::StreamExt as _;
    let scene = scene(10, u64::MAX, open());
    let first =
        Chunk::Ok(Frame::data(Bytes::from_static(b"{\"topic\":\"a:b\",\"payload\":1}\n{\"to")));
    let stream = futures_util::stream::iter([first]).chain(futures_util::stream::pending());
    let (status, answer) = post(&scene, StreamBody::new(stream));
    assert_eq!((status, &answer["accepted"]), (408, &1.into()));
    assert_eq!((answer["code"].as_str(), &answer["next_line"]), (Some("body_pause"), &2.into()));
}

#[test]
fn a_body_that_breaks_is_answered_with_what_was_taken() {
    let scene = scene(10, u64::MAX, open());
    let frames =
        [Ok(Frame::data(Bytes::from_static(b"{\"topic\":\"a:b\",\"payload\":1}\n"))), Err("reset")];
    let (status, answer) = post(&scene, StreamBody::new(futures_util::stream::iter(frames)));
    assert_eq!(
        (status, &answer["accepted"], answer["code"].as_str()),
        (400, &1.into(), Some("body_broken"))
    );
}

#[test]
fn surplus_requests_and_compressed_bodies_are_refused() {
    let scene = scene(10, u64::MAX, Options { requests_max: 0, ..open() });
    assert_eq!(post_text(&scene, "").0, 429);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let request = Request::post("/v1/publish").header("content-encoding", "gzip");
    let request = request.body(chunks(Vec::new())).unwrap();
    let peer = "127.0.0.1:9".parse().unwrap();
    assert_eq!(runtime.block_on(respond(&scene.door, request, peer)).status(), 415);
    assert_eq!(scene.door.telemetry.value(EngineCounter::PublishRefused), 2);
}

/// What a reader makes of `body` cut at `cuts`.
fn lines_of(body: &[u8], cuts: &[usize], line_bytes_max: usize) -> Vec<Line> {
    let mut reader = LineReader::new(line_bytes_max);
    let mut lines = Vec::new();
    let mut start = 0;
    for end in cuts.iter().copied().chain([body.len()]) {
        reader.feed(Bytes::copy_from_slice(&body[start..end]));
        lines.extend(std::iter::from_fn(|| reader.next_line()));
        start = end;
    }
    lines.extend(reader.finish());
    lines
}

/// The plain meaning: split at LF, drop what is too long, trim, pass over what is empty.
fn lines_expected(body: &[u8], line_bytes_max: usize) -> Vec<Line> {
    let mut expected = Vec::new();
    for (number, line) in (1..).zip(body.split(|byte| *byte == b'\n')) {
        if line.len() > line_bytes_max {
            expected.push(Line { number, bytes: None });
            continue;
        }
        let text =
            if number == 1 { line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line) } else { line };
        if !text.trim_ascii().is_empty() {
            expected.push(Line { number, bytes: Some(Bytes::copy_from_slice(text.trim_ascii())) });
        }
    }
    expected
}

proptest! {
    #[test]
    fn any_cut_of_a_body_gives_the_same_lines(
        body in prop::collection::vec(prop::sample::select(&b"ab{\xEF\xBB\xBF \r\n\n"[..]), 0..80),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        line_bytes_max in 0_usize..12,
    ) {
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
        cuts.sort_unstable();
        let expected = lines_expected(&body, line_bytes_max);
        prop_assert_eq!(lines_of(&body, &cuts, line_bytes_max), expected);
    }

    #[test]
    fn whatever_a_line_holds_a_payload_is_part_of_it_and_json(
        parts in prop::collection::vec(prop::sample::select(&PARTS[..]), 0..9),
    ) {
        let line = parts.concat();
        if let Ok(parsed) = parse_line(line.as_bytes(), 64) {
            prop_assert!(line.contains(parsed.payload));
            prop_assert!(parsed.payload.len() <= 64);
            prop_assert!(serde_json::from_str::<serde_json::Value>(parsed.payload).is_ok());
        }
    }
}

/// Pieces of lines, right and wrong.
const PARTS: [&str; 12] = [
    "{",
    "}",
    ",",
    "\"topic\":\"a:b\"",
    "\"payload\":",
    "[1, 2]",
    "{\"x\":\"}\"}",
    "null",
    "\"class\":\"state\"",
    "\"\\ud800\"",
    " ",
    "\"",
];
