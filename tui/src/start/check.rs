//! `h2watch check`: one verdict for scripts.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::{policy, require_rights, settings, shortest, without_history};
use crate::cli::{Check, Output, ThresholdArgs};
use crate::exit::Exit;
use crate::human::counted;
use crate::model::Model;
use crate::model::sample::{Losses, Reading};
use crate::model::snapshot::Snapshot;
use crate::run::{Companions, Ending, Form, Front, Lines, Plan, Signals, Watcher, watch};
use crate::target::Target;
use crate::target::cgroup::Hierarchy;
use crate::verdict::Severity;

pub(super) async fn check_target(signals: Signals, args: &Check) -> Result<Ending> {
    require_rights()?;
    let hierarchy = Hierarchy::find_mount()?;
    let target = Target::resolve(&args.selector, &hierarchy)?;
    let thresholds = without_history(args.thresholds);
    let watcher =
        Watcher::start(target, hierarchy, &settings(thresholds, args.max_connections, &args.selector))?;
    let nobody = watcher.pids().is_empty();
    let enough = long_enough(thresholds);
    let run_for = args.run_for.unwrap_or(enough);
    // Nothing is worse than this one: there is no reason to look longer.
    let until_stalled = Some(Severity::Critical);
    let interval = Duration::from_millis(100);
    let plan = Plan { interval, run_for: Some(run_for), until_stalled, survives_hangup: false };
    let model = Model::new(policy(thresholds));
    let began = Instant::now();
    let (_, snapshot, _) =
        watch(signals, watcher, model, Front::Quiet, Companions::default(), &plan, None).await?;
    let looked = began.elapsed();
    let mut unclear = unclear(&snapshot, looked, enough);
    if nobody && snapshot.processes.is_empty() {
        unclear.push("no process is there to look at".to_owned());
    }
    let form = if args.output == Output::Json { Form::Json } else { Form::Table };
    Lines::open(form, None)?.looked(&snapshot, looked, &unclear)?;
    Ok(Ending::Own(status(&snapshot, args.min_severity.into(), &unclear)))
}

/// A stall that exists is found within the threshold, plus a moment for the first sample.
fn long_enough(thresholds: ThresholdArgs) -> Duration {
    shortest(thresholds) + Duration::from_secs(1)
}

/// What could not be told, a sentence each: a connection of which nothing is known is not healthy.
fn unclear(snapshot: &Snapshot, looked: Duration, enough: Duration) -> Vec<String> {
    let mut unclear = Vec::new();
    if looked < enough {
        unclear.push(format!(
            "it was looked for {:.1} s, and a stall takes {:.1} s to show (--stall-after and a second)",
            looked.as_secs_f64(),
            enough.as_secs_f64()
        ));
    }
    let searched = snapshot.connections.iter().filter(|connection| is_searched(&connection.reading)).count();
    if searched > 0 {
        unclear.push(format!(
            "{} in which the beginning of a frame is still searched",
            counted(searched as u64, "connection")
        ));
    }
    unclear.extend(snapshot.unseen.iter().cloned());
    unclear.extend(hidden(&snapshot.losses));
    unclear
}

/// Bytes came whose frames are not known.
fn is_searched(reading: &Reading) -> bool {
    [&reading.sent, &reading.received].into_iter().any(|traffic| traffic.resyncing && traffic.bytes > 0)
}

/// Losses behind which a stall may hide. Counters outlive an event that did not fit, and records tell what a TLS call that was
/// not associated does not.
fn hidden(losses: &Losses) -> impl Iterator<Item = String> {
    let hiding = Losses { ring_full: 0, unassociated: 0, ..*losses };
    let of = |(n, what): (u64, &str)| (n > 0).then(|| format!("{what}: {n}"));
    hiding.in_words().into_iter().filter_map(of)
}

/// The exit status tells the worst of what is found, where it is bad enough for the one who asks. Nothing found is health only
/// where everything was seen.
fn status(snapshot: &Snapshot, least: Severity, unclear: &[String]) -> Exit {
    let worst = snapshot.connections.iter().map(|connection| connection.verdict.severity).max();
    match worst.filter(|&worst| worst >= least) {
        Some(Severity::Critical) => Exit::Stalled,
        Some(Severity::Warning) => Exit::StalledMildly,
        Some(Severity::None) | None if unclear.is_empty() => Exit::Success,
        Some(Severity::None) | None => Exit::CouldNotTell,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::staged::Staged;
    use crate::verdict::StallAfter;
    use crate::verdict::{Cause, State, Verdict, rules};

    fn of(causes: &[Option<Cause>]) -> Snapshot {
        let connection = |(id, cause): (u64, &Option<Cause>)| {
            let severity = cause.map_or(Severity::None, |cause| rules::of(cause).severity);
            let state = if cause.is_some() { State::Stalled } else { State::Healthy };
            let verdict = Verdict { state, cause: *cause, severity, ..Verdict::default() };
            Staged::h2c(id, 0).connection(verdict)
        };
        let connections = (1..).zip(causes).map(connection).collect();
        Snapshot { connections, ..Snapshot::default() }
    }

    #[test]
    fn the_status_is_the_worst_of_what_is_bad_enough() {
        let (mild, bad) = (Some(Cause::HungServer), Some(Cause::BlackHole));
        let both = |causes: &[Option<Cause>]| {
            (status(&of(causes), Severity::Warning, &[]), status(&of(causes), Severity::Critical, &[]))
        };
        assert_eq!(both(&[]), (Exit::Success, Exit::Success));
        assert_eq!(both(&[None]), (Exit::Success, Exit::Success));
        assert_eq!(both(&[None, mild]), (Exit::StalledMildly, Exit::Success));
        assert_eq!(both(&[mild, bad, None]), (Exit::Stalled, Exit::Stalled));
    }

    const LONG: Duration = Duration::from_secs(4);

    #[test]
    fn what_could_not_be_told_is_said_and_is_not_health() {
        let healthy = of(&[None]);
        assert_eq!(unclear(&healthy, LONG, LONG), [""; 0]);
        let mut searched = of(&[None, None]);
        searched.connections[1].reading.received.resyncing = true;
        let full = Snapshot { losses: Losses { connections_full: 3, ..Losses::default() }, ..of(&[None]) };
        let untold = Snapshot { unseen: vec!["1 TLS connection opened before".to_owned()], ..of(&[None]) };
        for (snapshot, looked, said) in [
            (
                &healthy,
                LONG / 4,
                "it was looked for 1.0 s, and a stall takes 4.0 s to show (--stall-after and a second)",
            ),
            (&searched, LONG, "1 connection in which the beginning of a frame is still searched"),
            (&full, LONG, "connections not watched, the table was full: 3"),
            (&untold, LONG, "1 TLS connection opened before"),
        ] {
            let unclear = unclear(snapshot, looked, LONG);
            assert_eq!(unclear, [said]);
            assert_eq!(status(snapshot, Severity::Warning, &unclear), Exit::CouldNotTell);
        }
    }

    /// What is found is found, whatever else is not known; a warning that nobody asked for is not enough.
    #[test]
    fn a_stall_outweighs_what_is_unclear() {
        let unclear = ["something".to_owned()];
        let (mild, bad) = (of(&[Some(Cause::HungServer)]), of(&[Some(Cause::SilentPeer)]));
        assert_eq!(status(&bad, Severity::Critical, &unclear), Exit::Stalled);
        assert_eq!(status(&mild, Severity::Warning, &unclear), Exit::StalledMildly);
        assert_eq!(status(&mild, Severity::Critical, &unclear), Exit::CouldNotTell);
    }

    #[test]
    fn losses_that_hide_nothing_are_no_doubt() {
        let losses = Losses { ring_full: 2, unassociated: 1, ..Losses::default() };
        assert_eq!(hidden(&losses).count(), 0);
        assert_eq!(hidden(&Losses { frame_budget: 1, ..losses }).count(), 1);
    }

    #[test]
    fn one_look_takes_auto_for_three_seconds_and_a_time_as_it_is() {
        let after = |stall_after| {
            let tls = crate::tls::Depth::Auto;
            without_history(ThresholdArgs { stall_after, min_streams: 2, tls }).stall_after
        };
        assert_eq!(after(StallAfter::Auto), StallAfter::Fixed(Duration::from_secs(3)));
        let fixed = StallAfter::Fixed(Duration::from_millis(500));
        assert_eq!(after(fixed), fixed);
    }
}
