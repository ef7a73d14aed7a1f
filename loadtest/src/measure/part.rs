//! What one process measured, in a form that can be added up: counts, histograms and samples, no quotients.
//!
//! Every worker process ends with a part; the report of a run is made of their sum, and reports of several machines
//! are merged by adding theirs again. All times are microseconds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::hist::{Hist, Packed};

/// Faults that are described in words; the rest are only counted.
pub const FAULTS_TOLD_MAX: usize = 20;
/// Events of which a part remembers when the first and the last client had them.
pub const SKEW_SAMPLES_MAX: usize = 4_096;

/// Clients of one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// How many there should be.
    pub asked: u64,
    /// How many came to life (on /v1: got their ack).
    pub connected: u64,
    /// How many did not.
    pub failed: u64,
    /// How many of those connected the server closed before the end.
    pub closed: u64,
    /// Times that a client of this kind connected again, after it had left or was reset.
    pub reconnected: u64,
    /// Clients that left or were reset and were not back at the end.
    pub absent: u64,
    /// The closed by their codes; 1006: without a close frame.
    pub close_codes: BTreeMap<u16, u64>,
    /// Why connecting failed, in a few words each.
    pub failure_reasons: BTreeMap<String, u64>,
}

/// Events, over all clients that are judged strictly (see `Part::faulty` for the others).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Events that these clients should have got: from where each came in to the last one published, less what gaps
    /// announced.
    pub expected: u64,
    /// Events that they got.
    pub delivered: u64,
    /// Of those: within the measured time.
    pub measured: u64,
    /// Never came, though nothing said so; the tail at the end of the run included.
    pub lost: u64,
    /// Came again.
    pub duplicated: u64,
    /// Came after a later one.
    pub reordered: u64,
    /// Gap messages.
    pub announced_gaps: u64,
    /// Events in them, as far as the server knew.
    pub gap_events: u64,
    /// Payloads whose checksum was wrong.
    pub corrupt: u64,
    /// Messages that break the protocol.
    pub breaches: u64,
    /// Snapshots that came.
    pub snapshots: u64,
    /// Reconnects that the server answered with the events missed.
    pub recovered: u64,
    /// Events without the time stamp that latency is measured from.
    pub untimed: u64,
    /// Events whose time stamp lay in the future: clocks that differ.
    pub from_the_future: u64,
}

/// What came over the wire in the measured time, at all clients that read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// Successful reads.
    pub reads: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Messages in them, events or not.
    pub messages: u64,
}

/// Latency of every event at every client within the measured time, microseconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// From the time the event was due to be published.
    pub scheduled: Hist,
    /// From the time it was published.
    pub actual: Hist,
}

/// One second of the run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Second {
    /// Events that arrived in it.
    pub delivered: u64,
    /// Bytes that arrived.
    pub bytes: u64,
    /// Clients connected at its end.
    pub connected: u64,
    /// Latency of the events that arrived in it, from when they were due, microseconds.
    pub latency: Packed,
}

/// When the first and the last client of one process had an event, microseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkewSample {
    /// The earliest arrival.
    pub first_us: u64,
    /// The latest one.
    pub last_us: u64,
    /// Clients that had it.
    pub clients: u64,
}

/// What the generator itself had to bear.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Effort {
    /// Processes.
    pub workers: u64,
    /// CPU time of the client threads in the measured time, seconds.
    pub client_cpu_s: f64,
    /// Length of the measured time, seconds.
    pub measured_s: f64,
    /// The busiest client thread: its CPU time over the measured time, 0 to 1.
    pub busiest: f64,
    /// Time from a socket's readiness to the end of the round of reads that served it: how long an arrival can have
    /// waited within the generator.
    pub loop_delay: Hist,
    /// User memory (resident) that the clients added, bytes, over all processes.
    pub client_bytes: u64,
}

/// Everything one process measured.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// Clients that are judged strictly.
    pub clients: Group,
    /// Clients with a fault of their own, by its name (`slow`, `stall`, `rst`, `churn`, `half-open`).
    pub faulty: BTreeMap<String, Group>,
    /// Events at the strictly judged clients.
    pub counts: Counts,
    /// Events at those with a fault: gaps and closes are their right, silent loss is not.
    pub faulty_counts: Counts,
    /// Bytes and reads.
    pub traffic: Traffic,
    /// Latency; empty histograms where it cannot be measured honestly.
    pub latency: Latency,
    /// From starting to connect to the 101.
    pub connect: Hist,
    /// Deliveries at each strictly judged client that stayed, in the measured time.
    pub per_client: Hist,
    /// By the second of the Unix epoch.
    pub seconds: BTreeMap<u64, Second>,
    /// By stream, topic and seq (`epoch/topic#seq`), at most [`SKEW_SAMPLES_MAX`].
    pub skew: BTreeMap<String, SkewSample>,
    /// Own effort.
    pub effort: Effort,
    /// The first faults in words: client, topic, seq.
    pub faults: Vec<String>,
}

impl Part {
    /// Adds what another process measured.
    pub fn add(&mut self, other: &Self) {
        self.clients.add(&other.clients);
        for (kind, group) in &other.faulty {
            self.faulty.entry(kind.clone()).or_default().add(group);
        }
        self.counts.add(&other.counts);
        self.faulty_counts.add(&other.faulty_counts);
        self.traffic.reads += other.traffic.reads;
        self.traffic.bytes += other.traffic.bytes;
        self.traffic.messages += other.traffic.messages;
        self.latency.scheduled.merge(&other.latency.scheduled);
        self.latency.actual.merge(&other.latency.actual);
        self.connect.merge(&other.connect);
        self.per_client.merge(&other.per_client);
        for (at, second) in &other.seconds {
            self.seconds.entry(*at).or_default().add(second);
        }
        for (event, sample) in &other.skew {
            self.add_skew(event, *sample);
        }
        self.effort.add(&other.effort);
        self.faults.extend(other.faults.iter().cloned());
        self.faults.truncate(FAULTS_TOLD_MAX);
    }

    fn add_skew(&mut self, event: &str, sample: SkewSample) {
        let known = self.skew.len();
        match self.skew.get_mut(event) {
            Some(old) => {
                old.first_us = old.first_us.min(sample.first_us);
                old.last_us = old.last_us.max(sample.last_us);
                old.clients += sample.clients;
            }
            None if known < SKEW_SAMPLES_MAX => {
                self.skew.insert(event.to_owned(), sample);
            }
            None => {}
        }
    }
}

impl Group {
    /// Adds the same kind of another process.
    pub fn add(&mut self, other: &Self) {
        self.asked += other.asked;
        self.connected += other.connected;
        self.failed += other.failed;
        self.closed += other.closed;
        self.reconnected += other.reconnected;
        self.absent += other.absent;
        for (code, count) in &other.close_codes {
            *self.close_codes.entry(*code).or_default() += count;
        }
        for (reason, count) in &other.failure_reasons {
            *self.failure_reasons.entry(reason.clone()).or_default() += count;
        }
    }
}

impl Counts {
    /// Adds the counts of another process.
    pub fn add(&mut self, other: &Self) {
        self.expected += other.expected;
        self.delivered += other.delivered;
        self.measured += other.measured;
        self.lost += other.lost;
        self.duplicated += other.duplicated;
        self.reordered += other.reordered;
        self.announced_gaps += other.announced_gaps;
        self.gap_events += other.gap_events;
        self.corrupt += other.corrupt;
        self.breaches += other.breaches;
        self.snapshots += other.snapshots;
        self.recovered += other.recovered;
        self.untimed += other.untimed;
        self.from_the_future += other.from_the_future;
    }

    /// Whether every event came once, whole and in order, or was announced as skipped.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        [self.lost, self.duplicated, self.reordered, self.corrupt, self.breaches] == [0; 5]
    }
}

impl Second {
    fn add(&mut self, other: &Self) {
        self.delivered += other.delivered;
        self.bytes += other.bytes;
        self.connected += other.connected;
        // Both were packed by ourselves, or checked when the report was read.
        if let (Ok(mut all), Ok(more)) = (self.latency.unpack(), other.latency.unpack()) {
            all.merge(&more);
            self.latency = Packed::new(&all);
        }
    }
}

impl Effort {
    fn add(&mut self, other: &Self) {
        self.workers += other.workers;
        self.client_cpu_s += other.client_cpu_s;
        self.measured_s = self.measured_s.max(other.measured_s);
        self.busiest = self.busiest.max(other.busiest);
        self.loop_delay.merge(&other.loop_delay);
        self.client_bytes += other.client_bytes;
    }
}
