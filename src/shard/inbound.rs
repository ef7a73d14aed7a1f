//! Reading from clients: bytes to WebSocket messages, through tungstenite's sans-IO context.
//!
//! One spare context per shard serves every connection whose bytes end at a message boundary; tungstenite does
//! not tell whether something is half read, so a walk over the frame headers does. A context that holds half a
//! message moves, boxed, to its connection until the message is whole.

use std::io::{self, Cursor, ErrorKind, Read, Write};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::error::{CapacityError, Error};
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::OpCode;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};

/// Pongs kept for one read; beyond it only the newest is answered (RFC 6455 §5.5.3 allows that).
const PONG_BYTES_MAX: usize = 2 * 1024;
/// Initial read buffer of a context.
const CONTEXT_BUFFER_BYTES: usize = 1024;
/// Longest frame header a client can send.
const HEADER_BYTES_MAX: usize = 14;

/// Whether the bytes so far end at a message boundary.
#[derive(Debug, Default)]
struct Boundary {
    /// Bytes of a header that is not whole yet.
    head: Vec<u8>,
    /// Payload bytes still to come.
    body: u64,
    /// A fragmented message is open.
    is_fragmented: bool,
}

impl Boundary {
    /// Takes the next bytes in; true when nothing is half read behind them.
    fn walk(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            let skip = usize::try_from(self.body).unwrap_or(usize::MAX).min(bytes.len());
            self.body -= skip as u64;
            bytes = &bytes[skip..];
            if bytes.is_empty() {
                break;
            }
            let before = self.head.len();
            let mut joined = [0; HEADER_BYTES_MAX];
            let length = (before + bytes.len()).min(HEADER_BYTES_MAX);
            joined[..before].copy_from_slice(&self.head);
            joined[before..length].copy_from_slice(&bytes[..length - before]);
            let mut cursor = Cursor::new(&joined[..length]);
            match FrameHeader::parse(&mut cursor) {
                Ok(Some((header, payload))) => {
                    if matches!(header.opcode, OpCode::Data(_)) {
                        self.is_fragmented = !header.is_final;
                    }
                    let consumed = usize::try_from(cursor.position()).unwrap_or(length);
                    bytes = &bytes[consumed - before..];
                    self.head.clear();
                    self.body = payload;
                }
                Ok(None) => {
                    self.head.extend_from_slice(bytes);
                    break;
                }
                // The context reports the same violation.
                Err(_) => break,
            }
        }
        self.head.is_empty() && self.body == 0 && !self.is_fragmented
    }
}

/// A context and where its bytes end.
#[derive(Debug)]
pub(super) struct Half {
    context: WebSocketContext,
    boundary: Boundary,
}

impl Half {
    /// A fresh context for messages of at most `message_bytes_max`.
    pub(super) fn new(message_bytes_max: usize) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(CONTEXT_BUFFER_BYTES)
            .write_buffer_size(0)
            .max_message_size(Some(message_bytes_max))
            .max_frame_size(Some(message_bytes_max));
        Self {
            context: WebSocketContext::new(Role::Server, Some(config)),
            boundary: Boundary::default(),
        }
    }

    /// Takes bytes in: messages go to `on_message`, which returns whether to go on; pongs and the answer to a close
    /// frame go to `out`, in this order. Returns how the connection goes on.
    pub(super) fn feed(
        &mut self,
        bytes: &[u8],
        out: &mut Vec<u8>,
        mut on_message: impl FnMut(Message) -> bool,
    ) -> Fed {
        let is_whole = self.boundary.walk(bytes);
        let mut pipe = Pipe { input: bytes, out };
        loop {
            match self.context.read(&mut pipe) {
                Ok(Message::Ping(_)) if pipe.out.len() > PONG_BYTES_MAX => pipe.out.clear(),
                Ok(message @ (Message::Text(_) | Message::Binary(_))) => {
                    if !on_message(message) {
                        return Fed::Stopped;
                    }
                }
                Ok(_) => {}
                Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => {
                    return if is_whole { Fed::Whole } else { Fed::Half };
                }
                Err(Error::ConnectionClosed | Error::AlreadyClosed) => return Fed::ClosedByPeer,
                Err(Error::Utf8(_)) => return Fed::Violation(1007),
                Err(Error::Capacity(CapacityError::MessageTooLong { .. })) => {
                    return Fed::Violation(1009);
                }
                Err(_) => return Fed::Violation(1002),
            }
        }
    }
}

/// How a connection goes on after its bytes were taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fed {
    /// Everything was whole.
    Whole,
    /// A message is half read.
    Half,
    /// The handler wants no more of this connection.
    Stopped,
    /// The peer sent a close frame; the answer is in the output.
    ClosedByPeer,
    /// The peer broke the protocol: close with this code.
    Violation(u16),
}

/// The context's view of the bytes just read and of the reply buffer.
#[derive(Debug)]
struct Pipe<'a> {
    input: &'a [u8],
    out: &'a mut Vec<u8>,
}

impl Read for Pipe<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.input.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        self.input.read(buffer)
    }
}

impl Write for Pipe<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A masked client frame with mask 0, so that its payload is readable.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![first, 0x80 | u8::try_from(payload.len()).expect("short"), 0, 0, 0, 0];
        bytes.extend_from_slice(payload);
        bytes
    }

    #[test]
    fn every_cut_of_a_stream_gives_the_same_messages_and_ends_whole() {
        let stream = [
            frame(0x81, b"one"),
            frame(0x01, b"tw"),
            frame(0x89, b"ping"),
            frame(0x80, b"o"),
            frame(0x82, b"three"),
        ]
        .concat();
        for cut in 0..=stream.len() {
            let mut half = Half::new(1024);
            let (mut out, mut messages) = (Vec::new(), Vec::new());
            let first = half.feed(&stream[..cut], &mut out, |message| {
                messages.push(message.into_data().to_vec());
                true
            });
            let second = half.feed(&stream[cut..], &mut out, |message| {
                messages.push(message.into_data().to_vec());
                true
            });
            assert_eq!(
                messages,
                [b"one".to_vec(), b"two".to_vec(), b"three".to_vec()],
                "cut {cut}"
            );
            assert_eq!(second, Fed::Whole, "cut {cut}");
            assert_ne!(first, Fed::Stopped);
            assert_eq!(out, [0x8a, 4, b'p', b'i', b'n', b'g'], "cut {cut}");
        }
    }

    #[test]
    fn half_a_message_is_told_from_a_whole_one() {
        let stream = frame(0x81, b"hello");
        for cut in 1..stream.len() {
            let mut half = Half::new(1024);
            assert_eq!(
                half.feed(&stream[..cut], &mut Vec::new(), |_| true),
                Fed::Half,
                "cut {cut}"
            );
        }
    }

    #[test]
    fn violations_map_to_close_codes() {
        let mut unmasked = frame(0x81, b"x");
        unmasked[1] &= 0x7f;
        let cases: [(Vec<u8>, Fed); 4] = [
            (unmasked, Fed::Violation(1002)),
            (frame(0xc1, b"x"), Fed::Violation(1002)),
            (frame(0x81, &[0xff, 0xfe]), Fed::Violation(1007)),
            (frame(0x81, &[b'x'; 101]), Fed::Violation(1009)),
        ];
        for (bytes, expected) in cases {
            let mut half = Half::new(100);
            assert_eq!(half.feed(&bytes, &mut Vec::new(), |_| true), expected, "{bytes:?}");
        }
        let mut half = Half::new(100);
        assert_eq!(half.feed(&frame(0x81, &[b'x'; 100]), &mut Vec::new(), |_| true), Fed::Whole);
    }

    #[test]
    fn a_flood_of_pings_is_answered_with_a_bounded_number_of_pongs_the_newest_last() {
        let flood: Vec<u8> = (0..2_000u32).flat_map(|n| frame(0x89, &n.to_be_bytes())).collect();
        let mut out = Vec::new();
        assert_eq!(Half::new(1024).feed(&flood, &mut out, |_| true), Fed::Whole);
        assert!(out.len() <= PONG_BYTES_MAX + 64, "{} bytes", out.len());
        assert!(out.ends_with(&1_999u32.to_be_bytes()));
    }
}
