//! The lines of a file, plain or gzip, each of bounded length.
//!
//! Reads on the replay's thread through one 64 KiB buffer and one reused line buffer: a line costs one copy and
//! no allocation. Never holds more than [`LINE_BYTES_MAX`] of a line, whatever the file holds: a longer one is
//! read past and reported. Gzip is recognised by its magic bytes, not by the file's name, and may have several
//! members (files that were appended to, or joined).

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

/// The longest frame that is replayed: the engine's limit on an event.
pub const FRAME_BYTES_MAX: usize = 1 << 20;
/// The longest line that is kept, without its line feed: the longest frame, its time stamp, a carriage return.
pub(super) const LINE_BYTES_MAX: usize = FRAME_BYTES_MAX + 64;

const BUFFER_BYTES: usize = 64 * 1024;
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// One line of the file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// Without its line feed (and without a carriage return before it). The reader may overwrite it.
    Whole(&'a mut [u8]),
    /// Longer than [`LINE_BYTES_MAX`]; it was read past.
    TooLong,
}

/// Reads a file line by line.
pub(super) struct Lines {
    input: Box<dyn BufRead + Send>,
    line: Vec<u8>,
    /// Lines that were looked at when the file was opened, to be read again.
    peeked: VecDeque<Vec<u8>>,
    /// Bytes of a last line without a line feed.
    unfinished_bytes: usize,
}

impl std::fmt::Debug for Lines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lines").field("peeked", &self.peeked.len()).finish_non_exhaustive()
    }
}

impl Lines {
    /// Opens the file and looks at its first bytes. Blocks on the disk, as everything here.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Self::of(BufReader::with_capacity(BUFFER_BYTES, File::open(path)?))
    }

    /// Of anything that gives its first two bytes in one piece.
    fn of(mut input: impl BufRead + Send + 'static) -> io::Result<Self> {
        let input: Box<dyn BufRead + Send> = if input.fill_buf()?.starts_with(&GZIP_MAGIC) {
            Box::new(BufReader::with_capacity(BUFFER_BYTES, MultiGzDecoder::new(input)))
        } else {
            Box::new(input)
        };
        Ok(Self { input, line: Vec::new(), peeked: VecDeque::new(), unfinished_bytes: 0 })
    }

    /// The next line, or none at the end of the file. The last line needs no line feed.
    ///
    /// # Errors
    /// What the disk or the decompressor says; what follows in the file is lost.
    pub(super) fn next_line(&mut self) -> io::Result<Option<Line<'_>>> {
        match self.peeked.pop_front() {
            Some(line) => self.line = line,
            None if !self.read_line()? => return Ok(None),
            None => {}
        }
        let length = self.line.len();
        Ok(Some(if length > LINE_BYTES_MAX { Line::TooLong } else { Line::Whole(&mut self.line) }))
    }

    /// Reads the next line and keeps it to be read again: it will come from [`next_line`](Self::next_line) after
    /// those peeked at before it. None at the end of the file.
    pub(super) fn peek_line(&mut self) -> io::Result<Option<Line<'_>>> {
        if !self.read_line()? {
            return Ok(None);
        }
        self.peeked.push_back(self.line.clone());
        let length = self.line.len();
        Ok(Some(if length > LINE_BYTES_MAX { Line::TooLong } else { Line::Whole(&mut self.line) }))
    }

    /// Bytes of the last line when the file ended, or broke off, before its line feed; 0 while there is more to read.
    pub(super) fn unfinished_bytes(&self) -> usize {
        self.unfinished_bytes
    }

    /// Fills `line`; of a line that is too long it keeps one byte more than the limit. False at the end.
    fn read_line(&mut self) -> io::Result<bool> {
        self.line.clear();
        // Two more bytes for the line's end, so that a line of just the limit is seen whole.
        let mut bounded = (&mut self.input).take(LINE_BYTES_MAX as u64 + 2);
        let read = bounded.read_until(b'\n', &mut self.line);
        if self.line.last() != Some(&b'\n') && self.line.len() <= LINE_BYTES_MAX {
            self.unfinished_bytes = self.line.len().max(self.unfinished_bytes);
        }
        if read? == 0 {
            return Ok(false);
        }
        if self.line.pop_if(|last| *last == b'\n').is_some() {
            // Files that passed through a tool with other line ends.
            self.line.pop_if(|last| *last == b'\r');
        } else if self.line.len() > LINE_BYTES_MAX {
            self.line.truncate(LINE_BYTES_MAX + 1);
            self.input.skip_until(b'\n')?;
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::{Cursor, Write};

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    /// Every line as text; a line that was too long as its length in words.
    fn read(bytes: Vec<u8>) -> io::Result<Vec<String>> {
        let mut lines = Lines::of(Cursor::new(bytes))?;
        let mut read = Vec::new();
        while let Some(line) = lines.next_line()? {
            read.push(match line {
                Line::Whole(bytes) if bytes.len() > 100 => format!("{} bytes", bytes.len()),
                Line::Whole(bytes) => String::from_utf8_lossy(bytes).into_owned(),
                Line::TooLong => "too long".to_owned(),
            });
        }
        Ok(read)
    }

    #[test]
    fn line_ends_of_either_kind_or_none_at_the_end_are_removed() {
        assert_eq!(read(b"a\nb\r\n\nc\r".to_vec()).unwrap(), ["a", "b", "", "c\r"]);
        assert_eq!(read(Vec::new()).unwrap(), [""; 0]);
    }

    #[test]
    fn gzip_is_recognised_by_its_bytes_and_may_have_several_members() {
        let members = [gzip(b"a\nb"), gzip(b"c\n"), gzip(b"d\n")].concat();
        assert_eq!(read(members).unwrap(), ["a", "bc", "d"]);
    }

    #[test]
    fn a_file_cut_inside_a_gzip_member_gives_its_lines_and_then_an_error() {
        let text: Vec<u8> =
            (0..20_000).flat_map(|n| format!("{}\n", n * 7_919).into_bytes()).collect();
        let mut whole = gzip(&text);
        whole.truncate(whole.len() / 2);
        let mut lines = Lines::of(Cursor::new(whole)).unwrap();
        let mut count = 0;
        let error = loop {
            match lines.next_line() {
                Ok(Some(_)) => count += 1,
                Ok(None) => panic!("the end was not noticed to be missing"),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert!(count > 1_000, "{count}");
    }

    #[test]
    fn a_line_is_kept_up_to_the_limit_and_read_past_beyond_it() {
        for (length, expected) in [
            (LINE_BYTES_MAX - 1, format!("{} bytes", LINE_BYTES_MAX - 1)),
            (LINE_BYTES_MAX, format!("{LINE_BYTES_MAX} bytes")),
            (LINE_BYTES_MAX + 1, "too long".to_owned()),
            (LINE_BYTES_MAX + 2, "too long".to_owned()),
            (3 * LINE_BYTES_MAX, "too long".to_owned()),
        ] {
            for end in ["\n", "\r\n"] {
                let text =
                    [b"first\n", vec![b'x'; length].as_slice(), end.as_bytes(), b"last"].concat();
                assert_eq!(
                    read(text).unwrap(),
                    ["first", expected.as_str(), "last"],
                    "{length} {end:?}"
                );
            }
        }
    }

    #[test]
    fn lines_that_were_peeked_at_come_again_and_in_order() {
        let mut lines = Lines::of(Cursor::new(b"a\nb\nc\n".to_vec())).unwrap();
        assert_eq!(lines.peek_line().unwrap(), Some(Line::Whole(&mut b"a".to_owned()[..])));
        assert_eq!(lines.peek_line().unwrap(), Some(Line::Whole(&mut b"b".to_owned()[..])));
        for expected in [b"a", b"b", b"c"] {
            assert_eq!(lines.next_line().unwrap(), Some(Line::Whole(&mut expected.to_owned()[..])));
        }
        assert_eq!(lines.next_line().unwrap(), None);
    }
}
