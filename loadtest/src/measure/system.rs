//! What the system says of this process: CPU time and memory, from /proc.

use std::fs;

/// CPU time of the calling thread so far, seconds; 0 where the kernel does not say.
#[must_use]
pub(crate) fn thread_cpu_s() -> f64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let ns = text.split(' ').next().and_then(|word| word.parse::<f64>().ok());
    ns.unwrap_or_default() / 1e9
}

/// Resident memory of this process, bytes; 0 where the kernel does not say.
#[must_use]
pub(crate) fn resident_bytes() -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().split(' ').next()?.parse::<u64>().ok());
    kib.unwrap_or_default() * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_thread_has_used_time_and_this_process_memory() {
        let before = thread_cpu_s();
        let sum = (0..5_000_000_u64).fold(0_u64, |sum, x| std::hint::black_box(sum ^ x));
        assert!(std::hint::black_box(sum) < u64::MAX);
        assert!(thread_cpu_s() > before && resident_bytes() > 100_000);
    }
}
