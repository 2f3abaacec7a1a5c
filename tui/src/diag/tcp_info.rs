//! `struct tcp_info` by offset, for any length: fields were only ever appended (linux/tcp.h), so a field that this kernel
//! does not have yet is past the end and reads as 0.

use crate::model::sample::TcpFacts;

/// The fields that verdicts use. Queues and timer are not in this structure.
pub(super) fn facts(info: &[u8]) -> TcpFacts {
    let byte = |at: usize| info.get(at).copied().unwrap_or(0);
    let word = |at: usize| info.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_ne_bytes);
    TcpFacts {
        state: byte(0),
        retransmits: u32::from(byte(2)),
        probes: byte(3),
        backoff: byte(4),
        rto_us: word(8),
        unacked: word(24),
        last_data_sent_ms: word(44),
        last_data_received_ms: word(52),
        last_ack_received_ms: word(56),
        rtt_us: word(68),
        rttvar_us: word(72),
        total_retrans: word(100),
        // Linux 4.6
        notsent_bytes: word(144),
        // Linux 5.4
        snd_wnd: word(228),
        ..TcpFacts::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_is_read_and_missing_fields_are_zero() {
        let full: Vec<u8> = (0..=255).collect();
        let word = |at: u8| u32::from_ne_bytes([at, at + 1, at + 2, at + 3]);
        let all = facts(&full);
        assert_eq!((all.rto_us, all.rtt_us, all.snd_wnd, all.backoff), (word(8), word(68), word(228), 4));
        let old = facts(&full[..104]);
        assert_eq!((old.rtt_us, old.total_retrans), (word(68), word(100)));
        assert_eq!((old.notsent_bytes, old.snd_wnd), (0, 0));
        for length in 0..full.len() {
            let _ = facts(&full[..length]);
        }
        assert_eq!(facts(&[]), TcpFacts::default());
    }
}
