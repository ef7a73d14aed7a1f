//! One HTTP request and its answer: enough to scrape a server on this machine.

use crate::Outcome;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);

/// The body of what `http://address/path` answers with 200.
///
/// # Errors
/// When it cannot be reached or answers anything else.
pub(crate) fn get(address: &str, path: &str) -> Outcome<String> {
    exchange(address, &format!("GET {path}"))
}

fn exchange(address: &str, request: &str) -> Outcome<String> {
    let talk = || {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let head = format!("{request} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    let answer: std::io::Result<String> = talk();
    let answer = answer.map_err(|error| format!("{request} at {address}: {error}"))?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 200 ") => Ok(body.to_owned()),
        _ => {
            let status = answer.lines().next().unwrap_or_default();
            Err(format!("{request} at {address} was answered: {status}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// Answers one request; returns its address and, when it is over, what was asked.
    fn answer_once(answer: &'static str) -> (String, std::thread::JoinHandle<String>) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let serve = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut chunk = [0; 1024];
                let length = stream.read(&mut chunk).unwrap();
                request.extend_from_slice(&chunk[..length]);
            }
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8(request).unwrap()
        });
        (address, serve)
    }

    #[test]
    fn an_answer_is_the_body_of_a_200() {
        let (address, _) = answer_once("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\na 1\n");
        assert_eq!(get(&address, "/metrics").unwrap(), "a 1\n");
        let (address, _) = answer_once("HTTP/1.1 503 Service Unavailable\r\n\r\n");
        assert!(get(&address, "/metrics").unwrap_err().contains("503"));
    }

    #[test]
    fn a_request_names_its_method_and_path() {
        let (address, server) = answer_once("HTTP/1.1 200 OK\r\n\r\n");
        let _ = get(&address, "/x");
        let request = server.join().unwrap();
        assert!(request.starts_with("GET /x HTTP/1.1\r\n"), "{request}");
    }
}
