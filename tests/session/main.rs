//! The v1 session from outside: each of its limits at limit − 1, limit and limit + 1, and what holds for any
//! bytes whatever: no panic, and nothing but whole WebSocket text frames with one JSON message each.

mod limits;
mod properties;

use lineage::event::Pattern;
use lineage::session::{Command, Context, Joined, Limits, Matched, Session, Subscribe};
use serde_json::Value;
use uuid::Uuid;

pub(crate) const NOW_US: u64 = 1_738_512_000_000_000;

pub(crate) fn context(limits: &Limits) -> Context<'_> {
    Context { now_us: NOW_US, epoch: "k3f9", head: 10, lag_events: 0, may_publish: true, limits }
}

pub(crate) fn session() -> Session {
    Session::new(Uuid::from_u128(1), NOW_US)
}

/// The messages in `bytes`, which must be whole, unmasked, final text frames of one JSON object each.
pub(crate) fn messages(mut bytes: &[u8]) -> Vec<Value> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        assert_eq!(bytes[0], 0x81, "FIN and text");
        let (length, header) = match bytes[1] {
            short @ 0..=125 => (usize::from(short), 2),
            126 => (usize::from(u16::from_be_bytes([bytes[2], bytes[3]])), 4),
            127 => {
                let length = u64::from_be_bytes(bytes[2..10].try_into().expect("eight bytes"));
                (usize::try_from(length).expect("fits memory"), 10)
            }
            masked => panic!("a server masks nothing: {masked}"),
        };
        assert!(length <= 125 || header > 2, "the shortest header");
        let payload = &bytes[header..header + length];
        let message: Value = serde_json::from_slice(payload).expect("JSON");
        assert!(message["type"].is_string() && message["timestamp"].is_u64(), "{message}");
        assert!(!payload.iter().any(|byte| matches!(byte, b'\r' | b'\n')), "one line");
        found.push(message);
        bytes = &bytes[header + length..];
    }
    found
}

pub(crate) fn say(
    session: &mut Session,
    text: &str,
    context: &Context<'_>,
) -> (Option<Command>, Vec<Value>) {
    let mut out = Vec::new();
    let command = session.on_text(text, context, &mut out);
    (command, messages(&out))
}

pub(crate) fn code(frames: &[Value]) -> &str {
    frames[0]["payload"]["code"].as_str().expect("an error")
}

pub(crate) fn stand(pattern: &Pattern) -> Matched {
    if pattern.is_exact() { Matched::Topic { seq: 1 } } else { Matched::Pattern { count: 2 } }
}

/// Subscribes to `names` and gives the ack.
pub(crate) fn subscribe(session: &mut Session, names: &[String], context: &Context<'_>) -> Value {
    let text = serde_json::json!({"op": "subscribe", "topics": names}).to_string();
    let (command, frames) = say(session, &text, context);
    let Some(Command::Subscribe(subscribe)) = command else { panic!("{frames:?}") };
    let mut out = Vec::new();
    join(session, subscribe, context, &mut out);
    messages(&out).remove(0)
}

/// Lets a subscribe take effect, with an ack, at position 9.
pub(crate) fn join(
    session: &mut Session,
    mut subscribe: Subscribe,
    context: &Context<'_>,
    out: &mut Vec<u8>,
) {
    session.join(&mut subscribe, &mut |_| None);
    let joined = Joined { pos: 9, recovered: subscribe.from.as_ref().map(|_| true) };
    let stands: Vec<Matched> = subscribe.patterns().iter().map(stand).collect();
    session.subscribed(&subscribe, context, joined, &stands, out);
}

/// The patterns in effect.
pub(crate) fn held(session: &Session) -> Vec<String> {
    let patterns = session.rules().patterns();
    patterns.iter().map(|pattern| pattern.as_str().to_owned()).collect()
}

pub(crate) fn names(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|name| format!("t:{name}")).collect()
}
