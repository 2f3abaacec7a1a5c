//! One rule per cause. A rule looks at one case and says whether its evidence is there; it decides nothing else.
//!
//! `standing` asks all of them, and decides when a stall begins, which cause it has, and when it ends.

pub mod black_hole;
pub mod flow_control;
pub mod goaway_ignored;
pub mod hung_server;
pub mod peer_window_closed;
pub mod reader_blocked;
pub mod silent_peer;
pub mod unknown;

use super::{Case, Cause, Severity};
use crate::model::sample::Nanos;

/// What a rule found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It is not this.
    No,
    /// It may be this: not enough data yet, in words.
    NotYet(String),
    /// It explains a stall that something else decides.
    Explains,
    /// Its evidence alone makes a stall.
    Decides,
}

impl Finding {
    /// The evidence is there.
    #[must_use]
    pub fn holds(&self) -> bool {
        matches!(self, Finding::Explains | Finding::Decides)
    }
}

/// A threshold and its reason, for the documentation.
#[derive(Clone, Copy, Debug)]
pub struct Threshold {
    pub value: &'static str,
    pub reason: &'static str,
}

/// A rule with what the documentation says about it.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    pub cause: Cause,
    pub severity: Severity,
    pub examine: fn(&Case<'_>) -> Finding,
    /// The evidence sentence; asked only when the finding holds.
    pub evidence: fn(&Case<'_>) -> String,
    /// The next moment at which `examine` may decide without anything new being seen.
    pub next_ns: fn(&Case<'_>) -> Option<Nanos>,
    pub meaning: &'static str,
    pub needs: &'static str,
    pub thresholds: &'static [Threshold],
    /// Why it does not fire where people would be annoyed.
    pub spares: &'static str,
}

/// All rules, sharpest first: where two hold, the first one names the cause.
pub const ALL: [Rule; 8] = [
    black_hole::RULE,
    reader_blocked::RULE,
    peer_window_closed::RULE,
    flow_control::RULE,
    goaway_ignored::RULE,
    hung_server::RULE,
    silent_peer::RULE,
    unknown::RULE,
];

/// The rule of a cause.
#[must_use]
pub fn of(cause: Cause) -> &'static Rule {
    const RULES: &[Rule] = &ALL;
    RULES.iter().find(|rule| rule.cause == cause).unwrap_or(&unknown::RULE)
}

/// For rules that never decide by themselves.
fn never(_: &Case<'_>) -> Option<Nanos> {
    None
}

/// How long a closed window or an unread queue must last before it is a stall of its own.
fn blocked_after_ns(case: &Case<'_>) -> Nanos {
    case.policy.fixed_ns().unwrap_or(BLOCKED_NS)
}

/// With `auto`: a consumer that takes a breath of ten seconds is slow, not stuck.
const BLOCKED_NS: Nanos = 10 * super::policy::SECOND_NS;
