//! The peer's TCP receive window is closed: its kernel is alive, its process does not read.

use super::{Finding, Rule, Threshold, blocked_after_ns};
use crate::model::sample::Nanos;
use crate::verdict::policy::SECOND_NS;
use crate::verdict::words::{count, span};
use crate::verdict::{Case, Cause, Severity, keepalive};

/// `inet_diag_msg.idiag_timer`: the zero-window probe timer.
const TIMER_PROBE: u8 = 4;

/// Shorter than this, a busy peer simply has not come round to reading.
const GLANCE_NS: Nanos = SECOND_NS;

pub const RULE: Rule = Rule {
    cause: Cause::PeerWindowClosed,
    severity: Severity::Critical,
    examine,
    evidence,
    next_ns,
    meaning: "The peer's TCP receive window is closed and bytes wait to be sent: the peer's process does not read.",
    needs: "A window of zero in the peer's segments, or TCP facts (send window 0, zero-window probes); to decide by itself, TCP \
            facts that show bytes waiting.",
    thresholds: &[
        Threshold {
            value: "closed for `--stall-after`; with `auto` for 10 s",
            reason: "a slow consumer closes its window for moments all the time; one that takes ten seconds for a window's \
                     worth of bytes is stuck for whoever waits",
        },
        Threshold {
            value: "closed for 1 s explains a stall that something else decides",
            reason: "a window that closed a moment ago is not why the peer has been silent for seconds",
        },
    ],
    spares: "An upload that is faster than its server: each window update begins the count anew.",
};

/// Since when the window is closed, as far as known.
fn closed_since_ns(case: &Case<'_>) -> Option<Nanos> {
    let r = case.reading;
    let by_tcp =
        case.tcp().is_some_and(|tcp| tcp.snd_wnd == 0 || (tcp.timer == TIMER_PROBE && tcp.probes > 0));
    match (r.received.zero_window_ns, case.tcp()) {
        // A window that is smaller than the next segment stops the sender just as well, and only its timer shows it.
        (Some(since), _) => Some(since),
        (None, Some(_)) if by_tcp => r.received.last_ack_ns.or(r.sent.last_data_ns),
        _ => None,
    }
}

fn waiting_bytes(case: &Case<'_>) -> Option<u32> {
    case.tcp().map(|tcp| tcp.send_queue.max(tcp.notsent_bytes))
}

fn examine(case: &Case<'_>) -> Finding {
    let Some(since) = closed_since_ns(case) else { return Finding::No };
    let in_use = case.reading.streams.in_flight > 0 || case.unanswered() > 0;
    match waiting_bytes(case) {
        Some(0) => Finding::No,
        Some(_) if in_use && case.since(since) >= blocked_after_ns(case) => Finding::Decides,
        _ if case.since(since) >= GLANCE_NS => Finding::Explains,
        _ => Finding::NotYet("the peer's receive window is closed, for less than a second".to_owned()),
    }
}

fn evidence(case: &Case<'_>) -> String {
    let closed =
        closed_since_ns(case).map_or_else(String::new, |since| format!(" for {}", span(case.since(since))));
    let bytes =
        waiting_bytes(case).map_or_else(String::new, |n| format!(", {n} bytes wait in the send queue"));
    let probes = case.tcp().filter(|tcp| tcp.probes > 0).map_or_else(String::new, |tcp| {
        format!(", {} without an answer", count(u64::from(tcp.probes), "zero-window probe"))
    });
    let text = format!(
        "{}; the peer's receive window is closed{closed}{bytes}{probes}: the peer's process does not read",
        case.headline()
    );
    match keepalive::unanswered_ping(case) {
        Some(part) => format!("{text}; {part}"),
        None => text,
    }
}

fn next_ns(case: &Case<'_>) -> Option<Nanos> {
    closed_since_ns(case).map(|since| since.saturating_add(blocked_after_ns(case)))
}
