//! Rings and log under real threads: as fast as they go, and with ThreadSanitizer looking on.
//!
//! The programs are `tests/stress_*.rs`; they have no test harness, because the sanitizer does not see into the standard
//! library and would report the harness. `LINEAGE_STRESS_OPS` is how many operations each does.

use crate::line::Line;
use crate::proof::Skipped;
use crate::{Outcome, only_known, option, tools};

const OPERATIONS: &str = "LINEAGE_STRESS_OPS";

/// `cargo xtask stress`: optimised, without a sanitizer.
///
/// # Errors
/// When a program fails.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    only_known(arguments, &[], &["--ops"])?;
    let operations: u64 = option(arguments, "--ops")?.unwrap_or(100_000_000);
    with_programs(Line::new("cargo test --profile release-fast"))?.env(OPERATIONS, operations).run()
}

/// The same programs under ThreadSanitizer, or why that cannot be on this machine.
///
/// # Errors
/// When a program fails or a race is seen.
pub(crate) fn sanitized(skipped: &mut Skipped) -> Outcome {
    let host = tools::host()?;
    let runtime = |sysroot: std::path::PathBuf| {
        let libraries = sysroot.join("lib/rustlib").join(&host).join("lib");
        let is_there = libraries.join("librustc-nightly_rt.tsan.a").is_file();
        is_there
            .then_some(())
            .ok_or_else(|| format!("the nightly toolchain has no ThreadSanitizer for {host}"))
    };
    if let Err(why) = tools::nightly().and_then(runtime) {
        skipped.push(format!("threads (ThreadSanitizer): {why}"));
        return Ok(());
    }
    let line =
        Line::new("rustup run nightly cargo test --target-dir target/tsan --target").arg(host);
    // The prebuilt standard library has no sanitizer in it, which the compiler wants to be told.
    let flags = "-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer";
    // Names and lines are all that a report needs; full debug information takes as long to build as the code.
    with_programs(line)?
        .env("RUSTFLAGS", flags)
        .env("CARGO_PROFILE_DEV_DEBUG", "line-tables-only")
        .run()
}

fn with_programs(line: Line) -> Outcome<Line> {
    let entries = std::fs::read_dir("tests").map_err(|error| format!("tests: {error}"))?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut programs: Vec<String> = names
        .filter_map(|name| name.strip_suffix(".rs").map(str::to_owned))
        .filter(|name| name.starts_with("stress_"))
        .collect();
    programs.sort();
    if programs.is_empty() {
        return Err("there are no tests/stress_*.rs".to_owned());
    }
    Ok(programs.into_iter().fold(line, |line, program| line.arg("--test").arg(program)))
}
