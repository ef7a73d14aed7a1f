//! What all clients of a worker share: the requests, the read buffer, the judge and the tally.

use std::collections::BTreeMap;

use serde_json::json;

use super::memo::Memo;
use super::tally::Tally;
use super::{Assignment, Tick};
use crate::measure::{Effort, Group, Part};
use crate::plan::{Dialect, Plan, Role};
use crate::proof::{Judge, SkewSampler, StreamId, Who};
use crate::settings::Template;
use crate::wire::fields::Field;
use crate::wire::handshake;
use crate::wire::stamps::StampReader;

/// See the module.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) plan: Plan,
    worker: u64,
    workers: u64,
    /// The handshake's request to each target.
    pub(crate) requests: Vec<Vec<u8>>,
    templates: Vec<Template>,
    pub(crate) buffer: Vec<u8>,
    pub(crate) judge: Judge,
    pub(crate) tally: Tally,
    pub(crate) memo: Memo,
    pub(crate) skew: SkewSampler,
    pub(crate) stamps: StampReader,
    pub(crate) seq_field: Option<Field>,
    pub(crate) topic_field: Option<Field>,
    groups: BTreeMap<&'static str, Group>,
    /// Connections on their way.
    pub(crate) in_flight: usize,
    /// Strict clients of which nothing more is expected: they got theirs, or never will.
    pub(crate) done: u64,
    mask: u32,
}

impl Shared {
    /// # Panics
    /// When a template of the plan is none: it was checked when the plan was made.
    pub(crate) fn new(assignment: &Assignment, has_latency: bool) -> Self {
        let plan = assignment.plan.clone();
        let parse = |text: &String| {
            Template::parse(text).expect("the plan's templates were parsed when it was made")
        };
        let mut judge = Judge::default();
        // Streams without an epoch: one for each target, in their order.
        for at in 0..plan.targets.len() {
            judge.topics.stream(&format!("#{at}"));
        }
        let mut shared = Self {
            worker: assignment.worker,
            workers: assignment.workers,
            requests: plan.targets.iter().map(|t| handshake::request(&t.host, &t.path)).collect(),
            templates: plan.subscribe.iter().map(parse).collect(),
            buffer: Vec::new(),
            judge,
            tally: Tally::new(has_latency),
            memo: Memo::default(),
            skew: SkewSampler::new(plan.skew_every),
            stamps: StampReader::new(&plan.fields),
            seq_field: plan.fields.seq.as_deref().map(Field::new),
            topic_field: plan.fields.topic.as_deref().map(Field::new),
            groups: BTreeMap::new(),
            in_flight: 0,
            done: 0,
            mask: 0x9e37_79b9,
            plan,
        };
        for at in 0..assignment.connections() {
            let role = shared.plan.role(shared.number(at));
            shared.group(role).asked += 1;
        }
        shared
    }

    /// The number of the worker's `at`-th client among all.
    pub(crate) fn number(&self, at: u64) -> u64 {
        self.worker + at * self.workers
    }

    /// A new mask for each frame (xorshift32: masks need not be secret here, only different).
    pub(crate) fn mask(&mut self) -> [u8; 4] {
        self.mask ^= self.mask << 13;
        self.mask ^= self.mask >> 17;
        self.mask ^= self.mask << 5;
        self.mask.to_be_bytes()
    }

    /// What a client subscribes to.
    pub(crate) fn topics(&self, number: u64) -> Vec<String> {
        self.templates.iter().flat_map(|template| template.expand(number)).collect()
    }

    /// What a client sends once connected; `from`: what it resumes from. None: nothing.
    pub(crate) fn first_message(
        &self,
        number: u64,
        from: Option<(StreamId, u64)>,
    ) -> Option<Vec<u8>> {
        if self.plan.dialect == Dialect::Fields {
            // A text may hold braces of its own, as JSON does: only {i} is a placeholder there.
            let text = self.plan.message.as_ref()?;
            return Some(text.replace("{i}", &number.to_string()).into_bytes());
        }
        let mut subscribe = json!({"id": 1, "op": "subscribe", "topics": self.topics(number)});
        if let Some(snapshot) = self.plan.snapshot {
            subscribe["snapshot"] = json!(snapshot);
        }
        if let Some((stream, pos)) = from {
            subscribe["from"] = json!({"epoch": self.judge.topics.epoch(stream), "pos": pos});
        }
        Some(subscribe.to_string().into_bytes())
    }

    /// The counts of a role.
    pub(crate) fn group(&mut self, role: Role) -> &mut Group {
        self.groups.entry(role.name()).or_default()
    }

    /// A client came to life, for the first time or again.
    pub(crate) fn connected(&mut self, role: Role, is_first: bool) {
        self.in_flight -= 1;
        self.tally.connected += 1;
        let group = self.group(role);
        if is_first { group.connected += 1 } else { group.reconnected += 1 }
    }

    /// A client could not connect.
    pub(crate) fn failed(&mut self, who: Who, role: Role, is_first: bool, reason: &str) {
        self.in_flight -= 1;
        let number = who.number;
        self.judge.tell(|| format!("client {number}: not connected: {reason}"));
        let group = self.group(role);
        *group.failure_reasons.entry(reason.to_owned()).or_default() += 1;
        if is_first {
            group.failed += 1;
            self.done += u64::from(who.is_strict);
        }
    }

    /// The server ended a live connection of a client that has got so many events.
    pub(crate) fn closed(&mut self, role: Role, code: u16, events: u64) {
        self.tally.connected -= 1;
        let group = self.group(role);
        group.closed += 1;
        *group.close_codes.entry(code).or_default() += 1;
        let was_done = self.plan.expect_each.is_some_and(|each| events >= each);
        self.done += u64::from(role == Role::Strict && !was_done);
    }

    /// The server broke a rule.
    pub(crate) fn breach(&mut self, who: Who, tell: impl FnOnce() -> String) {
        self.judge.counts(who).breaches += 1;
        self.judge.tell(tell);
    }

    /// How it goes.
    pub(crate) fn tick(&self) -> Tick {
        let strict = self.groups.get(Role::Strict.name());
        let (p50_us, p99_us) = self.tally.last_us;
        Tick {
            connected: self.tally.connected,
            failed: self.groups.values().map(|group| group.failed).sum(),
            closed: strict.map_or(0, |group| group.closed),
            delivered: self.judge.strict.delivered + self.judge.faulty.delivered,
            lost: self.judge.strict.lost + self.judge.faulty.lost,
            p50_us,
            p99_us,
            done: self.done,
        }
    }

    /// Everything, at the end.
    pub(crate) fn part(&mut self, effort: Effort) -> Part {
        let tally = &mut self.tally;
        let mut counts = std::mem::take(&mut self.judge.strict);
        counts.measured = tally.measured;
        counts.untimed = tally.untimed;
        counts.from_the_future = tally.from_the_future;
        let mut faulty_counts = std::mem::take(&mut self.judge.faulty);
        for counts in [&mut counts, &mut faulty_counts] {
            let once = counts.delivered.saturating_sub(counts.duplicated);
            counts.expected = once + counts.lost;
        }
        let mut groups = std::mem::take(&mut self.groups);
        Part {
            clients: groups.remove(Role::Strict.name()).unwrap_or_default(),
            faulty: groups.into_iter().map(|(name, group)| (name.to_owned(), group)).collect(),
            counts,
            faulty_counts,
            traffic: std::mem::take(&mut tally.traffic),
            latency: std::mem::take(&mut tally.latency),
            connect: std::mem::take(&mut tally.connect),
            seconds: std::mem::take(&mut tally.seconds),
            skew: self.skew.named(&self.judge.topics),
            effort,
            faults: std::mem::take(&mut self.judge.faults),
            ..Part::default()
        }
    }
}
