//! Files that are no store, that are full, or that are in use; a queue that is full.

use super::support::{Folder, count, open, refusal, registered, round, trade, value};
use lineage::store::{Options, Problem};

#[test]
fn a_full_queue_drops_counts_and_does_not_block() {
    let folder = Folder::new();
    let store = open(Options { queue_rows: 3, batch_rows: 2, ..Options::new(folder.file()) });
    let telemetry = registered(&store);
    // While another connection writes, the thread waits for it with two rows, and three wait in the queue.
    let blocker = rusqlite::Connection::open(folder.file()).unwrap();
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    let writer = store.writer();
    let mut taken = 0_u64;
    let mut refused = 0_u64;
    while refused < 100 {
        if writer.round(round(taken)) { taken += 1 } else { refused += 1 }
    }
    assert!((3..=5).contains(&taken), "{taken}");
    blocker.execute_batch("ROLLBACK").unwrap();
    store.flush().unwrap();
    assert_eq!(store.rounds(10).unwrap().len() as u64, taken);
    assert_eq!(value(&telemetry, r#"lineage_store_rows_total{result="refused"}"#), 100.0);
    assert_eq!(value(&telemetry, r#"lineage_store_rows_total{result="stored"}"#), taken as f64);
    drop(store);
    assert!(!writer.round(round(0)), "a closed store takes nothing");
    assert_eq!(value(&telemetry, r#"lineage_store_rows_total{result="refused"}"#), 101.0);
}

#[test]
fn a_full_file_keeps_rows_waiting_until_there_is_room() {
    let folder = Folder::new();
    let options = Options { file_bytes_max: 1 << 20, ..Options::new(folder.file()) };
    let store = open(options.clone());
    let writer = store.writer();
    let mut handed_in = 0;
    let error = loop {
        for _ in 0..500 {
            assert!(writer.trade(trade("momentum", handed_in, 1)));
            handed_in += 1;
        }
        if let Err(error) = store.flush() {
            break error;
        }
    };
    assert_eq!(error.problem, Problem::Full);
    assert!(error.to_string().contains("store.file_bytes_max"), "{error}");
    let stored = count(&folder, "trades");
    assert!(stored > 0 && stored < handed_in, "{stored} of {handed_in}");
    let other = rusqlite::Connection::open(folder.file()).unwrap();
    other.execute("DELETE FROM trades", []).unwrap();
    store.flush().unwrap();
    assert_eq!(
        count(&folder, "trades"),
        handed_in - stored,
        "what waited is stored once there is room"
    );
    drop(store);
    assert_eq!(folder.open().unclean(), None);
}

#[test]
fn what_does_not_fit_at_the_end_is_said_at_the_next_start() {
    let folder = Folder::new();
    let store = open(Options { file_bytes_max: 1 << 20, ..Options::new(folder.file()) });
    let (writer, mut handed_in) = (store.writer(), 0);
    while store.flush().is_ok() {
        (0..500).for_each(|_| assert!(writer.trade(trade("momentum", 1, 1))));
        handed_in += 500;
    }
    drop(store);
    let store = folder.open();
    let unclean = store.unclean().expect("rows are missing");
    assert_eq!(unclean.stored, count(&folder, "trades"));
    assert!(unclean.missing() <= unclean.missing_max() && unclean.stored < handed_in);
    assert!(handed_in - unclean.stored <= unclean.missing_max(), "{unclean}");
}

#[test]
fn a_file_that_is_no_store_is_refused_and_left_alone() {
    let folder = Folder::new();
    let options = Options::new(folder.file());
    let text = "not a database, but long enough to have a header, ".repeat(40);
    std::fs::write(folder.file(), &text).unwrap();
    let (problem, message) = refusal(options.clone());
    assert_eq!(problem, Problem::NotADatabase);
    assert!(message.contains("not a database; name another file"), "{message}");
    assert_eq!(std::fs::read_to_string(folder.file()).unwrap(), text);

    std::fs::remove_file(folder.file()).unwrap();
    let foreign = rusqlite::Connection::open(folder.file()).unwrap();
    foreign.execute_batch("CREATE TABLE bookmarks (url TEXT)").unwrap();
    drop(foreign);
    let before = std::fs::read(folder.file()).unwrap();
    assert_eq!(refusal(options).0, Problem::Foreign);
    assert_eq!(std::fs::read(folder.file()).unwrap(), before);
}

#[test]
fn a_newer_file_a_missing_folder_and_a_second_store_are_refused() {
    let folder = Folder::new();
    let store = folder.open();
    assert_eq!(refusal(Options::new(folder.file())).0, Problem::InUse);
    drop(store);
    let connection = rusqlite::Connection::open(folder.file()).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    let (problem, message) = refusal(Options::new(folder.file()));
    assert_eq!(problem, Problem::Version { found: 99, known: 1 });
    assert!(message.contains("version 99, and the newest known is 1"), "{message}");
    assert_eq!(refusal(Options::new(folder.0.join("none/lineage.db"))).0, Problem::NoFile);
    assert_eq!(refusal(Options::new(&folder.0)).0, Problem::NoFile);
}
