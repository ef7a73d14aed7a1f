//! The file that `lineage record` writes: lines of a receive time and a message, plain or gzip, in parts.
//!
//! A part begins with a note that says so and ends with another; whoever finds no end knows that the recorder was
//! killed. Gzip is written in whole members, one per flush, so that a file breaks off between two of them or within
//! the last. Blocks on the disk. Never replaces a file that exists.

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

const BUFFER_BYTES: usize = 64 * 1024;
/// How long lines stay with us at most before the system has them, unless each is to be on the disk.
const FLUSH_INTERVAL: Duration = Duration::from_secs(1);

/// When lines are on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sync {
    /// When the system likes; it has them within a second.
    Never,
    /// Within a second.
    EachSecond,
    /// Before the next one is taken.
    EachLine,
}

impl Sync {
    /// # Errors
    /// What is allowed.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match text {
            "never" => Ok(Self::Never),
            "1s" => Ok(Self::EachSecond),
            "each" => Ok(Self::EachLine),
            _ => Err("neither `never`, `1s` nor `each`".to_owned()),
        }
    }

    /// How long lines may wait to be flushed.
    pub(super) fn patience(self) -> Duration {
        match self {
            Self::Never | Self::EachSecond => FLUSH_INTERVAL,
            Self::EachLine => Duration::ZERO,
        }
    }
}

/// Where and how to record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Form {
    /// The first part; gzip when it ends in `.gz`.
    pub(super) path: PathBuf,
    /// A part of so many bytes on the disk, or a little more, is the last of its file.
    pub(super) rotate_bytes: Option<u64>,
    pub(super) sync: Sync,
}

/// A size with its unit: `16384`, `64KiB`, `100MB`.
///
/// # Errors
/// What is allowed.
pub(super) fn parse_bytes(text: &str) -> Result<u64, String> {
    let units = [
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("kB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("B", 1),
        ("", 1),
    ];
    let bytes = units.iter().find_map(|(unit, factor)| {
        let number = text.strip_suffix(unit)?;
        let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| number.parse::<u64>().ok()?.checked_mul(*factor)).flatten()
    });
    bytes
        .filter(|bytes| *bytes > 0)
        .ok_or_else(|| "not a size such as `100MB` or `64MiB`".to_owned())
}

/// A recording under way.
#[derive(Debug)]
pub(super) struct Recorder {
    form: Form,
    /// What every part says of itself when it begins.
    origin: Value,
    part: Part,
    /// From 1.
    parts: u64,
    /// On the disk in the parts before this one.
    bytes_before: u64,
    /// Lines that the system does not have yet.
    has_unflushed: bool,
}

impl Recorder {
    /// Creates the first part. `origin` goes into the note at the beginning of each.
    ///
    /// # Errors
    /// When the file exists, or cannot be made.
    pub(super) fn create(form: Form, origin: Value, now_ns: u64) -> io::Result<Self> {
        let part = Part::create(&form.path)?;
        let mut recorder =
            Self { form, origin, part, parts: 1, bytes_before: 0, has_unflushed: false };
        recorder.begin(now_ns)?;
        Ok(recorder)
    }

    /// Writes a line, and goes on to the next part when this one is full.
    ///
    /// # Errors
    /// What the disk says.
    pub(super) fn line(&mut self, received_ns: u64, message: &str) -> io::Result<()> {
        self.append(received_ns, message)?;
        if self.form.sync == Sync::EachLine {
            self.flush()?;
        }
        if self.form.rotate_bytes.is_some_and(|limit| self.part.bytes() >= limit) {
            self.rotate(received_ns)?;
        }
        Ok(())
    }

    /// Writes a note of what happened.
    ///
    /// # Errors
    /// What the disk says.
    pub(super) fn note(&mut self, now_ns: u64, note: &Value) -> io::Result<()> {
        let message = json!({ "type": "recorder", "payload": note });
        self.append(now_ns, &message.to_string())
    }

    /// Hands everything written to the system, and to the disk if that is asked for.
    ///
    /// # Errors
    /// What the disk says.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        if self.has_unflushed {
            self.part.flush()?;
            if self.form.sync != Sync::Never {
                self.part.file()?.sync_data()?;
            }
            self.has_unflushed = false;
        }
        Ok(())
    }

    /// Whether lines wait to be flushed.
    pub(super) fn has_unflushed(&self) -> bool {
        self.has_unflushed
    }

    /// Writes the note that ends the recording, and everything to the disk.
    ///
    /// # Errors
    /// What the disk says.
    pub(super) fn end(&mut self, now_ns: u64, note: &Value) -> io::Result<()> {
        self.note(now_ns, note)?;
        self.part.flush()?;
        self.has_unflushed = false;
        self.part.file()?.sync_all()
    }

    /// Parts so far.
    pub(super) fn parts(&self) -> u64 {
        self.parts
    }

    /// Bytes on the disk so far, in all parts; of what is not flushed yet it may know nothing.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes_before + self.part.bytes()
    }

    fn begin(&mut self, now_ns: u64) -> io::Result<()> {
        let mut note = json!({ "note": "begin", "part": self.parts });
        if let (Some(note), Some(origin)) = (note.as_object_mut(), self.origin.as_object()) {
            note.extend(origin.clone());
        }
        self.note(now_ns, &note)
    }

    fn rotate(&mut self, now_ns: u64) -> io::Result<()> {
        let next = part_path(&self.form.path, self.parts + 1);
        let name = next.file_name().map(|name| name.to_string_lossy().into_owned());
        // Before the end of this one: a part that says `next` has a successor.
        let part = Part::create(&next)?;
        self.end(now_ns, &json!({ "note": "end", "why": "rotated", "next": name }))?;
        self.bytes_before += self.part.bytes();
        self.part = part;
        self.parts += 1;
        self.begin(now_ns)
    }

    fn append(&mut self, received_ns: u64, message: &str) -> io::Result<()> {
        self.has_unflushed = true;
        let out = self.part.writer()?;
        write!(out, "{received_ns} ")?;
        // In JSON a raw line break can only be white space.
        for (index, piece) in message.split(['\n', '\r']).enumerate() {
            if index > 0 {
                out.write_all(b" ")?;
            }
            out.write_all(piece.as_bytes())?;
        }
        out.write_all(b"\n")
    }
}

/// `day.jsonl.gz` → `day.0002.jsonl.gz`.
pub(super) fn part_path(first: &Path, part: u64) -> PathBuf {
    let name =
        first.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let (name, packed) = match name.strip_suffix(".gz") {
        Some(name) => (name, ".gz"),
        None => (&*name, ""),
    };
    let (stem, ending) = match name.rsplit_once('.') {
        Some((stem, ending)) if !stem.is_empty() => (stem, format!(".{ending}")),
        _ => (name, String::new()),
    };
    first.with_file_name(format!("{stem}.{part:04}{ending}{packed}"))
}

/// One file.
#[derive(Debug)]
enum Part {
    Plain(BufWriter<Counted>),
    /// A member is begun by the first line after a flush.
    Gzip(Packing),
}

#[derive(Debug)]
enum Packing {
    Between(Counted),
    Within(GzEncoder<Counted>),
    /// A write failed.
    Lost,
}

impl Part {
    fn create(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).create_new(true).open(path)?;
        let file = Counted { file, bytes: 0 };
        let is_packed = path.extension().is_some_and(|ending| ending == "gz");
        Ok(if is_packed {
            Self::Gzip(Packing::Between(file))
        } else {
            Self::Plain(BufWriter::with_capacity(BUFFER_BYTES, file))
        })
    }

    fn writer(&mut self) -> io::Result<&mut dyn Write> {
        match self {
            Self::Plain(out) => Ok(out),
            Self::Gzip(packing) => {
                if let Packing::Between(_) = packing
                    && let Packing::Between(file) = std::mem::replace(packing, Packing::Lost)
                {
                    *packing = Packing::Within(GzEncoder::new(file, Compression::fast()));
                }
                match packing {
                    Packing::Within(out) => Ok(out),
                    Packing::Between(_) | Packing::Lost => Err(lost()),
                }
            }
        }
    }

    /// Ends the gzip member, if one is begun, and hands everything to the system.
    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(out) => out.flush(),
            Self::Gzip(packing) => {
                match std::mem::replace(packing, Packing::Lost) {
                    Packing::Within(out) => *packing = Packing::Between(out.finish()?),
                    other => *packing = other,
                }
                Ok(())
            }
        }
    }

    fn counted(&self) -> Option<&Counted> {
        match self {
            Self::Plain(out) => Some(out.get_ref()),
            Self::Gzip(Packing::Between(file)) => Some(file),
            Self::Gzip(Packing::Within(out)) => Some(out.get_ref()),
            Self::Gzip(Packing::Lost) => None,
        }
    }

    fn file(&self) -> io::Result<&File> {
        self.counted().map(|counted| &counted.file).ok_or_else(lost)
    }

    fn bytes(&self) -> u64 {
        let waiting = match self {
            Self::Plain(out) => out.buffer().len() as u64,
            Self::Gzip(_) => 0,
        };
        self.counted().map_or(0, |counted| counted.bytes) + waiting
    }
}

fn lost() -> io::Error {
    io::Error::other("an earlier write failed")
}

/// Counts what is written.
#[derive(Debug)]
struct Counted {
    file: File,
    bytes: u64,
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
