//! The built binary as a process: its lines as they come, and where it listens.

use super::support::PATIENCE;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};

/// Lines that may wait to be read; with more of them the server would wait for its console.
const LINES_MAX: usize = 1 << 16;

/// A server that does not outlive its test.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    lines: Receiver<String>,
    /// What it said, the line with `ready` last.
    pub(crate) console: Vec<String>,
    pub(crate) ws: SocketAddr,
    pub(crate) http: SocketAddr,
    pub(crate) metrics: SocketAddr,
}

/// The binary without the variables of whoever runs the tests.
pub(crate) fn lineage() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lineage"));
    let ours = |name: &str| name.starts_with("LINEAGE_") || name == "USE_NEW_ARCHITECTURE";
    for (name, _) in std::env::vars().filter(|(name, _)| ours(name)) {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

impl Server {
    /// Starts one with these options (`--name value …`) and waits until it is ready.
    pub(crate) fn start(options: &str) -> Self {
        Self::start_with(options, &[])
    }

    /// The same, with variables of the environment.
    pub(crate) fn start_with(options: &str, variables: &[(&str, &str)]) -> Self {
        let mut command = lineage();
        command.args(["--ws", "0", "--http", "0", "--metrics", "0", "--shards", "1"]);
        command.args(options.split_whitespace()).envs(variables.iter().copied());
        let mut child =
            command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the binary");
        let stderr = BufReader::new(child.stderr.take().expect("piped"));
        let (said, lines) = sync_channel(LINES_MAX);
        // It ends with the pipe, and that with the process.
        std::thread::spawn(move || {
            stderr.lines().map_while(Result::ok).try_for_each(|line| said.send(line))
        });
        let nowhere = SocketAddr::from(([0; 4], 0));
        let (ws, http, metrics) = (nowhere, nowhere, nowhere);
        let mut server = Self { child, lines, console: Vec::new(), ws, http, metrics };
        loop {
            assert!(server.console.len() < 10_000, "never ready: {:?}", &server.console[..20]);
            let line = server.line();
            let is_ready = line == "ready" || line.contains("\"message\":\"ready\"");
            server.console.push(line);
            if is_ready {
                break;
            }
        }
        let text = server.console.join("\n");
        server.ws = address(&text, "ws").unwrap_or_else(|| panic!("{text}"));
        server.http = address(&text, "http").unwrap_or_else(|| panic!("{text}"));
        server.metrics = address(&text, "metrics").unwrap_or_else(|| panic!("{text}"));
        server
    }

    /// The next line of stderr.
    pub(crate) fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).unwrap_or_else(|error| {
            panic!("no further line ({error}) after {:?}", self.console);
        })
    }

    /// Ends it by a signal; its exit code and what it had still to say.
    pub(crate) fn end(mut self) -> (Option<i32>, Vec<String>) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", "TERM", &pid]).status().expect("kill").success());
        let code = self.child.wait().expect("a child").code();
        (code, self.lines.iter().collect())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has ended already, unless the test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where it says that a listener is: `listening on ws://127.0.0.1:1234`, `metrics    http://…/metrics`, or the object
/// of a JSON log.
fn address(console: &str, listener: &str) -> Option<SocketAddr> {
    let before = match listener {
        "ws" => "listening on ws://",
        "http" => "dashboard  http://",
        _ => "metrics    http://",
    };
    let quoted = format!("\\\"{listener}\\\":\\\"");
    let (_, rest) = console.split_once(before).or_else(|| console.split_once(&quoted))?;
    rest.split(['/', '\n', '\\']).next()?.parse().ok()
}
