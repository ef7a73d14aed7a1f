//! Subscriptions: how a change takes effect, at one position of the stream, with its ack, its gaps and its snapshots.
//!
//! Everything happens in one step of the shard: the cursor stands at the head (or at the position to resume from), the
//! last values are those of that position, and what comes after it comes from the lane. So a client needs no buffer of
//! its own to put snapshot and stream together.

use super::connections::{Flags, NONE};
use super::group::Key;
use super::lanes::Lane;
use super::output::ACK_BYTES_MAX;
use super::pieces::{Gap, Piece, Pieces};
use super::planted::planted;
use super::{Shard, Transport};
use crate::event::Pattern;
use crate::session::{
    self, CloseCode, Command, GapAction, GapReason, Joined, Matched, Mode, Resume, Rules, Session,
    Subscribe,
};
use crate::snapshot::Block;
use crate::sync::Arc;
use crate::telemetry::ShardCounter;

/// Subscription changes that may wait for a connection's cursor.
const COMMANDS_MAX: usize = 16;
/// A subscribe to more names than this, or to a wildcard, counts as one that wants a long snapshot.
const SHORT_NAMES_MAX: usize = 64;

impl<T: Transport> Shard<T> {
    /// A subscription changes at the head seen now: at once for who is there, else when its cursor is.
    pub(super) fn change_subscription(
        &mut self,
        k: usize,
        command: Command,
        replies: &mut Vec<u8>,
    ) -> Option<(CloseCode, &'static str)> {
        let block = self.block_at_head();
        if !self.is_talking(k) {
            // Taking notice of the log has shown that it is too far behind, and it asked to be closed then.
            return None;
        }
        let at = self.readers[Lane::V1].head();
        let has_commands =
            self.connections.cold[k].as_deref().is_some_and(|cold| !cold.commands.is_empty());
        let is_there = !has_commands
            && !self.connections.flags[k].has(Flags::LAGGARD)
            && self.owed_bytes(k) == 0;
        if is_there && self.may_apply(k, &command) {
            self.apply(k, command, at, &block, replies);
            return None;
        }
        let commands = &mut self.connections.cold(k).commands;
        if commands.len() == COMMANDS_MAX {
            self.telemetry.add(ShardCounter::ControlOverflows, 1);
            return Some((CloseCode::Policy, "policy too many subscription changes wait"));
        }
        commands.push_back((at, command));
        self.become_laggard(k);
        if !self.connections.flags[k].has(Flags::QUEUED) {
            self.run_soon(k);
        }
        None
    }

    /// The v1 cursor of a laggard stands at `at`, where its next subscription change takes effect; false when that
    /// has to wait for others.
    pub(super) fn apply_next_command(&mut self, k: usize, at: u64) -> bool {
        let block = self.block_at_head();
        let cold = self.connections.cold[k].as_deref_mut();
        let Some((read_at, command)) = cold.and_then(|cold| cold.commands.pop_front()) else {
            return true;
        };
        let is_there = self.readers[Lane::V1].head() == at || !needs_values(&command);
        if !is_there || !self.may_apply(k, &command) {
            self.connections.cold(k).commands.push_front((read_at, command));
            return !is_there;
        }
        let mut replies = std::mem::take(&mut self.replies);
        replies.clear();
        self.apply(k, command, at, &block, &mut replies);
        self.reply_within(k, &replies, ACK_BYTES_MAX);
        self.replies = replies;
        true
    }

    /// Whether a change may take effect now; a long snapshot may have to wait for its turn.
    fn may_apply(&mut self, k: usize, command: &Command) -> bool {
        let Command::Subscribe(subscribe) = command else { return true };
        let is_long = subscribe.patterns().len() > SHORT_NAMES_MAX
            || !subscribe.patterns().iter().all(Pattern::is_exact);
        !(is_long && needs_values(command)) || self.may_begin_snapshot(k)
    }

    fn apply(
        &mut self,
        k: usize,
        command: Command,
        at: u64,
        block: &Arc<Block>,
        replies: &mut Vec<u8>,
    ) {
        let Some(mut session) =
            self.connections.cold[k].as_deref_mut().and_then(|cold| cold.session.take())
        else {
            return;
        };
        match command {
            Command::Subscribe(subscribe) => {
                self.subscribe(k, &mut session, subscribe, at, block, replies);
            }
            Command::Unsubscribe(unsubscribe) => {
                session.unsubscribed(unsubscribe, &self.context(0, false), at, replies);
                self.regroup(k, session.rules(), at);
            }
            Command::Stats(_) | Command::Publish(_) | Command::Close(..) => {}
        }
        self.connections.cold(k).session = Some(session);
    }

    fn subscribe(
        &mut self,
        k: usize,
        session: &mut Session,
        mut subscribe: Subscribe,
        at: u64,
        block: &Arc<Block>,
        replies: &mut Vec<u8>,
    ) {
        let topics = self.topics.clone();
        session.join(&mut subscribe, &mut |name| {
            topics.find(name).map(|topic| topics.info(topic).class)
        });
        let asked = subscribe.from.as_ref().map(|from| self.resume_point(from, at, subscribe.mode));
        let lost = asked.and_then(Result::err);
        let pos = asked.and_then(Result::ok).unwrap_or(at);
        // What is missed while a client is away is in the stream that goes on, or in a newer value.
        let is_continued = subscribe.mode == Mode::All && asked.is_some_and(|asked| asked.is_ok());
        let wants_values = subscribe.wants_snapshot && !is_continued;
        let mut topics = Vec::new();
        if wants_values || lost.is_some() || subscribe.mode != Mode::All {
            topics = self.survey(&subscribe, session.rules());
        }
        if let Mode::Latest(rate) = subscribe.mode {
            self.follow(rate, &topics);
        }
        if pos < at {
            // What was missed is caught up with like any other lag.
            self.connections.cold(k).resumed_below = at;
            self.become_laggard(k);
            self.run_soon(k);
        }
        self.regroup(k, session.rules(), pos);
        self.note_resume(asked);
        self.connections.cold(k).is_ack_queued = true;
        let joined = Joined { pos, recovered: asked.map(|asked| asked.is_ok()) };
        self.acknowledge(session, &subscribe, joined, replies);
        if lost == Some(GapReason::Restart) {
            self.tell_unknown(&subscribe, replies);
        }
        let mut pieces = Pieces::default();
        for topic in topics {
            let newest = (wants_values && self.is_state(topic))
                .then(|| self.value_in(subscribe.mode, topic, block))
                .flatten();
            let gap = lost.and_then(|reason| self.lost(reason, subscribe.mode, topic));
            if newest.is_some() || gap.is_some() {
                pieces.add(Piece { topic, gap, newest });
            }
        }
        self.begin_pieces(k, pieces, replies);
    }

    fn acknowledge(
        &mut self,
        session: &Session,
        subscribe: &Subscribe,
        joined: Joined,
        replies: &mut Vec<u8>,
    ) {
        let patterns = subscribe.patterns();
        let seqs = self.seqs_at(joined.pos, patterns);
        let stands: Vec<Matched> =
            patterns.iter().map(|pattern| self.matched(pattern, subscribe.mode, &seqs)).collect();
        session.subscribed(subscribe, &self.context(0, false), joined, &stands, replies);
    }

    /// The gap of a topic after a resume that failed; none if there never was an event.
    fn lost(&self, reason: GapReason, mode: Mode, topic: u16) -> Option<Gap> {
        let newest = self.seq_in(mode, topic);
        match reason {
            GapReason::Restart => Some(Gap { from: 0, to: 0, reason }),
            _ => (newest > 0).then_some(Gap { from: 0, to: newest, reason }),
        }
    }

    /// Gives a caught-up connection a list: the first piece goes out with the ack.
    fn begin_pieces(&mut self, k: usize, mut pieces: Pieces, replies: &mut Vec<u8>) {
        self.telemetry.add(ShardCounter::Snapshots, pieces.values() as u64);
        let notices = pieces.gaps() as u64;
        if notices > 0 {
            self.telemetry.add(ShardCounter::Gaps, notices);
            self.connections.cold(k).gaps += notices;
        }
        pieces.produce(&self.topics, true, self.now_us, replies);
        if pieces.is_done() {
            return;
        }
        self.connections.cold(k).pieces = Some(Box::new(pieces));
        self.connections.flags[k].set(Flags::OWN_OUTPUT);
        self.note_snapshot(k);
        self.become_laggard(k);
        self.run_soon(k);
    }

    /// Where a client goes on that has everything up to `from`, or why it cannot. A conflated view goes on at the
    /// head, as long as the stream is the same: what it passed over would have been conflated all the same.
    fn resume_point(&self, from: &Resume, at: u64, mode: Mode) -> Result<u64, GapReason> {
        if *from.epoch != *self.epoch {
            return Err(GapReason::Restart);
        }
        match mode {
            Mode::Latest(_) if from.pos <= at => Ok(at),
            Mode::All if planted("a resume begins one late") && from.pos < at => Ok(from.pos + 1),
            Mode::All if planted("a resume reaches behind the window") => Ok(from.pos.min(at)),
            Mode::All if (self.resumable..=at).contains(&from.pos) => Ok(from.pos),
            _ => Err(GapReason::Expired),
        }
    }

    fn note_resume(&self, asked: Option<Result<u64, GapReason>>) {
        let counter = match asked {
            None => return,
            Some(Ok(_)) => ShardCounter::ResumesRecovered,
            Some(Err(GapReason::Restart)) => ShardCounter::ResumesRestarted,
            Some(Err(_)) => ShardCounter::ResumesExpired,
        };
        self.telemetry.add(counter, 1);
    }

    /// After a restart nothing is known of what a client had of topics that nobody has published since.
    fn tell_unknown(&self, subscribe: &Subscribe, replies: &mut Vec<u8>) {
        for name in subscribe.patterns().iter().filter(|pattern| pattern.is_exact()) {
            let name = name.as_str();
            if self.known_topic(name).is_none() {
                let (reason, action) = (GapReason::Restart, GapAction::Resume);
                session::gap(name, 0, 0, reason, action, self.now_us, replies);
            }
        }
    }

    /// Moves a connection whose cursors are where they have to be into the groups of its rules; in the v1 lane it
    /// goes on at `at`, in conflated views at the head.
    fn regroup(&mut self, k: usize, rules: &Rules, at: u64) {
        let wanted: Vec<Key> = rules
            .modes()
            .into_iter()
            .map(|mode| Key { lane: Lane::of(mode), selection: rules.selection(mode) })
            .collect();
        let mut nth = 0;
        while let Some(s) = self.connections.slot_of(k, nth) {
            nth += 1;
            let g = self.connections.group[s];
            let is_left = g != NONE && {
                let lane = self.groups.at(g).key.lane;
                !wanted.iter().any(|key| key.lane == lane)
            };
            if is_left {
                self.leave_group(s);
            }
        }
        for key in wanted {
            let lane = key.lane;
            let reader = &self.readers[lane];
            let cursor = if lane == Lane::V1 { at } else { reader.head() };
            let g = self.groups.find_or_make(key, reader);
            let s = self.slot_for(k, lane);
            if self.connections.group[s] != g {
                self.leave_group(s);
                self.join(s, g, cursor);
            }
        }
        self.tidy_slots(k);
        self.note_subscribed(k, !rules.is_empty());
    }

    /// The slot of a connection that is in a group of `lane`, else one that is in no group.
    fn slot_for(&mut self, k: usize, lane: Lane) -> usize {
        let mut free = None;
        let mut nth = 0;
        while let Some(s) = self.connections.slot_of(k, nth) {
            nth += 1;
            match self.connections.group[s] {
                NONE => free = free.or(Some(s)),
                g if self.groups.at(g).key.lane == lane => return s,
                _ => {}
            }
        }
        free.unwrap_or_else(|| self.connections.insert_shadow(k))
    }

    /// Gives back the slots that are in no group; the connection's own is in one as long as any is.
    fn tidy_slots(&mut self, k: usize) {
        let mut nth = 1;
        while let Some(s) = self.connections.slot_of(k, nth) {
            let g = self.connections.group[s];
            if g != NONE && self.connections.group[k] == NONE {
                let cursor = self.connections.cursor[s];
                self.leave_group(s);
                self.join(k, g, cursor);
            }
            if self.connections.group[s] == NONE {
                self.connections.remove_shadow(s);
            } else {
                nth += 1;
            }
        }
    }
}

/// Whether a change takes the last values of its position.
fn needs_values(command: &Command) -> bool {
    matches!(
        command,
        Command::Subscribe(subscribe) if subscribe.wants_snapshot || subscribe.from.is_some()
    )
}
