//! What `docs/protocol.md` holds for programs: the frames in its fences, its worked example, its tables.

use serde_json::value::RawValue;
use std::path::Path;

/// The text of the document.
pub(crate) fn text() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/protocol.md");
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The contents of all fences in this language.
pub(crate) fn fences<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let opening = format!("\n```{language}\n");
    let behind = text.split(opening.as_str()).skip(1);
    behind.map(|rest| rest.split("```").next().unwrap_or_default()).collect()
}

/// The text of every frame, message and body in the document: in `json` fences one behind the other, of an array
/// each element; in `session` fences behind the marks; in event streams behind `data:`.
pub(crate) fn examples(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for fence in fences(text, "json") {
        for value in serde_json::Deserializer::from_str(fence).into_iter::<&RawValue>() {
            let value = value.unwrap_or_else(|error| panic!("{error}: {fence}")).get();
            match serde_json::from_str::<Vec<&RawValue>>(value) {
                Ok(items) => found.extend(items.iter().map(|item| item.get().to_owned())),
                Err(_) => found.push(value.to_owned()),
            }
        }
    }
    let marked = fences(text, "session").into_iter().chain(fences(text, "text"));
    for line in marked.flat_map(str::lines) {
        let marks = ["< ", "> ", "! ", "data: "];
        found.extend(marks.iter().find_map(|mark| line.strip_prefix(mark)).map(str::to_owned));
    }
    found
}

/// The section with this heading, without those below it of the same level.
pub(crate) fn section<'a>(text: &'a str, heading: &str) -> &'a str {
    let rest = text.split(&format!("\n## {heading}\n")).nth(1);
    let rest = rest.unwrap_or_else(|| panic!("there is no section {heading}"));
    rest.split("\n## ").next().unwrap_or_default()
}

/// The cells of the rows of the section's tables, without heads and lines.
pub(crate) fn rows(section: &str) -> Vec<Vec<&str>> {
    let lines: Vec<&str> = section.lines().collect();
    let is_head = |at: usize| lines.get(at + 1).is_some_and(|line| line.starts_with("|---"));
    let rows =
        lines.iter().enumerate().filter(|(at, line)| line.starts_with("| ") && !is_head(*at));
    rows.map(|(_, line)| line.trim_matches('|').split(" | ").map(str::trim).collect()).collect()
}

#[test]
fn examples_are_found_in_every_kind_of_fence() {
    let text = "a\n```json\n{\"a\":1}\n[{\"b\":2},\n {\"c\":3}]\n```\n```session\n* connect\n< {\"d\":4}\n```\n\
        ```text\nid: 1\ndata: {\"e\":5}\n```\n```js\n{\"f\":6}\n```\n";
    assert_eq!(
        examples(text),
        [r#"{"a":1}"#, r#"{"b":2}"#, r#"{"c":3}"#, r#"{"d":4}"#, r#"{"e":5}"#]
    );
    let table = "\n## One\n| a | b |\n|---|---|\n| 1 | `2` |\n## Two\n| 3 | 4 |\n";
    assert_eq!(rows(section(table, "One")), [["1", "`2`"]]);
}
