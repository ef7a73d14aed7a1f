//! A folder and rows for the tests of the store.

use lineage::clock::Clock;
use lineage::event::{Cents, Side, Status};
use lineage::store::{Agent, Alert, Candle, Options, Problem, Round, Store, Trade};
use lineage::telemetry::Telemetry;
use rust_decimal::Decimal;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A folder that goes with its test.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("store-{}-{count}", std::process::id());
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.0.join("lineage.db")
    }

    pub(crate) fn open(&self) -> Store {
        open(Options::new(self.file()))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn open(options: Options) -> Store {
    Store::open(options, Clock::manual(1_000_000).0).unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) fn refusal(options: Options) -> (Problem, String) {
    let error = Store::open(options, Clock::system()).expect_err("no store");
    let message = error.to_string();
    assert!(message.contains(&error.path.display().to_string()), "{message}");
    (error.problem, message)
}

pub(crate) fn candle(symbol: &str, interval: &str, open_time_ms: u64, close: Decimal) -> Candle {
    Candle {
        symbol: symbol.into(),
        interval: interval.into(),
        open_time_ms,
        open: Decimal::new(6_000_001, 2),
        high: Decimal::new(6_000_001, 8),
        low: Decimal::MIN,
        close,
        volume: Decimal::MAX,
        taker_buy_volume: Decimal::new(10, 3),
        trades: 7,
        is_final: open_time_ms.is_multiple_of(2),
    }
}

pub(crate) fn alert(time_us: u64) -> Alert {
    Alert {
        time_us,
        rule: "capital_low".into(),
        state: "firing".into(),
        severity: "warning".into(),
        subject: "agent:momentum".into(),
        value: 0.1 + 0.2,
        threshold: f64::MIN_POSITIVE,
        since_ms: time_us / 1_000,
    }
}

pub(crate) fn trade(agent: &str, time_us: u64, quantity: i64) -> Trade {
    Trade {
        time_us,
        agent: agent.into(),
        symbol: "BTC-USD".into(),
        side: if quantity % 2 == 0 { Side::Buy } else { Side::Sell },
        price: Cents(4_200_050),
        quantity: Cents(quantity),
        pnl: Cents(-quantity),
        is_won: quantity % 3 == 0,
    }
}

pub(crate) fn agent(agent: &str, time_us: u64, capital: i64) -> Agent {
    Agent {
        time_us,
        agent: agent.into(),
        name: "⚡ Momentum".into(),
        capital: Cents(capital),
        trades: u32::MAX,
        wins: 3,
        scars: 4,
        status: if capital < 0 { Status::Resting } else { Status::Active },
        action: "it's \"held\"".into(),
    }
}

pub(crate) fn round(number: u64) -> Round {
    Round {
        time_us: number * 10,
        round: number,
        winner: "momentum".into(),
        capital: vec![("momentum".into(), Cents(i64::MAX)), ("a\"b".into(), Cents(i64::MIN))],
    }
}

pub(crate) fn count(folder: &Folder, table: &str) -> u64 {
    let connection = rusqlite::Connection::open(folder.file()).unwrap();
    let sql = format!("SELECT count(*) FROM {table}");
    connection.query_row(&sql, [], |row| row.get::<_, i64>(0)).unwrap().try_into().unwrap()
}

pub(crate) fn registered(store: &Store) -> std::sync::Arc<Telemetry> {
    let telemetry = Telemetry::new(1);
    for collector in store.collectors().into_iter().chain(store.compat_collectors()) {
        telemetry.register(collector).unwrap();
    }
    telemetry
}

/// The value of a series in a scrape.
pub(crate) fn value(telemetry: &Telemetry, series: &str) -> f64 {
    let text = String::from_utf8(telemetry.text()).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {series} in\n{text}")).parse().unwrap()
}
