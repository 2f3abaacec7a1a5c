//! Data is sent and not acknowledged, the retransmission timer backs off, nothing useful arrives.

use super::{Finding, Rule, Threshold};
use crate::model::sample::{Nanos, TcpFacts, Transport};
use crate::verdict::look::SOONEST_NS;
use crate::verdict::words::{count, span, span_ms};
use crate::verdict::{Case, Cause, Severity, giveup, keepalive};

/// Timer expiries without an answer. Three in a row, after the kernel's tail loss probe, are five lost round trips: at 5 %
/// loss each way that is 1 in 100,000.
const EXPIRIES: u8 = 3;
/// The newest retransmission must have had its round trip, and at least this.
const ROUND_TRIP_MIN_US: u64 = 50_000;
/// Segments that came within this time are evidence that the way back is open.
const ARRIVING_MS: u32 = 5_000;

pub const RULE: Rule = Rule {
    cause: Cause::BlackHole,
    severity: Severity::Critical,
    examine,
    evidence,
    next_ns,
    meaning: "What is sent is not acknowledged: the path is dead in at least one direction, or the peer's host is.",
    needs: "TCP facts (unacknowledged segments, RTO backoff, timer); without them, retransmissions seen by the probe explain \
            a stall but do not decide one.",
    thresholds: &[
        Threshold {
            value: "3 expiries of the retransmission timer without an acknowledgement, the third one given its round trip",
            reason: "with the tail loss probe that is five lost round trips in a row; 5 % loss each way does it once in \
                     100,000 times",
        },
        Threshold {
            value: "not before 2 s after the first waiting stream, or after what is not acknowledged was sent",
            reason: "a link that flaps for 1 s is back by then: the smallest RTO retransmits at 0.2, 0.6 and 1.4 s",
        },
        Threshold {
            value: "1 waiting stream is enough",
            reason: "unacknowledged bytes are no slow request, whatever the number of streams",
        },
    ],
    spares: "Loss, reordering and flaps: any acknowledgement that makes progress sets the backoff to 0.",
};

/// How many expiries are unanswered, when data waits for an acknowledgement.
fn backing_off(tcp: &TcpFacts) -> Option<u8> {
    (tcp.unacked > 0 && tcp.backoff > 0 && tcp.snd_wnd > 0).then_some(tcp.backoff)
}

/// What has passed of the present interval of the retransmission timer, when it runs.
fn interval_passed_us(tcp: &TcpFacts) -> Option<u64> {
    giveup::expires_in_ms(tcp).map(|left_ms| u64::from(tcp.rto_us).saturating_sub(1_000 * left_ms))
}

fn had_its_round_trip(tcp: &TcpFacts) -> bool {
    let needed_us = u64::from(tcp.rtt_us) + 4 * u64::from(tcp.rttvar_us);
    tcp.backoff > EXPIRIES || interval_passed_us(tcp).is_none_or(|us| us >= needed_us.max(ROUND_TRIP_MIN_US))
}

/// For how long the oldest segment has been without an acknowledgement: the expiries that passed, each interval twice the one
/// before, and what has passed of the present one. A peer whose frames go on arriving ends the silence, but not this.
fn unacknowledged_ns(tcp: &TcpFacts) -> Nanos {
    let rto_us = u64::from(tcp.rto_us);
    let doublings = u64::from(tcp.backoff.min(20));
    let before_us = (rto_us >> doublings) * ((1 << doublings) - 1);
    1_000 * (before_us + interval_passed_us(tcp).unwrap_or(0))
}

/// When something began to wait.
fn start_ns(case: &Case<'_>) -> Option<Nanos> {
    let in_flight = case.reading.streams.in_flight > 0;
    case.silence.start_ns().or_else(|| case.reading.received.last_ack_ns.filter(|_| in_flight))
}

fn examine(case: &Case<'_>) -> Finding {
    let Some(start) = start_ns(case) else { return Finding::No };
    let Some(tcp) = case.tcp() else { return by_probe(case, start) };
    match backing_off(tcp) {
        None => Finding::No,
        Some(n)
            if n >= EXPIRIES
                && had_its_round_trip(tcp)
                && case.since(start).max(unacknowledged_ns(tcp)) >= SOONEST_NS =>
        {
            Finding::Decides
        }
        Some(n) => Finding::NotYet(format!("retransmission timer expired {} without an answer", times(n))),
    }
}

fn times(n: u8) -> String {
    count(u64::from(n), "time")
}

/// Without TCP facts: retransmissions since the silence began, and no acknowledgement since.
fn by_probe(case: &Case<'_>, start: Nanos) -> Finding {
    let r = case.reading;
    let since_start = |at: Option<Nanos>| at.is_some_and(|at| at >= start);
    if since_start(r.sent.last_retransmit_ns) && !since_start(r.received.last_ack_ns) {
        return Finding::Explains;
    }
    Finding::No
}

fn evidence(case: &Case<'_>) -> String {
    let head = case.headline();
    let Some(tcp) = case.tcp() else {
        return format!(
            "{head}; retransmitted, and not acknowledged since: the path is dead (no TCP facts to tell more)"
        );
    };
    let arriving = tcp.last_data_received_ms < ARRIVING_MS || tcp.last_ack_received_ms < ARRIVING_MS;
    let silent_ms = tcp.last_ack_received_ms.min(tcp.last_data_received_ms);
    // What arrives long after the silence began is evidence of its own; what came before it is not.
    let waited_ms = case.silence_ns().unwrap_or(0).max(unacknowledged_ns(tcp)) / 1_000_000;
    let way = if arriving && u64::from(silent_ms) < waited_ms / 2 {
        format!(
            "segments of the peer still arrive (the last one {} ago): what this host sends is lost",
            span_ms(u64::from(silent_ms))
        )
    } else {
        format!(
            "nothing arrived for {}: the path is dead in at least one direction",
            span_ms(u64::from(silent_ms))
        )
    };
    let mut text = format!(
        "{head}; {} not acknowledged, retransmission timer expired {}, {way}",
        count(u64::from(tcp.unacked), "segment"),
        times(tcp.backoff)
    );
    // The congestion window is one segment now: what the client goes on writing stays in the socket, where the probe does not
    // see it (with TLS, frames are counted when they are written).
    let uncounted = if case.reading.transport == Transport::H2c {
        ", what is opened or given up in them is not counted yet"
    } else {
        ""
    };
    let unsent =
        (tcp.notsent_bytes > 0).then(|| format!("{} more bytes wait unsent{uncounted}", tcp.notsent_bytes));
    for part in [unsent, keepalive::unanswered_ping(case), keepalive::abandoned(case)].into_iter().flatten() {
        text = format!("{text}; {part}");
    }
    text
}

/// The kernel's timer says when the next expiry is.
fn next_ns(case: &Case<'_>) -> Option<Nanos> {
    let soonest = start_ns(case)?.saturating_add(SOONEST_NS);
    let Some(tcp) = case.tcp().filter(|tcp| backing_off(tcp).is_some()) else { return Some(soonest) };
    let round_trip_us = (u64::from(tcp.rtt_us) + 4 * u64::from(tcp.rttvar_us)).max(ROUND_TRIP_MIN_US);
    let wait_us = if tcp.backoff >= EXPIRIES {
        round_trip_us
    } else {
        1_000 * giveup::expires_in_ms(tcp).unwrap_or(0) + round_trip_us
    };
    Some(soonest.max(case.now_ns.saturating_add(1_000 * wait_us)))
}

/// When the kernel gives up.
#[must_use]
pub fn gives_up(case: &Case<'_>) -> Option<String> {
    giveup::sentence(case.tcp()?, case.policy.tcp_retries2)
}

impl Case<'_> {
    /// "37 streams in 12.4 s without a frame"; the beginning of most evidence sentences.
    #[must_use]
    pub fn headline(&self) -> String {
        match self.silence_ns() {
            Some(ns) => {
                let n = count(self.unanswered(), self.unit());
                format!("{n} in {} without {}", span(ns), self.nothing())
            }
            None if self.reading.streams.in_flight == 0 && !self.records() => {
                "no stream waits for the peer".to_owned()
            }
            None if self.records() => "requests seen as TLS records".to_owned(),
            None => format!("{} in flight", self.in_flight()),
        }
    }
}
