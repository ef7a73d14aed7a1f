//! What a v1 connection is held to, and the bucket that counts its messages.
//!
//! Pure arithmetic on the time it is given. The bucket is one instant: when it would be full again. Each message
//! moves that instant on by one interval, and may come while it lies at most `burst` intervals ahead.
//!
//! ```text
//! now            now + burst × interval
//!  │◄──── spent ────►│◄─── left ───►│
//!  └─────────────────┴──────────────┘
//!                full_at
//! ```

use crate::event::{DEPTH_MAX, NAME_BYTES_MAX};

/// Bounds of a v1 connection. Those a client has to know are in its `welcome`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Largest message a client may send, in bytes; a larger one is answered `too_big`.
    pub message_bytes: usize,
    /// Deepest nesting of a message, in levels; above [`DEPTH_MAX`] it has no effect on payloads.
    pub nesting: usize,
    /// Longest `id` of a request and longest `t` of a ping, in bytes.
    pub id_bytes: usize,
    /// Patterns a connection may be subscribed to at a time.
    pub topics: usize,
    /// Longest name or pattern, in bytes; above [`NAME_BYTES_MAX`] it has no effect.
    pub topic_bytes: usize,
    /// Messages per second in the long run, from 1 to 1,000,000.
    pub messages_per_s: u64,
    /// Messages at once after a pause, at least 1.
    pub burst: u64,
    /// Messages dropped in a row for their rate before the connection is closed, at least 1.
    pub dropped_in_a_row: u16,
    /// Messages in a row that are not of the protocol before the connection is closed, at least 1.
    pub bad_in_a_row: u16,
    /// How long a publisher is asked to wait when the intake is full, in milliseconds.
    pub ring_full_retry_ms: u64,
    /// Seconds between WebSocket pings. Announced here, kept by the shard.
    pub ping_s: u64,
    /// Seconds between heartbeats. Announced here, kept by the shard.
    pub heartbeat_s: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes: 16 * 1024,
            nesting: DEPTH_MAX,
            id_bytes: 64,
            topics: 1024,
            topic_bytes: NAME_BYTES_MAX,
            messages_per_s: 50,
            burst: 200,
            dropped_in_a_row: 100,
            bad_in_a_row: 3,
            ring_full_retry_ms: 50,
            ping_s: 20,
            heartbeat_s: 15,
        }
    }
}

/// The window in which clients of a server that shuts down should come back, in milliseconds: from 0 to one
/// millisecond per client, but at least 250 and at most 8,000.
#[must_use]
pub fn reconnect_window_ms(clients: usize) -> (u64, u64) {
    (0, u64::try_from(clients).unwrap_or(u64::MAX).clamp(250, 8_000))
}

/// A token bucket of one connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bucket {
    full_at_us: u64,
}

impl Bucket {
    /// A full one.
    pub(super) fn new(now_us: u64) -> Self {
        Self { full_at_us: now_us }
    }

    /// Takes one token.
    ///
    /// # Errors
    /// When there is none: how many milliseconds until there is one (at least 1). Nothing is taken.
    pub(super) fn take(&mut self, now_us: u64, limits: &Limits) -> Result<(), u64> {
        let interval_us = 1_000_000 / limits.messages_per_s.max(1);
        let depth_us = interval_us.saturating_mul(limits.burst);
        let horizon_us = now_us.saturating_add(depth_us);
        // A clock that was set back must not lock the client out: an empty bucket is the worst case.
        let full_at_us = self.full_at_us.clamp(now_us, horizon_us).saturating_add(interval_us);
        if full_at_us > horizon_us {
            return Err((full_at_us - horizon_us).div_ceil(1000));
        }
        self.full_at_us = full_at_us;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Bucket, Limits, reconnect_window_ms};

    const START_US: u64 = 1_738_512_000_000_000;

    fn limits(messages_per_s: u64, burst: u64) -> Limits {
        Limits { messages_per_s, burst, ..Limits::default() }
    }

    #[test]
    fn a_full_bucket_gives_its_burst_and_then_one_token_per_interval() {
        let limits = Limits::default();
        let mut bucket = Bucket::new(START_US);
        for taken in 1..=limits.burst {
            assert_eq!(bucket.take(START_US, &limits), Ok(()), "message {taken}");
        }
        assert_eq!(bucket.take(START_US, &limits), Err(20));
        assert_eq!(bucket.take(START_US + 19_999, &limits), Err(1));
        assert_eq!(bucket.take(START_US + 20_000, &limits), Ok(()));
        assert_eq!(bucket.take(START_US + 20_000, &limits), Err(20));
    }

    #[test]
    fn the_long_run_rate_is_the_limit() {
        let limits = limits(50, 10);
        let mut bucket = Bucket::new(START_US);
        let taken =
            (0..10_000_u64).filter(|ms| bucket.take(START_US + ms * 1000, &limits).is_ok()).count();
        assert_eq!(taken, 10 + 499, "ten seconds at one try per millisecond");
    }

    #[test]
    fn a_refusal_takes_nothing_and_a_pause_refills_no_further_than_the_burst() {
        let limits = limits(10, 2);
        let mut bucket = Bucket::new(START_US);
        assert!(bucket.take(START_US, &limits).is_ok() && bucket.take(START_US, &limits).is_ok());
        for _ in 0..1000 {
            assert_eq!(bucket.take(START_US, &limits), Err(100));
        }
        let later_us = START_US + 3_600_000_000;
        assert!(bucket.take(later_us, &limits).is_ok() && bucket.take(later_us, &limits).is_ok());
        assert_eq!(bucket.take(later_us, &limits), Err(100));
    }

    #[test]
    fn a_clock_set_back_costs_at_most_an_empty_bucket() {
        let limits = limits(10, 2);
        let mut bucket = Bucket::new(START_US);
        assert!(bucket.take(START_US, &limits).is_ok());
        let back_us = START_US - 3_600_000_000;
        assert_eq!(bucket.take(back_us, &limits), Err(100));
        let mut bucket = Bucket::new(u64::MAX);
        assert_eq!(bucket.take(u64::MAX, &limits), Ok(()), "at the end of time nothing overflows");
    }

    #[test]
    fn the_reconnect_window_grows_with_the_clients_between_its_bounds() {
        let upper = [0, 249, 250, 251, 7_999, 8_000, 8_001, usize::MAX].map(reconnect_window_ms);
        assert_eq!(upper.map(|window| window.1), [250, 250, 250, 251, 7_999, 8_000, 8_000, 8_000]);
        assert!(upper.iter().all(|window| window.0 == 0));
    }
}
