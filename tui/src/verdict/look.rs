//! When a connection must be looked at again, and whose TCP facts are wanted: what the run loop asks.

use super::policy::SECOND_NS;
use super::{Case, Policy, State, patience, rules};
use crate::model::sample::{Cookie, Nanos, Reading, View};
use std::collections::HashSet;

/// TCP evidence may decide a stall this long after its first stream (`black_hole`).
pub const SOONEST_NS: Nanos = 2 * SECOND_NS;
/// A stream that waits for this long is suspicious enough to ask TCP. It costs one small netlink exchange.
const CURIOUS_NS: Nanos = SECOND_NS / 2;
/// Below a threshold shorter than that: this part of it, so that the verdict comes with its evidence.
const CURIOUS_PART: Nanos = 2;
/// The kernel's interval doubles: the next retransmission, if one comes, is not much further away than this.
const RETRANSMITTED_NS: Nanos = 5 * SECOND_NS;
/// With records only, something that was sent last and asked for nothing looks like a wait for ever.
const LONE_RECORD_NS: Nanos = 60 * SECOND_NS;

/// The next moment at which the verdict can become `stalled` without anything new being seen. `None` when it is stalled, or
/// when nothing waits.
#[must_use]
pub fn next_look_ns(case: &Case<'_>, state: State) -> Option<Nanos> {
    if state == State::Stalled || case.reading.closed_ns.is_some() {
        return None;
    }
    let by_clock = case.silence.start_ns().and_then(|start_ns| match case.policy.fixed_ns() {
        Some(after_ns) => Some(start_ns.saturating_add(after_ns)),
        None => patience::SILENCE.next_ns(case.silence, &case.normal.heard, case.now_ns),
    });
    let by_rules = rules::ALL.iter().filter_map(|rule| (rule.next_ns)(case));
    // Bytes that are no frame yet put the clock off.
    let by_bytes = case.silence.start_ns().and_then(|start_ns| {
        let at_ns = case.reading.received.last_data_ns.filter(|&at| at > start_ns)?;
        Some(at_ns.saturating_add(case.policy.shortest_ns()))
    });
    by_rules.chain(by_clock).chain(by_bytes).filter(|&at| at > case.now_ns).min()
}

/// Connections whose TCP facts the next sample should carry.
#[derive(Clone, Debug)]
pub struct Suspects {
    known: HashSet<Cookie>,
    curious_ns: Nanos,
}

impl Suspects {
    /// `known`: those of which the last sample said so.
    #[must_use]
    pub fn new(known: HashSet<Cookie>, policy: &Policy) -> Self {
        Self { known, curious_ns: curious_ns(policy) }
    }

    /// Whether this one is, now. One that has waited for long without being known asked for nothing.
    #[must_use]
    pub fn includes(&self, reading: &Reading, now_ns: Nanos) -> bool {
        let waited_ns = reading.first_unanswered_ns.map(|at| now_ns.saturating_sub(at));
        let became = waited_ns.is_some_and(|ns| (self.curious_ns..LONE_RECORD_NS).contains(&ns));
        became || self.known.contains(&reading.id)
    }
}

fn curious_ns(policy: &Policy) -> Nanos {
    CURIOUS_NS.min(policy.shortest_ns() / CURIOUS_PART)
}

/// Whether the next sample should carry the TCP facts of this connection.
#[must_use]
pub fn wants_tcp_facts(case: &Case<'_>, state: State) -> bool {
    let r = case.reading;
    let lone = r.view == View::Records && case.silence.moments().len() < 2;
    let long = |ns: Option<Nanos>| {
        ns.is_some_and(|ns| ns >= curious_ns(case.policy) && !(lone && ns > LONE_RECORD_NS))
    };
    // Frames that go on arriving hide that nothing which is sent gets there.
    let retransmitting = r.sent.last_retransmit_ns.is_some_and(|at| {
        case.since(at) < RETRANSMITTED_NS && r.received.last_ack_ns.is_none_or(|acked| acked < at)
    });
    state == State::Stalled
        || retransmitting
        || long(case.silence_ns())
        || long(case.answers.length_ns(case.now_ns))
        || r.sent.zero_window_ns.is_some()
        || r.received.zero_window_ns.is_some()
        || case.unread.is_some()
        || case.used_up.is_some()
}
