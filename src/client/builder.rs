//! What a client is asked to do, checked before anything is sent, and the subscribe messages that ask the server for it.

use super::Client;
use super::update::Position;
use crate::event::Pattern;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

/// The largest message that a server takes by default.
const MESSAGE_BYTES_MAX: usize = 16 * 1024;

/// The rates of mode latest, in frames per second and topic.
pub const RATES_HZ: [u32; 7] = [1, 2, 5, 10, 20, 50, 100];

/// What the server does when this client is too slow for its lag budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnLag {
    /// It skips to the newest events, and says so with gaps.
    #[default]
    Gap,
    /// It closes with 4008; the client reconnects and resumes, which misses nothing while the server retains it.
    Disconnect,
}

/// Describes a [`Client`]. Nothing is sent before the client is polled.
#[derive(Debug, Clone)]
pub struct Builder {
    url: String,
    all: Vec<String>,
    latest: BTreeMap<u32, Vec<String>>,
    is_snapshot_wanted: bool,
    from: Option<Position>,
    on_lag: OnLag,
}

impl Builder {
    pub(super) fn new(url: String) -> Self {
        Self {
            url,
            all: Vec::new(),
            latest: BTreeMap::new(),
            is_snapshot_wanted: true,
            from: None,
            on_lag: OnLag::default(),
        }
    }

    /// Every event of a topic, or of a pattern such as `market:*` or `*`. Topics that appear later are included.
    #[must_use]
    pub fn topic(mut self, pattern: impl Into<String>) -> Self {
        self.all.push(pattern.into());
        self
    }

    /// The newest value of a state topic, or of those that a pattern matches, at most `max_hz` times per second, one
    /// of [`RATES_HZ`].
    #[must_use]
    pub fn latest(mut self, pattern: impl Into<String>, max_hz: u32) -> Self {
        self.latest.entry(max_hz).or_default().push(pattern.into());
        self
    }

    /// Whether the last value of every matching state topic comes first (default: yes).
    #[must_use]
    pub fn snapshot(mut self, is_wanted: bool) -> Self {
        self.is_snapshot_wanted = is_wanted;
        self
    }

    /// Goes on after this position, where the server still retains it. Needs a [`topic`](Self::topic).
    #[must_use]
    pub fn from(mut self, position: Position) -> Self {
        self.from = Some(position);
        self
    }

    /// What the server does when this client is too slow (default: gaps).
    #[must_use]
    pub fn on_lag(mut self, on_lag: OnLag) -> Self {
        self.on_lag = on_lag;
        self
    }

    /// Checks the description.
    ///
    /// # Errors
    /// What in it cannot be.
    pub fn build(self) -> Result<Client, BuildError> {
        let request = self.url.as_str().into_client_request();
        let scheme = request.as_ref().map(|request| request.uri().scheme_str().unwrap_or_default());
        match scheme {
            Ok("ws") => {}
            Ok("wss") => {
                let reason = format!("{}: this client speaks ws:// only", self.url);
                return Err(BuildError::Url(reason));
            }
            _ => return Err(BuildError::Url(format!("{} is not a ws:// URL", self.url))),
        }
        for pattern in self.all.iter().chain(self.latest.values().flatten()) {
            match Pattern::parse(pattern) {
                Ok(parsed) if !parsed.has_reserved_kind() => {}
                _ => return Err(BuildError::Pattern(pattern.clone())),
            }
        }
        if self.all.is_empty() && self.latest.is_empty() {
            return Err(BuildError::NoTopic);
        }
        if let Some(&rate) = self.latest.keys().find(|rate| !RATES_HZ.contains(rate)) {
            return Err(BuildError::Rate(rate));
        }
        if self.from.is_some() && self.all.is_empty() {
            return Err(BuildError::NothingToResume);
        }
        let longest = Position { epoch: "z".repeat(16), pos: u64::MAX };
        let plan = Plan { from: self.from.clone(), ..self.plan() };
        let longest = plan.hello(Some(&longest)).iter().map(String::len).max().unwrap_or_default();
        if longest > MESSAGE_BYTES_MAX {
            return Err(BuildError::TooManyTopics { bytes: longest });
        }
        Ok(Client::new(plan))
    }

    fn plan(self) -> Plan {
        let all = (!self.all.is_empty()).then_some(Group { topics: self.all, max_hz: None });
        let latest = self.latest.into_iter();
        let latest = latest.map(|(rate, topics)| Group { topics, max_hz: Some(rate) });
        Plan {
            url: self.url,
            has_all: all.is_some(),
            groups: all.into_iter().chain(latest).collect(),
            is_snapshot_wanted: self.is_snapshot_wanted,
            from: self.from,
            on_lag: self.on_lag,
        }
    }
}

/// What a client was asked to do, in a form that is always valid.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) url: String,
    groups: Vec<Group>,
    /// The first group takes every event, so that there is a position to resume from.
    pub(super) has_all: bool,
    pub(super) is_snapshot_wanted: bool,
    pub(super) from: Option<Position>,
    on_lag: OnLag,
}

/// What one subscribe message asks for.
#[derive(Debug)]
struct Group {
    topics: Vec<String>,
    max_hz: Option<u32>,
}

#[derive(Serialize)]
struct Subscribe<'a> {
    op: &'static str,
    id: u64,
    topics: &'a [String],
    mode: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_hz: Option<u32>,
    snapshot: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<From<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    on_lag: Option<&'static str>,
}

#[derive(Serialize)]
struct From<'a> {
    epoch: &'a str,
    pos: u64,
}

impl Plan {
    /// What to say first on a connection, the message with id n as the n-th. `from` goes into the first.
    pub(super) fn hello(&self, from: Option<&Position>) -> Vec<String> {
        let from = from.filter(|_| self.has_all);
        let mut from = from.map(|Position { epoch, pos }| From { epoch, pos: *pos });
        let messages = self.groups.iter().zip(1..).map(|(group, id)| Subscribe {
            op: "subscribe",
            id,
            topics: &group.topics,
            mode: if group.max_hz.is_some() { "latest" } else { "all" },
            max_hz: group.max_hz,
            snapshot: self.is_snapshot_wanted,
            from: from.take(),
            on_lag: (self.on_lag == OnLag::Disconnect).then_some("disconnect"),
        });
        messages.map(|message| serde_json::json!(message).to_string()).collect()
    }

    /// Whether an answer with this id is to one of the messages.
    pub(super) fn has_asked(&self, id: u64) -> bool {
        (1..).zip(&self.groups).any(|(own, _)| own == id)
    }
}

/// Why a client cannot be.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildError {
    /// The URL is none that this client can connect to.
    Url(String),
    /// Neither a topic's name nor a pattern, or one that no topic can have.
    Pattern(String),
    /// There is nothing to subscribe to.
    NoTopic,
    /// Not one of [`RATES_HZ`].
    Rate(u32),
    /// There is a position to resume from, but no topic whose every event is wanted.
    NothingToResume,
    /// A subscribe message would be larger than servers take.
    TooManyTopics {
        /// Its size.
        bytes: usize,
    },
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(reason) => f.write_str(reason),
            Self::Pattern(text) => write!(f, "{text} is neither a topic nor a pattern"),
            Self::NoTopic => f.write_str("no topic to subscribe to"),
            Self::Rate(rate) => write!(f, "{rate} is none of the rates {RATES_HZ:?}"),
            Self::NothingToResume => {
                f.write_str("a position to resume from belongs to topics in mode all")
            }
            Self::TooManyTopics { bytes } => write!(
                f,
                "a subscribe message takes {bytes} bytes, {MESSAGE_BYTES_MAX} at most; use patterns"
            ),
        }
    }
}

impl std::error::Error for BuildError {}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "ws://127.0.0.1:9001/v1";

    fn hello(builder: Builder, from: Option<&Position>) -> Vec<serde_json::Value> {
        let messages = builder.plan().hello(from);
        messages.iter().map(|text| serde_json::from_str(text).expect("JSON")).collect()
    }

    #[test]
    fn each_mode_and_rate_is_one_message_and_only_the_first_resumes() {
        let builder = Builder::new(URL.to_owned())
            .latest("book:*", 20)
            .topic("market:*")
            .latest("hub", 5)
            .topic("arena")
            .latest("agent:*", 5)
            .on_lag(OnLag::Disconnect);
        let from = Position { epoch: "k3f9".to_owned(), pos: 7 };
        assert_eq!(
            hello(builder, Some(&from)),
            [
                serde_json::json!({"op": "subscribe", "id": 1, "topics": ["market:*", "arena"],
                    "mode": "all", "snapshot": true, "from": {"epoch": "k3f9", "pos": 7},
                    "on_lag": "disconnect"}),
                serde_json::json!({"op": "subscribe", "id": 2, "topics": ["hub", "agent:*"],
                    "mode": "latest", "max_hz": 5, "snapshot": true, "on_lag": "disconnect"}),
                serde_json::json!({"op": "subscribe", "id": 3, "topics": ["book:*"],
                    "mode": "latest", "max_hz": 20, "snapshot": true, "on_lag": "disconnect"}),
            ]
        );
        let latest = Builder::new(URL.to_owned()).latest("hub", 1).snapshot(false);
        assert_eq!(
            hello(latest, Some(&from)),
            [serde_json::json!({"op": "subscribe", "id": 1, "topics": ["hub"], "mode": "latest",
                "max_hz": 1, "snapshot": false})],
            "views have no position"
        );
    }

    #[test]
    fn what_cannot_be_is_refused_before_anything_is_sent() {
        let of = |url: &str| Builder::new(url.to_owned());
        let from = || "k3f9.7".parse::<Position>().expect("a position");
        for (builder, part) in [
            (of("wss://example.net/v1").topic("*"), "ws:// only"),
            (of("http://example.net/v1").topic("*"), "not a ws:// URL"),
            (of("nonsense").topic("*"), "not a ws:// URL"),
            (of(URL), "no topic"),
            (of(URL).topic("x y"), "x y is neither"),
            (of(URL).topic("a:gap"), "a:gap is neither"),
            (of(URL).latest("hub", 3), "3 is none of the rates"),
            (of(URL).latest("hub", 1).from(from()), "mode all"),
        ] {
            let error = builder.build().expect_err(part).to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn a_message_may_be_as_large_as_servers_take_and_no_larger() {
        let of_bytes = |name_bytes: usize| {
            let names = (0..155).map(|at| format!("{at:0>100}"));
            let builder = names.fold(Builder::new(URL.to_owned()), Builder::topic);
            builder.topic("n".repeat(100)).topic("m".repeat(100)).topic("x".repeat(name_bytes))
        };
        let longest = Position { epoch: "z".repeat(16), pos: u64::MAX };
        let bytes = |builder: Builder| builder.plan().hello(Some(&longest))[0].len();
        let fits = 1 + MESSAGE_BYTES_MAX - bytes(of_bytes(1));
        assert!((2..128).contains(&fits), "{fits}: the test's names do not come near the limit");
        assert!(of_bytes(fits - 1).build().is_ok());
        assert!(of_bytes(fits).build().is_ok());
        let error = of_bytes(fits + 1).build().expect_err("one byte too many");
        assert_eq!(error, BuildError::TooManyTopics { bytes: MESSAGE_BYTES_MAX + 1 });
    }
}
