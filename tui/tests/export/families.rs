//! Every metric of the table as a scraper meets it, in both formats: name, help, type, unit, labels and exemplars.

use crate::client::{get, get_with};
use crate::synthetic::{SECOND, Served, connection, exporter, named, snapshot, stalled};
use h2watch::export::metrics::{self, Metric};
use h2watch::export::{Health, HttpLimits, ProgramRun, ResetResult};
use h2watch::model::sample::Process;
use h2watch::model::snapshot::{Change, Snapshot};
use h2watch::verdict::Cause;
use prometheus_client::metrics::MetricType;

const OPEN_METRICS: &str = "Accept: application/openmetrics-text\r\n";

/// An exporter in which every family has a series, by way of an incident of every cause.
pub(crate) async fn everything() -> Served {
    let served = Served::with(exporter(), HttpLimits::default()).await;
    let mut connections = vec![connection(1, "api", 1), named(connection(2, "a\"\\\nb", 2), "ü.example")];
    connections[0].reading.owner.unit = Some("api.service".to_owned());
    for (id, cause) in (10..).zip(Cause::ALL) {
        connections.push(stalled(connection(id, "api", 3), cause, SECOND, 4));
    }
    let recovered =
        Change::Recovered { connection: Box::new(connections[2].clone()), stalled_ns: 5 * SECOND };
    let mut shot = Snapshot::clone(&snapshot(9 * SECOND, connections));
    shot.processes = vec![Process { reason: "cleartext only".to_owned(), ..Process::default() }];
    served.exporter.observe(shot.into(), &[recovered]);
    served.exporter.count_reset(Cause::SilentPeer, ResetResult::Ok);
    served.exporter.set_health(Health {
        probes: vec![("egress".to_owned(), true)],
        programs: vec![ProgramRun { name: "egress".to_owned(), run_time_ns: 12_345, runs: 7 }],
        slots: 65536,
        slots_used: 10,
    });
    // Requests are counted as well.
    get(served.address, "/healthz").await;
    served
}

#[tokio::test]
async fn every_metric_is_served_as_the_table_says() {
    let served = everything().await;
    let open_metrics = get_with(served.address, "/metrics", OPEN_METRICS).await.body;
    let text = get(served.address, "/metrics").await.body;
    for metric in metrics::ALL {
        let (family, help) = (metric.family(), metric.help);
        let described = |line: String| open_metrics.lines().any(|l| l == line);
        assert!(described(format!("# HELP {family} {help}")), "{family}: {open_metrics}");
        assert!(described(format!("# TYPE {family} {}", metric.kind.as_str())), "{family}: {open_metrics}");
        let unit = metric.unit.as_ref().map(|unit| format!("# UNIT {family} {}", unit.as_str()));
        let served = open_metrics.lines().find(|line| line.starts_with(&format!("# UNIT {family} ")));
        assert_eq!(served, unit.as_deref(), "{family}");

        let (name, kind) = as_text(metric);
        let described = |line: String| text.lines().any(|l| l == line);
        assert!(described(format!("# HELP {name} {help}")), "{name}: {text}");
        assert!(described(format!("# TYPE {name} {kind}")), "{name}: {text}");
        for exposition in [&open_metrics, &text] {
            has_labels(exposition, metric);
        }
    }
    // And nothing that the table does not know.
    for exposition in [&open_metrics, &text] {
        let types = exposition.lines().filter(|line| line.starts_with("# TYPE ")).count();
        assert_eq!(types, metrics::ALL.len());
        let samples = exposition.lines().filter(|line| !line.starts_with('#'));
        let known: Vec<String> = metrics::ALL.iter().flat_map(|metric| metric.series()).collect();
        for sample in samples {
            let name = sample.split(['{', ' ']).next().unwrap();
            assert!(known.iter().any(|series| series == name), "{sample}");
        }
    }
}

/// Name and type of a family in Prometheus text, which knows no info and names counters as their series.
fn as_text(metric: &Metric) -> (String, &str) {
    let series = || metric.series().concat();
    match metric.kind {
        MetricType::Counter => (series(), "counter"),
        MetricType::Info => (series(), "gauge"),
        _ => (metric.family(), metric.kind.as_str()),
    }
}

/// Each kind of series is there, and all of them have the labels of the table; buckets also their bound.
fn has_labels(exposition: &str, metric: &Metric) {
    for name in metric.series() {
        let of_it = |line: &&str| line.strip_prefix(&name).is_some_and(|rest| rest.starts_with(['{', ' ']));
        let samples: Vec<&str> = exposition.lines().filter(of_it).collect();
        assert!(!samples.is_empty(), "{name} has no series: {exposition}");
        for sample in samples {
            let labels = label_names(&sample[name.len()..]);
            let labels: Vec<&str> =
                labels.iter().map(String::as_str).filter(|label| *label != "le").collect();
            assert_eq!(labels, metric.labels, "{sample}");
        }
    }
}

/// Of what follows a name: `{a="x",b="y"} 1`.
fn label_names(rest: &str) -> Vec<String> {
    let (mut names, mut name, mut quoted, mut escaped) = (Vec::new(), String::new(), false, false);
    for c in rest.strip_prefix('{').unwrap_or_default().chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '=' if !quoted => names.push(std::mem::take(&mut name)),
            '}' if !quoted => break,
            ',' if !quoted => {}
            c if !quoted => name.push(c),
            _ => {}
        }
    }
    names
}

/// Both that `docs/metrics.md` names, and only where OpenMetrics was asked for.
#[tokio::test]
async fn exemplars_name_the_connection_of_a_loss_and_of_a_stall() {
    let served = everything().await;
    let open_metrics = get_with(served.address, "/metrics", OPEN_METRICS).await.body;
    // The first stall recovered after 5 s: the bucket that it fell into tells which connection it was.
    let bucket = format!(
        "h2watch_stall_duration_seconds_bucket{{le=\"5.0\",cause=\"{}\"}} 1 ",
        Cause::ALL[0].as_str()
    );
    let damage = "h2watch_streams_opened_while_stalled_total{comm=\"api\",container=\"\",destination=\"192.0.2.3\"} 32 ";
    for (series, exemplar) in
        [(bucket.as_str(), "# {connection_id=\"10\"} 5"), (damage, "# {connection_id=\"17\"} 4")]
    {
        let line = open_metrics.lines().find_map(|line| line.strip_prefix(series));
        let line = line.unwrap_or_else(|| panic!("no {series}: {open_metrics}"));
        assert!(line.starts_with(exemplar), "{series}: {line}");
    }
    let text = get(served.address, "/metrics").await.body;
    assert!(!text.contains("connection_id"), "{text}");
}
