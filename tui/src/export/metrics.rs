//! Every metric that the exporter can show: name, type, unit, labels, help. The encoder, `docs/metrics.md` and the check of
//! the deployed rules and dashboards read this one table. No values here.

use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

/// One metric family. `name` has neither the unit nor `_total`/`_info`: the encoder appends them as OpenMetrics wants.
#[derive(Debug)]
pub struct Metric {
    pub name: &'static str,
    pub kind: MetricType,
    pub unit: Option<Unit>,
    pub labels: &'static [&'static str],
    pub help: &'static str,
}

impl Metric {
    /// The family's name with its unit: what HELP and TYPE lines carry.
    #[must_use]
    pub fn family(&self) -> String {
        match &self.unit {
            Some(unit) => format!("{}_{}", self.name, unit.as_str()),
            None => self.name.to_owned(),
        }
    }

    /// The names under which Prometheus stores it: what a query may use.
    #[must_use]
    pub fn series(&self) -> Vec<String> {
        let family = self.family();
        match self.kind {
            MetricType::Counter => vec![format!("{family}_total")],
            MetricType::Info => vec![format!("{family}_info")],
            MetricType::Histogram => ["bucket", "sum", "count"].map(|s| format!("{family}_{s}")).into(),
            _ => vec![family],
        }
    }
}

/// Who talks to whom: limited sets, see `limit`.
pub const GROUP: &[&str] = &["comm", "container", "destination"];
pub(super) const GROUP_VIEW: &[&str] = &["comm", "container", "destination", "transport", "view"];
pub(super) const GROUP_CAUSE: &[&str] = &["comm", "container", "destination", "cause"];
const CAUSE: &[&str] = &["cause"];
const NONE: &[&str] = &[];

const fn metric(
    name: &'static str,
    kind: MetricType,
    unit: Option<Unit>,
    labels: &'static [&'static str],
    help: &'static str,
) -> Metric {
    Metric { name, kind, unit, labels, help }
}

const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    metric(name, MetricType::Gauge, None, labels, help)
}

const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    metric(name, MetricType::Counter, None, labels, help)
}

macro_rules! table {
    ($($id:ident = $metric:expr;)*) => {
        $(pub static $id: Metric = $metric;)*
        /// Every metric, in the order of the exposition and of the documentation.
        pub static ALL: &[&Metric] = &[$(&$id),*];
    };
}

table! {
    CONNECTIONS = gauge("h2watch_connections", GROUP_VIEW, "Open HTTP/2 client connections");
    STALLED = gauge("h2watch_stalled_connections", GROUP_CAUSE,
        "Connections that take new streams while receiving no frames. A cause that was seen once stays, with 0");
    OLDEST_UNANSWERED = metric("h2watch_oldest_unanswered_stream", MetricType::Gauge, Some(Unit::Seconds), GROUP,
        "Longest time since a stream was opened that nothing from the peer followed; 0 while none waits");
    UNANSWERED = gauge("h2watch_streams_unanswered", GROUP,
        "Streams opened since the peer was last heard (connections of which only TLS records are seen have none)");
    IN_FLIGHT = gauge("h2watch_streams_in_flight", GROUP,
        "Streams that are open (connections of which only TLS records are seen have none)");
    APPROXIMATE = gauge("h2watch_connections_approximate", GROUP,
        "Connections whose streams in flight may be off, because frames of the peer were missed or cannot be seen");
    DAMAGE = counter("h2watch_streams_opened_while_stalled", GROUP,
        "Streams opened on stalled connections: requests lost to a connection that was already dead");
    OPENED = counter("h2watch_connections_opened", GROUP, "Connections seen, those open before h2watch included");
    STREAMS = counter("h2watch_streams_opened", GROUP, "Streams opened by the client");
    ABANDONED = counter("h2watch_streams_abandoned", GROUP,
        "Streams that the client cancelled without having received anything on them");
    GOAWAY = counter("h2watch_goaway_received", GROUP, "Connections on which the peer sent GOAWAY");
    AFTER_GOAWAY = counter("h2watch_streams_opened_after_goaway", GROUP,
        "Streams opened on connections that had received GOAWAY");
    SENT = metric("h2watch_sent", MetricType::Counter, Some(Unit::Bytes), GROUP, "TCP payload sent, retransmissions not counted again");
    RECEIVED = metric("h2watch_received", MetricType::Counter, Some(Unit::Bytes), GROUP,
        "TCP payload received, retransmissions not counted again");
    STALLS = counter("h2watch_stalls", CAUSE, "Stalls by the cause that was told first");
    STALL_DURATION = metric("h2watch_stall_duration", MetricType::Histogram, Some(Unit::Seconds), CAUSE,
        "How long stalls lasted that ended, by recovery or by the end of the connection");
    RESETS = counter("h2watch_resets", &["cause", "result"], "Decisions of --reset");
    RESET_LATENCY = metric("h2watch_reset_latency", MetricType::Histogram, Some(Unit::Seconds), NONE,
        "From the threshold to the kernel's answer to SOCK_DESTROY, of resets that nobody was asked about");
    WORKLOAD = metric("h2watch_workload", MetricType::Info, None, &["comm", "container", "pod_uid", "unit"],
        "Kubernetes pod uid and systemd unit of a workload, to join with the other metrics");

    PROCESSES = gauge("h2watch_processes", &["view", "library", "reason"],
        "Watched processes by how much of their TLS connections is seen, and why not more");
    EVENTS_LOST = counter("h2watch_events_lost", &["reason"], "What the probe saw and could not keep");
    ASSOCIATION_FAILURES = counter("h2watch_association_failures", NONE,
        "TLS calls that could not be associated with a socket");
    DESYNCS = counter("h2watch_desyncs", NONE, "Frame alignments that were lost and had to be searched again");
    PROBE_ATTACHED = gauge("h2watch_probe_attached", &["probe"], "1 while this kernel program is attached, else 0");
    BPF_RUN_TIME = metric("h2watch_bpf_run_time", MetricType::Counter, Some(Unit::Seconds), &["program"],
        "Time spent in this kernel program; 0 unless kernel.bpf_stats_enabled is 1");
    BPF_RUNS = counter("h2watch_bpf_runs", &["program"],
        "Runs of this kernel program; 0 unless kernel.bpf_stats_enabled is 1");
    SLOTS = gauge("h2watch_connection_slots", NONE, "Connections that can be watched at the same time");
    SLOTS_USED = gauge("h2watch_connection_slots_used", NONE, "Connections that are being watched");
    DEGRADATIONS = gauge("h2watch_degradations", NONE,
        "Things that limit what can be seen on this host; the page of the exporter lists them");
    LABEL_OVERFLOW = counter("h2watch_label_overflow", &["label"],
        "Connections counted under ~other because the limit of this label was reached");
    LAST_SAMPLE = metric("h2watch_last_sample_timestamp", MetricType::Gauge, Some(Unit::Seconds), NONE,
        "When the probe was last read, as Unix time");
    BUILD = metric("h2watch_build", MetricType::Info, None, &["version", "arch"], "Which h2watch this is");
    HTTP_REQUESTS = counter("h2watch_http_requests", &["path", "code"], "Answers of this exporter");
    HTTP_EVICTED = counter("h2watch_http_connections_evicted", NONE,
        "Connections to this exporter that were cut to make room for new ones");
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_and_follow_the_conventions() {
        let mut names = HashSet::new();
        for metric in ALL {
            assert!(names.insert(metric.family()), "{} twice", metric.family());
            assert!(metric.name.starts_with("h2watch_"), "{}", metric.name);
            assert!(!metric.name.ends_with("_total") && !metric.name.ends_with("_info"), "{}", metric.name);
            assert!(!metric.help.is_empty() && !metric.help.ends_with('.') && !metric.help.contains('\n'));
        }
    }

    #[test]
    fn no_label_has_unlimited_values() {
        for label in ALL.iter().flat_map(|m| m.labels) {
            assert!(!["pid", "port", "cookie", "id", "stream", "local", "remote"].contains(label), "{label}");
        }
    }
}
