//! Why a connection ends: the protocol's close codes, each with its word and what the client may do next.
//!
//! The one table of them: the shard, the handshake, the documentation and the load tester read it. Data only.

/// A close code of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum CloseCode {
    /// The conversation is over and nothing went wrong.
    Normal = 1000,
    /// The server shuts down; a `shutdown` message named the window in which to come back.
    Drain = 1001,
    /// The peer broke RFC 6455.
    ProtocolError = 1002,
    /// A text message was not UTF-8.
    InvalidUtf8 = 1007,
    /// The peer went on after it was told to slow down.
    Policy = 1008,
    /// A message was larger than any connection may send.
    TooBig = 1009,
    /// No valid token came.
    AuthFailed = 4001,
    /// The token does not give the right that was asked for.
    Forbidden = 4003,
    /// The client did not read fast enough.
    SlowConsumer = 4008,
    /// A limit on connections was reached.
    LimitReached = 4009,
    /// No frame came from the peer for too long.
    PeerSilent = 4010,
    /// Several messages in a row were no messages of the protocol.
    BadMessage = 4011,
}

/// One line of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CloseRow {
    /// The code.
    pub code: CloseCode,
    /// The machine word with which the reason of a close frame starts.
    pub word: &'static str,
    /// Whether a client may reconnect by itself. False where the protocol says not to, and where it leaves the
    /// choice to the program.
    pub may_reconnect: bool,
}

const fn row(code: CloseCode, word: &'static str, may_reconnect: bool) -> CloseRow {
    CloseRow { code, word, may_reconnect }
}

/// All close codes, in rising order.
pub const CLOSE_CODES: [CloseRow; 12] = [
    row(CloseCode::Normal, "normal", false),
    row(CloseCode::Drain, "drain", true),
    row(CloseCode::ProtocolError, "protocol_error", false),
    row(CloseCode::InvalidUtf8, "invalid_utf8", false),
    row(CloseCode::Policy, "policy", false),
    row(CloseCode::TooBig, "too_big", false),
    row(CloseCode::AuthFailed, "auth_failed", false),
    row(CloseCode::Forbidden, "forbidden", false),
    row(CloseCode::SlowConsumer, "slow_consumer", true),
    row(CloseCode::LimitReached, "limit_reached", false),
    row(CloseCode::PeerSilent, "peer_silent", true),
    row(CloseCode::BadMessage, "bad_message", false),
];

impl CloseCode {
    /// The number on the wire.
    #[must_use]
    pub const fn code(self) -> u16 {
        self as u16
    }

    /// The machine word of this code.
    #[must_use]
    pub fn word(self) -> &'static str {
        self.row().word
    }

    /// Whether a client may reconnect by itself, see [`CloseRow::may_reconnect`].
    #[must_use]
    pub fn may_reconnect(self) -> bool {
        self.row().may_reconnect
    }

    fn row(self) -> &'static CloseRow {
        CLOSE_CODES.iter().find(|row| row.code == self).expect("the table lists every code")
    }
}

#[cfg(test)]
mod tests {
    use super::{CLOSE_CODES, CloseCode};

    #[test]
    fn the_codes_words_and_advice_are_those_of_the_protocol() {
        let rows = CLOSE_CODES.map(|row| (row.code.code(), row.word, row.may_reconnect));
        let expected = [
            (1000, "normal", false),
            (1001, "drain", true),
            (1002, "protocol_error", false),
            (1007, "invalid_utf8", false),
            (1008, "policy", false),
            (1009, "too_big", false),
            (4001, "auth_failed", false),
            (4003, "forbidden", false),
            (4008, "slow_consumer", true),
            (4009, "limit_reached", false),
            (4010, "peer_silent", true),
            (4011, "bad_message", false),
        ];
        assert_eq!(rows, expected);
    }

    #[test]
    fn every_code_finds_its_own_row_and_may_be_sent() {
        for row in &CLOSE_CODES {
            assert_eq!((row.code.word(), row.code.may_reconnect()), (row.word, row.may_reconnect));
            // 1005, 1006 and 1015 describe what happened and never stand in a frame.
            assert!(!matches!(row.code, code if [1005, 1006, 1015].contains(&code.code())));
        }
        assert_eq!(CloseCode::Policy.word(), "policy");
    }

    #[test]
    fn a_word_is_a_word() {
        for row in &CLOSE_CODES {
            assert!(
                row.word
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || matches!(byte, b'_' | b'8')),
                "{row:?}"
            );
            assert_eq!(
                CLOSE_CODES.iter().filter(|other| other.word == row.word).count(),
                1,
                "{row:?}"
            );
        }
    }
}
