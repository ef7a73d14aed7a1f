//! What can end a program that runs an engine, told apart by what its user can do about it.
//!
//! Expected outcomes of the data path (a full ring, a lagging client) are values of their own modules, not errors.

use std::fmt;
use std::io;

/// Why the engine did not start, or stopped.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A listener's address could not be bound: choose another, or stop whoever has it.
    Bind {
        /// The listener, as its option is called: `ws`, `http`, `collector_metrics`.
        listener: &'static str,
        /// The address asked for.
        address: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// A server could not be reached: is it running, is the address right?
    Connect {
        /// The URL asked for.
        url: String,
        /// What went wrong.
        reason: String,
    },
    /// A server does not let this client in, or does not do what it asks.
    Refused(String),
    /// The command line makes no sense.
    Usage(String),
    /// An option has a value that it cannot have, or two options contradict each other.
    Config(String),
    /// A check that was asked for failed.
    Check(String),
    /// Anything else that went wrong while running.
    Runtime(String),
}

impl Error {
    /// The process's exit code: 1 failure while running, 2 usage, 69 cannot bind or connect, 77 refused by a server,
    /// 78 configuration, 99 check failed.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Runtime(_) => 1,
            Self::Usage(_) => 2,
            Self::Bind { .. } | Self::Connect { .. } => 69,
            Self::Refused(_) => 77,
            Self::Config(_) => 78,
            Self::Check(_) => 99,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bind { listener, address, source } => {
                let flag = listener.replace('_', "-");
                write!(f, "cannot listen on {address}: {source} (choose another with --{flag})")
            }
            Self::Connect { url, reason } => write!(f, "cannot connect to {url}: {reason}"),
            Self::Refused(reason)
            | Self::Usage(reason)
            | Self::Config(reason)
            | Self::Check(reason)
            | Self::Runtime(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Bind { source, .. } => Some(source),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_port_names_the_option_that_chooses_another() {
        let error = Error::Bind {
            listener: "http",
            address: "127.0.0.1:8000".into(),
            source: io::ErrorKind::AddrInUse.into(),
        };
        let message = error.to_string();
        assert!(message.contains("127.0.0.1:8000") && message.contains("--http"), "{message}");
        assert_eq!(error.exit_code(), 69);
    }

    #[test]
    fn exit_codes_tell_apart_what_the_user_can_do() {
        let codes = [
            Error::Runtime(String::new()),
            Error::Usage(String::new()),
            Error::Connect { url: String::new(), reason: String::new() },
            Error::Refused(String::new()),
            Error::Config(String::new()),
            Error::Check(String::new()),
        ]
        .map(|error| error.exit_code());
        assert_eq!(codes, [1, 2, 69, 77, 78, 99]);
    }
}
