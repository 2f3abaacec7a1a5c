//! The exporter's state and its handle: fed by the run loop, read by the HTTP side.

use super::aggregate::{Aggregate, LabelLimits};
use super::format::{Format, prometheus_text};
use super::group::cause_index;
use super::health::Health;
use super::limit::OTHER;
use super::{encode, labels};
use crate::model::sample::{Library, Losses, Process};
use crate::model::snapshot::{Change, Snapshot};
use crate::reset::latency::BOUNDS_US;
use crate::verdict::Cause;
use bytes::Bytes;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What became of a decision to reset a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetResult {
    Ok,
    DryRun,
    Refused,
    Error,
}

pub(super) const RESET_RESULTS: [ResetResult; 4] =
    [ResetResult::Ok, ResetResult::DryRun, ResetResult::Refused, ResetResult::Error];

impl ResetResult {
    /// Label value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::DryRun => "dry_run",
            Self::Refused => "refused",
            Self::Error => "error",
        }
    }
}

/// Reasons are sentences: more of them than this share `~other`.
pub(super) const MAX_REASONS: usize = 20;

/// Paths and status codes are the server's own: a closed set.
type HttpRequests = BTreeMap<(&'static str, String), u64>;

/// Everything that a scrape shows.
#[derive(Debug)]
pub(super) struct State {
    pub(super) aggregate: Aggregate,
    pub(super) processes: BTreeMap<(&'static str, &'static str, String), u64>,
    pub(super) losses: Losses,
    pub(super) desyncs: u64,
    pub(super) degradations: u64,
    pub(super) health: Health,
    pub(super) resets: [[u64; RESET_RESULTS.len()]; Cause::ALL.len()],
    pub(super) reset_latency: Histogram,
    pub(super) last_sample_unix_ns: u64,
    pub(super) http_requests: HttpRequests,
    pub(super) http_evicted: u64,
    snapshot: Option<Arc<Snapshot>>,
    observed: Option<Instant>,
}

/// The exporter. Cheap to clone: every clone is the same one.
#[derive(Clone, Debug)]
pub struct Exporter {
    state: Arc<Mutex<State>>,
    registry: Arc<Registry>,
}

impl Exporter {
    #[must_use]
    pub fn new(limits: LabelLimits) -> Self {
        let state = Arc::new(Mutex::new(State {
            aggregate: Aggregate::new(limits),
            processes: BTreeMap::new(),
            losses: Losses::default(),
            desyncs: 0,
            degradations: 0,
            health: Health::default(),
            resets: Default::default(),
            reset_latency: Histogram::new(BOUNDS_US.into_iter().map(|us| us as f64 / 1e6)),
            last_sample_unix_ns: 0,
            http_requests: BTreeMap::new(),
            http_evicted: 0,
            snapshot: None,
            observed: None,
        }));
        Self { registry: Arc::new(encode::registry(Arc::clone(&state))), state }
    }

    /// Takes one snapshot and what changed since the one before. Called once per interval, by the run loop only.
    pub fn observe(&self, snapshot: Arc<Snapshot>, changes: &[Change]) {
        let mut state = self.lock();
        state.aggregate.observe(&snapshot, changes);
        state.processes = count_processes(&snapshot.processes);
        state.losses = snapshot.losses;
        state.desyncs = snapshot.totals.desyncs;
        state.degradations = snapshot.degradations.len() as u64;
        state.last_sample_unix_ns = u64::try_from(snapshot.unix_ns).unwrap_or(0);
        state.observed = Some(Instant::now());
        // The one before is dropped after the lock: it may hold 100,000 connections.
        let before = state.snapshot.replace(snapshot);
        drop(state);
        drop(before);
    }

    /// Replaces what is known of the kernel side.
    pub fn set_health(&self, health: Health) {
        self.lock().health = health;
    }

    /// Counts one decision of `--reset`.
    pub fn count_reset(&self, cause: Cause, result: ResetResult) {
        let column = RESET_RESULTS.iter().position(|r| *r == result).unwrap_or(0);
        self.lock().resets[cause_index(cause)][column] += 1;
    }

    /// How late a reset came.
    pub fn note_reset_latency(&self, latency: Duration) {
        self.lock().reset_latency.observe(latency.as_secs_f64());
    }

    /// The exposition.
    #[must_use]
    pub fn render(&self, format: Format) -> Bytes {
        let mut text = String::new();
        // Writing into a String cannot fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        match format {
            Format::OpenMetrics => text.into(),
            Format::PrometheusText => prometheus_text(&text).into(),
        }
    }

    /// The last snapshot.
    #[must_use]
    pub fn snapshot(&self) -> Option<Arc<Snapshot>> {
        self.lock().snapshot.clone()
    }

    /// How long ago the last snapshot came; `None` before the first.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        self.lock().observed.map(|at| at.elapsed())
    }

    /// As if nothing had been observed for `ago`.
    #[cfg(test)]
    pub(super) fn last_observed(&self, ago: Duration) {
        self.lock().observed = Instant::now().checked_sub(ago);
    }

    pub(super) fn count_request(&self, path: &'static str, code: &str) {
        *self.lock().http_requests.entry((path, code.to_owned())).or_default() += 1;
    }

    pub(super) fn count_eviction(&self) {
        self.lock().http_evicted += 1;
    }

    /// A panic elsewhere must not silence the exporter: the counters are still the best that is known.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn count_processes(processes: &[Process]) -> BTreeMap<(&'static str, &'static str, String), u64> {
    let mut counts = BTreeMap::new();
    for process in processes {
        let (view, library) = (process.view.as_str(), process.library.map_or("none", Library::as_str));
        let mut key = (view, library, labels::bounded(&process.reason, 128));
        if counts.len() >= MAX_REASONS && !counts.contains_key(&key) {
            OTHER.clone_into(&mut key.2);
        }
        *counts.entry(key).or_default() += 1;
    }
    counts
}
