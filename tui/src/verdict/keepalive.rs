//! What the connection shows of its PINGs (RFC 9113, section 6.7): the client's own way to notice a dead connection.

use super::Case;
use super::policy::SECOND_NS;
use super::words::{count, span, span_ms};
use crate::model::sample::{Nanos, Transport, View};

/// Keepalive that is on sends a PING after this much silence at the latest: gRPC after 10 s or more, hyper 20 s, client-go and
/// Envoy as they are commonly configured 30 s.
const USUAL_NS: Nanos = 30 * SECOND_NS;
/// A PING that waits for its answer for less than this says nothing yet.
const PING_NS: Nanos = SECOND_NS;

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

/// A part of the evidence sentence: PINGs without an answer.
#[must_use]
pub fn unanswered_ping(case: &Case<'_>) -> Option<String> {
    let r = case.reading;
    let sent_ns = r.sent.last_ping_ns.filter(|_| r.view == View::Frames)?;
    if r.received.last_ping_ack_ns.is_some_and(|ack| ack >= sent_ns) {
        return None;
    }
    // With TLS a PING is seen when it is written; without, when it leaves.
    let blocked = match unsent_bytes(case) {
        0 => String::new(),
        _ if r.transport == Transport::H2c => String::new(),
        bytes => format!(" (it may still wait behind {bytes} unsent bytes)"),
    };
    if case.since(sent_ns) >= PING_NS {
        return Some(format!("PING unanswered for {}{blocked}", span(case.since(sent_ns))));
    }
    // On a timer of a second or less the newest is always too young: all that were not answered are older together.
    let missing = r.sent.pings.saturating_sub(r.received.ping_acks);
    let silent_ns = case.since(r.last_heard_ns.unwrap_or(r.opened_ns));
    ping_waits(case).then(|| {
        format!("{} unanswered{blocked}, nothing came for {}", count(missing, "PING"), span(silent_ns))
    })
}

/// What the process wrote and the socket holds back.
fn unsent_bytes(case: &Case<'_>) -> u32 {
    case.tcp().map_or(0, |tcp| tcp.notsent_bytes)
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
    Some(match (r.sent.pings, r.sent.last_ping_ns, unsent_bytes(case)) {
        (0, _, unsent) => no_ping(case, unsent),
        (n, Some(last), unsent) if unsent > 0 => format!(
            "{} seen, the last one {} ago; {unsent} bytes are unsent and hold back what comes after them.",
            count(n, "PING"),
            span(case.since(last))
        ),
        (n, Some(last), _) => {
            format!("{} seen, the last one {} ago.", count(n, "PING"), span(case.since(last)))
        }
        (n, None, _) => format!("{} seen.", count(n, "PING")),
    })
}

/// That no PING was seen says something only where it would have been seen, and after a silence in which one was due.
fn no_ping(case: &Case<'_>, unsent: u32) -> String {
    let r = case.reading;
    let age = span(case.since(r.opened_ns));
    if unsent > 0 && r.transport == Transport::H2c {
        return format!("No PING seen in {age}, but {unsent} bytes are unsent, and one may be among them.");
    }
    let silent_ns = case.since(r.last_heard_ns.unwrap_or(r.opened_ns));
    if silent_ns < USUAL_NS {
        return format!("No PING seen in {age}; keepalives usually wait for 10 to 30 s.");
    }
    format!(
        "No PING seen in {age}, {} of them in silence: the client's keepalive appears off.",
        span(silent_ns)
    )
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
