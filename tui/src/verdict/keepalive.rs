//! What the connection shows of its PINGs (RFC 9113, section 6.7): the client's own way to notice a dead connection.

use super::Case;
use super::words::{count, span, span_ms};
use crate::model::sample::View;

/// A PING that waits for its answer for less than this says nothing yet.
const PING_NS: u64 = 1_000_000_000;

/// A PING waits for its answer, and nothing has come since it was sent. A client that sends PINGs on a timer has a new one on
/// its way whenever one looks: then the answers that are missing are counted.
#[must_use]
pub fn ping_waits(case: &Case<'_>) -> bool {
    let r = case.reading;
    let heard_ns = r.last_heard_ns.unwrap_or(0);
    let Some(sent_ns) = r.sent.last_ping_ns.filter(|&sent| r.view == View::Frames && sent > heard_ns) else {
        return false;
    };
    let one_before_it = r.sent.pings >= r.received.ping_acks + 2 && case.since(heard_ns) >= PING_NS;
    case.since(sent_ns) >= PING_NS || one_before_it
}

/// A part of the evidence sentence: a PING without an answer.
#[must_use]
pub fn unanswered_ping(case: &Case<'_>) -> Option<String> {
    let r = case.reading;
    let sent_ns = r.sent.last_ping_ns.filter(|_| r.view == View::Frames)?;
    if r.received.last_ping_ack_ns.is_some_and(|ack| ack >= sent_ns) || case.since(sent_ns) < PING_NS {
        return None;
    }
    let blocked = case.tcp().filter(|tcp| tcp.notsent_bytes > 0).map_or(String::new(), |tcp| {
        format!(" (it may still wait behind {} unsent bytes)", tcp.notsent_bytes)
    });
    Some(format!("PING unanswered for {}{blocked}", span(case.since(sent_ns))))
}

/// A sentence about keepalive, where frames that the client sends are seen.
#[must_use]
pub fn sentence(case: &Case<'_>) -> Option<String> {
    let r = case.reading;
    if r.view == View::Records {
        return None;
    }
    if let Some(frame) = r.received.calmed_by() {
        return Some(format!(
            "The peer sent ENHANCE_YOUR_CALM ({frame}): it refuses this client's pace, most often its PINGs ({} seen); \
             a keepalive must be slower than the server allows.",
            r.sent.pings
        ));
    }
    let watched = case.tcp().map_or(0, |tcp| u64::from(tcp.notsent_bytes));
    let age = span(case.since(r.opened_ns));
    Some(match (r.sent.pings, r.sent.last_ping_ns) {
        (0, _) => format!("No PING seen in {age}: the client's keepalive appears off."),
        (n, Some(last)) if watched > 0 => format!(
            "{} seen, the last one {} ago; {watched} bytes are unsent and hold back what comes after them.",
            count(n, "PING"),
            span(case.since(last))
        ),
        (n, Some(last)) => format!("{} seen, the last one {} ago.", count(n, "PING"), span(case.since(last))),
        (n, None) => format!("{} seen.", count(n, "PING")),
    })
}

/// A part of the evidence sentence: what the client gave up.
#[must_use]
pub fn abandoned(case: &Case<'_>) -> Option<String> {
    let n = case.silence.abandoned().max(case.answers.abandoned());
    (n > 0).then(|| format!("{} given up without an answer", count(n, "stream")))
}

/// When the peer's kernel last acknowledged anything, as a part of a sentence.
#[must_use]
pub fn acknowledged(case: &Case<'_>) -> Option<String> {
    let by_probe = case.ago(case.reading.received.last_ack_ns);
    let by_kernel = case.tcp().map(|tcp| u64::from(tcp.last_ack_received_ms) * 1_000_000);
    let ago = match (by_probe, by_kernel) {
        (Some(a), Some(b)) => a.min(b),
        (a, b) => a.or(b)?,
    };
    Some(format!("{} ago", span_ms(ago / 1_000_000)))
}
