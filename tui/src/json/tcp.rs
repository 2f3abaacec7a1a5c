//! The `tcp` object: what sock_diag says of the socket. Names and units of `struct tcp_info`.

use crate::model::sample::TcpFacts;
use serde::Serialize;

#[derive(Serialize)]
pub(super) struct Tcp {
    state: &'static str,
    rtt_us: u32,
    rttvar_us: u32,
    rto_us: u32,
    unacked: u32,
    retransmits: u32,
    total_retrans: u32,
    backoff: u8,
    probes: u8,
    notsent_bytes: u32,
    snd_wnd: u32,
    last_data_sent_ms: u32,
    last_data_received_ms: u32,
    last_ack_received_ms: u32,
    receive_queue_bytes: u32,
    send_queue_bytes: u32,
    timer: &'static str,
    timer_expires_ms: Option<u32>,
}

impl Tcp {
    pub(super) fn new(tcp: &TcpFacts) -> Self {
        Self {
            state: tcp.state_name(),
            rtt_us: tcp.rtt_us,
            rttvar_us: tcp.rttvar_us,
            rto_us: tcp.rto_us,
            unacked: tcp.unacked,
            retransmits: tcp.retransmits,
            total_retrans: tcp.total_retrans,
            backoff: tcp.backoff,
            probes: tcp.probes,
            notsent_bytes: tcp.notsent_bytes,
            snd_wnd: tcp.snd_wnd,
            last_data_sent_ms: tcp.last_data_sent_ms,
            last_data_received_ms: tcp.last_data_received_ms,
            last_ack_received_ms: tcp.last_ack_received_ms,
            receive_queue_bytes: tcp.receive_queue,
            send_queue_bytes: tcp.send_queue,
            timer: tcp.timer_name(),
            timer_expires_ms: (tcp.timer != 0).then_some(tcp.timer_expires_ms),
        }
    }
}
