//! Sockets: where they come from, and how many may be on their way.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};

use crate::plan::Role;

/// Connections that may be on their way at a time: fewer than a usual backlog holds.
pub(super) const IN_FLIGHT_MAX: usize = 256;
/// Clients of one loopback source address: about half of the ports that it has.
const CLIENTS_PER_ADDRESS: u64 = 15_000;
/// The receive buffer of a client that reads slowly or never, so that its silence is felt by the server soon.
const SLOW_RECEIVE_BYTES: usize = 16 * 1024;

/// Starts a connection; it goes on in the background.
pub(super) fn connect(
    address: SocketAddr,
    number: u64,
    role: Role,
) -> io::Result<mio::net::TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    if matches!(role, Role::Stall | Role::Slow) {
        socket.set_recv_buffer_size(SLOW_RECEIVE_BYTES)?;
    }
    if let Some(source) = source_address(address.ip(), number) {
        socket.bind(&SocketAddr::from((source, 0)).into())?;
    }
    match socket.connect(&address.into()) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
        _ => Ok(mio::net::TcpStream::from_std(socket.into())),
    }
}

/// The source address of a client, where one address would not have enough ports: 127.0.0.2 and on, on loopback.
fn source_address(server: IpAddr, number: u64) -> Option<Ipv4Addr> {
    let beyond_first =
        u8::try_from(number / CLIENTS_PER_ADDRESS).ok().filter(|beyond| *beyond > 0)?;
    (server == Ipv4Addr::LOCALHOST).then(|| Ipv4Addr::new(127, 0, 0, 1 + beyond_first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_addresses_change_before_ports_run_out_and_only_on_loopback() {
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        assert_eq!(source_address(loopback, CLIENTS_PER_ADDRESS - 1), None);
        assert_eq!(
            source_address(loopback, CLIENTS_PER_ADDRESS),
            Some(Ipv4Addr::new(127, 0, 0, 2))
        );
        assert_eq!(source_address(loopback, 199_999), Some(Ipv4Addr::new(127, 0, 0, 14)));
        assert_eq!(source_address(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), 199_999), None);
    }
}
