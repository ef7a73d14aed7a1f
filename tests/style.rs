//! The rules of the house, held by a test: sizes, module edges, where `unsafe` and memory orderings may stand, words.
//!
//! Method: read every source and document of the workspace, mask comments and literals, apply every rule, and print
//! all breaches at once. No dependencies. Each rule has a test of its own on a text that breaks it, so it can fail.

#[path = "style/edges.rs"]
mod edges;
#[path = "style/rules.rs"]
mod rules;
#[path = "style/source.rs"]
mod source;
#[path = "style/texts.rs"]
mod texts;

use source::Source;
use std::fs;
use std::path::{Path, PathBuf};

const SOURCE_FOLDERS: [&str; 6] =
    ["src", "xtask/src", "loadtest/src", "tests", "benches", "examples"];
const DOCUMENTS: [&str; 15] = [
    "README.md",
    "CHANGELOG.md",
    "docs",
    ".ci",
    ".cargo",
    "Cargo.toml",
    "xtask/Cargo.toml",
    "loadtest/Cargo.toml",
    "clippy.toml",
    "clients/js/README.md",
    "clients/js/package.json",
    "clients/js/build.mjs",
    "clients/js/src",
    "clients/js/tests",
    "clients/js/examples",
];

#[test]
fn the_sources_keep_the_rules_of_the_house() {
    let sources = sources();
    let lib =
        sources.iter().find(|source| source.path == "src/lib.rs").expect("the library has a root");
    let exports = edges::exports(lib);
    let mut found = Vec::new();
    for source in &sources {
        rules::size(source, &mut found);
        rules::opening(source, &mut found);
        rules::unsafe_code(source, &mut found);
        rules::orderings(source, &mut found);
        rules::sockets(source, &mut found);
        rules::names(source, &mut found);
        texts::source(source, &mut found);
        edges::breaches(source, &exports, &mut found);
    }
    assert!(found.is_empty(), "{} breaches:\n{}", found.len(), found.join("\n"));
}

#[test]
fn the_documents_keep_the_rules_of_the_house() {
    let mut found = Vec::new();
    let mut files = Vec::new();
    for document in DOCUMENTS {
        collect(&root().join(document), &mut files);
    }
    assert!(!files.is_empty(), "no documents under {}", root().display());
    for file in files {
        let path = below_root(&file);
        let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{path}: {error}"));
        texts::words(&path, &text, &mut found);
        if path.ends_with(".md") {
            texts::tracker_numbers(&path, &text, &mut found);
            texts::links(root(), &path, &text, &mut found);
        }
    }
    let changes = fs::read_to_string(root().join("CHANGELOG.md")).unwrap_or_default();
    texts::change_log(&changes, &mut found);
    assert!(found.is_empty(), "{} breaches:\n{}", found.len(), found.join("\n"));
}

/// Whether another file declares this one as `#[cfg(test)] mod name;`.
fn is_declared_as_test(source: &Source, sources: &[Source]) -> bool {
    let own = source.path.trim_end_matches(".rs").trim_end_matches("/mod");
    sources.iter().any(|parent| {
        let folder = parent.path.trim_end_matches(".rs");
        let folder = ["/mod", "/lib", "/main"]
            .iter()
            .find_map(|root| folder.strip_suffix(root))
            .unwrap_or(folder);
        let Some(name) = own.strip_prefix(folder).and_then(|below| below.strip_prefix('/')) else {
            return false;
        };
        let declaration = format!("mod {name};");
        parent.code.match_indices(&declaration).any(|(at, _)| parent.is_test(at))
    })
}

/// Every Rust file of the workspace.
fn sources() -> Vec<Source> {
    let mut files = Vec::new();
    for folder in SOURCE_FOLDERS {
        collect(&root().join(folder), &mut files);
    }
    let rust = files
        .into_iter()
        .filter(|file| file.extension().is_some_and(|extension| extension == "rs"));
    let read = rust.map(|file| {
        let path = below_root(&file);
        let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{path}: {error}"));
        Source::new(path, text)
    });
    let mut sources: Vec<Source> = read.collect();
    for at in 0..sources.len() {
        if is_declared_as_test(&sources[at], &sources) {
            sources[at].is_test_file = true;
        }
    }
    sources
}

/// The files at and below `path`, build output and fuzzing finds left out; nothing if there is no such path.
fn collect(path: &Path, files: &mut Vec<PathBuf>) {
    if path.is_file() {
        files.push(path.to_owned());
        return;
    }
    let left_out = ["target", "corpus", "artifacts"].iter().any(|name| path.ends_with(name));
    let Ok(entries) = fs::read_dir(path) else { return };
    if !left_out {
        let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        paths.sort();
        paths.iter().for_each(|path| collect(path, files));
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn below_root(file: &Path) -> String {
    let path = file.strip_prefix(root()).expect("files are collected below the root");
    path.to_string_lossy().replace('\\', "/")
}

#[test]
fn a_module_declared_for_tests_is_a_test_file() {
    let parent = Source::new("src/ring/mod.rs", "mod slot;\n#[cfg(test)]\nmod tests;\n");
    let sources =
        [parent, Source::new("src/ring/tests.rs", ""), Source::new("src/ring/slot.rs", "")];
    assert!(is_declared_as_test(&sources[1], &sources));
    assert!(!is_declared_as_test(&sources[2], &sources));
}
