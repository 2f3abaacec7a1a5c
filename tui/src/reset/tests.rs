//! Decisions over made-up snapshots and a world that does what the test says. SOCK_DESTROY itself: `diag`.

use super::*;
use crate::model::sample::{Owner, Reading, Streams, Transport, View};
use crate::model::staged::Staged;
use crate::verdict::{Severity, Verdict};
use policy::Budget;

mod latency;

const MS: Nanos = 1_000_000;
const START: Nanos = 1_000_000 * MS;

/// Connection `id` of process `pid`: opened at the start, its first unanswered stream at 1 s, stalled since 4 s.
pub(crate) fn stalled(id: Cookie, pid: u32, cause: Cause) -> Connection {
    let mut staged = Staged::h2c(id, 0);
    staged.reading = Reading {
        owner: Owner { pid, comm: "client".to_owned(), ..Owner::default() },
        local: format!("10.0.0.1:{}", 1000 + id).parse().unwrap(),
        remote: "10.0.0.2:443".parse().unwrap(),
        opened_ns: START,
        transport: Transport::Tls,
        streams: Streams { opened: 10, in_flight: 3, unanswered: 3, ..Streams::default() },
        first_unanswered_ns: Some(START + 1_000 * MS),
        first_without_answer_ns: Some(START + 1_000 * MS),
        last_opened_ns: Some(START + 2_000 * MS),
        last_heard_ns: Some(START + 900 * MS),
        last_answer_ns: Some(START + 900 * MS),
        ..staged.reading
    };
    let verdict = Verdict {
        state: State::Stalled,
        cause: Some(cause),
        severity: Severity::Critical,
        evidence: "3 streams in 3.0 s without a frame".to_owned(),
        ..Verdict::default()
    };
    Connection { stalled_since_ns: Some(START + 4_000 * MS), stalls: 1, ..staged.connection(verdict) }
}

pub(crate) fn at(ms: u64, connections: &[Connection]) -> Snapshot {
    Snapshot { now_ns: START + ms * MS, connections: connections.to_vec(), ..Snapshot::default() }
}

fn healthy(mut connection: Connection, heard_ms: u64) -> Connection {
    connection.verdict = Verdict { state: State::Healthy, ..Verdict::default() };
    connection.stalled_since_ns = None;
    connection.reading.last_heard_ns = Some(START + heard_ms * MS);
    connection.reading.last_answer_ns = connection.reading.last_heard_ns;
    connection
}

/// Answers with what the test put in; counts what was destroyed.
pub(crate) struct Fake {
    now_ns: Nanos,
    fresh: Vec<Connection>,
    lost: Duration,
    pub(crate) answer: fn() -> anyhow::Result<diag::Outcome>,
    /// How long the kernel takes to answer.
    call_ns: Nanos,
    destroyed: Vec<Cookie>,
}

impl Fake {
    pub(crate) fn of(snapshot: &Snapshot) -> Self {
        Self {
            now_ns: snapshot.now_ns,
            fresh: snapshot.connections.clone(),
            lost: Duration::ZERO,
            answer: || Ok(diag::Outcome::Destroyed),
            call_ns: 0,
            destroyed: Vec::new(),
        }
    }
}

impl World for Fake {
    fn now_ns(&self) -> Nanos {
        self.now_ns
    }
    fn look_again(&mut self, id: Cookie) -> Option<Connection> {
        self.fresh.iter().find(|connection| connection.reading.id == id).cloned()
    }
    fn lost(&self, _: &Connection) -> Duration {
        self.lost
    }
    fn destroy(&mut self, connection: &Connection) -> anyhow::Result<diag::Outcome> {
        self.destroyed.push(connection.reading.id);
        self.now_ns += self.call_ns;
        (self.answer)()
    }
}

fn auto() -> Policy {
    Policy { mode: Mode::Auto, ..Policy::default() }
}

/// One tick in a world that looks like the snapshot; what was destroyed, and the words of the reports.
fn tick(resetter: &mut Resetter, snapshot: &Snapshot) -> (Vec<Cookie>, Vec<&'static str>) {
    let mut world = Fake::of(snapshot);
    let reports = resetter.tick(snapshot, Duration::ZERO, &mut world);
    (world.destroyed, words(&reports))
}

fn none() -> Vec<Cookie> {
    Vec::new()
}

fn silence() -> Vec<&'static str> {
    Vec::new()
}

fn words(reports: &[Report]) -> Vec<&'static str> {
    let word = |report: &Report| match &report.action {
        Action::Refused(refusal) => refusal.as_str(),
        other => other.as_str(),
    };
    reports.iter().map(word).collect()
}

/// A tick of a fresh resetter at 6 s.
fn once(policy: Policy, connections: &[Connection]) -> (Vec<Cookie>, Vec<&'static str>) {
    tick(&mut Resetter::new(policy), &at(6_000, connections))
}

#[test]
fn modes_do_what_they_say() {
    let dead = [stalled(1, 7, Cause::SilentPeer)];
    let mode = |mode| once(Policy { mode, ..Policy::default() }, &dead);
    assert_eq!(mode(Mode::Off), (none(), silence()));
    assert_eq!(mode(Mode::Confirm), (none(), silence()));
    assert_eq!(mode(Mode::DryRun), (none(), vec!["dry_run"]));
    assert_eq!(mode(Mode::Auto), (vec![1], vec!["done"]));
    // The next snapshot may still show it.
    for mode in [Mode::DryRun, Mode::Auto] {
        let mut resetter = Resetter::new(Policy { mode, ..Policy::default() });
        assert_eq!(tick(&mut resetter, &at(6_000, &dead)).1.len(), 1);
        assert_eq!(tick(&mut resetter, &at(6_001, &dead)), (none(), silence()));
    }
}

#[test]
fn causes_outside_the_list_are_refused_once_with_the_reason() {
    let mut resetter = Resetter::new(auto());
    let hung = [stalled(1, 7, Cause::HungServer)];
    assert_eq!(tick(&mut resetter, &at(6_000, &hung)), (none(), vec!["cause_not_allowed"]));
    assert_eq!(tick(&mut resetter, &at(6_001, &hung)), (none(), silence()), "the same reason is no news");
    let sharper = [stalled(1, 7, Cause::ReaderBlocked)];
    assert_eq!(tick(&mut resetter, &at(6_002, &sharper)), (none(), vec!["cause_never_reset"]));
    let allowed = Policy { causes: policy::causes("hung_server").unwrap(), ..auto() };
    assert_eq!(once(allowed, &hung).0, vec![1]);
}

#[test]
fn reader_blocked_is_never_reset_even_when_the_list_has_it() {
    let policy = Policy { causes: Cause::ALL.into_iter().collect(), ..auto() };
    assert_eq!(once(policy.clone(), &[stalled(1, 7, Cause::ReaderBlocked)]).0, none());
    assert_eq!(once(policy, &[stalled(1, 7, Cause::Unknown)]).0, vec![1], "unknown is allowed by name");
    assert_eq!(once(auto(), &[stalled(1, 7, Cause::Unknown)]).1, vec!["cause_not_allowed"]);
}

#[test]
fn a_young_verdict_waits_and_says_when_to_look_again() {
    let mut resetter = Resetter::new(auto());
    let dead = [stalled(1, 7, Cause::BlackHole)];
    assert_eq!(tick(&mut resetter, &at(4_200, &dead)), (none(), vec!["too_young"]));
    assert_eq!(resetter.next_look_ns(), Some(START + 5_000 * MS));
    assert_eq!(tick(&mut resetter, &at(5_000, &dead)).0, vec![1]);
}

#[test]
fn an_answer_after_the_verdict_protects() {
    let mut late = stalled(1, 7, Cause::SilentPeer);
    late.reading.last_heard_ns = Some(START + 4_500 * MS);
    assert_eq!(once(auto(), &[late]).1, vec!["answered"]);
    // PING ACKs are what a hung server sends: only a frame of a stream counts there.
    let mut hung = stalled(1, 7, Cause::HungServer);
    hung.reading.last_heard_ns = Some(START + 4_500 * MS);
    let policy = Policy { causes: policy::causes("hung_server").unwrap(), ..auto() };
    assert_eq!(once(policy.clone(), &[hung.clone()]).0, vec![1]);
    hung.reading.last_answer_ns = Some(START + 4_500 * MS);
    assert_eq!(once(policy, &[hung]).1, vec!["answered"]);
}

#[test]
fn an_answer_while_the_reset_waits_for_its_age_is_told_once() {
    let mut resetter = Resetter::new(auto());
    let dead = stalled(1, 7, Cause::BlackHole);
    assert_eq!(tick(&mut resetter, &at(4_200, std::slice::from_ref(&dead))).1, vec!["too_young"]);
    let alive = [healthy(dead.clone(), 4_300)];
    assert_eq!(tick(&mut resetter, &at(4_310, &alive)), (none(), vec!["answered"]));
    assert_eq!(tick(&mut resetter, &at(4_320, &alive)), (none(), silence()));
    // What was not going to be reset anyhow is no news.
    let mut resetter = Resetter::new(auto());
    tick(&mut resetter, &at(6_000, &[stalled(1, 7, Cause::HungServer)]));
    assert_eq!(tick(&mut resetter, &at(6_010, &alive)), (none(), silence()));
}

#[test]
fn what_changed_before_the_fresh_look_is_not_reset() {
    let dead = stalled(1, 7, Cause::SilentPeer);
    let with = |change: fn(&mut Connection)| {
        let snapshot = at(6_000, std::slice::from_ref(&dead));
        let mut world = Fake::of(&snapshot);
        change(&mut world.fresh[0]);
        let reports = Resetter::new(auto()).tick(&snapshot, Duration::ZERO, &mut world);
        assert!(world.destroyed.is_empty());
        words(&reports)
    };
    assert_eq!(with(|fresh| *fresh = healthy(fresh.clone(), 6_000)), vec!["not_stalled"]);
    assert_eq!(with(|fresh| fresh.verdict.state = State::Waiting), vec!["not_stalled"]);
    assert_eq!(with(|fresh| fresh.reading.last_heard_ns = Some(START + 950 * MS)), vec!["answered"]);
    assert_eq!(with(|fresh| fresh.reading.closed_ns = Some(START)), vec!["gone"]);
    assert_eq!(with(|fresh| fresh.reading.id = 99), vec!["gone"]);
    assert_eq!(with(|fresh| fresh.reading.local.set_port(9)), vec!["reused"]);
    assert_eq!(with(|fresh| fresh.verdict.cause = Some(Cause::FlowControl)), vec!["cause_not_allowed"]);
}

#[test]
fn what_the_kernel_says_is_reported_and_not_tried_again() {
    let dead = [stalled(1, 7, Cause::SilentPeer)];
    let with = |answer: fn() -> anyhow::Result<diag::Outcome>| {
        let mut resetter = Resetter::new(auto());
        let mut world = Fake { answer, ..Fake::of(&at(6_000, &dead)) };
        let mut reports = resetter.tick(&at(6_000, &dead), Duration::ZERO, &mut world);
        reports.extend(resetter.tick(&at(6_001, &dead), Duration::ZERO, &mut world));
        (words(&reports), reports[0].reason())
    };
    assert_eq!(with(|| Ok(diag::Outcome::Gone)).0, vec!["gone"]);
    assert_eq!(with(|| Ok(diag::Outcome::Reused { found: 2 })).0, vec!["reused"]);
    let (words, reason) = with(|| anyhow::bail!("needs CAP_NET_ADMIN"));
    assert_eq!((words, reason.as_str()), (vec!["failed", "already_tried"], "needs CAP_NET_ADMIN"));
}

#[test]
fn budgets_hold_for_each_process_and_for_all() {
    let dead: Vec<Connection> = (1..=9).map(|id| stalled(id, 1 + id as u32 % 3, Cause::BlackHole)).collect();
    let policy = Policy { budget: Budget::per_minute(2), budget_total: Budget::per_minute(5), ..auto() };
    let mut resetter = Resetter::new(policy);
    let (destroyed, words) = tick(&mut resetter, &at(6_000, &dead));
    assert_eq!(destroyed, vec![1, 2, 3, 4, 5]);
    assert_eq!(words[5..], ["budget_total", "budget_of_process", "budget_of_process", "budget_total"]);
    let rest = &dead[5..];
    assert_eq!(tick(&mut resetter, &at(65_999, rest)).0, none());
    assert_eq!(tick(&mut resetter, &at(66_000, rest)).0, vec![6, 7, 8, 9]);
}

#[test]
fn the_longest_stall_comes_first_when_the_budget_is_short() {
    let mut dead = [stalled(1, 7, Cause::BlackHole), stalled(2, 7, Cause::BlackHole)];
    dead[1].stalled_since_ns = Some(START + 3_000 * MS);
    let policy = Policy { budget: Budget::per_minute(1), ..auto() };
    assert_eq!(once(policy, &dead).0, vec![2]);
}

#[test]
fn a_replacement_cools_down_and_an_older_neighbour_does_not() {
    let mut resetter = Resetter::new(auto());
    assert_eq!(tick(&mut resetter, &at(6_000, &[stalled(1, 7, Cause::SilentPeer)])).0, vec![1]);
    let neighbour = stalled(2, 7, Cause::SilentPeer);
    let mut replacement = stalled(3, 8, Cause::SilentPeer);
    replacement.reading.opened_ns = START + 6_003 * MS;
    replacement.stalled_since_ns = Some(START + 9_003 * MS);
    let both = [neighbour, replacement.clone()];
    assert_eq!(tick(&mut resetter, &at(12_000, &both)), (vec![2], vec!["done", "cooling_down"]));
    assert_eq!(tick(&mut resetter, &at(15_999, &[replacement.clone()])).0, none());
    assert_eq!(tick(&mut resetter, &at(16_000, &[replacement])).0, vec![3]);
}

#[test]
fn a_machine_that_stood_still_catches_up_first() {
    let dead = [stalled(1, 7, Cause::SilentPeer)];
    let mut resetter = Resetter::new(auto());
    let snapshot = at(6_000, &dead);
    let mut world = Fake::of(&snapshot);
    let reports = resetter.tick(&snapshot, Duration::from_millis(700), &mut world);
    assert_eq!((words(&reports), world.destroyed.len()), (vec!["catching_up"], 0));
    assert_eq!(resetter.next_look_ns(), Some(START + 6_700 * MS));
    assert_eq!(tick(&mut resetter, &at(6_699, &dead)).0, none());
    assert_eq!(tick(&mut resetter, &at(6_700, &dead)).0, vec![1]);
}

#[test]
fn silence_that_this_machine_made_is_waited_for_again_and_not_for_ever() {
    let after = Duration::from_secs(3);
    let policy = Policy { stall_after: Some(after), min_age: Duration::ZERO, ..auto() };
    let mut resetter = Resetter::new(policy);
    // Its first unanswered stream is from 1 s: due at 4 s, and two seconds of that do not count.
    let dead = [stalled(1, 7, Cause::SilentPeer)];
    let mut with = |ms, lost| {
        let snapshot = at(ms, &dead);
        let mut world = Fake { lost, ..Fake::of(&snapshot) };
        words(&resetter.tick(&snapshot, Duration::ZERO, &mut world))
    };
    assert_eq!(with(4_001, Duration::from_secs(2)), vec!["catching_up"]);
    assert_eq!(with(5_999, Duration::from_secs(2)), silence());
    assert_eq!(with(6_999, Duration::from_secs(60)), silence());
    assert_eq!(with(7_000, Duration::from_secs(60)), vec!["done"]);
}

#[test]
fn a_person_is_bound_by_the_fresh_look_only() {
    let shown = stalled(1, 7, Cause::HungServer);
    let ask = |mode, fresh: Option<Connection>| {
        let mut world = Fake::of(&at(6_000, &fresh.into_iter().collect::<Vec<_>>()));
        let policy = Policy { mode, budget: Budget::per_minute(0), ..Policy::default() };
        let report = Resetter::new(policy).ask(&shown, &mut world);
        (world.destroyed.len(), words(&[report])[0])
    };
    assert_eq!(ask(Mode::Off, Some(shown.clone())), (0, "off"));
    assert_eq!(ask(Mode::DryRun, Some(shown.clone())), (0, "dry_run"));
    assert_eq!(ask(Mode::Confirm, Some(shown.clone())), (1, "done"));
    assert_eq!(ask(Mode::Confirm, Some(healthy(shown.clone(), 5_000))), (0, "not_stalled"));
    assert_eq!(ask(Mode::Confirm, Some(stalled(1, 7, Cause::ReaderBlocked))), (0, "cause_never_reset"));
    assert_eq!(ask(Mode::Confirm, None), (0, "gone"));
}

/// Resets connection 1 at 6 s and gives each snapshot that follows; the last report.
fn followed(later: &[Snapshot]) -> Option<Report> {
    let mut resetter = Resetter::new(auto());
    tick(&mut resetter, &at(6_000, &[stalled(1, 7, Cause::SilentPeer)]));
    assert_eq!(resetter.next_look_ns(), Some(START + 6_001 * MS));
    later.iter().flat_map(|snapshot| resetter.tick(snapshot, Duration::ZERO, &mut Fake::of(snapshot))).last()
}

fn replacement(opened_ms: u64, heard_ms: Option<u64>) -> Connection {
    let mut connection = healthy(stalled(2, 7, Cause::SilentPeer), 0);
    connection.reading.opened_ns = START + opened_ms * MS;
    connection.reading.last_opened_ns = Some(START + opened_ms * MS);
    connection.reading.last_heard_ns = heard_ms.map(|ms| START + ms * MS);
    connection
}

#[test]
fn a_recovery_is_followed_to_the_first_frame() {
    let report =
        followed(&[at(6_004, &[replacement(6_003, None)]), at(6_006, &[replacement(6_003, Some(6_005))])]);
    let report = report.unwrap();
    assert_eq!(report.reason(), "new connection after 3 ms, first frame after 5 ms");
    assert!(matches!(report.action, Action::Followed { streams_lost: Some(3), .. }), "{:?}", report.action);
}

#[test]
fn a_client_that_dials_before_the_kernel_has_answered_is_followed() {
    let mut resetter = Resetter::new(auto());
    let dead = at(6_000, &[stalled(1, 7, Cause::SilentPeer)]);
    resetter.tick(&dead, Duration::ZERO, &mut Fake { call_ns: 2 * MS, ..Fake::of(&dead) });
    let alive = at(6_003, &[replacement(6_001, Some(6_001))]);
    let report = resetter.tick(&alive, Duration::ZERO, &mut Fake::of(&alive)).pop().unwrap();
    assert_eq!(report.reason(), "new connection after 1 ms, first frame after 1 ms");
}

#[test]
fn other_outcomes_are_told_apart() {
    let reason = |later: &[Snapshot]| followed(later).unwrap().reason();
    let silent = reason(&[at(6_010, &[replacement(6_003, None)]), at(36_001, &[])]);
    assert!(silent.contains("after 3 ms") && silent.contains("the peer is silent"), "{silent}");
    assert!(reason(&[at(36_001, &[])]).contains("did not connect"));
    let mut other = replacement(100, Some(6_020));
    other.reading.last_opened_ns = Some(START + 6_010 * MS);
    assert!(reason(&[at(6_021, &[other])]).contains("had already"));
    let mut records = replacement(5_999, Some(6_020));
    (records.reading.view, records.reading.last_opened_ns) = (View::Records, None);
    assert!(reason(&[at(6_021, &[records])]).contains("had already"));
    let mut foreign = replacement(6_003, Some(6_005));
    foreign.reading.owner.pid = 8;
    assert!(followed(&[at(6_006, &[foreign])]).is_none(), "another process is no recovery");
}
