//! WebSocket frames of our own: final, unmasked, in one piece; headers come from tungstenite's `FrameHeader`.
//!
//! It frames bytes and never looks at them, never masks (only clients do) and never splits a message. It does not
//! check that a text is UTF-8: its writers are our own encoders and text that was checked on the way in.
//!
//! Data path: the holder of the encoder role fills a [`FrameBuffer`] once per event and lane (about 5 ns beside the
//! payload, no allocation once the buffer has grown); shards append control frames to their replies.
//!
//! ```text
//! FrameBuffer   │ unused │ header 2, 4 or 10 │ payload …            header lengths: ≤ 125, ≤ 65,535, longer
//!               0                           10
//! ```

use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, Data, OpCode};

/// Longest header of an unmasked frame.
const HEADER_MAX: usize = 10;
/// Longest payload of a control frame (RFC 6455, 5.5).
const CONTROL_MAX: usize = 125;

/// A buffer in which a text frame is written payload first; reused, so that encoding allocates nothing. It keeps
/// the size of the longest frame it ever held.
#[derive(Debug, Default)]
pub struct FrameBuffer {
    /// Empty, or [`HEADER_MAX`] bytes for the header and then the payload.
    bytes: Vec<u8>,
}

impl FrameBuffer {
    /// Empties it and gives the payload to append to. The bytes that stand in it already keep room for the header:
    /// they must stay.
    pub fn begin(&mut self) -> &mut Vec<u8> {
        self.bytes.clear();
        self.bytes.resize(HEADER_MAX, 0);
        &mut self.bytes
    }

    /// Puts the header (text, final, unmasked) before the payload; the whole frame.
    ///
    /// # Panics
    /// When nothing was begun, or the room for the header was taken away.
    pub fn finish(&mut self) -> &[u8] {
        let payload_bytes = self
            .bytes
            .len()
            .checked_sub(HEADER_MAX)
            .expect("a frame is begun before it is finished");
        let header = header(OpCode::Data(Data::Text));
        let start = HEADER_MAX - header.len(payload_bytes as u64);
        write_header(&header, payload_bytes, &mut &mut self.bytes[start..HEADER_MAX]);
        &self.bytes[start..]
    }
}

/// Appends a text frame.
pub fn text(payload: &[u8], out: &mut Vec<u8>) {
    append(OpCode::Data(Data::Text), payload, out);
}

/// Appends a binary frame.
pub fn binary(payload: &[u8], out: &mut Vec<u8>) {
    append(OpCode::Data(Data::Binary), payload, out);
}

/// Appends a ping without payload.
pub fn ping(out: &mut Vec<u8>) {
    append(OpCode::Control(Control::Ping), b"", out);
}

/// Appends a close frame; the reason is cut to 123 bytes at a character boundary.
pub fn close(code: u16, reason: &str, out: &mut Vec<u8>) {
    let code = code.to_be_bytes();
    let reason = &reason[..reason.floor_char_boundary(CONTROL_MAX - code.len())];
    write_header(&header(OpCode::Control(Control::Close)), code.len() + reason.len(), out);
    out.extend_from_slice(&code);
    out.extend_from_slice(reason.as_bytes());
}

fn append(opcode: OpCode, payload: &[u8], out: &mut Vec<u8>) {
    write_header(&header(opcode), payload.len(), out);
    out.extend_from_slice(payload);
}

/// Final, unmasked, no extension bits.
fn header(opcode: OpCode) -> FrameHeader {
    FrameHeader { opcode, ..FrameHeader::default() }
}

fn write_header(header: &FrameHeader, payload_bytes: usize, out: &mut impl std::io::Write) {
    header.format(payload_bytes as u64, out).expect("the output has room for a header");
}

/// The payload of an unmasked frame that is whole, as the functions here make them.
///
/// # Panics
/// When `frame` is shorter than its header.
#[must_use]
pub fn payload(frame: &[u8]) -> &[u8] {
    match frame[1] {
        126 => &frame[4..],
        127 => &frame[10..],
        _ => &frame[2..],
    }
}

/// The payloads of unmasked frames, whole and one behind the other, as the functions here append them.
pub fn payloads(mut frames: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (&[_, length], rest) = frames.split_first_chunk()?;
        let (length, rest) = match length {
            126 => {
                let (length, rest) = rest.split_first_chunk()?;
                (u64::from(u16::from_be_bytes(*length)), rest)
            }
            127 => {
                let (length, rest) = rest.split_first_chunk()?;
                (u64::from_be_bytes(*length), rest)
            }
            length => (u64::from(length), rest),
        };
        let (payload, behind) = rest.split_at_checked(usize::try_from(length).ok()?)?;
        frames = behind;
        Some(payload)
    })
}

#[cfg(test)]
mod tests {
    use super::{FrameBuffer, binary, close, payload, payloads, ping, text};
    use std::io::Cursor;
    use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
    use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, Data, OpCode};

    /// Splits a frame into what tungstenite reads from its header, and its payload.
    fn read(frame: &[u8]) -> (FrameHeader, &[u8]) {
        let mut cursor = Cursor::new(frame);
        let (header, length) = FrameHeader::parse(&mut cursor).expect("valid").expect("whole");
        let start = usize::try_from(cursor.position()).expect("short");
        assert_eq!(length, (frame.len() - start) as u64, "the header names the payload's length");
        (header, &frame[start..])
    }

    fn is_plain(header: &FrameHeader) -> bool {
        header.is_final && !header.rsv1 && !header.rsv2 && !header.rsv3 && header.mask.is_none()
    }

    #[test]
    fn header_grows_at_126_and_at_65_536_bytes_of_payload() {
        let lengths =
            [(0, 2), (1, 2), (125, 2), (126, 4), (127, 4), (65_535, 4), (65_536, 10), (65_537, 10)];
        let mut buffer = FrameBuffer::default();
        for (payload_bytes, header_bytes) in lengths {
            let payload: Vec<u8> = (b'a'..=b'w').cycle().take(payload_bytes).collect();
            buffer.begin().extend_from_slice(&payload);
            let frame = buffer.finish();
            assert_eq!(frame.len(), header_bytes + payload_bytes);
            let (header, read_back) = read(frame);
            assert!(is_plain(&header) && header.opcode == OpCode::Data(Data::Text), "{header:?}");
            assert!(read_back == payload);
            let mut appended = vec![b'x'];
            text(&payload, &mut appended);
            assert!(appended[1..] == *frame, "both ways give the same bytes");
        }
    }

    #[test]
    fn buffer_is_reused_without_moving_once_it_has_grown() {
        let mut buffer = FrameBuffer::default();
        buffer.begin().extend_from_slice(&[b'a'; 300]);
        let first = buffer.finish().as_ptr();
        for _ in 0..3 {
            buffer.begin().extend_from_slice(&[b'b'; 300]);
            let frame = buffer.finish();
            assert_eq!((frame.as_ptr(), frame.len()), (first, 304));
        }
    }

    #[test]
    fn payloads_are_cut_from_frames_that_stand_one_behind_the_other() {
        let lengths = [0, 1, 125, 126, 127, 65_535, 65_536];
        let (mut frames, mut ends) = (Vec::new(), Vec::new());
        for length in lengths {
            text(&vec![b'x'; length], &mut frames);
            ends.push(frames.len());
        }
        let found: Vec<usize> = payloads(&frames).map(<[u8]>::len).collect();
        assert_eq!(found, lengths);
        let mut start = 0;
        for (end, length) in ends.into_iter().zip(lengths) {
            assert_eq!(payload(&frames[start..end]).len(), length);
            start = end;
        }
        assert_eq!(payloads(&frames[..frames.len() - 1]).count(), lengths.len() - 1);
    }

    #[test]
    #[should_panic(expected = "begun before it is finished")]
    fn finishing_what_was_not_begun_panics() {
        FrameBuffer::default().finish();
    }

    #[test]
    fn binary_and_ping_have_their_opcodes() {
        let mut out = Vec::new();
        binary(b"\0\xFF", &mut out);
        assert_eq!(out, b"\x82\x02\0\xFF");
        out.clear();
        ping(&mut out);
        assert_eq!(out, b"\x89\x00");
    }

    #[test]
    fn close_reason_is_cut_at_the_limit_and_never_inside_a_character() {
        for (reason, kept) in [
            (String::new(), 0),
            ("r".repeat(122), 122),
            ("r".repeat(123), 123),
            ("r".repeat(124), 123),
            (format!("{}é", "r".repeat(121)), 123),
            (format!("{}é", "r".repeat(122)), 122),
            ("⚡".repeat(100), 123),
        ] {
            let mut out = Vec::new();
            close(4008, &reason, &mut out);
            let (header, payload) = read(&out);
            assert!(
                is_plain(&header) && header.opcode == OpCode::Control(Control::Close),
                "{header:?}"
            );
            assert_eq!(payload[..2], 4008_u16.to_be_bytes());
            assert_eq!(std::str::from_utf8(&payload[2..]), Ok(&reason[..kept]));
        }
    }
}
