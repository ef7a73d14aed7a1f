//! What a server says as lines for people. Pure: data in, text out.

use super::words::words;
use lineage::client::{Event, Update};
use serde::Deserialize;

/// The names of the columns of [`row`].
pub(super) const HEADER: &str = "TIME (UTC)    TOPIC                    WHAT";

/// An event as a line of the table: in words, or with its payload as it came where there are none.
pub(super) fn row(event: &Event) -> String {
    let (time, topic) = (time_of_day(event.us / 1_000), event.topic());
    let mark = if event.kind() == "snapshot" { "snapshot: " } else { "" };
    let what = words(topic, event.payload()).unwrap_or_else(|| event.payload().to_owned());
    format!("{time}  {topic:<24} {mark}{what}")
}

/// What an update says about the stream that must not be overlooked. Losses have their own words, where it is known
/// what follows.
pub(super) fn notice(update: &Update) -> Option<String> {
    Some(match update {
        Update::Connected(connected) => {
            let mut line =
                format!("connected: epoch {}, position {}", connected.epoch, connected.pos);
            if connected.has_new_epoch {
                line.push_str("; the server was restarted");
            }
            line.push_str(match connected.recovered {
                None => "",
                Some(true) => "; resumed",
                Some(false) => "; not resumed",
            });
            line
        }
        Update::Gap(gap) => {
            format!("GAP {}: {} to {} ({})", gap.topic, gap.from, gap.to, gap.reason)
        }
        Update::Rejected(rejected) => format!("refused {} ({})", rejected.topic, rejected.code),
        Update::Trouble(trouble) => format!("error {}: {}", trouble.code, trouble.message),
        Update::Broken(broken) => {
            let (topic, seq, expected) = (&broken.topic, broken.seq, broken.expected);
            format!("BROKEN {topic}: {seq} came where {expected} was due, and no gap said so")
        }
        Update::Shutdown(_) => "the server is shutting down".to_owned(),
        _ => return None,
    })
}

/// The fields of legacy messages that have a column.
#[derive(Deserialize)]
struct Legacy<'a> {
    r#type: Option<&'a str>,
    timestamp: Option<u64>,
}

/// A message of the firehose as a line; what is not one of ours is shown as it is.
pub(super) fn legacy_row(text: &str) -> String {
    let Ok(message) = serde_json::from_str::<Legacy<'_>>(text) else { return text.to_owned() };
    let time = match message.timestamp {
        // The arena's timestamps are seconds, all others milliseconds.
        Some(seconds) if seconds < 100_000_000_000 => time_of_day(seconds * 1_000),
        Some(ms) => time_of_day(ms),
        None => " ".repeat(12),
    };
    format!("{time}  {:<9} {text}", message.r#type.unwrap_or_default())
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
    fn s11_messages_of_the_firehose_are_rows() {
        let legacy =
            r#"{"type":"market","symbol":"BTC-USD","price":42000.50,"timestamp":1738512000}"#;
        assert_eq!(legacy_row(legacy), format!("16:00:00.000  market    {legacy}"));
        let agent = r#"{"type":"agent_update","timestamp":1738512000123}"#;
        assert_eq!(legacy_row(agent), format!("16:00:00.123  agent_update {agent}"));
        assert_eq!(legacy_row(r#"{"type":"x"}"#), r#"              x         {"type":"x"}"#);
        assert_eq!(legacy_row("no json"), "no json");
    }
}
