//! What a v1 message is, found by the position of its keys.
//!
//! Events and snapshots, which are nearly everything, have their keys in a fixed order:
//!
//! ```text
//! {"type":"trade","topic":"binance:trade:BTCUSDT","seq":5013,…
//! ```
//! so type, topic and seq are cut out without parsing the rest (about 50 ns, whatever the payload's size). Whatever
//! has another shape is parsed as JSON in full, so that a change of the order costs speed and never a wrong verdict.

use std::borrow::Cow;

use serde_json::Value;

/// A message, as far as order goes.
#[derive(Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// An event of a topic.
    Event {
        /// Which topic.
        topic: Cow<'a, str>,
        /// Its place in the topic.
        seq: u64,
    },
    /// The last value of a topic.
    Snapshot {
        /// Which topic.
        topic: Cow<'a, str>,
        /// The value's place in the topic.
        seq: u64,
    },
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
        /// Exact topics and the seq from which each goes on.
        topics: Vec<(String, u64)>,
        /// Topics that were refused, with the code.
        rejected: Vec<String>,
    },
    /// An error, by its code.
    Error(String),
    /// Welcome, heartbeat and the like.
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
    let rest = text.strip_prefix(b"{\"type\":\"")?;
    let (kind, rest) = word(rest)?;
    let (topic, rest) = word(rest.strip_prefix(b",\"topic\":\"")?)?;
    let rest = rest.strip_prefix(b",\"seq\":")?;
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if !matches!(rest.get(digits), Some(b',' | b'}')) || text.last() != Some(&b'}') {
        return None;
    }
    let seq = std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()?;
    let topic = Cow::Borrowed(topic);
    match kind {
        "snapshot" => Some(Message::Snapshot { topic, seq }),
        "gap" | "ack" | "error" => None,
        _ => Some(Message::Event { topic, seq }),
    }
}

/// A string without escapes, and what follows its closing quote.
fn word(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = bytes.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
    if bytes[end] == b'\\' {
        return None;
    }
    Some((std::str::from_utf8(&bytes[..end]).ok()?, &bytes[end + 1..]))
}

/// Any message, by its keys wherever they stand.
fn parsed(text: &[u8]) -> Message<'static> {
    let Ok(value) = serde_json::from_slice::<Value>(text) else {
        return Message::Broken;
    };
    let Some(kind) = value["type"].as_str() else {
        return Message::Broken;
    };
    let payload = &value["payload"];
    let topic = value["topic"].as_str().map(str::to_owned);
    let seq = value["seq"].as_u64();
    match (kind, topic, seq) {
        ("ack", ..) => ack(payload),
        ("error", ..) => {
            Message::Error(payload["code"].as_str().unwrap_or("without a code").to_owned())
        }
        ("gap", Some(topic), _) => match (payload["from"].as_u64(), payload["to"].as_u64()) {
            (Some(from), Some(to)) => Message::Gap { topic, from, to },
            _ => Message::Broken,
        },
        ("snapshot", Some(topic), Some(seq)) => Message::Snapshot { topic: topic.into(), seq },
        ("gap" | "snapshot", ..) => Message::Broken,
        (_, Some(topic), Some(seq)) => Message::Event { topic: topic.into(), seq },
        ("welcome" | "heartbeat" | "pong" | "shutdown", ..) => Message::Other,
        _ => Message::Broken,
    }
}

fn ack(payload: &Value) -> Message<'static> {
    let list = |key: &str| payload[key].as_array().cloned().unwrap_or_default();
    let exact = |entry: &Value| Some((entry["topic"].as_str()?.to_owned(), entry["seq"].as_u64()?));
    let refused = |entry: &Value| {
        let text = |key: &str| entry[key].as_str().unwrap_or("?").to_owned();
        format!("{} ({})", text("topic"), text("code"))
    };
    Message::Ack {
        topics: list("topics").iter().filter_map(exact).collect(),
        rejected: list("rejected").iter().map(refused).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_and_snapshots_are_read_by_position_and_by_parsing_alike() {
        for (kind, rest) in [
            ("market", r#","pos":9,"payload":{"topic":"x","seq":1}}"#),
            ("snapshot", r#","us":1,"payload":"}"}"#),
            ("trade", "}"),
        ] {
            let usual = format!(r#"{{"type":"{kind}","topic":"a:b","seq":5013{rest}"#);
            assert!(in_order(usual.as_bytes()).is_some(), "{usual}");
            let turned = format!(r#"{{"topic":"a:b","type":"{kind}","seq":5013{rest}"#);
            assert!(in_order(turned.as_bytes()).is_none(), "{turned}");
            let escaped = usual.replace("a:b", "\\u0061:b");
            assert!(in_order(escaped.as_bytes()).is_none(), "{escaped}");
            let spaced = usual.replace("5013", " 5013 ");
            assert!(in_order(spaced.as_bytes()).is_none(), "{spaced}");
            for text in [&usual, &turned, &escaped, &spaced] {
                let (topic, seq) = ("a:b".into(), 5013);
                let expected = match kind {
                    "snapshot" => Message::Snapshot { topic, seq },
                    _ => Message::Event { topic, seq },
                };
                assert_eq!(read(text.as_bytes()), expected, "{text}");
            }
        }
    }

    #[test]
    fn the_other_messages_are_read_for_what_order_needs() {
        let ack = br#"{"type":"ack","id":1,"payload":{"op":"subscribe","pos":3,"topics":[{"topic":"a","seq":7},
            {"pattern":"b:*","count":2}],"rejected":[{"topic":"x y","code":"bad_topic"}]},"timestamp":1}"#;
        assert_eq!(
            read(ack),
            Message::Ack {
                topics: vec![("a".to_owned(), 7)],
                rejected: vec!["x y (bad_topic)".to_owned()]
            }
        );
        let gap = br#"{"type":"gap","topic":"a","payload":{"from":8,"to":9,"reason":"slow"},"timestamp":1}"#;
        assert_eq!(read(gap), Message::Gap { topic: "a".to_owned(), from: 8, to: 9 });
        let error = br#"{"type":"error","payload":{"code":"rate_limited"},"timestamp":1}"#;
        assert_eq!(read(error), Message::Error("rate_limited".to_owned()));
        assert_eq!(
            read(br#"{"type":"heartbeat","payload":{"pos":1},"timestamp":1}"#),
            Message::Other
        );
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
}
