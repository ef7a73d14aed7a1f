//! The protocol as tables: what a client says, and the frames and the command that come of it.

use super::*;
use crate::event::{Class, Pattern};

const NOW_US: u64 = 1_738_512_000_123_456;
/// How every message sent at [`NOW_US`] ends.
const END: &str = r#"},"timestamp":1738512000123}"#;

/// A session with a context that a test may change.
struct Desk {
    session: Session,
    limits: Limits,
    may_publish: bool,
    now_us: u64,
}

impl Desk {
    fn new() -> Self {
        let id = Uuid::from_u128(0x0123_4567_89ab_4def_8123_4567_89ab_cdef);
        Self {
            session: Session::new(id, NOW_US),
            limits: Limits::default(),
            may_publish: true,
            now_us: NOW_US,
        }
    }

    /// Calls `act` and gives its result and the messages it appended.
    fn with<R>(
        &mut self,
        act: impl FnOnce(&mut Session, &Context<'_>, &mut Vec<u8>) -> R,
    ) -> (R, Vec<String>) {
        let context = Context {
            now_us: self.now_us,
            epoch: "k3f9",
            head: 81_410,
            lag_events: 7,
            may_publish: self.may_publish,
            limits: &self.limits,
        };
        let mut out = Vec::new();
        let result = act(&mut self.session, &context, &mut out);
        (result, messages(&out))
    }

    fn say(&mut self, text: &str) -> (Option<Command>, Vec<String>) {
        self.with(|session, context, out| session.on_text(text, context, out))
    }

    /// Says what is answered at once, with one message.
    fn answer(&mut self, text: &str) -> String {
        let (command, mut frames) = self.say(text);
        assert_eq!((command, frames.len()), (None, 1), "{text}");
        frames.remove(0)
    }

    /// Says a subscribe, lets it take effect and gives the ack.
    fn subscribe(&mut self, text: &str) -> String {
        let Some(Command::Subscribe(mut subscribe)) = self.say(text).0 else {
            panic!("no subscribe: {text}")
        };
        let joined = Joined { pos: 81_300, recovered: subscribe.from.as_ref().map(|_| true) };
        let ((), frames) = self.with(|session, context, out| {
            session.join(&mut subscribe, &mut |name| {
                name.starts_with("trade").then_some(Class::Event)
            });
            let stands: Vec<Matched> = subscribe.patterns().iter().map(stand).collect();
            session.subscribed(&subscribe, context, joined, &stands, out);
        });
        frames.concat()
    }

    fn unsubscribe(&mut self, text: &str) -> String {
        let Some(Command::Unsubscribe(unsubscribe)) = self.say(text).0 else {
            panic!("no unsubscribe: {text}")
        };
        self.with(|session, context, out| session.unsubscribed(unsubscribe, context, 81_301, out))
            .1
            .concat()
    }

    fn names(&self) -> Vec<String> {
        let patterns = self.session.rules().patterns();
        patterns.iter().map(|pattern| pattern.as_str().to_owned()).collect()
    }
}

fn stand(pattern: &Pattern) -> Matched {
    if pattern.is_exact() { Matched::Topic { seq: 5012 } } else { Matched::Pattern { count: 3 } }
}

/// The payloads of the text frames that `bytes` are, and nothing else.
fn messages(mut bytes: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    while let [0x81, length, rest @ ..] = bytes {
        let (length, rest) = match length {
            126 => (usize::from(u16::from_be_bytes([rest[0], rest[1]])), &rest[2..]),
            127 => panic!("no message of a test is that long"),
            short => (usize::from(*short), rest),
        };
        let (payload, rest) = rest.split_at(length);
        serde_json::from_slice::<serde_json::Value>(payload).expect("messages are JSON");
        found.push(String::from_utf8(payload.to_vec()).expect("messages are text"));
        bytes = rest;
    }
    assert_eq!(bytes, b"", "nothing but text frames");
    found
}

fn error_code(frame: &str) -> String {
    let frame: serde_json::Value = serde_json::from_str(frame).expect("JSON");
    assert_eq!(frame["type"], "error");
    frame["payload"]["code"].as_str().expect("a code").to_owned()
}

#[test]
fn the_welcome_names_the_stream_and_the_limits() {
    let ((), frames) = Desk::new().with(|session, context, out| session.welcome(context, out));
    let expected = r#"{"type":"welcome","payload":{"protocol":1,"connection":"01234567-89ab-4def-8123-456789abcdef","epoch":"k3f9","head":81410,"ping_s":20,"heartbeat_s":15,"limits":{"message_bytes":16384,"topics":1024,"topic_bytes":128,"messages_per_s":50,"burst":200}"#;
    assert_eq!(frames, [format!("{expected}{END}")]);
}

#[test]
fn a_subscribe_is_acknowledged_in_the_words_of_the_protocol() {
    let mut desk = Desk::new();
    let ack = desk.subscribe(
        r#"{"op":"subscribe","id":1,"topics":["market:BTC-USD","x y","agent:*","x:gap","market:BTC-USD"],"mode":"all","snapshot":true}"#,
    );
    let topics = r#"[{"topic":"market:BTC-USD","seq":5012},{"pattern":"agent:*","count":3}]"#;
    let rejected = r#"[{"topic":"x y","code":"bad_topic"},{"topic":"x:gap","code":"reserved"}]"#;
    let head = r#"{"type":"ack","id":1,"payload":{"op":"subscribe","pos":81300"#;
    assert_eq!(ack, format!(r#"{head},"topics":{topics},"rejected":{rejected}{END}"#));
    assert_eq!(desk.names(), ["agent:*", "market:BTC-USD"]);
    let ack = desk.subscribe(
        r#"{"op":"subscribe","topics":["*","agent:*"],"snapshot":false,"mode":null,"new":[{}]}"#,
    );
    let topics = r#"[{"pattern":"*","count":3},{"pattern":"agent:*","count":3}]"#;
    assert_eq!(
        ack,
        format!(
            r#"{{"type":"ack","payload":{{"op":"subscribe","pos":81300,"topics":{topics}{END}"#
        )
    );
    assert_eq!(desk.names(), ["*", "agent:*", "market:BTC-USD"]);
}

#[test]
fn an_unsubscribe_goes_by_the_text_of_the_pattern() {
    let mut desk = Desk::new();
    desk.subscribe(r#"{"op":"subscribe","topics":["market:*","market:BTC-USD","hub"]}"#);
    let ack = desk.unsubscribe(
        r#"{"op":"unsubscribe","id":"u","topics":["market:*","market:ETH","hub","?"]}"#,
    );
    let topics = r#"[{"pattern":"market:*"},{"topic":"hub"}]"#;
    let rejected =
        r#"[{"topic":"?","code":"bad_topic"},{"topic":"market:ETH","code":"not_subscribed"}]"#;
    let head = r#"{"type":"ack","id":"u","payload":{"op":"unsubscribe","pos":81301"#;
    assert_eq!(ack, format!(r#"{head},"topics":{topics},"rejected":{rejected}{END}"#));
    assert_eq!(desk.names(), ["market:BTC-USD"]);
}

#[test]
fn a_ping_gets_back_its_t_as_it_was_written() {
    let mut desk = Desk::new();
    let long = format!(r#""{}""#, "x".repeat(62));
    for (sent, member) in [
        (r#","id":4,"t":123"#, r#""t":123,"#),
        (r#","id":4,"t": -1.50E+3 "#, r#""t":-1.50E+3,"#),
        (r#","id":4,"t":"a\u0062\"}é","x":1"#, r#""t":"a\u0062\"}é","#),
        (&format!(r#","id":4,"t":{long}"#), &format!(r#""t":{long},"#)),
        (r#","id":4,"t":1,"t":2"#, r#""t":2,"#),
        (r#","id":4,"t":null"#, ""),
        (r#","id":4"#, ""),
    ] {
        let pong = desk.answer(&format!(r#"{{"x":{{"t":[9,"t",{{}}]}},"op":"ping"{sent}}}"#));
        let expected =
            format!(r#"{{"type":"pong","id":4,"payload":{{{member}"head":81410,"lag":7{END}"#);
        assert_eq!(pong, expected, "{sent}");
    }
}

#[test]
fn an_id_comes_back_as_it_was_meant() {
    let mut desk = Desk::new();
    let longest = format!(r#""{}""#, "é".repeat(32));
    for (sent, echoed) in [
        ("0", "0"),
        ("-9223372036854775808", "-9223372036854775808"),
        ("18446744073709551615", "18446744073709551615"),
        (r#""""#, r#""""#),
        (r#""a\"\\\n\u00e9\/""#, r#""a\"\\\u000aé/""#),
        (&longest, &longest),
    ] {
        let pong = desk.answer(&format!(r#"{{"op":"ping","id":{sent}}}"#));
        assert!(
            pong.starts_with(&format!(r#"{{"type":"pong","id":{echoed},"payload""#)),
            "{sent}: {pong}"
        );
    }
    for refused in ["1.5", "true", "[1]", "{}", &format!(r#""{}""#, "x".repeat(65))] {
        let error = desk.answer(&format!(r#"{{"op":"ping","id":{refused}}}"#));
        let message = "id is neither an integer nor a string of at most 64 bytes";
        let payload = format!(r#"{{"code":"bad_request","message":"{message}","retryable":false"#);
        assert_eq!(error, format!(r#"{{"type":"error","payload":{payload}{END}"#), "{refused}");
    }
}

#[test]
fn what_cannot_be_obeyed_is_refused_with_a_code_and_the_name_of_the_trouble() {
    let mut desk = Desk::new();
    desk.limits.burst = 1000;
    let long_t = format!(r#"{{"op":"ping","t":"{}"}}"#, "x".repeat(63));
    for (text, code, word) in [
        (r#"{"op":"dance"}"#, "unknown_op", "op"),
        (r#"{"op":"auth"}"#, "bad_request", "token"),
        (r#"{"op":"auth","token":7}"#, "bad_request", "token"),
        (
            r#"{"op":"subscribe","topics":["*"],"mode":"latest","max_hz":3}"#,
            "bad_request",
            "max_hz",
        ),
        (r#"{"op":"subscribe","topics":["*"],"max_hz":10}"#, "bad_request", "max_hz"),
        (r#"{"op":"subscribe","topics":["*"],"from":{"epoch":"k3f9"}}"#, "bad_request", "from"),
        (r#"{"op":"subscribe","topics":["*"],"from":"k3f9.1"}"#, "bad_request", "from"),
        (
            r#"{"op":"subscribe","topics":["*"],"from":{"epoch":"k3f9","pos":-1}}"#,
            "bad_request",
            "from",
        ),
        (r#"{"op":"subscribe","topics":["*"],"on_lag":"wait"}"#, "bad_request", "on_lag"),
        (r#"{"op":"subscribe","topics":["*"],"mode":"some"}"#, "bad_request", "mode"),
        (r#"{"op":"subscribe","topics":["*"],"mode":1}"#, "bad_request", "mode"),
        (r#"{"op":"subscribe","topics":["*"],"snapshot":"yes"}"#, "bad_request", "snapshot"),
        (r#"{"op":"subscribe"}"#, "bad_request", "topics"),
        (r#"{"op":"subscribe","topics":[]}"#, "bad_request", "topics"),
        (r#"{"op":"subscribe","topics":"*"}"#, "bad_request", "topics"),
        (r#"{"op":"subscribe","topics":["*",1]}"#, "bad_request", "topics"),
        (r#"{"op":"unsubscribe","topics":{}}"#, "bad_request", "topics"),
        (r#"{"op":"ping","t":[1]}"#, "bad_request", "t is"),
        (r#"{"op":"ping","t":true}"#, "bad_request", "t is"),
        (&long_t, "bad_request", "t is"),
        (r#"{"op":"publish","payload":1}"#, "bad_request", "topic"),
        (r#"{"op":"publish","topic":7,"payload":1}"#, "bad_request", "topic"),
        (r#"{"op":"publish","topic":"a b","payload":1}"#, "bad_topic", "topic"),
        (r#"{"op":"publish","topic":"desk:*","payload":1}"#, "bad_topic", "topic"),
        (r#"{"op":"publish","topic":"desk:welcome","payload":1}"#, "reserved", "word"),
        (r#"{"op":"publish","topic":"desk:x"}"#, "bad_request", "payload"),
        (r#"{"op":"publish","topic":"desk:x","payload":1,"class":"both"}"#, "bad_request", "class"),
    ] {
        for id in ["", r#","id":9"#] {
            let error = desk.answer(&format!("{}{id}}}", &text[..text.len() - 1]));
            let echo = if id.is_empty() { "" } else { r#","id":9"# };
            let head = format!(r#"{{"type":"error"{echo},"payload":{{"code":"{code}","message":""#);
            assert!(error.starts_with(&head) && error.contains(word), "{text}: {error}");
            assert!(error.ends_with(&format!(r#"","retryable":false{END}"#)), "{text}: {error}");
        }
    }
    assert_eq!(desk.session.take_notes(), Notes::default(), "none of these is a bad message");
}

#[test]
fn a_publish_keeps_its_payload_byte_for_byte() {
    let mut desk = Desk::new();
    let payload = r#"{"b" : 1.50, "a":[1e2,"x\/\u0041}"] , "b":{}}"#;
    let text = format!(
        r#"{{"op":"publish","id":7,"topic":"desk:signal:BTC","class":"state","payload": {payload} }}"#
    );
    let (command, frames) = desk.say(&text);
    let Some(Command::Publish(publish)) = command else { panic!("{frames:?}") };
    assert_eq!(publish.payload.bytes(), payload);
    assert_eq!((publish.topic.as_str(), publish.class), ("desk:signal:BTC", Some(Class::State)));
    let ((), ack) =
        desk.with(|session, context, out| session.published(&publish, Ok(81_411), context, out));
    assert_eq!(
        ack,
        [format!(r#"{{"type":"ack","id":7,"payload":{{"op":"publish","pos":81411{END}"#)]
    );
    let ((), full) = desk
        .with(|session, context, out| session.published(&publish, Err("ring_full"), context, out));
    let payload =
        r#"{"code":"ring_full","message":"intake is full","retryable":true,"retry_ms":50"#;
    assert_eq!(full, [format!(r#"{{"type":"error","id":7,"payload":{payload}{END}"#)]);
    let ((), other) = desk.with(|session, context, out| {
        session.published(&publish, Err("class_conflict"), context, out)
    });
    let payload = r#"{"code":"class_conflict","message":"event was not taken","retryable":false"#;
    assert_eq!(other, [format!(r#"{{"type":"error","id":7,"payload":{payload}{END}"#)]);
    let (command, _) =
        desk.say("{\"op\":\"publish\",\"topic\":\"bench\",\"payload\":null,\"x\":\r\n1}");
    let Some(Command::Publish(publish)) = command else { panic!("null is a payload") };
    assert_eq!((publish.payload.bytes().as_ref(), publish.class), (&b"null"[..], None));
}

#[test]
fn publishing_is_refused_where_it_is_not_enabled() {
    let mut desk = Desk::new();
    desk.may_publish = false;
    let error = desk.answer(r#"{"op":"publish","id":7,"topic":"desk:x","payload":{}}"#);
    assert_eq!(error_code(&error), "publishing_disabled");
    assert!(error.contains("--publish") && error.contains(r#""id":7"#), "{error}");
}

#[test]
fn gaps_snapshots_and_the_shutdown_are_rendered_in_the_words_of_the_protocol() {
    let mut out = Vec::new();
    let (slow, overrun) = (GapReason::Slow, GapReason::Overrun);
    gap("market:BTC-USD", 5014, 5120, slow, GapAction::Snapshot, NOW_US, &mut out);
    gap("arena", 1, 2, overrun, GapAction::Resume, NOW_US, &mut out);
    shutdown(reconnect_window_ms(1200), NOW_US, &mut out);
    let event = r#"{"type":"market","topic":"market:BTC-USD","seq":5012,"pos":81299,"us":1,"payload":{"type":"market"},"timestamp":0}"#;
    snapshot_frame(event.as_bytes(), &mut out);
    let expected = [
        format!(
            r#"{{"type":"gap","topic":"market:BTC-USD","payload":{{"from":5014,"to":5120,"reason":"slow","action":"snapshot"{END}"#
        ),
        format!(
            r#"{{"type":"gap","topic":"arena","payload":{{"from":1,"to":2,"reason":"overrun","action":"resume"{END}"#
        ),
        format!(r#"{{"type":"shutdown","payload":{{"reconnect_ms":[0,1200]{END}"#),
        event.replacen("market", "snapshot", 1),
    ];
    assert_eq!(messages(&out), expected);
}

#[test]
#[should_panic(expected = "a v1 message starts with its type")]
fn only_a_v1_message_can_become_a_snapshot() {
    snapshot_frame(br#"{"seq":1}"#, &mut Vec::new());
}
