//! Recording along with a run: every sample, or those around stalls.

use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter};

use anyhow::{Context, Result};

use crate::model::sample::Sample;
use crate::record::{Anonymiser, Capture, Writer};

/// Where a recording goes.
pub type RecordingFile = BufWriter<File>;
/// Makes the file of an incident that begins with this sample.
pub type NextFile = Box<dyn FnMut(&Sample) -> io::Result<RecordingFile>>;

/// What is kept.
pub enum Keep {
    /// Everything, in one file.
    All(Box<Writer<RecordingFile>>),
    /// The time around stalls, a file for each.
    Incidents(Box<Capture<RecordingFile, NextFile>>),
}

/// A companion that writes samples down.
#[derive(Debug)]
pub struct Recorder {
    /// `None` once it is finished.
    keep: Option<Keep>,
    anonymiser: Option<Anonymiser>,
}

impl Recorder {
    #[must_use]
    pub fn new(keep: Keep, anonymise: bool) -> Self {
        Self { keep: Some(keep), anonymiser: anonymise.then(Anonymiser::default) }
    }

    /// Takes a sample; `stalled`: some connection is. An incident that cannot be written is a sentence for the reader: the
    /// next one is tried again, and the watch goes on.
    pub(super) fn sample(&mut self, sample: &Sample, stalled: bool) -> Result<Option<String>> {
        let Some(keep) = &mut self.keep else { return Ok(None) };
        let hidden = self.anonymiser.as_mut().map(|anonymiser| anonymiser.sample(sample));
        let sample = hidden.as_ref().unwrap_or(sample);
        match keep {
            Keep::All(writer) => writer.sample(sample).map(|()| None).context("writing the recording"),
            Keep::Incidents(capture) => Ok(capture
                .observe(sample, stalled)
                .err()
                .map(|error| format!("this incident is not recorded: {error}"))),
        }
    }

    /// Writes the end, without which a recording counts as cut off.
    pub(super) fn finish(&mut self) -> Result<()> {
        let finished = match self.keep.take() {
            Some(Keep::All(writer)) => writer.finish().map(drop),
            Some(Keep::Incidents(mut capture)) => capture.finish().map(drop),
            None => Ok(()),
        };
        finished.context("writing the end of the recording")
    }
}

impl fmt::Debug for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::All(_) => "All",
            Self::Incidents(_) => "Incidents",
        })
    }
}
