//! The built binary as a process: few descriptors, signals, clients that are connected meanwhile.
//!
//! Method: `lineage serve` on free ports that a file names; the process is killed when a test fails.

use super::client::Client;
use super::support::{PATIENCE, get, post, wait_until};
use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Instant;

/// A server that does not outlive its test.
struct Server {
    child: Child,
    ws: SocketAddr,
    http: SocketAddr,
    metrics: SocketAddr,
}

impl Server {
    /// Starts one in a shell, behind `setup` (such as `ulimit -n 300;`).
    fn start(test: &str, setup: &str, arguments: &[&str]) -> Self {
        let file = format!("{test}-{}.ports", std::process::id());
        let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(file);
        let _ = std::fs::remove_file(&file);
        let mut command = Command::new("sh");
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("LINEAGE_")) {
            command.env_remove(name);
        }
        let child = command
            .args(["-c", &format!("{setup} exec \"$@\""), "sh", env!("CARGO_BIN_EXE_lineage")])
            .args(["serve", "--ws", "0", "--http", "0", "--metrics", "0", "--source", "none"])
            .args(arguments)
            .arg("--ports-file")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("a shell");
        let mut ports = String::new();
        wait_until("the ports file", || {
            ports = std::fs::read_to_string(&file).unwrap_or_default();
            !ports.is_empty()
        });
        let _ = std::fs::remove_file(&file);
        let ports: serde_json::Value = serde_json::from_str(&ports).expect("JSON");
        let [ws, http, metrics] = ["ws", "http", "metrics"]
            .map(|name| ports[name].as_str().expect("an address").parse().expect("an address"));
        Self { child, ws, http, metrics }
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let status = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(status.expect("a shell").success());
    }

    /// Blocks until it has ended.
    fn exit(&mut self) -> ExitStatus {
        let mut status = None;
        wait_until("the end of the process", || {
            status = self.child.try_wait().expect("a child");
            status.is_some()
        });
        status.expect("just seen")
    }

    /// The value of a metric without labels.
    fn metric(&self, name: &str) -> f64 {
        let text = get(self.metrics, "/metrics").body;
        let line = text.lines().find(|line| line.split(' ').next() == Some(name));
        let value = line.and_then(|line| line.split(' ').nth(1));
        value.unwrap_or_else(|| panic!("{name} in {text}")).parse().expect("a number")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has ended already, unless the test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Connects so many clients at once; those that are served, and the statuses of the others.
fn connect(address: SocketAddr, clients: usize) -> (Vec<Client>, Vec<u16>) {
    let connecting: Vec<_> = (0..8)
        .map(|_| {
            std::thread::spawn(move || {
                let streams: Vec<TcpStream> = (0..clients / 8)
                    .map(|_| TcpStream::connect(address).expect("the backlog has room"))
                    .collect();
                streams.into_iter().map(|stream| Client::upgrade(stream, "/")).collect::<Vec<_>>()
            })
        })
        .collect();
    let (mut served, mut refused) = (Vec::new(), Vec::new());
    for result in connecting.into_iter().flat_map(|thread| thread.join().expect("no panic")) {
        match result {
            Ok(client) => served.push(client),
            Err(status) => refused.push(status),
        }
    }
    (served, refused)
}

#[test]
fn s04_with_few_descriptors_surplus_clients_get_503_and_places_are_given_again() {
    let mut server = Server::start("descriptors", "ulimit -n 300;", &[]);
    let (mut served, refused) = connect(server.ws, 400);
    // 300 less the 128 that are kept for everything else.
    assert!((160..=172).contains(&served.len()), "{} served, {refused:?}", served.len());
    assert!(refused.iter().all(|status| *status == 503), "{refused:?}");
    served.iter_mut().for_each(Client::assert_served);

    served.truncate(served.len() - 50);
    let begun = Instant::now();
    let mut again = Vec::new();
    wait_until("fifty new clients are served", || {
        let stream = TcpStream::connect(server.ws).expect("the backlog has room");
        again.extend(Client::upgrade(stream, "/"));
        again.len() == 50
    });
    assert!(begun.elapsed().as_secs() < 5, "{:?}", begun.elapsed());
    again.iter_mut().chain(&mut served).for_each(Client::assert_served);
    drop((served, again));
    wait_until("the metrics are served", || get(server.metrics, "/metrics").status == 200);
    wait_until("nobody is counted", || server.metric("lineage_active_connections") == 0.0);
    server.signal("TERM");
    assert_eq!(server.exit().code(), Some(0));
}

#[test]
fn the_first_signal_drains_and_ends_with_0() {
    for name in ["TERM", "INT"] {
        let mut server = Server::start("drain", "", &["--drain-timeout", "20s"]);
        let mut plain = Client::open(server.ws, "/");
        let (mut v1, _) = Client::subscribed(server.http, &["*"]);
        plain.assert_served();
        let begun = Instant::now();
        server.signal(name);
        assert_eq!(v1.json()["type"], "shutdown");
        assert_eq!((plain.closed().0, v1.closed().0), (1001, 1001));
        drop((plain, v1));
        assert_eq!(server.exit().code(), Some(0), "after SIG{name}");
        assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
    }
}

#[test]
fn a_second_signal_ends_the_process_where_it_stands() {
    for (name, code) in [("TERM", 143), ("INT", 130)] {
        let patient = [
            "--drain-timeout",
            "600s",
            "--publish",
            "loopback",
            "--publish-pace-patience",
            "0s",
            "--write-stall-max",
            "3600s",
            "--lag-age-max",
            "3600s",
            "--lag-bytes-max",
            "1GiB",
        ];
        let mut server = Server::start("second", "", &patient);
        // Somebody who never reads: the drain waits for them, for a quarter of its time.
        let stream = super::slow::narrow(server.ws);
        let mut stuck = Client::upgrade(stream, "/v1").expect("101");
        stuck.message();
        stuck.subscribe(&["a"]);
        stuck.message();
        let line = format!("{{\"topic\":\"a\",\"payload\":\"{}\"}}\n", "x".repeat(1_000));
        let answer = post(server.http, (0..3_000).map(|_| line.clone().into_bytes()));
        assert_eq!(answer.status, 200, "{answer:?}");
        server.signal("TERM");
        wait_until("it accepts no more", || TcpStream::connect(server.ws).is_err());
        assert!(server.child.try_wait().expect("a child").is_none(), "it drains");
        let begun = Instant::now();
        server.signal(name);
        assert_eq!(server.exit().code(), Some(code), "after SIG{name}");
        assert!(begun.elapsed() < PATIENCE / 2);
        let mut stderr = String::new();
        let pipe = server.child.stderr.take();
        pipe.expect("piped").read_to_string(&mut stderr).expect("text");
        assert!(stderr.contains("draining"), "{stderr}");
    }
}
