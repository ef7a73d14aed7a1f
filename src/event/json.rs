//! JSON from outside, checked once: what holds a [`Json`] need not look at it again.
//!
//! The check accepts every JSON value of RFC 8259 in UTF-8 that nests at most [`DEPTH_MAX`] levels, and nothing
//! else. It never changes a value: only CR and LF between tokens become spaces, so that a frame is one line.
//!
//! Called by sources and by the publishing API on their threads, once per event. Costs one pass for UTF-8, one
//! for the grammar and one for line breaks (about 1 ns per byte together); copies only when there is a line break.

use bytes::Bytes;
use serde::de::IgnoredAny;

/// Deepest nesting accepted: such a value is still readable inside our envelope, and that inside a list, by
/// parsers that stop at 128 levels.
pub const DEPTH_MAX: usize = 100;

/// One JSON value that was checked, without raw CR or LF (they became spaces).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Json(Bytes);

/// The bytes are not one JSON value in UTF-8, or one that nests too deep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotJson {
    /// Where it stops being acceptable, in bytes from the start; at most the length of the input.
    pub at: usize,
}

impl Json {
    /// Checks `bytes`, which may have white space around the value.
    ///
    /// # Errors
    /// When they are not exactly one JSON value in UTF-8, or one nested deeper than [`DEPTH_MAX`].
    pub fn parse(bytes: Bytes) -> Result<Self, NotJson> {
        let text =
            std::str::from_utf8(&bytes).map_err(|error| NotJson { at: error.valid_up_to() })?;
        if let Some(at) = beyond_depth(text.as_bytes()) {
            return Err(NotJson { at });
        }
        // Ignoring the value checks the whole grammar without building anything and without recursion.
        serde_json::from_str::<IgnoredAny>(text)
            .map_err(|error| NotJson { at: offset(text, error.line(), error.column()) })?;
        if !text.bytes().any(is_line_break) {
            return Ok(Self(bytes));
        }
        // Within a string JSON forbids raw line breaks, so every one that is left is white space.
        let one_line: Vec<u8> =
            text.bytes().map(|b| if is_line_break(b) { b' ' } else { b }).collect();
        Ok(Self(one_line.into()))
    }

    /// Takes bytes that an incremental parser or a writer of our own already vouches for.
    ///
    /// # Panics
    /// In debug builds, when [`parse`](Self::parse) would refuse or change them.
    #[must_use]
    pub fn vouched(bytes: Bytes) -> Self {
        debug_assert_eq!(
            Self::parse(bytes.clone()),
            Ok(Self(bytes.clone())),
            "vouched for, yet not JSON"
        );
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }
}

fn is_line_break(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

/// Where the nesting goes below [`DEPTH_MAX`], if it does. Brackets within strings do not count.
fn beyond_depth(text: &[u8]) -> Option<usize> {
    let opens = |&&byte: &&u8| matches!(byte, b'[' | b'{');
    if text.iter().filter(opens).count() <= DEPTH_MAX {
        return None;
    }
    let (mut depth, mut in_string, mut is_escaped) = (0_usize, false, false);
    for (at, byte) in text.iter().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_string => is_escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' if depth == DEPTH_MAX => return Some(at),
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}

/// Turns the parser's line and column (both from 1, in bytes) into an offset.
fn offset(text: &str, line: usize, column: usize) -> usize {
    let before: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    (before + column.saturating_sub(1)).min(text.len())
}

#[cfg(test)]
mod tests {
    use super::{DEPTH_MAX, Json, NotJson};
    use bytes::Bytes;
    use proptest::prelude::*;

    fn parse(text: &[u8]) -> Result<Json, NotJson> {
        Json::parse(Bytes::copy_from_slice(text))
    }

    #[test]
    fn every_kind_of_value_is_kept_byte_for_byte() {
        let values = [
            "null",
            "true",
            "false",
            "0",
            "-0",
            "1E400",
            "-12.50e-3",
            "\"\"",
            "\"\\ud800\"",
            "\"⚡\\\"\\u0000\"",
            "[]",
            "{}",
            " {\"a\" : [1, {\"b\":\"]}\"}]}\t",
            "{\"same\":1,\"same\":2}",
        ];
        for value in values {
            let json = parse(value.as_bytes()).unwrap_or_else(|error| panic!("{value}: {error:?}"));
            assert_eq!(json.bytes(), value);
        }
    }

    #[test]
    fn what_is_not_one_json_value_is_refused_where_it_ends() {
        let refused: [(&[u8], usize); 16] = [
            (b"", 0),
            (b"  ", 2),
            (b"tru", 3),
            (b"01", 1),
            (b"1 2", 2),
            (b"[1,]", 3),
            (b"{\"a\"}", 4),
            (b"{'a':1}", 1),
            (b"NaN", 0),
            (b"\"a\nb\"", 2),
            (b"\"\\x\"", 2),
            (b"\xEF\xBB\xBF1", 0),
            (b"\"\xFF\"", 1),
            (b"[\n1,\n x]", 6),
            (b"+1", 0),
            (b".5", 0),
        ];
        for (text, at) in refused {
            let error = parse(text).expect_err(&String::from_utf8_lossy(text));
            assert!(
                error.at.abs_diff(at) <= 1,
                "{}: {error:?}, not {at}",
                String::from_utf8_lossy(text)
            );
        }
    }

    #[test]
    fn line_breaks_between_tokens_become_spaces_and_nothing_is_copied_without_them() {
        let json = parse(b"{\r\n\"a\":\"\\n\",\n\"b\":1}\n").expect("valid");
        assert_eq!(json.bytes(), "{  \"a\":\"\\n\", \"b\":1} ");
        let bytes = Bytes::from_static(b"[1,2]");
        let json = Json::parse(bytes.clone()).expect("valid");
        assert_eq!(json.bytes().as_ptr(), bytes.as_ptr());
    }

    #[test]
    fn nesting_is_accepted_up_to_the_limit_and_brackets_in_strings_do_not_count() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse(nested(DEPTH_MAX - 1).as_bytes()).is_ok());
        assert!(parse(nested(DEPTH_MAX).as_bytes()).is_ok());
        assert_eq!(parse(nested(DEPTH_MAX + 1).as_bytes()), Err(NotJson { at: DEPTH_MAX }));
        assert!(parse(nested(1_000_000).as_bytes()).is_err());
        let flat = format!("[\"\\\"{}\",{}0]", "[".repeat(500), "{},[],".repeat(500));
        assert!(parse(flat.as_bytes()).is_ok());
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "vouched for")]
    fn vouching_for_what_is_not_json_panics_in_debug_builds() {
        let _ = Json::vouched(Bytes::from_static(b"{"));
    }

    fn value() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            ".*".prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
                prop::collection::vec((".*", inner), 0..6)
                    .prop_map(|fields| serde_json::Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    /// Bytes that are often nearly JSON.
    fn nearly_json() -> impl Strategy<Value = Vec<u8>> {
        let token = prop::sample::select(
            [
                "{", "}", "[", "]", ",", ":", "\"a\"", "\"", "1", "-", ".5", "e3", "true", "null",
                " ", "\n", "\\", "é",
            ]
            .as_slice(),
        );
        prop_oneof![
            prop::collection::vec(any::<u8>(), 0..24),
            prop::collection::vec(token, 0..10).prop_map(|tokens| tokens.concat().into_bytes()),
            (value(), any::<prop::sample::Index>(), any::<u8>()).prop_map(
                |(value, index, byte)| {
                    let mut text = value.to_string().into_bytes();
                    let at = index.index(text.len());
                    text[at] = byte;
                    text
                }
            ),
        ]
    }

    proptest! {
        #[test]
        fn written_values_parse_back_to_themselves_compact_and_indented(value in value()) {
            for text in [serde_json::to_vec(&value)?, serde_json::to_vec_pretty(&value)?] {
                let json = parse(&text).map_err(|error| TestCaseError::fail(format!("{error:?}")))?;
                prop_assert!(!json.bytes().iter().any(|&byte| byte == b'\n' || byte == b'\r'));
                prop_assert_eq!(&serde_json::from_slice::<serde_json::Value>(json.bytes())?,
                                &serde_json::from_slice::<serde_json::Value>(&text)?);
            }
        }

        #[test]
        fn random_bytes_are_judged_as_serde_json_judges_them(text in nearly_json()) {
            let ours = parse(&text);
            let raw = serde_json::from_slice::<serde_json::Value>(&text);
            match (&ours, &raw) {
                (Ok(json), Ok(value)) => prop_assert_eq!(&serde_json::from_slice::<serde_json::Value>(json.bytes())?, value),
                (Err(error), Err(_)) => prop_assert!(error.at <= text.len()),
                // A value also refuses what the grammar allows but it cannot hold.
                (Ok(_), Err(error)) => {
                    let reason = error.to_string();
                    prop_assert!(["out of range", "surrogate", "hex escape"].iter().any(|word| reason.contains(word)),
                                 "{reason}");
                }
                (Err(error), Ok(_)) => prop_assert!(false, "refused at {}", error.at),
            }
        }
    }
}
