//! The limits of the front door.

use std::io;
use std::time::Duration;

/// Connections from one address on listeners that are not loopback, unless the option says otherwise.
pub(super) const ADDRESS_CONNECTIONS_DEFAULT: usize = 256;

/// Limits of the front door. Whoever is turned away by one of them moves a counter (`EdgeCounters::refused`).
#[derive(Debug, Clone)]
pub struct Options {
    /// Bytes of a request head, request line and blank line included; longer ones get 431. Default 16 KiB.
    pub head_bytes_max: usize,
    /// Header lines of a request; more get 431. Default 64.
    pub headers_max: usize,
    /// From accept to the end of the first request head, silence included (408), and the longest pause between two
    /// requests of one connection. Default 5 s.
    pub head_timeout: Duration,
    /// From when a response is made until it has been written; then the connection is dropped. How long a service may
    /// work on a request, and read its body, is the service's affair. Default 60 s.
    pub exchange_timeout: Duration,
    /// How long the socket of a client that is sent a stream may take nothing; then it is reset. Default 10 s.
    pub write_stall_max: Duration,
    /// Request heads in progress at a time, at least 1; further ones wait, and accepting waits with them. Bounds the
    /// memory of a reconnect storm (20 KB each). Default 32.
    pub heads_in_progress_max: usize,
    /// How long an unfinished head counts as in progress. Then it goes on, bounded by `head_timeout` and
    /// `http_connections_max` alone, so that a few slow openers cannot hold all the places. Default 50 ms.
    pub head_turn: Duration,
    /// Connections in the HTTP phase, from accept until upgrade or close. Surplus waits in the backlog, which a
    /// reconnect storm is done with in no time, and gets 503 after `room_timeout`. Default 1,024.
    pub http_connections_max: usize,
    /// How long the HTTP phase must have been full, without one connection leaving it, before surplus gets 503.
    /// Default 250 ms.
    pub room_timeout: Duration,
    /// Connections overall: in the HTTP phase, in inboxes and on shards; surplus gets 503. Default 65,536; the
    /// engine lowers it to the descriptor limit less 128.
    pub connections_max: usize,
    /// Connections of one address (an IPv6 address counts as its /64); surplus gets 429. `None`, the default: not
    /// limited on loopback listeners, 256 on the others. `Some`: that many on every listener.
    pub connections_per_address_max: Option<usize>,
    /// Origins that browsers may come from besides the host itself, as `scheme://host[:port]`. Default none.
    pub origins: Vec<String>,
    /// Host names, without port, that requests on loopback listeners may name besides IP literals and `localhost`.
    /// Default none.
    pub allowed_hosts: Vec<String>,
    /// How long a finished socket may wait for room in a shard's inbox before it is dropped. Default 1 s.
    pub place_timeout: Duration,
    /// How long `Edge::stop` waits for responses in progress. Default 1 s.
    pub drain_timeout: Duration,
    /// Connections that may wait in the kernel for accept. Default 4,096 (the kernel's own maximum applies).
    pub backlog: u32,
    /// Bytes the kernel may hold per connection towards the client (it doubles them for its own use). Small, so
    /// that lag shows in cursors rather than in kernel memory. Default 64 KiB.
    pub send_buffer_bytes: usize,
    /// Unsent bytes in the kernel above which a socket is not writable. Default 16 KiB.
    pub notsent_lowat_bytes: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            head_bytes_max: 16 * 1024,
            headers_max: 64,
            head_timeout: Duration::from_secs(5),
            exchange_timeout: Duration::from_secs(60),
            write_stall_max: Duration::from_secs(10),
            heads_in_progress_max: 32,
            head_turn: Duration::from_millis(50),
            http_connections_max: 1_024,
            room_timeout: Duration::from_millis(250),
            connections_max: 65_536,
            connections_per_address_max: None,
            origins: Vec::new(),
            allowed_hosts: Vec::new(),
            place_timeout: Duration::from_secs(1),
            drain_timeout: Duration::from_secs(1),
            backlog: 4_096,
            send_buffer_bytes: 64 * 1024,
            notsent_lowat_bytes: 16 * 1024,
        }
    }
}

impl Options {
    /// Refuses limits with which nobody could connect.
    pub(super) fn check(&self) -> io::Result<()> {
        for (name, value) in [
            ("head_bytes_max", self.head_bytes_max),
            ("headers_max", self.headers_max),
            ("heads_in_progress_max", self.heads_in_progress_max),
            ("http_connections_max", self.http_connections_max),
            ("connections_max", self.connections_max),
        ] {
            if value == 0 {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    format!("{name} must be at least 1, not 0"),
                ));
            }
        }
        Ok(())
    }

    /// The limit per address on a listener, if it has one.
    pub(super) fn address_connections_max(&self, loopback: bool) -> Option<usize> {
        match self.connections_per_address_max {
            Some(limit) => Some(limit),
            None if loopback => None,
            None => Some(ADDRESS_CONNECTIONS_DEFAULT),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_of_zero_is_refused_by_name() {
        let options = Options { heads_in_progress_max: 0, ..Options::default() };
        let error = options.check().expect_err("zero heads would stop the door");
        assert!(error.to_string().contains("heads_in_progress_max"));
        assert!(Options::default().check().is_ok());
    }

    #[test]
    fn addresses_are_limited_off_loopback_unless_said_otherwise() {
        let options = Options::default();
        assert_eq!(options.address_connections_max(true), None);
        assert_eq!(options.address_connections_max(false), Some(256));
        let options = Options { connections_per_address_max: Some(3), ..options };
        assert_eq!(options.address_connections_max(true), Some(3));
        assert_eq!(options.address_connections_max(false), Some(3));
    }
}
