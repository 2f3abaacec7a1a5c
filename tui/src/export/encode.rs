//! Writes the state as an OpenMetrics exposition, family by family in the order of `metrics`.

use super::aggregate::Aggregate;
use super::exporter::{RESET_RESULTS, State};
use super::group::{Group, GroupKey, cause_index};
use super::{metrics, seconds};
use crate::verdict::Cause;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use std::fmt::Error;
use std::sync::{Arc, Mutex, PoisonError};

/// A family of counters, and its value in a group.
type Counter = (&'static metrics::Metric, fn(&Group) -> u64);

type Labels<'a, const N: usize> = [(&'a str, &'a str); N];

/// A registry whose only collector is the state.
pub(super) fn registry(state: Arc<Mutex<State>>) -> Registry {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(StateCollector(state)));
    registry
}

#[derive(Debug)]
struct StateCollector(Arc<Mutex<State>>);

impl Collector for StateCollector {
    fn encode(&self, encoder: DescriptorEncoder) -> Result<(), Error> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut out = Out(encoder);
        groups(&mut out, &state.aggregate)?;
        causes(&mut out, &state)?;
        own_health(&mut out, &state)
    }
}

struct Out<'a>(DescriptorEncoder<'a>);

impl Out<'_> {
    fn family(&mut self, metric: &'static metrics::Metric) -> Result<Family<'_>, Error> {
        let unit = metric.unit.as_ref();
        Ok(Family(self.0.encode_descriptor(metric.name, metric.help, unit, metric.kind)?))
    }

    /// A family with one series and no labels.
    fn single(&mut self, metric: &'static metrics::Metric, value: &impl EncodeMetric) -> Result<(), Error> {
        value.encode(self.family(metric)?.0)
    }
}

struct Family<'a>(MetricEncoder<'a>);

impl Family<'_> {
    fn series<const N: usize>(&mut self, labels: &Labels<N>, value: &impl EncodeMetric) -> Result<(), Error> {
        value.encode(self.0.encode_family(labels)?)
    }
}

fn group_labels(key: &GroupKey) -> Labels<'_, 3> {
    [("comm", &key.workload.comm), ("container", &key.workload.container), ("destination", &key.destination)]
}

fn groups(out: &mut Out, aggregate: &Aggregate) -> Result<(), Error> {
    let mut family = out.family(&metrics::CONNECTIONS)?;
    for (key, group) in aggregate.groups() {
        let [comm, container, destination] = group_labels(key);
        for ((transport, view), count) in &group.connections {
            let how = [("transport", transport.as_str()), ("view", view.as_str())];
            let labels = [comm, container, destination, how[0], how[1]];
            family.series(&labels, &ConstGauge::new(*count))?;
        }
    }
    let mut family = out.family(&metrics::STALLED)?;
    for (key, group) in aggregate.groups() {
        let [comm, container, destination] = group_labels(key);
        for cause in Cause::ALL.into_iter().filter(|c| group.seen_causes[cause_index(*c)]) {
            let labels = [comm, container, destination, ("cause", cause.as_str())];
            family.series(&labels, &ConstGauge::new(group.stalled[cause_index(cause)]))?;
        }
    }
    per_group(out, &metrics::OLDEST_UNANSWERED, aggregate, |g| {
        ConstGauge::new(seconds(g.oldest_unanswered_ns))
    })?;
    per_group(out, &metrics::UNANSWERED, aggregate, |g| ConstGauge::new(g.unanswered))?;
    per_group(out, &metrics::IN_FLIGHT, aggregate, |g| ConstGauge::new(g.in_flight))?;
    per_group(out, &metrics::APPROXIMATE, aggregate, |g| ConstGauge::new(g.approximate))?;
    per_group(out, &metrics::DAMAGE, aggregate, |g| g.damage.clone())?;
    let counters: [Counter; 7] = [
        (&metrics::OPENED, |g| g.opened),
        (&metrics::STREAMS, |g| g.streams),
        (&metrics::ABANDONED, |g| g.abandoned),
        (&metrics::GOAWAY, |g| g.goaways),
        (&metrics::AFTER_GOAWAY, |g| g.after_goaway),
        (&metrics::SENT, |g| g.sent_bytes),
        (&metrics::RECEIVED, |g| g.received_bytes),
    ];
    for (metric, value) in counters {
        per_group(out, metric, aggregate, |g| ConstCounter::new(value(g)))?;
    }
    Ok(())
}

fn per_group<M: EncodeMetric>(
    out: &mut Out,
    metric: &'static metrics::Metric,
    aggregate: &Aggregate,
    value: impl Fn(&Group) -> M,
) -> Result<(), Error> {
    let mut family = out.family(metric)?;
    for (key, group) in aggregate.groups() {
        family.series(&group_labels(key), &value(group))?;
    }
    Ok(())
}

fn causes(out: &mut Out, state: &State) -> Result<(), Error> {
    let mut family = out.family(&metrics::STALLS)?;
    for cause in Cause::ALL {
        let count = ConstCounter::new(state.aggregate.stalls[cause_index(cause)]);
        family.series(&[("cause", cause.as_str())], &count)?;
    }
    let mut family = out.family(&metrics::STALL_DURATION)?;
    for cause in Cause::ALL {
        family.series(&[("cause", cause.as_str())], &state.aggregate.stall_durations[cause_index(cause)])?;
    }
    let mut family = out.family(&metrics::RESETS)?;
    for (index, cause) in Cause::ALL.into_iter().enumerate() {
        for (result, count) in RESET_RESULTS.iter().zip(state.resets[index]) {
            let labels = [("cause", cause.as_str()), ("result", result.as_str())];
            family.series(&labels, &ConstCounter::new(count))?;
        }
    }
    out.single(&metrics::RESET_LATENCY, &state.reset_latency)?;
    let mut family = out.family(&metrics::WORKLOAD)?;
    for (workload, (pod_uid, unit)) in &state.aggregate.identities {
        let info = [
            ("comm", workload.comm.as_str()),
            ("container", &workload.container),
            ("pod_uid", pod_uid),
            ("unit", unit),
        ];
        family.0.encode_info(&info)?;
    }
    Ok(())
}

fn own_health(out: &mut Out, state: &State) -> Result<(), Error> {
    processes(out, state)?;
    losses(out, state)?;
    kernel_side(out, state)?;
    let mut family = out.family(&metrics::LABEL_OVERFLOW)?;
    let aggregate = &state.aggregate;
    let overflows = [
        ("destination", aggregate.destinations.overflow),
        ("workload", aggregate.workloads.overflow),
        ("pair", aggregate.pairs.overflow),
    ];
    for (label, count) in overflows {
        family.series(&[("label", label)], &ConstCounter::new(count))?;
    }
    out.single(&metrics::LAST_SAMPLE, &ConstGauge::new(seconds(state.last_sample_unix_ns)))?;
    let build = [("version", env!("CARGO_PKG_VERSION")), ("arch", std::env::consts::ARCH)];
    out.family(&metrics::BUILD)?.0.encode_info(&build)?;
    let mut family = out.family(&metrics::HTTP_REQUESTS)?;
    for ((path, code), count) in &state.http_requests {
        let labels = [("path", *path), ("code", code.as_str())];
        family.series(&labels, &ConstCounter::new(*count))?;
    }
    out.single(&metrics::HTTP_EVICTED, &ConstCounter::new(state.http_evicted))
}

fn processes(out: &mut Out, state: &State) -> Result<(), Error> {
    let mut family = out.family(&metrics::PROCESSES)?;
    for ((view, library, reason), count) in &state.processes {
        let labels = [("view", *view), ("library", *library), ("reason", reason.as_str())];
        family.series(&labels, &ConstGauge::new(*count))?;
    }
    Ok(())
}

fn losses(out: &mut Out, state: &State) -> Result<(), Error> {
    // Destructured without `..`: a new loss must be shown here or this does not compile.
    let crate::model::sample::Losses {
        connections_full,
        ring_full,
        frame_budget,
        unreadable_segments,
        unassociated,
        tls_objects_full,
        unreadable_memory,
        contended_segments,
    } = state.losses;
    let mut family = out.family(&metrics::EVENTS_LOST)?;
    for (reason, count) in [
        ("connections_full", connections_full),
        ("ring_full", ring_full),
        ("frame_budget", frame_budget),
        ("unreadable_segments", unreadable_segments),
        ("tls_objects_full", tls_objects_full),
        ("unreadable_memory", unreadable_memory),
        ("contended_segments", contended_segments),
    ] {
        family.series(&[("reason", reason)], &ConstCounter::new(count))?;
    }
    out.single(&metrics::ASSOCIATION_FAILURES, &ConstCounter::new(unassociated))?;
    out.single(&metrics::DESYNCS, &ConstCounter::new(state.desyncs))
}

fn kernel_side(out: &mut Out, state: &State) -> Result<(), Error> {
    let health = &state.health;
    let mut family = out.family(&metrics::PROBE_ATTACHED)?;
    for (probe, attached) in &health.probes {
        family.series(&[("probe", probe)], &ConstGauge::new(u64::from(*attached)))?;
    }
    let mut family = out.family(&metrics::BPF_RUN_TIME)?;
    for program in &health.programs {
        family.series(&[("program", &program.name)], &ConstCounter::new(seconds(program.run_time_ns)))?;
    }
    let mut family = out.family(&metrics::BPF_RUNS)?;
    for program in &health.programs {
        family.series(&[("program", &program.name)], &ConstCounter::new(program.runs))?;
    }
    // Not told yet: 0 of 0 would read as full.
    if health.slots > 0 {
        out.single(&metrics::SLOTS, &ConstGauge::new(health.slots))?;
        out.single(&metrics::SLOTS_USED, &ConstGauge::new(health.slots_used))?;
    }
    out.single(&metrics::DEGRADATIONS, &ConstGauge::new(state.degradations))
}
