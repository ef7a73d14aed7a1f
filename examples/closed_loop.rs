//! The benchmark publisher: as fast as possible with a bounded number of events in flight, or at a fixed rate.
//!
//! Settings come from the environment: `PORT`, `START_AT` (connections that are subscribed before it begins),
//! `WINDOW` (events in flight), `BURST` (events published at a time), `RATE` (open loop: events per second, `ts`
//! is when each was due; 0: closed loop), `SECS`, `SIZE` (bytes of a whole v1 message), `ACK_UDP` (port on which a
//! load generator reports how many events have reached all of its clients), `SHARDS`, `COALESCE_MS`.
//!
//! Events go out on the event topic `bench` with `"ts"` (nanoseconds since the Unix epoch) and `"seq"`.

use lineage::config::{Config, SourceChoice};
use lineage::encode::Publisher;
use lineage::event::{Body, Class, Event, Json, Topic};
use lineage::shard::Coalesce;
use lineage::{Engine, Error};
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// A setting: a number from the environment.
fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let port = u16::try_from(setting("PORT", 9001))?;
    let config = Config {
        ws: SocketAddr::from(([127, 0, 0, 1], port)),
        http: None,
        metrics: None,
        source: SourceChoice::None,
        shards: usize::try_from(setting("SHARDS", 1))?,
        coalesce: match setting("COALESCE_MS", 0) {
            0 => Coalesce::Adaptive,
            ms => Coalesce::Every(Duration::from_millis(ms)),
        },
        ..Config::default()
    };
    let engine = Engine::start(config)?;
    let seconds = Duration::from_secs(setting("SECS", 60));
    let end = Instant::now() + seconds;
    if engine.wait_for_clients(setting("START_AT", 1), seconds) {
        let mut bench = Bench::new(&engine)?;
        match setting("RATE", 0) {
            0 => bench.closed_loop(end)?,
            rate => bench.open_loop(rate, end),
        }
    }
    std::thread::sleep(end.saturating_duration_since(Instant::now()));
    Ok(())
}

/// Publishes numbered, time-stamped events of one size.
struct Bench<'a> {
    engine: &'a Engine,
    publisher: Publisher,
    topic: Topic,
    size: usize,
    seq: u64,
    events: Vec<Event>,
}

impl<'a> Bench<'a> {
    fn new(engine: &'a Engine) -> Result<Self, Box<dyn std::error::Error>> {
        let topic = engine.topic("bench", Class::Event).map_err(|error| format!("{error:?}"))?;
        Ok(Self {
            engine,
            publisher: engine.publisher()?,
            topic,
            size: usize::try_from(setting("SIZE", 200))?,
            seq: 0,
            events: Vec::new(),
        })
    }

    /// Queues the next event, stamped `ts_ns`.
    fn add(&mut self, ts_ns: u64) {
        self.seq += 1;
        let (seq, us) = (self.seq, ts_ns / 1_000);
        // The envelope as the v1 lane writes it: the payload fills what is left of the message.
        let envelope = format!(
            "{{\"type\":\"event\",\"topic\":\"bench\",\"seq\":{seq},\"pos\":{seq},\"us\":{us},\"payload\":,\"timestamp\":{}}}",
            us / 1_000
        );
        let head = format!("{{\"ts\":{ts_ns},\"seq\":{seq},\"pad\":\"");
        let pad = self.size.saturating_sub(envelope.len() + head.len() + 2);
        let mut payload = head.into_bytes();
        payload.resize(payload.len() + pad, b'x');
        payload.extend_from_slice(b"\"}");
        let body = Body::External(Json::vouched(payload.into()));
        self.events.push(Event { topic: self.topic, key: 0, time_us: us, body });
    }

    fn publish(&mut self) {
        while !self.events.is_empty() {
            if self.publisher.publish_batch(&mut self.events) == 0 {
                std::thread::yield_now();
            }
        }
    }

    /// `BURST` events at a time, never more than `WINDOW` ahead of what the load generator reports.
    fn closed_loop(&mut self, end: Instant) -> Result<(), Error> {
        let (window, burst) = (setting("WINDOW", 4), setting("BURST", 1).max(1));
        let failed = |error: std::io::Error| Error::Runtime(error.to_string());
        let port = u16::try_from(setting("ACK_UDP", 9100)).unwrap_or(9100);
        let reports = UdpSocket::bind(("127.0.0.1", port)).map_err(failed)?;
        reports.set_read_timeout(Some(Duration::from_millis(100))).map_err(failed)?;
        let (mut arrived, mut buffer) = (0, [0; 64]);
        while Instant::now() < end {
            while self.seq + burst <= arrived + window {
                let ts_ns = self.engine.clock().now_ns();
                (0..burst).for_each(|_| self.add(ts_ns));
            }
            self.publish();
            if let Ok(length) = reports.recv(&mut buffer) {
                let text = std::str::from_utf8(&buffer[..length]).unwrap_or("");
                arrived = arrived.max(text.trim().parse().unwrap_or(0));
            }
        }
        Ok(())
    }

    /// `rate` events per second, whatever becomes of them; stamped with the time they were due.
    fn open_loop(&mut self, rate: u64, end: Instant) {
        let period_ns = 1_000_000_000 / rate;
        let (start, start_ns) = (Instant::now(), self.engine.clock().now_ns());
        let elapsed_ns = || u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let mut due_ns = 0;
        while Instant::now() < end {
            while due_ns <= elapsed_ns() {
                self.add(start_ns + due_ns);
                due_ns += period_ns;
            }
            self.publish();
            std::thread::sleep(Duration::from_nanos(due_ns.saturating_sub(elapsed_ns())));
        }
    }
}
