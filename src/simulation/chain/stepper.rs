//! The network as a pure stepper: it is told the time and of trades, and answers with the updates that are due.
//!
//! The network has a time of its own that moves in slots. Slots are worked off when the chain is called, up to the time
//! of the call, so that the figures do not depend on how often it is called. An update keeps its phase: one that comes
//! late does not move what follows, and what was missed altogether (the machine slept) is left out, not caught up.
//!
//! The network has been at work for a while when the chain begins, so that the first updates are measured too.

use super::Options;
use super::ledger::{Batch, Ledger, SECOND_US, SLOT_US, SLOTS_PER_SECOND};
use super::live::Live;
use super::load::Load;
use super::metrics::Figures;
use super::nodes::Nodes;
use super::validators::Validators;
use crate::event::{
    Body, ChainBlock, ChainNetwork, ChainTps, ChainUpdate, Event, Payload, Topic, TopicError,
    Topics, Trade, Typed,
};
use crate::simulation::Random;
use std::sync::Arc;
use std::time::Duration;

/// Height of the first block.
const FIRST_HEIGHT: u64 = 12_345;

/// What the peak starts at.
const PEAK_TPS_START: u64 = 800_000;

/// What the mean starts at.
const AVERAGE_TPS_START: u64 = 750_000;

/// Seconds for which nodes and validators have come and gone when the network begins to take transactions.
const SETTLING_ROUNDS: u32 = 300;

/// The chain's own numbers differ from those of another part that was given the same seed.
const SEED_SALT: u64 = 0x6C65_6467_6572_2E31;

/// Shortest and longest interval of an update; others become the nearer one.
const INTERVAL_US: (u64, u64) = (SECOND_US / 10, 60 * SECOND_US);

/// The most that is caught up of a time in which nobody called.
const CATCH_UP_US: u64 = 60 * SECOND_US;

/// The most nodes, and the most validators.
const MEMBERS_MAX: u32 = 1_000;

/// Bytes of a trade as a transaction, beside the names in it.
const TRADE_BYTES: usize = 160;

/// The network, and when its updates are due.
#[derive(Debug)]
pub struct Chain {
    topics: [Topic; 4],
    intervals_us: [u64; 4],
    due_us: [u64; 4],
    start_us: u64,
    /// The network's time at `start_us`.
    settled_us: u64,
    /// How much of the time since then the network has not lived through.
    left_out_us: u64,
    network: Network,
    figures: Figures,
    peak_tps: u64,
    /// Of all measured rates, and of the start value.
    tps_sum: u64,
    tps_count: u64,
    latency_ms: u64,
    live: Arc<Live>,
}

/// What moves from slot to slot.
#[derive(Debug)]
struct Network {
    /// The time of the newest slot.
    slot_us: u64,
    load: Load,
    nodes: Nodes,
    validators: Validators,
    ledger: Ledger,
    tps_max: u64,
    node_tps_max: u64,
    /// Transactions that fit into a slot.
    room: u64,
    /// How long a slot takes to be agreed on; none when too few validators vote.
    agree_us: Option<u64>,
    /// When the newest block was sealed, and what was committed by then.
    sealed_us: u64,
    sealed: u64,
}

impl Chain {
    /// The network at `start_us` (microseconds since the Unix epoch), when all four updates are due for the first time.
    ///
    /// # Errors
    /// When a topic cannot be registered.
    pub fn new(options: &Options, topics: &Topics, start_us: u64) -> Result<Self, TopicError> {
        let mut registered = [Topic::from_index(0); 4];
        for (topic, update) in registered.iter_mut().zip(ChainUpdate::ALL) {
            *topic = topics.register(update.topic(), None)?;
        }
        let intervals_us = [
            options.tps_interval,
            options.block_interval,
            options.network_interval,
            options.validator_interval,
        ]
        .map(interval_us);
        let block_us = intervals_us[ChainUpdate::Block as usize];
        let mut network = Network::new(options);
        network.advance(SECOND_US);
        network.commit();
        network.seal();
        network.advance(SECOND_US + block_us);
        Ok(Self {
            topics: registered,
            intervals_us,
            due_us: [start_us; 4],
            start_us,
            settled_us: SECOND_US + block_us,
            left_out_us: 0,
            network,
            figures: Figures::default(),
            peak_tps: PEAK_TPS_START,
            tps_sum: AVERAGE_TPS_START,
            tps_count: 1,
            latency_ms: 0,
            live: Live::new(),
        })
    }

    /// Tells `live` what there is to know from here on, in place of a [`Live`] of its own.
    #[must_use]
    pub fn telling(self, live: Arc<Live>) -> Self {
        Self { live, ..self }
    }

    /// When something is due next, in microseconds since the Unix epoch.
    #[must_use]
    pub fn next_due_us(&self) -> u64 {
        self.due_us.into_iter().min().unwrap_or(u64::MAX)
    }

    /// Takes notice of what another part emitted: an agent's trade is a transaction, which arrives at the event's time;
    /// anything else is passed over.
    pub fn observe(&mut self, event: &Event) {
        let Body::Trade(trade) = &event.body else { return };
        let now_us = self.advance(event.time_us);
        self.network.ledger.submit(Batch {
            // Not before the newest slot, should the clock have been set back.
            arrived_us: now_us.max(self.network.slot_us),
            count: 1,
            bytes: transaction_bytes(trade),
        });
        self.figures.trades += 1;
    }

    /// Appends the updates that are due at `now_us`, stamped with it, in the order rate, block, nodes, validators;
    /// nothing before [`next_due_us`](Self::next_due_us). A block is left out while the validators cannot agree.
    pub fn step(&mut self, now_us: u64, out: &mut Vec<Event>) {
        if now_us < self.next_due_us() {
            return;
        }
        self.advance(now_us);
        self.network.commit();
        for update in ChainUpdate::ALL {
            let (due_us, interval_us) =
                (self.due_us[update as usize], self.intervals_us[update as usize]);
            if let Some(late_us) = now_us.checked_sub(due_us) {
                let ahead_us = interval_us - late_us % interval_us;
                self.due_us[update as usize] = now_us.saturating_add(ahead_us);
                if let Some(typed) = self.update(update) {
                    let (topic, body) = (self.topics[update as usize], Body::Typed(typed));
                    let event = Event { topic, key: 0, time_us: now_us, body };
                    self.live.keep(update, event.clone());
                    out.push(event);
                }
            }
        }
        self.network.tell(&mut self.figures);
        self.live.metrics().set(&self.figures);
    }

    fn update(&mut self, update: ChainUpdate) -> Option<Typed> {
        fn typed(payload: impl Payload) -> Option<Typed> {
            Some(Typed::new(payload))
        }
        match update {
            ChainUpdate::Tps => typed(self.tps()),
            ChainUpdate::Block => self.block().and_then(typed),
            ChainUpdate::Network => typed(self.network.nodes_update()),
            ChainUpdate::Validator => typed(self.network.validators.counts()),
        }
    }

    fn tps(&mut self) -> ChainTps {
        let ledger = &self.network.ledger;
        let current_tps = ledger.tps();
        // A second without commits has no latency; the last one stands.
        self.latency_ms = ledger.latency_us().map_or(self.latency_ms, whole_ms);
        self.peak_tps = self.peak_tps.max(current_tps);
        self.tps_sum += current_tps;
        self.tps_count += 1;
        let average_tps = self.tps_sum / self.tps_count;
        ChainTps { current_tps, peak_tps: self.peak_tps, average_tps, latency_ms: self.latency_ms }
    }

    fn block(&mut self) -> Option<ChainBlock> {
        self.network.agree_us?;
        let producer = self.network.validators.producer()?;
        let (block_time_us, transactions) = self.network.seal();
        let block_height = FIRST_HEIGHT + self.figures.blocks;
        self.figures.blocks += 1;
        Some(ChainBlock {
            block_height,
            block_time_ms: whole_ms(block_time_us),
            transactions,
            producer: format!("validator-{producer}").into(),
        })
    }

    /// Moves the network on to `now_us` of our time and returns what that is of its own. Of a time longer than
    /// [`CATCH_UP_US`] the first whole seconds are left out.
    fn advance(&mut self, now_us: u64) -> u64 {
        let since_us = now_us.saturating_sub(self.start_us).saturating_sub(self.left_out_us);
        let until_us = self.settled_us.saturating_add(since_us);
        let behind_us = until_us.saturating_sub(self.network.slot_us);
        let left_out_us = behind_us.saturating_sub(CATCH_UP_US) / SECOND_US * SECOND_US;
        self.left_out_us += left_out_us;
        self.network.advance(until_us - left_out_us);
        until_us - left_out_us
    }
}

impl Network {
    fn new(options: &Options) -> Self {
        let members = Options {
            nodes: options.nodes.min(MEMBERS_MAX),
            validators: options.validators.min(MEMBERS_MAX),
            ..options.clone()
        };
        let mut root = Random::new(options.seed ^ SEED_SALT);
        let load = Load::new(options.load_tps, options.load_spread_tps, root.split());
        let mut nodes = Nodes::new(&members, root.split());
        let mut validators = Validators::new(&members, &nodes, root.split());
        for _ in 0..SETTLING_ROUNDS {
            nodes.round();
            validators.round(&nodes);
        }
        let mut network = Self {
            slot_us: 0,
            load,
            nodes,
            validators,
            ledger: Ledger::new(options),
            tps_max: options.tps_max.into(),
            node_tps_max: options.node_tps_max.into(),
            room: 0,
            agree_us: None,
            sealed_us: 0,
            sealed: 0,
        };
        network.round();
        network
    }

    /// Works off the slots up to `until_us`; what they commit is told by [`commit`](Self::commit).
    fn advance(&mut self, until_us: u64) {
        while self.slot_us + SLOT_US <= until_us {
            self.slot_us += SLOT_US;
            if self.slot_us.is_multiple_of(SECOND_US) {
                self.round();
            }
            self.slot();
        }
    }

    fn slot(&mut self) {
        let (count, bytes) = self.load.slot();
        let arrived_us = self.slot_us - SLOT_US / 2;
        let batch = Batch { arrived_us, count, bytes };
        match self.agree_us {
            Some(agree_us) => self.ledger.pass(batch, self.slot_us, self.room, agree_us),
            None => self.ledger.submit(batch),
        }
    }

    /// Commits what was agreed on by the newest slot.
    fn commit(&mut self) {
        self.ledger.commit(self.slot_us);
    }

    /// A second passes for nodes and validators.
    fn round(&mut self) {
        self.nodes.round();
        self.validators.round(&self.nodes);
        let carried_tps = self.node_tps_max * self.nodes.active() as u64;
        self.room = self.tps_max.min(carried_tps) / SLOTS_PER_SECOND;
        self.agree_us = self.validators.agree_us(&self.nodes);
    }

    /// Ends a block: the time since the one before, and the transactions committed in it.
    fn seal(&mut self) -> (u64, u64) {
        let committed = self.ledger.totals().committed;
        let block = (self.slot_us - self.sealed_us, committed - self.sealed);
        (self.sealed_us, self.sealed) = (self.slot_us, committed);
        block
    }

    fn nodes_update(&self) -> ChainNetwork {
        ChainNetwork {
            active_nodes: member_count(self.nodes.active()),
            total_nodes: member_count(self.nodes.total()),
            network_health: self.nodes.health(),
            avg_latency_ms: whole_ms(self.nodes.mean_answer_us()),
        }
    }

    fn tell(&self, figures: &mut Figures) {
        let totals = self.ledger.totals();
        figures.submitted = totals.submitted;
        figures.rejected = totals.rejected;
        figures.committed = totals.committed;
        figures.committed_bytes = totals.committed_bytes;
        figures.waiting = self.ledger.waiting();
        figures.tps = self.ledger.tps();
        figures.latency_us = self.ledger.latency_us().unwrap_or(0);
        figures.nodes = self.nodes.active() as u64;
        figures.validators = self.validators.counts();
        figures.jailings = self.validators.jailings();
        figures.releases = self.validators.releases();
    }
}

/// What a trade takes as a transaction: a fixed part and its names.
fn transaction_bytes(trade: &Trade) -> u64 {
    (TRADE_BYTES + trade.agent.slug.len() + trade.symbol.len()) as u64
}

/// Within its limits.
fn interval_us(interval: Duration) -> u64 {
    let asked_us = u64::try_from(interval.as_micros()).unwrap_or(u64::MAX);
    asked_us.clamp(INTERVAL_US.0, INTERVAL_US.1)
}

/// A count of members, which are at most [`MEMBERS_MAX`].
fn member_count(members: usize) -> u32 {
    u32::try_from(members).unwrap_or(MEMBERS_MAX)
}

/// Rounded half up.
fn whole_ms(time_us: u64) -> u64 {
    time_us.saturating_add(500) / 1_000
}
