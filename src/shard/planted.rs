//! Faults that the model test plants, to show that it would notice them: outside of tests there are none.

#[cfg(test)]
thread_local! {
    static PLANTED: std::cell::Cell<&'static str> = const { std::cell::Cell::new("") };
}

/// Whether this fault is planted: never, outside of tests.
#[inline(always)]
pub(super) fn planted(fault: &'static str) -> bool {
    #[cfg(test)]
    return PLANTED.get() == fault;
    #[cfg(not(test))]
    {
        let _ = fault;
        false
    }
}

/// Plants a fault on this thread while `act` runs.
#[cfg(test)]
pub(super) fn with<R>(fault: &'static str, act: impl FnOnce() -> R) -> R {
    PLANTED.set(fault);
    let result = act();
    PLANTED.set("");
    result
}
