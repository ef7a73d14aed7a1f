//! Any body of `POST /v1/publish`: no panic, the same lines however the body is cut, and what is read as a payload
//! is JSON. The first byte of the input says how long the pieces are.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use lineage::http::publish::{Line, LineReader, parse_line};
use serde::de::IgnoredAny;

const LINE_BYTES_MAX: usize = 200;
const PAYLOAD_BYTES_MAX: usize = 100;

fuzz_target!(|data: &[u8]| {
    let Some((piece, body)) = data.split_first() else { return };
    let whole = lines(body, body.len().max(1));
    let piece = usize::from(*piece) + 1;
    assert_eq!(lines(body, piece), whole, "pieces of {piece} bytes");
    for line in whole.iter().filter_map(|line| line.bytes.as_ref()) {
        assert!(line.len() <= LINE_BYTES_MAX && !line.contains(&b'\n'));
        if let Ok(parsed) = parse_line(line, PAYLOAD_BYTES_MAX) {
            assert!(parsed.payload.len() <= PAYLOAD_BYTES_MAX);
            serde_json::from_str::<IgnoredAny>(parsed.payload).expect("a payload is JSON");
        }
    }
});

fn lines(body: &[u8], piece: usize) -> Vec<Line> {
    let mut reader = LineReader::new(LINE_BYTES_MAX);
    let mut lines = Vec::new();
    for piece in body.chunks(piece) {
        reader.feed(Bytes::copy_from_slice(piece));
        lines.extend(std::iter::from_fn(|| reader.next_line()));
    }
    lines.extend(reader.finish());
    lines
}
