//! The rules that look at one file at a time. Each pushes one line per breach: where, what, and what to do instead.

use crate::source::{Source, words};

const FILE_LINES_MAX: usize = 400;
const FUNCTION_LINES_MAX: usize = 70;
const FOLDERS_MAX: usize = 2;

/// The order of two atomic operations is a matter for these alone; the rest uses the verbs of `sync`.
const ORDERING_ALLOWED: [&str; 6] =
    ["src/sync", "src/ring/", "src/log/", "src/wake", "src/telemetry", "src/encode/role"];
const ORDERINGS: [&str; 5] = ["Relaxed", "Acquire", "Release", "AcqRel", "SeqCst"];

/// Memory is touched by hand in these alone.
const UNSAFE_ALLOWED: [&str; 3] = ["src/ring/", "src/log/", "src/kernel.rs"];

/// Parts of the library that know neither the runtime nor the sockets.
const WITHOUT_SOCKETS: [&str; 6] = ["session", "ring", "log", "sync", "wake", "event"];
const SOCKETS: [&str; 7] =
    ["tokio", "mio", "hyper", "hyper_util", "socket2", "tokio_tungstenite", "tungstenite"];

/// Files that cannot be read in one sitting, or lie too deep to be found.
pub(crate) fn size(source: &Source, found: &mut Vec<String>) {
    let lines = source.text.lines().count();
    if lines > FILE_LINES_MAX {
        found.push(format!(
            "{}: {lines} lines; split it by concept, {FILE_LINES_MAX} at most",
            source.path
        ));
    }
    for function in source.functions().iter().filter(|function| function.lines > FUNCTION_LINES_MAX)
    {
        let (line, lines, name) = (source.line(function.at), function.lines, &function.name);
        found.push(format!(
            "{}:{line}: fn {name} has {lines} lines; {FUNCTION_LINES_MAX} at most",
            source.path
        ));
    }
    let folders = source.path.strip_prefix("src/").map_or(0, |below| below.matches('/').count());
    if folders > FOLDERS_MAX {
        found.push(format!("{}: {folders} folders below src; {FOLDERS_MAX} at most", source.path));
    }
}

/// Files that do not say what they are for.
pub(crate) fn opening(source: &Source, found: &mut Vec<String>) {
    if !source.text.starts_with("//! ") {
        found.push(format!(
            "{}:1: begin with `//!`: what the file is for and what it never does",
            source.path
        ));
    }
}

/// `unsafe` outside the modules that answer for it. Tests and benches may, if they allow it with a reason.
pub(crate) fn unsafe_code(source: &Source, found: &mut Vec<String>) {
    let allowed = UNSAFE_ALLOWED.iter().any(|place| source.path.starts_with(place));
    let outside =
        ["tests/", "benches/", "examples/"].iter().any(|place| source.path.starts_with(place));
    let with_reason = outside && source.code.contains("(unsafe_code, reason");
    if allowed || with_reason {
        return;
    }
    for at in words(&source.code, "unsafe") {
        let line = source.line(at);
        found.push(format!("{}:{line}: `unsafe` belongs to ring, log and kernel.rs", source.path));
    }
}

/// Memory orderings outside the modules that explain them.
pub(crate) fn orderings(source: &Source, found: &mut Vec<String>) {
    let allowed = ORDERING_ALLOWED.iter().any(|place| source.path.starts_with(place));
    if allowed || !source.path.starts_with("src/") {
        return;
    }
    for at in words(&source.code, "Ordering").filter(|&at| !source.is_test(at)) {
        let behind = source.code[at + "Ordering".len()..].trim_start_matches("::");
        let statement = source.code[..at].rfind([';', '}']).map_or(0, |end| end + 1);
        let named = ORDERINGS.iter().any(|ordering| behind.starts_with(ordering));
        if named || source.code[statement..at].contains("atomic::") {
            let line = source.line(at);
            found.push(format!(
                "{}:{line}: `Ordering` belongs to {ORDERING_ALLOWED:?}; use sync's verbs",
                source.path
            ));
        }
    }
}

/// Sockets and runtimes where only bytes belong.
pub(crate) fn sockets(source: &Source, found: &mut Vec<String>) {
    let is_place = |module: &&&str| {
        let below = source.path.strip_prefix("src/").and_then(|path| path.strip_prefix(**module));
        below.is_some_and(|rest| rest.starts_with(['/', '.']))
    };
    let Some(module) = WITHOUT_SOCKETS.iter().find(is_place) else { return };
    for name in SOCKETS {
        for at in words(&source.code, name).filter(|&at| !source.is_test(at)) {
            let line = source.line(at);
            found.push(format!(
                "{}:{line}: `{module}` sees no `{name}`: bytes in, bytes out",
                source.path
            ));
        }
    }
}

/// Names that say nothing, and what to write instead.
pub(crate) fn names(source: &Source, found: &mut Vec<String>) {
    let stem = source.path.rsplit('/').next().unwrap_or_default().trim_end_matches(".rs");
    if ["utils", "util", "helpers", "helper", "manager", "common", "misc"].contains(&stem) {
        found.push(format!("{}: name the file after the one concept in it", source.path));
    }
    for function in source.functions().iter().filter(|function| function.name.starts_with("get_")) {
        let (line, name) = (source.line(function.at), &function.name);
        found.push(format!("{}:{line}: fn {name}: a noun without `get_`", source.path));
    }
    for (word, instead) in
        [("Manager", "what it does"), ("Helper", "what it is"), ("Utils", "the concept")]
    {
        let mut rest = 0;
        while let Some(at) = source.code[rest..].find(word).map(|at| rest + at) {
            let line = source.line(at);
            found.push(format!(
                "{}:{line}: `{word}` in a name: name it after {instead}",
                source.path
            ));
            rest = at + word.len();
        }
    }
    for at in source.code.match_indices("#[ignore").map(|(at, _)| at) {
        let line = source.line(at);
        found.push(format!(
            "{}:{line}: an ignored test proves nothing: make it fast or delete it",
            source.path
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Rule = fn(&Source, &mut Vec<String>);

    fn count(rule: Rule, path: &str, text: &str) -> usize {
        let mut found = Vec::new();
        rule(&Source::new(path, text), &mut found);
        found.len()
    }

    #[test]
    fn long_files_long_functions_and_deep_folders_are_found() {
        assert_eq!(count(size, "src/a.rs", &"x\n".repeat(400)), 0);
        assert_eq!(count(size, "src/a.rs", &"x\n".repeat(401)), 1);
        let function = |lines: usize| format!("fn a() {{\n{}}}\n", "x;\n".repeat(lines - 2));
        assert_eq!(count(size, "src/a.rs", &function(70)), 0);
        assert_eq!(count(size, "src/a.rs", &function(71)), 1);
        assert_eq!(count(size, "src/a/b/c.rs", ""), 0);
        assert_eq!(count(size, "src/a/b/c/d.rs", ""), 1);
    }

    #[test]
    fn a_file_that_does_not_say_what_it_is_for_is_found() {
        assert_eq!(count(opening, "src/a.rs", "//! What.\n"), 0);
        assert_eq!(count(opening, "src/a.rs", "// What.\n"), 1);
        assert_eq!(count(opening, "src/a.rs", "use x;\n//! What.\n"), 1);
    }

    #[test]
    fn unsafe_outside_its_places_is_found() {
        let text = "fn a() { unsafe { b() } } // unsafe\n#[allow(unsafe_code)] mod c;";
        for (path, expected) in [
            ("src/ring/slot.rs", 0),
            ("src/kernel.rs", 0),
            ("src/shard/mod.rs", 1),
            ("src/ringing.rs", 1),
            ("tests/a.rs", 1),
        ] {
            assert_eq!(count(unsafe_code, path, text), expected, "{path}");
        }
        let reason =
            "#![allow(unsafe_code, reason = \"an allocator that counts\")]\nunsafe impl A for B {}";
        assert_eq!(count(unsafe_code, "tests/a.rs", reason), 0);
        assert_eq!(count(unsafe_code, "src/a.rs", reason), 1);
    }

    #[test]
    fn memory_orderings_outside_their_places_are_found() {
        for text in ["a.load(Ordering::Relaxed)", "use std::sync::atomic::{AtomicU64, Ordering};"] {
            for (path, expected) in [
                ("src/sync.rs", 0),
                ("src/encode/role.rs", 0),
                ("src/encode/tap.rs", 1),
                ("benches/a.rs", 0),
            ] {
                assert_eq!(count(orderings, path, text), expected, "{path} {text}");
            }
        }
        assert_eq!(count(orderings, "src/a.rs", "use std::cmp::Ordering; Ordering::Less"), 0);
    }

    #[test]
    fn sockets_in_the_parts_without_io_are_found() {
        let text = "use tokio::net::TcpStream;";
        for (path, expected) in [
            ("src/session/mod.rs", 1),
            ("src/log/a.rs", 1),
            ("src/wake.rs", 1),
            ("src/server/mod.rs", 0),
        ] {
            assert_eq!(count(sockets, path, text), expected, "{path}");
        }
        assert_eq!(count(sockets, "src/log/a.rs", "// tokio\n#[cfg(test)] mod t { use mio; }"), 0);
    }

    #[test]
    fn empty_names_are_found() {
        assert_eq!(count(names, "src/utils.rs", ""), 1);
        assert_eq!(
            count(names, "src/a.rs", "fn get_x() {}\nstruct ConnManager;\n#[ignore = \"slow\"]"),
            3
        );
        assert_eq!(count(names, "src/a.rs", "fn target_x() {}\nfn widget() {} // Manager"), 0);
    }
}
