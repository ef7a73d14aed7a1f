//! The loom models of the lock-free parts, and the planted faults that they must notice.
//!
//! `tests/mutations.txt` has a line `fault test-file test-name` for each fault; the sources plant it when
//! `LINEAGE_MUTATION` names it (only in builds for loom). A fault that no model notices is an error: the models would
//! prove nothing.

use crate::Outcome;
use crate::line::Line;
use crate::running::Running;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const TARGET: &str = "target/loom";
const MUTATIONS: &str = "tests/mutations.txt";
const PREEMPTIONS: u32 = 2;
/// Longer than any model takes; a fault may turn it into one that never ends.
const LIMIT: Duration = Duration::from_secs(120);

/// A planted fault and the model that must fail with it.
#[derive(Debug, PartialEq, Eq)]
struct Mutation<'a> {
    name: &'a str,
    file: &'a str,
    test: &'a str,
}

/// Runs all models, then all of them that have a fault to notice.
///
/// # Errors
/// When a model fails, or a fault is not noticed.
pub(crate) fn run() -> Outcome {
    let models = build()?;
    for model in models.values() {
        Line::new(&model.display().to_string()).env("LOOM_MAX_PREEMPTIONS", PREEMPTIONS).run()?;
    }
    let text =
        std::fs::read_to_string(MUTATIONS).map_err(|error| format!("{MUTATIONS}: {error}"))?;
    let mutations = parse(&text)?;
    if mutations.is_empty() {
        return Err(format!("{MUTATIONS} plants no fault"));
    }
    let log = Path::new(TARGET).join("mutation.log");
    let unnoticed: Vec<String> =
        mutations.iter().filter_map(|mutation| check(mutation, &models, &log).err()).collect();
    let (all, noticed) = (mutations.len(), mutations.len() - unnoticed.len());
    println!("{noticed} of {all} planted faults noticed by {} model programs", models.len());
    if unnoticed.is_empty() {
        Ok(())
    } else {
        Err(format!("planted faults:\n  {}", unnoticed.join("\n  ")))
    }
}

/// Builds every `tests/loom_*.rs` and says where the programs are.
fn build() -> Outcome<BTreeMap<String, PathBuf>> {
    let entries = std::fs::read_dir("tests").map_err(|error| format!("tests: {error}"))?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let files = names.filter_map(|name| name.strip_suffix(".rs").map(str::to_owned));
    let mut line =
        Line::new("cargo test --no-run --release --message-format=json-render-diagnostics")
            .arg("--target-dir")
            .arg(TARGET)
            .env("RUSTFLAGS", "--cfg lineage_loom")
            .env("CARGO_PROFILE_RELEASE_LTO", "off")
            .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", 16);
    for file in files.filter(|file| file.starts_with("loom_")) {
        line = line.arg("--test").arg(file);
    }
    println!("$ {line}");
    let messages = line.output()?;
    let models: BTreeMap<_, _> = messages.lines().filter_map(model).collect();
    if models.is_empty() { Err("there are no tests/loom_*.rs".to_owned()) } else { Ok(models) }
}

/// The name and the program of a test, if that is what cargo's message is about.
fn model(message: &str) -> Option<(String, PathBuf)> {
    let message: Value = serde_json::from_str(message).ok()?;
    let name = message.pointer("/target/name")?.as_str()?;
    let program = message.get("executable")?.as_str()?;
    name.starts_with("loom_").then(|| (name.to_owned(), program.into()))
}

fn parse(text: &str) -> Outcome<Vec<Mutation<'_>>> {
    let lines =
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mutation =
        |line| match <[&str; 3]>::try_from(str::split_whitespace(line).collect::<Vec<_>>()) {
            Ok([name, file, test]) => Ok(Mutation { name, file, test }),
            Err(_) => Err(format!("{MUTATIONS}: `{line}` is not `fault test-file test-name`")),
        };
    lines.map(mutation).collect()
}

/// Runs the model with the fault and demands that it fails.
fn check(mutation: &Mutation<'_>, models: &BTreeMap<String, PathBuf>, log: &Path) -> Outcome {
    let Mutation { name, file, test } = mutation;
    let model = models.get(*file).ok_or_else(|| format!("{name}: there is no test file {file}"))?;
    let line = Line::new(&model.display().to_string()).arg("--exact").arg(*test);
    let line = line.env("LOOM_MAX_PREEMPTIONS", PREEMPTIONS).env("LINEAGE_MUTATION", name);
    let start = Instant::now();
    let status = Running::start(&line, log)?.wait(LIMIT).map_err(|why| format!("{name}: {why}"))?;
    let output = std::fs::read_to_string(log).unwrap_or_default();
    if !output.contains("running 1 test\n") {
        return Err(format!("{name}: {file} has no test {test}"));
    }
    if status.success() {
        return Err(format!("{name}: {test} does not notice it; repeat with: {line}"));
    }
    println!("noticed {name} by {test} in {:.1} s", start.elapsed().as_secs_f64());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_faults_is_read_and_a_bad_line_refused() {
        let read = parse("# a list\n\na-fault loom_x some_test\n").unwrap();
        assert_eq!(read, [Mutation { name: "a-fault", file: "loom_x", test: "some_test" }]);
        assert!(parse("a-fault loom_x").unwrap_err().contains("`a-fault loom_x`"));
    }

    #[test]
    fn the_program_of_a_model_is_found_in_what_cargo_says() {
        let message =
            r#"{"reason":"compiler-artifact","target":{"name":"loom_ring"},"executable":"/a/b"}"#;
        assert_eq!(model(message), Some(("loom_ring".to_owned(), "/a/b".into())));
        assert_eq!(model(&message.replace("loom_ring", "lineage")), None);
        assert_eq!(model(&message.replace("\"/a/b\"", "null")), None);
        assert_eq!(model("not json"), None);
    }

    #[test]
    fn a_fault_that_is_not_noticed_or_has_no_test_is_an_error() {
        // `true` passes whatever is planted, and runs no test.
        let models = BTreeMap::from([("loom_x".to_owned(), PathBuf::from("true"))]);
        let log = std::env::temp_dir().join(format!("lineage-mutation-{}.log", std::process::id()));
        let mutation = |file| Mutation { name: "a-fault", file, test: "some_test" };
        assert!(
            check(&mutation("loom_x"), &models, &log)
                .unwrap_err()
                .contains("has no test some_test")
        );
        assert!(
            check(&mutation("loom_y"), &models, &log).unwrap_err().contains("no test file loom_y")
        );
        std::fs::remove_file(&log).unwrap();
    }
}
