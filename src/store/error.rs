//! Why there is no store, or no answer from it: which file, what is wrong with it, and what to do.

use rusqlite::ErrorCode;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Error {
    /// The file, as it was named.
    pub path: PathBuf,
    /// What is wrong.
    pub problem: Problem,
}

/// The things that can be wrong with a file, told apart by what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// Its bytes are no SQLite database.
    NotADatabase,
    /// A database of another program.
    Foreign,
    /// A schema that this version does not know.
    Version {
        /// What the file says.
        found: i64,
        /// The newest that is known.
        known: usize,
    },
    /// It, or its folder, cannot be written.
    ReadOnly,
    /// The disk is full, or the file has reached its largest size.
    Full,
    /// Another store has it open.
    InUse,
    /// There is no such folder, or a folder stands in its place.
    NoFile,
    /// It is damaged: what was read makes no sense.
    Damaged(String),
    /// The file system cannot keep a write-ahead log; with the journal mode that is left.
    NoLog(String),
    /// Anything else, as the operating system or the database says it.
    Other(String),
}

impl Error {
    pub(super) fn new(path: &Path, problem: Problem) -> Self {
        Self { path: path.to_owned(), problem }
    }

    pub(super) fn of_file(path: &Path, error: &io::Error) -> Self {
        let problem = match error.kind() {
            io::ErrorKind::NotFound
            | io::ErrorKind::IsADirectory
            | io::ErrorKind::NotADirectory => Problem::NoFile,
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Problem::ReadOnly
            }
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Problem::Full,
            _ => Problem::Other(error.to_string()),
        };
        Self::new(path, problem)
    }

    pub(super) fn of_database(path: &Path, error: &rusqlite::Error) -> Self {
        let problem = match error {
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::IntegralValueOutOfRange(..) => Problem::Damaged(error.to_string()),
            _ => match error.sqlite_error_code() {
                Some(ErrorCode::NotADatabase) => Problem::NotADatabase,
                Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => Problem::ReadOnly,
                Some(ErrorCode::DiskFull) => Problem::Full,
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Problem::InUse,
                Some(ErrorCode::CannotOpen) => Problem::NoFile,
                Some(ErrorCode::DatabaseCorrupt) => Problem::Damaged(error.to_string()),
                _ => Problem::Other(error.to_string()),
            },
        };
        Self::new(path, problem)
    }

    /// Whether the same rows may be stored later: the trouble is with the place, not with them.
    pub(super) fn may_pass(&self, error: &rusqlite::Error) -> bool {
        let is_place = matches!(
            self.problem,
            Problem::Full | Problem::ReadOnly | Problem::InUse | Problem::NoFile
        );
        is_place || error.sqlite_error_code() == Some(ErrorCode::SystemIoFailure)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "store {}: ", self.path.display())?;
        match &self.problem {
            Problem::NotADatabase => f.write_str("not a database; name another file, or a new one"),
            Problem::Foreign => {
                f.write_str("a database of another program; name another file, or a new one")
            }
            Problem::Version { found, known } => write!(
                f,
                "schema version {found}, and the newest known is {known}; use the version that wrote it, or a new file"
            ),
            Problem::ReadOnly => f.write_str(
                "the file or its folder cannot be written; change the permissions, or name another",
            ),
            Problem::Full => f.write_str(
                "the disk is full, or the file has reached store.file_bytes_max; free space, or raise it",
            ),
            Problem::InUse => {
                f.write_str("another process has it open; stop that, or name another file")
            }
            Problem::NoFile => {
                f.write_str("the folder does not exist, or this is a folder; make it, or name a file")
            }
            Problem::Damaged(what) => {
                write!(f, "damaged: {what}; move it away and start with a new file, or a copy")
            }
            Problem::NoLog(mode) => write!(
                f,
                "the file system cannot keep a write-ahead log (journal mode stays {mode}); name a file on a local disk"
            ),
            Problem::Other(what) => write!(f, "{what}; check the disk, or name another file"),
        }
    }
}

impl std::error::Error for Error {}

impl From<Error> for crate::error::Error {
    fn from(error: Error) -> Self {
        match error.problem {
            Problem::Full | Problem::Damaged(_) | Problem::Other(_) => {
                Self::Runtime(error.to_string())
            }
            _ => Self::Config(error.to_string()),
        }
    }
}
