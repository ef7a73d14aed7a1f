//! A client that shows the head of an answer too, and reads the text of a scrape.

use super::support::PATIENCE;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// By name in small letters; the values of a name that stands twice are joined by a comma.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }

    /// A header's value; empty where there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// The sentence of a problem.
    pub(crate) fn detail(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], self.status);
        problem["detail"].as_str().expect("a sentence").to_owned()
    }
}

/// Sends a request with these further header lines.
pub(crate) fn ask(address: SocketAddr, method: &str, path: &str, lines: &[&str]) -> Reply {
    let mut stream = TcpStream::connect(address).expect("the listener is open");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let further: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{further}\r\n"
    );
    stream.write_all(head.as_bytes()).expect("the server reads");
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("an answer, then the end");
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    let head = std::str::from_utf8(&bytes[..end]).expect("text");
    let mut headers: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in head.lines().skip(1).filter_map(|line| line.split_once(": ")) {
        let all = headers.entry(name.to_ascii_lowercase()).or_default();
        let comma = if all.is_empty() { "" } else { ", " };
        *all += comma;
        *all += value;
    }
    let status = head[9..12].parse().expect("a status");
    Reply { status, headers, body: bytes.split_off(end + 4) }
}

pub(crate) fn get(address: SocketAddr, path: &str) -> Reply {
    ask(address, "GET", path, &[])
}

/// A family of a scrape.
#[derive(Debug, Default)]
pub(crate) struct Family {
    pub(crate) kind: String,
    pub(crate) help: String,
    /// Labels as they are written, and value.
    pub(crate) samples: Vec<(String, f64)>,
}

/// The families of a scrape in the text format 0.0.4, by name.
pub(crate) fn scrape(address: SocketAddr) -> BTreeMap<String, Family> {
    let reply = get(address, "/metrics");
    assert_eq!(reply.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut current = String::new();
    for line in reply.text().lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|l| l.split_once(' ')) {
            name.clone_into(&mut current);
            help.clone_into(&mut families.entry(current.clone()).or_default().help);
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a kind");
            assert_eq!(name, current, "the type follows the help");
            kind.clone_into(&mut families.entry(current.clone()).or_default().kind);
        } else {
            let (series, value) = line.rsplit_once(' ').expect("a value");
            let labels = series.split_once('{').map_or("", |(_, labels)| labels);
            assert!(series.starts_with(&current), "{series} belongs to {current}");
            let sample =
                (labels.trim_end_matches('}').to_owned(), value.parse().expect("a number"));
            families.entry(current.clone()).or_default().samples.push(sample);
        }
    }
    families
}
