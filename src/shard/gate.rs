//! How far the slowest subscriber is: what a source without a pace of its own waits for.
//!
//! A shard publishes its floor, in cumulative bytes of the v1 lane, before it sleeps, and every turn while a gate
//! is armed; otherwise delivery pays nothing for it.

use super::connections::NONE;
use super::lanes::Lane;
use super::{Shard, Transport};
use crate::sync::{CachePadded, Flag, Watermark};

/// The floors of all shards.
#[derive(Debug)]
pub struct Floors {
    floors: Vec<CachePadded<Watermark>>,
    armed: Flag,
}

impl Floors {
    /// For `shards` shards.
    pub fn new(shards: usize) -> Self {
        Self {
            floors: (0..shards).map(|_| CachePadded::new(Watermark::new())).collect(),
            armed: Flag::new(),
        }
    }

    /// From now on busy shards publish their floor every turn.
    pub fn arm(&self) {
        if !self.armed.is_raised() {
            self.armed.raise();
        }
    }

    /// Cumulative v1 bytes that every subscriber of every shard has been sent; at most what was true lately.
    pub fn lowest(&self) -> u64 {
        self.floors.iter().map(|floor| floor.observe()).min().unwrap_or(u64::MAX)
    }
}

impl<T: Transport> Shard<T> {
    /// Tells how far this shard's slowest v1 subscriber is.
    pub(super) fn publish_floor(&self, is_idle: bool) {
        if !is_idle && !self.floors.armed.is_raised() {
            return;
        }
        let reader = &self.readers[Lane::V1];
        let mut index = reader.head();
        for &g in &self.groups.due {
            let group = self.groups.at(g);
            if group.key.lane == Lane::V1 {
                index = index.min(group.oldest_due().unwrap_or(u64::MAX));
            }
        }
        for &slot in &self.laggards {
            let mut nth = 0;
            while let Some(s) = self.connections.slot_of(slot as usize, nth) {
                nth += 1;
                let g = self.connections.group[s];
                if g != NONE && self.groups.at(g).key.lane == Lane::V1 {
                    index = index.min(self.connections.cursor[s]);
                }
            }
        }
        let floor = reader.segment(index).map_or(reader.head_bytes(), |segment| {
            let record = usize::try_from(index - segment.base()).expect("segments are small");
            segment.base_bytes() + u64::from(segment.records()[record].offset)
        });
        self.floors.floors[self.index].publish(floor);
    }
}
