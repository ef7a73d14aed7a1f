//! What became of a run: counts, the verdict on order, and the exit code that follows from them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::options::Options;
use crate::order::{FAULTS_TOLD_MAX, Verdict};

/// All is well.
pub const OK: u8 = 0;
/// Nobody, or not everybody, could connect.
pub const CANNOT_CONNECT: u8 = 69;
/// Something did not arrive as it should.
pub const CHECK_FAILED: u8 = 99;

/// Counts of one kind of client.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    /// How many there should be.
    pub asked: usize,
    /// How many came to life (on /v1: got their ack).
    pub connected: usize,
    /// How many did not.
    pub failed: usize,
    /// How many of those connected the server closed before the end.
    pub closed: usize,
    /// By their codes; 1006: without a close frame.
    pub close_codes: BTreeMap<u16, usize>,
}

/// The outcome of a run.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Clients that read.
    pub clients: Group,
    /// Clients that do not.
    pub stalled: Group,
    /// Events that arrived, at all clients.
    pub delivered: u64,
    /// Of those: before everybody was connected.
    pub delivered_before: u64,
    /// Events at the client that got fewest, of those connected to the end.
    pub min_per_client: u64,
    /// Events at the client that got most.
    pub max_per_client: u64,
    /// Order.
    pub verdict: Verdict,
    /// Violations of the protocol.
    pub breaches: u64,
    /// Expectations that were not met, in words.
    pub unmet: Vec<String>,
    /// Bytes read.
    pub bytes: u64,
    /// Successful reads.
    pub reads: u64,
    /// From starting to connect to the 101, microseconds.
    pub connect_us: Histogram<u64>,
    /// From everybody connected to the end.
    pub seconds: f64,
}

impl Outcome {
    pub(crate) fn new(options: &Options) -> Self {
        let connect_us = Histogram::new_with_bounds(1, 60_000_000, 3)
            .expect("bounds of 1 and a minute and three digits are valid");
        Self {
            clients: Group { asked: options.clients, ..Group::default() },
            stalled: Group { asked: options.stalled, ..Group::default() },
            delivered: 0,
            delivered_before: 0,
            min_per_client: 0,
            max_per_client: 0,
            verdict: Verdict::default(),
            breaches: 0,
            unmet: Vec::new(),
            bytes: 0,
            reads: 0,
            connect_us,
            seconds: 0.0,
        }
    }

    pub(crate) fn group(&mut self, is_stalled: bool) -> &mut Group {
        if is_stalled { &mut self.stalled } else { &mut self.clients }
    }

    pub(crate) fn record_connect(&mut self, time: Duration) {
        self.connect_us.saturating_record(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    pub(crate) fn verdict_tell(&mut self, fault: impl FnOnce() -> String) {
        self.verdict.tell(fault);
    }

    /// Adds what is known only at the end.
    pub(crate) fn finish(
        &mut self,
        options: &Options,
        order: &Verdict,
        per_client: &[u64],
        seconds: f64,
    ) {
        let mut faults = std::mem::take(&mut self.verdict.faults);
        faults.extend(order.faults.iter().cloned());
        faults.truncate(FAULTS_TOLD_MAX);
        self.verdict = Verdict { faults, ..order.clone() };
        self.seconds = seconds;
        self.min_per_client = per_client.iter().copied().min().unwrap_or(0);
        self.max_per_client = per_client.iter().copied().max().unwrap_or(0);
        if let Some(expected) = options.expect_events.filter(|expected| self.delivered < *expected)
        {
            self.unmet.push(format!("{} events arrived, {expected} were expected", self.delivered));
        }
        if let Some(each) = options.expect_each {
            let short = options.clients - per_client.iter().filter(|count| **count >= each).count();
            if short > 0 {
                self.unmet.push(format!(
                    "{short} of {} clients did not get {each} events",
                    options.clients
                ));
            }
        }
        if self.clients.closed > 0 {
            self.unmet.push(format!("{} clients were closed by the server", self.clients.closed));
        }
    }

    /// The process's exit code: nobody connected, then checks, then whether everybody connected.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        let is_checked = self.verdict.is_clean() && self.breaches == 0 && self.unmet.is_empty();
        match () {
            () if self.clients.connected == 0 => CANNOT_CONNECT,
            () if !is_checked => CHECK_FAILED,
            () if self.clients.failed + self.stalled.failed > 0 => CANNOT_CONNECT,
            () => OK,
        }
    }

    fn per_second(&self) -> f64 {
        #[expect(
            clippy::cast_precision_loss,
            reason = "a rate for reading; exact below 2^53 events"
        )]
        let events = (self.delivered - self.delivered_before) as f64;
        if self.seconds > 0.0 { events / self.seconds } else { 0.0 }
    }
}

/// The report for people.
#[must_use]
pub fn table(outcome: &Outcome) -> String {
    let mut rows: Vec<(&str, String)> = vec![("clients", group_text(&outcome.clients))];
    if outcome.stalled.asked > 0 {
        rows.push(("stalled", group_text(&outcome.stalled)));
    }
    let verdict = &outcome.verdict;
    rows.push((
        "events",
        format!(
            "{} delivered, {} to {} per client, {:.0} per second in {:.2} s",
            outcome.delivered,
            outcome.min_per_client,
            outcome.max_per_client,
            outcome.per_second(),
            outcome.seconds
        ),
    ));
    rows.push((
        "order",
        format!(
            "{} lost, {} duplicated, {} reordered; {} gaps announced for {} events",
            verdict.lost,
            verdict.duplicated,
            verdict.reordered,
            verdict.announced_gaps,
            verdict.gap_events
        ),
    ));
    rows.push(("input", format!("{} bytes in {} reads", outcome.bytes, outcome.reads)));
    let connect = &outcome.connect_us;
    rows.push((
        "connecting",
        format!(
            "p50 {} us, p99 {} us",
            connect.value_at_quantile(0.5),
            connect.value_at_quantile(0.99)
        ),
    ));
    if outcome.breaches > 0 {
        rows.push(("breaches", outcome.breaches.to_string()));
    }
    rows.extend(verdict.faults.iter().map(|fault| ("fault", fault.clone())));
    rows.extend(outcome.unmet.iter().map(|unmet| ("unmet", unmet.clone())));
    rows.push((
        "result",
        match outcome.exit_code() {
            OK => "ok",
            CANNOT_CONNECT => "cannot connect",
            _ => "check failed",
        }
        .to_owned(),
    ));
    rows.iter().fold(String::new(), |mut text, (name, value)| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name:<11} {value}");
        text
    })
}

fn group_text(group: &Group) -> String {
    let mut text = format!(
        "{} asked, {} connected, {} failed, {} closed",
        group.asked, group.connected, group.failed, group.closed
    );
    for (code, count) in &group.close_codes {
        // Writing to a string cannot fail.
        let _ = write!(text, ", {code}: {count}");
    }
    text
}

/// The report for programs: one line of JSON.
#[must_use]
pub fn json(outcome: &Outcome) -> String {
    let group = |group: &Group| {
        serde_json::json!({
            "asked": group.asked,
            "connected": group.connected,
            "failed": group.failed,
            "closed": group.closed,
            "close_codes": group.close_codes,
        })
    };
    let verdict = &outcome.verdict;
    serde_json::json!({
        "clients": group(&outcome.clients),
        "stalled": group(&outcome.stalled),
        "events": {
            "delivered": outcome.delivered,
            "per_second": outcome.per_second(),
            "min_per_client": outcome.min_per_client,
            "max_per_client": outcome.max_per_client,
            "lost": verdict.lost,
            "duplicated": verdict.duplicated,
            "reordered": verdict.reordered,
            "announced_gaps": verdict.announced_gaps,
            "gap_events": verdict.gap_events,
        },
        "breaches": outcome.breaches,
        "faults": verdict.faults,
        "unmet": outcome.unmet,
        "bytes": outcome.bytes,
        "reads": outcome.reads,
        "connect_us": {
            "p50": outcome.connect_us.value_at_quantile(0.5),
            "p99": outcome.connect_us.value_at_quantile(0.99),
        },
        "seconds": outcome.seconds,
        "exit_code": outcome.exit_code(),
    })
    .to_string()
}
