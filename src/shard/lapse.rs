//! A shard that was away for more than the whole log, because its thread was not run for so long: what it missed
//! is in no segment any more, and everybody is told.

use super::connections::{Flags, NONE};
use super::pieces::{Piece, Pieces};
use super::{Lane, Shard, Transport, slice};
use crate::session::GapReason;
use std::collections::HashMap;
use std::ops::Range;

impl<T: Transport> Shard<T> {
    /// The shard was away for more than the whole log: nobody gets `lapped`, and everybody is told.
    ///
    /// Exact: `from` is the first seq a connection has not been sent, `to` the last one before `fresh`. `seqs` are
    /// what the encoder had committed before the end of `fresh` was taken, so that a topic without a record in
    /// `fresh` ends there.
    pub(super) fn skip_lapse(&mut self, lapped: Range<u64>, fresh: Range<u64>, seqs: &[u64]) {
        let ends = self.lapsed_ends(fresh.clone(), seqs);
        for k in 0..self.connections.slots() {
            if !self.is_in(Lane::V1, k) {
                continue;
            }
            let g = self.connections.group[k];
            self.become_laggard(k);
            let mut pieces = self.skipped_pieces(
                k,
                self.connections.cursor[k]..lapped.start,
                GapReason::Overrun,
            );
            for &(topic, from, to) in &ends {
                if !self.wants_name(g, topic) {
                    continue;
                }
                match pieces.iter_mut().find(|piece| piece.topic == topic) {
                    Some(piece) => (piece.to, piece.newest) = (to, None),
                    None => pieces.push(Piece {
                        topic,
                        from,
                        to,
                        reason: GapReason::Overrun,
                        newest: None,
                    }),
                }
            }
            self.give_pieces(k, pieces, fresh.start);
        }
        for (topic, _, to) in ends {
            self.groups.note_lost(topic, to);
        }
    }

    /// The same on the legacy lane, which knows no gaps: every client gets the last value of every topic, `values`,
    /// and then what comes behind them. They stand at the end of `skipped`, which begins with the fresh records.
    pub(super) fn refresh_legacy(&mut self, skipped: Range<u64>, values: &[u8]) {
        let mut skipped_bytes = 0;
        let reader = &self.readers[Lane::Legacy as usize];
        slice::for_each(reader, skipped.clone(), |_, record| {
            skipped_bytes += u64::from(record.length);
        });
        for k in 0..self.connections.slots() {
            if !self.is_in(Lane::Legacy, k) {
                continue;
            }
            self.become_laggard(k);
            let total = self.total_bytes(k);
            self.connections.cursor[k] = skipped.end;
            let cold = self.connections.cold(k);
            // The fresh records are about to be counted into the group's total, those skipped among them.
            cold.sent_total = total + skipped_bytes;
            cold.pieces = Some(Box::new(Pieces::refreshed(values)));
            self.connections.flags[k].set(Flags::OWN_OUTPUT);
            self.run_soon(k);
        }
    }

    fn is_in(&self, lane: Lane, k: usize) -> bool {
        let g = self.connections.group[k];
        self.connections.is_open(k) && g != NONE && self.groups.at(g).key.lane == lane
    }

    fn wants_name(&self, g: u32, topic: u16) -> bool {
        let name = &self.topics.info(crate::event::Topic::from_index(topic)).name;
        self.groups.at(g).key.patterns.iter().any(|pattern| pattern.matches(name))
    }

    /// The topics that lost records in a lapse, with the first and the last lost seq.
    fn lapsed_ends(&self, fresh: Range<u64>, seqs: &[u64]) -> Vec<(u16, u64, u64)> {
        let mut starts: HashMap<u16, u64> = HashMap::new();
        slice::for_each(&self.readers[Lane::V1 as usize], fresh, |_, record| {
            starts.entry(record.topic).or_insert(record.seq);
        });
        (0u16..)
            .zip(seqs)
            .filter_map(|(topic, &committed)| {
                let from = self.groups.seqs.get(usize::from(topic)).copied().unwrap_or(0) + 1;
                let to = starts.get(&topic).map_or(committed, |&start| start - 1);
                (from <= to).then_some((topic, from, to))
            })
            .collect()
    }
}
