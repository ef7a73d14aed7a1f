//! What clap reads. The help is a lesson: what to type first, what a figure means, what the exit code says.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use loadtest::result::lesson;
use loadtest::settings::Settings;

/// Load-tests WebSocket broadcast servers, and proves what arrived.
///
/// Thousands of clients read what one publisher sends at a schedule that never waits for them; latency is taken from
/// the time an event was due, so that a server that stands still cannot hide it. At every client and topic each event
/// must come once, in order and whole, or be announced as skipped: anything else fails the run and is named.
#[derive(Debug, Parser)]
#[command(
    name = "loadtest",
    version,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = BRIEF,
    after_long_help = long_help()
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) run: RunArguments,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a scenario, or what the options say (the default).
    #[command(after_help = BRIEF, after_long_help = long_help())]
    Run(Box<RunArguments>),
    /// Merge the results of several processes or hosts into one, and judge it.
    Merge(MergeArguments),
    /// Serve an engine that publishes by itself, without HTTP in between (needs the feature `engine`).
    Serve(Box<ServeArguments>),
    /// List the built-in scenarios.
    Scenarios,
    /// Hold clients for another process of this program.
    #[command(hide = true)]
    Worker,
}

#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    /// A built-in scenario (see `loadtest scenarios`) or the path of a .toml file.
    pub(crate) scenario: Option<String>,
    #[command(flatten)]
    pub(crate) settings: Settings,
    /// An older result.json to compare with.
    #[arg(long, value_name = "FILE", help_heading = "Verdict")]
    pub(crate) baseline: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) files: Files,
    /// Print the result as one JSON line after the table.
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,
    /// No progress on stderr.
    #[arg(long, help_heading = "Output")]
    pub(crate) quiet: bool,
}

/// Files that a result is written to.
#[derive(Debug, Args)]
pub(crate) struct Files {
    /// The whole result as JSON (schema: loadtest/schema/result.schema.json).
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(crate) out: Option<PathBuf>,
    /// A line per second.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(crate) csv: Option<PathBuf>,
    /// The percentile distribution, for the HdrHistogram plotter; milliseconds.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(crate) hgrm: Option<PathBuf>,
    /// A histogram per second, as an HdrHistogram log; microseconds.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(crate) hlog: Option<PathBuf>,
    /// A report with plots, in one file.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(crate) html: Option<PathBuf>,
    /// Plots as SVG files: latency.svg and seconds.svg.
    #[arg(long, value_name = "FOLDER", help_heading = "Output")]
    pub(crate) svg: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct MergeArguments {
    /// Results, as --out wrote them.
    #[arg(required = true, value_name = "RESULT")]
    pub(crate) results: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) files: Files,
}

#[derive(Debug, Args)]
pub(crate) struct ServeArguments {
    /// A built-in scenario whose schedule and topics are published, or the path of a .toml file.
    pub(crate) scenario: Option<String>,
    /// Where clients connect.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9001")]
    pub(crate) ws: SocketAddr,
    /// Begin to publish when so many clients have subscribed.
    #[arg(long, value_name = "COUNT", default_value = "1")]
    pub(crate) start_at_clients: u64,
    #[command(flatten)]
    pub(crate) settings: Settings,
}

const BRIEF: &str = "\
Begin with:
  loadtest first-look                                   1,000 clients and a server of its own, 15 seconds
  loadtest 10k-firehose                                 10,000 clients against a running server
  loadtest --subscribe 'market:*' -c 1k -z 30s          what a running server publishes by itself
  loadtest --preset raw --url ws://host:8080/ --seq-field seq -c 1k      any other server

Exit code: 0 all is well, 1 something unforeseen, 2 wrong arguments, 69 cannot connect, 78 a bad file, 99 a check failed.
--help tells more: what is measured, what is proved, and every metric of --fail-if.";

fn long_help() -> String {
    format!(
        "{BRIEF}

Latency:
  scheduled  from the time an event was due: what a user feels. A stall of the publisher or the server delays all
             events that were due meanwhile, and counts for each of them.
  actual     from the time it was published: what the server alone takes. Free of a publisher's stall, blind to it.
  What was published while a client was away (--resume) is proved, but not timed.
  Both need one clock: this program publishes itself, or the server runs on this host; else latency is left out.

Proof (/v1, or --seq-field):
  Per client and topic each seq follows the one before. What is missing without a gap message is lost; at the end every
  client must have come as far as the furthest one, and as far as was published. The first 20 faults are told with
  client, topic and seq.

--fail-if NAME OPERATOR VALUE, with > >= < <= == !=:
  'p99>50ms'  'lost>0'  'failed>=1%'  'delivered_per_s<100k'  'p99>+10%' (10 % above --baseline)
  A metric that was not measured fails.
{}
Faults (--slow, --stall, --rst, --churn, --half-open):
  These clients may be skipped, closed and refused; silent loss is not allowed at them either. All others are judged
  strictly, whatever the faulty ones do.",
        lesson()
    )
}
