//! Watching until somebody or something ends it.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::Signal;
use tokio::io::unix::AsyncFd;

use super::alarm::Alarm;
use super::beat::Beat;
use super::companions::{Aside, Companions};
use super::front::Front;
use super::pace::{Pace, Rest};
use super::resets::Live;

use super::{Ending, Signals, Wanted, Watcher, clock};
use crate::dashboard::{Effect, Input};
use crate::exit::Exit;
use crate::model::Model;
use crate::model::sample::{Cookie, Nanos};
use crate::model::snapshot::{Change, Snapshot};
use crate::probe::Notice;
use crate::target::Child;
use crate::target::command::shell_code;
use crate::tls::Coverage;
use crate::verdict::{Severity, Suspects};

/// Time between two looks at the target's processes, and at connections of new ones.
const FOLLOW_EVERY: Duration = Duration::from_secs(1);

/// How long, how often.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub interval: Duration,
    pub run_for: Option<Duration>,
    /// End at the first stall that is as severe as this.
    pub until_stalled: Option<Severity>,
    /// A service: SIGHUP, which a service gets when somebody wants it to read its configuration again, or when a terminal that
    /// it does not need goes away, is no reason to end.
    pub survives_hangup: bool,
}

/// Why the loop woke up.
enum Woken {
    Clock,
    Ring,
    Key(Option<Input>),
    Signal(Signal),
    ChildEnded(u8),
    /// A program was analysed.
    Planned(Box<(Coverage, u64)>),
    /// A companion has something for the reader.
    Aside(Aside),
}

/// A run in progress.
struct Run {
    signals: Signals,
    watcher: Watcher,
    model: Model,
    front: Front,
    companions: Companions,
    pace: Pace,
    beat: Beat,
    snapshot: Arc<Snapshot>,
    suspects: Suspects,
    /// What looks found and nobody was told yet.
    found: Vec<Change>,
    /// The snapshot is of a look that nobody has acted on yet.
    looked: bool,
    /// The kernel rang for a look.
    rung: bool,
    followed_at: Instant,
    /// When the next look was due: how late it came is known to what acts on it.
    due_ns: Nanos,
}

/// Watches until the time is up, a signal comes, the target or the command ends. Returns how, the last snapshot, and
/// the output.
///
/// # Errors
/// The kernel's ring cannot be polled, or the output cannot be written.
pub async fn watch(
    signals: Signals,
    watcher: Watcher,
    model: Model,
    front: Front,
    companions: Companions,
    plan: &Plan,
    child: Option<Child>,
) -> Result<(Ending, Arc<Snapshot>, Front)> {
    let interval_ns = u64::try_from(plan.interval.as_nanos()).unwrap_or(u64::MAX);
    let now_ns = clock::now_ns();
    let beat = Beat::new(companions.threshold());
    let suspects = model.suspects();
    let mut run = Run {
        signals,
        watcher,
        model,
        front,
        companions,
        pace: Pace::new(interval_ns, now_ns),
        beat,
        snapshot: Arc::default(),
        suspects,
        found: Vec::new(),
        looked: false,
        rung: false,
        followed_at: Instant::now(),
        due_ns: now_ns,
    };
    let started = Instant::now();
    let mut child = child;
    let ended = run.until_end(plan, &mut child, started).await;
    // However it ended: a COMMAND does not outlive the run that was made for it.
    if let Some(child) = &mut child {
        child.end().await;
    }
    let ended = match ended {
        Ok(ending) => run.finish(started.elapsed()).await.map(|()| ending),
        Err(error) => Err(error),
    };
    let recorded = run.companions.end_recording();
    ended.and_then(|ending| recorded.map(|()| (ending, run.snapshot, run.front)))
}

impl Run {
    async fn until_end(
        &mut self,
        plan: &Plan,
        child: &mut Option<Child>,
        started: Instant,
    ) -> Result<Ending> {
        // SAFETY: an OwnedFd always gives the same descriptor, and closes it only when dropped.
        let ring = unsafe { AsyncFd::register(self.watcher.events_fd()?) }
            .map_err(io::Error::from)
            .context("polling the kernel's event ring")?;
        let alarm = Alarm::new()?;
        self.watcher.begin();
        self.look()?;
        self.front.ready(&self.snapshot, &self.watcher.describe())?;
        self.companions.begin().await?;
        loop {
            if let Some(ending) = self.tell(plan, started, child.is_some())? {
                return Ok(ending);
            }
            let Rest { until_ns, arm } = self.rest(plan, started);
            let woken = tokio::select! {
                rung = self.beat.sleep(&alarm, until_ns, !arm) => { rung?; Woken::Clock }
                ready = ring.readable() => { ready?.clear_ready(); Woken::Ring }
                input = self.front.input() => Woken::Key(input),
                signal = self.signals.next() => Woken::Signal(signal),
                code = ended(child.as_mut()) => Woken::ChildEnded(code?),
                planned = self.watcher.planned() => Woken::Planned(Box::new(planned)),
                aside = self.companions.aside() => Woken::Aside(aside),
            };
            match woken {
                Woken::Clock => self.look()?,
                Woken::Ring => {
                    self.rung |= self.drain();
                    if self.rung && self.pace.not_before(0) <= clock::now_ns() {
                        self.look()?;
                    }
                }
                Woken::Key(None) => return Ok(Ending::Own(Exit::Success)),
                Woken::Key(Some(input)) => {
                    if self.act(input)? {
                        return Ok(quit(child).await);
                    }
                }
                Woken::ChildEnded(code) => return Ok(Ending::Command(code)),
                Woken::Planned(planned) => self.watcher.attached(*planned),
                Woken::Aside(aside) => self.front.aside(&self.snapshot, aside)?,
                Woken::Signal(signal) => match &*child {
                    // The command decides what a signal means; h2watch ends when it does.
                    Some(child) => child.signal(signal),
                    None if plan.survives_hangup && signal == Signal::HUP => {}
                    None => return Ok(Ending::Own(Exit::Success)),
                },
            }
        }
    }

    /// Tells what was found, lets the companions act on it, and says whether that was the end.
    fn tell(&mut self, plan: &Plan, started: Instant, has_child: bool) -> Result<Option<Ending>> {
        let late = Duration::from_nanos(clock::now_ns().saturating_sub(self.due_ns));
        let mut reports = Vec::new();
        if std::mem::take(&mut self.looked) {
            let live = Live::new(&mut self.watcher, &mut self.model, &self.beat, &mut self.found);
            reports = self.companions.resets(&self.snapshot, late, live)?;
        }
        let changes = std::mem::take(&mut self.found);
        let whole = self.pace.tick(self.snapshot.now_ns);
        self.front.tick(&self.snapshot, &changes, whole)?;
        for report in &reports {
            self.front.reset(&self.snapshot, report)?;
        }
        self.companions.observe(&self.snapshot, &changes, whole);
        self.companions.report_health(&self.watcher);
        let (lines, end) = self.companions.story(&self.snapshot, &changes);
        for line in lines {
            self.front.say(&line)?;
        }
        if let Some(exit) = end {
            return Ok(Some(Ending::Own(exit)));
        }
        let severe = |least| self.snapshot.connections.iter().any(|c| c.verdict.severity >= least);
        if plan.until_stalled.is_some_and(severe) {
            return Ok(Some(Ending::Own(Exit::Stalled)));
        }
        if plan.run_for.is_some_and(|run_for| started.elapsed() >= run_for) {
            return Ok(Some(Ending::Own(Exit::Success)));
        }
        self.follow();
        let gone = !has_child && !self.watcher.target_exists();
        Ok(gone.then_some(Ending::Own(Exit::Success)))
    }

    /// Takes everything from the ring. True when it cannot wait for the next look.
    fn drain(&mut self) -> bool {
        let mut urgent = false;
        while let Some(notice) = self.watcher.next_notice() {
            urgent |= matches!(notice, Notice::Stalled(_) | Notice::Stirred);
        }
        urgent
    }

    /// Samples, judges, and writes down where that is asked for.
    fn look(&mut self) -> Result<()> {
        self.drain();
        self.rung = false;
        let selected = self.front.selected();
        let sample = self.watcher.sample(&Wanted { asked: selected, suspects: Some(&self.suspects) });
        let (mut snapshot, changes) = self.model.observe(&sample);
        snapshot.degradations = self.watcher.degradations();
        snapshot.unseen.extend(self.watcher.unseen());
        self.snapshot = Arc::new(snapshot);
        self.suspects = self.model.suspects();
        if let Some(aside) = self.companions.record(&sample, self.model.stalled() > 0)? {
            self.front.aside(&self.snapshot, aside)?;
        }
        self.found.extend(changes);
        self.looked = true;
        Ok(())
    }

    /// Carries out what a key asks for; true to end.
    fn act(&mut self, input: Input) -> Result<bool> {
        for effect in self.front.handle(input, &self.snapshot)? {
            match effect {
                Effect::Quit => return Ok(true),
                Effect::Unplug => {
                    let unplugged = self.companions.toggle();
                    self.front.unplugged(&self.snapshot, unplugged)?;
                }
                Effect::Reset(id) => self.reset(id)?,
            }
        }
        Ok(false)
    }

    /// A person said yes to what is on the screen, which is older than the last look while it is paused.
    fn reset(&mut self, id: Cookie) -> Result<()> {
        let now = self.snapshot.connections.iter().find(|connection| connection.reading.id == id);
        let Some(shown) = now.or_else(|| self.front.shown(id)) else { return Ok(()) };
        let live = Live::new(&mut self.watcher, &mut self.model, &self.beat, &mut self.found);
        if let Some(report) = self.companions.ask(shown, &self.snapshot, live)? {
            self.front.reset(&self.snapshot, &report)?;
        }
        Ok(())
    }

    /// Keeps up with processes that come and go.
    fn follow(&mut self) {
        if self.followed_at.elapsed() < FOLLOW_EVERY {
            return;
        }
        self.followed_at = Instant::now();
        self.watcher.forget_ended();
        if self.watcher.target_grows() {
            self.watcher.follow();
        } else {
            self.watcher.look_at_processes();
        }
    }

    /// Until when to sleep; arms the kernel's ring where that is longer than a stall may take.
    fn rest(&mut self, plan: &Plan, started: Instant) -> Rest {
        let opened = self.snapshot.totals.streams_opened + self.snapshot.totals.records_asked;
        let looked_ns = self.snapshot.now_ns;
        let looked = looked_ns..clock::now_ns();
        let rest =
            self.pace.rest(looked, opened, self.model.deadline(), self.model.shortest_stall_after_ns());
        if rest.arm {
            self.watcher.arm();
        }
        let end_ns = plan.run_for.map(|run_for| {
            let left = run_for.saturating_sub(started.elapsed());
            clock::now_ns() + u64::try_from(left.as_nanos()).unwrap_or(u64::MAX / 2)
        });
        let wake_ns = self.companions.wake_ns().map(|at_ns| self.pace.not_before(at_ns));
        let ring_ns = self.rung.then(|| self.pace.not_before(0));
        self.due_ns =
            [Some(rest.until_ns), end_ns, wake_ns, ring_ns].into_iter().flatten().min().unwrap_or(0);
        Rest { until_ns: self.due_ns, ..rest }
    }

    /// The last look, and the summary.
    async fn finish(&mut self, duration: Duration) -> Result<()> {
        self.companions.end_story().await;
        self.look()?;
        let changes = std::mem::take(&mut self.found);
        self.front.tick(&self.snapshot, &changes, true)?;
        self.companions.observe(&self.snapshot, &changes, true);
        for line in self.companions.last_lines(&self.snapshot) {
            self.front.say(&line)?;
        }
        for failure in self.companions.end().await {
            self.front.last_failure(&failure)?;
        }
        self.front.summary(&self.snapshot, duration, self.companions.latency())
    }
}

/// The exit code of the command, when it ends; never without one.
async fn ended(child: Option<&mut Child>) -> Result<u8> {
    match child {
        Some(child) => child.wait().await.map(shell_code),
        None => std::future::pending().await,
    }
}

/// Whoever read the lines has seen enough.
pub(super) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// The person at the dashboard ends it, and with it a command that runs.
async fn quit(child: &mut Option<Child>) -> Ending {
    let Some(child) = child else { return Ending::Own(Exit::Success) };
    child.end().await.map_or(Ending::Own(Exit::Success), |status| Ending::Command(shell_code(status)))
}
