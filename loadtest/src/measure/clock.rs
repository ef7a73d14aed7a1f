//! The one clock: what events are stamped with, and what arrivals are held against.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Nanoseconds since the Unix epoch; about 25 ns.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "a load test measures the real time")]
pub(crate) fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
