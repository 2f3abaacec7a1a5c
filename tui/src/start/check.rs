//! `h2watch check`: one verdict for scripts.

use std::time::Duration;

use anyhow::Result;

use super::{policy, require_rights, settings};
use crate::cli::{Check, Output};
use crate::model::Model;
use crate::run::{Companions, Ending, Form, Front, Lines, Plan, Signals, Watcher, watch};
use crate::target::Target;
use crate::target::cgroup::Hierarchy;

/// Enough for what a check looks at; a process with more is watched in part, and the losses say so.
const MAX_CONNECTIONS: u32 = 8192;

pub(super) async fn check_target(signals: Signals, args: &Check) -> Result<Ending> {
    require_rights()?;
    let hierarchy = Hierarchy::find_mount()?;
    let target = Target::resolve(&args.selector, &hierarchy)?;
    let watcher =
        Watcher::start(target, hierarchy, &settings(args.thresholds, MAX_CONNECTIONS, &args.selector))?;
    // A stall that exists is found within the threshold, plus a moment for the first sample.
    let run_for = args.run_for.unwrap_or(args.thresholds.stall_after + Duration::from_secs(1));
    let plan = Plan {
        interval: Duration::from_millis(100),
        run_for: Some(run_for),
        until_stalled: true,
        survives_hangup: false,
    };
    let model = Model::new(policy(args.thresholds));
    let (ending, snapshot, _) =
        watch(signals, watcher, model, Front::Quiet, Companions::default(), &plan, None).await?;
    let form = if args.output == Output::Json { Form::Json } else { Form::Table };
    Lines::open(form, None)?.whole(&snapshot, run_for)?;
    Ok(ending)
}
