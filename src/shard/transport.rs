//! What a shard needs of a socket, so that tests can script one.
//!
//! All calls are non-blocking and made on the shard's thread alone.

use crate::kernel::{self, Vitals};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

/// A connection's bytes. `WouldBlock` means: a readiness event will follow.
pub trait Transport {
    /// Reads into `buffer`; 0 means the peer has finished.
    ///
    /// # Errors
    /// `WouldBlock`, or what ended the connection.
    fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes from the front of `bytes`; may take fewer.
    ///
    /// # Errors
    /// `WouldBlock`, or what ended the connection.
    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Sends FIN: nothing more will be written.
    fn finish(&mut self);

    /// Ends the connection with RST, so that the kernel forgets what it has not sent.
    fn reset(self);

    /// What the kernel knows of the connection; a scripted one has no kernel.
    fn vitals(&self) -> Vitals {
        Vitals::default()
    }

    /// Where the peer is, as the kernel has it.
    fn peer(&self) -> Option<SocketAddr> {
        None
    }
}

impl Transport for TcpStream {
    fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read(buffer)
    }

    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // The standard library sends with MSG_NOSIGNAL on Linux.
        self.write(bytes)
    }

    fn finish(&mut self) {
        // The peer may have gone already: then there is nobody to tell.
        let _ = self.shutdown(Shutdown::Write);
    }

    fn reset(self) {
        // Without it the kernel would keep up to a send buffer of stale bytes per evicted peer.
        let _ = socket2::SockRef::from(&self).set_linger(Some(std::time::Duration::ZERO));
    }

    fn vitals(&self) -> Vitals {
        kernel::vitals(self)
    }

    fn peer(&self) -> Option<SocketAddr> {
        self.peer_addr().ok()
    }
}
