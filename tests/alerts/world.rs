//! An engine with a manual clock and rules of the test, trades for it, and a v1 client that watches.
//!
//! Method: a trade of another symbol, [`MARK`], goes through the pipeline behind everything before it; when its candle
//! comes out, what came before has been judged. Candles are final at once (no grace): a trade at the next second closes
//! the candle of the last one.

use super::client::Client;
use super::support::{Answer, PATIENCE, config, exchange, get, http, publisher};
use lineage::Engine;
use lineage::clock::{Clock, ManualClock};
use lineage::config::Config;
use lineage::encode::Publisher;
use lineage::event::{Body, Class, Event, Tick, Typed};
use rust_decimal::Decimal;
use serde_json::Value;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// 2026-01-01T00:00:00Z
pub(crate) const START_US: u64 = 1_767_225_600_000_000;
pub(crate) const SECOND_US: u64 = 1_000_000;
pub(crate) const SYMBOL: &str = "BTC-USD";
/// The symbol whose candles tell that everything before them was judged.
const MARK: &str = "MARK";

/// A rule on how much the close of a second differs from the one before, with a wait and a hysteresis.
pub(crate) const JUMP: &str = r#"
[[rule]]
name = "jump"
severity = "critical"
subject = "indicator:BTC-USD"
interval = "1s"
field = "return"
is = "above"
threshold = 0.05
hysteresis = 0.02
for = "2s"
resolve_for = "2s"
"#;

/// A file of the test, gone with it.
#[derive(Debug)]
pub(crate) struct RulesFile(pub(crate) PathBuf);

impl RulesFile {
    pub(crate) fn new(text: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("lineage-rules-{}-{number}.toml", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text).expect("a place for files");
        Self(path)
    }
}

impl Drop for RulesFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// An engine, its clock, and who publishes.
pub(crate) struct World {
    pub(crate) engine: Engine,
    pub(crate) hand: ManualClock,
    publisher: Publisher,
    /// Seconds of the symbol's own time that have gone by.
    second: u64,
    marks: u64,
    _rules: RulesFile,
}

impl World {
    /// With these rules; `change` may change the configuration further.
    pub(crate) fn new(rules: &str, change: impl FnOnce(Config) -> Config) -> Self {
        let file = RulesFile::new(rules);
        let mut config = Config { alerts_rules: Some(file.0.clone()), ..config() };
        config.metrics = Some(config.ws);
        config.pipeline.grace = Duration::ZERO;
        // Times of trades here go ahead of the clock.
        config.pipeline.ahead_max = Duration::from_secs(3_600);
        config.pipeline.quiet_close = Duration::ZERO;
        // By the manual clock a client is soon silent.
        config.silence_max = Duration::from_secs(7_200);
        let (clock, hand) = Clock::manual(START_US);
        let engine = Engine::builder(change(config)).clock(clock).start();
        let engine = engine.expect("a valid configuration and free ports");
        let publisher = publisher(&engine);
        Self { engine, hand, publisher, second: 0, marks: 0, _rules: file }
    }

    /// A v1 client of these topics and of the mark's candles.
    pub(crate) fn client(&self, topics: &[&str]) -> Client {
        let topics = [topics, &["candle:MARK:1s"]].concat();
        Client::subscribed(self.engine.addresses().ws, &topics).0
    }

    pub(crate) fn trade(&mut self, symbol: &str, time_us: u64, price: Decimal) {
        let name = format!("sim:trade:{symbol}");
        let topic = self.engine.topic(&name, Class::Event).expect("a good name");
        let tick = Tick {
            symbol: Arc::from(symbol),
            price,
            quantity: Decimal::ONE,
            time_us,
            is_taker_buy: true,
            id: None,
            is_simulated: true,
        };
        let body = Body::Typed(Typed::new(tick));
        let time_us = self.engine.clock().now_us();
        let event = Event { topic, key: 0, time_us, body };
        self.publisher.publish(event).expect("the ring has room");
    }

    /// A second of the symbol that closes at `cents`, whole.
    pub(crate) fn close(&mut self, cents: i64) {
        let (begin_us, price) = (START_US + self.second * SECOND_US, Decimal::new(cents, 2));
        self.trade(SYMBOL, begin_us + SECOND_US / 2, price);
        self.trade(SYMBOL, begin_us + SECOND_US, price);
        self.second += 1;
    }

    /// What `client` is told until everything published so far was judged at the present time, waits that end now
    /// included. Frames of the mark are left out.
    pub(crate) fn settle(&mut self, client: &mut Client) -> Vec<Value> {
        // The turn that takes the first mark may have read the clock before; the next one looks at the waits; what it
        // tells stands before the last mark.
        let mut all = Vec::new();
        for _ in 0..3 {
            self.marks += 1;
            let time_us = START_US + self.marks * SECOND_US;
            self.trade(MARK, time_us, Decimal::ONE);
            self.trade(MARK, time_us + SECOND_US, Decimal::ONE);
            loop {
                let frame = client.json();
                let payload = &frame["payload"];
                if frame["topic"] != "candle:MARK:1s" {
                    all.push(frame);
                } else if payload["final"] == true && payload["open_time_ms"] == time_us / 1_000 {
                    break;
                }
            }
        }
        all
    }

    /// Closes a second at `cents`, has it judged, and lets `after_s` seconds go by, with what is told meanwhile.
    pub(crate) fn step(&mut self, client: &mut Client, cents: i64, after_s: u64) -> Vec<Value> {
        self.close(cents);
        let mut all = self.settle(client);
        self.hand.advance_us(after_s * SECOND_US);
        all.extend(self.settle(client));
        all
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        get(http(&self.engine), path)
    }

    /// The text of `/metrics`.
    pub(crate) fn scrape(&self) -> String {
        let address = self.engine.addresses().metrics.expect("the listener is on");
        let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        let answer = exchange(address, request);
        assert_eq!(answer.status, 200);
        answer.body
    }

    /// The value of a series without labels at this moment.
    pub(crate) fn count(&self, name: &str) -> u64 {
        let text = String::from_utf8(self.engine.telemetry().text()).expect("text");
        value(&text, name).unwrap_or_else(|| panic!("{name} is not there"))
    }

    /// Waits until a series has this value.
    pub(crate) fn wait_for(&self, name: &str, value: u64) {
        let begun = std::time::Instant::now();
        while self.count(name) != value {
            assert!(begun.elapsed() < PATIENCE, "{name} is {}, not {value}", self.count(name));
            std::thread::park_timeout(Duration::from_millis(1));
        }
    }
}

/// The value of a series without labels in a scrape.
pub(crate) fn value(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map(|value| value.parse().expect("a whole number"))
}
