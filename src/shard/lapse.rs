//! A shard that was away for more than the whole log, because its thread was not run for so long: what it missed
//! is in no segment any more, and everybody is told.

use super::admit::write_values;
use super::connections::{Flags, NONE};
use super::index::Head;
use super::lanes::Lane;
use super::pieces::{Gap, Piece, Pieces};
use super::planted::planted;
use super::{Shard, Transport, slice};
use crate::session::GapReason;
use crate::snapshot::Block;
use crate::sync::Arc;
use std::collections::HashMap;
use std::ops::Range;

impl<T: Transport> Shard<T> {
    /// Nobody gets `lapped`, nor what is fresh behind it: every v1 client is moved on to the head and told.
    ///
    /// Exact: `from` is the first seq a connection has not been sent, `to` the newest at the head. The log holds more
    /// than a client may lag behind, so that who was sent the fresh records would be moved on all the same. Returns
    /// what is left to route: nothing.
    pub(super) fn skip_lapse(&mut self, lapped: Range<u64>, fresh: Range<u64>) -> Range<u64> {
        let before: Vec<u64> = self.groups.heads().iter().map(|head| head.seq).collect();
        // Of one moment: what the encoder has, what is in the log, and what the block has of what left it.
        let (reader, values) = (&mut self.readers[Lane::V1], &self.values);
        let (seqs, block, last) =
            self.encoder.between_batches(|seqs| (seqs.to_vec(), values.load(), reader.advance()));
        // The log may have been turned over once more since.
        let start = if last.lapped.is_some() { last.fresh.start } else { fresh.start };
        let fresh = start..last.fresh.end;
        self.resumable = fresh.start;
        for (topic, &seq) in (0u16..).zip(&seqs) {
            let kept = block.value(topic).map(|value| value.index + 1);
            let newest = kept.unwrap_or(0).max(self.groups.head(topic).newest);
            if seq > self.groups.head(topic).seq {
                self.groups.note_lost(topic, Head { seq, newest });
            }
        }
        self.groups.route(Lane::V1, &self.readers[Lane::V1], fresh.clone());
        for s in 0..self.connections.slots() {
            if self.is_in(Lane::V1, s) {
                self.skip_all(s, lapped.start, &before, &block);
            }
        }
        fresh.end..fresh.end
    }

    /// Moves a slot on to the head; `before` are the seqs up to which records were routed, below `lapsed`. A block
    /// that is newer than the head would have values from behind it.
    fn skip_all(&mut self, s: usize, lapsed: u64, before: &[u64], block: &Arc<Block>) {
        self.become_laggard(s);
        let k = self.connections.owner(s);
        if self.is_to_be_closed(k) {
            return self.close_lagging(k);
        }
        let g = self.connections.group[s];
        let mut unsent: HashMap<u16, u64> = HashMap::new();
        let range = self.connections.cursor[s]..lapsed;
        slice::for_each_wanted(self.groups.at(g), &self.readers[Lane::V1], range, |_, record| {
            unsent.entry(record.topic).or_insert(record.seq);
        });
        let mut pieces = Vec::new();
        for (topic, head) in (0u16..).zip(self.groups.heads()) {
            let routed = before.get(usize::from(topic)).copied().unwrap_or(0);
            let from = unsent.get(&topic).copied().unwrap_or(routed + 1);
            if from > head.seq || !self.groups.at(g).wants(topic) || planted("a lapse is not told")
            {
                continue;
            }
            let newest = self.is_state(topic).then(|| self.value(topic, block)).flatten();
            let gap = Gap { from, to: head.seq, reason: GapReason::Overrun };
            pieces.push(Piece { topic, gap: Some(gap), newest });
        }
        let head = self.readers[Lane::V1].head();
        self.pass_over(s, pieces, head);
    }

    /// The same on a legacy lane, which knows no gaps: every client gets the last value of every topic, and then what
    /// comes behind them. Returns the fresh records, as far as the lane has them now.
    pub(super) fn refresh_legacy(&mut self, lane: Lane, fresh: Range<u64>) -> Range<u64> {
        let encoded = lane.encoded().expect("the encoder writes the legacy lanes");
        let topics = self.topics.clone();
        let (index, values) =
            self.encoder.legacy_values(encoded, |index, values| (index, values.clone()));
        let fresh = fresh.start..self.readers[lane].advance().fresh.end;
        for s in 0..self.connections.slots() {
            if !self.is_in(lane, s) {
                continue;
            }
            self.become_laggard(s);
            let total = self.total_bytes(s);
            let group = self.groups.at(self.connections.group[s]);
            // The fresh records are about to be counted into the group's total, those skipped among them.
            let mut skipped_bytes = 0;
            slice::for_each(&self.readers[lane], fresh.start..index, |_, record| {
                let info = topics.info(crate::event::Topic::from_index(record.topic));
                if group.key.selection.wants(&info.name, info.class) {
                    skipped_bytes += u64::from(record.length);
                }
            });
            let mut frames = Vec::new();
            write_values(&values, &topics, &group.key.selection, lane == Lane::Nested, &mut frames);
            self.connections.cursor[s] = index;
            let cold = self.connections.cold(s);
            cold.sent_total = total + skipped_bytes;
            cold.pieces = Some(Box::new(Pieces::refreshed(frames)));
            self.connections.flags[s].set(Flags::OWN_OUTPUT);
            self.run_soon(s);
        }
        fresh
    }

    fn is_in(&self, lane: Lane, s: usize) -> bool {
        let g = self.connections.group[s];
        g != NONE && self.groups.at(g).key.lane == lane
    }
}
