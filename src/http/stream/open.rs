//! How a stream, a poll or a snapshot begins: one step in which position, last values, gaps and ack belong together.
//!
//! The rules are those of a subscribe over a WebSocket (`shard::subscribe`), in mode `all`.

use super::Problem;
use super::feed::Feed;
use super::hub::{Hub, State, Ticket};
use super::query::Query;
use super::window::Window;
use crate::event::{Class, Pattern, Topic};
use crate::session::{
    self, Context, GapAction, GapReason, Joined, Matched, Mode, Resume, Rules, Selection, Session,
    Subscribe,
};
use crate::shard::{Gap, Piece, Pieces};
use crate::snapshot::Block;
use crate::sync::Arc;
use crate::telemetry::EngineCounter;
use hyper::StatusCode;
use std::collections::HashMap;
use uuid::Uuid;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Welcome, ack, and everything from then on.
    Stream,
    /// Ack, and what there is.
    Poll,
    /// Last values alone.
    Snapshot,
}

/// The topics that a request is about.
struct Survey {
    /// By index.
    topics: Vec<u16>,
    /// How many topics each wildcard names, by what stands before its `*`.
    counts: HashMap<String, u64>,
}

impl Hub {
    /// Lets a request in.
    pub(super) fn admit(self: &Arc<Self>, query: Query, kind: Kind) -> Result<Ticket, Problem> {
        let now_us = self.now_us();
        let limits = &self.options.limits;
        let mut session = Session::new(Uuid::new_v4(), now_us);
        let names = query.names.iter().map(String::as_str);
        let from = query.from.filter(|_| kind != Kind::Snapshot);
        let subscribe = session.ask(names, query.wants_snapshot, from, limits);
        if let Some((name, code)) = subscribe.rejected().first() {
            return Err(Problem::rejected(name, code, limits.topics));
        }
        let mut state = self.lock();
        self.check_room(&state)?;
        if state.feeds.is_empty() {
            state.window.renew();
        }
        let block = self.refresh(&mut state);
        let feed = self.begin(&state.window, &mut session, subscribe, &block, kind);
        Ok(self.enter(&mut state, feed))
    }

    fn check_room(&self, state: &State) -> Result<(), Problem> {
        let (code, message) = if state.leave.is_some() {
            ("draining", "the server takes its leave".to_owned())
        } else if state.feeds.len() >= self.options.streams_max {
            let most = self.options.streams_max;
            ("too_many_streams", format!("{most} streams and polls are being answered"))
        } else {
            return Ok(());
        };
        self.parts.telemetry.add(EngineCounter::HttpStreamsRefused, 1);
        Err(Problem { status: StatusCode::SERVICE_UNAVAILABLE, code, message })
    }

    fn begin(
        &self,
        window: &Window,
        session: &mut Session,
        mut subscribe: Subscribe,
        block: &Arc<Block>,
        kind: Kind,
    ) -> Feed {
        let now_us = self.now_us();
        let context = Context {
            now_us,
            epoch: &self.parts.epoch,
            head: window.head(),
            lag_events: 0,
            may_publish: false,
            limits: &self.options.limits,
        };
        session.join(&mut subscribe, &mut |name| class_of(window, name));
        let asked = subscribe.from.as_ref().map(|from| self.resume_point(from, window));
        let pos = asked.and_then(Result::ok).unwrap_or(window.head());
        let lost = asked.and_then(Result::err);
        let survey = Survey::of(&subscribe, session.rules(), window);
        let mut greeting = Vec::new();
        if kind == Kind::Stream {
            session.welcome(&context, &mut greeting);
        }
        if kind != Kind::Snapshot {
            let seqs = window.seqs_at(pos);
            let joined = Joined { pos, recovered: asked.map(|asked| asked.is_ok()) };
            let patterns = subscribe.patterns().iter();
            let stands: Vec<Matched> =
                patterns.map(|pattern| survey.matched(pattern, &seqs, window)).collect();
            session.subscribed(&subscribe, &context, joined, &stands, &mut greeting);
        }
        if lost == Some(GapReason::Restart) {
            tell_unknown(&subscribe, window, now_us, &mut greeting);
        }
        let is_continued = asked.is_some_and(|asked| asked.is_ok());
        let wants_values = subscribe.wants_snapshot && !is_continued;
        let mut pieces = Pieces::default();
        for &topic in &survey.topics {
            let newest = if wants_values { window.value(topic, block) } else { None };
            let gap = lost.and_then(|reason| gap(reason, window.seq(topic)));
            if newest.is_some() || gap.is_some() {
                pieces.add(Piece { topic, gap, newest });
            }
        }
        self.parts.telemetry.add(EngineCounter::HttpGaps, pieces.gaps() as u64);
        Feed::new(session.rules().selection(Mode::All), pos, greeting, pieces, window)
    }

    /// Where a client goes on that has everything up to `from`, or why it cannot.
    fn resume_point(&self, from: &Resume, window: &Window) -> Result<u64, GapReason> {
        if *from.epoch != *self.parts.epoch {
            return Err(GapReason::Restart);
        }
        let is_kept = (window.oldest()..=window.head()).contains(&from.pos);
        if is_kept { Ok(from.pos) } else { Err(GapReason::Expired) }
    }
}

fn class_of(window: &Window, name: &str) -> Option<Class> {
    window.table().find(name).map(|topic| window.table().info(topic).class)
}

/// What a client that could not resume missed of a topic.
fn gap(reason: GapReason, seq: u64) -> Option<Gap> {
    match reason {
        GapReason::Restart => Some(Gap { from: 0, to: 0, reason }),
        _ => (seq > 0).then_some(Gap { from: 0, to: seq, reason }),
    }
}

/// After a restart nothing is known of what a client had of topics that nobody has published since.
fn tell_unknown(subscribe: &Subscribe, window: &Window, now_us: u64, greeting: &mut Vec<u8>) {
    let names = subscribe.patterns().iter().filter(|pattern| pattern.is_exact());
    for name in names.map(Pattern::as_str).filter(|name| window.find(name).is_none()) {
        session::gap(name, 0, 0, GapReason::Restart, GapAction::Resume, now_us, greeting);
    }
}

fn stem(wildcard: &Pattern) -> &str {
    wildcard.as_str().trim_end_matches('*')
}

/// The stems of the wildcards that name a topic: as many as its name has segments.
fn stems(name: &str) -> impl Iterator<Item = &str> {
    let ends = name.bytes().zip(1..).filter(|(byte, _)| *byte == b':').map(|(_, end)| end);
    std::iter::once(0).chain(ends).map(|end| &name[..end])
}

impl Survey {
    fn of(subscribe: &Subscribe, rules: &Rules, window: &Window) -> Self {
        let patterns = subscribe.patterns();
        let wildcards = patterns.iter().filter(|pattern| !pattern.is_exact());
        let mut counts: HashMap<String, u64> =
            wildcards.map(|pattern| (stem(pattern).to_owned(), 0)).collect();
        if counts.is_empty() {
            let topics = patterns.iter().filter_map(|pattern| window.find(pattern.as_str()));
            return Self { topics: topics.collect(), counts };
        }
        for topic in window.topics() {
            let name = &window.table().info(Topic::from_index(topic)).name;
            for stem in stems(name) {
                if let Some(count) = counts.get_mut(stem) {
                    *count += 1;
                }
            }
        }
        let selection: Selection = rules.selection(Mode::All);
        let is_wanted = |&topic: &u16| {
            let info = window.info(topic);
            selection.wants(&info.name, info.class)
        };
        Self { topics: window.topics().filter(is_wanted).collect(), counts }
    }

    /// What a pattern stands at where the stream goes on; `seqs` are those of topics that move behind it.
    fn matched(&self, pattern: &Pattern, seqs: &HashMap<u16, u64>, window: &Window) -> Matched {
        if !pattern.is_exact() {
            return Matched::Pattern {
                count: self.counts.get(stem(pattern)).copied().unwrap_or(0),
            };
        }
        let topic = window.find(pattern.as_str());
        let seq = topic.map(|topic| seqs.get(&topic).copied().unwrap_or(window.seq(topic)));
        Matched::Topic { seq: seq.unwrap_or(0) }
    }
}
