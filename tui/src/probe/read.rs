//! A slot, read: kernel counters as the facts that the model works with.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use probe_common::direction::{Direction, OTHER_KIND};
use probe_common::http2::Kind;
use probe_common::lane::{SCANNING, TRYING};
use probe_common::order::{Lanes, distance};
use probe_common::slot::{
    Connection, FAMILY_INET, ORIGIN_SEEDED, PLAIN_FRAMES, Slot, TRANSPORT_FOREIGN, TRANSPORT_H2C,
    TRANSPORT_TLS,
};
use probe_common::tls::{LIBRARY_BORINGSSL, LIBRARY_GNUTLS, LIBRARY_GO, LIBRARY_OPENSSL};

use crate::model::sample::{
    Frames, Goaway, Library, Nanos, Owner, Reading, Records, Settings, Streams, Traffic, Transport, View,
};

/// The RFC's initial values (RFC 9113, section 6.5.2).
const DEFAULT_WINDOW: u32 = 65_535;
const DEFAULT_MAX_FRAME_SIZE: u32 = 16_384;

/// How long streams from before a gap stay doubtful while the connection goes on. Then those that are still open by the books
/// are taken for ended: the end of one that was missed never comes again.
const DOUBT_NS: Nanos = 10_000_000_000;

/// Everything a slot says; `None` when it is free or holds something that is not HTTP/2.
pub(super) fn reading(slot: &Slot) -> Option<Reading> {
    let c = &slot.connection;
    if c.cookie == 0 || c.transport == TRANSPORT_FOREIGN {
        return None;
    }
    let tls = c.transport == TRANSPORT_TLS;
    let view = match (tls, c.sent_plain_used == PLAIN_FRAMES, c.received_plain_used == PLAIN_FRAMES) {
        (false, ..) | (true, true, true) => View::Frames,
        (true, true, false) => View::Streams,
        (true, false, _) => View::Records,
    };
    let by_records = view == View::Records;
    Some(Reading {
        id: c.cookie,
        owner: Owner { pid: c.tgid, comm: text(&c.comm), ..Owner::default() },
        local: address(c.family, &c.local_addr, c.local_port),
        remote: address(c.family, &c.remote_addr, c.remote_port),
        opened_ns: c.opened_ns,
        seeded: c.origin == ORIGIN_SEEDED,
        closed_ns: time(c.closed_ns),
        transport: match c.transport {
            TRANSPORT_H2C => Transport::H2c,
            TRANSPORT_TLS => Transport::Tls,
            _ => Transport::Unknown,
        },
        library: library(c.tls_library),
        view,
        tls: None,
        sent: traffic(&c.sent, &slot.sent_lanes, tls, view != View::Records),
        received: traffic(&c.received, &slot.received_lanes, tls, view == View::Frames),
        streams: streams(slot, view),
        first_unanswered_ns: if by_records {
            (unanswered_records(c) > 0).then_some(c.first_unanswered_record_ns.max(c.last_heard_ns))
        } else {
            (c.unanswered() > 0).then_some(c.silent_since_ns())
        },
        first_without_answer_ns: (view == View::Frames && c.streams_opened > c.opened_at_last_answer)
            .then_some(c.first_without_answer_ns.max(c.last_answer_ns)),
        last_opened_ns: time(c.last_opened_ns),
        last_heard_ns: time(c.last_heard_ns),
        last_answer_ns: time(c.last_answer_ns),
        unanswered_records: unanswered_records(c),
        tcp: None,
    })
}

fn unanswered_records(c: &Connection) -> u64 {
    c.sent.records[3].saturating_sub(c.records_at_last_heard)
}

/// True while the alignment of the direction is searched.
fn resyncing(lanes: &Lanes) -> bool {
    matches!(lanes.lanes[0].state, SCANNING | TRYING)
}

/// Whether the receiver has bytes that were not walked: those behind a hole's other side that came in the segment which filled the
/// hole, or what was never seen. The hole is given up with the next payload; until then, nothing tells what they held.
fn unwalked(lanes: &Lanes, acknowledged: u32) -> bool {
    lanes.islands != 0 && acknowledged != 0 && distance(acknowledged, lanes.lanes[0].next) > 0
}

fn streams(slot: &Slot, view: View) -> Streams {
    let c = &slot.connection;
    if view == View::Records {
        return Streams::default();
    }
    let horizon = c.sent.horizon.max(c.received.horizon);
    let missed_ns = c.sent.missed_ns.max(c.received.missed_ns);
    let doubt_is_over = c.last_heard_ns > missed_ns.saturating_add(DOUBT_NS);
    let census = if doubt_is_over {
        c.streams.census_above(c.highest_stream, horizon)
    } else {
        c.streams.census(c.highest_stream, horizon)
    };
    // A stream that was forgotten before a gap is taken for ended like the others from before it.
    let forgotten = c.streams_forgotten > 0 && !(doubt_is_over && c.highest_forgotten <= horizon);
    // What is received as records closes no stream: the client's own ends are all that is known.
    let frames = view == View::Frames;
    // What is passed over meanwhile may open, answer or end streams.
    let searching =
        c.transport == TRANSPORT_H2C && (resyncing(&slot.sent_lanes) || resyncing(&slot.received_lanes));
    let unwalked = unwalked(&slot.sent_lanes, c.received.ack) || unwalked(&slot.received_lanes, c.sent.ack);
    Streams {
        opened: c.streams_opened,
        in_flight: u64::from(census.in_flight),
        without_answer: if frames { u64::from(census.without_answer) } else { 0 },
        sending: u64::from(census.sending),
        unanswered: c.unanswered(),
        unanswered_by_streams: if frames {
            c.streams_opened.saturating_sub(c.opened_at_last_answer)
        } else {
            0
        },
        abandoned: c.sent.abandoned,
        opened_after_goaway: c.opened_after_goaway,
        highest: c.highest_stream,
        approximate: census.doubtful > 0 || forgotten || !frames || searching || unwalked,
    }
}

fn traffic(d: &Direction, lanes: &Lanes, tls: bool, frames: bool) -> Traffic {
    let count = |kind: u8| d.frames[kind as usize];
    Traffic {
        bytes: d.bytes,
        segments: d.segments,
        retransmits: d.retransmits,
        frames: frames.then(|| Frames {
            data: count(Kind::DATA),
            headers: count(Kind::HEADERS),
            priority: count(Kind::PRIORITY),
            rst_stream: count(Kind::RST_STREAM),
            settings: count(Kind::SETTINGS),
            push_promise: count(Kind::PUSH_PROMISE),
            ping: count(Kind::PING),
            goaway: count(Kind::GOAWAY),
            window_update: count(Kind::WINDOW_UPDATE),
            continuation: count(Kind::CONTINUATION),
            unknown: d.frames[OTHER_KIND],
        }),
        records: tls.then(|| Records {
            handshake: d.records[2],
            alert: d.records[1],
            application: d.records[3],
            application_bytes: d.record_bytes,
        }),
        data_bytes: d.data_bytes,
        window_granted: d.window_granted,
        last_data_ns: time(d.last_data_ns),
        last_retransmit_ns: time(d.last_retransmit_ns),
        last_ack_ns: time(d.last_ack_ns),
        zero_window_ns: time(d.zero_window_ns),
        fin_ns: time(d.fin_ns),
        rst_ns: time(d.rst_ns),
        last_frame_ns: time(d.last_frame_ns),
        last_ping_ns: time(d.last_ping_ns),
        last_ping_ack_ns: time(d.last_ping_ack_ns),
        last_window_update_ns: time(d.last_window_update_ns),
        pings: count(Kind::PING).saturating_sub(d.ping_acks),
        ping_acks: d.ping_acks,
        goaway: time(d.goaway_ns).map(|at_ns| Goaway {
            at_ns,
            last_stream: d.goaway_last_stream,
            code: d.goaway_code,
        }),
        resets: d.resets,
        last_reset_code: d.last_reset_code,
        settings: (d.settings_seen != 0).then(|| Settings {
            initial_window_size: if d.initial_window_seen != 0 {
                d.initial_window_size
            } else {
                DEFAULT_WINDOW
            },
            max_frame_size: if d.max_frame_size != 0 { d.max_frame_size } else { DEFAULT_MAX_FRAME_SIZE },
            max_concurrent_streams: (d.max_concurrent_seen != 0).then_some(d.max_concurrent_streams),
        }),
        resyncing: resyncing(lanes),
        desyncs: d.desyncs,
        resyncs: d.resyncs,
        holes: lanes.holes,
        holes_missed: lanes.missed + lanes.holes_abandoned,
    }
}

fn library(code: u32) -> Option<Library> {
    match code {
        LIBRARY_OPENSSL => Some(Library::OpenSsl),
        LIBRARY_GO => Some(Library::Go),
        LIBRARY_GNUTLS => Some(Library::GnuTls),
        LIBRARY_BORINGSSL => Some(Library::BoringSsl),
        _ => None,
    }
}

/// 0 means never.
fn time(ns: u64) -> Option<Nanos> {
    (ns != 0).then_some(ns)
}

fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// IPv4-mapped IPv6 addresses are shown as what they are on the wire.
fn address(family: u32, bytes: &[u8; 16], port: u16) -> SocketAddr {
    let ip = if family == FAMILY_INET {
        IpAddr::V4(Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3]))
    } else {
        IpAddr::V6(Ipv6Addr::from(*bytes)).to_canonical()
    };
    SocketAddr::new(ip, port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forgotten_stream_is_doubted_until_a_gap_behind_it_is_over() {
        let mut slot = Box::<Slot>::default();
        let approximate = |slot: &Slot| streams(slot, View::Frames).approximate;
        slot.connection.transport = TRANSPORT_H2C;
        slot.connection.highest_stream = 4_001;
        slot.connection.last_heard_ns = 3 * DOUBT_NS;
        assert!(!approximate(&slot));
        slot.connection.streams_forgotten = 3;
        slot.connection.highest_forgotten = 1_001;
        assert!(approximate(&slot), "it may be open for ever");
        slot.connection.received.horizon = 999;
        slot.connection.received.missed_ns = DOUBT_NS;
        assert!(approximate(&slot), "the gap was before it");
        slot.connection.received.horizon = 1_001;
        assert!(!approximate(&slot));
        slot.connection.received.missed_ns = 2 * DOUBT_NS;
        assert!(approximate(&slot), "too soon");
    }

    #[test]
    fn acknowledged_bytes_that_were_not_walked_are_doubted() {
        let mut slot = Box::<Slot>::default();
        let approximate = |slot: &Slot| streams(slot, View::Frames).approximate;
        slot.connection.transport = TRANSPORT_H2C;
        slot.received_lanes.lanes[0].next = 1_000;
        slot.received_lanes.islands = 1;
        slot.connection.sent.ack = 1_000;
        assert!(!approximate(&slot), "a hole: its bytes may still come");
        slot.connection.sent.ack = 1_001;
        assert!(approximate(&slot), "they will not");
        slot.received_lanes.islands = 0;
        assert!(!approximate(&slot), "the acknowledgement is counted before the bytes are");
    }
}
