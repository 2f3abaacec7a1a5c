//! It is stalled, and the evidence does not say why: which evidence is missing.

use super::{ALL, Finding, Rule, Threshold, never};
use crate::model::sample::View;
use crate::verdict::{Case, Cause, Severity, keepalive};

pub const RULE: Rule = Rule {
    cause: Cause::Unknown,
    severity: Severity::Critical,
    examine,
    evidence,
    next_ns: never,
    meaning: "It is stalled, and the evidence is not enough to say why.",
    needs: "Nothing. The sentence says what is missing.",
    thresholds: &[Threshold {
        value: "never decides by itself: the clock does (`--stall-after`)",
        reason: "it is what is left when no other rule holds",
    }],
    spares: "As `silent_peer`.",
};

fn examine(case: &Case<'_>) -> Finding {
    if case.silence.start_ns().is_some() { Finding::Explains } else { Finding::No }
}

fn evidence(case: &Case<'_>) -> String {
    let mut missing = Vec::new();
    if case.tcp().is_none() {
        missing
            .push("there are no TCP facts: whether the peer's kernel acknowledges is not known".to_owned());
    }
    for rule in ALL.iter().filter(|rule| rule.cause != Cause::Unknown) {
        if let Finding::NotYet(reason) = (rule.examine)(case) {
            missing.push(reason);
        }
    }
    if case.reading.received.resyncing {
        missing.push("received frames are being searched after a gap".to_owned());
    }
    if missing.is_empty() && case.reading.view != View::Frames {
        missing.push("received frames are not seen".to_owned());
    }
    if missing.is_empty() {
        missing.push("no rule holds".to_owned());
    }
    missing.extend(keepalive::abandoned(case));
    format!("{}; cause not known: {}", case.headline(), missing.join("; "))
}
