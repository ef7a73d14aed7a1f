//! Topic names, what follows from a name, and their interning.
//!
//! A topic is registered once and from then on is a 16-bit index. The table only grows: an index, once given out,
//! means the same topic for the life of the table, and indices are dense, in order of registration.
//!
//! Registering and finding by name are cold paths (a lock for each). [`Topics::info`] is the data path: any
//! thread, two Acquire loads, no lock.
//!
//! ```text
//! name ──dashmap──► index ──► chunk (index / 256) ──► entry (index % 256): name, class, kind, prefix
//! ```

use dashmap::DashMap;
use std::sync::{Mutex, OnceLock, PoisonError};

/// Topics that can exist in one table.
pub const TOPICS_MAX: usize = 65_536;
/// Longest topic name or pattern, in bytes.
pub const NAME_BYTES_MAX: usize = 128;

const CHUNK: usize = 256;
/// First segments of the topics of our own events.
const OWN: [&str; 10] =
    ["market", "agent", "trade", "arena", "hub", "chain", "candle", "indicator", "alert", "book"];
/// Message types of the protocol itself, which no event may bear.
const RESERVED: [&str; 8] =
    ["welcome", "ack", "error", "snapshot", "gap", "heartbeat", "pong", "shutdown"];

/// An interned topic; an index below 65,536.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Topic(u16);

/// Whether the last value matters or each one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// The last value matters: a reader that falls behind may be given only the newest.
    State,
    /// Each one matters: what a reader misses is named in a gap.
    Event,
}

/// What is known of a topic.
#[derive(Debug)]
pub struct TopicInfo {
    /// `market:BTC-USD`
    pub name: Box<str>,
    /// State or event.
    pub class: Class,
    /// Type of its events on the wire. Of our own events the first segment (`market`), for the chain's the first
    /// two (`chain:tps`), since each has a payload of its own; of foreign ones the second (`trade` of
    /// `binance:trade:BTCUSDT`), or `event` where there is none and for `<feed>:snapshot:<symbol>`.
    pub kind: Box<str>,
    /// How its messages begin: `{"type":"market","topic":"market:BTC-USD","seq":`
    pub prefix: Box<[u8]>,
}

/// Why a topic cannot be registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TopicError {
    /// Not `[A-Za-z0-9._-]+` segments joined by `:`, or longer than [`NAME_BYTES_MAX`].
    BadName,
    /// Its event type would be a word of the protocol.
    ReservedKind,
    /// [`TOPICS_MAX`] topics exist.
    TooMany,
    /// Exists with the other class.
    ClassConflict,
}

/// All topics; shared, append-only, readable without locks by index.
#[derive(Debug)]
pub struct Topics {
    names: DashMap<Box<str>, Topic>,
    chunks: Box<[OnceLock<Chunk>]>,
    /// Index of the next topic; whoever holds the lock is the only one who adds.
    next: Mutex<usize>,
}

type Chunk = Box<[OnceLock<TopicInfo>]>;

impl Default for Topics {
    fn default() -> Self {
        Self::new()
    }
}

impl Topics {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self { names: DashMap::new(), chunks: cells(TOPICS_MAX / CHUNK), next: Mutex::new(0) }
    }

    /// Registers `name`, or finds it: for the same name always the same topic, whichever thread comes first.
    /// `class` None: the existing one, else the protocol's default for that name. Takes locks for a moment.
    ///
    /// # Errors
    /// See [`TopicError`]; nothing was registered then.
    pub fn register(&self, name: &str, class: Option<Class>) -> Result<Topic, TopicError> {
        if let Some(topic) = self.find(name) {
            return self.same_class(topic, class);
        }
        let info = TopicInfo::of(name, class)?;
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        // Somebody else may have registered it while this thread waited for the lock.
        if let Some(topic) = self.find(name) {
            return self.same_class(topic, class);
        }
        let topic = Topic(u16::try_from(*next).map_err(|_| TopicError::TooMany)?);
        let chunk = self.chunks[*next / CHUNK].get_or_init(|| cells(CHUNK));
        // The entry is empty: only the lock's holder fills it, and only once.
        chunk[*next % CHUNK].get_or_init(|| info);
        *next += 1;
        // The name comes last: who finds it can read the entry.
        self.names.insert(name.into(), topic);
        Ok(topic)
    }

    /// Finds a registered topic. Takes a read lock for a moment.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<Topic> {
        self.names.get(name).map(|entry| *entry)
    }

    /// What is known of `topic`, which came from this table. Lock-free.
    ///
    /// # Panics
    /// When the table never gave out this topic.
    #[must_use]
    pub fn info(&self, topic: Topic) -> &TopicInfo {
        let index = usize::from(topic.0);
        self.chunks[index / CHUNK]
            .get()
            .and_then(|chunk| chunk[index % CHUNK].get())
            .expect("a topic is asked of the table that registered it")
    }

    /// How many there are; topics are numbered 0.. in order of registration, and `info` is readable for every
    /// index below. Lock-free; about sixteen Acquire loads, so not for every event.
    #[must_use]
    pub fn len(&self) -> usize {
        let chunks = self.chunks.partition_point(|chunk| chunk.get().is_some());
        let Some(last) = chunks.checked_sub(1) else {
            return 0;
        };
        let newest = self.chunks[last].get().map_or(&[][..], |chunk| chunk);
        last * CHUNK + newest.partition_point(|entry| entry.get().is_some())
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn same_class(&self, topic: Topic, class: Option<Class>) -> Result<Topic, TopicError> {
        match class {
            Some(class) if class != self.info(topic).class => Err(TopicError::ClassConflict),
            _ => Ok(topic),
        }
    }
}

fn cells<T>(count: usize) -> Box<[OnceLock<T>]> {
    (0..count).map(|_| OnceLock::new()).collect()
}

impl Topic {
    /// The index: dense, from 0.
    #[must_use]
    pub fn index(self) -> u16 {
        self.0
    }

    /// Of an index that came from [`Topic::index`].
    #[must_use]
    pub fn from_index(index: u16) -> Self {
        Self(index)
    }
}

impl TopicInfo {
    fn of(name: &str, class: Option<Class>) -> Result<Self, TopicError> {
        if !is_name(name) {
            return Err(TopicError::BadName);
        }
        let kind = kind(name);
        if RESERVED.contains(&kind) {
            return Err(TopicError::ReservedKind);
        }
        let prefix = format!(r#"{{"type":"{kind}","topic":"{name}","seq":"#);
        Ok(Self {
            name: name.into(),
            class: class.unwrap_or_else(|| default_class(name)),
            kind: kind.into(),
            prefix: prefix.into_bytes().into(),
        })
    }
}

fn is_name(name: &str) -> bool {
    name.len() <= NAME_BYTES_MAX && name.split(':').all(is_segment)
}

/// Whether `segment` can stand between two colons of a topic's name.
pub(crate) fn is_segment(segment: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    !segment.is_empty() && segment.bytes().all(is_allowed)
}

/// The event type that follows from a name, see [`TopicInfo::kind`].
fn kind(name: &str) -> &str {
    let mut segments = name.split(':');
    let (first, second, third) =
        (segments.next().unwrap_or(name), segments.next(), segments.next());
    match (first, second) {
        ("chain", Some(second)) => &name[..first.len() + 1 + second.len()],
        (own, _) if OWN.contains(&own) => own,
        // The protocol lists this topic, but the type is the word for its own snapshots.
        (_, Some("snapshot")) if third.is_some() => "event",
        (_, foreign) => foreign.unwrap_or("event"),
    }
}

/// The class of a topic for which nobody chose one: the protocol's list of state topics.
fn default_class(name: &str) -> Class {
    let segments: Vec<&str> = name.splitn(4, ':').collect();
    match segments[..] {
        ["market" | "agent" | "book", _] | ["indicator", _, _] | ["hub"] => Class::State,
        ["chain", "tps" | "network" | "validator"] => Class::State,
        [feed, "quote", _] if !OWN.contains(&feed) => Class::State,
        _ => Class::Event,
    }
}

/// What a subscription names: an exact topic, `prefix:*` (one or more further segments), or `*`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pattern(Box<str>);

/// Not a topic name and not a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PatternError;

impl Pattern {
    /// Parses and checks.
    ///
    /// # Errors
    /// When the text is neither a topic name nor a pattern, or longer than [`NAME_BYTES_MAX`].
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let is_pattern = text == "*" || is_name(text.strip_suffix(":*").unwrap_or(text));
        if is_pattern && text.len() <= NAME_BYTES_MAX {
            Ok(Self(text.into()))
        } else {
            Err(PatternError)
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it names exactly one topic.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        !self.0.ends_with('*')
    }

    /// Whether it names exactly one topic, and one that cannot exist because its type is a word of the protocol.
    #[must_use]
    pub fn has_reserved_kind(&self) -> bool {
        self.is_exact() && RESERVED.contains(&kind(&self.0))
    }

    /// The pattern `*`.
    #[must_use]
    pub fn all() -> Self {
        Self("*".into())
    }

    /// Whether it is `*`.
    #[must_use]
    pub fn is_all(&self) -> bool {
        &*self.0 == "*"
    }

    /// Whether a topic of this name (a valid one) is meant.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        match self.0.strip_suffix('*') {
            None => *self.0 == *name,
            // The stem ends in `:`, so a longer name has at least one segment more.
            Some(stem) => name.len() > stem.len() && name.starts_with(stem),
        }
    }
}

#[cfg(test)]
#[path = "topic_tests.rs"]
mod tests;
