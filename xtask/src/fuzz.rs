//! Every fuzz target for a few seconds: enough to see that it runs and that the easy finds are none.
//!
//! The targets are `tests/fuzz/fuzz_targets/*.rs`, a workspace of their own because they need the nightly toolchain. They
//! are built here as cargo-fuzz would build them, so that cargo-fuzz itself need not be installed.

use crate::line::Line;
use crate::proof::Skipped;
use crate::{Outcome, tools};
use std::path::Path;

const FOLDER: &str = "tests/fuzz";
const TARGET: &str = "target/fuzz";
const SECONDS: u32 = 8;
/// Bytes; larger inputs than any limit of the parsers.
const INPUT_MAX: u32 = 70_000;

/// What makes libFuzzer see which branches an input takes, and AddressSanitizer what it breaks.
const FLAGS: &str = "--cfg fuzzing -Zsanitizer=address -Cdebug-assertions -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares";

/// Runs every target, or says why that cannot be on this machine.
///
/// # Errors
/// When a target does not build or finds something.
pub(crate) fn smoke(skipped: &mut Skipped) -> Outcome {
    if let Err(why) = tools::nightly() {
        skipped.push(format!("fuzz: {why}"));
        return Ok(());
    }
    let host = tools::host()?;
    let build = "rustup run nightly cargo build --release --manifest-path tests/fuzz/Cargo.toml";
    let build = Line::new(build).arg("--target-dir").arg(TARGET).arg("--target").arg(&*host);
    build.env("RUSTFLAGS", FLAGS).run()?;
    let programs = Path::new(TARGET).join(host).join("release");
    for target in targets()? {
        run(&programs.join(&target), &target)?;
    }
    Ok(())
}

/// Fuzzes one target. Finds go to `target/fuzz/finds`; known inputs in `tests/fuzz/corpus/<target>` are only read, and
/// `tests/fuzz/<target>.dict` names words to try.
fn run(program: &Path, target: &str) -> Outcome {
    let grown = Path::new(TARGET).join("grown").join(target);
    let finds = Path::new(TARGET).join("finds");
    for folder in [&grown, &finds] {
        std::fs::create_dir_all(folder)
            .map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    let line = Line::new(&program.display().to_string())
        .arg(format!("-max_total_time={SECONDS}"))
        .arg(format!("-max_len={INPUT_MAX}"))
        .arg("-verbosity=0")
        .arg("-print_final_stats=1")
        .arg(format!("-artifact_prefix={}/{target}-", finds.display()))
        .arg(grown.display().to_string());
    let words = Path::new(FOLDER).join(format!("{target}.dict"));
    let line = if words.is_file() { line.arg(format!("-dict={}", words.display())) } else { line };
    let known = Path::new(FOLDER).join("corpus").join(target);
    if known.is_dir() { line.arg(known.display().to_string()).run() } else { line.run() }
}

fn targets() -> Outcome<Vec<String>> {
    let folder = Path::new(FOLDER).join("fuzz_targets");
    let entries =
        std::fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut targets: Vec<String> =
        names.filter_map(|name| name.strip_suffix(".rs").map(str::to_owned)).collect();
    targets.sort();
    if targets.is_empty() {
        Err(format!("{} holds no target", folder.display()))
    } else {
        Ok(targets)
    }
}
