//! Outputs made of lines: JSON or plain text, to standard output or a file.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::json;
use crate::model::snapshot::{Change, Snapshot};

/// JSON or text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Json,
    Table,
}

/// Where lines go.
#[derive(Debug)]
pub struct Lines {
    form: Form,
    to: BufWriter<To>,
}

#[derive(Debug)]
enum To {
    Stdout(io::Stdout),
    File(File),
}

impl io::Write for To {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stdout(out) => out.write(bytes),
            Self::File(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(out) => out.flush(),
            Self::File(file) => file.flush(),
        }
    }
}

impl Lines {
    /// Opens the output.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn open(form: Form, file: Option<&Path>) -> Result<Self> {
        let to = match file {
            None => To::Stdout(io::stdout()),
            Some(path) => To::File(
                File::create(path).with_context(|| format!("making the output file {}", path.display()))?,
            ),
        };
        Ok(Self { form, to: BufWriter::new(to) })
    }

    /// After this line nothing is missed.
    ///
    /// # Errors
    /// The reader is gone, or the disk is full.
    pub fn ready(&mut self, snapshot: &Snapshot, watching: &str) -> Result<()> {
        let line = match self.form {
            Form::Json => json::ready(snapshot, watching),
            Form::Table => json::ready(snapshot, watching),
        };
        self.put(&line)
    }

    /// What changed; the whole state too, when `whole`.
    ///
    /// # Errors
    /// As for `ready`.
    pub fn tick(&mut self, snapshot: &Snapshot, changes: &[Change], whole: bool) -> Result<()> {
        for change in changes {
            let line = match self.form {
                Form::Json => json::change(snapshot, change),
                Form::Table => json::change(snapshot, change),
            };
            self.put(&line)?;
        }
        if whole && self.form == Form::Json {
            self.put(&json::snapshot(snapshot))?;
        }
        Ok(())
    }

    /// The last line.
    ///
    /// # Errors
    /// As for `ready`.
    pub fn summary(&mut self, snapshot: &Snapshot, duration: Duration) -> Result<()> {
        let line = match self.form {
            Form::Json => json::summary(snapshot, duration),
            Form::Table => json::summary(snapshot, duration),
        };
        self.put(&line)
    }

    /// The whole state, once.
    ///
    /// # Errors
    /// As for `ready`.
    pub fn whole(&mut self, snapshot: &Snapshot) -> Result<()> {
        self.put(&json::snapshot(snapshot))
    }

    fn put(&mut self, line: &str) -> Result<()> {
        if line.is_empty() {
            return Ok(());
        }
        self.to.write_all(line.as_bytes())?;
        if !line.ends_with('\n') {
            self.to.write_all(b"\n")?;
        }
        self.to.flush()?;
        Ok(())
    }
}
