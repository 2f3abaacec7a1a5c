//! Objects inside a connection that describe HTTP/2 or TLS traffic: frames and records by type, PING, GOAWAY, flow control.

use super::process::counts_streams;
use super::time::ago_ms;
use crate::model::sample::{self, Nanos, Reading, View};
use crate::model::words::error_code;
use serde::Serialize;

/// Frame counts by type (RFC 9113, section 6).
#[derive(Serialize)]
pub(super) struct Frames {
    data: u64,
    headers: u64,
    priority: u64,
    rst_stream: u64,
    settings: u64,
    push_promise: u64,
    ping: u64,
    goaway: u64,
    window_update: u64,
    continuation: u64,
    unknown: u64,
    total: u64,
}

impl Frames {
    pub(super) fn new(frames: &sample::Frames) -> Self {
        Self {
            data: frames.data,
            headers: frames.headers,
            priority: frames.priority,
            rst_stream: frames.rst_stream,
            settings: frames.settings,
            push_promise: frames.push_promise,
            ping: frames.ping,
            goaway: frames.goaway,
            window_update: frames.window_update,
            continuation: frames.continuation,
            unknown: frames.unknown,
            total: frames.total(),
        }
    }
}

/// TLS records by content type.
#[derive(Serialize)]
pub(super) struct Records {
    handshake: u64,
    alert: u64,
    application: u64,
    application_bytes: u64,
}

impl Records {
    pub(super) fn new(records: &sample::Records) -> Self {
        Self {
            handshake: records.handshake,
            alert: records.alert,
            application: records.application,
            application_bytes: records.application_bytes,
        }
    }
}

/// A GOAWAY frame.
#[derive(Serialize)]
pub(super) struct Goaway {
    ago_ms: Option<u64>,
    last_stream: u32,
    code: u32,
    error: &'static str,
}

impl Goaway {
    pub(super) fn new(goaway: &sample::Goaway, as_of_ns: Nanos) -> Self {
        Self {
            ago_ms: ago_ms(Some(goaway.at_ns), as_of_ns),
            last_stream: goaway.last_stream,
            code: goaway.code,
            error: error_code(goaway.code),
        }
    }
}

/// PING in both directions. What comes from the peer is null unless its frames are seen.
#[derive(Serialize)]
pub(super) struct Ping {
    sent: u64,
    acks_sent: u64,
    received: Option<u64>,
    acks_received: Option<u64>,
    last_sent_ms: Option<u64>,
    last_ack_received_ms: Option<u64>,
    enhance_your_calm: Option<bool>,
}

impl Ping {
    pub(super) fn new(reading: &Reading, as_of_ns: Nanos) -> Option<Self> {
        let Reading { sent, received, view, .. } = reading;
        let both_ways = *view == View::Frames;
        counts_streams(*view).then(|| Self {
            sent: sent.pings,
            acks_sent: sent.ping_acks,
            received: both_ways.then_some(received.pings),
            acks_received: both_ways.then_some(received.ping_acks),
            last_sent_ms: ago_ms(sent.last_ping_ns, as_of_ns),
            last_ack_received_ms: ago_ms(received.last_ping_ack_ns, as_of_ns),
            enhance_your_calm: both_ways.then_some(received.calmed_by().is_some()),
        })
    }
}

/// HTTP/2 flow control of the connection, as the raw sums it is decided from.
#[derive(Serialize)]
pub(super) struct FlowControl {
    data_bytes_sent: u64,
    data_bytes_received: Option<u64>,
    window_granted_sent_bytes: u64,
    window_granted_received_bytes: Option<u64>,
    last_window_update_received_ms: Option<u64>,
    peer_settings: Option<Settings>,
    own_settings: Option<Settings>,
}

impl FlowControl {
    pub(super) fn new(reading: &Reading, as_of_ns: Nanos) -> Self {
        let Reading { sent, received, view, .. } = reading;
        let both_ways = *view == View::Frames;
        Self {
            data_bytes_sent: sent.data_bytes,
            data_bytes_received: both_ways.then_some(received.data_bytes),
            window_granted_sent_bytes: sent.window_granted,
            window_granted_received_bytes: both_ways.then_some(received.window_granted),
            last_window_update_received_ms: ago_ms(received.last_window_update_ns, as_of_ns),
            peer_settings: received.settings.as_ref().map(Settings::new),
            own_settings: sent.settings.as_ref().map(Settings::new),
        }
    }
}

/// SETTINGS values of one side.
#[derive(Serialize)]
struct Settings {
    initial_window_size: u32,
    max_frame_size: u32,
    max_concurrent_streams: Option<u32>,
}

impl Settings {
    fn new(settings: &sample::Settings) -> Self {
        Self {
            initial_window_size: settings.initial_window_size,
            max_frame_size: settings.max_frame_size,
            max_concurrent_streams: settings.max_concurrent_streams,
        }
    }
}
