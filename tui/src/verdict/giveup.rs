//! When the kernel would give a connection up by itself: the schedule of `net/ipv4/tcp_timer.c`, computed ahead.
//!
//! The kernel does not count retransmissions. At every expiry of the retransmission timer after the first,
//! `retransmits_timed_out` compares the time since the first retransmission with what `tcp_retries2` doublings of the
//! *smallest* RTO (200 ms, not this connection's) would have taken, capped at 120 s each. So it gives up at the first expiry
//! that is past that time.

use super::words::span_ms;
use crate::model::sample::TcpFacts;

/// `TCP_RTO_MIN` and `TCP_RTO_MAX` of the kernel.
const RTO_MIN_MS: u64 = 200;
const RTO_MAX_MS: u64 = 120_000;
/// The kernel's default of `net.ipv4.tcp_retries2`.
pub const RETRIES2_DEFAULT: u32 = 15;
/// `inet_diag_msg.idiag_timer`: the retransmission timer.
const TIMER_RETRANSMIT: u8 = 1;
/// A jiffy is 10 ms at most, and times are rounded to it several times.
const USER_TIMEOUT_SLACK_MS: u64 = 50;

/// `tcp_model_timeout`: the sum of `retries + 1` intervals, each twice the one before, from 200 ms to 120 s.
#[must_use]
pub fn limit_ms(retries: u32) -> u64 {
    let doublings = (RTO_MAX_MS / RTO_MIN_MS).ilog2();
    if retries <= doublings {
        ((2 << retries) - 1) * RTO_MIN_MS
    } else {
        ((2 << doublings) - 1) * RTO_MIN_MS + u64::from(retries - doublings) * RTO_MAX_MS
    }
}

/// This connection's interval after `n` doublings.
fn interval_ms(base_ms: u64, n: u64) -> u64 {
    (base_ms << n.min(20)).min(RTO_MAX_MS)
}

/// The RTO before any doubling. `tcpi_rto` has the doublings in it, until the cap hides them; then it follows from the
/// round trip as in `tcp_set_rto`.
fn base_ms(tcp: &TcpFacts) -> u64 {
    let now_ms = u64::from(tcp.rto_us) / 1_000;
    let by_doubling = now_ms >> tcp.backoff.min(20);
    let by_round_trip =
        (u64::from(tcp.rtt_us) + (4 * u64::from(tcp.rttvar_us)).max(RTO_MIN_MS * 1_000)) / 1_000;
    if now_ms < RTO_MAX_MS && by_doubling > 0 { by_doubling } else { by_round_trip.max(1) }
}

/// Milliseconds until the retransmission timer expires; `None` while it does not run. 0 is *due*: inet_diag has no negative
/// numbers for a timer whose time has come and which the kernel has not come round to yet.
#[must_use]
pub fn expires_in_ms(tcp: &TcpFacts) -> Option<u64> {
    (tcp.timer == TIMER_RETRANSMIT).then_some(u64::from(tcp.timer_expires_ms))
}

/// TCP_USER_TIMEOUT is not in sock_diag, but it shows in the last interval before it: `tcp_clamp_rto_to_user_timeout` shortens
/// that one, so that what has passed of it since the last retransmission and what is left are less than the RTO.
fn ends_by_user_timeout(tcp: &TcpFacts) -> bool {
    let Some(left_ms) = expires_in_ms(tcp) else { return false };
    let (rto_ms, passed_ms) = (u64::from(tcp.rto_us) / 1_000, u64::from(tcp.last_data_sent_ms));
    // The timer and the rest are read one after the other: a retransmission between the two looks like this for a moment.
    passed_ms >= USER_TIMEOUT_SLACK_MS
        && passed_ms + left_ms + (rto_ms / 8).max(USER_TIMEOUT_SLACK_MS) < rto_ms
}

/// The kernel would have given up at an earlier expiry: TCP_USER_TIMEOUT takes the place of `tcp_retries2` (as
/// `tcp_write_timeout` reads it), so it is set and longer. An eighth is for what is not known of the first RTO.
fn outlived(tcp: &TcpFacts, retries2: u32) -> bool {
    let base_ms = base_ms(tcp);
    let passed_ms: u64 = (1..u64::from(tcp.backoff)).map(|n| interval_ms(base_ms, n)).sum();
    passed_ms > limit_ms(retries2) + limit_ms(retries2) / 8
}

/// Milliseconds until the kernel gives up; `None` when nothing is being retransmitted.
#[must_use]
pub fn left_ms(tcp: &TcpFacts, retries2: u32) -> Option<u64> {
    if tcp.unacked == 0 || tcp.backoff == 0 || tcp.snd_wnd == 0 {
        return None;
    }
    if ends_by_user_timeout(tcp) {
        return expires_in_ms(tcp);
    }
    let base_ms = base_ms(tcp);
    let limit_ms = limit_ms(retries2);
    let mut doublings = u64::from(tcp.backoff);
    let mut elapsed_ms: u64 = (1..=doublings).map(|n| interval_ms(base_ms, n)).sum();
    let mut left_ms = expires_in_ms(tcp).unwrap_or_else(|| interval_ms(base_ms, doublings));
    while elapsed_ms < limit_ms {
        doublings += 1;
        elapsed_ms += interval_ms(base_ms, doublings);
        left_ms += interval_ms(base_ms, doublings);
    }
    Some(left_ms)
}

/// "RTO backoff 7 of 15: about 9 min left".
#[must_use]
pub fn sentence(tcp: &TcpFacts, retries2: Option<u32>) -> Option<String> {
    let known = tcp.tcp_retries2.or(retries2);
    let retries = known.unwrap_or(RETRIES2_DEFAULT);
    let left = span_ms(left_ms(tcp, retries)?);
    if known.is_some_and(|retries| outlived(tcp, retries)) && !ends_by_user_timeout(tcp) {
        return Some(format!(
            "RTO backoff {} of {retries}: past the end that tcp_retries2 sets, so the client set a longer TCP_USER_TIMEOUT",
            tcp.backoff
        ));
    }
    if ends_by_user_timeout(tcp) {
        return Some(format!(
            "RTO backoff {} of {retries}: about {left} left, because the client set TCP_USER_TIMEOUT",
            tcp.backoff
        ));
    }
    let assumed = if known.is_none() { " (tcp_retries2 assumed 15)" } else { "" };
    Some(format!(
        "RTO backoff {} of {retries}: about {left} left{assumed}, unless the client set TCP_USER_TIMEOUT",
        tcp.backoff
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backing_off(backoff: u8, rto_ms: u32, timer_expires_ms: u32) -> TcpFacts {
        TcpFacts {
            rtt_us: 4_000,
            rttvar_us: 1_000,
            rto_us: rto_ms * 1_000,
            unacked: 1,
            backoff,
            snd_wnd: 65_536,
            timer: 1,
            timer_expires_ms,
            ..TcpFacts::default()
        }
    }

    #[test]
    fn the_limit_is_the_kernels() {
        // 924.6 s for 15 is in Documentation/networking/ip-sysctl.rst.
        for (retries, ms) in [(3, 3_000), (5, 12_600), (8, 102_200), (9, 204_600), (15, 924_600)] {
            assert_eq!(limit_ms(retries), ms);
        }
    }

    /// Linux 6.18, all packets to the peer dropped: seconds after the data was sent at which backoff was first seen, with
    /// `tcpi_rto` and the timer; the last number is when the kernel returned ETIMEDOUT.
    #[test]
    fn it_predicts_what_a_kernel_did() {
        let retries3 =
            [(0.475, 1, 408, 356), (0.89, 2, 816, 764), (1.707, 3, 1_632, 1_596), (3.376, 4, 3_264, 3_224)];
        check(3, &retries3, 6.791);
        let retries5 = [
            (0.44, 1, 408, 396),
            (0.904, 2, 816, 768),
            (1.721, 3, 1_632, 1_604),
            (3.408, 4, 3_264, 3_220),
            (6.908, 5, 6_528, 6_496),
        ];
        check(5, &retries5, 13.54);
        let retries8 = [(13.547, 6, 13_056, 13_000), (26.89, 7, 26_112, 26_000), (55.033, 8, 52_224, 52_000)];
        check(8, &retries8, 108.254);
    }

    fn check(retries: u32, seen: &[(f64, u8, u32, u32)], ended_s: f64) {
        for &(at_s, backoff, rto_ms, expires_ms) in seen {
            let left_s = left_ms(&backing_off(backoff, rto_ms, expires_ms), retries).unwrap() as f64 / 1e3;
            let really_s = ended_s - at_s;
            assert!((left_s / really_s - 1.0).abs() < 0.2, "{backoff}: said {left_s}, was {really_s}");
        }
    }

    /// A busy machine, looked at in the moment in which the fourth interval of 3.3 s was over: 6.7 s later it was given up.
    #[test]
    fn a_timer_that_is_due_is_not_a_whole_interval_away() {
        let due = backing_off(4, 3_264, 0);
        assert_eq!(left_ms(&due, 5), Some(6_528));
        assert!((6.528 / 6.7 - 1.0_f64).abs() < 0.2);
        // Another timer runs, or none: then the whole interval is the best guess.
        assert_eq!(left_ms(&TcpFacts { timer: 0, ..due }, 5), Some(3_264 + 6_528));
        assert_eq!(left_ms(&TcpFacts { timer: 2, timer_expires_ms: 9, ..due }, 5), Some(3_264 + 6_528));
    }

    /// Linux 6.18, TCP_USER_TIMEOUT of 5 s: backoff, RTO, timer, time since the last retransmission. It ended 1.7 s after the third.
    #[test]
    fn a_user_timeout_shows_in_its_last_interval() {
        let seen = |backoff, rto_ms, expires_ms, last_data_sent_ms| TcpFacts {
            last_data_sent_ms,
            ..backing_off(backoff, rto_ms, expires_ms)
        };
        for early in [seen(2, 816, 692, 124), seen(3, 1_632, 1_552, 80)] {
            assert!(sentence(&early, None).unwrap().ends_with("unless the client set TCP_USER_TIMEOUT"));
        }
        let last = seen(4, 3_264, 1_536, 532);
        assert_eq!(
            sentence(&last, Some(15)).unwrap(),
            "RTO backoff 4 of 15: about 1.5 s left, because the client set TCP_USER_TIMEOUT"
        );
        // The timer was read before the third expiry, the rest after it.
        assert!(!ends_by_user_timeout(&seen(3, 1_632, 4, 0)));
    }

    /// Linux lets TCP_USER_TIMEOUT take the place of `tcp_retries2`, also where it is longer.
    #[test]
    fn a_longer_user_timeout_shows_when_the_usual_end_is_over() {
        let said = |backoff, rto_ms| sentence(&backing_off(backoff, rto_ms, rto_ms - 100), Some(1)).unwrap();
        for (backoff, rto_ms) in [(1, 408), (2, 816)] {
            assert!(said(backoff, rto_ms).ends_with("unless the client set TCP_USER_TIMEOUT"));
        }
        assert_eq!(
            said(3, 1_632),
            "RTO backoff 3 of 1: past the end that tcp_retries2 sets, so the client set a longer TCP_USER_TIMEOUT"
        );
        // With the kernel's default it is the sixteenth expiry at 120 s each that ends it, a little sooner or later.
        for backoff in 10..=16 {
            let text = sentence(&backing_off(backoff, 120_000, 119_000), Some(15)).unwrap();
            assert!(text.ends_with("unless the client set TCP_USER_TIMEOUT"), "{text}");
        }
    }

    #[test]
    fn the_cap_hides_the_doublings_but_not_the_end() {
        // 15 to 17 minutes from the first retransmission on, at whatever backoff one looks.
        let at = |backoff: u8| {
            let rto_ms = (204 << backoff).min(120_000);
            left_ms(&backing_off(backoff, rto_ms, rto_ms), 15).unwrap()
        };
        let whole = at(1) + 204;
        assert!((900_000..1_060_000).contains(&whole), "{whole}");
        assert!(at(10) > at(11) && at(15) <= 240_000);
        assert_eq!(at(11) - at(12), 120_000);
    }

    #[test]
    fn nothing_is_said_when_nothing_is_retransmitted() {
        assert_eq!(sentence(&backing_off(0, 200, 0), None), None);
        assert_eq!(left_ms(&TcpFacts { unacked: 0, ..backing_off(3, 1_600, 0) }, 15), None);
        let text = sentence(&backing_off(7, 26_112, 20_000), None).unwrap();
        assert!(text.starts_with("RTO backoff 7 of 15: about 1"), "{text}");
        assert!(text.contains("assumed"), "{text}");
        let known = TcpFacts { tcp_retries2: Some(8), ..backing_off(7, 26_112, 20_000) };
        let text = sentence(&known, None).unwrap();
        assert!(text.starts_with("RTO backoff 7 of 8: ") && !text.contains("assumed"), "{text}");
    }
}
