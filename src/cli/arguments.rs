//! The command line, and how it is laid over environment and file.
//!
//! The options of `serve` are the rows of the configuration's table, so that help, environment and file cannot
//! disagree; they may stand without the word `serve`.

use super::backtest;
use super::record::{self, Recording};
use super::simulate;
use super::subscribe::{Asked, Subscription};
use clap::{Arg, ArgAction, ArgMatches, Command};
use lineage::client::{Position, RATES_HZ};
use lineage::config::{Key, Settings};
use lineage::error::Error;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

const CONFIG_VARIABLE: &str = "LINEAGE_CONFIG";
pub(super) const URL_DEFAULT: &str = "ws://127.0.0.1:9001/v1";

const ABOUT: &str = "One event, encoded once, to ten thousand WebSocket clients.";

const SERVE_HELP: &str = "\
Examples:
  lineage                                          simulation to ws://127.0.0.1:9001
  lineage --source replay:binance=day.ndjson.gz --speed 10x
  lineage --source replay:day.jsonl.gz --from +90s --loop forever
  lineage --source none --publish loopback         events come from POST /v1/publish
  lineage --ws 0.0.0.0:9001 --config lineage.toml  open to the network

Ports, on this machine only unless an address says otherwise (without a host it means 127.0.0.1):
  9001  WebSocket: / (arena firehose, read only), /v1 (subscribe, publish), /ws (hub), /api/v11/live/stream (ledger)
  8000  HTTP: /api/... (/api/openapi.json lists them), /v1/sse, /v1/poll, /v1/snapshot, POST /v1/publish, /health,
        and the WebSocket paths /v1, /ws and /api/v11/live/stream
  9184  HTTP: /metrics (Prometheus), /health, /health/live, /health/ready

Every option can also be set in the environment (--lag-bytes-max is LINEAGE_LAG_BYTES_MAX) and in the file
(lag_bytes_max = \"2MiB\"). Flags win over the environment, the environment over the file. The token of
--publish token is read from LINEAGE_PUBLISH_TOKEN or the file, so that it is on no command line.
Sizes are written 16384, 64KiB or 1MiB, times 250ms, 20s or 2m.

Exit codes: 0 ok, 1 failure while running, 2 usage, 69 cannot listen, 78 configuration.
The first SIGINT or SIGTERM drains (clients are told when to come back), the second ends at once.";

const SUB_HELP: &str = "\
Examples:
  lineage sub                                      everything from ws://127.0.0.1:9001/v1
  lineage sub 'market:*' trade:momentum
  lineage sub --latest=5 'market:*' 'agent:*'      the newest values, five times per second
  lineage sub --json ws://example.net:9001/v1 'market:*' | jq .payload
  lineage sub --json --from k3f9.81234 trade:momentum
  lineage sub ws://127.0.0.1:9001/                 the arena firehose

A lost connection is made again, and the stream resumed where it was. What is missing after all is told on stderr as
GAP, with the topic and the first and last sequence number. With --json every message goes to stdout as it came.

Exit codes: 0 ended by ^C, by a closed pipe or by the server, 1 failure while running, 2 usage, 69 cannot connect,
77 refused by the server.";

/// What was asked for.
#[derive(Debug)]
pub(super) enum Invocation {
    /// Run an engine.
    Serve(Box<Settings>),
    /// Print what a server sends.
    Subscribe(Subscription),
    /// Print what a simulation does.
    Simulate(simulate::Asked),
    /// Run agents over a recording.
    Backtest(Box<backtest::Asked>),
    /// Write what a server sends into a file.
    Record(Box<Recording>),
    /// Help, version or a mistake has been printed; nothing is left to do.
    Explained(ExitCode),
}

/// Reads arguments, environment and file.
///
/// # Errors
/// What is wrong with a value or the file.
pub(super) fn read(arguments: impl Iterator<Item = OsString>) -> Result<Invocation, Error> {
    let matches = match command().try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(mistake) => {
            // Help goes to stdout and may end in a closed pipe.
            let _ = mistake.print();
            let code = u8::try_from(mistake.exit_code()).unwrap_or(2);
            return Ok(Invocation::Explained(code.into()));
        }
    };
    match matches.subcommand() {
        Some(("sub", matches)) => Ok(Invocation::Subscribe(subscription(matches)?)),
        Some(("simulate", matches)) => Ok(Invocation::Simulate(simulate::asked(matches))),
        Some(("backtest", matches)) => {
            Ok(Invocation::Backtest(Box::new(backtest::asked(matches)?)))
        }
        Some(("record", matches)) => Ok(Invocation::Record(Box::new(record::recording(matches)?))),
        Some((_, matches)) => Ok(Invocation::Serve(Box::new(settings(matches)?))),
        None => Ok(Invocation::Serve(Box::new(settings(&matches)?))),
    }
}

fn command() -> Command {
    let serve = serve_options(Command::new("serve"))
        .about("Run an engine (the default)")
        .after_help(SERVE_HELP);
    let sub = Command::new("sub")
        .about("Print what a server sends, until ^C")
        .after_help(SUB_HELP)
        .arg(Arg::new("target").value_name("[URL] TOPIC").num_args(0..).help(format!(
            "Where to connect [default: {URL_DEFAULT}] and what to subscribe to: topics or \
             patterns such as `market:*` [default: *]"
        )))
        .args(sub_options());
    serve_options(Command::new("lineage"))
        .about(ABOUT)
        .version(env!("CARGO_PKG_VERSION"))
        .after_help(SERVE_HELP)
        .args_conflicts_with_subcommands(true)
        .subcommand(serve)
        .subcommand(sub)
        .subcommand(simulate::command())
        .subcommand(backtest::command())
        .subcommand(record::command())
}

pub(super) fn retry_for() -> Arg {
    Arg::new("retry-for")
        .long("retry-for")
        .value_name("SECONDS")
        .default_value("60")
        .value_parser(clap::value_parser!(u32))
        .help("How long to try to come back after the connection is lost; 0: not at all")
}

fn sub_options() -> [Arg; 5] {
    [
        Arg::new("json")
            .long("json")
            .action(ArgAction::SetTrue)
            .help("Print each message as it came, one per line"),
        Arg::new("latest")
            .long("latest")
            .value_name("HZ")
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("10")
            .value_parser(clap::value_parser!(u32))
            .help(format!("Only the newest value of each topic, at most HZ times per second: {RATES_HZ:?} [HZ without a value: 10]")),
        Arg::new("from")
            .long("from")
            .value_name("EPOCH.POS")
            .value_parser(|text: &str| text.parse::<Position>())
            .help("Go on after this position, as far as the server still has what followed"),
        Arg::new("no-snapshot")
            .long("no-snapshot")
            .action(ArgAction::SetTrue)
            .help("Without the last values first"),
        retry_for(),
    ]
}

fn serve_options(command: Command) -> Command {
    let file = Arg::new("config")
        .long("config")
        .value_name("FILE")
        .help_heading("Process")
        .help(format!("Read options from this TOML file [env: {CONFIG_VARIABLE}]"));
    let keys = Key::ALL.iter().filter(|key| !key.is_secret()).map(|key| {
        let default = key.default_text();
        let default =
            if default.is_empty() { String::new() } else { format!(" [default: {default}]") };
        Arg::new(key.name)
            .long(key.flag())
            .value_name(key.value)
            .help(format!("{}{default}", key.help))
            .help_heading(key.group.heading())
    });
    command.args(keys).arg(file)
}

/// Defaults, then the file, then the environment, then the flags.
fn settings(matches: &ArgMatches) -> Result<Settings, Error> {
    let mut settings = Settings::default();
    let variable = |name: &str| std::env::var(name).ok();
    let file = matches.get_one::<String>("config").cloned().or_else(|| variable(CONFIG_VARIABLE));
    if let Some(file) = file.filter(|file| !file.is_empty()) {
        settings.apply_file(&PathBuf::from(file))?;
    }
    settings.apply_environment(variable)?;
    for key in Key::ALL.iter().filter(|key| !key.is_secret()) {
        if let Some(text) = matches.get_one::<String>(key.name) {
            settings.apply_flag(key, text)?;
        }
    }
    settings.finish()
}

/// The URL and the topics of `[URL] [TOPIC…]`.
pub(super) fn target(matches: &ArgMatches) -> (String, Vec<String>) {
    let mut words = matches.get_many::<String>("target").unwrap_or_default().cloned().peekable();
    let url = words.next_if(|word| word.contains("://")).unwrap_or_else(|| URL_DEFAULT.to_owned());
    (url, words.collect())
}

pub(super) fn retry_time(matches: &ArgMatches) -> Duration {
    Duration::from_secs(matches.get_one::<u32>("retry-for").copied().unwrap_or_default().into())
}

fn subscription(matches: &ArgMatches) -> Result<Subscription, Error> {
    let (url, topics) = target(matches);
    Subscription::new(Asked {
        url,
        topics,
        latest_hz: matches.get_one("latest").copied(),
        from: matches.get_one("from").cloned(),
        is_without_snapshot: matches.get_flag("no-snapshot"),
        is_json: matches.get_flag("json"),
        retry_for: retry_time(matches),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_words(words: &[&str]) -> Result<Invocation, Error> {
        let program = std::iter::once(&"lineage");
        read(program.chain(words).map(OsString::from))
    }

    fn served(words: &[&str]) -> Settings {
        match read_words(words) {
            Ok(Invocation::Serve(settings)) => *settings,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_command_is_well_formed_and_its_options_need_no_sub_command() {
        command().debug_assert();
        for words in [&["--seed", "7"][..], &["serve", "--seed", "7"]] {
            assert_eq!(served(words).config.seed, 7);
        }
        let Invocation::Explained(_) = read_words(&["--sed", "7"]).unwrap() else {
            panic!("an unknown flag was taken");
        };
    }

    #[test]
    fn every_option_but_secrets_is_in_the_help_with_its_default() {
        let help = command().render_help().to_string();
        for key in Key::ALL {
            assert_eq!(
                help.contains(&format!("--{} <", key.flag())),
                !key.is_secret(),
                "{}",
                key.name
            );
        }
        for part in ["127.0.0.1:9001", "Examples:", "LINEAGE_PUBLISH_TOKEN", "[default: 64KiB]"] {
            assert!(help.contains(part), "{part} in\n{help}");
        }
    }

    #[test]
    fn a_wrong_value_of_a_flag_is_a_mistake_of_usage() {
        let error = read_words(&["--shards", "0"]).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert_eq!(error.to_string(), "--shards 0 is not a whole number from 1 to 64");
        let error = read_words(&["--config", "no/such/file.toml"]).unwrap_err();
        assert_eq!(error.exit_code(), 78);
    }

    #[test]
    fn the_first_word_of_sub_is_a_url_only_if_it_looks_like_one() {
        let asked = |words: &[&str]| match read_words(words) {
            Ok(Invocation::Subscribe(subscription)) => subscription,
            other => panic!("{other:?}"),
        };
        let plain = |url: &str, topics: &[&str]| {
            let topics = topics.iter().map(|topic| (*topic).to_owned()).collect();
            let retry_for = Duration::from_secs(60);
            Subscription::new(Asked { url: url.to_owned(), topics, retry_for, ..Asked::default() })
                .unwrap()
        };
        assert_eq!(asked(&["sub"]), plain(URL_DEFAULT, &["*"]));
        assert_eq!(asked(&["sub", "market:*"]), plain(URL_DEFAULT, &["market:*"]));
        assert_eq!(
            asked(&["sub", "ws://[::1]:1/v1", "a", "b"]),
            plain("ws://[::1]:1/v1", &["a", "b"])
        );
    }

    #[test]
    fn simulate_has_a_default_for_everything_and_limits() {
        let asked = |words: &[&str]| match read_words(words) {
            Ok(Invocation::Simulate(asked)) => asked,
            other => panic!("{other:?}"),
        };
        let plain = simulate::Asked { seed: 1, events: 1_000, flow_per_s: 0, is_hash: false };
        assert_eq!(asked(&["simulate"]), plain);
        let words =
            ["simulate", "--seed", "7", "--events", "9", "--flow-per-s", "100000", "--hash"];
        let all = simulate::Asked { seed: 7, events: 9, flow_per_s: 100_000, is_hash: true };
        assert_eq!(asked(&words), all);
        assert_eq!(asked(&["simulate", "--flow-per-s", "99999"]).flow_per_s, 99_999);
        for words in [["--flow-per-s", "100001"], ["--seed", "-1"], ["--events", "x"]] {
            let words = ["simulate", words[0], words[1]];
            assert!(matches!(read_words(&words), Ok(Invocation::Explained(_))), "{words:?}");
        }
    }

    #[test]
    fn options_of_sub_are_checked_before_anything_is_sent() {
        let Ok(Invocation::Subscribe(asked)) = read_words(&[
            "sub",
            "--latest",
            "market:*",
            "--no-snapshot",
            "--json",
            "--retry-for",
            "0",
        ]) else {
            panic!("refused");
        };
        let expected = Asked {
            url: URL_DEFAULT.to_owned(),
            topics: vec!["market:*".to_owned()],
            latest_hz: Some(10),
            is_without_snapshot: true,
            is_json: true,
            ..Asked::default()
        };
        assert_eq!(asked, Subscription::new(expected).unwrap());
        for (words, part) in [
            (&["sub", "x y"][..], "x y is neither"),
            (&["sub", "--latest=3"], "3 is none of the rates"),
            (&["sub", "--latest", "--from", "k3f9.1"], "mode all"),
            (&["sub", "ws://localhost/", "--from", "k3f9.1"], "/v1"),
            (&["sub", "ws://localhost/", "--latest"], "/v1"),
        ] {
            let error = read_words(words).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains(part), "{error}");
        }
        for words in [&["sub", "--from", "k3f9"][..], &["sub", "--latest=x"], &["sub", "--count"]] {
            assert!(matches!(read_words(words), Ok(Invocation::Explained(_))), "{words:?}");
        }
    }
}
