//! The files that a result is written to.

use std::path::Path;

use loadtest::output;
use loadtest::result::RunResult;

use super::arguments::Files;
use super::{Failure, UNFORESEEN};

/// Writes all that were asked for.
pub(crate) fn write(result: &RunResult, files: &Files) -> Result<(), Failure> {
    if let Some(path) = &files.out {
        put(path, &format!("{}\n", json(result)?))?;
    }
    if let Some(path) = &files.csv {
        put(path, &output::csv(result))?;
    }
    if let Some(path) = &files.hgrm {
        put(path, &output::hgrm(result))?;
    }
    if let Some(path) = &files.hlog {
        put(path, &output::hlog(result).map_err(|error| Failure(UNFORESEEN, error))?)?;
    }
    if let Some(path) = &files.html {
        put(path, &output::html(result))?;
    }
    if let Some(folder) = &files.svg {
        put(&folder.join("latency.svg"), &output::latency_svg(&[("", result)]))?;
        put(&folder.join("seconds.svg"), &output::seconds_svg(result))?;
    }
    Ok(())
}

/// The result as one line of JSON.
pub(crate) fn json(result: &RunResult) -> Result<String, Failure> {
    serde_json::to_string(result).map_err(|error| Failure(UNFORESEEN, error.to_string()))
}

fn put(path: &Path, text: &str) -> Result<(), Failure> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let made = folder.map_or(Ok(()), std::fs::create_dir_all);
    made.and_then(|()| std::fs::write(path, text))
        .map_err(|error| Failure(UNFORESEEN, format!("cannot write {}: {error}", path.display())))
}
