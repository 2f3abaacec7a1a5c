//! `docs/metrics.md`, written from the table of metrics so that it cannot be wrong about names, types and labels.

use super::aggregate::{LabelLimits, STALL_BUCKETS};
use super::limit::{GIVEN_IDLE_NS, KEEP_IDLE_NS};
use super::{ResetResult, bound, exporter, metrics};
use crate::model::sample::{Transport, View};
use crate::verdict::Cause;
use std::fmt::Write as _;

const HEAD: &str = "\
# Metrics

`h2watch export` serves them on `/metrics`, as OpenMetrics 1.0 or as Prometheus text 0.0.4, whichever the scraper asks for.
This page is generated from the code; a test compares them. To renew it: `H2WATCH_BLESS=1 cargo test -p h2watch --test export`.

Series are aggregates. What belongs to one connection (id, port, pid, evidence) is on `/`, in `/connections` and, with
OpenMetrics, in the exemplars of `h2watch_streams_opened_while_stalled_total` and `h2watch_stall_duration_seconds`
(`connection_id`); Prometheus keeps exemplars with `--enable-feature=exemplar-storage`.

";

/// The whole page.
#[must_use]
pub fn markdown() -> String {
    let mut page = HEAD.to_owned();
    // Writing into a String cannot fail.
    let _ = labels(&mut page);
    page.push_str("## Metrics\n\n| name | type | labels | meaning |\n|---|---|---|---|\n");
    for metric in metrics::ALL {
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let name = match metric.kind {
            prometheus_client::metrics::MetricType::Histogram => metric.family(),
            _ => metric.series().concat(),
        };
        let kind = metric.kind.as_str();
        let _ = writeln!(page, "| `{name}` | {kind} | {} | {} |", labels.join(" "), metric.help);
    }
    page
}

fn labels(page: &mut String) -> std::fmt::Result {
    let limits = LabelLimits::default();
    let buckets: Vec<String> = STALL_BUCKETS.iter().map(ToString::to_string).collect();
    let minutes = KEEP_IDLE_NS / 60_000_000_000;
    let soon = GIVEN_IDLE_NS / 1_000_000_000;
    let (destinations, workloads, pairs) = (limits.destinations, limits.workloads, limits.pairs);
    let pair = metrics::ALL.iter().filter(|metric| metric.labels == metrics::GROUP).count();
    let most = bound::series_at_most(limits);
    write!(
        page,
        "## Labels

Every label has a closed or a limited set of values.

| label | values |
|---|---|
| `comm` | name of the process; with `container` at most {workloads} pairs |
| `container` | first 12 digits of the container id, empty outside of containers |
| `destination` | TLS server name where it was seen, else the address, never with a port; at most `--max-destinations` ({destinations}) |
| `transport` | {} |
| `view` | {} |
| `cause` | {} |
| `result` | {} |
| `reason` | of `h2watch_events_lost_total`: the kinds of loss; of `h2watch_processes`: at most 20 sentences |
| `label` | `destination` `workload` `pair` |

What finds no place under a limit is counted under `~other`, and in `h2watch_label_overflow_total`. A destination, a process or a
pair of both with a stalled connection takes the place of one without: what an alert is about has its name, until every place is
that of a stall. A place that was not used for {minutes} minutes ends with its series; a newcomer takes it after {soon} s already.

Of the pairs of a process and a destination at most {pairs} (ten for each destination allowed) have series of their own. A pair
has {pair} series, and one more for each cause that its connections had and for each way (`transport`, `view`) in which they are
seen. With every limit reached, and every cause and way in every pair, that is {most} series in all.

Buckets of `h2watch_stall_duration_seconds`: {}.

",
        words(Transport::ALL.map(Transport::as_str)),
        words(View::ALL.map(View::as_str)),
        words(Cause::ALL.map(Cause::as_str)),
        words(exporter::RESET_RESULTS.map(ResetResult::as_str)),
        buckets.join(", "),
    )
}

fn words<const N: usize>(values: [&str; N]) -> String {
    values.map(|value| format!("`{value}`")).join(" ")
}
