//! Every bench once: not for its figure, but to know that it still runs.

use crate::Outcome;
use crate::line::Line;
use std::path::Path;

const RIVALS: &str = "benches/compare/Cargo.toml";

/// The benches of the library.
///
/// # Errors
/// When one does not build or run.
pub(crate) fn own() -> Outcome {
    let entries = std::fs::read_dir("benches").map_err(|error| format!("benches: {error}"))?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let sources = paths.filter(|path| path.extension().is_some_and(|end| end == "rs"));
    let mut names: Vec<String> =
        sources.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).collect();
    names.sort();
    if names.is_empty() {
        return Err("there are no benches/*.rs".to_owned());
    }
    // Named one by one: `cargo bench` alone would run every unit test as well.
    let line = names.into_iter().fold(Line::new("cargo bench --package lineage"), |line, name| {
        line.arg("--bench").arg(name)
    });
    quickly_built(line).arg("--").arg("--test").run()
}

/// Without optimisation of the whole program: a bench that is only run once is built in a fraction of the time.
fn quickly_built(line: Line) -> Line {
    line.env("CARGO_PROFILE_BENCH_LTO", "off").env("CARGO_PROFILE_BENCH_CODEGEN_UNITS", 16)
}

/// The rivals, a workspace of their own: the rings once, the servers with clients that check every event.
///
/// # Errors
/// When they do not build or run, or a server loses an event.
pub(crate) fn rivals() -> Outcome {
    if !Path::new(RIVALS).is_file() {
        return Err(format!("there is no {RIVALS}"));
    }
    let of = |task: &str| {
        quickly_built(Line::new(&format!("cargo {task} --target-dir target/compare")))
            .arg("--manifest-path")
            .arg(RIVALS)
    };
    of("bench --benches").arg("--").arg("--test").run()?;
    // In the profile of the benches, so that nothing is built twice.
    of("test --profile bench --test rivals").run()
}
