//! WebSocket frames: the server's read in place, the client's written masked.
//!
//! ```text
//!  byte 0: FIN RSV1-3 opcode   byte 1: MASK length   [2 or 8 bytes of length]   payload
//! ```
//! Reading costs a few comparisons per frame and copies nothing. What RFC 6455 forbids a server is an error, because
//! the load test is there to find it: masks, reserved bits, unknown opcodes, long or fragmented control frames,
//! lengths that are not in their shortest form.

/// The largest payload that is accepted.
pub const PAYLOAD_BYTES_MAX: u64 = 16 << 20;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opcode {
    /// Goes on with the message before it.
    Continuation,
    /// Starts a text message.
    Text,
    /// Starts a binary message.
    Binary,
    /// Ends the connection.
    Close,
    /// Asks for a pong.
    Ping,
    /// Answers a ping.
    Pong,
}

/// One frame of the server.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What it is.
    pub opcode: Opcode,
    /// Whether it ends its message.
    pub is_final: bool,
    /// Its payload.
    pub payload: &'a [u8],
    /// Where the next frame starts.
    pub length: usize,
}

/// A frame that a server must not send, in a few words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadFrame(pub &'static str);

/// The frame at the start of `bytes`; none when it has not arrived in full.
///
/// # Errors
/// When no server may send such a frame.
pub fn first(bytes: &[u8]) -> Result<Option<Frame<'_>>, BadFrame> {
    let [head, second, rest @ ..] = bytes else {
        return Ok(None);
    };
    if head & 0x70 != 0 {
        return Err(BadFrame("reserved bits"));
    }
    if second & 0x80 != 0 {
        return Err(BadFrame("a masked frame"));
    }
    let is_final = head & 0x80 != 0;
    let opcode = match head & 0x0f {
        0 => Opcode::Continuation,
        1 => Opcode::Text,
        2 => Opcode::Binary,
        8 => Opcode::Close,
        9 => Opcode::Ping,
        10 => Opcode::Pong,
        _ => return Err(BadFrame("an unknown opcode")),
    };
    if head & 0x08 != 0 && (!is_final || *second > 125) {
        return Err(BadFrame("a long or fragmented control frame"));
    }
    let (payload_bytes, header_bytes) = match (second, rest) {
        (126, [a, b, ..]) => (u64::from(u16::from_be_bytes([*a, *b])), 4),
        (127, [a, b, c, d, e, f, g, h, ..]) => {
            (u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]), 10)
        }
        (126 | 127, _) => return Ok(None),
        (short, _) => (u64::from(*short), 2),
    };
    if (header_bytes == 4 && payload_bytes < 126) || (header_bytes == 10 && payload_bytes <= 0xffff)
    {
        return Err(BadFrame("a length not in its shortest form"));
    }
    if payload_bytes > PAYLOAD_BYTES_MAX {
        return Err(BadFrame("a payload of more than 16 MiB"));
    }
    let length = header_bytes
        + usize::try_from(payload_bytes).map_err(|_| BadFrame("a payload beyond memory"))?;
    Ok(bytes.get(header_bytes..length).map(|payload| Frame { opcode, is_final, payload, length }))
}

/// A text frame of a client, masked with `mask`.
#[must_use]
pub fn text(payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    masked(0x81, payload, mask)
}

/// A pong with a ping's payload, at most 125 bytes.
#[must_use]
pub fn pong(payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    masked(0x8a, payload, mask)
}

/// A close frame with this code.
#[must_use]
pub fn close(code: u16, mask: [u8; 4]) -> Vec<u8> {
    masked(0x88, &code.to_be_bytes(), mask)
}

#[expect(clippy::cast_possible_truncation, reason = "each arm is bounded by its pattern")]
fn masked(head: u8, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    let mut frame = vec![head];
    match payload.len() {
        short @ 0..=125 => frame.push(0x80 | short as u8),
        middle @ 126..=0xffff => {
            frame.push(0x80 | 126);
            frame.extend((middle as u16).to_be_bytes());
        }
        long => {
            frame.push(0x80 | 127);
            frame.extend((long as u64).to_be_bytes());
        }
    }
    frame.extend(mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_read_once_it_is_whole_at_every_length_form() {
        for length in [0_usize, 1, 125, 126, 127, 0xffff, 0x1_0000] {
            // A client's frame without mask bit and mask is a server's.
            let mut bytes = text(&vec![b'x'; length], [0; 4]);
            bytes[1] &= 0x7f;
            let header_bytes = bytes.len() - length - 4;
            bytes.drain(header_bytes..header_bytes + 4);
            for cut in [0, 1, header_bytes - 1, bytes.len() - 1] {
                assert_eq!(
                    first(&bytes[..cut.min(bytes.len() - 1)]),
                    Ok(None),
                    "{length} cut at {cut}"
                );
            }
            bytes.extend(b"next");
            let frame = first(&bytes).unwrap().unwrap();
            assert_eq!((frame.opcode, frame.is_final), (Opcode::Text, true));
            assert_eq!((frame.payload.len(), frame.length), (length, bytes.len() - 4));
        }
    }

    #[test]
    fn what_a_server_must_not_send_is_an_error() {
        let cases: [(&[u8], &str); 9] = [
            (&[0x81, 0x80], "masked"),
            (&[0xc1, 0x00], "reserved"),
            (&[0x83, 0x00], "opcode"),
            (&[0x8b, 0x00], "opcode"),
            (&[0x09, 0x00], "control"),
            (&[0x89, 126, 0, 200], "control"),
            (&[0x81, 126, 0, 125], "shortest"),
            (&[0x81, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff], "shortest"),
            (&[0x81, 127, 0, 0, 0, 0, 1, 0, 0, 1], "16 MiB"),
        ];
        for (bytes, part) in cases {
            let BadFrame(reason) = first(bytes).unwrap_err();
            assert!(reason.contains(part), "{bytes:?}: {reason}");
        }
        assert_eq!(first(&[0x81, 127, 0, 0, 0, 0, 1, 0, 0, 0]), Ok(None), "16 MiB are allowed");
    }

    #[test]
    fn a_client_masks_with_its_key() {
        assert_eq!(
            text(b"Hello", [0x37, 0xfa, 0x21, 0x3d])[..],
            *b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"
        );
        assert_eq!(close(1000, [0; 4])[..], [0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8]);
        assert_eq!(pong(b"x", [1; 4])[..], [0x8a, 0x81, 1, 1, 1, 1, b'x' ^ 1]);
    }
}
