//! One connection: the value of the memory-mapped `SLOTS` array.

use crate::direction::Direction;
use crate::lane::{OPENING_PEER, SCANNING};
use crate::order::Lanes;
use crate::streams::Streams;

/// Linux `TASK_COMM_LEN`.
pub const COMM_LEN: usize = 16;

/// Application data records of each direction whose lengths are kept: the evidence for HTTP/2 is at the beginning.
pub const FIRST_RECORDS: usize = 12;

/// Records of one segment that are matched with writes of its task; a power of two.
pub const MATCHED_RECORDS: usize = 4;

/// `transport`: not decided yet.
pub const TRANSPORT_UNKNOWN: u32 = 0;
/// Cleartext HTTP/2 with prior knowledge (RFC 9113, section 3.3).
pub const TRANSPORT_H2C: u32 = 1;
/// TLS; whether HTTP/2 is inside is user space's question.
pub const TRANSPORT_TLS: u32 = 2;
/// Something else: the slot is given back.
pub const TRANSPORT_FOREIGN: u32 = 3;

/// `origin`: seen from its first packet.
pub const ORIGIN_CONNECT: u32 = 0;
/// `origin`: it was open before h2watch was.
pub const ORIGIN_SEEDED: u32 = 1;

/// `sent_plain_used` and `received_plain_used`: frames of that direction come from the process's plaintext.
pub const PLAIN_FRAMES: u32 = 1;
/// `sent_plain_used`: the process's plaintext is known, and it is not HTTP/2.
pub const PLAIN_OTHER: u32 = 2;

/// `AF_INET` and `AF_INET6` of Linux.
pub const FAMILY_INET: u32 = 2;
pub const FAMILY_INET6: u32 = 10;

/// A connection and the walkers that feed it. The two are apart so that a walker can run while it reports.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Slot {
    pub connection: Connection,
    /// The bytes on the wire, by TCP sequence number.
    pub sent_lanes: Lanes,
    pub received_lanes: Lanes,
}

impl Slot {
    /// Prepares the walkers: for a connection whose first byte is still to come, or for one that was already open.
    #[inline(always)]
    pub fn prepare(&mut self, origin: u32) {
        self.connection.origin = origin;
        if origin == ORIGIN_SEEDED {
            self.sent_lanes.lanes[0].state = SCANNING;
            self.received_lanes.lanes[0].state = SCANNING;
        } else {
            self.received_lanes.lanes[0].state = OPENING_PEER;
        }
    }
}

/// A connection. Identity is written once, before the socket's first segment is tracked (by the connect hook, or by user
/// space for connections that were open before); `sent` by egress, `received` by ingress.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Connection {
    /// Socket cookie; 0 while the slot is free.
    pub cookie: u64,
    /// `connect()`, or the moment of seeding. CLOCK_MONOTONIC nanoseconds.
    pub opened_ns: u64,
    /// When the process released the socket; 0 while it is open.
    pub closed_ns: u64,
    /// Cookie of the socket's network namespace; 0 where the kernel does not tell.
    pub netns_cookie: u64,
    pub tgid: u32,
    pub tid: u32,
    /// Thread name at `connect()`, NUL-padded.
    pub comm: [u8; COMM_LEN],
    /// Network byte order; IPv4 in the first four bytes.
    pub local_addr: [u8; 16],
    pub remote_addr: [u8; 16],
    /// Host byte order.
    pub local_port: u16,
    pub remote_port: u16,
    pub family: u32,
    pub origin: u32,
    pub transport: u32,

    /// Client streams opened (HEADERS that opened one), and of these the ones after a GOAWAY was received.
    pub streams_opened: u64,
    pub opened_after_goaway: u64,
    /// Open streams forgotten by a full stream table.
    pub streams_forgotten: u64,
    pub highest_stream: u32,
    /// Lowest stream that was seen to open; lower ones were open before h2watch was.
    pub first_stream: u32,
    pub last_opened_ns: u64,
    /// When the first of the streams was opened that no frame from the peer followed; valid while
    /// `streams_opened != opened_at_last_heard`.
    pub first_unanswered_ns: u64,
    /// Likewise for streams that no HEADERS, DATA or RST_STREAM followed; valid while
    /// `streams_opened != opened_at_last_answer`.
    pub first_without_answer_ns: u64,
    /// `streams_opened` when the peer was last heard (any frame; for TLS without frames, an application data record).
    pub opened_at_last_heard: u64,
    /// `streams_opened` when the peer last answered any stream.
    pub opened_at_last_answer: u64,
    pub last_heard_ns: u64,
    pub last_answer_ns: u64,
    /// For TLS without streams: application records sent, sent when the peer was last heard, and when the first after that
    /// was sent.
    pub records_at_last_heard: u64,
    pub first_unanswered_record_ns: u64,

    /// Written by user space: ring once when this many streams are unanswered for this long. 0 streams: never.
    pub ring_after_ns: u64,
    pub ring_min_streams: u32,
    /// 1 after the ring until the peer is heard.
    pub rung: u32,

    /// TLS: the library whose object it is (`tls::LIBRARY_*`); 0 while unknown.
    pub tls_library: u32,
    /// No forgotten stream is above this one.
    pub highest_forgotten: u32,
    /// TLS: the object that the connection's plaintext comes from (`tls::ObjectKey::name`), and how many more votes there were
    /// for it than for others, up to `tls::CERTAIN`.
    pub tls_object: u64,
    pub tls_votes: u32,
    /// TLS: stream offsets up to which the first record of each direction reaches; 0 while unknown.
    pub sent_hello_end: u32,
    pub received_hello_end: u32,
    /// TLS: lengths of the records that began in the present segment, until they were matched with writes.
    pub record_count: u32,
    pub record_lengths: [u16; MATCHED_RECORDS],
    /// TLS: payload lengths of the first application data records, 0 behind the last.
    pub sent_first_records: [u16; FIRST_RECORDS],
    pub received_first_records: [u16; FIRST_RECORDS],
    /// What is known of the process's plaintext of that direction (`PLAIN_*`); 0 while nothing is.
    pub sent_plain_used: u32,
    pub received_plain_used: u32,
    pub sent: Direction,
    pub received: Direction,
    pub streams: Streams,
}

const _: () = assert!(size_of::<Slot>().is_multiple_of(8));
// Memory is bought for every slot at load: 8,192 of them may cost 36 MiB and no more.
const _: () = assert!(size_of::<Slot>() <= 4608);
