//! Answers written by hand, and closing so that they arrive.
//!
//! Closing a socket with unread bytes in it sends a reset, which may overtake the answer. So the sending side is
//! closed first and what the client still sends is read away, within limits.
//!
//! Never: longer than [`PATIENCE`] or more than [`DRAIN_BYTES_MAX`] for one connection.

use super::Refusal;
use super::edge::Door;

use std::io::{Read, Write};
use std::net::Shutdown;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// How long a leaving client is waited for.
const PATIENCE: Duration = Duration::from_millis(500);
/// How much of what it still sends is read.
const DRAIN_BYTES_MAX: usize = 64 * 1024;
/// Connections that are turned away politely at a time; further ones get the answer and are closed at once.
const TURNED_AWAY_MAX: usize = 64;

/// Writes `refusal` and closes. At most [`PATIENCE`].
pub(super) async fn refuse(stream: TcpStream, refusal: Refusal) {
    // A client that is gone, or too slow for one line, is none to wait for.
    let _ = tokio::time::timeout(PATIENCE, async {
        if stream.writable().await.is_ok() && stream.try_write(&refusal.bytes()).is_ok() {
            drain(stream).await;
        }
    })
    .await;
}

/// Closes after an answer that hyper has written. At most [`PATIENCE`].
pub(super) async fn close(stream: TcpStream) {
    let _ = tokio::time::timeout(PATIENCE, drain(stream)).await;
}

/// Closes so that nothing of what the client has not taken stays in the kernel: it sees a reset.
pub(super) fn reset(stream: TcpStream) {
    // A socket that is broken already needs no reset.
    let _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
    drop(stream);
}

/// Ends our side and reads until the client ends its own.
async fn drain(mut stream: TcpStream) {
    if stream.shutdown().await.is_err() {
        return;
    }
    let mut left = DRAIN_BYTES_MAX;
    while left > 0 && stream.readable().await.is_ok() {
        match stream.try_read(&mut [0; 4_096]) {
            Ok(0) => return,
            Ok(bytes) => left = left.saturating_sub(bytes),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}

/// Refuses a connection that was not let in, in a task of its own while there are few of them.
pub(super) fn turn_away(stream: TcpStream, refusal: Refusal, door: &Rc<Door>) {
    let turned_away = door.turned_away.get();
    if turned_away >= TURNED_AWAY_MAX {
        return at_once(stream, refusal);
    }
    door.turned_away.set(turned_away + 1);
    let door = Rc::clone(door);
    tokio::task::spawn_local(async move {
        refuse(stream, refusal).await;
        door.turned_away.set(door.turned_away.get() - 1);
    });
}

/// Writes `refusal` without waiting for anything and closes: a request that is still on its way may meet a reset.
pub(super) fn at_once(stream: TcpStream, refusal: Refusal) {
    let Ok(mut stream) = stream.into_std() else {
        return;
    };
    // Non-blocking: a few hundred bytes fit into an empty send buffer, and a client that is gone needs none.
    let _ = stream.write(&refusal.bytes());
    let _ = stream.shutdown(Shutdown::Write);
    let _ = stream.read(&mut [0; 4_096]);
}
