//! The publisher that all rivals share: numbered, time-stamped events of one size, in a closed loop with a bounded number
//! in flight, or at a fixed rate.

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{io, thread};
use tokio::sync::broadcast;

/// More than any window, so that nothing is ever skipped in the closed loop.
const CAPACITY: usize = 4_096;

/// What the environment says.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) port: u16,
    /// Clients that are there before the first event.
    pub(crate) start_at: usize,
    /// Events beyond what has arrived everywhere, at most.
    pub(crate) window: u64,
    /// Events published at a time.
    pub(crate) burst: u64,
    /// Events per second; 0: closed loop.
    pub(crate) rate: u64,
    /// Bytes of a payload.
    pub(crate) size: usize,
    pub(crate) ack_udp: u16,
    pub(crate) seconds: Duration,
}

impl Settings {
    pub(crate) fn read() -> Self {
        Self {
            port: setting("PORT", 9001),
            start_at: setting("START_AT", 1),
            window: setting("WINDOW", 4),
            burst: setting("BURST", 1),
            rate: setting("RATE", 0),
            size: setting("SIZE", 200),
            ack_udp: setting("ACK_UDP", 9100),
            seconds: Duration::from_secs(setting("SECS", 60)),
        }
    }
}

fn setting<T: std::str::FromStr>(name: &str, default: T) -> T {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// The channel that fans out texts of the library's own kind, so that a copy for a client is a reference.
#[derive(Debug, Clone)]
pub(crate) struct Events<T> {
    sender: broadcast::Sender<T>,
    open: Arc<AtomicUsize>,
}

impl<T: From<String> + Clone + Send + 'static> Events<T> {
    /// The channel, and a thread that publishes into it from the moment all clients are there.
    pub(crate) fn start(settings: Settings) -> io::Result<Self> {
        let events = Self { sender: broadcast::channel(CAPACITY).0, open: Arc::default() };
        let (publisher, reports) = (events.clone(), Reports::bind(&settings)?);
        thread::spawn(move || publisher.publish(&settings, reports));
        Ok(events)
    }

    /// A connection reads from now on.
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<T> {
        let receiver = self.sender.subscribe();
        self.open.fetch_add(1, Ordering::Relaxed);
        receiver
    }

    fn publish(&self, settings: &Settings, mut reports: Reports) {
        while self.open.load(Ordering::Relaxed) < settings.start_at {
            thread::sleep(Duration::from_millis(1));
        }
        let mut pace = Pace::start();
        loop {
            let ready = pace.ready(settings, reports.arrived);
            // What is due goes out at once at a fixed rate, in whole bursts in the closed loop.
            let count =
                if settings.rate > 0 { ready } else { ready - ready % settings.burst.max(1) };
            for _ in 0..count {
                // Without a reader nothing is sent, and nothing needs to be.
                let _ = self.sender.send(pace.next(settings).into());
            }
            pace.wait(settings, &mut reports);
        }
    }
}

/// Numbers the events, and knows when each is due.
#[derive(Debug)]
pub(crate) struct Pace {
    begun: Instant,
    begun_ns: u64,
    seq: u64,
}

impl Pace {
    pub(crate) fn start() -> Self {
        Self { begun: Instant::now(), begun_ns: now_ns(), seq: 0 }
    }

    /// Events that may be published now.
    pub(crate) fn ready(&self, settings: &Settings, arrived: u64) -> u64 {
        let until = match settings.rate {
            0 => arrived + settings.window,
            rate => nanos(self.begun.elapsed()) / (1_000_000_000 / rate) + 1,
        };
        until.saturating_sub(self.seq)
    }

    /// The next event, stamped with now, or with the time it was due.
    pub(crate) fn next(&mut self, settings: &Settings) -> String {
        let ns = match settings.rate {
            0 => now_ns(),
            _ => self.begun_ns + nanos(self.due(settings)),
        };
        self.seq += 1;
        let mut text = format!("{{\"ts\":{ns},\"seq\":{},\"pad\":\"", self.seq);
        let pad = settings.size.saturating_sub(text.len() + 2);
        text.extend(std::iter::repeat_n('x', pad));
        text.push_str("\"}");
        text
    }

    /// Sleeps until the next event is due, or a report has come.
    pub(crate) fn wait(&self, settings: &Settings, reports: &mut Reports) {
        match settings.rate {
            0 => reports.wait(),
            _ => thread::sleep(self.due(settings).saturating_sub(self.begun.elapsed())),
        }
    }

    /// When the next event is due at a fixed rate, from the start.
    fn due(&self, settings: &Settings) -> Duration {
        Duration::from_nanos(self.seq * (1_000_000_000 / settings.rate))
    }
}

/// What the load generator reports: how many events have reached all clients.
#[derive(Debug)]
pub(crate) struct Reports {
    socket: UdpSocket,
    pub(crate) arrived: u64,
}

impl Reports {
    pub(crate) fn bind(settings: &Settings) -> io::Result<Self> {
        let socket = UdpSocket::bind(("127.0.0.1", settings.ack_udp))?;
        socket.set_read_timeout(Some(Duration::from_millis(100)))?;
        Ok(Self { socket, arrived: 0 })
    }

    /// Waits for a report, a tenth of a second at most, and takes those behind it.
    fn wait(&mut self) {
        let set = |socket: &UdpSocket, is_waiting: bool| {
            socket.set_nonblocking(!is_waiting).expect("a socket that is open can be set");
        };
        if self.take() {
            set(&self.socket, false);
            while self.take() {}
            set(&self.socket, true);
        }
    }

    fn take(&mut self) -> bool {
        let mut buffer = [0; 64];
        let Ok(length) = self.socket.recv(&mut buffer) else { return false };
        let text = std::str::from_utf8(&buffer[..length]).unwrap_or_default();
        self.arrived = self.arrived.max(text.trim().parse().unwrap_or(0));
        true
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the rivals share nothing with the library, its clock included"
)]
fn now_ns() -> u64 {
    nanos(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
