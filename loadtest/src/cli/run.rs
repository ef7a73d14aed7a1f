//! `loadtest run`: from the arguments to the verdict.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use loadtest::coordinator::{self, Watch};
use loadtest::output::{self, Live, Progress};
use loadtest::plan::Plan;
use loadtest::publish;
use loadtest::result::{Environment, FailIf, Notes, Rules, RunResult, baseline, judge};
use loadtest::scenario::Scenario;
use loadtest::settings::Settings;

use super::arguments::RunArguments;
use super::{BAD_FILE, Failure, UNFORESEEN, USAGE, files, has_colour, say};

pub(crate) fn run(arguments: RunArguments) -> Result<u8, Failure> {
    let usage = |error| Failure(USAGE, error);
    let (scenario, settings) = laid_over(arguments.scenario.as_deref(), arguments.settings)?;
    let rules: Result<Vec<FailIf>, String> =
        settings.fail_if.iter().map(|text| text.parse()).collect();
    let rules = rules.map_err(usage)?;
    if let Some(rule) = rules.iter().find(|rule| rule.needs_baseline())
        && arguments.baseline.is_none()
    {
        return Err(usage(format!(
            "--fail-if '{rule}' compares with an older result: name it with --baseline"
        )));
    }
    let old = arguments.baseline.as_deref().map(baseline::read).transpose();
    let old = old.map_err(|error| Failure(BAD_FILE, error))?;
    let plan = Plan::new(&scenario, &settings).map_err(usage)?;
    let _server = spawn(&plan)?;
    let mut watch = Terminal::new(arguments.quiet)?;
    let url = plan.targets.iter().map(|target| target.url.as_str()).collect::<Vec<_>>().join(" ");
    let environment = Environment::here(command_line(), &scenario, &url);
    let outcome = coordinator::run(&plan, &mut watch);
    watch.progress.finish();
    let outcome = outcome.map_err(|error| Failure(error.exit_code(), error.to_string()))?;
    let notes =
        Notes { is_interrupted: outcome.is_interrupted, latency_note: outcome.latency_note };
    let mut result = RunResult::new(environment, outcome.part, outcome.published, &notes);
    let rules = Rules { fail_if: &rules, baseline: old.as_ref(), unmet: &outcome.unmet };
    judge(&mut result, &rules);
    say(&output::table(&result, old.as_ref(), has_colour()));
    if arguments.json {
        say(&format!("{}\n", files::json(&result)?));
    }
    files::write(&result, &arguments.files)?;
    Ok(result.verdict.exit_code)
}

/// The settings of the command line over those of the scenario, and its name.
fn laid_over(scenario: Option<&str>, settings: Settings) -> Result<(String, Settings), Failure> {
    let Some(name) = scenario else {
        return Ok((String::new(), settings));
    };
    let scenario = Scenario::find(name).map_err(|error| {
        // A file that is wrong is not the command line's fault.
        Failure(if name.ends_with(".toml") { BAD_FILE } else { USAGE }, error)
    })?;
    Ok((scenario.name, settings.over(scenario.settings)))
}

/// A server of our own, where the plan wants one and none answers.
fn spawn(plan: &Plan) -> Result<Option<publish::Server>, Failure> {
    let (Some(target), Some(publish)) = (plan.targets.first(), plan.publish.first()) else {
        return Ok(None);
    };
    if !plan.spawn || publish::is_answering(target.address) {
        return Ok(None);
    }
    let server = publish::lineage(target.address, &publish.host);
    server.map(Some).map_err(|error| Failure(loadtest::result::CANNOT_CONNECT, error))
}

/// `loadtest serve`.
#[cfg(feature = "engine")]
pub(crate) fn serve(arguments: super::arguments::ServeArguments) -> Result<u8, Failure> {
    use loadtest::serve::{ServeOptions, serve};
    let usage = |error| Failure(USAGE, error);
    let (scenario, settings) = laid_over(arguments.scenario.as_deref(), arguments.settings)?;
    let mut plan = Plan::new(&scenario, &settings).map_err(usage)?;
    let publish =
        plan.publish.pop().ok_or_else(|| usage("name a --rate or a --shape".to_owned()))?;
    let (ws, start_at_clients) = (arguments.ws, arguments.start_at_clients);
    let is_interrupted = interrupts()?;
    say(&format!("serving ws://{ws}/v1; publishing begins with {start_at_clients} clients\n"));
    let options = ServeOptions { ws, start_at_clients, publish };
    let published = serve(&options, &|| is_interrupted.load(Ordering::Relaxed));
    let published = published.map_err(|error| Failure(UNFORESEEN, error))?;
    say(&format!(
        "{} events published in {:.1} s, sent late by p99 {} us\n",
        published.due,
        published.seconds,
        published.delay.quantile(0.99)
    ));
    Ok(0)
}

/// The command line as it was typed, without the path of the program.
fn command_line() -> String {
    let quoted = |word: String| {
        if word.contains([' ', '*', '>', '<', '{', '&', '%']) { format!("'{word}'") } else { word }
    };
    let words = std::env::args().skip(1).map(quoted);
    std::iter::once("loadtest".to_owned()).chain(words).collect::<Vec<_>>().join(" ")
}

/// Progress on stderr, and ^C: the first ends the measurement, the second the program.
struct Terminal {
    progress: Progress,
    is_interrupted: Arc<AtomicBool>,
}

/// A flag that the first ^C (or SIGTERM) puts up; the second one ends the program.
fn interrupts() -> Result<Arc<AtomicBool>, Failure> {
    let is_interrupted = Arc::new(AtomicBool::new(false));
    let unforeseen = |error: std::io::Error| Failure(UNFORESEEN, error.to_string());
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        // In this order: the second signal finds the flag up, the first puts it up.
        signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&is_interrupted))
            .map_err(unforeseen)?;
        signal_hook::flag::register(signal, Arc::clone(&is_interrupted)).map_err(unforeseen)?;
    }
    Ok(is_interrupted)
}

impl Terminal {
    fn new(is_quiet: bool) -> Result<Self, Failure> {
        Ok(Self { progress: Progress::new(is_quiet), is_interrupted: interrupts()? })
    }
}

impl Watch for Terminal {
    fn live(&mut self, live: &Live) {
        self.progress.update(live);
    }

    fn is_interrupted(&self) -> bool {
        self.is_interrupted.load(Ordering::Relaxed)
    }
}
