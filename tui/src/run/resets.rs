//! Resets within a run: the resetter, its audit file, and the world that it acts on.

use std::time::Duration;

use anyhow::Result;

use super::beat::Beat;
use super::{Recorder, Wanted, Watcher, clock};
use crate::dashboard::Message;
use crate::diag::{Namespaces, Outcome};
use crate::human;
use crate::json;
use crate::model::Model;
use crate::model::sample::{Cookie, Nanos, Sample};
use crate::model::snapshot::{Change, Connection, Snapshot};
use crate::reset::audit::AuditLog;
use crate::reset::{Action, Report, Resetter, World, kill};

/// The acting part of a run.
#[derive(Debug)]
pub struct Resets {
    pub resetter: Resetter,
    pub audit: Option<AuditLog>,
}

/// What takes samples, and knows the processes' network namespaces.
pub(super) trait Eye {
    fn sample(&mut self, wanted: &Wanted<'_>) -> Sample;
    fn namespaces(&mut self) -> &mut Namespaces;
}

impl Eye for Watcher {
    fn sample(&mut self, wanted: &Wanted<'_>) -> Sample {
        Watcher::sample(self, wanted)
    }
    fn namespaces(&mut self) -> &mut Namespaces {
        Watcher::namespaces(self)
    }
}

/// The live system: a fresh sample before each reset, and the kernel's answer.
#[derive(Debug)]
pub(super) struct Live<'a, E> {
    pub(super) eye: &'a mut E,
    pub(super) model: &'a mut Model,
    pub(super) beat: &'a Beat,
    /// What the fresh samples find is told like what any other finds: the model says it once.
    pub(super) found: &'a mut Vec<Change>,
    /// A fresh sample is the last one of what closed before it.
    pub(super) recorder: Option<&'a mut Recorder>,
    /// What could not be recorded, and whether that ends the run.
    pub(super) unrecorded: Vec<Result<String>>,
}

impl<'a, E: Eye> Live<'a, E> {
    pub(super) fn new(
        eye: &'a mut E,
        model: &'a mut Model,
        beat: &'a Beat,
        found: &'a mut Vec<Change>,
    ) -> Self {
        Self { eye, model, beat, found, recorder: None, unrecorded: Vec::new() }
    }

    fn record(&mut self, sample: &Sample) {
        let Some(recorder) = &mut self.recorder else { return };
        let noted = recorder.sample(sample, self.model.stalled() > 0);
        self.unrecorded.extend(noted.transpose());
    }
}

impl<E: Eye> World for Live<'_, E> {
    fn now_ns(&self) -> Nanos {
        clock::now_ns()
    }

    fn look_again(&mut self, id: Cookie) -> Option<Connection> {
        let sample = self.eye.sample(&Wanted { asked: Some(id), suspects: None });
        let (snapshot, changes) = self.model.observe(&sample);
        self.found.extend(changes);
        self.record(&sample);
        snapshot.connections.into_iter().find(|connection| connection.reading.id == id)
    }

    fn lost(&self, connection: &Connection) -> Duration {
        self.beat.lost(&connection.reading)
    }

    fn destroy(&mut self, connection: &Connection) -> Result<Outcome> {
        let outcome = kill::destroy(self.eye.namespaces(), connection)?;
        if outcome == Outcome::Destroyed {
            self.model.count_reset();
        }
        Ok(outcome)
    }
}

impl Resets {
    /// Writes a report to the audit file.
    pub(super) fn note(&mut self, snapshot: &Snapshot, report: &Report) -> Result<()> {
        match &mut self.audit {
            Some(audit) => audit.write(&line(snapshot, report)),
            None => Ok(()),
        }
    }
}

/// A report as a JSON line.
pub(super) fn line(snapshot: &Snapshot, report: &Report) -> String {
    let (mut latency_us, mut opened_ms, mut frame_ms, mut lost) = (None, None, None, None);
    match &report.action {
        Action::Done { latency } => latency_us = latency.map(micros),
        Action::Followed { recovery, streams_lost } => {
            opened_ms = recovery.opened().map(millis);
            frame_ms = recovery.first_frame().map(millis);
            lost = *streams_lost;
        }
        Action::DryRun | Action::Refused(_) | Action::Failed(_) => {}
    }
    json::reset(
        snapshot,
        &json::Reset {
            connection: &report.connection,
            mode: report.mode.as_str(),
            result: report.action.as_str(),
            reason: &report.reason(),
            latency_us,
            new_connection_after_ms: opened_ms,
            first_frame_after_ms: frame_ms,
            streams_lost: lost,
        },
    )
}

/// A report as a line on the dashboard.
impl From<&Report> for Message {
    fn from(report: &Report) -> Self {
        let bad = matches!(report.action, Action::Refused(_) | Action::Failed(_));
        let (peer, reason) = (human::peer(&report.connection.reading), report.reason());
        let text = match &report.action {
            // Fits into 80 columns.
            Action::Followed { .. } => format!("{peer} reset; {reason}"),
            action => format!("{peer} reset {}: {reason}", action.as_str()),
        };
        Message { text, bad }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod fresh;
#[cfg(test)]
mod tests;
