//! Bytes from the peer wait in this host's receive queue: the process does not read them.

use super::{Finding, Rule, Threshold, blocked_after_ns};
use crate::model::sample::Nanos;
use crate::verdict::patience::LONGEST_NS;
use crate::verdict::policy::SECOND_NS;
use crate::verdict::words::span;
use crate::verdict::{Case, Cause, Severity};

/// Shorter than this, a busy process simply has not come round to it.
const GLANCE_NS: Nanos = SECOND_NS;
/// A machine that wakes up has bytes in its queues before its processes have run: they get this long.
const GOES_ON_NS: Nanos = 2 * SECOND_NS;

pub const RULE: Rule = Rule {
    cause: Cause::ReaderBlocked,
    severity: Severity::Critical,
    examine,
    evidence,
    next_ns,
    meaning: "The peer answers, but the answers wait in this host's receive queue: the client's process does not read.",
    needs: "TCP facts (receive queue), or this host's own window of zero seen by the probe.",
    thresholds: &[
        Threshold {
            value: "nothing read for `--stall-after` (with `auto` 10 s), and for 2 s bytes have gone on coming or streams \
                    have been opened regardless",
            reason: "a process that is paused together with its peer (a laptop's lid) gets no bytes and opens no streams",
        },
        Threshold {
            value: "a closed window of this host alone: 120 s",
            reason: "it also stays closed when a paused process was in the middle of a download",
        },
    ],
    spares: "Slow readers: whenever the queue becomes smaller the count begins anew.",
};

fn examine(case: &Case<'_>) -> Finding {
    let Some(unread) = case.unread else { return Finding::No };
    let lasted_ns = case.since(unread.since_ns);
    let goes_on = case.ago(unread.goes_on_since_ns).is_some_and(|ns| ns >= GOES_ON_NS);
    let shut = case.ago(case.reading.sent.zero_window_ns).is_some_and(|ns| ns >= LONGEST_NS);
    if (lasted_ns >= blocked_after_ns(case) && goes_on) || shut {
        return Finding::Decides;
    }
    if lasted_ns >= GLANCE_NS {
        return Finding::Explains;
    }
    Finding::NotYet("bytes wait in the receive queue, for less than a second".to_owned())
}

fn evidence(case: &Case<'_>) -> String {
    let Some(unread) = case.unread else { return String::new() };
    let bytes = match unread.bytes {
        Some(n) => format!("{n} bytes from the peer wait"),
        None => "bytes from the peer wait".to_owned(),
    };
    let shut = if case.reading.sent.zero_window_ns.is_some() { ", this host's window is closed" } else { "" };
    format!(
        "{}; {bytes} in this host's receive queue, none read for {}{shut}: the peer answers, the process does not read",
        case.headline(),
        span(case.since(unread.since_ns))
    )
}

fn next_ns(case: &Case<'_>) -> Option<Nanos> {
    let unread = case.unread?;
    let goes_on_ns = unread.goes_on_since_ns?.saturating_add(GOES_ON_NS);
    Some(unread.since_ns.saturating_add(blocked_after_ns(case)).max(goes_on_ns))
}
