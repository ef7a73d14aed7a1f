//! The table of the product's items in `docs/testing.md` is what the sources say: a test of an item carries its id.
//!
//! Method: every `fn s01_…` (or `s08_s09_…`) of the sources is collected, the table is written from them and compared
//! with the document; an item without a test is told by its id. `UPDATE=1 cargo test --test items` writes the table.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Items and what each asks for. Those of [`ELSEWHERE`] may have no test of this name.
const ITEMS: [(&str, &str); 57] = [
    ("S01", "connect and read, without a subscribe"),
    ("S02", "prices of BTC-USD and ETH-USD, at the interval of the profile"),
    ("S03", "states of the agents, at the interval of the profile"),
    ("S04", "1,000 clients on defaults, more with more descriptors"),
    ("S05", "pings, and the end of peers that are silent"),
    ("S06", "dead connections go at once; one bad client harms no other"),
    ("S07", "events are JSON"),
    ("S08", "bytes of the legacy price"),
    ("S09", "bytes of the legacy agent"),
    ("S09b", "forms of an agent's action"),
    ("S10", "the nested form of both"),
    ("S11", "`lineage sub` in a terminal"),
    ("S12", "lines on the console"),
    ("S13", "what the arena alone costs"),
    ("S14", "prices revert to their middle and keep their band"),
    ("S15", "three agents with their capital and their win rates"),
    ("S16", "an agent's life: trade, result, scar, rest"),
    ("S17", "rounds with a winner"),
    ("S18", "the source of prices can be exchanged"),
    ("S19", "`/metrics` and `/health`"),
    ("S20", "names of the metrics"),
    ("S20b", "metrics of agents through the library"),
    ("S21", "compatible names of the same cells"),
    ("S22", "types, help, and values of this moment"),
    ("S23", "questions that Prometheus can answer"),
    ("S24", "rules for alerts"),
    ("S29", "the examples run as they stand"),
    ("S32", "`GET /api/hub/status`"),
    ("S33", "`GET /api/hub/stats`"),
    ("S34", "`/ws`: pushes, and answers to two actions"),
    ("S35", "the hub's message, every two seconds"),
    ("S36", "lanes, queues, sessions, tasks and workers"),
    ("S37", "log lines with context, for people and as JSON"),
    ("S38", "named measurements with context"),
    ("S39", "figures of each lane"),
    ("S40", "budgets of measurements, log lines, statuses and the hub"),
    ("S41", "what is off is not available, and no error"),
    ("S42", "broadcast, dead connections, figures over time"),
    ("S43", "the path of the ledger's stream"),
    ("S44", "transactions per second: counted, in their band, from their start values"),
    ("S45", "blocks every two seconds, from height 12345"),
    ("S46", "the network every three seconds"),
    ("S47", "validators every five seconds; they add up"),
    ("S48", "the envelope of the ledger's messages"),
    ("S49", "a welcome, then the last update of each kind at once"),
    ("S49b", "bytes of the ledger's messages"),
    ("S50", "an id for each connection, and their exact count"),
    ("S51", "the fallback over HTTP"),
    ("S52", "latency, bytes per second, nothing lost, clear errors"),
    ("S53", "the ten phases below"),
    ("S54", "candles, indicators, alerts and their answers over HTTP"),
    ("S55", "health with its checks"),
    ("S56", "metrics of the data collector"),
    ("S57", "metrics of the calculator and of the store"),
    ("S58", "metrics of the alert engine"),
    ("S60", "cost of metrics, and logs of a part"),
    ("S62", "trade, candle, indicator, alert: each an event"),
];

/// Items that are proven in other ways too: by a scrape, by a bench, or under another item's name.
const ELSEWHERE: [&str; 5] = ["S19", "S23", "S24", "S55", "S60"];

/// Where tests are.
const FOLDERS: [&str; 6] = ["src", "tests", "loadtest", "xtask", "examples", "benches"];

/// The headings of the two tables.
const ITEMS_HEADING: &str = "## Items of the product";
const PHASES_HEADING: &str = "## Phases of a test of the ledger's stream";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn document() -> String {
    std::fs::read_to_string(root().join("docs/testing.md")).expect("docs/testing.md")
}

/// Every Rust file of the folders, below the root, in order.
fn sources() -> Vec<String> {
    let mut folders: Vec<PathBuf> = FOLDERS.map(|folder| root().join(folder)).into();
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder of the project") {
            let path = entry.expect("its entries").path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if path.is_dir() && !["target", "node_modules"].contains(&name) {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let below = path.strip_prefix(root()).expect("below the root");
                found.push(below.to_str().expect("text").to_owned());
            }
        }
    }
    found.sort();
    found
}

/// The names of the functions in a text.
fn functions(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| {
        let rest = line.trim_start().trim_start_matches("async ").strip_prefix("fn ")?;
        rest.split(['(', '<']).next()
    })
}

/// The ids at the beginning of a function's name: `S08` and `S09b` of `s08_s09b_bytes`.
fn ids(name: &str) -> Vec<String> {
    let id = |word: &&str| {
        let digits = word.strip_prefix('s').map(|rest| rest.strip_suffix('b').unwrap_or(rest));
        digits.is_some_and(|digits| digits.len() == 2 && digits.parse::<u8>().is_ok())
    };
    let upper = |word: &str| format!("S{}", &word[1..]);
    name.split('_').take_while(id).map(upper).collect()
}

/// Of each id, the tests in each file.
fn tests() -> BTreeMap<String, BTreeMap<String, BTreeSet<String>>> {
    let mut found: BTreeMap<_, BTreeMap<_, BTreeSet<_>>> = BTreeMap::new();
    for file in sources() {
        let text = std::fs::read_to_string(root().join(&file)).expect("readable");
        for name in functions(&text) {
            for id in ids(name) {
                let files = found.entry(id).or_default();
                files.entry(file.clone()).or_default().insert(name.to_owned());
            }
        }
    }
    found
}

/// The table as it has to be.
fn table() -> String {
    let tests = tests();
    let mut lines = vec!["| id | what | tests |".to_owned(), "|---|---|---|".to_owned()];
    for (id, what) in ITEMS.iter().filter(|(id, _)| tests.contains_key(*id)) {
        let of_file = |(file, names): (&String, &BTreeSet<String>)| {
            let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
            format!("[{file}](../{file}): {}", names.join(", "))
        };
        let files: Vec<String> = tests[*id].iter().map(of_file).collect();
        lines.push(format!("| {id} | {what} | {} |", files.join("; ")));
    }
    lines.join("\n")
}

/// What stands under a heading, up to the next one.
fn section<'a>(text: &'a str, heading: &str) -> &'a str {
    let rest = text.split(&format!("\n{heading}\n")).nth(1);
    let rest = rest.unwrap_or_else(|| panic!("docs/testing.md has no section {heading}"));
    rest.split("\n## ").next().unwrap_or_default()
}

/// The lines of a section's table.
fn table_of(section: &str) -> String {
    section.lines().filter(|line| line.starts_with('|')).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_table_of_items_lists_every_test_that_carries_an_id_and_no_other() {
    let (text, expected) = (document(), table());
    let told = table_of(section(&text, ITEMS_HEADING));
    if told == expected {
        return;
    }
    if std::env::var_os("UPDATE").is_some() {
        let path = root().join("docs/testing.md");
        return std::fs::write(path, text.replacen(&told, &expected, 1)).expect("a file");
    }
    panic!("`UPDATE=1 cargo test --test items` writes this table:\n{expected}");
}

#[test]
fn every_item_has_a_test_and_every_test_an_item() {
    let tests = tests();
    let is_missing = |id: &&str| !ELSEWHERE.contains(id) && !tests.contains_key(*id);
    let missing: Vec<&str> = ITEMS.iter().map(|(id, _)| *id).filter(is_missing).collect();
    assert_eq!(missing, [""; 0], "items without a test");
    let is_unknown = |id: &&String| ITEMS.iter().all(|(known, _)| known != id);
    let unknown: Vec<&String> = tests.keys().filter(is_unknown).collect();
    assert_eq!(unknown, [""; 0], "tests name items that the list does not have");
}

#[test]
fn s53_each_of_the_ten_phases_names_files_and_tests_that_exist() {
    let text = document();
    let table = table_of(section(&text, PHASES_HEADING));
    let rows: Vec<&str> = table.lines().skip(2).collect();
    assert_eq!(rows.len(), 10, "{table}");
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let [phase, _, proofs] = cells[..] else { panic!("three cells: {row}") };
        for proof in proofs.split("; ") {
            let file = proof.split_once("](../").and_then(|(_, rest)| rest.split_once(')'));
            let (file, names) = file.unwrap_or_else(|| panic!("{phase}: no file in {proof}"));
            let path = root().join(file);
            assert!(path.exists(), "{phase}: there is no {file}");
            for name in names.split('`').skip(1).step_by(2) {
                let source = std::fs::read_to_string(&path).expect("readable");
                let is_there = functions(&source).any(|function| function == name);
                assert!(is_there, "{phase}: {file} has no test {name}");
            }
        }
    }
}

#[test]
fn ids_are_read_from_the_beginning_of_a_name_alone() {
    assert_eq!(ids("s08_s09b_the_bytes_of_s10"), ["S08", "S09b"]);
    for name in ["s8_x", "s088_x", "sub_s08", "s09c_x", "s_08", "saw_08"] {
        assert_eq!(ids(name), [""; 0], "{name}");
    }
    let text = "    fn s01_a() {\nasync fn s02_b<T>() {}\n// fn s03_c()\npub fn s04_d() {}\n";
    assert_eq!(functions(text).collect::<Vec<_>>(), ["s01_a", "s02_b"]);
}
