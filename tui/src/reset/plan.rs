//! May this connection be reset, and if not, why: once from the snapshot, and again from a fresh look right before it is
//! done. Pure. What a person asks for passes the second part only.

use super::history::{History, nanos};
use super::policy::{Budget, Policy, never};
use crate::model::sample::{Nanos, Reading};
use crate::model::snapshot::Connection;
use crate::verdict::{Cause, State};
use std::fmt;
use std::time::Duration;

/// Why a connection is not reset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// `--reset off`, and a person asked.
    Off,
    NotStalled(State),
    CauseNotAllowed(Cause),
    Never(Cause),
    TooYoung {
        age: Duration,
        min_age: Duration,
    },
    /// The peer was heard after the verdict.
    Answered {
        ago: Duration,
    },
    /// The kernel refused before.
    AlreadyTried,
    /// This machine stood still a moment ago.
    CatchingUp {
        left: Duration,
    },
    CoolingDown {
        left: Duration,
    },
    BudgetOfProcess(Budget),
    BudgetTotal(Budget),
    /// Closed between the snapshot and the fresh look, or before the kernel was asked.
    Gone,
    /// The address pair belongs to another socket now.
    Reused,
}

impl Refusal {
    /// Words of those that end by time alone.
    pub(super) const PENDING: [&'static str; 5] =
        ["too_young", "catching_up", "cooling_down", "budget_of_process", "budget_total"];

    /// One word for counting; the sentence is `Display`.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Refusal::Off => "off",
            Refusal::NotStalled(_) => "not_stalled",
            Refusal::CauseNotAllowed(_) => "cause_not_allowed",
            Refusal::Never(_) => "cause_never_reset",
            Refusal::TooYoung { .. } => "too_young",
            Refusal::Answered { .. } => "answered",
            Refusal::AlreadyTried => "already_tried",
            Refusal::CatchingUp { .. } => "catching_up",
            Refusal::CoolingDown { .. } => "cooling_down",
            Refusal::BudgetOfProcess(_) => "budget_of_process",
            Refusal::BudgetTotal(_) => "budget_total",
            Refusal::Gone => "gone",
            Refusal::Reused => "reused",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Off => write!(f, "resets are off: start h2watch with --reset confirm"),
            Refusal::NotStalled(state) => write!(f, "it is not stalled any more, it is {}", state.as_str()),
            Refusal::CauseNotAllowed(cause) => {
                write!(f, "{} is not among the causes that may be reset (--reset-causes)", cause.as_str())
            }
            Refusal::Never(cause) => {
                write!(f, "{} is never reset: {}", cause.as_str(), never(*cause).unwrap_or("it is excluded"))
            }
            Refusal::TooYoung { age, min_age } => {
                write!(f, "the verdict is {} old, less than {} (--reset-after)", ms(*age), ms(*min_age))
            }
            Refusal::Answered { ago } => write!(f, "the peer answered {} ago, after the verdict", ms(*ago)),
            Refusal::AlreadyTried => write!(f, "it failed before and is not tried again by itself"),
            Refusal::CatchingUp { left } => {
                write!(f, "this machine stood still a moment ago: answers get {} more to be heard", ms(*left))
            }
            Refusal::CoolingDown { left } => write!(
                f,
                "it replaces a connection that was reset: a reset does not help there; {} left (--reset-cool-down)",
                ms(*left)
            ),
            Refusal::BudgetOfProcess(budget) => {
                write!(f, "the budget of this process is used up: {budget} (--reset-budget)")
            }
            Refusal::BudgetTotal(budget) => {
                write!(f, "the budget of all processes is used up: {budget} (--reset-budget-total)")
            }
            Refusal::Gone => write!(f, "the connection was closed meanwhile"),
            Refusal::Reused => write!(f, "the address pair belongs to another socket now"),
        }
    }
}

fn ms(duration: Duration) -> String {
    format!("{} ms", duration.as_millis())
}

/// By the policy: reset it (`Ok`), or why not.
pub fn decide(
    connection: &Connection,
    now_ns: Nanos,
    policy: &Policy,
    history: &History,
) -> Result<(), Refusal> {
    let reading = &connection.reading;
    let cause = stalled(connection)?;
    if never(cause).is_some() {
        return Err(Refusal::Never(cause));
    }
    if !policy.causes.contains(&cause) {
        return Err(Refusal::CauseNotAllowed(cause));
    }
    let since = connection.stalled_since_ns.unwrap_or(now_ns);
    if let Some(at) = heard(reading, cause).filter(|at| *at > since) {
        return Err(Refusal::Answered { ago: Duration::from_nanos(now_ns.saturating_sub(at)) });
    }
    let age = Duration::from_nanos(now_ns.saturating_sub(since));
    if age < policy.min_age {
        return Err(Refusal::TooYoung { age, min_age: policy.min_age });
    }
    if history.has_failed(reading.id) {
        return Err(Refusal::AlreadyTried);
    }
    if let Some(left) = history.hold(now_ns) {
        return Err(Refusal::CatchingUp { left });
    }
    if let Some(left) = history.cooling(now_ns, policy.cool_down, reading.remote, reading.opened_ns) {
        return Err(Refusal::CoolingDown { left });
    }
    if history.spent(now_ns, policy.budget, Some(reading.owner.pid)) >= policy.budget.resets {
        return Err(Refusal::BudgetOfProcess(policy.budget));
    }
    if history.spent(now_ns, policy.budget_total, None) >= policy.budget_total.resets {
        return Err(Refusal::BudgetTotal(policy.budget_total));
    }
    Ok(())
}

/// Whether what was decided on `planned` still holds for the same connection seen again. `allowed`: the causes that may
/// be reset; `None` when a person asked, who saw the evidence.
pub fn confirm(
    planned: &Connection,
    fresh: Option<&Connection>,
    now_ns: Nanos,
    allowed: Option<&Policy>,
) -> Result<(), Refusal> {
    let fresh = fresh.filter(|fresh| fresh.reading.closed_ns.is_none()).ok_or(Refusal::Gone)?;
    let (before, after) = (&planned.reading, &fresh.reading);
    if before.id != after.id || before.local != after.local || before.remote != after.remote {
        return Err(Refusal::Reused);
    }
    let cause = stalled(fresh)?;
    if never(cause).is_some() {
        return Err(Refusal::Never(cause));
    }
    if allowed.is_some_and(|policy| !policy.causes.contains(&cause)) {
        return Err(Refusal::CauseNotAllowed(cause));
    }
    match heard(after, cause) {
        Some(at) if Some(at) > heard(before, cause) => {
            Err(Refusal::Answered { ago: Duration::from_nanos(now_ns.saturating_sub(at)) })
        }
        _ => Ok(()),
    }
}

/// Silence that this machine itself made is waited for again, at most as long as the threshold: a machine that is always short
/// of time has dead connections too.
pub(super) fn catching_up(
    fresh: &Connection,
    lost: Duration,
    now_ns: Nanos,
    policy: &Policy,
) -> Option<Refusal> {
    let longest = policy.stall_after?;
    let until_ns = due_ns(fresh, policy)?.saturating_add(nanos(lost.min(longest)));
    let left = until_ns.checked_sub(now_ns).filter(|left| *left > 0)?;
    Some(Refusal::CatchingUp { left: Duration::from_nanos(left) })
}

fn stalled(connection: &Connection) -> Result<Cause, Refusal> {
    match (connection.verdict.state, connection.verdict.cause) {
        (State::Stalled, cause) => Ok(cause.unwrap_or(Cause::Unknown)),
        (state, _) => Err(Refusal::NotStalled(state)),
    }
}

/// What counts as an answer: with total silence any frame does, else only a frame of a stream.
fn heard(reading: &Reading, cause: Cause) -> Option<Nanos> {
    match cause {
        Cause::BlackHole | Cause::SilentPeer | Cause::PeerWindowClosed | Cause::Unknown => {
            reading.last_heard_ns
        }
        Cause::HungServer | Cause::FlowControl | Cause::GoawayIgnored | Cause::ReaderBlocked => {
            reading.last_answer_ns
        }
    }
}

/// From when on the connection could have been reset: the moment the threshold was passed, not the one it was noticed.
pub(super) fn due_ns(connection: &Connection, policy: &Policy) -> Option<Nanos> {
    let noticed = connection.stalled_since_ns?;
    let passed = connection
        .reading
        .first_unanswered_ns
        .zip(policy.stall_after)
        .map_or(noticed, |(first, after)| first.saturating_add(nanos(after)));
    Some(noticed.min(passed).saturating_add(nanos(policy.min_age)))
}
