//! The peer's HTTP/2 layer answers (PING ACK, SETTINGS, WINDOW_UPDATE), but no stream gets HEADERS, DATA or RST_STREAM.

use super::{Finding, Rule, Threshold};
use crate::model::sample::{Nanos, View};
use crate::verdict::patience::{LONGEST_NS, Patience};
use crate::verdict::policy::SECOND_NS;
use crate::verdict::words::{count, span};
use crate::verdict::{Case, Cause, Severity, clock, keepalive};

/// A peer whose HTTP/2 layer answers is alive: what is slow is behind it, and 30 s is the usual time-out of a request there.
const FLOOR_NS: Nanos = 30 * SECOND_NS;
/// With a fixed `--stall-after`: this many times as long as for total silence.
const TIMES: u64 = 10;
/// A stall that began as total silence goes on as this one while streams go on being opened: at least one in this time.
const GOING_ON_NS: Nanos = 5 * SECOND_NS;

/// A PING ACK that came this soon after the first of the streams says nothing of them: they had no time for an answer.
const SOON_NS: Nanos = SECOND_NS / 4;

/// For streams without an answer.
const ANSWERS: Patience = Patience { floor_ns: FLOOR_NS, longest_ns: LONGEST_NS };

pub const RULE: Rule = Rule {
    cause: Cause::HungServer,
    severity: Severity::Warning,
    examine,
    evidence,
    next_ns,
    meaning: "The peer's HTTP/2 layer answers PING or SETTINGS, but no stream gets HEADERS, DATA or RST_STREAM: what is behind \
              that layer hangs.",
    needs: "Both directions' frames (`view: frames`).",
    thresholds: &[
        Threshold {
            value: "30 s, or 10 times a fixed `--stall-after` if that is longer",
            reason: "the peer is alive, so a slow answer is far more likely than with total silence; 30 s is the usual \
                     time-out behind it",
        },
        Threshold {
            value: "with `auto`: the same mathematics as for silence, on the time from a stream to the next answer; in any \
                    case after 120 s or 3 times the longest normal wait",
            reason: "language models and long polls answer after 20 to 60 s, in silence",
        },
        Threshold {
            value: "a stall that began as total silence goes on as this one when only such frames come",
            reason: "a PING ACK ends the silence, not the suspicion; from before the stall it counts when it came after the \
                     streams had longer than normal (0.25 s at least) to be answered and no later PING waits; other frames \
                     count when they came in the stall; time alone never does it, and a later total silence with a PING \
                     in it undoes it",
        },
    ],
    spares: "Streams that had their response HEADERS (server streaming, watches, SSE) wait for nothing. Severity is lower.",
};

fn examine(case: &Case<'_>) -> Finding {
    let r = case.reading;
    let Some(start) = case.answers.start_ns().filter(|_| r.view == View::Frames) else { return Finding::No };
    if r.last_heard_ns.is_none_or(|heard| heard <= start) {
        return Finding::No;
    }
    // It was alive, and died as well.
    if keepalive::ping_waits(case) && clock::is_over(case) {
        return Finding::No;
    }
    let was_silent =
        matches!(case.cause, Some(Cause::SilentPeer | Cause::BlackHole | Cause::Unknown | Cause::HungServer));
    if let Some(stalled_ns) = case.stalled_since_ns.filter(|_| was_silent) {
        let alive = is_alive(case, start, stalled_ns);
        let answered = r.last_answer_ns.is_some_and(|at| at > stalled_ns);
        let going_on = case.ago(r.last_opened_ns).is_some_and(|ago| ago < GOING_ON_NS);
        if alive && !answered && start <= stalled_ns && (r.streams.without_answer > 0 || going_on) {
            return Finding::Decides;
        }
        // Nobody answers anything: time alone makes no living peer of a silent one.
        if !alive && case.cause != Some(Cause::HungServer) {
            return Finding::No;
        }
    }
    let enough = r.streams.unanswered_by_streams >= case.policy.min_streams;
    let over = match case.policy.fixed_ns() {
        Some(after_ns) => case.since(start) >= after_ns.saturating_mul(TIMES).max(FLOOR_NS),
        None => ANSWERS.is_over(case.answers, &case.normal.answered, case.now_ns),
    };
    if enough && over {
        return Finding::Decides;
    }
    Finding::NotYet(format!(
        "{} without an answer for {}, but the peer's HTTP/2 layer is alive",
        count(r.streams.unanswered_by_streams, "stream"),
        span(case.since(start))
    ))
}

/// The peer's HTTP/2 layer answers, the streams that wait since `start` are not answered. A frame from before the stall that
/// answers nothing, as WINDOW_UPDATE, is no sign of life in it. A PING ACK is, when the streams should have been answered by
/// then, and when no PING has gone unanswered since: a peer that died just after it would look the same.
fn is_alive(case: &Case<'_>, start: Nanos, stalled_ns: Nanos) -> bool {
    let r = case.reading;
    if r.last_heard_ns.is_some_and(|heard| heard > stalled_ns) {
        return true;
    }
    let overdue_ns = start.saturating_add(case.normal.answered.longest_ns().max(SOON_NS));
    r.received.last_ping_ack_ns.is_some_and(|ack| ack >= overdue_ns) && !keepalive::ping_waits(case)
}

fn evidence(case: &Case<'_>) -> String {
    let r = case.reading;
    let start = case.answers.start_ns().unwrap_or(case.now_ns);
    let alive = match (r.received.last_ping_ack_ns, r.last_heard_ns) {
        (Some(ack), _) if ack >= start => format!("PING was answered {} ago", span(case.since(ack))),
        (_, Some(heard)) => format!("the last frame of another kind came {} ago", span(case.since(heard))),
        _ => "frames of other kinds came".to_owned(),
    };
    let text = format!(
        "{} in {} without HEADERS, DATA or RST_STREAM; {alive}: the peer's HTTP/2 layer is alive, what is behind it is not",
        count(r.streams.unanswered_by_streams, "stream"),
        span(case.since(start))
    );
    match keepalive::abandoned(case) {
        Some(part) => format!("{text}; {part}"),
        None => text,
    }
}

fn next_ns(case: &Case<'_>) -> Option<Nanos> {
    let start = case.answers.start_ns().filter(|_| case.reading.view == View::Frames)?;
    match case.policy.fixed_ns() {
        Some(after_ns) => Some(start.saturating_add(after_ns.saturating_mul(TIMES).max(FLOOR_NS))),
        None => ANSWERS.next_ns(case.answers, &case.normal.answered, case.now_ns),
    }
}
