//! The server's answers to publish requests, read as they come.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpStream;
use std::sync::{Mutex, PoisonError};

use serde::Deserialize;

/// The longest answer that is read.
const ANSWER_BYTES_MAX: u64 = 1 << 20;
/// Rejected lines that are told in words.
const REJECTED_TOLD_MAX: usize = 5;

/// What the answers so far say.
#[derive(Debug, Default)]
pub(super) struct Answers {
    /// How many there were.
    pub(super) count: u64,
    /// Events that were taken.
    pub(super) accepted: u64,
    /// Events that were not.
    pub(super) rejected: u64,
    /// The status of the first answer that was not 200.
    pub(super) refused: Option<u16>,
    /// The connection has ended.
    pub(super) is_closed: bool,
    /// The first rejections, in words.
    pub(super) faults: Vec<String>,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    accepted: u64,
    #[serde(default)]
    rejected: Vec<Rejected>,
    /// How many were rejected, where the list holds only the first.
    rejected_total: Option<u64>,
}

#[derive(Deserialize)]
struct Rejected {
    #[serde(default)]
    line: u64,
    #[serde(default)]
    code: String,
}

/// Reads answers until the connection ends. Blocks.
pub(super) fn read_answers(stream: TcpStream, answers: &Mutex<Answers>) {
    let mut reader = BufReader::new(stream);
    while let Some((status, body)) = read_one(&mut reader) {
        let mut answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.take(status, &body);
    }
    answers.lock().unwrap_or_else(PoisonError::into_inner).is_closed = true;
}

/// Status and body of an answer with a length; none at the end, or where it is not HTTP.
fn read_one(reader: &mut BufReader<TcpStream>) -> Option<(u16, Vec<u8>)> {
    let mut line = String::new();
    reader.by_ref().take(ANSWER_BYTES_MAX).read_line(&mut line).ok()?;
    let status = line.split(' ').nth(1)?.parse().ok()?;
    let mut length = 0;
    loop {
        line.clear();
        reader
            .by_ref()
            .take(ANSWER_BYTES_MAX)
            .read_line(&mut line)
            .ok()
            .filter(|read| *read > 0)?;
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().ok().filter(|length| *length <= ANSWER_BYTES_MAX)?;
        }
    }
    let mut body = Vec::new();
    reader.by_ref().take(length).read_to_end(&mut body).ok()?;
    Some((status, body))
}

impl Answers {
    fn take(&mut self, status: u16, body: &[u8]) {
        self.count += 1;
        if status != 200 {
            self.refused.get_or_insert(status);
        }
        let Ok(answer) = serde_json::from_slice::<Answer>(body) else {
            return;
        };
        self.accepted += answer.accepted;
        self.rejected += answer.rejected_total.unwrap_or(answer.rejected.len() as u64);
        for rejected in answer.rejected {
            if self.faults.len() < REJECTED_TOLD_MAX {
                let (line, code) = (rejected.line, rejected.code);
                self.faults.push(format!("line {line} of a publish request: {code}"));
            }
        }
    }
}
