//! Any bytes as a payload: no panic, and what is accepted is one line of JSON in UTF-8 that is accepted again,
//! unchanged.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use lineage::event::Json;

fuzz_target!(|data: &[u8]| {
    match Json::parse(Bytes::copy_from_slice(data)) {
        Ok(json) => {
            let bytes = json.bytes();
            assert_eq!(bytes.len(), data.len());
            assert!(!bytes.iter().any(|byte| matches!(byte, b'\r' | b'\n')));
            serde_json::from_slice::<serde::de::IgnoredAny>(bytes).expect("JSON for others too");
            assert_eq!(Json::parse(bytes.clone()).as_ref(), Ok(&json));
        }
        Err(error) => assert!(error.at <= data.len()),
    }
});
