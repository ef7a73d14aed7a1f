//! An alert as it is published, kept and listed: that a rule fired for a subject, or that it is over.
//!
//! Plain data. It knows no rules and no files; [`AlertHistory`] is how whoever keeps alerts lends them out.
//!
//! Invariant: value and threshold are finite, so that the JSON has numbers there.

use super::Payload;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A rule that fired for a subject, or that no longer holds for it: the payload of topic `alert`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// Name of the rule.
    pub rule: Box<str>,
    /// Whether it has begun or ended.
    pub state: AlertState,
    /// How bad it is.
    pub severity: Severity,
    /// Topic of what the rule looked at, such as `agent:momentum`, or `engine`.
    pub subject: Box<str>,
    /// The number that was judged, in the unit of its field.
    pub value: f64,
    /// What it was held against.
    pub threshold: f64,
    /// When the number passed the threshold, in milliseconds since the Unix epoch. Firing and resolving of one alert have
    /// the same: with rule and subject it names the alert.
    pub since_ms: u64,
}

/// Whether an alert has begun or ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AlertState {
    /// It has begun.
    Firing,
    /// It is over.
    Resolved,
}

/// How bad an alert is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Worth a look today.
    Warning,
    /// Worth a look at once.
    Critical,
}

/// An alert and when it was published.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertRecord {
    /// Publish time, microseconds since the Unix epoch. Of two alerts of one engine the later has the greater.
    pub us: u64,
    /// The alert.
    #[serde(flatten)]
    pub alert: Alert,
}

/// Alerts that somebody keeps, beyond the newest ones in memory and beyond a restart. Its calls may wait for a file.
pub trait AlertHistory: fmt::Debug + Send + Sync {
    /// The newest alerts published before `before_us` (microseconds since the Unix epoch), newest first, at most `limit`.
    ///
    /// # Errors
    /// Why they cannot be read, as a sentence for the operator.
    fn alerts_before(&self, before_us: u64, limit: usize) -> Result<Vec<AlertRecord>, String>;

    /// For each rule and subject whose newest alert is firing, that alert; in any order.
    ///
    /// # Errors
    /// As [`alerts_before`](Self::alerts_before).
    fn firing(&self) -> Result<Vec<AlertRecord>, String>;
}

impl Payload for Alert {
    fn write_json(&self, out: &mut Vec<u8>) {
        let written = serde_json::to_writer(out, self);
        debug_assert!(written.is_ok(), "plain data is always JSON");
    }
}

impl AlertState {
    /// `firing` or `resolved`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Resolved => "resolved",
        }
    }

    /// The state that [`word`](Self::word) gives as `word`.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Firing, Self::Resolved].into_iter().find(|state| state.word() == word)
    }
}

impl Severity {
    /// All of them, from the mildest.
    pub const ALL: [Self; 3] = [Self::Info, Self::Warning, Self::Critical];

    /// `info`, `warning` or `critical`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }

    /// The severity that [`word`](Self::word) gives as `word`.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|severity| severity.word() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alert() -> Alert {
        Alert {
            rule: "agent_capital_low".into(),
            state: AlertState::Firing,
            severity: Severity::Warning,
            subject: "agent:momentum".into(),
            value: 0.79,
            threshold: 0.8,
            since_ms: 1_738_512_000_123,
        }
    }

    const JSON: &str = r#"{"rule":"agent_capital_low","state":"firing","severity":"warning","subject":"agent:momentum","value":0.79,"threshold":0.8,"since_ms":1738512000123}"#;

    #[test]
    fn s54_an_alert_has_the_keys_of_the_protocol_in_its_order() {
        let mut out = Vec::new();
        alert().write_json(&mut out);
        assert_eq!(String::from_utf8_lossy(&out), JSON);
    }

    #[test]
    fn a_record_is_read_back_from_its_json() {
        let record = AlertRecord { us: 1_738_512_000_123_456, alert: alert() };
        let json = serde_json::to_string(&record).unwrap();
        assert_eq!(json, JSON.replacen('{', r#"{"us":1738512000123456,"#, 1));
        assert_eq!(serde_json::from_str::<AlertRecord>(&json).unwrap(), record);
    }

    #[test]
    fn every_word_is_read_back_and_no_other() {
        for state in [AlertState::Firing, AlertState::Resolved] {
            assert_eq!(AlertState::parse(state.word()), Some(state));
        }
        for severity in Severity::ALL {
            assert_eq!(Severity::parse(severity.word()), Some(severity));
        }
        assert_eq!((AlertState::parse("Firing"), Severity::parse("")), (None, None));
    }
}
