//! `cargo xtask test`: every check, in order. Stops at the first that fails, with its name and how to repeat it; what
//! this machine cannot check is said at the end, loudly.

use crate::line::Line;
use crate::{
    Outcome, autobahn, benches, fuzz, js, loom, only_known, option, report, smoke, stress, tools,
};
use std::time::Instant;

/// One check.
struct Step {
    name: &'static str,
    /// What it shows.
    title: &'static str,
    /// Whether `--quick` keeps it.
    is_quick: bool,
    work: fn(&mut Skipped) -> Outcome,
}

/// What could not be checked on this machine, and why.
pub(crate) type Skipped = Vec<String>;

const fn quick(name: &'static str, title: &'static str, work: fn(&mut Skipped) -> Outcome) -> Step {
    Step { name, title, is_quick: true, work }
}

const fn thorough(
    name: &'static str,
    title: &'static str,
    work: fn(&mut Skipped) -> Outcome,
) -> Step {
    Step { name, title, is_quick: false, work }
}

const STEPS: &[Step] = &[
    quick("tools", "what the steps below need is there", |_| needs()),
    quick("format", "the sources are formatted", |_| Line::new("cargo fmt --all -- --check").run()),
    quick("clippy", "no lint has anything to say", |_| {
        Line::new("cargo clippy --workspace --all-targets -- -D warnings").run()?;
        Line::new("cargo clippy -p loadtest --features engine -- -D warnings").run()
    }),
    quick("docs", "the documentation builds and its links lead somewhere", |_| {
        Line::new("cargo doc --workspace --no-deps").env("RUSTDOCFLAGS", "-D warnings").run()
    }),
    quick("tests", "every test of the workspace", |_| Line::new("cargo test --workspace").run()),
    quick("release", "the programs and the examples build", |_| {
        Line::new("cargo build --release --workspace --bins --examples").run()
    }),
    quick(
        "load",
        "hundreds of clients for ten seconds: no gap, valid metrics, a clean end",
        |_| smoke::run(),
    ),
    quick(
        "report",
        "a browser shows the load tester's report and asks nobody for anything",
        |_| report::run(&[]),
    ),
    quick("autobahn", "the Autobahn suite finds no fault with the WebSocket side", autobahn::run),
    quick("js", "the JavaScript client, in Node.js and in a browser", |_| js::run()),
    thorough(
        "loom",
        "the lock-free parts in every interleaving, and every planted fault noticed",
        |_| loom::run(),
    ),
    thorough("threads", "ThreadSanitizer sees no race under real threads", stress::sanitized),
    thorough("fuzz", "bytes from outside break no parser", fuzz::smoke),
    thorough("benches", "every bench runs once", |_| benches::own()),
    thorough("compare", "every rival runs once and loses nothing", |_| benches::rivals()),
];

/// `cargo xtask test`.
///
/// # Errors
/// Names the step that failed, and how to repeat it.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    only_known(arguments, &["--quick"], &["--only"])?;
    let only: Option<String> = option(arguments, "--only")?;
    let is_quick = arguments.iter().any(|argument| argument == "--quick");
    let is_chosen = |step: &&Step| match &only {
        Some(name) => step.name == name,
        None => step.is_quick || !is_quick,
    };
    let chosen: Vec<&Step> = STEPS.iter().filter(is_chosen).collect();
    if chosen.is_empty() {
        let names: Vec<&str> = STEPS.iter().map(|step| step.name).collect();
        return Err(format!("no such step; there are: {}", names.join(" ")));
    }
    let start = Instant::now();
    let mut skipped = Skipped::new();
    let mut passed = 0;
    for (at, step) in chosen.iter().enumerate() {
        let place = format!("{}/{}", at + 1, chosen.len());
        passed += usize::from(run_step(step, &place, &mut skipped)?);
    }
    if is_quick {
        skipped.extend(
            STEPS
                .iter()
                .filter(|step| !step.is_quick)
                .map(|step| format!("{}: left out by --quick", step.name)),
        );
    }
    conclude(passed, start, &skipped);
    Ok(())
}

/// Runs one step; false when this machine cannot.
fn run_step(step: &Step, place: &str, skipped: &mut Skipped) -> Outcome<bool> {
    println!("\n==> {place} {}: {}", step.name, step.title);
    let start = Instant::now();
    let skipped_before = skipped.len();
    let outcome = (step.work)(skipped);
    let seconds = start.elapsed().as_secs_f64();
    outcome.map_err(|why| {
        let name = step.name;
        format!("\n==> FAILED at step {name} after {seconds:.1} s: {why}\n    repeat it with: cargo xtask test --only {name}")
    })?;
    let is_checked = skipped.len() == skipped_before;
    if is_checked {
        println!("==> {place} {}: passed in {seconds:.1} s", step.name);
    } else {
        println!("==> {place} {}: NOT RUN, the end says why", step.name);
    }
    Ok(is_checked)
}

fn conclude(steps: usize, start: Instant, skipped: &[String]) {
    if !skipped.is_empty() {
        println!("\nWARNING: not checked here:");
        skipped.iter().for_each(|what| println!("  SKIPPED {what}"));
    }
    let seconds = start.elapsed().as_secs_f64();
    println!("\n==> {steps} steps passed in {seconds:.0} s, {} skipped", skipped.len());
}

fn needs() -> Outcome {
    tools::install("gcc", || tools::has("cc"))?;
    tools::install("g++", || tools::has("c++") || tools::has("g++"))?;
    // The fallbacks are tested with it.
    tools::install("curl", || tools::has("curl"))?;
    // The foreign server that the load tester is proved against.
    tools::install("nodejs", || tools::has("node"))?;
    tools::install("npm", || tools::has("npm"))?;
    tools::browser()?;
    tools::promtool().map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_that_fails_is_named_with_the_way_to_repeat_it() {
        let step = quick("odd", "never true", |_| Err("it broke".to_owned()));
        let why = run_step(&step, "1/1", &mut Skipped::new()).unwrap_err();
        assert!(why.contains("FAILED at step odd") && why.contains("it broke"), "{why}");
        assert!(why.contains("cargo xtask test --only odd"), "{why}");
    }

    #[test]
    fn a_step_that_a_machine_cannot_run_has_not_passed() {
        let mut skipped = Skipped::new();
        let fine = quick("fine", "always true", |_| Ok(()));
        assert_eq!(run_step(&fine, "1/2", &mut skipped), Ok(true));
        let odd = quick("odd", "needs what is not here", |skipped| {
            skipped.push("odd: there is none".to_owned());
            Ok(())
        });
        assert_eq!(run_step(&odd, "2/2", &mut skipped), Ok(false));
        assert_eq!(skipped, ["odd: there is none"]);
    }

    #[test]
    fn an_unknown_step_is_refused() {
        let arguments = ["--only".to_owned(), "no-such".to_owned()];
        assert!(run(&arguments).unwrap_err().contains("there are: tools format"));
        assert!(run(&["--fast".to_owned()]).is_err());
    }
}
