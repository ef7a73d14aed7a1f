//! The loop of a worker: connects at the rate asked for, reads what is ready, does what is due, obeys the coordinator.

use std::collections::{BTreeSet, VecDeque};
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};

use super::behave::Behaviour;
use super::connect::{IN_FLIGHT_MAX, connect};
use super::shared::Shared;
use super::{Assignment, Command, Head, OTHER_DESCRIPTORS, Report, RunError};
use crate::client::{self, Client, Stage, Turn, Until};
use crate::measure::system::{resident_bytes, thread_cpu_s};
use crate::measure::{Effort, Hist};
use crate::plan::Role;

/// How long a client may take from connecting to its ack.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How often what is due is looked at.
const TICK: Duration = Duration::from_millis(20);
/// How often the coordinator is told how it goes.
const REPORT_EVERY: Duration = Duration::from_millis(100);
/// How long a client that could not come back waits before it tries again.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// How much is read at a time.
const READ_BYTES: usize = 256 * 1024;

/// The clients of a worker and what moves them.
pub(super) struct Turns {
    poll: Poll,
    pub(super) clients: Vec<Client>,
    pub(super) shared: Shared,
    /// Clients that connect as soon as it is allowed: first all, later those that come back.
    waiting: VecDeque<(Instant, usize)>,
    /// In the order of connecting, and therefore of their deadlines.
    in_flight: VecDeque<usize>,
    /// Clients whose turn ended with something left to read.
    again: Vec<usize>,
    connect_period: Duration,
    next_connect: Instant,
    drain: Option<Drain>,
    /// Measured time: when it began and this thread's CPU time then; and both at its end.
    measured: Option<(Instant, f64)>,
    effort: Effort,
    /// Events at each strict client in the measured time.
    per_client: Hist,
    resident_before: u64,
}

/// The end of a run: who still lacks something.
struct Drain {
    /// Clients up to here have everything.
    done: usize,
    is_told: bool,
}

/// Connects the clients, and goes on until it is told to stop. Blocks; opens one socket per client.
///
/// # Errors
/// When there are not enough descriptors, or the system's polling fails. A server that cannot be reached is not an
/// error but counted.
pub fn run(
    assignment: &Assignment,
    has_latency: bool,
    commands: &Receiver<Command>,
    report: &mut dyn FnMut(Report),
) -> Result<(), RunError> {
    let needed = assignment.connections() + OTHER_DESCRIPTORS;
    let allowed = rlimit::increase_nofile_limit(needed)?;
    if allowed < needed {
        return Err(RunError::Descriptors { needed, allowed });
    }
    let mut turns = Turns::new(assignment, has_latency)?;
    let mut behaviour = Behaviour::new(&turns);
    let mut events = Events::with_capacity(1_024);
    let (mut is_settled, mut next_tick, mut next_report) = (false, Instant::now(), Instant::now());
    loop {
        let now = Instant::now();
        match commands.try_recv() {
            Ok(Command::Stop) | Err(TryRecvError::Disconnected) => break,
            Ok(command) => turns.obey(command, &mut behaviour, report),
            Err(TryRecvError::Empty) => {}
        }
        turns.connect_more(now)?;
        if now >= next_tick {
            turns.tick(now);
            behaviour.tick(now, &mut turns);
            next_tick = now + TICK;
        }
        if !is_settled && turns.waiting.is_empty() && turns.shared.in_flight == 0 {
            is_settled = true;
            let grown = resident_bytes().saturating_sub(turns.resident_before);
            turns.effort.client_bytes = grown;
            report(Report::Tick(turns.shared.tick()));
            report(Report::Settled);
        }
        if now >= next_report {
            report(Report::Tick(turns.shared.tick()));
            next_report = now + REPORT_EVERY;
        }
        turns.check_drained(report);
        turns.turn(&mut events, next_tick)?;
    }
    report(Report::Part(Box::new(turns.end())));
    Ok(())
}

impl Turns {
    fn new(assignment: &Assignment, has_latency: bool) -> Result<Self, RunError> {
        let now = Instant::now();
        let mut shared = Shared::new(assignment, has_latency);
        // Touched beforehand, so that it does not count as the clients' memory.
        shared.buffer = vec![1; 2 * READ_BYTES];
        let resident_before = resident_bytes();
        let count = assignment.connections();
        let client = |at: u64| {
            let number = shared.number(at);
            let number32 = u32::try_from(number).expect("a plan has at most a million clients");
            Client::new(number32, shared.plan.role(number), now)
        };
        let clients: Vec<Client> = (0..count).map(client).collect();
        #[expect(clippy::cast_precision_loss, reason = "at most 64 workers")]
        let period = |rate: f64| Duration::from_secs_f64(assignment.workers as f64 / rate);
        Ok(Self {
            poll: Poll::new()?,
            waiting: (0..clients.len()).map(|at| (now, at)).collect(),
            clients,
            in_flight: VecDeque::new(),
            again: Vec::new(),
            connect_period: shared.plan.connect_rate.map_or(Duration::ZERO, period),
            next_connect: now,
            drain: None,
            measured: None,
            effort: Effort { workers: 1, ..Effort::default() },
            per_client: Hist::default(),
            resident_before,
            shared,
        })
    }

    fn obey(
        &mut self,
        command: Command,
        behaviour: &mut Behaviour,
        report: &mut dyn FnMut(Report),
    ) {
        match command {
            Command::Measure => {
                self.measured = Some((Instant::now(), thread_cpu_s()));
                self.shared.tally.is_measuring = true;
                for client in &mut self.clients {
                    client.events_before = client.events;
                }
                behaviour.begin(Instant::now());
            }
            Command::HeadsPlease => {
                self.end_measuring();
                behaviour.end();
                report(Report::Heads(self.shared.judge.topics.heads()));
            }
            Command::Drain(heads) => {
                self.reach(&heads);
                self.drain = Some(Drain { done: 0, is_told: false });
            }
            Command::Stop => {}
        }
    }

    fn end_measuring(&mut self) {
        self.shared.tally.is_measuring = false;
        if let Some((since, cpu_s)) = self.measured.take() {
            self.effort.measured_s = since.elapsed().as_secs_f64();
            self.effort.client_cpu_s = thread_cpu_s() - cpu_s;
            self.effort.busiest = self.effort.client_cpu_s / self.effort.measured_s.max(1e-9);
            let is_judged =
                |client: &&Client| client.stage == Stage::Live && client.role == Role::Strict;
            for client in self.clients.iter().filter(is_judged) {
                // A histogram has no place for 0: one is counted for it.
                self.per_client.record(client.events - client.events_before);
            }
        }
    }

    fn reach(&mut self, heads: &[Head]) {
        for head in heads.iter().filter(|head| head.head > 0) {
            let topics = &mut self.shared.judge.topics;
            let stream = topics.stream(&head.epoch);
            let topic = topics.topic(stream, &head.topic);
            topics.reached(topic, head.head);
        }
        self.shared.judge.topics.set_goals();
    }

    fn check_drained(&mut self, report: &mut dyn FnMut(Report)) {
        let Some(drain) = self.drain.as_mut().filter(|drain| !drain.is_told) else {
            return;
        };
        while let Some(client) = self.clients.get(drain.done) {
            let is_owed = client.stage == Stage::Live && client.role == Role::Strict;
            let is_back = client.stage == Stage::Closed || client.stage == Stage::Live;
            if is_owed && !self.shared.judge.has_all(&client.seen) || !is_back {
                return;
            }
            drain.done += 1;
        }
        drain.is_told = true;
        report(Report::Drained);
    }

    /// Waits for sockets, at most until `next_tick`, and serves those that are ready.
    fn turn(&mut self, events: &mut Events, next_tick: Instant) -> Result<(), RunError> {
        let now = Instant::now();
        let mut until = next_tick;
        if self.shared.in_flight < IN_FLIGHT_MAX
            && let Some((at, _)) = self.waiting.front()
        {
            until = until.min((*at).max(self.next_connect));
        }
        let wait = if self.again.is_empty() {
            until.saturating_duration_since(now)
        } else {
            Duration::ZERO
        };
        match self.poll.poll(events, Some(wait)) {
            Err(error) if error.kind() != std::io::ErrorKind::Interrupted => {
                return Err(error.into());
            }
            _ => {}
        }
        if events.is_empty() && self.again.is_empty() {
            return Ok(());
        }
        let ready = Instant::now();
        for at in std::mem::take(&mut self.again) {
            let turn = self.clients[at].read(Until::End, READ_BYTES, &mut self.shared);
            self.note_turn(at, turn);
        }
        for event in &*events {
            let Token(at) = event.token();
            let turn = self.clients[at].on_ready(event, &mut self.shared);
            self.note_turn(at, turn);
        }
        if self.shared.tally.is_measuring {
            let us = u64::try_from(ready.elapsed().as_micros()).unwrap_or(u64::MAX);
            self.shared.tally.loop_delay.record(us);
        }
        Ok(())
    }

    fn note_turn(&mut self, at: usize, turn: Turn) {
        if turn == Turn::Again && !self.again.contains(&at) {
            self.again.push(at);
        }
    }

    /// Starts as many connections as the rate and the number on their way allow.
    fn connect_more(&mut self, now: Instant) -> Result<(), RunError> {
        while self.shared.in_flight < IN_FLIGHT_MAX && self.next_connect <= now {
            let Some((_, at)) = self.waiting.front().copied().filter(|(at, _)| *at <= now) else {
                return Ok(());
            };
            self.waiting.pop_front();
            // What could not start in time is made up for, but not more than a tick's worth.
            self.next_connect = (self.next_connect + self.connect_period).max(now - TICK);
            self.shared.in_flight += 1;
            let client = &mut self.clients[at];
            let number = u64::from(client.number);
            let targets = &self.shared.plan.targets;
            let target = &targets[client.number as usize % targets.len()];
            match connect(target.address, number, client.role) {
                Ok(mut socket) => {
                    let interest = Interest::READABLE | Interest::WRITABLE;
                    self.poll.registry().register(&mut socket, Token(at), interest)?;
                    client.connect(socket, now);
                    self.in_flight.push_back(at);
                }
                // On loopback a refusal may be known at once.
                Err(error) => client.fail(&client::reason(&error), &mut self.shared),
            }
            self.retry(at, now);
        }
        Ok(())
    }

    /// A client that was live once and could not come back tries again, until the end.
    fn retry(&mut self, at: usize, now: Instant) {
        let client = &self.clients[at];
        if client.is_back && client.stage == Stage::Closed {
            self.waiting.push_back((now + RETRY_AFTER, at));
        }
    }

    /// Counts those that left and are not back: whoever still waits, or is on the way.
    fn count_absent(&mut self) {
        let waiting = self.waiting.iter().map(|(_, at)| *at).chain(self.in_flight.iter().copied());
        let absent: BTreeSet<usize> = waiting.filter(|at| self.clients[*at].is_back).collect();
        for at in absent {
            let client = &self.clients[at];
            if client.stage != Stage::Live {
                self.shared.group(client.role).absent += 1;
            }
        }
    }

    /// Lets a client leave (or resets it) and come back.
    pub(super) fn send_away(&mut self, at: usize, is_reset: bool) {
        if self.clients[at].stage == Stage::Live {
            self.clients[at].leave(is_reset, &mut self.shared);
            self.waiting.push_back((Instant::now(), at));
        }
    }

    fn tick(&mut self, now: Instant) {
        self.shared.tally.tick();
        while let Some(at) = self.in_flight.front().copied() {
            let client = &mut self.clients[at];
            if client.is_in_flight() {
                if client.started() + CONNECT_TIMEOUT > now {
                    return;
                }
                client.fail("timed out", &mut self.shared);
            }
            self.in_flight.pop_front();
            self.retry(at, now);
        }
    }

    fn end(mut self) -> crate::measure::Part {
        self.end_measuring();
        self.count_absent();
        self.shared.tally.roll();
        let judge = &mut self.shared.judge;
        for client in &mut self.clients {
            let is_live = client.stage == Stage::Live;
            if is_live && client.role == Role::Strict {
                judge.close(client.who(), &mut client.seen);
            }
        }
        for client in &mut self.clients {
            client.leave(client.role == Role::Stall, &mut self.shared);
        }
        let loop_delay = std::mem::take(&mut self.shared.tally.loop_delay);
        let effort = Effort { loop_delay, ..std::mem::take(&mut self.effort) };
        let mut part = self.shared.part(effort);
        part.per_client = std::mem::take(&mut self.per_client);
        part
    }
}
