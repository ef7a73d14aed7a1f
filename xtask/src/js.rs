//! The JavaScript client: built, its types checked, tested against a scripted server, the real server and in a
//! browser, and its package looked at by the tools that know what goes wrong with packages.
//!
//! npm takes the versions of the lock file, and no others. Nothing is published.

use crate::line::Line;
use crate::{Outcome, tools};
use std::path::Path;

/// Where the package is.
const FOLDER: &str = "clients/js";
/// The server that the tests start.
const SERVER: &str = "target/debug/lineage";
/// What npm runs, in order, once the package's own tools are there.
const SCRIPTS: [&str; 5] = ["build", "types", "test", "publint", "attw"];

/// Installs what is needed, then runs every script of the package.
///
/// # Errors
/// Names the command that failed.
pub(crate) fn run() -> Outcome {
    tools::install("nodejs", || tools::has("node"))?;
    tools::install("npm", || tools::has("npm"))?;
    tools::browser()?;
    Line::new("cargo build --package lineage --bin lineage").run()?;
    let server = Path::new(SERVER).canonicalize();
    let server = server.map_err(|error| format!("{SERVER}: {error}"))?;
    npm("ci").run()?;
    SCRIPTS
        .iter()
        .try_for_each(|script| npm("run").arg(*script).env("LINEAGE_BIN", server.display()).run())
}

fn npm(command: &str) -> Line {
    Line::new("npm --prefix").arg(FOLDER).arg(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_script_is_one_of_the_package() {
        let package = crate::root().join(FOLDER).join("package.json");
        let text = std::fs::read_to_string(package).unwrap();
        let package: serde_json::Value = serde_json::from_str(&text).unwrap();
        for script in SCRIPTS {
            assert!(package["scripts"][script].is_string(), "{script}");
        }
        assert_eq!(package["scripts"].as_object().unwrap().len(), SCRIPTS.len());
    }

    #[test]
    fn the_lock_file_names_no_registry() {
        let lock = crate::root().join(FOLDER).join("package-lock.json");
        let text = std::fs::read_to_string(lock).unwrap();
        let hosts = text.lines().filter(|line| line.contains("\"resolved\""));
        let other: Vec<&str> =
            hosts.filter(|line| !line.contains("https://registry.npmjs.org/")).collect();
        assert!(other.is_empty(), "{other:?}");
    }
}
