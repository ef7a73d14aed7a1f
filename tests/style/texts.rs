//! The rules that look at words rather than at code: in sources, documents and configuration alike.

use crate::source::Source;
use std::path::Path;

/// Words in pieces (so that this file does not hold them) and what is wrong with them.
const WORDS: &[(&[&str], &str)] = &[
    (&["to", "do!("], "write it"),
    (&["// to", "do"], "do it, or leave it out"),
    (&["fix", "me"], "fix it"),
    (&["xx", "x:"], "say what is meant"),
    (&["unimple", "mented!("], "write it"),
    (&["not yet", " implemented"], "say \"not in this version\" in the docs, nothing in the code"),
    (&["for ", "now"], "say what holds; the history has the rest"),
    (&["place", "holder text"], "write the text"),
    (&["/wo", "rk/"], "no paths of one machine"),
    (&["/ro", "ot/"], "no paths of one machine"),
    (&["/tmp/", "bash"], "no paths of one machine"),
    (&["/ho", "me/"], "no paths of one machine"),
    (&["assis", "tant"], "who wrote it is the history's business"),
    (&["chat", "bot"], "who wrote it is the history's business"),
    (&["language ", "model"], "who wrote it is the history's business"),
    (&["co-", "authored-by"], "who wrote it is the history's business"),
    (&["static.", "crates.io"], "no registry hosts"),
    (&["index.", "crates.io"], "no registry hosts"),
    (&["proxy.", "golang"], "no registry hosts"),
    (&["arti", "factory"], "no registry hosts"),
];

/// Banned words anywhere in a file.
pub(crate) fn words(path: &str, text: &str, found: &mut Vec<String>) {
    let lower = text.to_lowercase();
    for (pieces, instead) in WORDS {
        let word = pieces.concat();
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        let is_open = word.ends_with(is_part);
        for at in lower.match_indices(&word).map(|(at, _)| at) {
            if is_open && lower[at + word.len()..].starts_with(is_part) {
                continue;
            }
            let line = 1 + lower[..at].matches('\n').count();
            found.push(format!("{path}:{line}: `{word}`: {instead}"));
        }
    }
}

/// Numbers of a tracker, in comments and documents: the reason stands beside the code, or in the history.
pub(crate) fn tracker_numbers(path: &str, prose: &str, found: &mut Vec<String>) {
    let lower = prose.to_lowercase();
    for lead in ["#", "issue ", "ticket ", "card ", "session "] {
        for at in lower.match_indices(lead).map(|(at, _)| at) {
            let before = lower[..at].chars().next_back();
            let digits = lower[at + lead.len()..].chars().take_while(char::is_ascii_digit).count();
            let behind = lower[at + lead.len() + digits..].chars().next();
            let is_word = |c: Option<char>| {
                c.is_some_and(|c| c.is_alphanumeric() || "#&/`\"'_:(".contains(c))
            };
            let starts = !is_word(before) || (lead == "#" && before == Some('('));
            if starts && (1..=5).contains(&digits) && !behind.is_some_and(char::is_alphanumeric) {
                let line = 1 + lower[..at].matches('\n').count();
                found.push(format!("{path}:{line}: a tracker's number: give the reason in words"));
            }
        }
    }
}

/// Links of a document to files that do not exist.
pub(crate) fn links(root: &Path, path: &str, text: &str, found: &mut Vec<String>) {
    let folder = root.join(path).parent().map(Path::to_path_buf).unwrap_or_default();
    let mut inside_code = false;
    for (number, line) in text.lines().enumerate() {
        inside_code ^= line.trim_start().starts_with("```");
        if inside_code {
            continue;
        }
        for target in line.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = target.split('#').next().unwrap_or_default();
            let is_elsewhere =
                target.contains("://") || target.starts_with("mailto:") || file.is_empty();
            if !is_elsewhere && !folder.join(file).exists() {
                found.push(format!("{path}:{}: the link to {target} leads nowhere", number + 1));
            }
        }
    }
}

/// A change log that has no place for the next change.
pub(crate) fn change_log(text: &str, found: &mut Vec<String>) {
    let is_unreleased =
        |line: &str| line.trim_start_matches("## ").trim_matches(['[', ']']) == "Unreleased";
    if !text.lines().any(|line| line.starts_with("## ") && is_unreleased(line)) {
        found.push("CHANGELOG.md: has no section `## Unreleased`".to_owned());
    }
}

/// The rules of this file on a Rust source.
pub(crate) fn source(source: &Source, found: &mut Vec<String>) {
    words(&source.path, &source.text, found);
    tracker_numbers(&source.path, &source.comments, found);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_banned_word_is_found() {
        for (pieces, _) in WORDS {
            let mut found = Vec::new();
            words(
                "a.rs",
                &format!("first\nsome {} text", pieces.concat().to_uppercase()),
                &mut found,
            );
            assert_eq!(found.len(), 1, "{pieces:?}");
            assert!(found[0].starts_with("a.rs:2: "), "{found:?}");
        }
        let mut found = Vec::new();
        words("a.rs", &format!("{} {}adays", "for", "now"), &mut found);
        assert_eq!(found, [""; 0], "a longer word that begins like a banned one");
    }

    #[test]
    fn a_tracker_number_is_found_in_prose_only() {
        let count = |text: &str| {
            let source_of = Source::new("a.rs", text);
            let mut found = Vec::new();
            source(&source_of, &mut found);
            found.len()
        };
        for number in ["#12", "(#7)", "issue 12", "Session 4.", "see ticket 3,"] {
            assert_eq!(count(&format!("// because of {number}\n")), 1, "{number}");
        }
        for other in [
            "let a = \"#12\";",
            "// `#12` is a colour",
            "// a#1",
            "// #hash",
            "// sessions 4",
            "// #1f2937",
        ] {
            assert_eq!(count(other), 0, "{other}");
        }
    }

    #[test]
    fn a_dead_link_is_found() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let count = |text: &str| {
            let mut found = Vec::new();
            links(root, "tests/a.md", text, &mut found);
            found.len()
        };
        assert_eq!(
            count("[a](../Cargo.toml) [b](../Cargo.toml#x) [c](https://example.org/x) [d](#here)"),
            0
        );
        assert_eq!(count("[a](nowhere.md) and [b](../src/nowhere.rs#x)"), 2);
        assert_eq!(count("```\n[a](nowhere.md)\n```\n"), 0);
    }

    #[test]
    fn a_change_log_without_a_place_for_the_next_change_is_found() {
        let count = |text: &str| {
            let mut found = Vec::new();
            change_log(text, &mut found);
            found.len()
        };
        assert_eq!(count("# Changes\n## Unreleased\n"), 0);
        assert_eq!(count("# Changes\n## [Unreleased]\n"), 0);
        assert_eq!(count("# Changes\n## 0.1.0\nUnreleased\n"), 1);
    }
}
