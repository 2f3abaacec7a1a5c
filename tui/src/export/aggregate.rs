//! From snapshots to series: which group each connection belongs to, what it added since the last snapshot, and the counters
//! that outlive connections. Bounded: groups by `limit`, per-connection state by the connections of the snapshot.

use super::group::{Counted, ExemplarLabels, Group, GroupKey, Workload, cause_index, exemplar, wall_clock};
use super::labels;
use super::limit::{Admission, KEEP_IDLE_NS, Limit, OTHER};
use crate::model::sample::{Cookie, Nanos};
use crate::model::snapshot::{Change, Connection, Snapshot};
use crate::verdict::{Cause, State};
use prometheus_client::metrics::exemplar::HistogramWithExemplars;
use std::collections::{BTreeMap, HashMap};
use std::time::SystemTime;

/// How many values the open-ended labels may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LabelLimits {
    pub destinations: usize,
    pub workloads: usize,
    /// (workload, destination) pairs; bounds the number of series, see `docs/metrics.md`.
    pub pairs: usize,
}

impl LabelLimits {
    /// Limits for `--max-destinations`.
    #[must_use]
    pub fn for_destinations(destinations: usize) -> Self {
        Self { destinations, workloads: 64, pairs: destinations.saturating_mul(10).max(64) }
    }
}

impl Default for LabelLimits {
    fn default() -> Self {
        Self::for_destinations(50)
    }
}

/// Upper bounds of the stall histogram, in seconds: from a missed beat to the 15 to 17 minutes after which Linux gives up
/// (tcp_retries2 = 15).
pub(super) const STALL_BUCKETS: [f64; 11] = [0.1, 0.5, 1.0, 3.0, 5.0, 10.0, 30.0, 60.0, 180.0, 600.0, 1200.0];

#[derive(Debug)]
pub(super) struct Aggregate {
    groups: HashMap<GroupId, Group>,
    /// In the order of the exposition. Connections remember the number: comparing labels for each would be slow.
    ids: BTreeMap<GroupKey, GroupId>,
    next_id: GroupId,
    seen: HashMap<Cookie, Seen>,
    pub(super) workloads: Limit<Workload>,
    pub(super) destinations: Limit<String>,
    pub(super) pairs: Limit<GroupKey>,
    /// Pod uid and unit of the workloads that have a place.
    pub(super) identities: BTreeMap<Workload, (String, String)>,
    pub(super) stalls: [u64; Cause::ALL.len()],
    pub(super) stall_durations: Vec<HistogramWithExemplars<ExemplarLabels>>,
    round: u64,
}

/// Never given twice: a number whose group is gone finds nothing.
type GroupId = u64;

/// What is remembered of one connection.
#[derive(Debug, Default)]
struct Seen {
    group: GroupId,
    counted: Counted,
    /// The server name was known when the key was made.
    named: bool,
    cause: Option<Cause>,
    overflowed: Overflowed,
    round: u64,
}

/// The limits that have put a connection under ~other: each counts a connection once, whether it found no place as a newcomer or
/// lost the one that it had.
#[derive(Clone, Copy, Debug, Default)]
struct Overflowed {
    workload: bool,
    destination: bool,
    pair: bool,
}

/// Counts, unless that was done already.
fn count_once(done: &mut bool, overflow: &mut u64) {
    *overflow += u64::from(!*done);
    *done = true;
}

impl Aggregate {
    pub(super) fn new(limits: LabelLimits) -> Self {
        let durations = Cause::ALL.map(|_| HistogramWithExemplars::new(STALL_BUCKETS.into_iter()));
        Self {
            groups: HashMap::new(),
            ids: BTreeMap::new(),
            next_id: 0,
            seen: HashMap::new(),
            workloads: Limit::new(limits.workloads),
            destinations: Limit::new(limits.destinations),
            pairs: Limit::new(limits.pairs),
            identities: BTreeMap::new(),
            stalls: [0; Cause::ALL.len()],
            stall_durations: durations.into(),
            round: 0,
        }
    }

    pub(super) fn observe(&mut self, snapshot: &Snapshot, changes: &[Change]) {
        let time = wall_clock(snapshot.unix_ns);
        self.round += 1;
        self.begin();
        // Those with a place keep it before newcomers ask for one.
        self.keep_places(snapshot);
        for connection in &snapshot.connections {
            let id = self.place(connection, snapshot.now_ns);
            if let Some(group) = self.add(connection, id, snapshot.now_ns, time) {
                group.gauge(connection, snapshot.now_ns);
            }
        }
        for change in changes {
            self.change(change, snapshot.now_ns, time);
        }
        let round = self.round;
        self.seen.retain(|_, seen| seen.round == round);
        self.expire(snapshot.now_ns);
    }

    fn begin(&mut self) {
        self.groups.values_mut().for_each(Group::begin);
        self.workloads.begin();
        self.destinations.begin();
        self.pairs.begin();
    }

    fn keep_places(&mut self, snapshot: &Snapshot) {
        for connection in &snapshot.connections {
            let seen = self.seen.get(&connection.reading.id);
            if let Some(group) = seen.and_then(|seen| self.groups.get_mut(&seen.group)) {
                group.kept.open += 1;
                group.kept.stalled += u64::from(connection.verdict.state == State::Stalled);
            }
        }
        for (key, id) in &self.ids {
            let Some(group) = self.groups.get_mut(id) else { continue };
            let kept = std::mem::take(&mut group.kept);
            self.workloads.count(&key.workload, kept, snapshot.now_ns);
            self.destinations.count(&key.destination, kept, snapshot.now_ns);
            self.pairs.count(key, kept, snapshot.now_ns);
        }
    }

    /// The group of a connection: the one it had, unless something about it changed.
    fn place(&mut self, connection: &Connection, now_ns: Nanos) -> GroupId {
        let reading = &connection.reading;
        let stalled = connection.verdict.state == State::Stalled;
        let seen = self.seen.get(&reading.id);
        if let Some(seen) = seen
            && let Some(group) = self.groups.get(&seen.group)
        {
            let named = labels::server_name(reading).is_some();
            // A stalled connection must not hide in ~other: it asks again.
            if seen.named == named && !(stalled && group.other) {
                return seen.group;
            }
        }
        let mut overflowed = seen.map(|seen| seen.overflowed).unwrap_or_default();
        let key = self.admit(labels::key(reading), stalled, &mut overflowed, now_ns);
        self.seen.entry(reading.id).or_default().overflowed = overflowed;
        self.identify(&key.workload, connection);
        self.group(key)
    }

    /// The labels that a connection gets under the limits. `urgent`: it is stalled.
    fn admit(
        &mut self,
        mut key: GroupKey,
        urgent: bool,
        overflowed: &mut Overflowed,
        now_ns: Nanos,
    ) -> GroupKey {
        match self.workloads.admit(&key.workload, urgent, now_ns) {
            Admission::Placed => {}
            Admission::Replaced(old) => {
                self.identities.remove(&old);
                self.remove_groups(|key, _| key.workload == old);
            }
            Admission::Full => {
                count_once(&mut overflowed.workload, &mut self.workloads.overflow);
                key.workload = Workload::other();
            }
        }
        match self.destinations.admit(&key.destination, urgent, now_ns) {
            Admission::Placed => {}
            Admission::Replaced(old) => self.remove_groups(|key, _| key.destination == old),
            Admission::Full => {
                count_once(&mut overflowed.destination, &mut self.destinations.overflow);
                OTHER.clone_into(&mut key.destination);
            }
        }
        let rest = GroupKey { workload: Workload::other(), destination: OTHER.to_owned() };
        // What takes up the overflow has a place in any case.
        if key == rest {
            return key;
        }
        match self.pairs.admit(&key, urgent, now_ns) {
            Admission::Placed => key,
            Admission::Replaced(old) => {
                self.remove_groups(|key, _| *key == old);
                key
            }
            Admission::Full => {
                count_once(&mut overflowed.pair, &mut self.pairs.overflow);
                rest
            }
        }
    }

    /// The number of a group, which is made if need be.
    fn group(&mut self, key: GroupKey) -> GroupId {
        if let Some(id) = self.ids.get(&key) {
            return *id;
        }
        self.next_id += 1;
        let other = key.destination == OTHER || key.workload.comm == OTHER;
        self.groups.insert(self.next_id, Group { other, ..Group::default() });
        self.ids.insert(key, self.next_id);
        self.next_id
    }

    fn remove_groups(&mut self, gone: impl Fn(&GroupKey, &Group) -> bool) {
        let (groups, pairs) = (&mut self.groups, &mut self.pairs);
        self.ids.retain(|key, id| {
            let keep = groups.get(id).is_some_and(|group| !gone(key, group));
            if !keep {
                groups.remove(id);
                pairs.remove(key);
            }
            keep
        });
    }

    /// Every group with its labels, in a stable order.
    pub(super) fn groups(&self) -> impl Iterator<Item = (&GroupKey, &Group)> {
        self.ids.iter().filter_map(|(key, id)| Some((key, self.groups.get(id)?)))
    }

    fn identify(&mut self, workload: &Workload, connection: &Connection) {
        let owner = &connection.reading.owner;
        if workload.comm != OTHER && (owner.pod_uid.is_some() || owner.unit.is_some()) {
            let word = |w: &Option<String>| labels::bounded(w.as_deref().unwrap_or_default(), 128);
            self.identities
                .entry(workload.clone())
                .or_insert_with(|| (word(&owner.pod_uid), word(&owner.unit)));
        }
    }

    /// Counts what the connection added, in its present group, and remembers it for the next snapshot.
    fn add(
        &mut self,
        connection: &Connection,
        group: GroupId,
        now_ns: Nanos,
        time: Option<SystemTime>,
    ) -> Option<&mut Group> {
        let seen = self.seen.entry(connection.reading.id).or_default();
        let named = labels::server_name(&connection.reading).is_some();
        (seen.group, seen.named, seen.round) = (group, named, self.round);
        if connection.verdict.state == State::Stalled {
            seen.cause = connection.verdict.cause;
        }
        let group = self.groups.get_mut(&group)?;
        group.used_ns = now_ns;
        group.add(connection, &mut seen.counted, time);
        Some(group)
    }

    fn change(&mut self, change: &Change, now_ns: Nanos, time: Option<SystemTime>) {
        match change {
            Change::Stalled(connection) => {
                self.stalls[cause_index(connection.verdict.cause.unwrap_or(Cause::Unknown))] += 1;
            }
            Change::Recovered { connection, stalled_ns } => self.stall_ended(connection, *stalled_ns, time),
            Change::Closed(connection) => {
                let id = self.place(connection, now_ns);
                self.add(connection, id, now_ns, time);
                if let Some(since_ns) = connection.stalled_since_ns {
                    let end_ns = connection.reading.closed_ns.unwrap_or(now_ns);
                    self.stall_ended(connection, end_ns.saturating_sub(since_ns), time);
                }
                self.seen.remove(&connection.reading.id);
            }
            // The others are in the snapshot as well, or are for other outputs.
            _ => {}
        }
    }

    fn stall_ended(&self, connection: &Connection, stalled_ns: Nanos, time: Option<SystemTime>) {
        let id = connection.reading.id;
        // After a recovery the verdict names no cause any more: it is the last one that was seen.
        let cause = connection.verdict.cause.or_else(|| self.seen.get(&id)?.cause).unwrap_or(Cause::Unknown);
        let seconds = super::seconds(stalled_ns);
        self.stall_durations[cause_index(cause)].observe(seconds, Some(exemplar(id)), time);
    }

    fn expire(&mut self, now_ns: Nanos) {
        self.workloads.expire(now_ns);
        self.destinations.expire(now_ns);
        self.remove_groups(|_, group| group.used_ns + KEEP_IDLE_NS < now_ns);
        let workloads = &self.workloads;
        self.identities.retain(|workload, _| workloads.contains(workload));
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::model::staged::Staged;

    pub(in super::super) fn short_lived(id: u64) -> Connection {
        Staged::h2c(id, 1).connection(Default::default())
    }

    #[test]
    fn churn_leaves_nothing_behind() {
        let mut aggregate = Aggregate::new(LabelLimits::default());
        for round in 0..100_u64 {
            // Ten connections are open; ten others were opened and closed since the last look, and ten vanished unseen.
            let ids = |kind: u64| (0..10).map(move |n| round * 100 + kind * 10 + n);
            let connections = ids(0).map(short_lived).collect();
            let changes: Vec<Change> = ids(1).map(|id| Change::Closed(Box::new(short_lived(id)))).collect();
            let now_ns = (round + 1) * 1_000_000_000;
            aggregate.observe(&Snapshot { now_ns, connections, ..Snapshot::default() }, &changes);
            assert_eq!(aggregate.seen.len(), 10, "only the open ones are remembered");
        }
        let opened: Vec<u64> = aggregate.groups().map(|(_, group)| group.opened).collect();
        assert_eq!(opened, [2000], "one group, and everything is counted");
        assert_eq!(aggregate.groups.len(), aggregate.ids.len());
    }
}
