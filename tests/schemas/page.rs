//! The JavaScript of the document, which is to live without a client library: run as it stands there.
//!
//! Method: Node runs it in a page without a network (`page.mjs`), plays the worked example to it, and then what the
//! example does not have: holes, gaps that owe a value, silence, close codes.

use super::document::{fences, text};
use std::io::Write as _;
use std::process::{Command, Stdio};

#[test]
fn the_page_of_the_document_resumes_where_the_worked_example_does() {
    let text = text();
    let scripts = fences(&text, "js");
    assert_eq!(scripts.len(), 1);
    let lines: Vec<&str> = fences(&text, "session").iter().flat_map(|part| part.lines()).collect();
    let input = serde_json::json!({"code": scripts[0], "lines": lines}).to_string();
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/schemas/page.mjs");
    let mut node = Command::new("node")
        .arg(page)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("node, which this test needs (Debian package nodejs), starts");
    let mut stdin = node.stdin.take().expect("a pipe");
    stdin.write_all(input.as_bytes()).expect("node reads");
    drop(stdin);
    let output = node.wait_with_output().expect("node ends");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
}
