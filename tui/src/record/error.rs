//! What can be wrong with a recording, and what to do about it.

use std::{fmt, io};

/// Why a recording cannot be read, or not to its end.
#[derive(Debug)]
pub enum ReadError {
    /// The file is something else.
    NotARecording,
    /// A newer h2watch wrote it.
    Newer {
        version: u32,
        h2watch: Option<String>,
    },
    /// It ends without its last line. Everything before was read.
    Truncated {
        samples: u64,
    },
    /// A line is not what it should be.
    Corrupt {
        line: u64,
        what: String,
    },
    Io(io::Error),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotARecording => {
                write!(f, "this is not an h2watch recording (they are made with `h2watch record`)")
            }
            Self::Newer { version, h2watch } => {
                let by = h2watch.as_deref().unwrap_or("a newer version");
                write!(
                    f,
                    "the recording has format version {version}, written by h2watch {by}; this one reads up to version \
                     {}: update h2watch",
                    super::VERSION
                )
            }
            Self::Truncated { samples } => write!(
                f,
                "the recording is cut off after {samples} samples: h2watch was killed, the disk was full, or the copy is \
                 incomplete; what comes before is intact"
            ),
            Self::Corrupt { line, what } => {
                write!(f, "the recording is damaged at line {line} ({what}): copy it again from its origin")
            }
            Self::Io(error) => write!(f, "the recording cannot be read: {error}"),
        }
    }
}

impl std::error::Error for ReadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            _ => None,
        }
    }
}
