//! Any file as a recording of each feed: no panic, it is read to its end, and every frame that is taken has the
//! name of a topic and a payload that is JSON on one line.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lineage::event::{Json, Pattern};
use lineage::source::replay::{Entry, Feed, Recording};
use std::path::PathBuf;
use std::sync::LazyLock;

/// Recordings are files; one per process, written anew for each input.
static FILE: LazyLock<PathBuf> =
    LazyLock::new(|| std::env::temp_dir().join(format!("replay_line-{}", std::process::id())));

fuzz_target!(|data: &[u8]| {
    std::fs::write(&*FILE, data).expect("the temporary folder takes a file");
    for feed in Feed::ALL.map(Some).into_iter().chain([None]) {
        let Ok(mut recording) = Recording::open(&FILE, feed) else { continue };
        let mut lines = 0;
        while let Ok(Some(entry)) = recording.next_entry() {
            lines += 1;
            match entry {
                Entry::Frame(frame) => {
                    let topic = Pattern::parse(frame.topic).expect("a topic has a name");
                    assert!(topic.is_exact() && !topic.has_reserved_kind(), "{topic:?}");
                    let checked = Json::parse(frame.payload.bytes().clone());
                    assert_eq!(checked.as_ref(), Ok(&frame.payload));
                }
                Entry::Bad(bad) => assert_eq!(bad.number, lines),
            }
        }
    }
});
