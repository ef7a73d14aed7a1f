//! Bound sockets and the loop that accepts from one of them.
//!
//! Never: requests. Invariants: accepting never spins (an error that lasts is followed by a pause) and one
//! descriptor is kept in reserve, so that a process without descriptors still answers 503.

use super::connection::{self, Visitor};
use super::edge::Door;
use super::surface::Surface;
use super::{Options, Refusal, farewell};

use socket2::{Domain, Protocol, Socket, Type};
use std::cell::RefCell;
use std::fs::File;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

/// How long accepting rests after an error that will not pass by itself.
const PAUSE: Duration = Duration::from_millis(20);

/// Binds `address` and listens, non-blocking. Accepted sockets inherit `TCP_NODELAY`, `SO_SNDBUF` and (on Linux)
/// `TCP_NOTSENT_LOWAT`, so that nothing has to be set per connection.
///
/// # Errors
/// Those of the system: address in use, not available, not permitted.
pub fn bind(address: SocketAddr, options: &Options) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart must not wait for the connections of the last run to leave TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.set_tcp_nodelay(true)?;
    socket.set_send_buffer_size(options.send_buffer_bytes)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_notsent_lowat(options.notsent_lowat_bytes)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(options.backlog).unwrap_or(i32::MAX))?;
    Ok(socket.into())
}

/// A descriptor to give up when there is no other.
pub(super) struct Reserve(RefCell<Option<File>>);

impl Reserve {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self(RefCell::new(Some(Self::open()?))))
    }

    fn open() -> io::Result<File> {
        File::open(if cfg!(windows) { "NUL" } else { "/dev/null" })
    }

    /// Accepts one waiting connection in the reserve's place, tells it to come back, and closes it.
    async fn answer(&self, listener: &TcpListener) {
        self.0.take();
        let waiting = poll_fn(|cx| match listener.poll_accept(cx) {
            Poll::Ready(Ok((stream, _))) => Poll::Ready(Some(stream)),
            Poll::Ready(Err(_)) | Poll::Pending => Poll::Ready(None),
        });
        if let Some(stream) = waiting.await {
            farewell::at_once(stream, Refusal::Descriptors);
        }
        *self.0.borrow_mut() = Self::open().ok();
    }
}

/// Accepts until the task is aborted.
pub(super) async fn accept(listener: TcpListener, surface: Rc<Surface>, door: Rc<Door>) {
    let mut in_trouble = false;
    loop {
        door.admission.ease().await;
        match listener.accept().await {
            Ok((stream, peer)) => {
                in_trouble = false;
                receive(stream, peer, &surface, &door);
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                if is_out_of_descriptors(&error) {
                    door.counters.descriptors_exhausted();
                    door.counters.refused(Refusal::Descriptors.status().as_u16());
                    door.reserve.answer(&listener).await;
                }
                if !in_trouble {
                    tracing::warn!(%error, "cannot accept connections; trying again every {} ms", PAUSE.as_millis());
                    in_trouble = true;
                }
                door.counters.accept_paused();
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Starts the conversation with a new connection, or refuses it.
fn receive(stream: TcpStream, peer: SocketAddr, surface: &Rc<Surface>, door: &Rc<Door>) {
    match door.admission.enter(peer.ip(), surface.caps) {
        Ok(entry) => {
            let visitor = Visitor { stream, peer, entry, surface: Rc::clone(surface) };
            tokio::task::spawn_local(connection::converse(visitor, Rc::clone(door)));
        }
        Err(refusal) => {
            door.counters.refused(refusal.status().as_u16());
            farewell::turn_away(stream, refusal, door);
        }
    }
}

/// Errors of a connection that went away while it waited; the next one may be sound.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

fn is_out_of_descriptors(error: &io::Error) -> bool {
    #[cfg(unix)]
    return matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE));
    #[cfg(not(unix))]
    return error.kind() == io::ErrorKind::OutOfMemory;
}
