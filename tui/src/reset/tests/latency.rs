//! How late a reset came, and what does not count.

use super::*;

#[test]
fn latency_counts_from_the_threshold_not_from_when_it_was_noticed() {
    let policy = Policy { stall_after: Some(Duration::from_secs(2)), ..auto() };
    let mut resetter = Resetter::new(policy);
    // Passed at 3 s, noticed at 4 s, one second of age: due at 4 s.
    let snapshot = at(5_000, &[stalled(1, 7, Cause::SilentPeer)]);
    let mut world = Fake::of(&snapshot);
    let reports = resetter.tick(&snapshot, Duration::ZERO, &mut world);
    assert_eq!(reports[0].action, Action::Done { latency: Some(Duration::from_secs(1)) });
    assert_eq!(resetter.latency().count, 1);
    assert_eq!(resetter.counts()[&(Cause::SilentPeer, "done")], 1);
}

#[test]
fn what_waited_for_a_limit_is_measured_from_its_end() {
    let latency = |policy: Policy, first: &[Connection], late: Duration, again_ms: u64| {
        let policy = Policy { stall_after: Some(Duration::from_secs(3)), min_age: Duration::ZERO, ..policy };
        let mut resetter = Resetter::new(policy);
        let snapshot = at(6_000, first);
        resetter.tick(&snapshot, late, &mut Fake::of(&snapshot));
        let waiting = &first[first.len() - 1..];
        if again_ms > 10_000 {
            // The outcome of the first one is not followed closely any more.
            tick(&mut resetter, &at(7_100, waiting));
        }
        let again = at(again_ms, waiting);
        assert_eq!(resetter.next_look_ns(), Some(again.now_ns - 2 * MS), "and is looked at then");
        let reports = resetter.tick(&again, Duration::ZERO, &mut Fake::of(&again));
        let Some(Action::Done { latency }) = reports.last().map(|report| report.action.clone()) else {
            panic!("{reports:?}")
        };
        latency
    };
    let two = [stalled(1, 7, Cause::SilentPeer), stalled(2, 7, Cause::SilentPeer)];
    let ms = |ms| Some(Duration::from_millis(ms));
    let one = Budget::per_minute(1);
    assert_eq!(latency(auto(), &two[..1], Duration::from_millis(700), 6_702), ms(2), "catching up");
    assert_eq!(latency(Policy { budget: one, ..auto() }, &two, Duration::ZERO, 66_002), ms(2));
    assert_eq!(latency(Policy { budget_total: one, ..auto() }, &two, Duration::ZERO, 66_002), ms(2));
    let mut replacement = stalled(3, 7, Cause::SilentPeer);
    (replacement.reading.opened_ns, replacement.reading.first_unanswered_ns) = (START + 6_000 * MS, None);
    let replaced = [two[0].clone(), replacement];
    assert_eq!(latency(auto(), &replaced, Duration::ZERO, 16_002), ms(2), "cooling down");
}
