//! Reads a recording.

use super::error::ReadError;
use super::header::{FORMAT, Header, HeaderWire};
use super::mirror::Mirror;
use super::patch::apply;
use super::wire::{Line, Magic, ReadingWire, Rest, RestWire};
use crate::model::sample::{Cookie, Nanos, Reading, Sample};
use flate2::bufread::GzDecoder;
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read};

/// A longer line is no line: a small file must not be able to ask for all memory.
const LONGEST_LINE_BYTES: u64 = 256 << 20;
/// The first line is short.
const LONGEST_HEADER_BYTES: u64 = 64 << 10;

/// Reads samples one by one. After an error there is nothing more.
#[derive(Debug)]
pub struct Reader<R: Read> {
    lines: BufReader<GzDecoder<BufReader<R>>>,
    header: Header,
    states: HashMap<Cookie, Value>,
    rest: Value,
    line: u64,
    samples: u64,
    over: bool,
}

impl<R: Read> Reader<R> {
    /// Opens a recording and reads its header.
    ///
    /// # Errors
    /// It is not a recording, or one of a newer version.
    pub fn new(from: R) -> Result<Self, ReadError> {
        let mut from = BufReader::new(from);
        if !from.fill_buf().map_err(ReadError::Io)?.starts_with(&[0x1f, 0x8b]) {
            return Err(ReadError::NotARecording);
        }
        let mut lines = BufReader::new(GzDecoder::new(from));
        let header = header(&mut lines)?;
        let rest = Value::Object(Map::new());
        Ok(Self { lines, header, states: HashMap::new(), rest, line: 1, samples: 0, over: false })
    }

    /// What the recording says of itself.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The next sample; `None` after the last line.
    fn read(&mut self) -> Result<Option<Sample>, ReadError> {
        let text = match line(&mut self.lines, LONGEST_LINE_BYTES) {
            Ok(text) => text,
            Err(error) => return Err(self.unreadable(error)),
        };
        self.line += 1;
        if !text.ends_with(b"\n") {
            return Err(ReadError::Truncated { samples: self.samples });
        }
        match serde_json::from_slice(&text).map_err(|error| self.corrupt(&error))? {
            Line::Sample { now_ns, unix_ns, readings, rest } => {
                self.sample(now_ns, unix_ns, readings, rest).map(Some)
            }
            Line::End { samples } if samples == self.samples => self.end().map(|()| None),
            Line::End { samples } => {
                Err(self.corrupt(&format!("{samples} samples were written, {} are here", self.samples)))
            }
        }
    }

    /// Behind the last line comes gzip's checksum, which is checked when it is read.
    fn end(&mut self) -> Result<(), ReadError> {
        match line(&mut self.lines, LONGEST_LINE_BYTES) {
            Ok(more) if more.is_empty() => Ok(()),
            Ok(_) => Err(self.corrupt(&"something follows the last line")),
            Err(error) => Err(self.unreadable(error)),
        }
    }

    fn sample(
        &mut self,
        now_ns: Nanos,
        unix_ns: i64,
        patches: Vec<(Cookie, Value)>,
        rest: Value,
    ) -> Result<Sample, ReadError> {
        let mut states = HashMap::with_capacity(patches.len());
        let mut readings = Vec::with_capacity(patches.len());
        for (id, patch) in patches {
            let mut state = states.remove(&id).or_else(|| self.states.remove(&id)).unwrap_or(Value::Null);
            apply(&mut state, patch);
            let wire: ReadingWire = serde::Deserialize::deserialize(&state).map_err(|e| self.corrupt(&e))?;
            readings.push(Reading { id, ..Mirror::domain(wire) });
            states.insert(id, state);
        }
        self.states = states;
        if !rest.is_null() {
            apply(&mut self.rest, rest);
        }
        let wire: RestWire = serde::Deserialize::deserialize(&self.rest).map_err(|e| self.corrupt(&e))?;
        let Rest { losses, processes } = Mirror::domain(wire);
        self.samples += 1;
        Ok(Sample { now_ns, unix_ns: Mirror::domain(unix_ns), readings, losses, processes })
    }

    fn corrupt(&self, what: &impl ToString) -> ReadError {
        ReadError::Corrupt { line: self.line, what: what.to_string() }
    }

    fn unreadable(&self, error: io::Error) -> ReadError {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => ReadError::Truncated { samples: self.samples },
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
                ReadError::Corrupt { line: self.line + 1, what: error.to_string() }
            }
            _ => ReadError::Io(error),
        }
    }
}

impl<R: Read> Iterator for Reader<R> {
    type Item = Result<Sample, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let sample = self.read().transpose();
        self.over = !matches!(sample, Some(Ok(_)));
        sample
    }
}

/// One line with its end; without it when the input ends or the line is longer than `longest` bytes.
fn line(from: &mut impl BufRead, longest: u64) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    from.take(longest).read_until(b'\n', &mut text)?;
    if text.len() as u64 == longest && !text.ends_with(b"\n") {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a line without an end"));
    }
    Ok(text)
}

fn header(from: &mut impl BufRead) -> Result<Header, ReadError> {
    let text = line(from, LONGEST_HEADER_BYTES).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => ReadError::Truncated { samples: 0 },
        _ => ReadError::NotARecording,
    })?;
    let magic: Magic = serde_json::from_slice(&text).map_err(|_| ReadError::NotARecording)?;
    if magic.format != FORMAT {
        return Err(ReadError::NotARecording);
    }
    if magic.version > super::VERSION {
        let members: Value = serde_json::from_slice(&text).unwrap_or_default();
        let h2watch = members.get("h2watch").and_then(Value::as_str).map(str::to_owned);
        return Err(ReadError::Newer { version: magic.version, h2watch });
    }
    let wire: HeaderWire =
        serde_json::from_slice(&text).map_err(|e| ReadError::Corrupt { line: 1, what: e.to_string() })?;
    Ok(wire.into())
}
