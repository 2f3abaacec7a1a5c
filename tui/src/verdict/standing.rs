//! The state machine of one connection's verdict: when a stall begins, which cause it has, when it ends.
//!
//! The rules say what the evidence is; nothing here knows any evidence of its own but the clock.

use super::clock::{is_over, no_preface};
use super::rules::{self, Finding, Rule};
use super::words::{count, span};
use super::{Case, Cause, Severity, State, Verdict, advice, giveup, keepalive, patience};
use crate::model::sample::Nanos;
use crate::verdict::policy::SECOND_NS;

/// A cause is only given up for a less sharp one when its own evidence has been gone for this long in a row; twice as long
/// after each change, so that it settles.
const SETTLE_NS: Nanos = 5 * SECOND_NS;
/// What TCP facts proved holds for so long without any, unless something else disproves it: a look for another connection asks
/// for none, and where many are suspicious they take turns.
const UNSEEN_NS: Nanos = 5 * SECOND_NS;
/// With records only, what was sent last may ask for nothing: after this it is taken for that.
const LONE_RECORD_NS: Nanos = 10 * SECOND_NS;

/// What was decided about a connection so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Standing {
    stall: Option<Stall>,
}

#[derive(Clone, Copy, Debug)]
struct Stall {
    since_ns: Nanos,
    cause: Cause,
    /// Since when the evidence of `cause` has been gone.
    gone_since_ns: Option<Nanos>,
    changes: u32,
    /// When TCP facts last proved it: a rule decided that cannot without.
    proved_ns: Option<Nanos>,
}

impl Standing {
    /// Since when it is stalled.
    #[must_use]
    pub fn stalled_since_ns(&self) -> Option<Nanos> {
        self.stall.map(|stall| stall.since_ns)
    }

    /// Its cause.
    #[must_use]
    pub fn cause(&self) -> Option<Cause> {
        self.stall.map(|stall| stall.cause)
    }

    /// Judges the case in the light of what was decided before. `before` is the last verdict.
    #[must_use]
    pub fn judge(self, case: &Case<'_>, before: Verdict) -> (Verdict, Standing) {
        if case.reading.closed_ns.is_some() {
            // The last verdict stays, for those who ask what a connection died of. Nothing new is said of the dead.
            let verdict = if self.stall.is_some() { before } else { calm(case) };
            return (verdict, self);
        }
        if self.stall.is_some_and(|stall| holds_unseen(case, stall)) {
            return (before, self);
        }
        // `rules::ALL` as an array of findings, in the same order.
        let findings = rules::ALL.map(|rule| (rule.examine)(case));
        let decided = findings.contains(&Finding::Decides);
        let stays = self.stall.is_some_and(|stall| unheard(case, stall.since_ns));
        if !decided && !stays && !is_over(case) {
            return (calm_with(case, &findings), Standing::default());
        }
        let stall = self.stall.map_or_else(
            || Stall {
                since_ns: case.now_ns,
                cause: sharpest(&findings),
                gone_since_ns: None,
                changes: 0,
                proved_ns: None,
            },
            |stall| settle(stall, &findings, case.now_ns),
        );
        let stall = Stall { proved_ns: proved_by_tcp(&findings).then_some(case.now_ns), ..stall };
        let kept_evidence = before.cause == Some(stall.cause) && stall.gone_since_ns.is_some();
        let verdict = if kept_evidence { before } else { stalled(case, stall.cause) };
        (verdict, Standing { stall: Some(stall) })
    }
}

/// The peer said nothing since the stall began, and still something waits.
fn unheard(case: &Case<'_>, since_ns: Nanos) -> bool {
    case.silence_ns().is_some() && case.reading.last_heard_ns.is_none_or(|heard| heard <= since_ns)
}

/// Rules that never decide without TCP facts did.
fn proved_by_tcp(findings: &[Finding]) -> bool {
    let needs_tcp = |cause| matches!(cause, Cause::BlackHole | Cause::PeerWindowClosed);
    rules::ALL
        .iter()
        .zip(findings)
        .any(|(rule, finding)| *finding == Finding::Decides && needs_tcp(rule.cause))
}

/// TCP facts proved the stall a moment ago, this sample has none, and nothing that the probe sees says otherwise: something
/// still waits, and the peer has acknowledged nothing new. (`reader_blocked` keeps what it knows in `model::unread`.)
fn holds_unseen(case: &Case<'_>, stall: Stall) -> bool {
    let Some(proved_ns) = stall.proved_ns.filter(|_| case.tcp().is_none()) else { return false };
    let r = case.reading;
    let waits = r.streams.in_flight > 0 || case.silence_ns().is_some();
    let acknowledged = r.received.last_ack_ns.is_some_and(|at| at > proved_ns);
    waits && !acknowledged && case.since(proved_ns) < UNSEEN_NS
}

/// The sharpest cause whose evidence is there.
fn sharpest(findings: &[Finding]) -> Cause {
    let mut holding = rules::ALL.iter().zip(findings).filter(|(_, finding)| finding.holds());
    holding.next().map_or(Cause::Unknown, |(rule, _)| rule.cause)
}

fn rank(cause: Cause) -> usize {
    rules::ALL.iter().position(|rule| rule.cause == cause).unwrap_or(rules::ALL.len())
}

/// A sharper cause replaces the present one at once; a less sharp one when the evidence of the present one has been gone.
fn settle(stall: Stall, findings: &[Finding], now_ns: Nanos) -> Stall {
    let best = sharpest(findings);
    if rank(best) < rank(stall.cause) {
        return Stall { cause: best, gone_since_ns: None, ..stall };
    }
    if best == stall.cause {
        return Stall { gone_since_ns: None, ..stall };
    }
    let gone_since_ns = stall.gone_since_ns.unwrap_or(now_ns);
    let settled_ns = SETTLE_NS << stall.changes.min(16);
    if now_ns.saturating_sub(gone_since_ns) < settled_ns {
        return Stall { gone_since_ns: Some(gone_since_ns), ..stall };
    }
    Stall { cause: best, gone_since_ns: None, changes: stall.changes + 1, ..stall }
}

fn stalled(case: &Case<'_>, cause: Cause) -> Verdict {
    let rule: &Rule = rules::of(cause);
    let mut evidence = (rule.evidence)(case);
    if no_preface(case) {
        evidence = format!("{evidence}; not even the server's SETTINGS came");
    }
    let mut advice = advice::sentence(cause, case.reading, case.program);
    if let Some(pings) = keepalive::sentence(case) {
        advice = format!("{pings} {advice}");
    }
    Verdict {
        state: State::Stalled,
        cause: Some(cause),
        severity: rule.severity,
        evidence,
        gives_up: gives_up(case, cause),
        advice: Some(advice),
    }
}

/// When the kernel would end it.
fn gives_up(case: &Case<'_>, cause: Cause) -> Option<String> {
    match cause {
        Cause::BlackHole | Cause::Unknown => giveup::sentence(case.tcp()?, case.policy.tcp_retries2),
        Cause::SilentPeer | Cause::HungServer | Cause::GoawayIgnored | Cause::FlowControl => {
            Some("never by itself, as long as the peer's kernel acknowledges".to_owned())
        }
        Cause::PeerWindowClosed => {
            Some("never by itself, as long as the peer's kernel answers the zero-window probes".to_owned())
        }
        Cause::ReaderBlocked => None,
    }
}

/// What is said when nothing is wrong.
fn calm(case: &Case<'_>) -> Verdict {
    calm_with(case, &[])
}

fn calm_with(case: &Case<'_>, findings: &[Finding]) -> Verdict {
    let (state, evidence) = match case.silence_ns() {
        Some(ns) if case.records() && case.silence.moments().len() < 2 && ns >= LONE_RECORD_NS => (
            State::Idle,
            "what was sent last was not followed by anything, and may have asked for nothing".to_owned(),
        ),
        Some(_) => (State::Waiting, waiting(case, findings)),
        None if case.reading.streams.in_flight > 0 => (State::Healthy, healthy(case)),
        None if case.records() => (State::Idle, "nothing waits".to_owned()),
        // What waits inside of the process is not seen (`docs/limitations.md`).
        None => (
            State::Idle,
            "nothing waits: for requests that hang now no HEADERS were sent, the network is not why"
                .to_owned(),
        ),
    };
    Verdict { state, evidence, ..Verdict::default() }
}

fn healthy(case: &Case<'_>) -> String {
    let n = case.in_flight();
    match case.ago(case.reading.last_heard_ns) {
        Some(ago) => format!("{n} in flight, {} came {} ago", case.nothing(), span(ago)),
        None => format!("{n} in flight"),
    }
}

/// What is missing for a judgement.
fn waiting(case: &Case<'_>, findings: &[Finding]) -> String {
    let head = case.headline();
    if let Some(Finding::NotYet(reason)) =
        findings.iter().find(|finding| matches!(finding, Finding::NotYet(_)))
    {
        return format!("{head}; not enough data yet: {reason}");
    }
    let min = case.policy.min_streams;
    if let Some(after_ns) = case.policy.fixed_ns() {
        return format!("{head}; a stall after {} with at least {}", span(after_ns), count(min, case.unit()));
    }
    let normal = &case.normal.heard;
    let seen = match normal.waits() {
        0 => "nothing is known of this destination yet".to_owned(),
        n => format!("normal here is up to {} ({} seen)", span(normal.longest_ns()), count(n, "wait")),
    };
    format!(
        "{head}; {seen}: suspicious after {}, a stall after {} at the latest",
        span(patience::SILENCE.suspicious_ns(normal)),
        span(patience::SILENCE.hopeless_ns(normal))
    )
}

/// Severity of a cause.
#[must_use]
pub fn severity(cause: Cause) -> Severity {
    rules::of(cause).severity
}
