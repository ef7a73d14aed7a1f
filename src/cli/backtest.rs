//! `lineage backtest`: agents over a recording, as fast as it can be read.
//!
//! No engine and no socket: the recording's prices go straight to the agents. The same file, agents and seed print the same
//! bytes. The table or the JSON goes to stdout, what is wrong with the file and how far it has come to stderr.

use super::recorded::Recorded;
use super::subscribe::is_open;
use super::tell;
use clap::{Arg, ArgAction, ArgMatches, Command};
use lineage::error::Error;
use lineage::event::Cents;
use lineage::simulation::{Backtest, Contestant, Options, Standing};
use lineage::source::replay::{self, Speed};
use serde::Serialize;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IsTerminal as _, Write};
use std::time::{Duration, Instant};

/// How many symbols that were not asked for are named in an error.
const OTHERS_MAX: usize = 16;
/// Lines between two looks at the clock, and the time between two lines of progress.
const PROGRESS_LINES: u64 = 1 << 14;
const PROGRESS_INTERVAL: Duration = Duration::from_millis(500);

const HELP: &str = "\
Examples:
  lineage backtest --source replay:day.ndjson.gz --strategy all
  lineage backtest --source replay:binance=day.ndjson.gz --strategy price-momentum --symbol BTCUSDT
  lineage record day.jsonl 'market:*' && lineage backtest --source replay:day.jsonl --strategy mixed --json

The file is a recording of a feed, or of `lineage record` with market:*, sim:trade:*, sim:quote:* or feeds' topics in it. A
symbol's price is halfway between its best bid and ask where there are quotes, else that of its last trade.

Strategies: momentum, mean-reversion, mixed and coin choose by the prices; whether a trade is won is drawn with the agent's
probability, so that the stated win rates hold on any market. price-momentum, price-mean-reversion, price-mixed and
price-coin earn what the prices did. all: each of them, side by side and with the same luck.

An agent acts at the end of every --interval-ms of recorded time in which a price came, and trades in two of five times.
Exit codes: 0 ok, 1 no prices or the file breaks off, 2 usage, 78 the file cannot be read or is no recording.";

/// What was asked for.
#[derive(Debug)]
pub(super) struct Asked {
    source: replay::Options,
    strategies: Vec<String>,
    /// Empty: all.
    symbols: BTreeSet<String>,
    seed: u64,
    interval: Duration,
    is_json: bool,
}

/// The command and its options.
pub(super) fn command() -> Command {
    Command::new("backtest")
        .about("Run agents over a recording, as fast as it can be read, and print how they did")
        .after_help(HELP)
        .args(options())
}

fn options() -> [Arg; 6] {
    [
        Arg::new("source")
            .long("source")
            .value_name("replay:[FEED=]FILE")
            .required(true)
            .help("The recording, plain or gzip; of a feed, or of `lineage record`"),
        Arg::new("strategy")
            .long("strategy")
            .value_name("NAME")
            .required(true)
            .action(ArgAction::Append)
            .help(format!("{} or all; may stand several times", known())),
        Arg::new("symbol")
            .long("symbol")
            .value_name("SYMBOL")
            .action(ArgAction::Append)
            .help("Only this symbol, as the feed names it; may stand several times [default: all]"),
        Arg::new("seed")
            .long("seed")
            .value_name("NUMBER")
            .default_value("1")
            .value_parser(clap::value_parser!(u64))
            .help("Seed of the random numbers; the same seed gives the same table"),
        Arg::new("interval-ms")
            .long("interval-ms")
            .value_name("NUMBER")
            .default_value("1000")
            .value_parser(clap::value_parser!(u64).range(1..=86_400_000))
            .help("Recorded time between two updates of an agent, 1 to 86400000 (a day)"),
        Arg::new("json")
            .long("json")
            .action(ArgAction::SetTrue)
            .help("One JSON object in place of the table"),
    ]
}

fn known() -> String {
    Contestant::STRATEGIES.join(", ")
}

/// What the command line asks for.
///
/// # Errors
/// When the source is no recording, or a strategy is not known.
pub(super) fn asked(matches: &ArgMatches) -> Result<Asked, Error> {
    let texts = |name| matches.get_many::<String>(name).unwrap_or_default().cloned();
    let source = texts("source").next().unwrap_or_default();
    let spec = source.strip_prefix("replay:").ok_or_else(|| {
        Error::Usage(format!(
            "--source {source} is no recording: write replay:FILE or replay:FEED=FILE"
        ))
    })?;
    let source = replay::Options::from_spec(spec, Speed::Max)
        .map_err(|error| Error::Usage(format!("--source replay:{spec}: {error}")))?;
    let mut strategies: Vec<String> = Vec::new();
    for name in texts("strategy") {
        let named = if name == "all" { &Contestant::STRATEGIES[..] } else { &[&*name] };
        for name in named {
            if Contestant::named(name).is_none() {
                let known = known();
                return Err(Error::Usage(format!(
                    "--strategy {name} is not known; known are {known}, and all for each of them"
                )));
            }
            if !strategies.iter().any(|other| other == name) {
                strategies.push((*name).to_owned());
            }
        }
    }
    let number = |name| matches.get_one::<u64>(name).copied().unwrap_or_default();
    Ok(Asked {
        source,
        strategies,
        symbols: texts("symbol").collect(),
        seed: number("seed"),
        interval: Duration::from_millis(number("interval-ms")),
        is_json: matches.get_flag("json"),
    })
}

/// Runs the agents over the recording and prints how they did.
///
/// # Errors
/// When the file cannot be read, is no recording, breaks off or has no price of what was asked for.
pub(super) fn backtest(asked: &Asked) -> Result<(), Error> {
    let path = &asked.source.path;
    let mut recorded = Recorded::open(path, asked.source.feed)
        .map_err(|error| Error::Config(error.to_string()))?;
    let contestants = asked.strategies.iter().filter_map(|name| Contestant::named(name));
    let options =
        Options { seed: asked.seed, agent_interval: asked.interval, ..Options::default() };
    let mut backtest = Backtest::new(&options, contestants.collect());
    let told = run(asked, &mut recorded, &mut backtest)?;
    let report = Report {
        recording: path.display().to_string(),
        feed: recorded.kind(),
        lines: recorded.lines,
        bad_lines: recorded.bad_by_reason().values().sum(),
        bad_by_reason: recorded.bad_by_reason(),
        symbols: told.symbols,
        prices: told.prices,
        from_us: told.from_us,
        to_us: told.to_us,
        seed: asked.seed,
        interval_ms: u64::try_from(asked.interval.as_millis()).unwrap_or(u64::MAX),
        updates: backtest.updates(),
        agents: backtest.standings().iter().map(Row::of).collect(),
    };
    warn(&report, &recorded);
    if report.prices == 0 {
        return Err(Error::Runtime(nothing(asked, &told.others)));
    }
    let mut out = io::stdout().lock();
    let text = if asked.is_json { json(&report) } else { table(&report) };
    is_open(out.write_all(text.as_bytes()).and_then(|()| out.flush())).map(|_| ())
}

/// What the agents were told.
#[derive(Debug, Default)]
struct Told {
    symbols: BTreeSet<String>,
    /// Symbols with prices that were not asked for, up to [`OTHERS_MAX`].
    others: BTreeSet<String>,
    prices: u64,
    from_us: u64,
    to_us: u64,
}

fn run(asked: &Asked, recorded: &mut Recorded, backtest: &mut Backtest) -> Result<Told, Error> {
    let (mut told, mut prices) = (Told::default(), Vec::new());
    let mut progress = Progress::new();
    let read = |recorded: &mut Recorded, prices: &mut Vec<_>| {
        recorded.read_line(prices).map_err(|error| Error::Runtime(error.to_string()))
    };
    while read(recorded, &mut prices)? {
        progress.show(recorded.lines);
        for price in prices.drain(..) {
            let symbol = &*price.symbol;
            if !asked.symbols.is_empty() && !asked.symbols.contains(symbol) {
                if told.others.len() < OTHERS_MAX && !told.others.contains(symbol) {
                    told.others.insert(symbol.to_owned());
                }
            } else if backtest.price(symbol, price.kind, price.price, price.time_us) {
                if told.prices == 0 {
                    told.from_us = price.time_us;
                }
                told.prices += 1;
                told.to_us = told.to_us.max(price.time_us);
                if !told.symbols.contains(symbol) {
                    told.symbols.insert(symbol.to_owned());
                }
            }
        }
    }
    Ok(told)
}

fn nothing(asked: &Asked, others: &BTreeSet<String>) -> String {
    let path = asked.source.path.display();
    if others.is_empty() {
        return format!("{path} has no prices: neither trades nor quotes that are understood");
    }
    let list = |symbols: &BTreeSet<String>| symbols.iter().cloned().collect::<Vec<_>>().join(", ");
    format!("{path} has no price of {}; it has prices of {}", list(&asked.symbols), list(others))
}

/// Says what of the file could not be used.
fn warn(report: &Report, recorded: &Recorded) {
    if report.bad_lines > 0 {
        let by_reason =
            report.bad_by_reason.iter().map(|(reason, count)| format!("{reason} {count}"));
        let by_reason = by_reason.collect::<Vec<_>>().join(", ");
        let first = recorded.first_bad().map(|bad| format!("; {bad}")).unwrap_or_default();
        let (bad, lines) = (report.bad_lines, report.lines);
        tell(&format!("{bad} of {lines} lines could not be used: {by_reason}{first}"));
    }
    if let Some(cut) = recorded.cut {
        tell(&format!(
            "the recorder did not finish the file: {} bytes at its end are left out",
            cut.file_bytes
        ));
    }
}

/// How far it has come, on stderr while that is a terminal.
struct Progress {
    is_shown: bool,
    last: Instant,
    /// Whether something stands on the line.
    is_dirty: bool,
}

impl Progress {
    fn new() -> Self {
        Self { is_shown: io::stderr().is_terminal(), last: Instant::now(), is_dirty: false }
    }

    fn show(&mut self, lines: u64) {
        let is_due = self.is_shown
            && lines.is_multiple_of(PROGRESS_LINES)
            && self.last.elapsed() >= PROGRESS_INTERVAL;
        if is_due {
            self.last = Instant::now();
            self.is_dirty = true;
            let _ = write!(io::stderr().lock(), "\r{lines} lines");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_dirty {
            let _ = write!(io::stderr().lock(), "\r\x1b[K");
        }
    }
}

/// What is printed, with the names it has in JSON.
#[derive(Debug, Serialize)]
struct Report {
    recording: String,
    feed: &'static str,
    lines: u64,
    bad_lines: u64,
    bad_by_reason: BTreeMap<&'static str, u64>,
    symbols: BTreeSet<String>,
    prices: u64,
    from_us: u64,
    to_us: u64,
    seed: u64,
    interval_ms: u64,
    updates: u64,
    agents: Vec<Row>,
}

/// How an agent did. Money in dollars, rates from 0 to 1.
#[derive(Debug, Serialize)]
struct Row {
    strategy: String,
    start_capital: Box<RawValue>,
    capital: Box<RawValue>,
    trades: u32,
    wins: u32,
    losses: u32,
    /// Null before the first trade.
    win_rate: Option<Box<RawValue>>,
    pnl: Box<RawValue>,
    max_drawdown: Box<RawValue>,
    scars: u32,
}

impl Row {
    fn of(standing: &Standing) -> Self {
        let money = |cents: Cents| exact(dollars(cents));
        Self {
            strategy: standing.agent.slug.to_string(),
            start_capital: money(standing.start),
            capital: money(standing.capital),
            trades: standing.trades,
            wins: standing.wins,
            losses: standing.losses(),
            win_rate: standing
                .win_permille()
                .map(|permille| exact(format!("{}.{:03}", permille / 1_000, permille % 1_000))),
            pnl: money(standing.profit()),
            max_drawdown: money(standing.drawdown_max),
            scars: standing.scars,
        }
    }
}

fn exact(number: String) -> Box<RawValue> {
    RawValue::from_string(number).expect("digits and a point are a number")
}

/// `-12.30`
fn dollars(cents: Cents) -> String {
    let (sign, cents) = (if cents.0 < 0 { "-" } else { "" }, cents.0.unsigned_abs());
    format!("{sign}{}.{:02}", cents / 100, cents % 100)
}

fn json(report: &Report) -> String {
    let mut text = serde_json::to_string(report).expect("strings and numbers are JSON");
    text.push('\n');
    text
}

fn table(report: &Report) -> String {
    let symbols = report.symbols.iter().cloned().collect::<Vec<_>>().join(", ");
    let seconds = report.to_us.saturating_sub(report.from_us) / 1_000_000;
    let mut text = format!(
        "{} ({}): {} lines, {} bad\n{} prices of {symbols} in {seconds} s, {} updates of each agent, seed {}\n\n",
        report.recording,
        report.feed,
        report.lines,
        report.bad_lines,
        report.prices,
        report.updates,
        report.seed
    );
    text.push_str(&line(&[
        "STRATEGY",
        "CAPITAL",
        "TRADES",
        "WINS",
        "LOSSES",
        "WIN RATE",
        "P&L",
        "MAX DRAWDOWN",
        "SCARS",
    ]));
    for row in &report.agents {
        let rate = row.win_rate.as_ref().map_or("-", |rate| rate.get());
        let counts = [row.trades, row.wins, row.losses, row.scars].map(|count| count.to_string());
        let [trades, wins, losses, scars] = &counts;
        let (capital, pnl) = (row.capital.get(), row.pnl.get());
        let fallen = row.max_drawdown.get();
        text.push_str(&line(&[
            &row.strategy,
            capital,
            trades,
            wins,
            losses,
            rate,
            pnl,
            fallen,
            scars,
        ]));
    }
    text
}

/// The first cell to the left, the others to the right.
fn line([strategy, capital, trades, wins, losses, rate, pnl, fallen, scars]: &[&str; 9]) -> String {
    format!(
        "{strategy:<20} {capital:>12} {trades:>8} {wins:>8} {losses:>8} {rate:>8} {pnl:>12} {fallen:>12} {scars:>8}\n"
    )
}
