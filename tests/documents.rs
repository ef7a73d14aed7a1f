//! The documents name what the code has: every metric, every option, every close code. Method: the tables that the code
//! itself reads are looked up in the documents; what is missing is told by name.

use lineage::Engine;
use lineage::config::{Config, Key, SourceChoice};
use lineage::session::CLOSE_CODES;
use lineage::telemetry::{EngineCounter, ShardCounter};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;

fn document(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The rows of all tables whose first cell is this, in backquotes or not.
fn rows<'a>(document: &'a str, cell: &str) -> Vec<&'a str> {
    let is_row = |line: &&str| {
        let first = line.strip_prefix("| ").and_then(|row| row.split(" | ").next());
        first.is_some_and(|first| first.trim_matches('`') == cell)
    };
    document.lines().filter(is_row).collect()
}

/// Names and kinds of scrapes of two engines: the simulation with everything on, and a replay.
fn exposed() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let mut simulated = Config::default();
    simulated.webhook.url = "http://127.0.0.1:9/hook".to_owned();
    simulated.store.path = folder.join(format!("documents-{}.db", std::process::id()));
    let path = folder.join("documents.jsonl");
    let frame = r#"1 {"stream":"btcusdt@trade","data":{}}"#;
    std::fs::write(&path, frame).expect("a folder for tests");
    let replayed =
        Config { source: SourceChoice::Replay { path, feed: None }, ..Config::default() };
    let mut exposed = scrape(simulated);
    exposed.extend(scrape(replayed));
    exposed.sort();
    exposed.dedup();
    exposed
}

fn scrape(config: Config) -> Vec<(String, String)> {
    let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
    let config = Config { ws: any_port, http: Some(any_port), metrics: Some(any_port), ..config };
    let engine = Engine::start(config).expect("free ports");
    let mut stream =
        TcpStream::connect(engine.addresses().metrics.expect("on")).expect("a listener");
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .expect("the server reads");
    let mut page = String::new();
    stream.read_to_string(&mut page).expect("a page, then the end");
    let kinds = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    kinds.map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect()
}

#[test]
fn s22_every_metric_of_a_real_scrape_is_explained_with_its_kind_and_no_other_is() {
    let text = document("metrics.md");
    let exposed = exposed();
    // Those of the process are described by its own convention.
    for (name, kind) in exposed.iter().filter(|(name, _)| !name.starts_with("process_")) {
        let rows = rows(&text, name);
        assert_eq!(rows.len(), 1, "docs/metrics.md explains {name} {} times", rows.len());
        assert!(rows[0].contains(&format!("| {kind} |")), "{name} is a {kind}, not: {}", rows[0]);
    }
    for line in text.lines().filter_map(|line| line.strip_prefix("| `")) {
        let name = line.split('`').next().unwrap_or_default();
        let is_there = exposed.iter().any(|(other, _)| other == name);
        assert!(is_there, "there is no metric {name}");
    }
}

#[test]
fn s20b_the_readme_shows_the_program_that_the_library_documents() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |name| std::fs::read_to_string(root.join(name)).expect("a file");
    let (readme, library) = (read("README.md"), read("src/engine/mod.rs"));
    let shown = readme.split("\n## Metrics of your own agents\n").nth(1).expect("the section");
    let shown = shown.split("\n## ").next().unwrap_or_default();
    let code: Vec<&str> = shown.lines().filter_map(|line| line.strip_prefix("    ")).collect();
    assert!(code.len() >= 5, "{code:?}");
    for line in code {
        // What the doctest runs is what the README shows.
        assert!(library.contains(&format!("/// {line}\n")), "not in src/engine/mod.rs: {line}");
    }
}

#[test]
fn a_metric_is_explained_in_the_words_of_its_table() {
    let text = document("metrics.md");
    let shard = ShardCounter::ALL.iter().map(|counter| counter.description());
    let engine = EngineCounter::ALL.iter().map(|counter| counter.description());
    for description in shard.chain(engine) {
        let row = rows(&text, description.name).concat();
        assert!(row.contains(description.help), "{}: {}", description.name, description.help);
        if let Some((_, value)) = description.label {
            assert!(row.contains(value), "{} has no `{value}`: {row}", description.name);
        }
    }
}

#[test]
fn every_option_is_explained_with_its_form_and_no_other_is() {
    let text = document("operations.md");
    let options = text.split("## Options").nth(1).and_then(|rest| rest.split("\n## ").next());
    let options = options.expect("the document has a section on options");
    for key in Key::ALL {
        let rows = rows(options, key.name);
        assert_eq!(rows.len(), 1, "docs/operations.md explains {} {} times", key.name, rows.len());
        let form = format!("| `{}` |", key.value.replace('|', "\\|"));
        assert!(rows[0].contains(&form), "{}: {form} is not in: {}", key.name, rows[0]);
        assert!(rows[0].contains(key.help), "{}: {}", key.name, key.help);
    }
    for line in options.lines().filter_map(|line| line.strip_prefix("| `")) {
        let name = line.split('`').next().unwrap_or_default();
        assert!(Key::ALL.iter().any(|key| key.name == name), "there is no option {name}");
    }
}

#[test]
fn every_close_code_is_explained_and_says_whether_to_come_back() {
    let text = document("protocol.md");
    for row in CLOSE_CODES {
        let rows = rows(&text, &row.code.code().to_string());
        assert_eq!(rows.len(), 1, "{:?}", row.code);
        let advice = if row.may_reconnect { "| yes" } else { "| no" };
        assert!(rows[0].contains(&format!("`{}`", row.word)), "{:?}: {}", row.code, rows[0]);
        assert!(rows[0].contains(advice), "{:?}: {}", row.code, rows[0]);
    }
}
