//! The demo that plays itself: what to do when, and what to say about it.
//!
//! Pure: fed with the time since the traffic began and with what the model reports, it gives actions back. Whoever runs the
//! demo carries them out. It tells an unflagged or unrecovered connection, and one that is flagged without reason, as a
//! failure: the demo is also a test of this machine.

use super::counts::Counts;
use super::narration::{self as tell, clock};
use crate::exit::Exit;
use crate::model::snapshot::{Change, Connection, Snapshot};
use std::net::SocketAddr;
use std::time::Duration;

/// From being flagged to being plugged in again: time to read the evidence, and to see the damage grow.
const DEAD_FOR: Duration = Duration::from_millis(1500);
/// From recovery to the end.
const HEALTHY_AGAIN_FOR: Duration = Duration::from_millis(1500);
/// Beyond the threshold, or from plugging in to recovery: after this long it has failed.
const PATIENCE: Duration = Duration::from_secs(5);
/// Time between two lines about ordinary traffic.
const TRAFFIC_EVERY: Duration = Duration::from_secs(1);

/// What shall happen.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub unplug_after: Duration,
    /// End exactly then; `None`: when the connection has recovered.
    pub run_for: Option<Duration>,
    /// Silence after which the connection is expected to be flagged.
    pub stall_after: Duration,
    /// The destination whose link is unplugged.
    pub unplugged: SocketAddr,
}

/// What to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Print this line (not where lines are for programs).
    Say(String),
    Unplug,
    Plug,
    /// End the traffic, print the summary, exit.
    End(Exit),
}

/// Where the story is. Times are since the traffic began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Healthy,
    Unplugged { since: Duration },
    Flagged { since: Duration },
    PluggedIn { since: Duration },
    Recovered { since: Duration },
    Over,
}

/// The story so far.
#[derive(Debug)]
pub struct Script {
    plan: Plan,
    phase: Phase,
    next_traffic: Duration,
    failed: bool,
}

impl Script {
    /// The beginning.
    #[must_use]
    pub fn new(plan: Plan) -> Self {
        Self { plan, phase: Phase::Healthy, next_traffic: TRAFFIC_EVERY, failed: false }
    }

    /// Takes one tick: `at` is the time since the traffic began, `changes` is what the model reported with `snapshot`.
    pub fn tick(&mut self, at: Duration, snapshot: &Snapshot, changes: &[Change]) -> Vec<Action> {
        let mut actions = Vec::new();
        for change in changes {
            self.note(at, change, &mut actions);
        }
        self.advance(at, &mut actions);
        if at >= self.next_traffic && self.phase != Phase::Over {
            self.next_traffic = at + TRAFFIC_EVERY;
            // News are enough of a sign of life.
            if !actions.iter().any(|action| matches!(action, Action::Say(_))) {
                actions.push(Action::Say(tell::traffic(at, snapshot, self.plan.unplugged)));
            }
        }
        actions
    }

    /// When `tick` wants to be called at the latest, changes or not; `None` after the end.
    #[must_use]
    pub fn wake_at(&self) -> Option<Duration> {
        let plan = &self.plan;
        let own = match self.phase {
            Phase::Healthy => plan.unplug_after,
            Phase::Unplugged { since } => since + plan.stall_after + PATIENCE,
            Phase::Flagged { since } => since + DEAD_FOR,
            Phase::PluggedIn { since } => since + PATIENCE,
            Phase::Recovered { since } => plan.run_for.unwrap_or(since + HEALTHY_AGAIN_FOR),
            Phase::Over => return None,
        };
        Some(own.min(self.next_traffic).min(plan.run_for.unwrap_or(Duration::MAX)))
    }

    /// The last lines. `counted` is what the client says of itself: nobody has to believe the probe.
    #[must_use]
    pub fn summary(&self, at: Duration, snapshot: &Snapshot, counted: Option<Counts>) -> Vec<String> {
        tell::summary(at, snapshot, counted)
    }

    fn note(&mut self, at: Duration, change: &Change, actions: &mut Vec<Action>) {
        match change {
            Change::Stalled(c) if !self.is_unplugged(c) => {
                self.failed = true;
                actions.push(Action::Say(tell::unexpected(at, c)));
            }
            Change::Stalled(c) => {
                actions.extend(tell::flagged(at, c).into_iter().map(Action::Say));
                if let Phase::Unplugged { .. } = self.phase {
                    self.phase = Phase::Flagged { since: at };
                }
            }
            Change::Sharpened(c) if self.is_unplugged(c) => actions.push(Action::Say(tell::sharpened(at, c))),
            Change::Recovered { connection, stalled_ns } if self.is_unplugged(connection) => {
                actions.push(Action::Say(tell::recovered(at, connection, *stalled_ns)));
                if let Phase::PluggedIn { .. } = self.phase {
                    self.phase = Phase::Recovered { since: at };
                }
            }
            _ => {}
        }
    }

    fn is_unplugged(&self, connection: &Connection) -> bool {
        connection.reading.remote == self.plan.unplugged
    }

    /// What time brings.
    fn advance(&mut self, at: Duration, actions: &mut Vec<Action>) {
        let Plan { unplug_after, run_for, stall_after, unplugged } = self.plan;
        if self.phase != Phase::Over && run_for.is_some_and(|end| at >= end) {
            return self.end(actions);
        }
        match self.phase {
            Phase::Healthy if at >= unplug_after => {
                self.phase = Phase::Unplugged { since: at };
                actions.push(Action::Unplug);
                actions.push(Action::Say(tell::unplugged(at, unplugged)));
            }
            Phase::Unplugged { since } if at >= since + stall_after + PATIENCE => {
                self.fail(at, "not flagged in time, although nothing arrives", actions);
            }
            Phase::Flagged { since } if at >= since + DEAD_FOR => {
                self.phase = Phase::PluggedIn { since: at };
                actions.push(Action::Plug);
                actions.push(Action::Say(tell::plugged_in(at, unplugged)));
            }
            Phase::PluggedIn { since } if at >= since + PATIENCE => {
                self.fail(at, "not recovered in time, although the link is plugged in", actions);
            }
            Phase::Recovered { since } if run_for.is_none() && at >= since + HEALTHY_AGAIN_FOR => {
                self.end(actions);
            }
            _ => {}
        }
    }

    fn fail(&mut self, at: Duration, what: &str, actions: &mut Vec<Action>) {
        self.failed = true;
        actions.push(Action::Say(format!("{}{}: {what}", clock(at), self.plan.unplugged)));
        self.end(actions);
    }

    fn end(&mut self, actions: &mut Vec<Action>) {
        self.phase = Phase::Over;
        actions.push(Action::End(if self.failed { Exit::Stalled } else { Exit::Success }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::staged::{MS, Staged};
    use crate::verdict::{Cause, Verdict};

    fn unplugged() -> SocketAddr {
        ([127, 0, 2, 1], 8080).into()
    }

    fn connection(remote: SocketAddr) -> Box<Connection> {
        let mut staged = Staged::h2c(1, 0);
        staged.wait(100).open(40);
        staged.reading.remote = remote;
        let verdict = Verdict {
            cause: Some(Cause::SilentPeer),
            evidence: "40 streams in 3.0 s without a frame".into(),
            ..Verdict::default()
        };
        Box::new(Connection { damage: 40, stalls: 1, streams_per_s: 50.0, ..staged.connection(verdict) })
    }

    fn script(run_for: Option<u64>) -> Script {
        Script::new(Plan {
            unplug_after: Duration::from_secs(3),
            run_for: run_for.map(Duration::from_secs),
            stall_after: Duration::from_secs(3),
            unplugged: unplugged(),
        })
    }

    /// Runs to the end as the loop does, with the model's changes at the given times. Returns what was done when.
    fn play(mut script: Script, mut changes: Vec<(u64, Change)>) -> Vec<(u64, Action)> {
        let snapshot = Snapshot { connections: vec![*connection(unplugged())], ..Snapshot::default() };
        let mut played = Vec::new();
        while let Some(wake) = script.wake_at() {
            let change = changes.first().map(|&(ms, _)| Duration::from_millis(ms)).filter(|&ms| ms <= wake);
            let at = change.unwrap_or(wake);
            let now = if change.is_some() { vec![changes.remove(0).1] } else { Vec::new() };
            let actions = script.tick(at, &snapshot, &now);
            played.extend(actions.into_iter().map(|action| (at.as_millis() as u64, action)));
            assert!(at < Duration::from_secs(60), "it does not end: {played:?}");
        }
        played
    }

    fn deeds(played: &[(u64, Action)]) -> Vec<(u64, Action)> {
        played.iter().filter(|(_, action)| !matches!(action, Action::Say(_))).cloned().collect()
    }

    fn said(played: &[(u64, Action)], part: &str) -> bool {
        played.iter().any(|(_, action)| matches!(action, Action::Say(line) if line.contains(part)))
    }

    fn story() -> Vec<(u64, Change)> {
        let recovered = Change::Recovered { connection: connection(unplugged()), stalled_ns: 1700 * MS };
        vec![(6020, Change::Stalled(connection(unplugged()))), (7700, recovered)]
    }

    #[test]
    fn the_whole_story_fits_into_fifteen_seconds() {
        let played = play(script(None), story());
        let expected = [(3000, Action::Unplug), (7520, Action::Plug), (9200, Action::End(Exit::Success))];
        assert_eq!(deeds(&played), expected);
        for part in ["unplugged", "STALLED", "silent_peer", "40 streams in 3.0 s", "plugged in", "recovered"]
        {
            assert!(said(&played, part), "{part} in {played:?}");
        }
    }

    #[test]
    fn a_given_end_is_kept() {
        assert_eq!(
            deeds(&play(script(Some(12)), story())).last(),
            Some(&(12_000, Action::End(Exit::Success)))
        );
        // Too short for the story: no failure either.
        let expected = [(3000, Action::Unplug), (5000, Action::End(Exit::Success))];
        assert_eq!(deeds(&play(script(Some(5)), Vec::new())), expected);
    }

    #[test]
    fn what_does_not_happen_is_a_failure_in_time() {
        let played = play(script(None), Vec::new());
        assert_eq!(deeds(&played).last(), Some(&(11_000, Action::End(Exit::Stalled))));
        assert!(said(&played, "not flagged in time"));
        let played = play(script(None), vec![story().remove(0)]);
        assert_eq!(deeds(&played).last(), Some(&(12_520, Action::End(Exit::Stalled))));
        assert!(said(&played, "not recovered in time"));
    }

    #[test]
    fn a_false_alarm_is_a_failure_at_the_end() {
        let mut changes = story();
        changes.insert(0, (4000, Change::Stalled(connection(([127, 0, 2, 4], 80).into()))));
        let played = play(script(None), changes);
        assert!(said(&played, "127.0.2.4:80"));
        assert_eq!(deeds(&played).last(), Some(&(9200, Action::End(Exit::Stalled))));
    }
}
