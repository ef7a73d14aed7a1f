//! The payload of a published event, and its checksum.
//!
//! ```text
//! {"ts":<due, ns>,"sent":<written, ns>,"n":<number>,"pad":"xxxx"}
//! {"ts":…,"sent":…,"n":…,"pad":"xxxx","crc":"cbf43926"}        the CRC-32 of all bytes before `,"crc":`
//! ```
//! The fields take what they take; the padding fills the payload up to its size. Writing one costs some 100 ns and
//! allocates nothing once the buffer has grown.

use std::io::Write as _;

/// What stands before the checksum.
const CRC_KEY: &[u8] = b",\"crc\":\"";
/// From the comma before the key to the closing brace.
const CRC_BYTES: usize = CRC_KEY.len() + 8 + 2;

/// Writes lines for `POST /v1/publish`.
#[derive(Debug)]
pub struct PayloadWriter {
    /// `{"topic":"…","payload":` of each topic.
    heads: Vec<Vec<u8>>,
    has_checksum: bool,
}

impl PayloadWriter {
    /// For these topics.
    #[must_use]
    pub fn new(topics: &[String], has_checksum: bool) -> Self {
        let head = |topic: &String| {
            format!("{{\"topic\":{},\"payload\":", serde_json::json!(topic)).into_bytes()
        };
        Self { heads: topics.iter().map(head).collect(), has_checksum }
    }

    /// Appends one line, newline included. `times_ns`: when the event is due and when it is written.
    ///
    /// # Panics
    /// When there is no topic of this number.
    pub fn line(&self, out: &mut Vec<u8>, topic: usize, size: usize, n: u64, times_ns: (u64, u64)) {
        out.extend_from_slice(&self.heads[topic]);
        self.payload(out, size, n, times_ns);
        out.extend_from_slice(b"}\n");
    }

    /// Appends the payload alone.
    ///
    /// # Panics
    /// Never: writing to memory does not fail.
    pub fn payload(&self, out: &mut Vec<u8>, size: usize, n: u64, (due, sent): (u64, u64)) {
        let start = out.len();
        write!(out, "{{\"ts\":{due},\"sent\":{sent},\"n\":{n},\"pad\":\"")
            .expect("writing to memory does not fail");
        let tail = 1 + if self.has_checksum { CRC_BYTES } else { 1 };
        let pad = size.saturating_sub(out.len() - start + tail);
        out.resize(out.len() + pad, b'x');
        out.push(b'"');
        if self.has_checksum {
            let crc = crc32fast::hash(&out[start..]);
            out.extend_from_slice(CRC_KEY);
            write!(out, "{crc:08x}\"}}").expect("writing to memory does not fail");
        } else {
            out.push(b'}');
        }
    }
}

/// Whether a payload's checksum is right; none: it has none.
#[must_use]
pub fn checksum_ok(payload: &[u8]) -> Option<bool> {
    let start = payload.len().checked_sub(CRC_BYTES)?;
    let digits = payload[start..].strip_prefix(CRC_KEY)?.strip_suffix(b"\"}")?;
    let digits = std::str::from_utf8(digits).ok()?;
    // Not a number: a checksum that was damaged itself.
    let Ok(said) = u32::from_str_radix(digits, 16) else {
        return Some(false);
    };
    Some(crc32fast::hash(&payload[..start]) == said)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn payload(size: usize, has_checksum: bool) -> Vec<u8> {
        let writer = PayloadWriter::new(&["t:a".to_owned()], has_checksum);
        let mut out = Vec::new();
        writer.payload(&mut out, size, 7, (1_700_000_000_000_000_001, 1_700_000_000_000_000_002));
        out
    }

    #[test]
    fn a_line_is_json_with_the_topic_and_the_payload() {
        let writer = PayloadWriter::new(&["a".to_owned(), "b:\"c".to_owned()], true);
        let mut out = Vec::new();
        writer.line(&mut out, 1, 200, 3, (5, 6));
        let line: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(line["topic"], "b:\"c");
        let payload = &line["payload"];
        assert_eq!([&payload["ts"], &payload["sent"], &payload["n"]], [5, 6, 3]);
        assert_eq!(out.last(), Some(&b'\n'));
    }

    #[test]
    fn a_payload_has_the_size_asked_for_from_its_minimum_on() {
        for has_checksum in [false, true] {
            let least = payload(0, has_checksum).len();
            for size in [least - 1, least, least + 1, 256, 35_000] {
                assert_eq!(payload(size, has_checksum).len(), size.max(least), "{size}");
            }
        }
    }

    #[test]
    fn only_a_whole_payload_has_a_right_checksum() {
        let good = payload(120, true);
        assert_eq!(checksum_ok(&good), Some(true));
        assert_eq!(checksum_ok(&payload(120, false)), None);
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert_ne!(checksum_ok(&bad), Some(true), "{at}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_checked_without_a_panic(bytes: Vec<u8>) {
            let _ = checksum_ok(&bytes);
            let _ = checksum_ok(&[&bytes[..], b",\"crc\":\"0123abcd\"}"].concat());
        }
    }
}
