//! The frames in the bytes a client got: whole ones, and nothing behind a close frame.

use serde_json::Value;

/// What was found in a client's bytes.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    pub(super) messages: Vec<Value>,
    pub(super) pongs: usize,
    pub(super) close_code: Option<u16>,
}

/// The messages in `bytes`. What is cut off at the end is left out only if the client was `cut` off.
pub(super) fn parse(bytes: &[u8], cut: bool) -> Parsed {
    let (mut at, mut parsed) = (0, Parsed::default());
    while at < bytes.len() {
        assert!(parsed.close_code.is_none(), "bytes after the close frame");
        let Some((first, header, length)) = header(&bytes[at..]) else {
            assert!(cut, "half a header at the end");
            break;
        };
        let Some(payload) = bytes.get(at + header..at + header + length) else {
            assert!(cut, "half a frame at the end");
            break;
        };
        match first {
            0x81 => parsed
                .messages
                .push(serde_json::from_slice(payload).expect("every text frame is json")),
            0x8a => parsed.pongs += 1,
            0x88 => parsed.close_code = Some(u16::from_be_bytes([payload[0], payload[1]])),
            other => panic!("unexpected frame {other:#x}"),
        }
        at += header + length;
    }
    parsed
}

/// First byte, bytes of the header, bytes of the payload.
fn header(bytes: &[u8]) -> Option<(u8, usize, usize)> {
    let (first, length) = (*bytes.first()?, *bytes.get(1)?);
    Some(match length {
        126 => {
            let long = bytes.get(2..4)?.try_into().expect("two bytes");
            (first, 4, usize::from(u16::from_be_bytes(long)))
        }
        127 => {
            let long = bytes.get(2..10)?.try_into().expect("eight bytes");
            (first, 10, usize::try_from(u64::from_be_bytes(long)).expect("short"))
        }
        length => (first, 2, usize::from(length)),
    })
}
