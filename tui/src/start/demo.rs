//! `h2watch demo`: the main job on traffic made for it.

use std::time::Duration;

use anyhow::Result;

use super::{front, policy, require_root, settings, shortest, ui};
use crate::cli::Demo;
use super::{front, policy, require_rights, settings, ui};
use crate::cli::{Demo, Selector};
use crate::dashboard::Banner;
use crate::demo::{self, Script, Traffic};
use crate::model::Model;
use crate::run::{Companions, Ending, Front, Plan, Signals, Story, Watcher, watch};
use crate::target::Target;
use crate::target::cgroup::{Hierarchy, OwnCgroup};

/// The demo has a handful of connections.
const MAX_CONNECTIONS: u32 = 256;
const INTERVAL: Duration = Duration::from_millis(250);

pub(super) async fn play(signals: Signals, args: &Demo) -> Result<Ending> {
    require_rights()?;
    let hierarchy = Hierarchy::find_mount()?;
    let cgroup = OwnCgroup::create(&hierarchy)?;
    let target = Target::Cgroup(cgroup.path().to_owned());
    let watcher =
        Watcher::start(target, hierarchy, &settings(args.thresholds, MAX_CONNECTIONS, &Selector::default()))?;
    let traffic = Traffic::spawn(Some(cgroup.path()))?;
    let unplugged = traffic.unpluggable();
    let front = front(args.output, args.output_file.as_deref(), |size| {
        let mut ui = ui("the demo's client".to_owned(), size);
        ui.banner = Banner::Demo { unplugged: false };
        ui
    })?;
    // A person unplugs with the key u; where nobody can type, the demo plays itself.
    let script = match &front {
        Front::Screen(_) => None,
        Front::Lines(_) | Front::Quiet => Some(Script::new(demo::Plan {
            unplug_after: args.unplug_after,
            run_for: args.run_for,
            stall_after: shortest(args.thresholds),
            unplugged,
        })),
    };
    let run_for = if script.is_none() { args.run_for } else { None };
    let plan = Plan { interval: INTERVAL, run_for, until_stalled: None };
    let plan = Plan { interval: INTERVAL, run_for, until_stalled: false, survives_hangup: false };
    let companions = Companions { story: Some(Story::new(traffic, script)), ..Companions::default() };
    let model = Model::new(policy(args.thresholds));
    watch(signals, watcher, model, front, companions, &plan, None).await.map(|(ending, _, _)| ending)
}
