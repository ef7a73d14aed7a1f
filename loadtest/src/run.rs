//! All clients on one thread: connects them at the rate asked for, reads them as they are ready, and ends when what
//! was expected has come or the time is over.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};
use socket2::{Domain, Protocol, Socket, Type};

use crate::client::{Client, Stage, Turn, Until};
use crate::handshake;
use crate::options::Options;
use crate::order::Judge;
use crate::report::Outcome;

/// Connections that may be on their way at a time: fewer than a usual backlog holds.
const IN_FLIGHT_MAX: usize = 256;
/// How long a client may take from connecting to its ack.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Clients of one loopback source address: about half of the ports that it has.
const CLIENTS_PER_ADDRESS: usize = 15_000;
/// A stalled client's receive buffer, so that its silence is felt by the server soon.
const STALLED_RECEIVE_BYTES: usize = 16 * 1024;
/// Descriptors beside those of the clients.
const OTHER_DESCRIPTORS: u64 = 64;

/// What all clients share.
pub(crate) struct Shared {
    /// The handshake's request, the same for all.
    pub(crate) request: Vec<u8>,
    /// The subscribe message; empty on paths where messages are only counted.
    pub(crate) subscribe: Vec<u8>,
    pub(crate) buffer: Vec<u8>,
    pub(crate) judge: Judge,
    pub(crate) outcome: Outcome,
    expect_each: Option<u64>,
    in_flight: usize,
    /// Clients of which nothing more is expected: they got theirs, or never will.
    done: usize,
    mask: u32,
}

impl Shared {
    fn new(options: &Options) -> Self {
        let subscribe = if options.topics.is_empty() {
            Vec::new()
        } else {
            serde_json::json!({"op": "subscribe", "id": 1, "topics": options.topics})
                .to_string()
                .into_bytes()
        };
        Self {
            request: handshake::request(&options.host, &options.path),
            subscribe,
            buffer: Vec::new(),
            judge: Judge::default(),
            outcome: Outcome::new(options),
            expect_each: options.expect_each,
            in_flight: 0,
            done: 0,
            mask: 0x9e37_79b9,
        }
    }

    /// A new mask for each frame (xorshift32: masks need not be secret here, only different).
    pub(crate) fn mask(&mut self) -> [u8; 4] {
        self.mask ^= self.mask << 13;
        self.mask ^= self.mask >> 17;
        self.mask ^= self.mask << 5;
        self.mask.to_be_bytes()
    }

    pub(crate) fn connected(&mut self, is_stalled: bool) {
        self.in_flight -= 1;
        self.outcome.group(is_stalled).connected += 1;
    }

    pub(crate) fn failed(&mut self, is_stalled: bool) {
        self.in_flight -= 1;
        self.outcome.group(is_stalled).failed += 1;
        self.done += usize::from(!is_stalled);
    }

    /// A live client's connection ended after that many events.
    pub(crate) fn closed(&mut self, is_stalled: bool, code: u16, events: u64) {
        let group = self.outcome.group(is_stalled);
        group.closed += 1;
        *group.close_codes.entry(code).or_default() += 1;
        let was_done = self.expect_each.is_some_and(|each| events >= each);
        self.done += usize::from(!is_stalled && !was_done);
    }

    /// A client got its `nth` event.
    pub(crate) fn delivered(&mut self, nth: u64) {
        self.outcome.delivered += 1;
        self.done += usize::from(self.expect_each == Some(nth));
    }

    /// The server broke a rule.
    pub(crate) fn breach(&mut self, tell: impl FnOnce() -> String) {
        self.outcome.breaches += 1;
        self.outcome.verdict_tell(tell);
    }
}

/// Why a run did not take place.
#[derive(Debug)]
pub enum RunError {
    /// The system allows fewer descriptors than there are clients.
    Descriptors {
        /// How many are needed.
        needed: u64,
        /// How many are allowed.
        allowed: u64,
    },
    /// Polling or making a socket failed.
    System(io::Error),
}

impl RunError {
    /// The process's exit code.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Descriptors { .. } => 69,
            Self::System(_) => 1,
        }
    }
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Descriptors { needed, allowed } => {
                write!(f, "{needed} descriptors are needed, {allowed} allowed (see `ulimit -Hn`)")
            }
            Self::System(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for RunError {}

impl From<io::Error> for RunError {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

/// Connects all clients, listens, and says what became of it. Blocks until the end; opens one socket per client.
///
/// # Errors
/// When there are not enough descriptors, or the system's polling fails. A server that cannot be reached is not an
/// error but an [`Outcome`].
pub fn run(options: &Options) -> Result<Outcome, RunError> {
    let total = options.clients + options.stalled;
    let needed = total as u64 + OTHER_DESCRIPTORS;
    let allowed = rlimit::increase_nofile_limit(needed)?;
    if allowed < needed {
        return Err(RunError::Descriptors { needed, allowed });
    }
    let mut run = Run {
        options,
        poll: Poll::new()?,
        clients: Vec::with_capacity(total),
        in_flight: VecDeque::new(),
        again: Vec::new(),
        shared: Shared::new(options),
        begun: Instant::now(),
        listening: None,
    };
    run.until_done()?;
    Ok(run.end())
}

struct Run<'a> {
    options: &'a Options,
    poll: Poll,
    clients: Vec<Client>,
    /// In the order of connecting, and therefore of their deadlines.
    in_flight: VecDeque<(Instant, usize)>,
    /// Clients whose turn ended with something left to read.
    again: Vec<usize>,
    shared: Shared,
    begun: Instant,
    /// When everybody was connected or had failed.
    listening: Option<Instant>,
}

impl Run<'_> {
    fn until_done(&mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(1_024);
        loop {
            let now = Instant::now();
            self.connect_more(now)?;
            self.expire(now);
            if self.listening.is_none() && self.is_everybody_settled() {
                self.listening = Some(now);
                self.shared.outcome.delivered_before = self.shared.outcome.delivered;
            }
            let Some(wait) = self.time_left(now) else {
                return Ok(());
            };
            match self.poll.poll(&mut events, Some(wait)) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            for index in std::mem::take(&mut self.again) {
                let turn = self.clients[index].read(Until::End, &mut self.shared);
                self.note_turn(index, turn);
            }
            for event in &events {
                let Token(index) = event.token();
                let turn = self.clients[index].on_ready(event, &mut self.shared);
                self.note_turn(index, turn);
            }
        }
    }

    fn note_turn(&mut self, index: usize, turn: Turn) {
        if turn == Turn::Again && !self.again.contains(&index) {
            self.again.push(index);
        }
    }

    /// Starts as many connections as the rate and the number on their way allow.
    fn connect_more(&mut self, now: Instant) -> io::Result<()> {
        let total = self.options.clients + self.options.stalled;
        while self.clients.len() < total && self.shared.in_flight < IN_FLIGHT_MAX {
            if self.next_connect_at().is_some_and(|at| at > now) {
                return Ok(());
            }
            let index = self.clients.len();
            // Stalled clients come last: those that read are connected as if they were alone.
            let is_stalled = index >= self.options.clients;
            self.shared.in_flight += 1;
            match connect(self.options.address, index, is_stalled) {
                Ok(mut socket) => {
                    let interest = Interest::READABLE | Interest::WRITABLE;
                    self.poll.registry().register(&mut socket, Token(index), interest)?;
                    self.clients.push(Client::new(index, is_stalled, Some(socket), now));
                    self.in_flight.push_back((now + CONNECT_TIMEOUT, index));
                }
                // On loopback a refusal may be known at once.
                Err(error) => {
                    let mut client = Client::new(index, is_stalled, None, now);
                    client.fail(&error.to_string(), &mut self.shared);
                    self.clients.push(client);
                }
            }
        }
        Ok(())
    }

    /// When the next connection may start, by the rate.
    fn next_connect_at(&self) -> Option<Instant> {
        let rate = self.options.connect_rate?;
        let nanoseconds = self.clients.len() as u64 * 1_000_000_000 / rate;
        Some(self.begun + Duration::from_nanos(nanoseconds))
    }

    /// Gives up clients that are late, and forgets those that are not on their way any more.
    fn expire(&mut self, now: Instant) {
        while let Some((deadline, index)) = self.in_flight.front().copied() {
            let client = &mut self.clients[index];
            if client.is_in_flight() {
                if deadline > now {
                    return;
                }
                client.fail("timed out", &mut self.shared);
            }
            self.in_flight.pop_front();
        }
    }

    fn is_everybody_settled(&self) -> bool {
        self.clients.len() == self.options.clients + self.options.stalled
            && self.shared.in_flight == 0
    }

    /// How long to wait for events; none when the run is over.
    fn time_left(&self, now: Instant) -> Option<Duration> {
        let end = match self.listening {
            Some(since) => {
                let settled = since + self.options.settle;
                let is_done = self.shared.done >= self.options.clients;
                let is_anybody_there =
                    self.shared.outcome.clients.connected > self.shared.outcome.clients.closed;
                if is_done && (now >= settled || !is_anybody_there) {
                    return None;
                }
                if is_done { settled } else { settled + self.options.duration }
            }
            None => {
                let deadline = self.in_flight.front().map(|(deadline, _)| *deadline);
                let may_connect = self.shared.in_flight < IN_FLIGHT_MAX;
                let next = self.next_connect_at().filter(|_| may_connect);
                deadline.into_iter().chain(next.filter(|at| *at > now)).min().unwrap_or(now)
            }
        };
        if self.listening.is_some() && now >= end {
            return None;
        }
        Some(if self.again.is_empty() {
            end.saturating_duration_since(now)
        } else {
            Duration::ZERO
        })
    }

    fn end(mut self) -> Outcome {
        let seconds = self.listening.map_or(0.0, |since| since.elapsed().as_secs_f64());
        let live =
            self.clients.iter().filter(|client| !client.is_stalled && client.stage == Stage::Live);
        // Clients that were closed early got what they got; those that failed are counted as failed.
        let counts: Vec<u64> = live.map(|client| client.events).collect();
        for client in &mut self.clients {
            client.leave(&mut self.shared);
        }
        let mut outcome = self.shared.outcome;
        outcome.finish(self.options, &self.shared.judge.verdict, &counts, seconds);
        outcome
    }
}

/// Starts a connection; it goes on in the background.
fn connect(address: SocketAddr, index: usize, is_stalled: bool) -> io::Result<mio::net::TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    if is_stalled {
        socket.set_recv_buffer_size(STALLED_RECEIVE_BYTES)?;
    }
    if let Some(source) = source_address(address.ip(), index) {
        socket.bind(&SocketAddr::from((source, 0)).into())?;
    }
    match socket.connect(&address.into()) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
        _ => Ok(mio::net::TcpStream::from_std(socket.into())),
    }
}

/// The source address of a client, where one address would not have enough ports: 127.0.0.2 and on, on loopback.
fn source_address(server: IpAddr, index: usize) -> Option<Ipv4Addr> {
    let beyond_first =
        u8::try_from(index / CLIENTS_PER_ADDRESS).ok().filter(|beyond| *beyond > 0)?;
    (server == Ipv4Addr::LOCALHOST).then(|| Ipv4Addr::new(127, 0, 0, 1 + beyond_first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_addresses_change_before_ports_run_out_and_only_on_loopback() {
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        assert_eq!(source_address(loopback, CLIENTS_PER_ADDRESS - 1), None);
        assert_eq!(
            source_address(loopback, CLIENTS_PER_ADDRESS),
            Some(Ipv4Addr::new(127, 0, 0, 2))
        );
        assert_eq!(source_address(loopback, 199_999), Some(Ipv4Addr::new(127, 0, 0, 14)));
        assert_eq!(source_address(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), 199_999), None);
    }
}
