//! The peer's kernel acknowledges, its HTTP/2 says nothing: a stopped or deadlocked process, or a proxy that forwards nothing.

use super::{Finding, Rule, Threshold, never};
use crate::verdict::{Case, Cause, Severity, keepalive};

pub const RULE: Rule = Rule {
    cause: Cause::SilentPeer,
    severity: Severity::Critical,
    examine,
    evidence,
    next_ns: never,
    meaning: "The peer's kernel acknowledges every byte, but its HTTP/2 sends no frame: the process is stopped, deadlocked, or \
              a proxy that forwards nothing.",
    needs: "An acknowledgement that came after the first waiting stream (probe or TCP facts).",
    thresholds: &[Threshold {
        value: "never decides by itself: the clock does (`--stall-after`)",
        reason: "acknowledged and silent is also what a slow answer looks like; only time tells them apart",
    }],
    spares: "Slow answers, long polls and quiet streams, by way of `--stall-after auto` (see below).",
};

fn examine(case: &Case<'_>) -> Finding {
    let Some(start) = case.silence.start_ns() else { return Finding::No };
    let acked_since = case.reading.received.last_ack_ns.is_some_and(|at| at > start);
    match case.tcp() {
        Some(tcp) if tcp.snd_wnd == 0 => Finding::No,
        Some(tcp) if tcp.unacked == 0 && tcp.notsent_bytes == 0 => Finding::Explains,
        Some(tcp) if tcp.backoff > 0 => Finding::NotYet(format!(
            "{} segments are being retransmitted: whether the peer's kernel is alive shows after the third time",
            tcp.unacked
        )),
        _ if acked_since => Finding::Explains,
        Some(_) => Finding::NotYet("nothing was acknowledged since the wait began".to_owned()),
        None => Finding::No,
    }
}

fn evidence(case: &Case<'_>) -> String {
    let mut text = case.headline();
    if let Some(ago) = keepalive::acknowledged(case) {
        text = format!("{text}; peer ACKed {ago}: the path is alive, the peer's HTTP/2 is not answering");
    } else {
        text = format!(
            "{text}; everything is acknowledged: the path is alive, the peer's HTTP/2 is not answering"
        );
    }
    for part in [keepalive::unanswered_ping(case), keepalive::abandoned(case)].into_iter().flatten() {
        text = format!("{text}; {part}");
    }
    text
}
