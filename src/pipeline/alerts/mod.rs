//! The alert engine: rules over named numbers of agents, markets, indicators and of the engine itself.
//!
//! ```text
//! event ─► fields (its numbers by name) ─► watch (one rule, one subject: value, threshold) ─► phase (pending, firing …)
//!                                                                                              │
//!            topic `alert` ◄── Event ◄── Alerts ──► Board (active, recent: GET /api/alerts) ◄──┘
//! ```
//!
//! [`Alerts`] is a pure state machine: events and the time in, events out. It reads no clock and no file, opens no socket,
//! and never calls the [`Webhook`], which is a thread of its own that is handed what is published.
//!
//! Invariants: of one rule and subject, `firing` and `resolved` take turns, beginning with `firing`; the publish times of
//! alerts grow strictly, so that a page of them can end between any two. Everything is bounded by [`Options`].
//!
//! Cost: an event that no rule is for, one table look-up; else a microsecond or two, most of it the JSON of a typed payload.

mod board;
mod default_rules;
mod fields;
#[cfg(test)]
mod history_tests;
mod metrics;
mod parse;
#[cfg(test)]
mod parse_tests;
mod phase;
mod rules;
#[cfg(test)]
mod tests;
mod watch;
mod webhook;

pub use board::Board;
pub use fields::{ENGINE, ENGINE_FIELDS};
pub use metrics::Metrics;
pub use rules::{RULES_MAX, Rules};
pub use webhook::{Webhook, WebhookMetrics, WebhookOptions};

use crate::event::{
    Alert, AlertHistory, AlertRecord, AlertState, Body, Cents, Event, Topic, TopicError, Topics,
    Typed,
};
use fields::{Kind, Readings};
use phase::Change;
use std::collections::HashMap;
use std::sync::Arc;
use watch::{Told, Watch};

/// Limits of the alert engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Subjects that are watched at most (default 4,096); further ones are passed over and counted.
    pub subjects_max: usize,
    /// Newest alerts that are kept in memory (default 1,000).
    pub recent_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { subjects_max: 4_096, recent_max: 1_000 }
    }
}

/// The alert engine; one thread drives it.
#[derive(Debug)]
pub struct Alerts {
    rules: Rules,
    options: Options,
    /// Where alerts are published.
    topic: Topic,
    subjects: Vec<Subject>,
    by_name: HashMap<Box<str>, usize>,
    /// By topic index: what is known of the topic.
    by_topic: Vec<Place>,
    /// What agents began with, by slug.
    start_capitals: HashMap<Box<str>, f64>,
    board: Arc<Board>,
    metrics: Metrics,
    /// Publish time of the newest alert.
    last_us: u64,
    /// Kept for their room: the JSON of a payload, and what watches tell (subject, rule, what).
    scratch: Vec<u8>,
    told: Vec<(usize, usize, Told)>,
}

/// Something that at least one rule looks at.
#[derive(Debug)]
struct Subject {
    name: Box<str>,
    kind: &'static Kind,
    watches: Vec<Watch>,
    /// Of an agent, in units; 0 as long as nothing is known.
    start_capital: f64,
}

/// What is known of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Unknown,
    /// No rule is for it, or there is no room.
    Ignored,
    /// Index of its subject.
    Subject(usize),
}

impl Alerts {
    /// An engine that has seen nothing.
    ///
    /// # Errors
    /// When the topic `alert` cannot be registered.
    pub fn new(rules: Rules, topics: &Topics, options: Options) -> Result<Self, TopicError> {
        Ok(Self {
            rules,
            options,
            topic: topics.register("alert", None)?,
            subjects: Vec::new(),
            by_name: HashMap::new(),
            by_topic: Vec::new(),
            start_capitals: HashMap::new(),
            board: Arc::new(Board::new(options.recent_max)),
            metrics: Metrics::new(),
            last_us: 0,
            scratch: Vec::new(),
            told: Vec::new(),
        })
    }

    /// What the capital of the agent with this slug is held against. Without it that is the first capital seen.
    pub fn set_start_capital(&mut self, slug: &str, capital: Cents) {
        let capital = fields::units(capital.0);
        self.start_capitals.insert(slug.into(), capital);
        let subject = self.by_name.get(&*format!("agent:{slug}"));
        if let Some(&subject) = subject {
            self.subjects[subject].start_capital = capital;
        }
    }

    /// The lists behind `GET /api/alerts`, which any thread may read.
    #[must_use]
    pub fn board(&self) -> &Arc<Board> {
        &self.board
    }

    /// What it counts.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Goes on from what `history` holds: what was firing still is, unless no rule is for it any more; then that it is over
    /// is appended to `out`. Older alerts are from here on listed from there. To be called before the first event; may
    /// wait for a file. Returns how many alerts are on.
    ///
    /// # Errors
    /// When the history cannot be read; then nothing is taken over.
    pub fn restore(
        &mut self,
        history: Arc<dyn AlertHistory>,
        now_us: u64,
        out: &mut Vec<Event>,
    ) -> Result<usize, String> {
        let (firing, newest) = (history.firing()?, history.alerts_before(u64::MAX, 1)?);
        self.board.set_history(history);
        // Times go on from those of the history, whatever the clock says, so that its pages stay in order.
        self.last_us = newest.first().map_or(0, |record| record.us).max(self.last_us);
        let mut restored = 0;
        for record in firing {
            if self.resume(&record.alert) {
                self.board.restore(record);
                restored += 1;
            } else {
                self.publish(Alert { state: AlertState::Resolved, ..record.alert }, now_us, out);
            }
        }
        self.metrics.active.set(i64::try_from(restored).unwrap_or(i64::MAX));
        Ok(restored)
    }

    /// Goes on with an alert that is on; whether there is a rule for it.
    fn resume(&mut self, alert: &Alert) -> bool {
        let Some(subject) = self.subject(&alert.subject) else { return false };
        let rules = &self.rules.0;
        let mut watches = self.subjects[subject].watches.iter_mut();
        let watch = watches.find(|watch| rules[watch.rule].name == alert.rule);
        watch.map(|watch| watch.resume(alert.since_ms.saturating_mul(1_000))).is_some()
    }

    /// An event of the topic called `topic` was published; appends the alerts that follow from it to `out`. `now_us` is in
    /// microseconds since the Unix epoch.
    pub fn observe(&mut self, event: &Event, topic: &str, now_us: u64, out: &mut Vec<Event>) {
        let Some(place) = self.place(event.topic, topic) else { return };
        let subject = &mut self.subjects[place];
        if let Body::Agent(agent) = &event.body
            && subject.start_capital <= 0.0
        {
            subject.start_capital = fields::units(agent.capital.0);
        }
        let readings = fields::read(subject.kind, event, subject.start_capital, &mut self.scratch);
        self.judge(place, &readings, now_us, out);
    }

    /// The engine's own numbers ([`ENGINE_FIELDS`]) at `now_us`; names that are none of them are passed over, and what is
    /// left out is not judged.
    pub fn observe_engine(&mut self, numbers: &[(&str, f64)], now_us: u64, out: &mut Vec<Event>) {
        let Some(place) = self.subject(ENGINE) else { return };
        let readings = self.subjects[place].kind.named(numbers.iter().copied());
        self.judge(place, &readings, now_us, out);
    }

    /// Time has come to `now_us`; appends what was waiting for it to `out`. To be called about once a second: waits end
    /// when it is called, or with the next event of their subject.
    pub fn tick(&mut self, now_us: u64, out: &mut Vec<Event>) {
        let mut told = std::mem::take(&mut self.told);
        for (place, subject) in self.subjects.iter_mut().enumerate() {
            for watch in &mut subject.watches {
                let (number, rule) = (watch.rule, &self.rules.0[watch.rule]);
                watch.tick(rule, now_us, &mut |one| told.push((place, number, one)));
            }
        }
        self.tell(told, now_us, out);
    }

    fn judge(&mut self, place: usize, readings: &Readings, now_us: u64, out: &mut Vec<Event>) {
        let mut told = std::mem::take(&mut self.told);
        for watch in &mut self.subjects[place].watches {
            let (number, rule) = (watch.rule, &self.rules.0[watch.rule]);
            watch.observe(rule, readings, now_us, &mut |one| told.push((place, number, one)));
        }
        self.tell(told, now_us, out);
    }

    fn tell(&mut self, mut told: Vec<(usize, usize, Told)>, now_us: u64, out: &mut Vec<Event>) {
        for (place, number, one) in told.drain(..) {
            let (subject, rule) = (&self.subjects[place], &self.rules.0[number]);
            let state = match one.change {
                Change::Fired => AlertState::Firing,
                Change::Resolved => AlertState::Resolved,
            };
            let alert = Alert {
                rule: rule.name.clone(),
                state,
                severity: rule.severity,
                subject: subject.name.clone(),
                value: one.value,
                threshold: one.threshold,
                since_ms: one.since_us / 1_000,
            };
            match state {
                AlertState::Firing => self.metrics.fired(),
                AlertState::Resolved => self.metrics.active.dec(),
            }
            self.publish(alert, now_us, out);
        }
        self.told = told;
    }

    fn publish(&mut self, alert: Alert, now_us: u64, out: &mut Vec<Event>) {
        self.last_us = now_us.max(self.last_us.saturating_add(1));
        self.board.publish(AlertRecord { us: self.last_us, alert: alert.clone() });
        let body = Body::Typed(Typed::new(alert));
        out.push(Event { topic: self.topic, key: 0, time_us: self.last_us, body });
    }

    /// The subject behind a topic, if a rule is for it.
    fn place(&mut self, topic: Topic, name: &str) -> Option<usize> {
        let index = usize::from(topic.index());
        if self.by_topic.len() <= index {
            self.by_topic.resize(index + 1, Place::Unknown);
        }
        if self.by_topic[index] == Place::Unknown {
            // The engine's numbers are not a topic's.
            let found = if name == ENGINE { None } else { self.subject(name) };
            self.by_topic[index] = found.map_or(Place::Ignored, Place::Subject);
        }
        match self.by_topic[index] {
            Place::Subject(place) => Some(place),
            Place::Unknown | Place::Ignored => None,
        }
    }

    /// The subject of that name, made if a rule is for it and there is room.
    fn subject(&mut self, name: &str) -> Option<usize> {
        if let Some(&place) = self.by_name.get(name) {
            return Some(place);
        }
        let kind = Kind::of(name)?;
        let rules = self.rules.0.iter().enumerate();
        let watches = rules.filter(|(_, rule)| rule.kind == kind && rule.is_for(name));
        let watches: Vec<Watch> = watches.map(|(number, _)| Watch::new(number)).collect();
        if watches.is_empty() {
            return None;
        }
        if self.subjects.len() >= self.options.subjects_max {
            self.metrics.subjects_refused.inc();
            return None;
        }
        let slug = name.strip_prefix("agent:").unwrap_or_default();
        let start_capital = self.start_capitals.get(slug).copied().unwrap_or(0.0);
        let place = self.subjects.len();
        self.subjects.push(Subject { name: name.into(), kind, watches, start_capital });
        self.by_name.insert(name.into(), place);
        Some(place)
    }
}
