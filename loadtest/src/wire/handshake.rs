//! The opening handshake: one fixed request, one check of the answer.
//!
//! Every client sends the sample nonce of RFC 6455 §1.3, whose answer the RFC prints: it is there to tell a WebSocket
//! server from a confused cache, and a load test meets no cache.

const NONCE: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ANSWER: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
/// The longest answer that is read, in bytes.
pub const ANSWER_BYTES_MAX: usize = 16 * 1024;

/// The request for `path` at `host`.
#[must_use]
pub fn request(host: &str, path: &str) -> Vec<u8> {
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {NONCE}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    .into_bytes()
}

/// What the bytes read so far are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Not the whole answer.
    Incomplete,
    /// The connection is a WebSocket now; frames start at this byte.
    Upgraded(usize),
    /// It is not, and why.
    Refused(String),
}

/// Judges an answer.
#[must_use]
pub fn answer(bytes: &[u8]) -> Answer {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return if bytes.len() < ANSWER_BYTES_MAX {
            Answer::Incomplete
        } else {
            Answer::Refused("an answer without end".to_owned())
        };
    };
    let head = String::from_utf8_lossy(&bytes[..end]);
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap_or_default();
    if !status.starts_with("HTTP/1.1 101 ") {
        return Answer::Refused(status.chars().take(64).collect());
    }
    let accepts: Vec<&str> = lines
        .filter_map(|line| line.split_once(':'))
        .filter(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-accept"))
        .map(|(_, value)| value.trim())
        .collect();
    if accepts == [ANSWER] {
        Answer::Upgraded(end + 4)
    } else {
        Answer::Refused("a 101 with a wrong Sec-WebSocket-Accept".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\
                        sec-webSocket-accept:  s3pPLMBiTxaQ9kYGzzhZRbK+xOo= \r\n\r\n";

    #[test]
    fn an_answer_may_come_in_pieces_and_with_frames_behind_it() {
        for cut in 0..GOOD.len() {
            assert_eq!(answer(&GOOD.as_bytes()[..cut]), Answer::Incomplete, "{cut}");
        }
        let with_frame = [GOOD.as_bytes(), b"\x81\x02hi"].concat();
        assert_eq!(answer(&with_frame), Answer::Upgraded(GOOD.len()));
    }

    #[test]
    fn a_refusal_is_named_by_its_status_line() {
        let refusal = answer(b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n\r\n");
        assert_eq!(refusal, Answer::Refused("HTTP/1.1 503 Service Unavailable".to_owned()));
    }

    #[test]
    fn a_wrong_missing_or_double_accept_is_a_refusal() {
        let accept = "sec-webSocket-accept:  s3pPLMBiTxaQ9kYGzzhZRbK+xOo= \r\n";
        for changed in [
            GOOD.replace("s3p", "S3p"),
            GOOD.replace(accept, ""),
            GOOD.replace(accept, &accept.repeat(2)),
        ] {
            assert!(matches!(answer(changed.as_bytes()), Answer::Refused(_)), "{changed}");
        }
    }

    #[test]
    fn an_endless_answer_is_given_up_at_the_limit() {
        let endless = vec![b'x'; ANSWER_BYTES_MAX];
        assert_eq!(answer(&endless[1..]), Answer::Incomplete);
        assert!(matches!(answer(&endless), Answer::Refused(_)));
    }
}
