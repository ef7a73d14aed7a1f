//! Goal: a process that is killed while it stores loses at most what it had not flushed, the next start says how much,
//! and a disk that takes no more, or a file that cannot be written, is an error with a remedy and not a crash.
//!
//! Method: this program starts itself as a child with a mode and a file. The child hands in numbered rows and says what
//! was taken and flushed; the parent kills it, opens the file and counts. No harness: the child must not be a test.
#![allow(
    clippy::print_stdout,
    reason = "a child that reports, and a program that says what it did"
)]

use lineage::clock::Clock;
use lineage::event::{Cents, Side};
use lineage::store::{Options, Problem, Store, Trade};
use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The child says every so many rows that they were taken.
const SAID_EVERY: u64 = 100;
/// And flushes every so many.
const FLUSHED_EVERY: u64 = 1_000;

fn main() {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some("child") {
        let mut word = || arguments.next().expect("child MODE NAME FILE");
        let (mode, name, file) = (word(), word(), PathBuf::from(word()));
        return match &*mode {
            "write" => write(&name, file),
            "fill" => fill(&name, file),
            _ => open_only(file),
        };
    }
    let folder = std::env::temp_dir().join(format!("store-crash-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a temporary folder");
    a_killed_process_loses_at_most_what_it_had_not_flushed(&folder.join("killed.db"));
    a_disk_that_takes_no_more_costs_the_rows_that_do_not_fit(&folder.join("limited.db"));
    a_file_that_cannot_be_written_is_refused(&folder);
    std::fs::remove_dir_all(&folder).expect("it is ours");
}

fn options(file: PathBuf) -> Options {
    Options {
        batch_rows: 64,
        batch_wait: Duration::from_millis(2),
        queue_rows: 256,
        ..Options::new(file)
    }
}

fn trade(agent: &str, number: u64) -> Trade {
    Trade {
        time_us: number,
        agent: agent.into(),
        symbol: "BTC-USD".into(),
        side: Side::Buy,
        price: Cents(1),
        quantity: Cents(i64::try_from(number).expect("few rows")),
        pnl: Cents(0),
        is_won: true,
    }
}

/// Stores until it is killed.
fn write(name: &str, file: PathBuf) {
    let store = Store::open(options(file), Clock::system()).expect("a store");
    let writer = store.writer();
    println!("taken 0");
    for number in 1.. {
        while !writer.trade(trade(name, number - 1)) {
            std::thread::yield_now();
        }
        if number % SAID_EVERY == 0 {
            println!("taken {number}");
        }
        if number % FLUSHED_EVERY == 0 {
            store.flush().expect("there is room");
            println!("flushed {number}");
        }
    }
}

/// Stores until the disk does not take it, then ends as a program does.
fn fill(name: &str, file: PathBuf) {
    let store = Store::open(options(file), Clock::system()).expect("a store");
    for number in 1.. {
        assert!(store.writer().trade(trade(name, number - 1)));
        if number % SAID_EVERY == 0 {
            match store.flush() {
                Ok(()) => println!("flushed {number}"),
                Err(error) => return println!("refused {error}"),
            }
        }
    }
}

fn open_only(file: PathBuf) {
    match Store::open(options(file), Clock::system()) {
        Ok(_) => println!("opened"),
        Err(error) => println!("refused {:?} {error}", error.problem),
    }
}

fn child(program: &Path, mode: &str, name: &str, file: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(["child", mode, name]).arg(file).stdout(Stdio::piped());
    command
}

fn own_program() -> PathBuf {
    std::env::current_exe().expect("a program has a path")
}

fn lines(child: &mut Child) -> impl Iterator<Item = String> + use<> {
    let output = child.stdout.take().expect("it is piped");
    BufReader::new(output).lines().map_while(Result::ok)
}

fn number(line: &str, word: &str) -> Option<u64> {
    line.strip_prefix(word)?.trim().parse().ok()
}

fn a_killed_process_loses_at_most_what_it_had_not_flushed(file: &Path) {
    for (turn, kill_at) in
        ["taken 0", "taken 300", "flushed 1000", "taken 1900", "flushed 5000", "taken 7700"]
            .into_iter()
            .enumerate()
    {
        let name = format!("turn-{turn}");
        let mut child = child(&own_program(), "write", &name, file).spawn().expect("a child");
        let (mut taken, mut flushed, mut is_killed) = (0, 0, false);
        let said = lines(&mut child);
        for line in said {
            taken = number(&line, "taken").unwrap_or(taken);
            flushed = number(&line, "flushed").unwrap_or(flushed);
            if line == kill_at && !is_killed {
                child.kill().expect("it runs");
                is_killed = true;
            }
        }
        child.wait().expect("it was killed");
        let (store, log) =
            logged(|| Store::open(options(file.to_owned()), Clock::system()).expect("it opens"));
        let stored = rows(file, &name);
        let unclean = *store.unclean().expect("a killed run has no end");
        // Each turn is two runs: the child's, and the one that looks.
        assert_eq!(unclean.run, 2 * turn as u64 + 1);
        assert_eq!(unclean.stored, stored, "the counter and the rows are of one transaction");
        assert!(flushed <= stored, "{stored} of {flushed} flushed rows");
        let missing = taken.saturating_sub(stored);
        assert!(missing <= unclean.missing_max(), "{missing} rows are missing, told: {unclean}");
        assert!(
            unclean.missing() <= (taken + SAID_EVERY).saturating_sub(stored),
            "{taken}: {unclean}"
        );
        assert!(log.contains("WARN") && log.contains(&unclean.to_string()), "{log}");
        assert!(log.contains(&format!("{stored} rows are stored")), "{log}");
        drop(store);
        println!("{kill_at}: {taken} taken, {flushed} flushed, {stored} stored; {unclean}");
    }
    let store = Store::open(options(file.to_owned()), Clock::system()).expect("it opens");
    assert_eq!(store.unclean(), None, "the last run had an end");
}

/// How many rows of a child there are; they are numbered without a hole.
fn rows(file: &Path, name: &str) -> u64 {
    let connection = rusqlite::Connection::open(file).expect("a database");
    let check: String =
        connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("an answer");
    assert_eq!(check, "ok");
    let sql = "SELECT count(*), coalesce(max(quantity_cents) + 1, 0), count(DISTINCT quantity_cents) FROM trades \
               WHERE agent = ?";
    let found: (i64, i64, i64) = connection
        .query_row(sql, [name], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .expect("an answer");
    assert!(found.0 == found.1 && found.1 == found.2, "the first rows, each once: {found:?}");
    u64::try_from(found.0).expect("a count")
}

fn a_disk_that_takes_no_more_costs_the_rows_that_do_not_fit(file: &Path) {
    // A limit on the size of files is the nearest to a full disk that needs no privilege.
    let mut command = Command::new("sh");
    command
        .args(["-c", "trap '' XFSZ; ulimit -f 400; exec \"$@\"", "sh"])
        .arg(own_program())
        .args(["child", "fill", "limited"])
        .arg(file)
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = command.spawn().expect("a shell");
    let said: Vec<String> = lines(&mut child).collect();
    assert!(child.wait().expect("it ends").success(), "{said:?}");
    let last = said.last().expect("it says something");
    assert!(last.starts_with("refused store ") && last.contains("limited.db"), "{last}");
    let flushed =
        said.iter().filter_map(|line| number(line, "flushed")).max().expect("some fitted");
    let store = Store::open(options(file.to_owned()), Clock::system()).expect("there is room here");
    let stored = rows(file, "limited");
    let unclean = *store.unclean().expect("rows are missing");
    assert!(
        flushed <= stored && stored < flushed + SAID_EVERY,
        "{flushed} flushed, {stored} stored"
    );
    assert!(flushed + SAID_EVERY - stored <= unclean.missing_max(), "{unclean}");
    println!("a limited disk: {flushed} flushed, {stored} stored; {last}; {unclean}");
}

fn a_file_that_cannot_be_written_is_refused(folder: &Path) {
    let place = folder.join("read-only");
    std::fs::create_dir_all(&place).expect("it is ours");
    let file = place.join("lineage.db");
    drop(Store::open(options(file.clone()), Clock::system()).expect("a store"));
    let mode = |path: &Path, bits: u32| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(bits)).expect("it is ours");
    };
    // Permissions do not bind the superuser: the child is somebody else then, and its program where all may read it.
    let program = folder.join("program");
    std::fs::copy(own_program(), &program).expect("a copy");
    mode(folder, 0o755);
    mode(&program, 0o755);
    let is_superuser = std::fs::File::open("/proc/self/status").is_ok_and(|status| {
        let mut lines = BufReader::new(status).lines().map_while(Result::ok);
        lines.any(|line| line.split_whitespace().take(3).eq(["Uid:", "0", "0"]))
    });
    let refused = |what: &str| {
        let mut command = child(&program, "open", "nobody", &file);
        if is_superuser {
            command.uid(65_534).gid(65_534);
        }
        let mut child = command.spawn().expect("a child");
        let said: Vec<String> = lines(&mut child).collect();
        child.wait().expect("it ends");
        let expected = format!("refused {:?} store {}", Problem::ReadOnly, file.display());
        assert!(said[0].starts_with(&expected), "{what}: {said:?}");
        assert!(said[0].contains("change the permissions"), "{what}: {said:?}");
    };
    mode(&file, 0o444);
    mode(&place, 0o555);
    refused("a folder that cannot be written");
    mode(&place, 0o777);
    mode(&place.join("lineage.db-lock"), 0o666);
    refused("a file that cannot be written");
    println!("a file that cannot be written is refused");
}

/// What `work` gives, and what it logs.
fn logged<T>(work: impl FnOnce() -> T) -> (T, String) {
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);
    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("nobody panicked").extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone());
    let done = tracing::subscriber::with_default(subscriber.finish(), work);
    let text = String::from_utf8(log.0.lock().expect("nobody panicked").clone());
    (done, text.expect("the log is text"))
}
