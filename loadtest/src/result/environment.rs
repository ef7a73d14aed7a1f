//! Where and how a run took place: what a reader needs to judge its figures, and to repeat it.

use std::fs;

use serde::{Deserialize, Serialize};

use crate::measure::clock::now_ns;

/// The environment of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// This program and its version.
    pub tool: String,
    /// The command line, as it was typed.
    pub command: String,
    /// The scenario's name.
    pub scenario: String,
    /// Where the clients connected.
    pub url: String,
    /// Begin of the run, milliseconds since the Unix epoch.
    pub started_unix_ms: u64,
    /// Name of this host.
    pub host: String,
    /// The kernel's identity of this boot: two results with the same one share a clock.
    pub boot_id: String,
    /// Kernel name and release.
    pub kernel: String,
    /// The processor's name.
    pub cpu: String,
    /// Processors that this process may use.
    pub cores: u64,
    /// The limit of file descriptors, per process.
    pub descriptors: u64,
}

impl Environment {
    /// This host, now.
    #[must_use]
    pub fn here(command: String, scenario: &str, url: &str) -> Self {
        let word = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
        let cpu = word("/proc/cpuinfo");
        let cpu = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
        Self {
            tool: concat!("loadtest ", env!("CARGO_PKG_VERSION")).to_owned(),
            command,
            scenario: scenario.to_owned(),
            url: url.to_owned(),
            started_unix_ms: now_ns() / 1_000_000,
            host: word("/proc/sys/kernel/hostname"),
            boot_id: word("/proc/sys/kernel/random/boot_id"),
            kernel: format!("Linux {}", word("/proc/sys/kernel/osrelease")),
            cpu: cpu.map_or_else(
                || std::env::consts::ARCH.to_owned(),
                |(_, name)| name.trim().to_owned(),
            ),
            cores,
            descriptors: rlimit::Resource::NOFILE.get().map_or(0, |(soft, _)| soft),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_host_is_described_and_its_boot_is_the_same_each_time() {
        let environment = Environment::here("loadtest x".to_owned(), "x", "ws://127.0.0.1/");
        let again = Environment::here(String::new(), "", "");
        assert_eq!(environment.boot_id, again.boot_id);
        assert!(environment.boot_id.len() == 36 && environment.cores >= 1, "{environment:?}");
        assert!(environment.descriptors > 0 && environment.started_unix_ms > 0, "{environment:?}");
        assert!(environment.tool.starts_with("loadtest ") && environment.command == "loadtest x");
        for word in [&environment.host, &environment.kernel, &environment.cpu] {
            assert!(!word.is_empty() && word.trim() == word, "{environment:?}");
        }
    }
}
