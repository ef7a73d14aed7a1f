//! Sends a schedule over `POST /v1/publish`, in the open loop: what is due is written, however the server does.
//!
//! One connection, streamed requests one after the other without waiting for their answers, which a second thread
//! reads. A request ends after 1,000 events or a second: the server lets the first 1,024 events of a request pass
//! without asking whether its subscribers follow, so the schedule is never paced by them, and a refusal is known within
//! a second. Where the socket takes nothing, events wait with their due times; `sent` says when each was really written.
//!
//! The thread sleeps between events: they are sent some 50 µs late (the kernel's timer slack), which `delay` tells,
//! rather than on time by burning a core that server and clients need.

use std::io::{self, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::answers::{Answers, read_answers};
use super::shape::{Due, Schedule};
use super::{PayloadWriter, PublishError, PublishPlan, Published, Shape};
use crate::measure::clock::now_ns;
use crate::measure::system::thread_cpu_s;

/// Events of one request; the server gates a request after 1,024.
const REQUEST_EVENTS: u64 = 1_000;
/// How long a request lasts at most.
const REQUEST_TIME: Duration = Duration::from_secs(1);
/// Bytes that are written at a time.
const WRITE_BYTES: usize = 64 * 1024;
/// How long a write may block before it is looked whether the run is over.
const WRITE_TIMEOUT: Duration = Duration::from_millis(100);
/// How long events that are due may still be sent after the end.
const GRACE: Duration = Duration::from_secs(1);
/// How long the answers to the last requests are waited for.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause before the next attempt to connect again.
const RETRY_AFTER: Duration = Duration::from_millis(100);
const SECOND_NS: u64 = 1_000_000_000;
/// Longest sleep, so that a stop is noticed.
const SLEEP_MAX: Duration = Duration::from_millis(20);

/// A publisher at work on a thread of its own.
#[derive(Debug)]
pub struct Publisher {
    shared: Arc<Flags>,
    thread: JoinHandle<Published>,
}

#[derive(Debug, Default)]
struct Flags {
    sent: AtomicU64,
    is_stopped: AtomicBool,
}

impl Publisher {
    /// Events sent so far.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.shared.sent.load(Ordering::Relaxed)
    }

    /// Ends the schedule now; what was due before is still sent.
    pub fn stop(&self) {
        self.shared.is_stopped.store(true, Ordering::Relaxed);
    }

    /// Waits for the end and the last answers; blocks up to some seconds after the schedule's end or [`Self::stop`].
    #[must_use]
    pub fn join(self) -> Published {
        self.thread.join().unwrap_or_else(|_| Published {
            faults: vec!["the publisher's thread panicked".to_owned()],
            ..Published::default()
        })
    }
}

/// Begins to publish, now. Blocks until the server has answered an empty request.
///
/// # Errors
/// When the server does not answer, or does not let us publish, or the schedule cannot be read.
pub fn start(plan: &PublishPlan) -> Result<Publisher, PublishError> {
    let schedule = Schedule::new(plan).map_err(PublishError)?;
    let host = &plan.host;
    let mut connection = Connection::open(plan)
        .map_err(|error| PublishError(format!("cannot publish to http://{host}: {error}")))?;
    connection.probe(plan).map_err(PublishError)?;
    let shared = Arc::new(Flags::default());
    let mut sender = Sender {
        plan: plan.clone(),
        writer: PayloadWriter::new(&plan.topics, plan.has_checksum),
        connection,
        shared: Arc::clone(&shared),
        published: Published::default(),
        per_topic: vec![0; plan.topics.len()],
        epoch: epoch(&plan.shape),
        lines: Vec::new(),
        in_lines: Vec::new(),
    };
    let work = move || sender.run(schedule);
    let thread = thread::Builder::new().name("publisher".to_owned()).spawn(work);
    let thread = thread.map_err(|error| PublishError(error.to_string()))?;
    Ok(Publisher { shared, thread })
}

/// The schedule's start on both clocks: now, or for a recorded pace, which is made of seconds, the next full second.
fn epoch(shape: &Shape) -> (Instant, u64) {
    let (now, ns) = (Instant::now(), now_ns());
    match shape {
        Shape::Recorded { .. } => {
            let wait_ns = SECOND_NS - ns % SECOND_NS;
            (now + Duration::from_nanos(wait_ns), ns + wait_ns)
        }
        _ => (now, ns),
    }
}

/// A connection, and the request in progress on it.
struct Connection {
    stream: TcpStream,
    answers: Arc<Mutex<Answers>>,
    head: Vec<u8>,
    /// Events of the request in progress, and when it began.
    request: Option<(u64, Instant)>,
    /// Events of requests that have ended.
    ended: u64,
    requests: u64,
}

impl Connection {
    fn open(plan: &PublishPlan) -> io::Result<Self> {
        let stream = TcpStream::connect(&plan.host)?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
        let token = plan
            .token
            .as_ref()
            .map_or(String::new(), |token| format!("Authorization: Bearer {token}\r\n"));
        let head = format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\n{token}Content-Type: application/x-ndjson\r\n\
             Transfer-Encoding: chunked\r\n\r\n",
            plan.path, plan.host
        );
        let answers = Arc::new(Mutex::new(Answers::default()));
        let (reader, inbox) = (stream.try_clone()?, Arc::clone(&answers));
        thread::Builder::new()
            .name("answers".to_owned())
            .spawn(move || read_answers(reader, &inbox))?;
        Ok(Self { stream, answers, head: head.into_bytes(), request: None, ended: 0, requests: 0 })
    }

    /// An empty request: whether we may.
    fn probe(&mut self, plan: &PublishPlan) -> Result<(), String> {
        let request = [&self.head[..], b"0\r\n\r\n"].concat();
        let sent = self.stream.write_all(&request);
        sent.map_err(|error| format!("cannot publish to http://{}: {error}", plan.host))?;
        self.requests = 1;
        if !self.wait_for_answers(ANSWER_TIMEOUT) {
            return Err(format!("http://{} did not answer an empty publish request", plan.host));
        }
        match self.answers().refused {
            None => Ok(()),
            Some(status) => {
                let remedy = match status {
                    401 | 403 => "start the server with --publish loopback, or give a --token",
                    404 | 405 => "is this the server's HTTP port, and does the path exist?",
                    _ => "see the server's log",
                };
                Err(format!("http://{}{} answers {status}: {remedy}", plan.host, plan.path))
            }
        }
    }

    fn answers(&self) -> std::sync::MutexGuard<'_, Answers> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether all requests have been answered in time.
    fn wait_for_answers(&self, timeout: Duration) -> bool {
        let until = Instant::now() + timeout;
        loop {
            let (count, is_closed) = {
                let answers = self.answers();
                (answers.count, answers.is_closed)
            };
            if count >= self.requests || is_closed || Instant::now() > until {
                return count >= self.requests;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
}

struct Sender {
    plan: PublishPlan,
    writer: PayloadWriter,
    connection: Connection,
    shared: Arc<Flags>,
    published: Published,
    per_topic: Vec<u64>,
    /// The schedule's start on both clocks.
    epoch: (Instant, u64),
    lines: Vec<u8>,
    /// What the lines hold: how late each is, and its topic.
    in_lines: Vec<(u64, usize)>,
}

impl Sender {
    fn run(&mut self, schedule: Schedule) -> Published {
        thread::sleep(self.epoch.0.saturating_duration_since(Instant::now()));
        let cpu_s = thread_cpu_s();
        let mut schedule = schedule.peekable();
        let mut stopped_ns = None;
        loop {
            let elapsed_ns = self.elapsed_ns();
            if stopped_ns.is_none() && self.shared.is_stopped.load(Ordering::Relaxed) {
                stopped_ns = Some(elapsed_ns);
            }
            let until_ns = stopped_ns.unwrap_or(u64::MAX).min(elapsed_ns);
            let end_ns = stopped_ns.unwrap_or_else(|| nanos(self.plan.duration));
            self.gather(&mut schedule, until_ns, elapsed_ns > end_ns.saturating_add(nanos(GRACE)));
            if !self.lines.is_empty() {
                self.write(end_ns);
                continue;
            }
            self.end_request_when_due();
            let next = match schedule.peek() {
                Some(Ok(due)) if due.at_ns < end_ns => due.at_ns,
                Some(Err(error)) => {
                    self.published.faults.push(error.clone());
                    break;
                }
                _ => break,
            };
            let wait = Duration::from_nanos(next.saturating_sub(self.elapsed_ns()));
            thread::sleep(wait.min(SLEEP_MAX));
        }
        let planned_ns = stopped_ns.unwrap_or(u64::MAX).min(nanos(self.plan.duration));
        self.published.seconds =
            Duration::from_nanos(planned_ns.min(self.elapsed_ns())).as_secs_f64();
        self.finish();
        self.published.cpu_s = thread_cpu_s() - cpu_s;
        std::mem::take(&mut self.published)
    }

    fn elapsed_ns(&self) -> u64 {
        nanos(self.epoch.0.elapsed())
    }

    /// Writes the lines of what is due; too late, it is only counted.
    fn gather(
        &mut self,
        schedule: &mut std::iter::Peekable<Schedule>,
        until_ns: u64,
        is_too_late: bool,
    ) {
        let is_due =
            |due: &Result<Due, String>| due.as_ref().is_ok_and(|due| due.at_ns <= until_ns);
        while self.lines.len() < WRITE_BYTES {
            let Some(Ok(due)) = schedule.next_if(is_due) else {
                return;
            };
            self.published.due += 1;
            if is_too_late {
                self.published.dropped += 1;
                continue;
            }
            let due_ns = self.epoch.1 + due.at_ns;
            let sent_ns = (self.epoch.1 + self.elapsed_ns()).max(due_ns);
            let n = self.published.due;
            self.writer.line(&mut self.lines, due.topic, due.size, n, (due_ns, sent_ns));
            self.in_lines.push(((sent_ns - due_ns) / 1_000, due.topic));
        }
    }

    /// Sends the lines as one chunk, connecting again where the connection is lost.
    fn write(&mut self, end_ns: u64) {
        let lines = std::mem::take(&mut self.lines);
        let mut chunk = Vec::with_capacity(lines.len() + 300);
        if self.connection.request.is_none() {
            chunk.extend_from_slice(&self.connection.head);
            self.connection.requests += 1;
        }
        let (before, since) = self.connection.request.unwrap_or((0, Instant::now()));
        chunk.extend_from_slice(format!("{:x}\r\n", lines.len()).as_bytes());
        chunk.extend_from_slice(&lines);
        chunk.extend_from_slice(b"\r\n");
        self.connection.request = Some((before + self.in_lines.len() as u64, since));
        let sent = self.write_all(&chunk, end_ns);
        for (late_us, topic) in self.in_lines.drain(..) {
            match sent {
                Ok(()) => {
                    self.published.delay.record(late_us);
                    self.per_topic[topic] += 1;
                    self.shared.sent.fetch_add(1, Ordering::Relaxed);
                }
                Err(_) => self.published.dropped += 1,
            }
        }
        if let Err(error) = sent {
            self.reconnect(&error, end_ns);
        } else {
            self.end_request_when_due();
        }
        self.lines = lines;
        self.lines.clear();
    }

    fn write_all(&mut self, mut bytes: &[u8], end_ns: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.connection.stream.write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => bytes = &bytes[count..],
                Err(error) if is_patient(&error) => {
                    let is_over = self.elapsed_ns() > end_ns.saturating_add(nanos(GRACE))
                        || self.shared.is_stopped.load(Ordering::Relaxed);
                    if is_over {
                        return Err(io::Error::other("the server takes nothing"));
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn reconnect(&mut self, error: &io::Error, end_ns: u64) {
        let host = &self.plan.host;
        self.published.faults.push(format!("the connection to http://{host} broke: {error}"));
        self.account();
        while self.elapsed_ns() < end_ns && !self.shared.is_stopped.load(Ordering::Relaxed) {
            if let Ok(connection) = Connection::open(&self.plan) {
                self.connection = connection;
                return;
            }
            thread::sleep(RETRY_AFTER);
        }
    }

    fn end_request_when_due(&mut self) {
        if let Some((events, since)) = self.connection.request
            && (events >= REQUEST_EVENTS || since.elapsed() >= REQUEST_TIME)
        {
            self.end_request();
        }
    }

    fn end_request(&mut self) {
        let Some((events, _)) = self.connection.request.take() else {
            return;
        };
        self.connection.ended += events;
        let end_ns = nanos(self.plan.duration);
        if let Err(error) = self.write_all(b"0\r\n\r\n", end_ns) {
            self.reconnect(&error, end_ns);
        }
    }

    fn finish(&mut self) {
        self.end_request();
        self.connection.wait_for_answers(ANSWER_TIMEOUT);
        self.account();
        for (topic, count) in self.plan.topics.iter().zip(&self.per_topic) {
            *self.published.per_topic.entry(topic.clone()).or_default() += count;
        }
    }

    /// Takes over what the connection's answers say; events without an answer are not known to be published.
    fn account(&mut self) {
        let answers = std::mem::take(&mut *self.connection.answers());
        let connection = &mut self.connection;
        let sent = connection.ended + connection.request.map_or(0, |(events, _)| events);
        self.published.accepted += answers.accepted;
        self.published.rejected += answers.rejected;
        let unknown = sent.saturating_sub(answers.accepted + answers.rejected);
        if unknown > 0 {
            self.published.dropped += unknown;
            self.published.faults.push(format!("{unknown} events were sent and not acknowledged"));
        }
        if let Some(status) = answers.refused {
            self.published.faults.push(format!("a publish request was answered with {status}"));
        }
        self.published.faults.extend(answers.faults);
        (connection.ended, connection.request) = (0, None);
    }
}

/// An error that says: nothing yet.
fn is_patient(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), Interrupted | TimedOut | WouldBlock)
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
