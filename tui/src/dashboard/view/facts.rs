//! The labelled facts of the detail screen, as words. Facts that are not known say so or are left out; none is judged here.

use crate::human::{byte_rate, bytes, count, counted, plain, rate, span, span_ms, span_us};
use crate::model::sample::{Goaway, Library, Nanos, Reading, Settings, TcpFacts, Transport, View};
use crate::model::snapshot::{Connection, Snapshot};

/// The connection's flow-control window before any WINDOW_UPDATE (RFC 9113, section 6.9.2).
const INITIAL_CONNECTION_WINDOW: u64 = 65_535;

/// A label and its text.
type Fact = (&'static str, String);

/// What goes on, in the order of the screen.
pub(super) fn live(connection: &Connection, now_ns: Nanos) -> Vec<Fact> {
    let reading = &connection.reading;
    let mut facts = vec![
        ("streams", streams(connection)),
        ("last", times(reading, now_ns)),
        ("tcp", tcp(reading.tcp.as_ref())),
        ("ping", ping(reading, now_ns)),
    ];
    facts.extend(goaways(reading, now_ns));
    facts.extend(flow(connection, now_ns));
    facts.push(("traffic", traffic(connection)));
    facts
}

/// Who and what it is, and how much of it is seen.
pub(super) fn identity(connection: &Connection, snapshot: &Snapshot) -> Vec<Fact> {
    let reading = &connection.reading;
    let mut facts = vec![("socket", socket(reading, snapshot.now_ns)), ("process", owner(reading))];
    facts.extend(tls(reading));
    facts.extend(settings(reading));
    facts.push(("coverage", coverage(reading, snapshot)));
    facts.push(("in sync", sync(connection)));
    facts
}

fn streams(connection: &Connection) -> String {
    let Reading { view, streams, sent, .. } = &connection.reading;
    if *view == View::Records {
        let records = counted(connection.reading.unanswered_records, "TLS record");
        return format!("not countable in TLS records; {records} sent since the peer was last heard");
    }
    let about = if streams.approximate { "about " } else { "" };
    let mut parts = vec![
        format!("{about}{} in flight", count(streams.in_flight)),
        format!("{} unanswered", count(streams.unanswered)),
    ];
    if *view == View::Frames {
        parts.push(format!("{about}{} without an answer", count(streams.without_answer)));
    }
    parts.push(format!("{} opened ({})", count(streams.opened), rate(connection.streams_per_s)));
    // What never happened is left out: none of these is missed when it is not there.
    for (n, what) in [(sent.resets, "reset by the client"), (streams.abandoned, "abandoned")] {
        if n > 0 {
            parts.push(format!("{} {what}", count(n)));
        }
    }
    if connection.stalls > 0 {
        parts.push(format!("damage {} in {}", count(connection.damage), counted(connection.stalls, "stall")));
    }
    parts.join(" · ")
}

fn times(reading: &Reading, now_ns: Nanos) -> String {
    let heard = if reading.view == View::Frames { "frame" } else { "record" };
    let mut parts = vec![format!("{heard} received {}", ago(reading.last_heard_ns, now_ns))];
    if reading.view == View::Frames {
        parts.push(format!("answer {}", ago(reading.last_answer_ns, now_ns)));
    }
    parts.push(format!("stream opened {}", ago(reading.last_opened_ns, now_ns)));
    parts.push(format!("new data ACKed {}", ago(reading.received.last_ack_ns, now_ns)));
    parts.join(" · ")
}

fn tcp(tcp: Option<&TcpFacts>) -> String {
    let Some(tcp) = tcp else {
        return "not asked for yet: facts are read for suspicious and selected connections".to_owned();
    };
    let timer = match tcp.timer {
        0 => "no timer runs".to_owned(),
        _ => format!("{} timer fires in {}", tcp.timer_name(), span_ms(tcp.timer_expires_ms)),
    };
    [
        format!("{}, rtt {} ±{}", tcp.state_name(), span_us(tcp.rtt_us), span_us(tcp.rttvar_us)),
        format!("rto {}, backoff {}", span_us(tcp.rto_us), tcp.backoff),
        timer,
        format!("{} unacked, {} retransmitted", tcp.unacked, tcp.total_retrans),
        format!("send queue {} ({} not sent)", bytes(tcp.send_queue.into()), bytes(tcp.notsent_bytes.into())),
        format!("receive queue {}", bytes(tcp.receive_queue.into())),
        format!("peer's window {}", bytes(tcp.snd_wnd.into())),
        format!("last ACK {} ago", span_ms(tcp.last_ack_received_ms)),
    ]
    .join(" · ")
}

fn ping(reading: &Reading, now_ns: Nanos) -> String {
    let Reading { sent, received, view, opened_ns, .. } = reading;
    match (*view, sent.pings) {
        (View::Records, _) => "not visible in TLS records".to_owned(),
        (_, 0) => format!("none sent in {}", span(now_ns.saturating_sub(*opened_ns))),
        (View::Streams, n) => {
            format!("{} sent, last {}; answers are not visible", count(n), ago(sent.last_ping_ns, now_ns))
        }
        (View::Frames, n) => format!(
            "{} sent, last {}; {} answered, last {}{}",
            count(n),
            ago(sent.last_ping_ns, now_ns),
            count(received.ping_acks),
            ago(received.last_ping_ack_ns, now_ns),
            if received.calmed_by().is_some() { "; the peer sent ENHANCE_YOUR_CALM" } else { "" }
        ),
    }
}

fn goaways(reading: &Reading, now_ns: Nanos) -> Vec<Fact> {
    let words = |goaway: &Goaway, way: &str| {
        let when = ago(Some(goaway.at_ns), now_ns);
        format!("{way} {when}: {}, last stream {}", goaway.error(), goaway.last_stream)
    };
    let received = reading.received.goaway.as_ref().map(|goaway| {
        let after = counted(reading.streams.opened_after_goaway, "stream");
        ("goaway", format!("{}; {after} opened since", words(goaway, "received")))
    });
    let sent = reading.sent.goaway.as_ref().map(|goaway| ("goaway", words(goaway, "sent")));
    received.into_iter().chain(sent).collect()
}

/// What is left of the window can only be added up from the connection's first byte on.
fn flow(connection: &Connection, now_ns: Nanos) -> Option<Fact> {
    let reading = &connection.reading;
    if reading.view != View::Frames {
        return None;
    }
    let granted = INITIAL_CONNECTION_WINDOW.saturating_add(reading.received.window_granted);
    let used = reading.sent.data_bytes;
    let left = if connection.joined_late {
        "what is left is unknown: its beginning was not seen".to_owned()
    } else {
        format!("{} bytes left", count(granted.saturating_sub(used)))
    };
    let update = ago(reading.received.last_window_update_ns, now_ns);
    let text =
        format!("connection window: {left} · {} of DATA sent · last WINDOW_UPDATE {update}", bytes(used));
    Some(("flow", text))
}

fn settings(reading: &Reading) -> Option<Fact> {
    let words = |settings: &Settings| {
        let streams = settings.max_concurrent_streams.map_or("unlimited".to_owned(), |n| count(n.into()));
        format!(
            "{streams} concurrent streams, stream window {} bytes, frames up to {} bytes",
            count(settings.initial_window_size.into()),
            count(settings.max_frame_size.into())
        )
    };
    let peer = reading.received.settings.as_ref()?;
    Some(("settings", format!("of the peer: {}", words(peer))))
}

fn traffic(connection: &Connection) -> String {
    let Reading { sent, received, .. } = &connection.reading;
    format!(
        "{} sent ({}), {} received ({}) · {} sent again, {} received again",
        bytes(sent.bytes),
        byte_rate(connection.bytes_sent_per_s),
        bytes(received.bytes),
        byte_rate(connection.bytes_received_per_s),
        counted(sent.retransmits, "segment"),
        count(received.retransmits),
    )
}

fn socket(reading: &Reading, now_ns: Nanos) -> String {
    let age = span(now_ns.saturating_sub(reading.opened_ns));
    let since = if reading.seeded { "found" } else { "opened" };
    format!("{} → {} · {since} {age} ago · cookie {}", reading.local, reading.remote, reading.id)
}

fn tls(reading: &Reading) -> Option<Fact> {
    let tls = reading.tls.as_ref()?;
    let mut parts = vec![reading.library.map_or("library unknown", Library::as_str).to_owned()];
    parts.extend(tls.server_name.as_ref().map(|name| format!("server name {}", plain(name))));
    if !tls.alpn_offered.is_empty() {
        parts.push(format!("ALPN offered {}", plain(&tls.alpn_offered.join(", "))));
    }
    parts.extend(tls.alpn_chosen.as_ref().map(|name| format!("chosen {}", plain(name))));
    if !tls.http2_evidence.is_empty() {
        parts.push(format!("taken for HTTP/2: {}", tls.http2_evidence));
    }
    Some(("tls", parts.join(" · ")))
}

fn owner(reading: &Reading) -> String {
    let owner = &reading.owner;
    let mut parts = vec![format!("{}, pid {}", plain(&owner.comm), owner.pid)];
    parts.extend(owner.unit.as_ref().map(|unit| format!("unit {unit}")));
    parts.extend(owner.container.as_ref().map(|id| format!("container {}", id.get(..12).unwrap_or(id))));
    parts.extend(owner.pod_uid.as_ref().map(|uid| format!("pod {uid}")));
    if !owner.cgroup.is_empty() {
        parts.push(format!("cgroup {}", owner.cgroup));
    }
    parts.join(" · ")
}

fn coverage(reading: &Reading, snapshot: &Snapshot) -> String {
    let what = match reading.view {
        View::Frames => "frames: the frame headers of both directions",
        View::Streams => "streams: frames that the client sends, TLS records that it receives",
        View::Records => "records: TLS records both ways, streams cannot be counted",
    };
    let process = snapshot.processes.iter().find(|process| process.pid == reading.owner.pid);
    match (reading.transport, process) {
        (Transport::H2c, _) | (_, None) => what.to_owned(),
        (_, Some(process)) => format!("{what} ({})", process.reason),
    }
}

fn sync(connection: &Connection) -> String {
    let Reading { sent, received, streams, view, .. } = &connection.reading;
    let now = match (sent.resyncing, received.resyncing) {
        (false, false) => "yes",
        (true, false) => "NO: searching the frames of what is sent",
        (false, true) => "NO: searching the frames of what is received",
        (true, true) => "NO: searching the frames of both directions",
    };
    let exact = match (view, streams.approximate) {
        (View::Records, _) => "no frames are counted",
        (_, true) => "in flight is approximate",
        (_, false) if connection.joined_late => "counts are exact since it was joined",
        (_, false) => "counts are exact",
    };
    format!(
        "{now} · {exact} · {}, {} found again · {} ({} over frames)",
        counted(sent.desyncs + received.desyncs, "desync"),
        count(sent.resyncs + received.resyncs),
        counted(sent.holes + received.holes, "hole"),
        count(sent.holes_missed + received.holes_missed),
    )
}

fn ago(then: Option<Nanos>, now_ns: Nanos) -> String {
    then.map_or("never".to_owned(), |then_ns| format!("{} ago", span(now_ns.saturating_sub(then_ns))))
}
