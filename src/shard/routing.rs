//! Taking notice of what the lanes have new, and handing it to the groups.

use super::lanes::Lane;
use super::{Shard, Transport};
use crate::log::Advance;
use crate::snapshot::Block;
use crate::sync::Arc;
use crate::telemetry::ShardCounter;

impl<T: Transport> Shard<T> {
    /// Takes notice of new records and marks the groups that want them.
    pub(super) fn route(&mut self) -> bool {
        let interval_us = self.coalesce_us();
        if interval_us > 0 {
            if self.now_us < self.route_at_us || !self.readers.is_behind() {
                return false;
            }
            self.route_at_us = self.now_us + interval_us;
        }
        self.advance_routed()
    }

    /// Advances the readers of the encoder's lanes to their heads, routing what is new.
    pub(super) fn advance_routed(&mut self) -> bool {
        let mut is_busy = false;
        for lane in Lane::ENCODED {
            is_busy |= self.advance_lane(lane);
        }
        is_busy
    }

    /// The same for one lane; true when it had something new.
    pub(super) fn advance_lane(&mut self, lane: Lane) -> bool {
        let Advance { mut fresh, lapped } = self.readers[lane].advance();
        if let Some(lapped) = lapped {
            self.telemetry.add(ShardCounter::Overruns, 1);
            fresh = if lane.is_legacy() {
                self.refresh_legacy(lane, fresh)
            } else {
                self.skip_lapse(lapped, fresh)
            };
        }
        if !fresh.is_empty() {
            self.groups.route(lane, &self.readers[lane], fresh.clone());
        }
        if let Some(index) = self.readers[lane].surplus() {
            self.overrun(lane, index);
            self.readers[lane].release_before(index);
            if lane == Lane::V1 {
                self.resumable = self.resumable.max(self.readers[lane].oldest());
            }
        }
        !fresh.is_empty()
    }

    /// The newest block of last values, with the v1 lane's head at or above its base: block and records up to the
    /// head together have the last value of every topic at the head.
    pub(super) fn block_at_head(&mut self) -> Arc<Block> {
        let block = self.values.load();
        if block.base() > self.readers[Lane::V1].head() {
            // What a block was made of is committed.
            self.advance_lane(Lane::V1);
        }
        block
    }
}
