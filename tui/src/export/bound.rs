//! How many series there can be, whatever the traffic does. For `docs/metrics.md`, and for whoever has to pay for them.

use super::aggregate::LabelLimits;
use super::exporter::MAX_REASONS;
use super::metrics::{self, GROUP, GROUP_CAUSE, GROUP_VIEW};
use super::{Exporter, Format};
use crate::model::sample::{Library, Transport, View};
use crate::verdict::Cause;

/// Kernel programs that can be loaded at the same time, those for TLS libraries included.
pub const MAX_PROGRAMS: usize = 32;

/// Pairs of a path and a status code: the router's own.
const ANSWERS: usize = 7;

/// Series of one (process, destination) pair.
fn of_a_pair() -> usize {
    let each = |labels: &[&str]| match labels {
        GROUP => 1,
        GROUP_CAUSE => Cause::ALL.len(),
        GROUP_VIEW => Transport::ALL.len() * View::ALL.len(),
        _ => 0,
    };
    metrics::ALL.iter().map(|metric| each(metric.labels)).sum()
}

/// Series that do not depend on pairs.
fn of_the_rest(limits: LabelLimits) -> usize {
    // Those with closed sets are there from the start.
    let first = Exporter::new(limits).render(Format::OpenMetrics);
    let closed = first.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"h2watch_")).count();
    // ~other for each view and library; a process may have none.
    let processes = MAX_REASONS + View::ALL.len() * (Library::ALL.len() + 1);
    // Attached, run time and runs of each; slots and used slots are told once the probe is loaded.
    closed + limits.workloads + processes + 3 * MAX_PROGRAMS + 2 + ANSWERS
}

/// The most series that one exporter can have.
#[must_use]
pub fn series_at_most(limits: LabelLimits) -> usize {
    // And the pair that takes up the overflow.
    (limits.pairs + 1) * of_a_pair() + of_the_rest(limits)
}
