//! Messages of a server as lines for people. Pure: text in, text out.

use serde::Deserialize;
use serde_json::value::RawValue;

/// How a message is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shown {
    /// An event: a line of the table.
    Row(String),
    /// What concerns the stream itself: for stderr.
    Notice(String),
    /// Nothing worth a line.
    Nothing,
}

#[derive(Deserialize)]
struct Message<'a> {
    r#type: Option<String>,
    topic: Option<String>,
    seq: Option<u64>,
    us: Option<u64>,
    timestamp: Option<serde_json::Value>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
}

/// The fields of payloads that notices are made of.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Notice {
    from: u64,
    to: u64,
    reason: String,
    code: String,
    message: String,
    epoch: String,
    head: u64,
    pos: u64,
    rejected: Vec<Rejected>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Rejected {
    topic: String,
    code: String,
}

/// Whether a message tells something about the stream that must not be overlooked; a look at its first bytes.
pub(super) fn is_notice(text: &str) -> bool {
    ["gap", "error", "shutdown", "ack"].iter().any(|word| {
        text.strip_prefix("{\"type\":\"")
            .and_then(|rest| rest.strip_prefix(word))
            .is_some_and(|rest| rest.starts_with('"'))
    })
}

/// Shows one message; what is not one of ours is shown as it is.
pub(super) fn show(text: &str) -> Shown {
    let Ok(message) = serde_json::from_str::<Message<'_>>(text) else {
        return Shown::Row(text.to_owned());
    };
    let kind = message.r#type.as_deref().unwrap_or_default();
    let notice = || {
        let payload = message.payload.map_or("{}", RawValue::get);
        serde_json::from_str::<Notice>(payload).unwrap_or_default()
    };
    let topic = message.topic.as_deref().unwrap_or_default();
    match kind {
        "heartbeat" | "pong" => Shown::Nothing,
        "welcome" if message.payload.is_some() => {
            let notice = notice();
            Shown::Notice(format!("connected: epoch {}, head {}", notice.epoch, notice.head))
        }
        "ack" => Shown::Notice(acknowledged(&notice())),
        "gap" => {
            let notice = notice();
            Shown::Notice(format!(
                "GAP {topic}: {} to {} ({})",
                notice.from, notice.to, notice.reason
            ))
        }
        "error" => {
            let notice = notice();
            Shown::Notice(format!("error {}: {}", notice.code, notice.message))
        }
        "shutdown" => Shown::Notice("the server is shutting down".to_owned()),
        _ => Shown::Row(row(&message, kind, topic, text)),
    }
}

fn acknowledged(notice: &Notice) -> String {
    let mut line = format!("subscribed at {}", notice.pos);
    for rejected in &notice.rejected {
        line.push_str(&format!("; refused {} ({})", rejected.topic, rejected.code));
    }
    line
}

fn row(message: &Message<'_>, kind: &str, topic: &str, text: &str) -> String {
    let time = message.us.map_or_else(
        || match message.timestamp.as_ref().and_then(serde_json::Value::as_u64) {
            // The arena's timestamps are seconds, all others milliseconds.
            Some(seconds) if seconds < 100_000_000_000 => time_of_day(seconds * 1_000),
            Some(ms) => time_of_day(ms),
            None => " ".repeat(12),
        },
        |us| time_of_day(us / 1_000),
    );
    let seq = message.seq.map_or_else(String::new, |seq| seq.to_string());
    let payload = message.payload.map_or(text, RawValue::get);
    format!("{time}  {kind:<9} {topic:<24} {seq:>8}  {payload}")
}

/// `HH:MM:SS.mmm` in UTC.
fn time_of_day(ms: u64) -> String {
    let (s, ms) = (ms / 1_000, ms % 1_000);
    format!("{:02}:{:02}:{:02}.{ms:03}", s / 3_600 % 24, s / 60 % 60, s % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s11_events_are_rows_of_a_table() {
        let market = r#"{"type":"market","topic":"market:BTC-USD","seq":5013,"pos":81301,"us":1738512000123456,"payload":{"symbol":"BTC-USD","price":42000.50},"timestamp":1738512000123}"#;
        let row = "16:00:00.123  market    market:BTC-USD               5013  {\"symbol\":\"BTC-USD\",\"price\":42000.50}";
        assert_eq!(show(market), Shown::Row(row.to_owned()));
        let legacy =
            r#"{"type":"market","symbol":"BTC-USD","price":42000.50,"timestamp":1738512000}"#;
        let Shown::Row(row) = show(legacy) else { panic!("no row") };
        assert!(row.starts_with("16:00:00.000  market ") && row.ends_with(legacy), "{row}");
        assert_eq!(show("no json"), Shown::Row("no json".to_owned()));
    }

    #[test]
    fn gaps_and_answers_are_notices_and_heartbeats_are_nothing() {
        for (text, shown) in [
            (
                r#"{"type":"gap","topic":"a:b","payload":{"from":5,"to":9,"reason":"slow","action":"resume"},"timestamp":1}"#,
                "GAP a:b: 5 to 9 (slow)",
            ),
            (
                r#"{"type":"ack","id":1,"payload":{"op":"subscribe","pos":7,"topics":[],"rejected":[{"topic":"x y","code":"bad_topic"}]},"timestamp":1}"#,
                "subscribed at 7; refused x y (bad_topic)",
            ),
            (
                r#"{"type":"error","payload":{"code":"rate_limited","message":"slow down","retryable":true},"timestamp":1}"#,
                "error rate_limited: slow down",
            ),
            (
                r#"{"type":"shutdown","payload":{"reconnect_ms":[0,1200]},"timestamp":1}"#,
                "the server is shutting down",
            ),
        ] {
            assert_eq!(show(text), Shown::Notice(shown.to_owned()));
            assert!(is_notice(text), "{text}");
        }
        assert_eq!(
            show(r#"{"type":"heartbeat","payload":{"pos":1},"timestamp":1}"#),
            Shown::Nothing
        );
        assert!(!is_notice(r#"{"type":"gaps","payload":{}}"#));
    }
}
