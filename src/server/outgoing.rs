//! What goes out on one connection in the HTTP phase: bodies, and how the socket takes them.
//!
//! An answer of known length has a deadline of its own (`exchange_timeout`). A stream has no length and no end in sight:
//! it may go on as long as the socket takes what it is given, and that is watched here. Never: decides; `connection`
//! does. Costs a few counters per write.

use super::Body;
use super::edge::Exchange;

use bytes::Bytes;
use hyper::body::{Body as _, Frame, SizeHint};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use tokio::net::TcpStream;

/// What the socket of one connection has taken, and what is being sent to it.
#[derive(Debug, Default)]
pub(super) struct Flow {
    /// Bytes written.
    written: Cell<u64>,
    /// Whether the socket took nothing when it was last offered something.
    is_blocked: Cell<bool>,
    /// Whether the body of a stream is on its way.
    is_streaming: Cell<bool>,
    /// Streams that have ended.
    ended: Cell<u64>,
}

impl Flow {
    pub(super) fn is_streaming(&self) -> bool {
        self.is_streaming.get()
    }

    /// Streams that have ended so far.
    pub(super) fn ended(&self) -> u64 {
        self.ended.get()
    }

    /// Bytes that the socket has taken, and whether it took nothing the last time.
    pub(super) fn taken(&self) -> (u64, bool) {
        (self.written.get(), self.is_blocked.get())
    }

    fn note(&self, written: &Poll<io::Result<usize>>) {
        match written {
            Poll::Ready(Ok(bytes)) => self.written.set(self.written.get() + *bytes as u64),
            Poll::Ready(Err(_)) | Poll::Pending => {}
        }
        self.is_blocked.set(written.is_pending());
    }
}

/// A socket that is watched.
#[derive(Debug)]
pub(super) struct Watched {
    io: TokioIo<TcpStream>,
    flow: Rc<Flow>,
}

impl Watched {
    pub(super) fn new(stream: TcpStream, flow: Rc<Flow>) -> Self {
        Self { io: TokioIo::new(stream), flow }
    }

    pub(super) fn into_inner(self) -> TcpStream {
        self.io.into_inner()
    }
}

impl Read for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl Write for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.flow.note(&written);
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// The body of an answer, and what lasts as long as it.
pub(super) struct Outgoing {
    body: Body,
    /// Of a stream: where its end is noted.
    stream: Option<Rc<Flow>>,
    /// Keeps a stopping edge from ending before the body has.
    _exchange: Option<Exchange>,
}

impl Outgoing {
    /// A body that is watched if it has no length.
    pub(super) fn new(body: Body, flow: &Rc<Flow>, exchange: Option<Exchange>) -> Self {
        let is_stream = body.size_hint().exact().is_none();
        flow.is_streaming.set(is_stream);
        Self { body, stream: is_stream.then(|| Rc::clone(flow)), _exchange: exchange }
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        if let Some(flow) = &self.stream {
            flow.is_streaming.set(false);
            flow.ended.set(flow.ended.get() + 1);
        }
    }
}

impl hyper::body::Body for Outgoing {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
