//! What a v1 message is, found by the position of its keys.
//!
//! Events and snapshots, which are nearly everything, have their keys in a fixed order:
//!
//! ```text
//! {"type":"trade","topic":"binance:trade:BTCUSDT","seq":5013,"pos":81301,"us":1738512000123456,"payload":{…},"timestamp":…}
//! ```
//! so topic, seq, pos, us and payload are cut out without parsing the rest (some 20 ns, whatever the payload's size).
//! Whatever has another shape is parsed as JSON in full, so that a change of the order costs speed and never a wrong
//! verdict.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::number::leading;

/// An event, or the last value of a topic.
#[derive(Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// Which topic.
    pub topic: Cow<'a, str>,
    /// Its place in the topic.
    pub seq: u64,
    /// Its place in the stream; 0 where it does not say.
    pub pos: u64,
    /// Microseconds since the Unix epoch at publish; 0 where it does not say.
    pub us: u64,
    /// The payload, as JSON text; empty where there is none.
    pub payload: &'a [u8],
}

/// A message.
#[derive(Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// An event of a topic.
    Event(Event<'a>),
    /// The last value of a topic.
    Snapshot(Event<'a>),
    /// Events that were skipped, and said to be.
    Gap {
        /// Which topic.
        topic: String,
        /// The first one skipped; 0: unknown.
        from: u64,
        /// The last one skipped; 0: unknown.
        to: u64,
    },
    /// The answer to the subscribe.
    Ack {
        /// Whether the server sends what was missed; none: nothing was asked to be resumed.
        recovered: Option<bool>,
        /// Where the stream goes on from.
        pos: u64,
        /// Exact topics and the seq from which each goes on.
        topics: Vec<(String, u64)>,
        /// Topics that were refused, with the code.
        rejected: Vec<String>,
    },
    /// The stream's identity.
    Welcome {
        /// New at every start of the server.
        epoch: String,
    },
    /// An error, by its code.
    Error(String),
    /// Heartbeat and the like.
    Other,
    /// Not a v1 message.
    Broken,
}

/// Reads one message.
#[must_use]
pub fn read(text: &[u8]) -> Message<'_> {
    in_order(text).unwrap_or_else(|| parsed(text))
}

/// An event or snapshot whose keys stand in the usual order.
fn in_order(text: &[u8]) -> Option<Message<'_>> {
    let (kind, rest) = word(text.strip_prefix(b"{\"type\":\"")?)?;
    let (topic, rest) = word(rest.strip_prefix(b",\"topic\":\"")?)?;
    let (seq, rest) = leading(rest.strip_prefix(b",\"seq\":")?)?;
    let (pos, rest) = leading(rest.strip_prefix(b",\"pos\":")?)?;
    let (us, rest) = leading(rest.strip_prefix(b",\"us\":")?)?;
    let payload = until_timestamp(rest.strip_prefix(b",\"payload\":")?)?;
    let event = Event { topic: Cow::Borrowed(topic), seq, pos, us, payload };
    match kind {
        "snapshot" => Some(Message::Snapshot(event)),
        "gap" | "ack" | "error" | "welcome" | "heartbeat" | "pong" | "shutdown" => None,
        _ => Some(Message::Event(event)),
    }
}

/// A string without escapes, and what follows its closing quote.
fn word(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = memchr::memchr2(b'"', b'\\', bytes)?;
    if bytes[end] == b'\\' {
        return None;
    }
    Some((std::str::from_utf8(&bytes[..end]).ok()?, &bytes[end + 1..]))
}

/// What stands before `,"timestamp":<digits>}` at the end.
fn until_timestamp(bytes: &[u8]) -> Option<&[u8]> {
    let rest = bytes.strip_suffix(b"}")?;
    let digits = rest.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    if digits == 0 {
        return None;
    }
    rest[..rest.len() - digits].strip_suffix(b",\"timestamp\":")
}

/// Any message, by its keys wherever they stand.
#[derive(Deserialize)]
struct Envelope<'a> {
    r#type: String,
    topic: Option<String>,
    seq: Option<u64>,
    #[serde(default)]
    pos: u64,
    #[serde(default)]
    us: u64,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Gap {
    from: u64,
    to: u64,
}

#[derive(Deserialize)]
struct Ack {
    recovered: Option<bool>,
    #[serde(default)]
    pos: u64,
    #[serde(default)]
    topics: Vec<Accepted>,
    #[serde(default)]
    rejected: Vec<Rejected>,
}

#[derive(Deserialize)]
struct Accepted {
    topic: Option<String>,
    seq: Option<u64>,
}

#[derive(Deserialize)]
struct Rejected {
    topic: Option<String>,
    code: Option<String>,
}

#[derive(Deserialize)]
struct Code {
    code: Option<String>,
}

#[derive(Deserialize)]
struct Welcome {
    #[serde(default)]
    epoch: String,
}

fn parsed(text: &[u8]) -> Message<'_> {
    let Ok(envelope) = serde_json::from_slice::<Envelope<'_>>(text) else {
        return Message::Broken;
    };
    let payload = envelope.payload.map_or("", RawValue::get);
    match (envelope.r#type.as_str(), envelope.topic, envelope.seq) {
        ("ack", ..) => serde_json::from_str(payload).map_or(Message::Broken, ack),
        ("error", ..) => {
            let code = serde_json::from_str::<Code>(payload).ok().and_then(|error| error.code);
            Message::Error(code.unwrap_or_else(|| "without a code".to_owned()))
        }
        ("gap", Some(topic), _) => match serde_json::from_str(payload) {
            Ok(Gap { from, to }) => Message::Gap { topic, from, to },
            Err(_) => Message::Broken,
        },
        ("welcome", ..) => match serde_json::from_str(payload) {
            Ok(Welcome { epoch }) => Message::Welcome { epoch },
            Err(_) => Message::Other,
        },
        ("heartbeat" | "pong" | "shutdown", ..) => Message::Other,
        (kind, Some(topic), Some(seq)) if kind != "gap" => {
            let topic = Cow::Owned(topic);
            let payload = payload.as_bytes();
            let event = Event { topic, seq, pos: envelope.pos, us: envelope.us, payload };
            if kind == "snapshot" { Message::Snapshot(event) } else { Message::Event(event) }
        }
        _ => Message::Broken,
    }
}

fn ack(ack: Ack) -> Message<'static> {
    let refused = |entry: Rejected| {
        let word = |text: Option<String>| text.unwrap_or_else(|| "?".to_owned());
        format!("{} ({})", word(entry.topic), word(entry.code))
    };
    Message::Ack {
        recovered: ack.recovered,
        pos: ack.pos,
        topics: ack.topics.into_iter().filter_map(|entry| entry.topic.zip(entry.seq)).collect(),
        rejected: ack.rejected.into_iter().map(refused).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn events_and_snapshots_are_read_by_position_and_by_parsing_alike() {
        for (kind, payload) in [
            ("market", r#"{"topic":"x","seq":1,"timestamp":3}"#),
            ("snapshot", r#""}""#),
            ("trade", r#"{"a":",\"timestamp\":1}"}"#),
        ] {
            let usual = format!(
                r#"{{"type":"{kind}","topic":"a:b","seq":5013,"pos":7,"us":9,"payload":{payload},"timestamp":12}}"#
            );
            assert!(in_order(usual.as_bytes()).is_some(), "{usual}");
            let turned = usual.replace(
                &format!(r#""type":"{kind}","topic":"a:b""#),
                &format!(r#""topic":"a:b","type":"{kind}""#),
            );
            let escaped = usual.replace("a:b", "\\u0061:b");
            let spaced = usual.replace("5013", " 5013 ");
            for text in [&turned, &escaped, &spaced] {
                assert!(in_order(text.as_bytes()).is_none(), "{text}");
            }
            for text in [&usual, &turned, &escaped, &spaced] {
                let payload = payload.as_bytes();
                let event = Event { topic: "a:b".into(), seq: 5013, pos: 7, us: 9, payload };
                let expected = match kind {
                    "snapshot" => Message::Snapshot(event),
                    _ => Message::Event(event),
                };
                assert_eq!(read(text.as_bytes()), expected, "{text}");
            }
        }
    }

    #[test]
    fn the_other_messages_are_read_for_what_the_proof_needs() {
        let ack = br#"{"type":"ack","id":1,"payload":{"op":"subscribe","recovered":true,"pos":3,"topics":[{"topic":"a","seq":7},
            {"pattern":"b:*","count":2}],"rejected":[{"topic":"x y","code":"bad_topic"}]},"timestamp":1}"#;
        let expected = Message::Ack {
            recovered: Some(true),
            pos: 3,
            topics: vec![("a".to_owned(), 7)],
            rejected: vec!["x y (bad_topic)".to_owned()],
        };
        assert_eq!(read(ack), expected);
        let gap = br#"{"type":"gap","topic":"a","payload":{"from":8,"to":9,"reason":"slow"},"timestamp":1}"#;
        assert_eq!(read(gap), Message::Gap { topic: "a".to_owned(), from: 8, to: 9 });
        let error = br#"{"type":"error","payload":{"code":"rate_limited"},"timestamp":1}"#;
        assert_eq!(read(error), Message::Error("rate_limited".to_owned()));
        let welcome =
            br#"{"type":"welcome","payload":{"protocol":1,"epoch":"k3f9"},"timestamp":1}"#;
        assert_eq!(read(welcome), Message::Welcome { epoch: "k3f9".to_owned() });
        let heartbeat = br#"{"type":"heartbeat","payload":{"pos":1},"timestamp":1}"#;
        assert_eq!(read(heartbeat), Message::Other);
    }

    #[test]
    fn what_is_no_v1_message_is_broken() {
        for text in [
            "",
            "{",
            "[1]",
            r#"{"type":"market","topic":"a","seq":5"#,
            r#"{"type":"market","topic":"a","seq":5]"#,
            r#"{"type":"market","topic":"a","seq":-5}"#,
            r#"{"type":"market","topic":"a"}"#,
            r#"{"type":"gap","topic":"a","payload":{"from":1}}"#,
            r#"{"type":"gap","topic":"a","seq":4}"#,
            r#"{"type":"snapshot","topic":"a"}"#,
            r#"{"topic":"a","seq":4}"#,
        ] {
            assert_eq!(read(text.as_bytes()), Message::Broken, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            let _ = read(&bytes);
        }

        #[test]
        fn a_cut_event_is_broken_wherever_it_is_cut(cut in 0_usize..100) {
            let whole = br#"{"type":"t","topic":"a","seq":1,"pos":2,"us":3,"payload":{"x":[1,2,{"y":"z"}]},"timestamp":12345}"#;
            prop_assume!(cut < whole.len());
            prop_assert_eq!(read(&whole[..cut]), Message::Broken);
        }
    }
}
