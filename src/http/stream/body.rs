//! Bodies: what hyper asks for more when its buffer has room, so that a slow client holds one chunk and nothing else.
//!
//! A stream goes on until the server takes its leave; an answer ends behind its heartbeat.

use super::hub::{Output, Ticket};
use super::page::Page;
use bytes::Bytes;
use hyper::body::{Body, Frame};
use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep};

/// Server-Sent Events.
#[derive(Debug)]
pub(super) struct Stream {
    ticket: Ticket,
    page: Page,
    interval: Duration,
    heartbeat: Pin<Box<Sleep>>,
    has_left: bool,
}

impl Stream {
    pub(super) fn new(ticket: Ticket, page: Page, interval: Duration) -> Self {
        let heartbeat = Box::pin(sleep(interval));
        Self { ticket, page, interval, heartbeat, has_left: false }
    }
}

impl Body for Stream {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let Self { ticket, page, interval, heartbeat, has_left } = &mut *self;
        if *has_left {
            return Poll::Ready(None);
        }
        let bytes = match ticket.next_of_stream(page, cx) {
            Output::Chunk(bytes) => bytes,
            Output::Farewell(bytes) => {
                *has_left = true;
                bytes
            }
            Output::Nothing => {
                // A client that is behind is busy enough: only who has everything is told so.
                if heartbeat.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                heartbeat.as_mut().reset(Instant::now() + *interval);
                let Some(bytes) = ticket.heartbeat_of_stream(page) else {
                    // Something came between the two looks.
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                };
                bytes
            }
        };
        Poll::Ready(Some(Ok(Frame::data(bytes.into()))))
    }
}

/// An array, of a poll or of snapshots.
#[derive(Debug)]
pub(super) struct Answer {
    ticket: Ticket,
    page: Page,
    /// Whether a heartbeat is its last element.
    has_heartbeat: bool,
    is_done: bool,
}

impl Answer {
    pub(super) fn new(ticket: Ticket, page: Page, has_heartbeat: bool) -> Self {
        Self { ticket, page, has_heartbeat, is_done: false }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let Self { ticket, page, has_heartbeat, is_done } = &mut *self;
        if *is_done {
            return Poll::Ready(None);
        }
        // A client sees an error as an answer that is cut off, and asks again from where it was.
        let bytes = match ticket.next_of_answer(page)? {
            Some(bytes) => bytes,
            None => {
                *is_done = true;
                let mut bytes = if *has_heartbeat { ticket.heartbeat(page) } else { Vec::new() };
                page.end(&mut bytes);
                bytes
            }
        };
        Poll::Ready(Some(Ok(Frame::data(bytes.into()))))
    }
}
