//! Which module may use which. The table is the architecture: an arrow that is not in it needs a discussion first.

use crate::source::{Source, identifier, words};
use std::collections::HashSet;

/// A module, and what it may use of the crate: `name`, or `name(what of it …)`.
const EDGES: &[(&str, &str)] = &[
    ("sync", ""),
    ("clock", ""),
    ("error", ""),
    ("kernel", ""),
    ("event", ""),
    ("api", ""),
    ("wake", "sync"),
    ("log", "sync"),
    ("telemetry", "event sync clock error"),
    ("ring", "sync wake"),
    ("encode", "event ring log wake telemetry clock sync"),
    ("snapshot", "event log encode error sync"),
    ("session", "event encode(frame names) clock telemetry error"),
    ("shard", "event ring log encode snapshot session wake telemetry clock sync kernel error"),
    (
        "source",
        "event ring(Full) encode(Publisher SharedPublisher OnFull) clock telemetry error sync",
    ),
    (
        "simulation",
        "event source api clock telemetry error sync ring(Full) encode(Publisher SharedPublisher OnFull)",
    ),
    ("feeds", "event clock"),
    (
        "pipeline",
        "event feeds source api clock telemetry error sync ring(Full) \
         encode(Publisher SharedPublisher OnFull Tap Tapped Missed)",
    ),
    ("store", "event api clock telemetry error sync encode(Tap Tapped Missed)"),
    ("server", "session shard encode telemetry clock error sync kernel"),
    (
        "http",
        "api event log session shard snapshot telemetry encode clock error sync ring(Full) source(FlowGate)",
    ),
    ("client", "event error"),
    (
        "config",
        "error shard(Options Coalesce) session(Options) server(Options) http(Options PublishAccess) \
         source(Options replay) feeds(Options) simulation(Options Symbol TradeLines EVENTS_PER_S_MAX hub chain) \
         pipeline(Options AlertOptions WebhookOptions) store(Options) log(Options) encode(Options) telemetry(Options)",
    ),
    ("engine", "*"),
    ("main", "engine config client simulation error clock telemetry cli"),
    (
        "cli",
        "engine config client simulation error clock telemetry event encode(json) feeds source(replay)",
    ),
];

/// Modules of the program rather than of the library: to them the library is `lineage::`.
const PROGRAM: [&str; 2] = ["main", "cli"];

/// Names that `lib.rs` re-exports, and the module each comes from.
pub(crate) type Exports = Vec<(String, String)>;

/// What `lib.rs` re-exports: `pub use module::Name;` and `pub use module::{Name, Other};`.
pub(crate) fn exports(lib: &Source) -> Exports {
    let uses = words(&lib.code, "pub").filter_map(|at| {
        let tree = lib.code[at + 3..].trim_start().strip_prefix("use ")?;
        Some(paths(tree.strip_prefix("crate::").unwrap_or(tree)))
    });
    uses.flatten().filter_map(|(module, name)| Some((name?, module))).collect()
}

/// Uses of modules that the table does not allow.
pub(crate) fn breaches(source: &Source, exports: &Exports, found: &mut Vec<String>) {
    let Some(module) = module(&source.path) else { return };
    let Some((_, allowed)) = EDGES.iter().find(|(name, _)| *name == module) else {
        found.push(format!(
            "{}: module `{module}` is not in the table of tests/style/edges.rs",
            source.path
        ));
        return;
    };
    let mut told = HashSet::new();
    for (at, used, name) in uses(source, module) {
        let from =
            exports.iter().find(|(export, _)| *export == used).map_or(&*used, |(_, from)| from);
        let name = if from == used { name.as_deref() } else { Some(&*used) };
        if !source.is_test(at)
            && from != module
            && !allows(allowed, from, name)
            && told.insert(used.clone())
        {
            let line = source.line(at);
            let what = name.map(|name| format!("::{name}")).unwrap_or_default();
            found.push(format!(
                "{}:{line}: `{module}` may not use `{from}{what}`; it may use: {allowed}",
                source.path
            ));
        }
    }
}

fn allows(allowed: &str, module: &str, name: Option<&str>) -> bool {
    if allowed == "*" {
        return true;
    }
    let mut rest = allowed;
    while let Some(entry) = identifier(rest.trim_start()) {
        rest = &rest.trim_start()[entry.len()..];
        let of_it = rest.strip_prefix('(').and_then(|inside| inside.split_once(')'));
        if let Some((only, after)) = of_it {
            rest = after;
            if entry == module {
                return name.is_some_and(|name| only.split(' ').any(|one| one == name));
            }
        } else if entry == module {
            return true;
        }
    }
    false
}

/// The module a file belongs to; none for files outside `src` and for `lib.rs`, which knows everyone.
fn module(path: &str) -> Option<&str> {
    let module = path.strip_prefix("src/")?.split('/').next()?;
    Some(module.trim_end_matches(".rs")).filter(|&module| module != "lib")
}

/// Every use of a module of the crate: where, which one, and what of it.
fn uses(source: &Source, module: &str) -> Vec<(usize, String, Option<String>)> {
    let depth = source.path.trim_end_matches("/mod.rs").matches('/').count();
    let root =
        if PROGRAM.contains(&module) { "lineage::".to_owned() } else { "crate::".to_owned() };
    let above = "super::".repeat(depth);
    let mut found = Vec::new();
    for prefix in [&root, &above] {
        for (at, _) in source.code.match_indices(&**prefix) {
            let before = source.code[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
                continue;
            }
            let mut used = paths(&source.code[at + prefix.len()..]);
            // In an inner module the same `super::` means the file's own module: only names of modules count.
            used.retain(|(used, _)| prefix == &root || EDGES.iter().any(|(name, _)| name == used));
            found.extend(used.into_iter().map(|(used, name)| (at, used, name)));
        }
    }
    found
}

/// The first two names of every path in a tree such as `{ring::{Full, Publisher}, log}` or `ring::Full`.
fn paths(tree: &str) -> Vec<(String, Option<String>)> {
    let mut all = Vec::new();
    for branch in branches(tree) {
        let Some(first) = identifier(branch) else { continue };
        let rest = branch[first.len()..].trim_start();
        let seconds = rest.strip_prefix("::").map(|below| branches(below.trim_start()));
        let names = seconds.unwrap_or_default();
        let names =
            names.iter().filter_map(|below| identifier(below)).filter(|&name| name != "self");
        let before = all.len();
        all.extend(names.map(|name| (first.to_owned(), Some(name.to_owned()))));
        if all.len() == before {
            all.push((first.to_owned(), None));
        }
    }
    all
}

/// The parts of `{a, b::{c, d}}`, or the one path itself.
fn branches(tree: &str) -> Vec<&str> {
    let Some(inside) = tree.strip_prefix('{') else { return vec![tree] };
    let (mut depth, mut start, mut parts) = (0, 0, Vec::new());
    for (at, byte) in inside.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 0 => {
                parts.push(inside[start..at].trim());
                return parts;
            }
            b'}' => depth -= 1,
            b',' if depth == 0 => {
                parts.push(inside[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaches_of(path: &str, text: &str) -> Vec<String> {
        let lib = Source::new(
            "src/lib.rs",
            "pub use engine::Engine;\npub use crate::event::{Event, Topic};",
        );
        let mut found = Vec::new();
        breaches(&Source::new(path, text), &exports(&lib), &mut found);
        found
    }

    #[test]
    fn a_forbidden_edge_is_found_in_every_form() {
        for text in [
            "use crate::shard::Group;",
            "use crate::{sync::Arc, shard};",
            "use crate::{\n    sync::{Arc, Mutex},\n    shard::{Group, Inbox},\n};",
            "fn f() { crate::shard::run(); }",
            "use super::shard;",
            "pub(in crate::shard) fn f() {}",
            "use crate::Engine;",
        ] {
            assert_eq!(breaches_of("src/wake.rs", text).len(), 1, "{text}");
        }
        assert_eq!(breaches_of("src/log/segment.rs", "use super::super::ring;").len(), 1);
        assert_eq!(breaches_of("src/log/mod.rs", "use super::ring::Full;").len(), 1);
        assert_eq!(breaches_of("src/cli.rs", "use lineage::ring;").len(), 1);
        assert_eq!(breaches_of("src/novel.rs", "").len(), 1);
    }

    #[test]
    fn an_allowed_edge_is_not_found() {
        for (path, text) in [
            ("src/wake.rs", "use crate::sync::{Arc, Flag};"),
            (
                "src/ring/slot.rs",
                "use crate::{sync, wake::Wake};\nuse super::Full;\nuse crate::ring::Full;",
            ),
            ("src/ring/mod.rs", "mod inner { use super::Full; }"),
            ("src/encode/json.rs", "use crate::Event;"),
            ("src/engine.rs", "use crate::{http, shard};"),
            ("src/main.rs", "use lineage::{Engine, config::Config};\nmod cli;\nuse crate::cli;"),
            ("src/wake.rs", "// crate::shard\n#[cfg(test)]\nmod tests { use crate::shard; }"),
            ("tests/ring.rs", "use lineage::ring;"),
        ] {
            assert_eq!(breaches_of(path, text), [""; 0], "{text}");
        }
    }

    #[test]
    fn an_edge_may_be_open_for_some_names_only() {
        assert_eq!(breaches_of("src/source/mod.rs", "use crate::encode::Publisher;"), [""; 0]);
        for text in [
            "use crate::encode::Role;",
            "use crate::encode;",
            "use crate::encode::{Publisher, Role};",
        ] {
            assert_eq!(breaches_of("src/source/mod.rs", text).len(), 1, "{text}");
        }
    }
}
