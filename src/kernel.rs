//! System calls without a safe wrapper. What socket2 and std offer does not belong here.
//!
//! Never: policy. When to call, and how often, is the caller's decision.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

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

/// What the kernel tells of a TCP connection; zeros where it tells nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Vitals {
    /// Bytes that went out, retransmissions included.
    pub sent_bytes: u64,
    /// Bytes in the send buffer that have not gone out once.
    pub unsent_bytes: u64,
    /// Smoothed round trip time, microseconds.
    pub rtt_us: u64,
}

/// The kernel's view of a TCP connection. One system call, about half a microsecond; does not block.
pub fn vitals(socket: &impl AsFd) -> Vitals {
    // Places in `struct tcp_info` of <linux/tcp.h>, which only grows at its end; older kernels fill less of it.
    const RTT: usize = 68;
    const NOTSENT_BYTES: usize = 144;
    const BYTES_SENT: usize = 200;
    let mut info = [0_u8; 256];
    let filled = tcp_info(socket.as_fd(), &mut info);
    let u32_at = |at| field(&info[..filled], at).map_or(0, u32::from_ne_bytes);
    Vitals {
        sent_bytes: field(&info[..filled], BYTES_SENT).map_or(0, u64::from_ne_bytes),
        unsent_bytes: u32_at(NOTSENT_BYTES).into(),
        rtt_us: u32_at(RTT).into(),
    }
}

fn field<const BYTES: usize>(info: &[u8], at: usize) -> Option<[u8; BYTES]> {
    info.get(at..at + BYTES)?.try_into().ok()
}

/// Fills `info` from its front with what the kernel has; returns how much that is. No wrapper offers this option.
fn tcp_info(socket: BorrowedFd<'_>, info: &mut [u8; 256]) -> usize {
    let mut length = libc::socklen_t::try_from(info.len()).expect("a few bytes");
    // SAFETY: the descriptor is open as long as it is borrowed; `info` and `length` are exclusively borrowed for the
    // call, and the kernel writes at most `length` bytes, which is all of `info` and no more.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if result == 0 { usize::try_from(length).unwrap_or(0).min(info.len()) } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::{Vitals, vitals};
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn the_kernel_tells_what_is_sent_and_what_waits() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let _idle = TcpStream::connect(listener.local_addr().expect("bound")).expect("a listener");
        let (mut socket, _) = listener.accept().expect("a connection");
        socket.set_nonblocking(true).expect("a socket");
        let fresh = vitals(&socket);
        assert_eq!((fresh.sent_bytes, fresh.unsent_bytes), (0, 0));
        assert!(fresh.rtt_us < 10_000_000, "{fresh:?}");
        let mut written = 0;
        while let Ok(more) = socket.write(&[7; 10_000]) {
            written += more as u64;
        }
        // Nobody reads: some of it fills the peer's buffer, the rest waits.
        let full = vitals(&socket);
        assert!(full.sent_bytes > 0 && full.unsent_bytes > 0, "{full:?}");
        assert!(full.unsent_bytes < written, "{full:?} of {written}");
        assert!(full.sent_bytes + full.unsent_bytes >= written, "{full:?} of {written}");
    }

    #[test]
    fn of_what_is_no_tcp_connection_the_kernel_tells_nothing() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
        assert_eq!(vitals(&socket), Vitals::default());
    }

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
