//! GOAWAY was received, and new streams are still opened on the connection (RFC 9113, section 6.8 forbids it).

use super::{Finding, Rule, Threshold};
use crate::model::sample::{Goaway, Nanos, View};
use crate::verdict::policy::SECOND_NS;
use crate::verdict::words::{count, span};
use crate::verdict::{Case, Cause, Severity};

/// A client needs a moment to read GOAWAY: streams that were on their way then are no fault.
const GRACE_NS: Nanos = SECOND_NS;

pub const RULE: Rule = Rule {
    cause: Cause::GoawayIgnored,
    severity: Severity::Warning,
    examine,
    evidence,
    next_ns: super::never,
    meaning: "The peer sent GOAWAY, and the client goes on opening streams that the peer will never answer.",
    needs: "Both directions' frames (`view: frames`).",
    thresholds: &[
        Threshold {
            value: "streams opened more than 1 s after GOAWAY, at least `--min-streams` of them",
            reason: "a client needs a round trip and a moment to notice",
        },
        Threshold {
            value: "decides by itself when they are above GOAWAY's last stream",
            reason: "those will not be answered, by definition; a graceful notice (last stream 2^31-1) is followed by \
                     another GOAWAY, and streams may be answered until then",
        },
    ],
    spares: "Clients that let their open streams end and open new ones elsewhere.",
};

/// The GOAWAY that is ignored: streams were opened past the moment of grace, and wait.
fn ignored(case: &Case<'_>) -> Option<Goaway> {
    let r = case.reading;
    let goaway = r.received.goaway.filter(|_| r.view == View::Frames)?;
    let late = r.last_opened_ns.is_some_and(|opened| opened >= goaway.at_ns.saturating_add(GRACE_NS));
    (late && r.streams.opened_after_goaway > 0 && r.streams.unanswered_by_streams > 0).then_some(goaway)
}

fn examine(case: &Case<'_>) -> Finding {
    let r = case.reading;
    let Some(goaway) = ignored(case) else {
        return match r.received.goaway {
            Some(_) if r.streams.opened_after_goaway > 0 => Finding::NotYet(
                "streams were opened after GOAWAY, within the moment that a client needs".to_owned(),
            ),
            _ => Finding::No,
        };
    };
    let beyond = goaway.last_stream < r.streams.highest;
    if beyond && r.streams.opened_after_goaway >= case.policy.min_streams {
        Finding::Decides
    } else {
        Finding::Explains
    }
}

fn evidence(case: &Case<'_>) -> String {
    let r = case.reading;
    let Some(goaway) = ignored(case) else { return String::new() };
    format!(
        "{} opened after GOAWAY came {} ago (last stream {}, {}); {} without an answer since the peer last gave one",
        count(r.streams.opened_after_goaway, "stream"),
        span(case.since(goaway.at_ns)),
        goaway.last_stream,
        goaway.error(),
        count(r.streams.unanswered_by_streams, "stream")
    )
}
