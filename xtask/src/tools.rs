//! What the tasks need from outside: Debian packages by name, and what the installed toolchains can do.
//! Says what it installs, and fails loudly where it cannot. No package's service is ever started.

use crate::Outcome;
use crate::line::Line;
use std::path::{Path, PathBuf};

/// Where unpacked tools live.
pub(crate) const FOLDER: &str = "target/tools";

/// The browser, and the Debian package that it comes in.
pub(crate) const BROWSER: &str = "chromium-headless-shell";

/// Whether a program can be found.
pub(crate) fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Installs a Debian package unless `is_there` says that it is not needed.
///
/// # Errors
/// When neither root nor `sudo` is at hand, or apt-get fails.
pub(crate) fn install(package: &str, is_there: impl Fn() -> bool) -> Outcome {
    if is_there() {
        return Ok(());
    }
    println!("installing the Debian package {package}");
    let install = || as_root("apt-get install -y --no-install-recommends").arg(package).run();
    let installed = install().or_else(|_| as_root("apt-get update").run().and_then(|()| install()));
    installed.map_err(|why| format!("{package} is needed and could not be installed: {why}"))?;
    is_there()
        .then_some(())
        .ok_or_else(|| format!("{package} is installed, but what it is needed for is missing"))
}

/// [`BROWSER`], installed where it is missing.
///
/// # Errors
/// As [`install`].
pub(crate) fn browser() -> Outcome {
    install(BROWSER, || has(BROWSER))
}

/// `promtool`: the installed one, or else the one of Debian's package `prometheus`, unpacked and not installed, so
/// that its service never starts.
///
/// # Errors
/// When the package cannot be fetched or unpacked.
pub(crate) fn promtool() -> Outcome<PathBuf> {
    if has("promtool") {
        return Ok("promtool".into());
    }
    let folder = Path::new(FOLDER).join("prometheus");
    let promtool = folder.join("usr/bin/promtool");
    if !promtool.is_file() {
        println!("promtool is missing: unpacking it from the Debian package prometheus");
        std::fs::create_dir_all(&folder)
            .map_err(|error| format!("{}: {error}", folder.display()))?;
        let fetch = || in_folder(&folder, &Line::new("apt-get download prometheus"));
        fetch().or_else(|_| as_root("apt-get update").run().and_then(|()| fetch()))?;
        let package = newest_package(&folder)?;
        Line::new("dpkg-deb -x").arg(package).arg(folder.display().to_string()).run()?;
    }
    promtool
        .is_file()
        .then_some(promtool)
        .ok_or_else(|| "the package prometheus has no promtool".to_owned())
}

/// The sysroot of the nightly toolchain.
///
/// # Errors
/// Why there is none.
pub(crate) fn nightly() -> Outcome<PathBuf> {
    if !has("rustup") {
        return Err("there is no rustup, hence no nightly toolchain".to_owned());
    }
    let toolchains = Line::new("rustup toolchain list").output()?;
    if !toolchains.lines().any(|line| line.starts_with("nightly")) {
        return Err(
            "no nightly toolchain is installed (`rustup toolchain install nightly`)".to_owned()
        );
    }
    let sysroot = Line::new("rustup run nightly rustc --print sysroot").output()?;
    Ok(sysroot.trim().into())
}

/// This machine, as the toolchains name it.
///
/// # Errors
/// When rustc cannot be asked.
pub(crate) fn host() -> Outcome<String> {
    let version = Line::new("rustc -vV").output()?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| "rustc -vV names no host".to_owned())
}

fn as_root(line: &str) -> Line {
    let is_root = std::env::var("USER").is_ok_and(|user| user == "root") || owns_root_files();
    let line = if is_root { line.to_owned() } else { format!("sudo -n {line}") };
    Line::new(&line).env("DEBIAN_FRONTEND", "noninteractive")
}

fn owns_root_files() -> bool {
    Line::new("id -u").output().is_ok_and(|id| id.trim() == "0")
}

fn in_folder(folder: &Path, line: &Line) -> Outcome {
    println!("$ cd {} && {line}", folder.display());
    let status = line.command().current_dir(folder).status();
    let status = status.map_err(|error| format!("cannot run `{line}`: {error}"))?;
    status.success().then_some(()).ok_or_else(|| format!("`{line}` ended with {status}"))
}

fn newest_package(folder: &Path) -> Outcome<String> {
    let entries =
        std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let package = paths.filter(|path| path.extension().is_some_and(|end| end == "deb")).max();
    package
        .map(|path| path.display().to_string())
        .ok_or_else(|| "apt-get download left no package".to_owned())
}
