//! Free ports, and whether somebody listens, without disturbing who does.

use crate::Outcome;
use std::net::{TcpListener, UdpSocket};

/// A TCP port of 127.0.0.1 that nobody listens on at this moment.
///
/// # Errors
/// When the kernel has none left.
pub(crate) fn free_tcp() -> Outcome<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(|error| error.to_string())?;
    Ok(listener.local_addr().map_err(|error| error.to_string())?.port())
}

/// A UDP port of 127.0.0.1 that is free at this moment.
///
/// # Errors
/// When the kernel has none left.
pub(crate) fn free_udp() -> Outcome<u16> {
    let socket = UdpSocket::bind(("127.0.0.1", 0)).map_err(|error| error.to_string())?;
    Ok(socket.local_addr().map_err(|error| error.to_string())?.port())
}

/// Whether somebody listens on the TCP port. Asks the kernel: a connection would be counted by the server.
pub(crate) fn is_listening(port: u16) -> bool {
    let local = format!(":{port:04X}");
    ["/proc/net/tcp", "/proc/net/tcp6"].iter().any(|table| {
        let rows = std::fs::read_to_string(table).unwrap_or_default();
        rows.lines().any(|row| {
            let mut fields = row.split_whitespace().skip(1);
            let is_local = fields.next().is_some_and(|address| address.ends_with(&local));
            is_local && fields.nth(1) == Some("0A")
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_is_seen_and_a_free_port_is_not() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        assert!(is_listening(listener.local_addr().unwrap().port()));
        assert!(!is_listening(free_tcp().unwrap()));
        assert_ne!(free_udp().unwrap(), 0);
    }
}
