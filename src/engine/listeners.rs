//! The addresses an engine listens on.

use crate::error::Error;
use crate::server;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

/// Binds `address`, and for 127.0.0.1 the same port of ::1 too where the machine has it, so that `localhost` works
/// however it is resolved. The first socket is the one that was asked for.
///
/// # Errors
/// When the address that was asked for cannot be bound.
pub(super) fn bind(
    listener: &'static str,
    address: SocketAddr,
    options: &server::Options,
) -> Result<Vec<TcpListener>, Error> {
    let failed = |source| Error::Bind { listener, address: address.to_string(), source };
    let first = server::bind(address, options).map_err(failed)?;
    let port = first.local_addr().map_err(failed)?.port();
    let mut sockets = vec![first];
    if address.ip() == IpAddr::V4(Ipv4Addr::LOCALHOST) {
        match server::bind(SocketAddr::from((Ipv6Addr::LOCALHOST, port)), options) {
            Ok(socket) => sockets.push(socket),
            Err(error) => tracing::debug!(listener, %error, "not listening on ::1 too"),
        }
    }
    Ok(sockets)
}
