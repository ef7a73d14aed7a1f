//! A Python 2.7, and the suite in an environment of its own under it. Installs nothing outside `target`.

use super::Outcome;
use crate::line::Line;
use crate::tools;
use std::path::{Path, PathBuf};

/// What a machine without it is told.
pub(super) const ABSENT: &str = "there is no Python 2.7, without which the Autobahn suite does not run \
    (`pyenv install 2.7.18` makes one, which is found where pyenv keeps it)";

/// Every package with its version.
const REQUIREMENTS: &str = "xtask/src/autobahn/requirements.txt";
/// Of these the last that runs on Python 2.7.
const VIRTUALENV: &str = "virtualenv<20.22";

/// A Python 2.7 that runs: on the path, or pyenv's, whichever version pyenv has chosen.
pub(super) fn find() -> Option<PathBuf> {
    let on_path = ["python2.7", "python2"].map(PathBuf::from);
    on_path.into_iter().chain(of_pyenv()).find(|python| is_2_7(python))
}

/// The Pythons 2.7 of pyenv, which its own command of that name starts only where they are chosen.
fn of_pyenv() -> Vec<PathBuf> {
    let Some((pyenv, versions)) = pyenvs().into_iter().find_map(|pyenv| {
        let versions = answer(&Line::new("").arg(&pyenv).arg("versions").arg("--bare"))?;
        Some((pyenv, versions))
    }) else {
        return Vec::new();
    };
    let versions = versions.lines().map(str::trim).filter(|version| version.starts_with("2.7"));
    let prefix = |version| answer(&Line::new("").arg(&pyenv).arg("prefix").arg(version));
    versions.filter_map(prefix).map(|prefix| Path::new(&prefix).join("bin/python2.7")).collect()
}

/// Where pyenv may be: its folder is often put on the path by interactive shells alone.
fn pyenvs() -> Vec<String> {
    let own = std::env::var("PYENV_ROOT").ok();
    let usual = std::env::var("HOME").ok().map(|home| format!("{home}/.pyenv"));
    let folders = own.into_iter().chain(usual);
    let programs = folders.map(|folder| format!("{folder}/bin/pyenv"));
    std::iter::once("pyenv".to_owned()).chain(programs).collect()
}

fn is_2_7(python: &Path) -> bool {
    let version = "import sys; sys.stdout.write('%d.%d' % sys.version_info[:2])";
    answer(&under(python).arg("-c").arg(version)).is_some_and(|version| version == "2.7")
}

/// What a line writes, without the white space around it; none when it fails, which is no fault here.
fn answer(line: &Line) -> Option<String> {
    let output = line.command().output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

/// A Python that neither its user's packages nor variables meant for another Python disturb.
fn under(python: &Path) -> Line {
    Line::new("").arg(python.display().to_string()).arg("-E").arg("-s")
}

/// The suite's program, installed where it is missing or its requirements have changed.
///
/// # Errors
/// When the packages cannot be fetched, built or installed.
pub(super) fn suite(python: &Path) -> Outcome<Line> {
    let folder = Path::new(tools::FOLDER).join("autobahn");
    let environment = folder.join("environment");
    let own_python = environment.join("bin/python");
    let program = environment.join("bin/wstest");
    // Written last: what was left half done is done again.
    let stamp = folder.join("requirements.txt");
    let wanted = read(Path::new(REQUIREMENTS))?;
    if read(&stamp).ok().as_ref() != Some(&wanted) || !is_2_7(&own_python) || !program.is_file() {
        println!("installing the Autobahn suite under {}", folder.display());
        let _ = std::fs::remove_dir_all(&folder);
        let making = folder.join("virtualenv").display().to_string();
        pip(python).arg("--target").arg(&*making).arg(VIRTUALENV).run()?;
        // Not through `under`: this Python has to see where virtualenv is.
        let make = Line::new("").arg(python.display().to_string()).env("PYTHONPATH", making);
        let make = make.arg("-m").arg("virtualenv").arg("--quiet");
        // Else it keeps its seed packages in the user's home.
        let make = make.arg("--app-data").arg(folder.join("seeds").display().to_string());
        make.arg(environment.display().to_string()).run()?;
        pip(&own_python).arg("--no-deps").arg("--requirement").arg(REQUIREMENTS).run()?;
        std::fs::write(&stamp, wanted).map_err(|error| format!("{}: {error}", stamp.display()))?;
    }
    Ok(under(&own_python).arg(program.display().to_string()))
}

fn pip(python: &Path) -> Line {
    let line = under(python).arg("-m").arg("pip").arg("install").arg("--quiet");
    line.arg("--disable-pip-version-check").env("PIP_NO_PYTHON_VERSION_WARNING", 1)
}

fn read(path: &Path) -> Outcome<String> {
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_program_that_runs_and_says_2_7_is_one() {
        assert!(!is_2_7(Path::new("no-such-python")));
        assert!(!is_2_7(Path::new("false")));
        // Writes `-E -s -c …`, whatever it is asked.
        assert!(!is_2_7(Path::new("echo")));
    }

    #[test]
    fn an_answer_is_trimmed_and_a_failure_is_none() {
        assert_eq!(answer(&Line::new("echo").arg(" 2.7 ")), Some("2.7".to_owned()));
        assert_eq!(answer(&Line::new("false")), None);
        assert_eq!(answer(&Line::new("no-such-program-here")), None);
    }

    #[test]
    fn every_requirement_has_one_version() {
        let text = include_str!("requirements.txt");
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert!(lines.contains(&"autobahntestsuite==25.10.1"));
        for line in lines {
            assert_eq!(line.matches("==").count(), 1, "{line}");
        }
    }
}
