//! The run from end to end: connect, publish, measure, drain, add up.
//!
//! ```text
//! connect all ─► publish … settle ─► measure ─► stop publishing ─► drain: every client reaches the heads ─► sum
//! ```
//! Runs on the main thread and only waits: clients and publisher have threads or processes of their own. The drain's
//! target is what the furthest client has seen, or what was published, whichever is more: an event that nobody got is
//! lost, too.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use crate::measure::Part;
use crate::output::Live;
use crate::plan::{Dialect, Plan};
use crate::publish::{self, Published, Publisher};
use crate::worker::{Assignment, Command, Head, Link, OTHER_DESCRIPTORS, Report, RunError, Tick};

/// How often the coordinator looks around.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long workers may take to answer a question.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// What a run came to.
#[derive(Debug)]
pub struct Outcome {
    /// The sum over all workers.
    pub part: Part,
    /// What was published, where this program published.
    pub published: Option<Published>,
    /// Whether the run was ended before its time.
    pub is_interrupted: bool,
    /// Why latency is not measured, where it is not.
    pub latency_note: Option<String>,
    /// Expectations that were not met, in words.
    pub unmet: Vec<String>,
}

/// Who looks on.
pub trait Watch {
    /// How it goes; called some times a second.
    fn live(&mut self, live: &Live);
    /// Whether the measurement shall end now.
    fn is_interrupted(&self) -> bool;
}

/// Runs a plan. Blocks until the end.
///
/// # Errors
/// When the run cannot take place; see [`RunError`]. Clients that cannot connect are no error but counted.
pub fn run(plan: &Plan, watch: &mut dyn Watch) -> Result<Outcome, RunError> {
    let latency_note = latency_note(plan);
    let mut run = Run::start(plan, latency_note.is_none(), watch)?;
    run.until(Phase::Connect)?;
    run.publish()?;
    run.begun = Instant::now();
    run.until(Phase::Settle)?;
    run.tell(&Command::Measure);
    run.begun = Instant::now();
    run.until(Phase::Measure)?;
    let published = run.stop_publishing();
    run.heads(published.as_ref())?;
    run.begun = Instant::now();
    run.until(Phase::Drain)?;
    let part = run.sum()?;
    let unmet = run.unmet(&part);
    let is_interrupted = run.is_interrupted;
    Ok(Outcome { part, published, is_interrupted, latency_note, unmet })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Connect,
    Settle,
    Measure,
    Drain,
}

struct Run<'a> {
    plan: &'a Plan,
    watch: &'a mut dyn Watch,
    links: Vec<Link>,
    ticks: Vec<Tick>,
    settled: usize,
    drained: usize,
    heads: Vec<Vec<Head>>,
    parts: Vec<Option<Part>>,
    publishers: Vec<Publisher>,
    begun: Instant,
    is_interrupted: bool,
    /// When the last figure was shown and how many events there were then.
    shown: (Instant, u64, f64),
}

impl<'a> Run<'a> {
    fn start(
        plan: &'a Plan,
        has_latency: bool,
        watch: &'a mut dyn Watch,
    ) -> Result<Self, RunError> {
        let workers = workers(plan)?;
        let link = |worker| {
            let assignment = Assignment { plan: plan.clone(), worker, workers };
            if workers == 1 {
                Link::thread(assignment, has_latency)
            } else {
                Link::process(&assignment, has_latency)
            }
        };
        let links = (0..workers).map(link).collect::<Result<Vec<_>, _>>()?;
        let now = Instant::now();
        Ok(Self {
            plan,
            watch,
            ticks: vec![Tick::default(); links.len()],
            settled: 0,
            drained: 0,
            heads: Vec::new(),
            parts: vec![None; links.len()],
            links,
            publishers: Vec::new(),
            begun: now,
            is_interrupted: false,
            shown: (now, 0, 0.0),
        })
    }

    fn tell(&mut self, command: &Command) {
        self.links.iter_mut().for_each(|link| link.tell(command));
    }

    /// Waits until a phase is over.
    fn until(&mut self, phase: Phase) -> Result<(), RunError> {
        loop {
            self.hear()?;
            self.show(phase);
            if self.is_over(phase) {
                return Ok(());
            }
            if self.watch.is_interrupted() && !self.is_interrupted {
                self.is_interrupted = true;
            }
        }
    }

    fn is_over(&self, phase: Phase) -> bool {
        let elapsed = self.begun.elapsed();
        match phase {
            Phase::Connect => self.settled == self.links.len() || self.is_interrupted,
            Phase::Settle => elapsed >= self.plan.settle || self.is_interrupted || self.is_empty(),
            Phase::Measure => {
                elapsed >= self.plan.duration
                    || self.is_interrupted
                    || self.is_empty()
                    || self.is_everybody_done()
            }
            Phase::Drain => {
                self.drained == self.links.len() || elapsed >= self.plan.drain || self.is_empty()
            }
        }
    }

    /// Whether no client is left.
    fn is_empty(&self) -> bool {
        self.ticks.iter().all(|tick| tick.connected == 0)
    }

    /// Whether every client has got what was expected of it, where something was, or never will.
    fn is_everybody_done(&self) -> bool {
        let done: u64 = self.ticks.iter().map(|tick| tick.done).sum();
        let faults = &self.plan.faults;
        let strict = self.plan.clients - faults.slow - faults.stall - faults.rst - faults.churn;
        self.plan.expect_each.is_some() && done >= strict
    }

    /// Takes in what the workers say, for a moment.
    fn hear(&mut self) -> Result<(), RunError> {
        let until = Instant::now() + LOOK_EVERY;
        for at in 0..self.links.len() {
            // The first one is waited for; the others are only asked.
            loop {
                let wait = if at == 0 {
                    until.saturating_duration_since(Instant::now())
                } else {
                    Duration::ZERO
                };
                match self.links[at].reports.recv_timeout(wait) {
                    Ok(report) => self.take(at, report)?,
                    Err(RecvTimeoutError::Timeout) => break,
                    Err(RecvTimeoutError::Disconnected) if self.parts[at].is_some() => break,
                    Err(RecvTimeoutError::Disconnected) => {
                        return Err(RunError::Worker(format!("worker {at} ended without a word")));
                    }
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, at: usize, report: Report) -> Result<(), RunError> {
        match report {
            Report::Settled => self.settled += 1,
            Report::Tick(tick) => self.ticks[at] = tick,
            Report::Heads(heads) => self.heads.push(heads),
            Report::Drained => self.drained += 1,
            Report::Part(part) => self.parts[at] = Some(*part),
            Report::Failed(reason) => return Err(RunError::Worker(reason)),
        }
        Ok(())
    }

    fn show(&mut self, phase: Phase) {
        let sum = |of: fn(&Tick) -> u64| self.ticks.iter().map(of).sum::<u64>();
        let most = |of: fn(&Tick) -> u64| self.ticks.iter().map(of).max().unwrap_or_default();
        let delivered = sum(|tick| tick.delivered);
        let (since, before, rate) = self.shown;
        #[expect(clippy::cast_precision_loss, reason = "a rate for reading")]
        if since.elapsed() >= Duration::from_millis(500) {
            let rate = delivered.saturating_sub(before) as f64 / since.elapsed().as_secs_f64();
            self.shown = (Instant::now(), delivered, rate);
        }
        let (phase, total) = match phase {
            Phase::Connect => ("connecting", Duration::ZERO),
            Phase::Settle => ("settling", self.plan.settle),
            Phase::Measure => ("measuring", self.plan.duration),
            Phase::Drain => ("draining", self.plan.drain),
        };
        let is_publishing = !self.plan.publish.is_empty();
        let live = Live {
            phase,
            connected: sum(|tick| tick.connected),
            asked: self.plan.connections(),
            elapsed: self.begun.elapsed(),
            total,
            delivered,
            delivered_per_s: rate,
            published: is_publishing.then(|| self.publishers.iter().map(Publisher::sent).sum()),
            p50_us: most(|tick| tick.p50_us),
            p99_us: most(|tick| tick.p99_us),
            lost: sum(|tick| tick.lost),
        };
        self.watch.live(&live);
    }

    fn publish(&mut self) -> Result<(), RunError> {
        if self.is_interrupted || self.is_empty() {
            return Ok(());
        }
        for plan in &self.plan.publish {
            let publisher =
                publish::start(plan).map_err(|error| RunError::Publish(error.to_string()))?;
            self.publishers.push(publisher);
        }
        Ok(())
    }

    /// Ends the publishers; none where there were none.
    fn stop_publishing(&mut self) -> Option<Published> {
        self.publishers.iter().for_each(Publisher::stop);
        let all = std::mem::take(&mut self.publishers);
        all.into_iter().map(Publisher::join).reduce(|mut sum, other| {
            sum.add(&other);
            sum
        })
    }

    /// Asks how far the topics have come, and lets every client come as far.
    fn heads(&mut self, published: Option<&Published>) -> Result<(), RunError> {
        self.tell(&Command::HeadsPlease);
        let until = Instant::now() + ANSWER_TIMEOUT;
        while self.heads.len() < self.links.len() {
            if Instant::now() > until {
                return Err(RunError::Worker("a worker does not answer".to_owned()));
            }
            self.hear()?;
        }
        let mut all: BTreeMap<(String, String), Head> = BTreeMap::new();
        for head in self.heads.drain(..).flatten() {
            let furthest =
                all.entry((head.epoch.clone(), head.topic.clone())).or_insert(head.clone());
            furthest.head = furthest.head.max(head.head);
            furthest.base = furthest.base.into_iter().chain(head.base).min();
        }
        let mut heads: Vec<Head> = all.into_values().collect();
        self.add_published(published, &mut heads);
        self.tell(&Command::Drain(heads));
        Ok(())
    }

    /// A topic stood somewhere when the first client subscribed; with what was published since it stands further,
    /// whether any client has seen that or not. Known only where all that was sent was taken, and by one server.
    fn add_published(&self, published: Option<&Published>, heads: &mut [Head]) {
        let is_known = self.plan.targets.len() == 1 && self.plan.dialect == Dialect::V1;
        let Some(published) = published.filter(|published| {
            is_known && published.rejected + published.dropped == 0 && published.faults.is_empty()
        }) else {
            return;
        };
        for head in heads {
            if let (Some(base), Some(count)) = (head.base, published.per_topic.get(&head.topic)) {
                head.head = head.head.max(base + count);
            }
        }
    }

    fn sum(&mut self) -> Result<Part, RunError> {
        self.tell(&Command::Stop);
        let until = Instant::now() + ANSWER_TIMEOUT;
        while self.parts.iter().any(Option::is_none) {
            if Instant::now() > until {
                return Err(RunError::Worker("a worker does not come to its end".to_owned()));
            }
            self.hear()?;
        }
        let mut sum = Part::default();
        self.parts.iter().flatten().for_each(|part| sum.add(part));
        Ok(sum)
    }

    fn unmet(&self, part: &Part) -> Vec<String> {
        let mut unmet = Vec::new();
        if let Some(expected) = self.plan.expect_events
            && part.counts.delivered < expected
        {
            unmet.push(format!("{} events of {expected} expected", part.counts.delivered));
        }
        if let Some(each) = self.plan.expect_each
            && !self.is_everybody_done()
        {
            unmet.push(format!("not every client got the {each} events expected"));
        }
        unmet
    }
}

/// How many processes: as many as the descriptor limit demands, unless told otherwise.
fn workers(plan: &Plan) -> Result<u64, RunError> {
    if let Some(workers) = plan.workers {
        return Ok(workers.min(plan.connections()));
    }
    let allowed = rlimit::increase_nofile_limit(plan.connections() + OTHER_DESCRIPTORS)?;
    let each = allowed.saturating_sub(OTHER_DESCRIPTORS);
    if each == 0 {
        return Err(RunError::Descriptors { needed: OTHER_DESCRIPTORS + 1, allowed });
    }
    Ok(plan.connections().div_ceil(each))
}

/// Why latency cannot be measured: stamps of another host's clock say nothing here.
fn latency_note(plan: &Plan) -> Option<String> {
    let far = plan.targets.iter().find(|target| !is_here(target.address.ip()))?;
    // Our own publisher stamps events with this host's clock, wherever they pass through.
    plan.publish.is_empty().then(|| {
        format!(
            "{} is another host: its time stamps cannot be compared with this clock; publish from here (--rate) to measure latency",
            far.host
        )
    })
}

/// Whether an address is this host's: one can listen on it.
fn is_here(address: IpAddr) -> bool {
    address.is_loopback() || std::net::TcpListener::bind((address, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_hosts_addresses_are_here() {
        assert!(is_here(IpAddr::from([127, 0, 0, 1])));
        assert!(!is_here(IpAddr::from([192, 0, 2, 1])));
    }
}
