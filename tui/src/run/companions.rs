//! What goes along with a run besides its output: resets, commands on incidents, the exporter, a recording, the demo.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::sync::mpsc;

use super::resets::{Eye, Live, Resets};
use super::{Recorder, Story, Watcher};
use crate::exit::Exit;
use crate::export::{Exporter, Feed, ResetResult};
use crate::hooks::{Event, Failure, Hooks};
use crate::json;
use crate::model::sample::{Nanos, Sample};
use crate::model::snapshot::{Change, Connection, Snapshot};
use crate::reset::latency::Latency;
use crate::reset::policy::Mode;
use crate::reset::{Action, Report};
use crate::verdict::Cause;

/// Time between two looks at the kernel programs' own counters, for the exporter.
const HEALTH_EVERY: Duration = Duration::from_secs(1);

/// All of them are optional.
#[derive(Debug, Default)]
pub struct Companions {
    pub resets: Option<Resets>,
    pub hooks: Option<(Hooks, mpsc::UnboundedReceiver<Failure>)>,
    pub exporter: Option<Feed>,
    pub health_reported_at: Option<Instant>,
    pub story: Option<Story>,
    pub recorder: Option<Recorder>,
    /// Lines that the COMMAND prints under the dashboard.
    pub output: Option<mpsc::Receiver<String>>,
    /// Sentences for the reader that wait to be shown, in their order.
    pub failures: VecDeque<String>,
}

impl Companions {
    /// The probe is ready.
    pub(super) async fn begin(&mut self) -> Result<()> {
        match &mut self.story {
            Some(story) => story.begin().await,
            None => Ok(()),
        }
    }

    /// The threshold after which something is reset without asking, when it is a fixed one.
    pub(super) fn threshold(&self) -> Option<Duration> {
        let policy = self.resets.as_ref()?.resetter.policy();
        policy.stall_after.filter(|_| matches!(policy.mode, Mode::Auto | Mode::DryRun))
    }

    /// How late resets were so far, where there may be some.
    pub(super) fn latency(&self) -> Option<&Latency> {
        self.resets.as_ref().map(|resets| resets.resetter.latency())
    }

    /// Decides about resets.
    pub(super) fn resets<E: Eye>(
        &mut self,
        snapshot: &Snapshot,
        late: Duration,
        live: Live<'_, E>,
    ) -> Result<Vec<Report>> {
        let Some(resets) = &mut self.resets else { return Ok(Vec::new()) };
        let mut live = Live { recorder: self.recorder.as_mut(), ..live };
        let reports = resets.resetter.tick(snapshot, late, &mut live);
        let unrecorded = live.unrecorded;
        self.note(snapshot, &reports, unrecorded)?;
        Ok(reports)
    }

    /// A person asked for a reset of the connection as it was shown.
    pub(super) fn ask<E: Eye>(
        &mut self,
        shown: &Connection,
        snapshot: &Snapshot,
        live: Live<'_, E>,
    ) -> Result<Option<Report>> {
        let Some(resets) = &mut self.resets else { return Ok(None) };
        let mut live = Live { recorder: self.recorder.as_mut(), ..live };
        let report = resets.resetter.ask(shown, &mut live);
        let unrecorded = live.unrecorded;
        self.note(snapshot, std::slice::from_ref(&report), unrecorded)?;
        Ok(Some(report))
    }

    /// Writes the decisions down and counts them.
    fn note(
        &mut self,
        snapshot: &Snapshot,
        reports: &[Report],
        unrecorded: Vec<Result<String>>,
    ) -> Result<()> {
        for report in reports {
            if let Some(resets) = &mut self.resets {
                resets.note(snapshot, report)?;
            }
            count(self.exporter.as_ref().map(Feed::exporter), report);
        }
        for failure in unrecorded {
            self.failures.push_back(failure?);
        }
        Ok(())
    }

    /// Feeds those that only look.
    pub(super) fn observe(&mut self, snapshot: &Arc<Snapshot>, changes: &[Change], whole: bool) {
        if let Some(feed) = &mut self.exporter {
            feed.tick(snapshot, changes, whole);
        }
        let Some((hooks, _)) = &self.hooks else { return };
        for change in changes {
            let (event, connection) = match change {
                Change::Stalled(connection) => (Event::Stall, connection),
                Change::Recovered { connection, .. } => (Event::Recover, connection),
                _ => continue,
            };
            hooks.start(event, connection, &json::change(snapshot, change));
        }
    }

    /// Tells the exporter how the kernel side is, now and then: each program costs a system call.
    pub(super) fn report_health(&mut self, watcher: &Watcher) {
        let Some(feed) = &self.exporter else { return };
        if self.health_reported_at.is_none_or(|at| at.elapsed() >= HEALTH_EVERY) {
            self.health_reported_at = Some(Instant::now());
            feed.exporter().set_health(watcher.health());
        }
    }

    /// Writes a sample down. What went wrong without ending the run is returned.
    pub(super) fn record(&mut self, sample: &Sample, stalled: bool) -> Result<Option<Aside>> {
        let Some(recorder) = &mut self.recorder else { return Ok(None) };
        Ok(recorder.sample(sample, stalled)?.map(Aside::Failure))
    }

    /// Ends the recording, however the run ended.
    pub(super) fn end_recording(&mut self) -> Result<()> {
        self.recorder.as_mut().map_or(Ok(()), Recorder::finish)
    }

    /// Plays the demo on.
    pub(super) fn story(&mut self, snapshot: &Snapshot, changes: &[Change]) -> (Vec<String>, Option<Exit>) {
        self.story.as_mut().map(|story| story.tick(snapshot, changes)).unwrap_or_default()
    }

    /// The demo's link: whether it is unplugged now.
    pub(super) fn toggle(&mut self) -> bool {
        self.story.as_mut().is_some_and(Story::toggle)
    }

    /// When one of them wants to act by time alone.
    pub(super) fn wake_ns(&self) -> Option<Nanos> {
        let resets = self.resets.as_ref().and_then(|resets| resets.resetter.next_look_ns());
        let story = self.story.as_ref().and_then(Story::wake_ns);
        [resets, story].into_iter().flatten().min()
    }

    /// Something for the reader that is not about a connection: a command on an incident that failed, or a line of the
    /// COMMAND.
    pub(super) async fn aside(&mut self) -> Aside {
        if let Some(failure) = self.failures.pop_front() {
            return Aside::Failure(failure);
        }
        let failure = async {
            match &mut self.hooks {
                Some((_, failures)) => failures.recv().await,
                None => std::future::pending().await,
            }
        };
        let line = async {
            match &mut self.output {
                Some(output) => output.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some(failure) = failure => Aside::Failure(failure.to_string()),
            Some(line) = line => Aside::Output(line),
            else => std::future::pending().await,
        }
    }

    pub(super) async fn end_story(&mut self) {
        if let Some(story) = &mut self.story {
            story.end().await;
        }
    }

    pub(super) fn last_lines(&self, snapshot: &Snapshot) -> Vec<String> {
        self.story.as_ref().map(|story| story.summary(snapshot)).unwrap_or_default()
    }

    /// Waits for commands that still run; what failed of them, and was not shown yet.
    pub(super) async fn end(&mut self) -> Vec<String> {
        let mut failures = Vec::from(std::mem::take(&mut self.failures));
        if let Some((hooks, mut failed)) = self.hooks.take() {
            hooks.finish().await;
            while let Ok(failure) = failed.try_recv() {
                failures.push(failure.to_string());
            }
        }
        failures
    }
}

/// A line besides the connections.
#[derive(Debug)]
pub(super) enum Aside {
    /// A command of `--on-stall` or `--on-recover` failed, or an incident could not be recorded.
    Failure(String),
    /// The COMMAND printed this.
    Output(String),
}

fn count(exporter: Option<&Exporter>, report: &Report) {
    let Some(exporter) = exporter else { return };
    if let Action::Done { latency: Some(latency) } = report.action {
        exporter.note_reset_latency(latency);
    }
    let result = match report.action {
        Action::Done { .. } => ResetResult::Ok,
        Action::DryRun => ResetResult::DryRun,
        Action::Refused(_) => ResetResult::Refused,
        Action::Failed(_) => ResetResult::Error,
        Action::Followed { .. } => return,
    };
    exporter.count_reset(report.connection.verdict.cause.unwrap_or(Cause::Unknown), result);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn sentences_are_shown_in_the_order_in_which_they_came() {
        let mut companions = Companions::default();
        companions.failures.extend(["first".to_owned(), "second".to_owned()]);
        for expected in ["first", "second"] {
            assert!(matches!(companions.aside().await, Aside::Failure(text) if text == expected));
        }
    }
}
