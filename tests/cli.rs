//! The binary as its users meet it: exit codes, streams, signals. Goal: what a script or a supervisor relies on.
//! Servers here are a few lines of tungstenite on port 0; each test waits for something to be read, never for time.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise, its helpers too")]

use std::io::{BufRead, BufReader, Read};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::thread::JoinHandle;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, frame::coding::CloseCode};
use tokio_tungstenite::tungstenite::{Message, WebSocket, accept};

fn lineage() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lineage"));
    command.stdin(Stdio::null());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("LINEAGE_")) {
        command.env_remove(name);
    }
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A directory of its own for a test's files.
fn directory(test: &str) -> std::path::PathBuf {
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
    std::fs::create_dir_all(&path).unwrap();
    path
}

/// A server for one client; gives its address and the end of what it does.
fn server<T: Send + 'static>(
    serve: impl FnOnce(WebSocket<TcpStream>) -> T + Send + 'static,
) -> (String, JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serve = move || serve(accept(listener.accept().unwrap().0).unwrap());
    (format!("ws://{address}"), std::thread::spawn(serve))
}

fn close(mut socket: WebSocket<TcpStream>, code: u16, reason: &str) {
    let frame = CloseFrame { code: CloseCode::from(code), reason: reason.to_owned().into() };
    socket.close(Some(frame)).unwrap();
    while socket.read().is_ok() {}
}

/// A process that does not outlive its test.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Self {
        Self(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }

    fn signal(&self, name: &str) {
        let pid = self.0.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    fn exit_code(&mut self) -> Option<i32> {
        self.0.wait().unwrap().code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already, unless the test failed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a server on free ports; gives its lines up to `ready`, and the rest to be read.
fn start(command: &mut Command) -> (Running, Vec<String>, BufReader<ChildStderr>) {
    let ports = ["--ws", "0", "--http", "0", "--metrics", "0", "--source", "none"];
    let mut server = Running::start(command.args(ports));
    let mut stderr = BufReader::new(server.0.stderr.take().unwrap());
    let mut lines = Vec::new();
    while !lines.last().is_some_and(|line: &String| line == "ready\n" || line.contains("\"ready\""))
    {
        let mut line = String::new();
        assert_ne!(stderr.read_line(&mut line).unwrap(), 0, "ended before it was ready: {lines:?}");
        lines.push(line);
    }
    (server, lines, stderr)
}

fn refused(arguments: &[&str]) -> (Option<i32>, String) {
    let output = lineage().args(arguments).output().unwrap();
    assert_eq!(text(&output.stdout), "");
    (output.status.code(), text(&output.stderr))
}

#[test]
fn mistakes_have_exit_codes_and_sentences_of_their_own() {
    let file = directory("mistakes").join("lineage.toml");
    std::fs::write(&file, "max_connections = 5\n").unwrap();
    let file = file.to_str().unwrap();
    for (arguments, code, part) in [
        (&["--sharts", "2"][..], 2, "--shards"),
        (&["--shards", "many"], 2, "--shards many is not a whole number from 1 to 64"),
        (&["sub", "wss://example.net/v1"], 2, "ws:// only"),
        (&["--config", file], 78, "unknown key `max_connections`; did you mean `connections_max`?"),
        (&["--config", "no/such.toml"], 78, "cannot read no/such.toml"),
        (&["--publish", "token"], 78, "LINEAGE_PUBLISH_TOKEN"),
        (&["--log-level", "lineage=loud"], 78, "log_level = lineage=loud"),
    ] {
        let (exit, stderr) = refused(arguments);
        assert_eq!(exit, Some(code), "{arguments:?}: {stderr}");
        assert!(stderr.contains(part), "{arguments:?}: {stderr}");
    }
}

#[test]
fn help_and_version_go_to_stdout_and_succeed() {
    for (argument, part) in [("--help", "Examples:"), ("--version", env!("CARGO_PKG_VERSION"))] {
        let output = lineage().arg(argument).output().unwrap();
        assert!(output.status.success() && text(&output.stdout).contains(part), "{output:?}");
    }
}

#[test]
fn a_busy_port_is_an_error_that_names_its_option() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (exit, stderr) =
        refused(&["--ws", "0", "--metrics", "0", "--source", "none", "--http", &address]);
    assert_eq!(exit, Some(69), "{stderr}");
    assert!(stderr.contains(&address) && stderr.contains("--http"), "{stderr}");
}

#[test]
fn s12_a_server_says_where_it_listens_and_ends_with_a_signal() {
    let file = directory("banner").join("ports.json");
    std::fs::write(&file, "stale").unwrap();
    for name in ["TERM", "INT"] {
        let mut command = lineage();
        let (mut server, lines, mut stderr) = start(command.arg("--ports-file").arg(&file));
        let ports: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
        for (listener, part) in [
            ("ws", "ws://{}/v1"),
            ("http", "http://{}/v1/publish"),
            ("metrics", "http://{}/metrics"),
        ] {
            let address = ports[listener].as_str().unwrap();
            TcpStream::connect(address).unwrap();
            let url = part.replace("{}", address);
            assert!(lines.iter().any(|line| line.contains(&url)), "{url} in {lines:?}");
        }
        assert!(lines[0].contains(env!("CARGO_PKG_VERSION")), "{lines:?}");
        assert!(lines.iter().any(|line| line.contains("descriptor limit")), "{lines:?}");
        server.signal(name);
        let mut rest = String::new();
        stderr.read_to_string(&mut rest).unwrap();
        assert_eq!(server.exit_code(), Some(0), "after SIG{name}");
        assert!(rest.contains("draining"), "{rest}");
    }
}

#[test]
fn a_json_log_is_json_from_the_first_line_to_the_last() {
    let mut command = lineage();
    let (mut server, lines, mut stderr) = start(command.args(["--log-format", "json"]));
    server.signal("TERM");
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).unwrap();
    assert!(server.exit_code() == Some(0) && rest.contains("stopped"), "{rest}");
    for line in lines.iter().map(String::as_str).chain(rest.lines()) {
        assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "{line}");
    }
}

fn subscribe(url: &str, arguments: &[&str]) -> Output {
    lineage().args(["sub", &format!("{url}/v1")]).args(arguments).output().unwrap()
}

const EVENT: &str = r#"{"type":"market","topic":"market:BTC-USD","seq":2,"pos":7,"us":1738512000123456,"payload":{"price":1.50},"timestamp":1738512000123}"#;
const GAP: &str = r#"{"type":"gap","topic":"market:BTC-USD","payload":{"from":3,"to":9,"reason":"slow","action":"snapshot"},"timestamp":1}"#;

#[test]
fn s11_sub_asks_for_its_topics_and_prints_raw_lines_or_a_table() {
    for (arguments, asked, line) in [
        (
            &["market:*", "a"][..],
            serde_json::json!(["market:*", "a"]),
            "  market:BTC-USD           1.50",
        ),
        (&["--json"], serde_json::json!(["*"]), EVENT),
    ] {
        let (url, done) = server(|mut socket| {
            let request = socket.read().unwrap().into_text().unwrap().to_string();
            for frame in [EVENT, GAP] {
                socket.send(Message::text(frame)).unwrap();
            }
            close(socket, 1001, "drain");
            request
        });
        let output = subscribe(&url, &[arguments, &["--retry-for", "0"]].concat());
        let request: serde_json::Value = serde_json::from_str(&done.join().unwrap()).unwrap();
        assert_eq!((&request["op"], &request["topics"]), (&"subscribe".into(), &asked));
        assert!(text(&output.stdout).contains(line), "{output:?}");
        let stderr = text(&output.stderr);
        assert!(stderr.contains("GAP market:BTC-USD: 3 to 9 (slow)"), "{stderr}");
        assert!(stderr.contains("1001 drain"), "{stderr}");
        assert!(output.status.success(), "a drain is no failure");
    }
}

#[test]
fn sub_comes_back_after_a_loss_and_says_so() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/v1", listener.local_addr().unwrap());
    let done = std::thread::spawn(move || {
        let mut asked = Vec::new();
        for recovered in ["false", "true"] {
            let mut socket = accept(listener.accept().unwrap().0).unwrap();
            let request = socket.read().unwrap().into_text().unwrap().to_string();
            asked.push(serde_json::from_str::<serde_json::Value>(&request).unwrap());
            let welcome = r#"{"type":"welcome","payload":{"epoch":"k3f9"},"timestamp":1}"#;
            let ack = format!(
                r#"{{"type":"ack","id":1,"payload":{{"op":"subscribe","recovered":{recovered},"pos":6}}}}"#
            );
            for frame in [welcome, &ack, EVENT] {
                socket.send(Message::text(frame)).unwrap();
            }
            match recovered {
                "true" => close(socket, 1000, "done"),
                _ => close(socket, 4008, "slow"),
            }
        }
        asked
    });
    let options = ["sub", &url, "market:*", "--no-snapshot", "--from", "k3f9.5"];
    let output = lineage().args(options).output().unwrap();
    let asked = done.join().unwrap();
    let from = |pos: u64| serde_json::json!({"epoch": "k3f9", "pos": pos});
    assert_eq!((&asked[0]["from"], &asked[1]["from"]), (&from(5), &from(7)));
    assert_eq!(asked[0]["snapshot"], false);
    assert_eq!(output.status.code(), Some(0), "1000 is a normal end");
    let row = "16:00:00.123  market:BTC-USD           1.50\n";
    assert_eq!(text(&output.stdout), row.repeat(2));
    let stderr = text(&output.stderr);
    for part in ["position 6; not resumed", "4008 slow; trying again in", "6; resumed", "1000 done"]
    {
        assert!(stderr.contains(part), "{part} in {stderr}");
    }
    assert!(stderr.contains("BROKEN market:BTC-USD: 2 came where 3 was due"), "{stderr}");
}

#[test]
fn sub_shows_the_newest_values_only_where_asked_and_the_firehose_without_asking() {
    let (url, done) = server(|mut socket| {
        let request = socket.read().unwrap().into_text().unwrap().to_string();
        close(socket, 1000, "done");
        serde_json::from_str::<serde_json::Value>(&request).unwrap()
    });
    assert!(subscribe(&url, &["--latest=20", "hub"]).status.success());
    let asked = done.join().unwrap();
    assert_eq!((&asked["mode"], &asked["max_hz"]), (&"latest".into(), &20.into()));

    let legacy = r#"{"type":"market","symbol":"BTC-USD","timestamp":1738512000}"#;
    let (url, done) = server(move |mut socket| {
        socket.send(Message::text(legacy)).unwrap();
        close(socket, 1001, "drain");
    });
    let output = lineage().args(["sub", &url]).output().unwrap();
    done.join().unwrap();
    assert!(output.status.success());
    assert_eq!(text(&output.stdout), format!("16:00:00.000  market    {legacy}\n"));
}

#[test]
fn sub_fails_when_it_is_thrown_out_and_when_nobody_listens() {
    let (url, done) = server(|mut socket| {
        socket.read().unwrap();
        close(socket, 4003, "forbidden");
    });
    let output = subscribe(&url, &[]);
    done.join().unwrap();
    assert_eq!(output.status.code(), Some(77));
    assert!(text(&output.stderr).contains("4003 forbidden"), "{output:?}");

    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let output = subscribe(&format!("ws://{free}"), &[]);
    assert_eq!(output.status.code(), Some(69));
    assert!(text(&output.stderr).contains("cannot connect to"), "{output:?}");
}

#[test]
fn sub_flushes_when_idle_and_ends_quietly_at_a_signal_or_a_closed_pipe() {
    for is_signal in [true, false] {
        let (url, done) = server(move |mut socket| {
            socket.read().unwrap();
            socket.send(Message::text(EVENT)).unwrap();
            // Then nothing until the client has gone, or has been given enough to notice its closed pipe.
            while is_signal || socket.send(Message::text(EVENT)).is_ok() {
                if is_signal && socket.read().is_err() {
                    break;
                }
            }
        });
        let mut command = lineage();
        command.args(["sub", "--json", &format!("{url}/v1")]);
        let mut client = Running::start(&mut command);
        let mut stdout = BufReader::new(client.0.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        assert_eq!(line.trim_end(), EVENT, "one event is printed although no more come");
        if is_signal {
            client.signal("INT");
        } else {
            drop(stdout);
        }
        assert_eq!(client.exit_code(), Some(0));
        let mut stderr = String::new();
        client.0.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        assert_eq!(stderr, "");
        done.join().unwrap();
    }
}
