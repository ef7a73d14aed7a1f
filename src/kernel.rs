//! System calls without a safe wrapper. What socket2 and std offer does not belong here.
//!
//! Never: policy. When to call, and how often, is the caller's decision.

/// Gives freed memory of all arenas back to the kernel.
///
/// Past handshakes leave their buffers in the allocator; this returns the whole free pages among them. Takes from
/// some ten microseconds to a few milliseconds and holds the allocator's locks meanwhile, so it belongs on a
/// thread that delivers nothing. Does nothing where the allocator is not glibc's.
pub fn release_free_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: `malloc_trim` takes any padding and may be called at any time from any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn memory_in_use_survives_the_release() {
        let kept: Vec<Vec<u8>> =
            (0..=250).cycle().take(1_000).map(|byte| vec![byte; 1_024]).collect();
        let freed: Vec<Vec<u8>> = (0..1_000).map(|_| vec![7; 1_024]).collect();
        drop(freed);
        super::release_free_memory();
        let mut expected = (0..=250_u8).cycle();
        assert!(kept.iter().all(|block| {
            expected.next().is_some_and(|value| block.iter().all(|byte| *byte == value))
        }));
    }
}
