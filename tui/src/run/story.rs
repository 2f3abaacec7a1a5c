//! The demo within a run: its traffic, and the script that plays it where no person does.

use std::time::Duration;

use anyhow::Result;

use super::clock;
use crate::demo::{Action, Counts, Script, Traffic};
use crate::exit::Exit;
use crate::model::sample::Nanos;
use crate::model::snapshot::{Change, Snapshot};

/// The demo in progress.
#[derive(Debug)]
pub struct Story {
    traffic: Option<Traffic>,
    /// `None` on the dashboard: the person at the keys unplugs.
    script: Option<Script>,
    /// When the traffic began.
    began_ns: Nanos,
    counts: Option<Counts>,
}

impl Story {
    /// A demo whose traffic has not begun.
    #[must_use]
    pub fn new(traffic: Traffic, script: Option<Script>) -> Self {
        Self { traffic: Some(traffic), script, began_ns: clock::now_ns(), counts: None }
    }

    /// Lets the client open its connections: the probe is ready.
    pub(super) async fn begin(&mut self) -> Result<()> {
        self.began_ns = clock::now_ns();
        match &mut self.traffic {
            Some(traffic) => traffic.begin().await,
            None => Ok(()),
        }
    }

    /// Plays on. Returns lines to say, and the end when it has come.
    pub(super) fn tick(&mut self, snapshot: &Snapshot, changes: &[Change]) -> (Vec<String>, Option<Exit>) {
        let at = self.at();
        let Some(script) = &mut self.script else { return (Vec::new(), None) };
        let (mut lines, mut end) = (Vec::new(), None);
        for action in script.tick(at, snapshot, changes) {
            match (action, &self.traffic) {
                (Action::Say(line), _) => lines.push(line),
                (Action::Unplug, Some(traffic)) => traffic.unplug(),
                (Action::Plug, Some(traffic)) => traffic.plug(),
                (Action::Unplug | Action::Plug, None) => {}
                (Action::End(exit), _) => end = Some(exit),
            }
        }
        (lines, end)
    }

    /// When the script wants to play on.
    pub(super) fn wake_ns(&self) -> Option<Nanos> {
        let at = self.script.as_ref()?.wake_at()?;
        Some(self.began_ns.saturating_add(u64::try_from(at.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// The key `u`: returns whether the link is unplugged now.
    pub(super) fn toggle(&mut self) -> bool {
        let Some(traffic) = &self.traffic else { return false };
        if traffic.is_plugged() {
            traffic.unplug();
        } else {
            traffic.plug();
        }
        !traffic.is_plugged()
    }

    /// Ends the traffic, so that the last sample has its final counters.
    pub(super) async fn end(&mut self) {
        if let Some(traffic) = self.traffic.take() {
            self.counts = traffic.end().await.ok();
        }
    }

    /// The last lines.
    pub(super) fn summary(&self, snapshot: &Snapshot) -> Vec<String> {
        self.script
            .as_ref()
            .map(|script| script.summary(self.at(), snapshot, self.counts))
            .unwrap_or_default()
    }

    fn at(&self) -> Duration {
        Duration::from_nanos(clock::now_ns().saturating_sub(self.began_ns))
    }
}
