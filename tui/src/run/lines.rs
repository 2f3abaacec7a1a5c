//! Outputs made of lines: JSON or plain text, to standard output or a file.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use super::resets;
use crate::json;
use crate::model::snapshot::{Change, Snapshot};
use crate::reset::Report;
use crate::reset::latency::Latency;
use crate::table;

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
    /// A log of a service: incidents only, and nobody has to read it.
    service: bool,
    /// Somebody else tells people what happens.
    told: bool,
    /// What limits the run, as far as it was written.
    limits: BTreeSet<String>,
}

#[derive(Debug)]
enum To {
    Stdout(io::Stdout),
    File(File),
    Nowhere,
}

impl io::Write for To {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stdout(out) => out.write(bytes),
            Self::File(file) => file.write(bytes),
            Self::Nowhere => Ok(bytes.len()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(out) => out.flush(),
            Self::File(file) => file.flush(),
            Self::Nowhere => Ok(()),
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
        Ok(Self { form, to: BufWriter::new(to), service: false, told: false, limits: BTreeSet::new() })
    }

    /// The log of a service on standard output: a line for each stall, recovery and decision, and no end when whoever read it
    /// goes away (a closed terminal, a pipe).
    #[must_use]
    pub fn log() -> Self {
        let to = BufWriter::new(To::Stdout(io::stdout()));
        Self { form: Form::Table, to, service: true, told: false, limits: BTreeSet::new() }
    }

    /// People get the story's sentences instead of a line for each change: both say the same. Programs get what they always
    /// get.
    pub fn leave_changes_to_the_story(&mut self) {
        self.told = self.form == Form::Table;
    }

    /// After this line nothing is missed.
    ///
    /// # Errors
    /// The reader is gone, or the disk is full.
    pub fn ready(&mut self, snapshot: &Snapshot, watching: &str) -> Result<()> {
        let line = match self.form {
            Form::Json => json::ready(snapshot, watching),
            Form::Table => table::ready(snapshot, watching),
        };
        self.put(&line)?;
        self.limits(snapshot)
    }

    /// What has come to limit the run, for people; programs find all of it in every line that has the whole state.
    fn limits(&mut self, snapshot: &Snapshot) -> Result<()> {
        if self.form == Form::Json {
            return Ok(());
        }
        self.limits.retain(|limit| snapshot.degradations.contains(limit));
        for limit in &snapshot.degradations {
            if self.limits.insert(limit.clone()) {
                self.put(&table::limit(snapshot, limit))?;
            }
        }
        Ok(())
    }

    /// What changed; the whole state too, when `whole`.
    ///
    /// # Errors
    /// As for `ready`.
    pub fn tick(&mut self, snapshot: &Snapshot, changes: &[Change], whole: bool) -> Result<()> {
        self.limits(snapshot)?;
        let changes = if self.told { &[] } else { changes };
        for change in changes {
            if self.service && !is_incident(change) {
                continue;
            }
            let line = match self.form {
                Form::Json => json::change(snapshot, change),
                Form::Table => table::change(snapshot, change),
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
    pub fn summary(
        &mut self,
        snapshot: &Snapshot,
        duration: Duration,
        latency: Option<&Latency>,
    ) -> Result<()> {
        let line = match self.form {
            Form::Json => json::summary(snapshot, duration, latency),
            Form::Table => table::summary(snapshot, duration),
        };
        self.put(&line)
    }

    /// A decision about a reset.
    ///
    /// # Errors
    /// As for `ready`.
    pub fn reset(&mut self, snapshot: &Snapshot, report: &Report) -> Result<()> {
        let line = match self.form {
            Form::Json => resets::line(snapshot, report),
            Form::Table => {
                table::reset(snapshot, &report.connection, report.action.as_str(), &report.reason())
            }
        };
        self.put(&line)
    }

    /// A sentence for people; programs do not get it.
    ///
    /// # Errors
    /// As for `ready`.
    pub fn say(&mut self, line: &str) -> Result<()> {
        if self.form == Form::Table { self.put(line) } else { Ok(()) }
    }

    /// The whole state, once, after a look: what is stalled, and what could not be told.
    ///
    /// # Errors
    /// As for `ready`.
    pub fn looked(&mut self, snapshot: &Snapshot, duration: Duration, unclear: &[String]) -> Result<()> {
        match self.form {
            Form::Json => self.put(&json::looked(snapshot, unclear)),
            Form::Table => {
                for connection in snapshot.connections.iter().filter(|c| c.verdict.cause.is_some()) {
                    let stalled = Change::Stalled(Box::new(connection.clone()));
                    self.put(&table::change(snapshot, &stalled))?;
                }
                for text in unclear {
                    self.put(&table::unclear(snapshot, text))?;
                }
                self.put(&table::summary(snapshot, duration))
            }
        }
    }

    fn put(&mut self, line: &str) -> Result<()> {
        if line.is_empty() {
            return Ok(());
        }
        match self.write(line) {
            Err(_) if self.service => self.to = BufWriter::new(To::Nowhere),
            written => written?,
        }
        Ok(())
    }

    fn write(&mut self, line: &str) -> io::Result<()> {
        self.to.write_all(line.as_bytes())?;
        if !line.ends_with('\n') {
            self.to.write_all(b"\n")?;
        }
        self.to.flush()
    }
}

/// Short connections come and go by the thousand; what else changed is in the metrics.
fn is_incident(change: &Change) -> bool {
    match change {
        Change::Stalled(_) | Change::Sharpened(_) | Change::Recovered { .. } => true,
        Change::Closed(connection) => connection.stalled_since_ns.is_some(),
        Change::Opened(_) | Change::Lost(_) | Change::Process(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::sample::Losses;

    #[test]
    fn what_comes_to_limit_the_run_is_written_once_each_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lines");
        let mut lines = Lines::open(Form::Table, Some(&path)).unwrap();
        let with = |degradations: &[&str]| Snapshot {
            degradations: degradations.iter().map(|&words| words.to_owned()).collect(),
            ..Snapshot::default()
        };
        lines.ready(&with(&["first"]), "all").unwrap();
        for degradations in [&["first"][..], &["first", "second"], &["first"], &["second"]] {
            lines.tick(&with(degradations), &[], false).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap();
        let limits: Vec<_> = written.lines().filter_map(|line| line.split_once("limit")).collect();
        let words: Vec<_> = limits.iter().map(|(_, words)| words.trim()).collect();
        assert_eq!(words, ["first", "second", "second"]);
    }

    #[test]
    fn people_get_the_story_and_programs_every_change() {
        let folder = tempfile::tempdir().unwrap();
        let changes = [Change::Lost(Losses { ring_full: 2, ..Losses::default() })];
        let written = |form, story: bool| {
            let path = folder.path().join("lines");
            let mut lines = Lines::open(form, Some(&path)).unwrap();
            if story {
                lines.leave_changes_to_the_story();
            }
            lines.tick(&Snapshot::default(), &changes, false).unwrap();
            std::fs::read_to_string(path).unwrap().lines().count()
        };
        assert_eq!((written(Form::Table, false), written(Form::Table, true)), (1, 0));
        assert_eq!((written(Form::Json, false), written(Form::Json, true)), (1, 1));
    }
}
