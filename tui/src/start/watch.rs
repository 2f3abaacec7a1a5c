//! `h2watch [SELECTOR]` and `h2watch -- COMMAND`.

use std::ffi::OsString;
use std::io::Write as _;

use anyhow::Result;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::sync::mpsc;

use super::{act, front, policy, require_rights, settings, ui};
use crate::cli::Watch;
use crate::model::Model;
use crate::run::{Ending, Front, Plan, Recorder, Signals, Watcher, watch};
use crate::target::cgroup::{Hierarchy, OwnCgroup};
use crate::target::command::ChildOutput;
use crate::target::{Child, Target};

/// Lines of the COMMAND that may wait to be shown.
const OUTPUT_QUEUE: usize = 1024;

/// Makes the recorder of a watch that is about to begin, when nothing else can fail any more.
pub(super) type MakeRecorder<'a> = &'a dyn Fn() -> Result<Recorder>;

pub(super) async fn watch_target(
    signals: Signals,
    args: &Watch,
    command: &[OsString],
    recorder: Option<MakeRecorder<'_>>,
) -> Result<Ending> {
    require_rights()?;
    let hierarchy = Hierarchy::find_mount()?;
    if !command.is_empty() {
        return run_command(signals, args, command, hierarchy, recorder).await;
    }
    let target = Target::resolve(&args.selector, &hierarchy)?;
    let mut watcher =
        Watcher::start(target, hierarchy, &settings(args.thresholds, args.max_connections, &args.selector))?;
    let mut companions = act::companions(&args.act, args.thresholds, &mut watcher)?;
    companions.recorder = recorder.map(|make| make()).transpose()?;
    let watching = watcher.describe();
    let allowed = companions.resets.is_some();
    let front = front(&args.output, |size| {
        let mut ui = ui(watching, size);
        ui.reset_allowed = allowed;
        ui
    })?;
    let model = Model::new(policy(args.thresholds));
    let (ending, _, front) = watch(signals, watcher, model, front, companions, &plan(args), None).await?;
    print_what_the_screen_hid(front)?;
    Ok(ending)
}

/// The dashboard kept the terminal to itself.
fn print_what_the_screen_hid(front: Front) -> Result<()> {
    let Front::Screen(screen) = front else { return Ok(()) };
    let mut stdout = std::io::stdout().lock();
    for line in screen.into_output() {
        writeln!(stdout, "{line}")?;
    }
    Ok(())
}

fn plan(args: &Watch) -> Plan {
    Plan { interval: args.interval, run_for: args.run_for, until_stalled: None, survives_hangup: false }
}

/// Runs a command in a cgroup of its own, watched from its first packet.
async fn run_command(
    signals: Signals,
    args: &Watch,
    command: &[OsString],
    hierarchy: Hierarchy,
    recorder: Option<MakeRecorder<'_>>,
) -> Result<Ending> {
    let cgroup = OwnCgroup::create(&hierarchy)?;
    let target = Target::Cgroup(cgroup.path().to_owned());
    let mut watcher =
        Watcher::start(target, hierarchy, &settings(args.thresholds, args.max_connections, &args.selector))?;
    let mut companions = act::companions(&args.act, args.thresholds, &mut watcher)?;
    companions.recorder = recorder.map(|make| make()).transpose()?;
    let name = command.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
    let allowed = companions.resets.is_some();
    let front = front(&args.output, |size| {
        let mut ui = ui(name, size);
        ui.reset_allowed = allowed;
        ui.output = Some(Vec::new());
        ui
    })?;
    let output = match (&front, &args.output.file) {
        (Front::Screen(_), _) => ChildOutput::Piped,
        (_, Some(_)) => ChildOutput::Inherit,
        (_, None) => ChildOutput::ToStderr,
    };
    let mut child =
        Child::spawn(command, cgroup.path(), &output, |pid, program| watcher.anticipate(pid, program))?;
    companions.output = gather(&mut child);
    let model = Model::new(policy(args.thresholds));
    let (ending, _, front) =
        watch(signals, watcher, model, front, companions, &plan(args), Some(child)).await?;
    print_what_the_screen_hid(front)?;
    Ok(ending)
}

/// Both output streams of the child, line by line.
fn gather(child: &mut Child) -> Option<mpsc::Receiver<String>> {
    let (stdout, stderr) = child.take_output();
    if stdout.is_none() && stderr.is_none() {
        return None;
    }
    let (sender, receiver) = mpsc::channel(OUTPUT_QUEUE);
    if let Some(stdout) = stdout {
        tokio::spawn(forward(stdout, sender.clone()));
    }
    if let Some(stderr) = stderr {
        tokio::spawn(forward(stderr, sender));
    }
    Some(receiver)
}

async fn forward(stream: impl AsyncRead + Unpin, lines: mpsc::Sender<String>) {
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).await.is_ok_and(|n| n > 0) {
        let text = String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']).to_owned();
        if lines.send(text).await.is_err() {
            return;
        }
        line.clear();
    }
}
