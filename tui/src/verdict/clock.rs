//! The clock: total silence that has lasted too long, whatever its cause.

use super::{Case, patience};
use crate::model::sample::{Nanos, Transport};
use crate::verdict::policy::SECOND_NS;

/// The first frame of a server is SETTINGS, unasked (RFC 9113, section 3.4). Go's server, too, waits 10 s for the other side.
const PREFACE_NS: Nanos = 10 * SECOND_NS;

/// The mission's rule: streams wait, the peer is silent, for too long.
#[must_use]
pub fn is_over(case: &Case<'_>) -> bool {
    let Some(silence_ns) = case.silence_ns() else { return false };
    if case.records() && case.silence.moments().len() < 2 {
        return false;
    }
    // Bytes that are not yet a whole frame or record are a sign of life as well: a large frame on its way, or frames behind
    // a gap.
    let start_ns = case.now_ns - silence_ns.min(case.now_ns);
    let quiet = case
        .reading
        .received
        .last_data_ns
        .is_none_or(|at| at <= start_ns || case.since(at) >= case.policy.shortest_ns());
    if !quiet {
        return false;
    }
    match case.policy.fixed_ns() {
        Some(after_ns) => case.unanswered() >= case.policy.min_streams && silence_ns >= after_ns,
        None if no_preface(case) && silence_ns >= PREFACE_NS => true,
        None => {
            let enough = case.unanswered() >= case.policy.min_streams;
            enough && patience::SILENCE.is_over(case.silence, &case.normal.heard, case.now_ns)
        }
    }
}

/// Not even the server's SETTINGS came.
#[must_use]
pub fn no_preface(case: &Case<'_>) -> bool {
    let r = case.reading;
    r.transport == Transport::H2c && !r.seeded && r.last_heard_ns.is_none()
}
