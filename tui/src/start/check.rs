//! `h2watch check`: one verdict for scripts.

use std::time::Duration;

use anyhow::Result;

use super::{policy, require_rights, settings, shortest, without_history};
use crate::cli::{Check, Output};
use crate::exit::Exit;
use crate::model::Model;
use crate::model::snapshot::Snapshot;
use crate::run::{Companions, Ending, Form, Front, Lines, Plan, Signals, Watcher, watch};
use crate::target::Target;
use crate::target::cgroup::Hierarchy;
use crate::verdict::Severity;

/// Enough for what a check looks at; a process with more is watched in part, and the losses say so.
const MAX_CONNECTIONS: u32 = 8192;

pub(super) async fn check_target(signals: Signals, args: &Check) -> Result<Ending> {
    require_rights()?;
    let hierarchy = Hierarchy::find_mount()?;
    let target = Target::resolve(&args.selector, &hierarchy)?;
    let thresholds = without_history(args.thresholds);
    let watcher = Watcher::start(target, hierarchy, &settings(thresholds, MAX_CONNECTIONS, &args.selector))?;
    // A stall that exists is found within the threshold, plus a moment for the first sample.
    let run_for = args.run_for.unwrap_or(shortest(thresholds) + Duration::from_secs(1));
    // Nothing is worse than this one: there is no reason to look longer.
    let until_stalled = Some(Severity::Critical);
    let interval = Duration::from_millis(100);
    let plan = Plan { interval, run_for: Some(run_for), until_stalled, survives_hangup: false };
    let model = Model::new(policy(thresholds));
    let (_, snapshot, _) =
        watch(signals, watcher, model, Front::Quiet, Companions::default(), &plan, None).await?;
    let form = if args.output == Output::Json { Form::Json } else { Form::Table };
    Lines::open(form, None)?.whole(&snapshot, run_for)?;
    Ok(Ending::Own(status(&snapshot, args.min_severity.into())))
}

/// The exit status tells the worst of what is found, where it is bad enough for the one who asks.
fn status(snapshot: &Snapshot, least: Severity) -> Exit {
    let worst = snapshot.connections.iter().map(|connection| connection.verdict.severity).max();
    match worst.filter(|&worst| worst >= least) {
        Some(Severity::Critical) => Exit::Stalled,
        Some(Severity::Warning) => Exit::StalledMildly,
        Some(Severity::None) | None => Exit::Success,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::ThresholdArgs;
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
            (status(&of(causes), Severity::Warning), status(&of(causes), Severity::Critical))
        };
        assert_eq!(both(&[]), (Exit::Success, Exit::Success));
        assert_eq!(both(&[None]), (Exit::Success, Exit::Success));
        assert_eq!(both(&[None, mild]), (Exit::StalledMildly, Exit::Success));
        assert_eq!(both(&[mild, bad, None]), (Exit::Stalled, Exit::Stalled));
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
