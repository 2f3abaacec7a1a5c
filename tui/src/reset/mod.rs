//! Resets connections that are dead, within a policy, and follows whether that helped.
//!
//! `plan` decides (pure), the world looks again and asks the kernel, `outcome` follows. What the world is, the run loop
//! says; here are no maps, no sockets and no clock. Every decision is a [`Report`], also each refusal, once per reason.

pub mod audit;
pub mod kill;
pub mod latency;
pub mod outcome;
pub mod plan;
pub mod policy;

mod history;
#[cfg(test)]
pub(crate) mod tests;

use crate::diag;
use crate::model::sample::{Cookie, Nanos};
use crate::model::snapshot::{Connection, Snapshot};
use crate::verdict::{Cause, State};
use history::{History, nanos};
use latency::Latency;
use outcome::{Followed, Recovery};
use plan::Refusal;
use policy::{Mode, Policy};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

/// While an outcome is fresh it is looked at this often, so that "first frame after 5 ms" can be said.
const FOLLOW_STEP: Duration = Duration::from_millis(1);
const FOLLOW_CLOSELY: Duration = Duration::from_secs(1);

/// What the decisions act on.
pub trait World {
    /// CLOCK_MONOTONIC.
    fn now_ns(&self) -> Nanos;
    /// The connection read and judged again, right now; `None` when it is gone.
    fn look_again(&mut self, id: Cookie) -> Option<Connection>;
    /// How much of its silence does not count, because this machine did not run what should have answered.
    fn lost(&self, connection: &Connection) -> Duration;
    /// SOCK_DESTROY by cookie.
    fn destroy(&mut self, connection: &Connection) -> anyhow::Result<diag::Outcome>;
}

/// What became of a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    Done {
        latency: Option<Duration>,
    },
    /// Would have been done.
    DryRun,
    Refused(Refusal),
    /// The kernel refused; the message says why.
    Failed(String),
    /// What the process did after a reset.
    Followed {
        recovery: Recovery,
        streams_lost: Option<u64>,
    },
}

impl Action {
    /// The word of JSON and metrics.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Action::Done { .. } => "done",
            Action::DryRun => "dry_run",
            Action::Refused(_) => "refused",
            Action::Failed(_) => "failed",
            Action::Followed { .. } => "followed",
        }
    }
}

/// One line of the audit.
#[derive(Clone, Debug)]
pub struct Report {
    pub at_ns: Nanos,
    /// As seen by the look that decided.
    pub connection: Connection,
    /// `Confirm` when a person asked, else the mode.
    pub mode: Mode,
    pub action: Action,
}

impl Report {
    /// Why, or what happened, in words.
    #[must_use]
    pub fn reason(&self) -> String {
        match &self.action {
            Action::Done { .. } | Action::DryRun => self.connection.verdict.evidence.clone(),
            Action::Refused(refusal) => refusal.to_string(),
            Action::Failed(error) => error.clone(),
            Action::Followed { recovery, .. } => recovery.to_string(),
        }
    }
}

/// A decision before it is reported.
struct Decided {
    at_ns: Nanos,
    connection: Connection,
    action: Action,
}

impl Decided {
    fn refused(connection: &Connection, refusal: Refusal, at_ns: Nanos) -> Self {
        Self { at_ns, connection: connection.clone(), action: Action::Refused(refusal) }
    }
}

/// Why a connection was not reset so far.
#[derive(Clone, Copy, Debug)]
struct Refused {
    /// The last reason.
    word: &'static str,
    /// Until when it waited for something that is no part of the threshold: a budget, a cool-down, this machine.
    waited_ns: Option<Nanos>,
}

/// Decides, acts and follows.
#[derive(Debug)]
pub struct Resetter {
    policy: Policy,
    history: History,
    /// The last refusal of each connection: the same reason is reported once.
    refused: HashMap<Cookie, Refused>,
    followed: Vec<Followed>,
    latency: Latency,
    counts: BTreeMap<(Cause, &'static str), u64>,
    next_look_ns: Option<Nanos>,
}

impl Resetter {
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            history: History::default(),
            refused: HashMap::new(),
            followed: Vec::new(),
            latency: Latency::default(),
            counts: BTreeMap::new(),
            next_look_ns: None,
        }
    }

    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// From the threshold to the kernel's answer, over all resets that were done without asking.
    #[must_use]
    pub fn latency(&self) -> &Latency {
        &self.latency
    }

    /// Reports so far, by cause and [`Action::as_str`].
    #[must_use]
    pub fn counts(&self) -> &BTreeMap<(Cause, &'static str), u64> {
        &self.counts
    }

    /// When something here could change by time alone: an age or a pause that ends, an outcome that is followed.
    #[must_use]
    pub fn next_look_ns(&self) -> Option<Nanos> {
        self.next_look_ns
    }

    /// To be called with every snapshot. `late`: by how much it came later than planned.
    pub fn tick(&mut self, snapshot: &Snapshot, late: Duration, world: &mut dyn World) -> Vec<Report> {
        let now_ns = snapshot.now_ns;
        let mode = self.policy.mode;
        self.next_look_ns = None;
        self.history.looked_late(now_ns, late);
        let mut reports = self.follow(snapshot);
        let stalled = in_order(snapshot);
        if matches!(mode, Mode::Auto | Mode::DryRun) {
            let answered: Vec<_> =
                snapshot.connections.iter().filter_map(|c| self.answered(c, now_ns)).collect();
            reports.extend(answered.into_iter().map(|decided| self.report(decided, mode)));
            for connection in &stalled {
                if self.history.is_done(connection.reading.id) {
                    continue;
                }
                let decided = match plan::decide(connection, now_ns, &self.policy, &self.history) {
                    Ok(()) => self.fire(connection, mode, world),
                    Err(refusal) => Decided::refused(connection, refusal, now_ns),
                };
                if self.is_news(&decided) {
                    reports.push(self.report(decided, mode));
                }
            }
        }
        self.forget(snapshot, &stalled);
        reports
    }

    /// A person asks for a reset of the connection as it was shown. The policy's limits do not apply, the fresh look does.
    pub fn ask(&mut self, shown: &Connection, world: &mut dyn World) -> Report {
        let decided = match self.policy.mode {
            Mode::Off => Decided::refused(shown, Refusal::Off, world.now_ns()),
            _ => self.fire(shown, Mode::Confirm, world),
        };
        self.report(decided, Mode::Confirm)
    }

    fn fire(&mut self, planned: &Connection, mode: Mode, world: &mut dyn World) -> Decided {
        let fresh = world.look_again(planned.reading.id);
        let now_ns = world.now_ns();
        let allowed = (mode != Mode::Confirm).then_some(&self.policy);
        let mut refusal = plan::confirm(planned, fresh.as_ref(), now_ns, allowed).err();
        if let (None, Some(fresh), Some(policy)) = (&refusal, &fresh, allowed) {
            refusal = plan::catching_up(fresh, world.lost(fresh), now_ns, policy);
        }
        let (fresh, refusal) = match (fresh, refusal) {
            (Some(fresh), refusal) => (fresh, refusal),
            (None, refusal) => (planned.clone(), Some(refusal.unwrap_or(Refusal::Gone))),
        };
        if let Some(refusal) = refusal {
            return Decided::refused(&fresh, refusal, now_ns);
        }
        let (id, pid, remote) = (fresh.reading.id, fresh.reading.owner.pid, fresh.reading.remote);
        if self.policy.mode == Mode::DryRun {
            self.history.fired(now_ns, id, pid, remote);
            return Decided { at_ns: now_ns, connection: fresh, action: Action::DryRun };
        }
        let answer = world.destroy(&fresh);
        let at_ns = world.now_ns();
        let action = match answer {
            Ok(diag::Outcome::Destroyed) => {
                // From before the call: a client may have dialled anew when it returns.
                self.history.fired(now_ns, id, pid, remote);
                self.followed.push(Followed::new(fresh.clone(), now_ns));
                self.look_by(at_ns.saturating_add(nanos(FOLLOW_STEP)));
                Action::Done { latency: self.measure(planned, mode, at_ns) }
            }
            Ok(diag::Outcome::Gone) => Action::Refused(Refusal::Gone),
            Ok(diag::Outcome::Reused { .. }) => Action::Refused(Refusal::Reused),
            Err(error) => {
                self.history.failed(id);
                Action::Failed(format!("{error:#}"))
            }
        };
        Decided { at_ns, connection: fresh, action }
    }

    /// A person's reset has no latency: it waited for the person. What waited for a limit is measured from the end of that.
    fn measure(&mut self, planned: &Connection, mode: Mode, done_ns: Nanos) -> Option<Duration> {
        let due_ns = plan::due_ns(planned, &self.policy).filter(|_| mode != Mode::Confirm)?;
        let waited_ns = self.refused.get(&planned.reading.id).and_then(|refused| refused.waited_ns);
        let due_ns = due_ns.max(waited_ns.unwrap_or(0));
        let latency = Duration::from_nanos(done_ns.saturating_sub(due_ns));
        self.latency.record(latency);
        Some(latency)
    }

    /// A refusal is news when it is not the same as before.
    fn is_news(&mut self, decided: &Decided) -> bool {
        let Action::Refused(refusal) = &decided.action else { return true };
        let reading = &decided.connection.reading;
        let ends_ns = self.ends_ns(refusal, decided.at_ns, reading.owner.pid);
        if let Some(at_ns) = ends_ns {
            self.look_by(at_ns);
        }
        let before = self.refused.get(&reading.id).copied();
        // Its age is part of the threshold.
        let waits = !matches!(refusal, Refusal::TooYoung { .. });
        let waited_ns = ends_ns.filter(|_| waits).max(before.and_then(|before| before.waited_ns));
        let word = refusal.as_str();
        self.refused.insert(reading.id, Refused { word, waited_ns });
        before.is_none_or(|before| before.word != word)
    }

    /// It would have been reset by and by, and the peer was heard before.
    fn answered(&mut self, connection: &Connection, now_ns: Nanos) -> Option<Decided> {
        let reading = &connection.reading;
        if connection.verdict.state == State::Stalled || reading.closed_ns.is_some() {
            return None;
        }
        let refused = self.refused.remove(&reading.id)?;
        let heard_ns = reading.last_heard_ns.filter(|_| Refusal::PENDING.contains(&refused.word))?;
        let ago = Duration::from_nanos(now_ns.saturating_sub(heard_ns));
        Some(Decided::refused(connection, Refusal::Answered { ago }, now_ns))
    }

    fn report(&mut self, decided: Decided, mode: Mode) -> Report {
        let Decided { at_ns, connection, action } = decided;
        let cause = connection.verdict.cause.unwrap_or(Cause::Unknown);
        *self.counts.entry((cause, action.as_str())).or_default() += 1;
        Report { at_ns, connection, mode, action }
    }

    fn follow(&mut self, snapshot: &Snapshot) -> Vec<Report> {
        let mut reports = Vec::new();
        for mut followed in std::mem::take(&mut self.followed) {
            if let Some(recovery) = followed.observe(snapshot) {
                let streams_lost = followed.streams_lost();
                let action = Action::Followed { recovery, streams_lost };
                let decided = Decided { at_ns: snapshot.now_ns, connection: followed.connection, action };
                reports.push(self.report(decided, self.policy.mode));
            } else {
                if snapshot.now_ns.saturating_sub(followed.reset_ns) < nanos(FOLLOW_CLOSELY) {
                    self.look_by(snapshot.now_ns.saturating_add(nanos(FOLLOW_STEP)));
                }
                self.followed.push(followed);
            }
        }
        reports
    }

    /// When a refusal ends, of those that end by time.
    fn ends_ns(&self, refusal: &Refusal, now_ns: Nanos, pid: u32) -> Option<Nanos> {
        let in_ns = |left: Duration| Some(now_ns.saturating_add(nanos(left)));
        match refusal {
            Refusal::TooYoung { age, min_age } => in_ns(min_age.saturating_sub(*age)),
            Refusal::CatchingUp { left } | Refusal::CoolingDown { left } => in_ns(*left),
            Refusal::BudgetOfProcess(budget) => self.history.frees_ns(now_ns, *budget, Some(pid)),
            Refusal::BudgetTotal(budget) => self.history.frees_ns(now_ns, *budget, None),
            _ => None,
        }
    }

    fn look_by(&mut self, at_ns: Nanos) {
        self.next_look_ns = Some(self.next_look_ns.map_or(at_ns, |known| known.min(at_ns)));
    }

    fn forget(&mut self, snapshot: &Snapshot, stalled: &[&Connection]) {
        if self.refused.is_empty() && self.history.is_empty() {
            return;
        }
        // A connection that recovers and stalls again is news again.
        let stalled: HashSet<Cookie> = stalled.iter().map(|connection| connection.reading.id).collect();
        self.refused.retain(|id, _| stalled.contains(id));
        let open: HashSet<Cookie> =
            snapshot.connections.iter().map(|connection| connection.reading.id).collect();
        self.history.forget(snapshot.now_ns, &self.policy, |id| open.contains(&id));
    }
}

/// Stalled connections, the longest stall first: when the budget is short it goes to them.
fn in_order(snapshot: &Snapshot) -> Vec<&Connection> {
    let mut stalled: Vec<&Connection> =
        snapshot.connections.iter().filter(|connection| connection.verdict.state == State::Stalled).collect();
    stalled.sort_by_key(|connection| (connection.stalled_since_ns, connection.reading.id));
    stalled
}
