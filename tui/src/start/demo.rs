//! `h2watch demo`: the main job on traffic made for it, or its recording where that is not allowed.

use std::io::Write as _;
use std::time::Duration;

use anyhow::Result;

use super::replay::recorded_front;
use super::{front, policy, require_rights, settings, shortest, ui, without_history};
use crate::cli::{Demo, Selector};
use crate::dashboard::Banner;
use crate::demo::{self, Script, Traffic};
use crate::model::Model;
use crate::record::{Reader, Speed};
use crate::run::{Companions, Ending, Front, Plan, Show, Signals, Story, Watcher, replay, watch};
use crate::target::Target;
use crate::target::cgroup::{Hierarchy, OwnCgroup};

/// The demo has a handful of connections.
const MAX_CONNECTIONS: u32 = 256;
const INTERVAL: Duration = Duration::from_millis(250);

pub(super) async fn play(signals: Signals, args: &Demo) -> Result<Ending> {
    // A demo is too short to learn from what is normal.
    let args = &Demo { thresholds: without_history(args.thresholds), ..args.clone() };
    match prepare(args) {
        Ok(stage) => play_live(signals, args, stage).await,
        Err(reason) => play_recording(signals, args, &reason).await,
    }
}

/// What the live demo needs.
struct Stage {
    watcher: Watcher,
    traffic: Traffic,
    /// Removed last, when the client is gone.
    _cgroup: OwnCgroup,
}

/// Everything that rights or kernel may forbid.
fn prepare(args: &Demo) -> Result<Stage> {
    require_rights()?;
    let hierarchy = Hierarchy::find_mount()?;
    let cgroup = OwnCgroup::create(&hierarchy)?;
    let target = Target::Cgroup(cgroup.path().to_owned());
    let watcher =
        Watcher::start(target, hierarchy, &settings(args.thresholds, MAX_CONNECTIONS, &Selector::default()))?;
    let traffic = Traffic::spawn(Some(cgroup.path()))?;
    Ok(Stage { watcher, traffic, _cgroup: cgroup })
}

async fn play_live(signals: Signals, args: &Demo, stage: Stage) -> Result<Ending> {
    let Stage { watcher, traffic, _cgroup } = stage;
    let unplugged = traffic.unpluggable();
    let mut front = front(&args.output, |size| {
        let mut ui = ui("the demo's client".to_owned(), size);
        ui.banner = Banner::Demo { unplugged: false };
        ui
    })?;
    if let Front::Lines(lines) = &mut front {
        lines.leave_changes_to_the_story();
    }
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
    let plan = Plan { interval: INTERVAL, run_for, until_stalled: None, survives_hangup: false };
    let companions = Companions { story: Some(Story::new(traffic, script)), ..Companions::default() };
    let model = Model::new(policy(args.thresholds));
    watch(signals, watcher, model, front, companions, &plan, None).await.map(|(ending, _, _)| ending)
}

/// Says why it is not live, and shows what was recorded from a live one.
async fn play_recording(signals: Signals, args: &Demo, reason: &anyhow::Error) -> Result<Ending> {
    let reason = format!("the demo cannot run live here: {reason:#}");
    writeln!(std::io::stderr(), "h2watch: {reason}\nh2watch: playing the recording of a live one instead")?;
    let name = "of the demo".to_owned();
    let front = recorded_front(&name, &args.output)?;
    let show = Show { name, speed: Speed::Times(1.0), run_for: args.run_for, notes: vec![reason] };
    replay(signals, Reader::new(demo::RECORDING)?, show, front).await
}
