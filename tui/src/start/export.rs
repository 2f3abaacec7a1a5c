//! `h2watch export`: the Prometheus exporter.

use anyhow::Result;

use super::{act, policy, require_rights, rights, settings};
use crate::cli::Export;
use crate::export::{Exporter, Feed, HttpLimits, HttpThread, LabelLimits};
use crate::json;
use crate::model::Model;
use crate::run::{Ending, Front, Lines, Plan, Signals, Watcher, watch};
use crate::target::Target;
use crate::target::cgroup::Hierarchy;

pub(super) async fn export(signals: Signals, args: &Export) -> Result<Ending> {
    require_rights()?;
    let hierarchy = Hierarchy::find_mount()?;
    let target = Target::resolve(&args.selector, &hierarchy)?;
    let settings = settings(args.thresholds, args.max_connections, &args.selector);
    let mut watcher = Watcher::start(target, hierarchy, &settings)?;
    let mut companions = act::companions(&args.act, args.thresholds, &mut watcher)?;
    let exporter = Exporter::new(LabelLimits::for_destinations(args.max_destinations));
    let http =
        HttpThread::start(args.listen, exporter.clone(), Box::new(json::snapshot), HttpLimits::default())?;
    rights::reduce(&watcher, settings.tls, args.act.reset)?;
    companions.exporter = Some(Feed::new(exporter));
    let mut lines = Lines::log();
    lines.say(&format!("listening on http://{}", http.address()))?;
    let plan = Plan { interval: args.interval, run_for: None, until_stalled: None, survives_hangup: true };
    let model = Model::new(policy(args.thresholds));
    watch(signals, watcher, model, Front::Lines(lines), companions, &plan, None)
        .await
        .map(|(ending, _, _)| ending)
}
