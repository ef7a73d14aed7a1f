//! Any two texts as a pattern and the name of a topic: no panic, what is accepted is within the grammar, and
//! matching agrees with the plain reading of the protocol.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lineage::event::{NAME_BYTES_MAX, Pattern};

fuzz_target!(|texts: (&str, &str)| {
    let (pattern, name) = texts;
    let Ok(parsed) = Pattern::parse(pattern) else { return };
    assert_eq!(parsed.as_str(), pattern);
    assert!(pattern.len() <= NAME_BYTES_MAX);
    assert_eq!(parsed.is_all(), pattern == "*");
    assert_eq!(parsed.is_exact(), !pattern.contains('*'));
    assert!(parsed.is_exact() || !parsed.has_reserved_kind());
    let Ok(topic) = Pattern::parse(name) else { return };
    if topic.is_exact() {
        assert_eq!(parsed.matches(name), matches(pattern, name), "{pattern} {name}");
    }
});

/// Segment by segment: a final `*` stands for one or more segments.
fn matches(pattern: &str, name: &str) -> bool {
    let (mut wanted, mut given) = (pattern.split(':'), name.split(':'));
    loop {
        match (wanted.next(), given.next()) {
            (Some("*"), Some(_)) | (None, None) => return true,
            (Some(wanted), Some(given)) if wanted == given => {}
            _ => return false,
        }
    }
}
