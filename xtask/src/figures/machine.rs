//! What a figure was measured on: without it no figure is kept.

use crate::line::Line;

/// Processor, cores, kernel, toolchain, commit and time, in one line.
pub(crate) fn describe() -> String {
    let processors = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        processors.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let ask = |line: &str| Line::new(line).output().unwrap_or_default().trim().to_owned();
    let changed = if ask("git status --porcelain").is_empty() { "" } else { " with changes" };
    format!(
        "{} ({cores} cores), Linux {}, {}, commit {}{changed}, {}",
        model.unwrap_or("unknown processor"),
        ask("uname -r"),
        ask("rustc -V"),
        ask("git rev-parse --short HEAD"),
        time(),
    )
}

/// The time in UTC, such as `2026-01-31T12:00:00Z`.
pub(crate) fn time() -> String {
    let time = Line::new("date -u +%Y-%m-%dT%H:%M:%SZ").output().unwrap_or_default();
    time.trim().to_owned()
}
