//! The limit in Rust, the twin of rawfan: one thread, frames that are built once, one write per client for the events of a
//! burst; nothing else.
//!
//! `BURST` 0 puts everything that is due into one write. The rest of a write that was cut goes out before the next; a
//! client that has not taken it misses the events of that turn, which the closed loop keeps from happening.

use crate::publish::{Pace, Reports, Settings};
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Instant;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// Events that are put together at most.
const BURST_MAX: u64 = 64;

pub(crate) fn serve(settings: &Settings) -> io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", settings.port))?;
    let mut reports = Reports::bind(settings)?;
    let mut clients = Vec::new();
    while clients.len() < settings.start_at {
        clients.push(Client::accept(listener.accept()?.0)?);
    }
    let (begun, mut pace, mut frames) = (Instant::now(), Pace::start(), Vec::new());
    while begun.elapsed() < settings.seconds {
        let count = match (settings.burst, pace.ready(settings, reports.arrived)) {
            (0, ready) => ready.min(BURST_MAX),
            (burst, ready) if ready >= burst => burst,
            _ => 0,
        };
        if count == 0 {
            pace.wait(settings, &mut reports);
            continue;
        }
        frames.clear();
        for _ in 0..count {
            frame(&mut frames, pace.next(settings).as_bytes());
        }
        clients.iter_mut().for_each(|client| client.send(&frames));
    }
    Ok(())
}

struct Client {
    stream: TcpStream,
    /// What is left of a write that was cut.
    rest: Vec<u8>,
}

impl Client {
    /// Answers the handshake; blocks until its request is there.
    fn accept(mut stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let (mut request, mut chunk) = (Vec::new(), [0; 1024]);
        while !request.ends_with(b"\r\n\r\n") {
            let length = stream.read(&mut chunk)?;
            if length == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            request.extend_from_slice(&chunk[..length]);
        }
        let request = String::from_utf8_lossy(&request);
        let key = request.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("sec-websocket-key").then(|| value.trim())
        });
        let accept = derive_accept_key(key.unwrap_or_default().as_bytes());
        write!(
            stream,
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        )?;
        stream.set_nonblocking(true)?;
        Ok(Self { stream, rest: Vec::new() })
    }

    fn send(&mut self, frames: &[u8]) {
        if !self.rest.is_empty() {
            let written = self.stream.write(&self.rest).unwrap_or(0);
            self.rest.drain(..written);
            if !self.rest.is_empty() {
                return;
            }
        }
        // A full socket, or one that is gone, takes none of it.
        if let Ok(written) = self.stream.write(frames) {
            self.rest.extend_from_slice(&frames[written..]);
        }
    }
}

/// Appends a text frame; payloads are shorter than 64 KiB here.
fn frame(out: &mut Vec<u8>, payload: &[u8]) {
    out.push(0x81);
    match u8::try_from(payload.len()) {
        Ok(short @ ..126) => out.push(short),
        _ => {
            out.push(126);
            out.extend(u16::try_from(payload.len()).unwrap_or(u16::MAX).to_be_bytes());
        }
    }
    out.extend_from_slice(payload);
}
