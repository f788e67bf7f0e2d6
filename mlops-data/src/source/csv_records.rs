//! Text cut into records and fields, as RFC 4180 says it, with exact lines and bytes.

use std::borrow::Cow;
use std::io::Read;
use std::path::{Path, PathBuf};

use mlops_core::{Error, Result};

/// How the text is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dialect {
    pub(crate) delimiter: u8,
    /// `None`: quotes are text like any other.
    pub(crate) quote: Option<u8>,
}

/// Where a record starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The byte in the file.
    pub(crate) byte: u64,
    /// The line, counted from 1.
    pub(crate) line: u64,
}

/// The longest record; one that is longer is an error, so that a stray quote does not read a
/// whole file into memory.
pub(crate) const MAX_RECORD: usize = 64 << 20;
/// The most fields of a record, so that a line of delimiters takes no more memory than it should.
pub(crate) const MAX_FIELDS: usize = 1 << 20;
const CHUNK: usize = 256 << 10;

/// A reader of records. Of each record it knows the fields' places; blank lines are passed over.
pub(crate) struct Records<R> {
    input: R,
    path: PathBuf,
    dialect: Dialect,
    buffer: Vec<u8>,
    at: usize,
    end: usize,
    eof: bool,
    /// Where `buffer[at]` stands.
    mark: Mark,
    fields: Vec<Span>,
}

/// A field's place in the buffer, without its quotes.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: usize,
    end: usize,
    quoted: bool,
    /// It holds doubled quotes.
    escaped: bool,
}

/// What one attempt at a record came to.
enum Step {
    /// A record that ends here, after this many line breaks; the next one starts at the offset.
    Record { next: usize, lines: u64 },
    /// The buffer ended within the record.
    More,
}

/// One record: its fields, and the line that it starts on.
pub(crate) struct Record<'a> {
    buffer: &'a [u8],
    fields: &'a [Span],
    quote: u8,
    pub(crate) start: Mark,
}

/// A field's bytes.
pub(crate) struct Field<'a> {
    pub(crate) bytes: Cow<'a, [u8]>,
    pub(crate) quoted: bool,
}

impl Record<'_> {
    pub(crate) fn len(&self) -> usize {
        self.fields.len()
    }

    pub(crate) fn field(&self, index: usize) -> Field<'_> {
        let span = self.fields[index];
        let raw = &self.buffer[span.start..span.end];
        let bytes = if span.escaped {
            let mut text = Vec::with_capacity(raw.len());
            let mut rest = raw.iter();
            while let Some(&byte) = rest.next() {
                text.push(byte);
                if byte == self.quote {
                    rest.next();
                }
            }
            Cow::Owned(text)
        } else {
            Cow::Borrowed(raw)
        };
        Field { bytes, quoted: span.quoted }
    }
}

impl<R: Read> Records<R> {
    /// The records of `input`, which starts at `mark` of the file.
    pub(crate) fn new(input: R, path: &Path, dialect: Dialect, mark: Mark) -> Self {
        Self {
            input,
            path: path.to_path_buf(),
            dialect,
            buffer: Vec::new(),
            at: 0,
            end: 0,
            eof: false,
            mark,
            fields: Vec::new(),
        }
    }

    /// Passes over a byte order mark, and refuses text that says it is not UTF-8.
    pub(crate) fn skip_bom(&mut self) -> Result<()> {
        self.fill()?;
        let head = &self.buffer[self.at..self.end];
        if head.starts_with(&[0xff, 0xfe]) || head.starts_with(&[0xfe, 0xff]) {
            return Err(self.bad(1, "UTF-8 text", "a UTF-16 byte order mark"));
        }
        if head.starts_with(b"PAR1") {
            return Err(self.bad(1, "UTF-8 text", "a Parquet file"));
        }
        if head.starts_with(&[0xef, 0xbb, 0xbf]) {
            self.at += 3;
            self.mark.byte += 3;
        }
        Ok(())
    }

    /// Where the next record, or the blank lines before it, starts.
    pub(crate) fn mark(&self) -> Mark {
        self.mark
    }

    /// The next record.
    pub(crate) fn next(&mut self) -> Result<Option<Record<'_>>> {
        loop {
            if self.at == self.end && self.eof {
                return Ok(None);
            }
            match self.step()? {
                Step::More => self.fill()?,
                Step::Record { next, lines } => {
                    let start = self.mark;
                    self.mark.byte += (next - self.at) as u64;
                    self.mark.line += lines;
                    self.at = next;
                    let blank =
                        matches!(self.fields[..], [one] if one.start == one.end && !one.quoted);
                    if blank {
                        continue;
                    }
                    return Ok(Some(Record {
                        buffer: &self.buffer,
                        fields: &self.fields,
                        quote: self.dialect.quote.unwrap_or(0),
                        start,
                    }));
                }
            }
        }
    }

    /// Reads on: moves what is left to the front, and appends.
    fn fill(&mut self) -> Result<()> {
        if self.eof {
            return Ok(());
        }
        self.buffer.copy_within(self.at..self.end, 0);
        self.end -= self.at;
        self.at = 0;
        if self.end >= MAX_RECORD {
            return Err(self.bad(
                self.mark.line,
                format!("a record of at most {} MiB", MAX_RECORD >> 20),
                "a longer one; is a quote left open?",
            ));
        }
        // At least as much again, so that a long record is scanned a few times only.
        let want = self.end + CHUNK.max(self.end);
        if self.buffer.len() < want {
            self.buffer.resize(want, 0);
        }
        while self.end < want {
            match self.input.read(&mut self.buffer[self.end..want]) {
                Ok(0) => {
                    self.eof = true;
                    break;
                }
                Ok(n) => self.end += n,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => return Err(Error::io(&self.path, e)),
            }
        }
        Ok(())
    }

    /// Tries to find a whole record at the front of the buffer.
    fn step(&mut self) -> Result<Step> {
        let Dialect { delimiter, quote } = self.dialect;
        self.fields.clear();
        let bytes = &self.buffer[..self.end];
        let mut at = self.at;
        let mut lines = 0;
        loop {
            // A field starts here.
            if self.fields.len() == MAX_FIELDS {
                let expected = format!("at most {MAX_FIELDS} fields");
                return Err(self.bad(self.mark.line, expected, "more"));
            }
            let quoted = at < bytes.len() && Some(bytes[at]) == quote;
            if quoted {
                let open = self.mark.line + lines;
                let start = at + 1;
                let mut escaped = false;
                at = start;
                let end = loop {
                    match bytes.get(at) {
                        None if self.eof => {
                            return Err(self.bad(
                                open,
                                "a closing quote before the end of the file",
                                "none; the quote that opens on this line stays open",
                            ));
                        }
                        None => return Ok(Step::More),
                        Some(&b) if Some(b) == quote => match bytes.get(at + 1) {
                            Some(&next) if Some(next) == quote => {
                                escaped = true;
                                at += 2;
                            }
                            None if !self.eof => return Ok(Step::More),
                            _ => break at,
                        },
                        Some(&b) => {
                            let break_here = b == b'\n'
                                || (b == b'\r' && bytes.get(at + 1).is_none_or(|&n| n != b'\n'));
                            lines += u64::from(break_here);
                            at += 1;
                        }
                    }
                };
                at = end + 1;
                self.fields.push(Span { start, end, quoted, escaped });
                if let Some(&b) = bytes.get(at)
                    && b != delimiter
                    && b != b'\n'
                    && b != b'\r'
                {
                    return Err(self.bad(
                        self.mark.line + lines,
                        "a delimiter or the end of the line after a closing quote",
                        format!("`{}`", char::from(b).escape_default()),
                    ));
                }
            } else {
                let start = at;
                while at < bytes.len() {
                    let b = bytes[at];
                    if b == delimiter || b == b'\n' || b == b'\r' {
                        break;
                    }
                    at += 1;
                }
                self.fields.push(Span { start, end: at, quoted, escaped: false });
            }
            match bytes.get(at) {
                Some(&b) if b == delimiter => at += 1,
                Some(b'\n') => return Ok(Step::Record { next: at + 1, lines: lines + 1 }),
                Some(_) => {
                    // A carriage return: alone or before a line feed.
                    return Ok(match bytes.get(at + 1) {
                        Some(b'\n') => Step::Record { next: at + 2, lines: lines + 1 },
                        None if !self.eof => Step::More,
                        _ => Step::Record { next: at + 1, lines: lines + 1 },
                    });
                }
                None if self.eof => return Ok(Step::Record { next: at, lines }),
                None => return Ok(Step::More),
            }
        }
    }

    fn bad(&self, line: u64, expected: impl Into<String>, found: impl Into<String>) -> Error {
        Error::Parse {
            path: self.path.clone(),
            line,
            expected: expected.into(),
            found: found.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reader that gives a byte at a time, so that every record crosses a border.
    struct Drip<'a>(&'a [u8]);

    impl Read for Drip<'_> {
        fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
            let n = self.0.len().min(out.len()).min(1);
            out[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            Ok(n)
        }
    }

    const PLAIN: Dialect = Dialect { delimiter: b',', quote: Some(b'"') };

    fn records(text: &[u8]) -> Result<Vec<(u64, Vec<String>)>> {
        let start = Mark { byte: 0, line: 1 };
        let mut reader = Records::new(Drip(text), Path::new("t.csv"), PLAIN, start);
        reader.skip_bom()?;
        let mut all = Vec::new();
        while let Some(record) = reader.next()? {
            let fields = (0..record.len())
                .map(|i| String::from_utf8_lossy(&record.field(i).bytes).into_owned())
                .collect();
            all.push((record.start.line, fields));
        }
        Ok(all)
    }

    #[test]
    fn quotes_breaks_and_lines() {
        let text = b"\xef\xbb\xbfa,b\r\n\"1,\"\"x\"\"\",2\r\n\r\n\"two\nlines\",\n3,";
        let expected: Vec<(u64, Vec<String>)> = vec![
            (1, vec!["a".into(), "b".into()]),
            (2, vec!["1,\"x\"".into(), "2".into()]),
            (4, vec!["two\nlines".into(), String::new()]),
            (6, vec!["3".into(), String::new()]),
        ];
        assert_eq!(records(text).unwrap(), expected);
        // Carriage returns alone end lines, too.
        assert_eq!(records(b"a\rb\r").unwrap().len(), 2);
        assert_eq!(records(b"").unwrap().len(), 0);
    }

    #[test]
    fn an_open_quote_names_its_line() {
        let message = records(b"a,b\n1,\"2\n3,4\n").unwrap_err().to_string();
        assert!(message.starts_with("t.csv, line 2: expected a closing quote"), "{message}");
        let message = records(b"a\n\"1\"x\n").unwrap_err().to_string();
        assert!(message.contains("line 2") && message.contains("`x`"), "{message}");
        let message = records(&vec![b','; MAX_FIELDS + 1]).unwrap_err().to_string();
        assert!(message.contains("fields"), "{message}");
        assert!(records(b"\xff\xfea\0").unwrap_err().to_string().contains("UTF-16"));
    }
}
