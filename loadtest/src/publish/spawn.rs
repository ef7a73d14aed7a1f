//! A server of our own, where none answers: `lineage serve`, ended with the program that started it.

use std::env;
use std::io::Read as _;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long a server may take to come up.
const START_TIMEOUT: Duration = Duration::from_secs(10);
/// How long it may take to end by itself once it is told to.
const END_TIMEOUT: Duration = Duration::from_secs(3);
/// How long an answer to a connection attempt is waited for.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(500);
/// Bytes of its last words that are shown when it does not come up.
const LAST_WORDS_BYTES: usize = 2_000;

/// A running server; ends when this is dropped.
#[derive(Debug)]
pub struct Server(Child);

/// Whether somebody listens there.
#[must_use]
pub fn is_answering(address: SocketAddr) -> bool {
    TcpStream::connect_timeout(&address, ANSWER_TIMEOUT).is_ok()
}

/// Starts `lineage serve --source none --publish loopback` on these addresses and waits until it listens.
///
/// # Errors
/// When no binary is found, or it does not come up: what it said, and the remedy.
pub fn lineage(ws: SocketAddr, http: &str) -> Result<Server, String> {
    let program = find()?;
    let (ws_text, name) = (ws.to_string(), program.display());
    let arguments = ["serve", "--source", "none", "--publish", "loopback", "--metrics", "off"];
    let mut child = Command::new(&program)
        .args(arguments)
        .args(["--ws", &ws_text, "--http", http])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot start {name}: {error}"))?;
    let stderr = child.stderr.take();
    let mut server = Server(child);
    let until = Instant::now() + START_TIMEOUT;
    while !is_answering(ws) {
        let has_ended = server.0.try_wait().is_ok_and(|status| status.is_some());
        if has_ended || Instant::now() > until {
            drop(server);
            let mut words = Vec::new();
            if let Some(mut stderr) = stderr {
                // What cannot be read cannot be shown.
                let _ = stderr.read_to_end(&mut words);
            }
            let tail = &words[words.len().saturating_sub(LAST_WORDS_BYTES)..];
            let tail = String::from_utf8_lossy(tail);
            return Err(format!("{name} does not listen on {ws}; it said:\n{}", tail.trim_end()));
        }
        thread::sleep(Duration::from_millis(10));
    }
    if let Some(mut stderr) = stderr {
        // Its words are read, so that it never waits for a reader.
        let drain = move || std::io::copy(&mut stderr, &mut std::io::sink());
        let _ = thread::Builder::new().name("server's words".to_owned()).spawn(drain);
    }
    Ok(server)
}

/// `LINEAGE_BIN`, else beside this program, else on the path.
fn find() -> Result<PathBuf, String> {
    if let Some(named) = env::var_os("LINEAGE_BIN") {
        let path = PathBuf::from(named);
        return if path.is_file() {
            Ok(path)
        } else {
            Err(format!("LINEAGE_BIN names {}, which is no file", path.display()))
        };
    }
    let beside = env::current_exe().ok().and_then(|own| Some(own.parent()?.join("lineage")));
    let path = env::var_os("PATH").unwrap_or_default();
    let on_path = env::split_paths(&path).map(|folder| folder.join("lineage"));
    beside.into_iter().chain(on_path).find(|path| path.is_file()).ok_or_else(|| {
        "no server answers and no `lineage` is found to start one: build it with `cargo build --release`, \
         or name it with LINEAGE_BIN"
            .to_owned()
    })
}

impl Drop for Server {
    /// Tells the server to end, and ends it when it does not.
    fn drop(&mut self) {
        let pid = self.0.id().to_string();
        // A server that has ended by itself needs no telling.
        let _ = Command::new("kill").args(["-TERM", &pid]).stderr(Stdio::null()).status();
        let until = Instant::now() + END_TIMEOUT;
        while Instant::now() < until {
            if self.0.try_wait().is_ok_and(|status| status.is_some()) {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn only_a_listener_answers() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        assert!(is_answering(address));
        drop(listener);
        assert!(!is_answering(address));
    }
}
