//! Watching until somebody or something ends it.

use std::collections::HashSet;
use std::io;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::Signal;
use tokio::io::unix::AsyncFd;
use tokio::signal::unix::{SignalKind, signal};

use super::pace::Pace;
use super::{Ending, Lines, Watcher, clock};
use crate::exit::Exit;
use crate::model::Model;
use crate::model::sample::Cookie;
use crate::model::snapshot::{Change, Snapshot};
use crate::probe::Notice;
use crate::target::Child;
use crate::target::command::shell_code;

/// Time between two looks at the target's processes, and at connections of new ones.
const FOLLOW_EVERY: Duration = Duration::from_secs(1);

/// Who sees what is found.
#[derive(Debug)]
pub enum Front {
    Lines(Lines),
    /// Nobody but the caller, at the end (`check`).
    Quiet,
}

/// How long, how often.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub interval: Duration,
    pub run_for: Option<Duration>,
    /// End at the first stall.
    pub until_stalled: bool,
}

/// Why the loop woke up.
enum Woken {
    Clock,
    Ring,
    Signal(Signal),
    ChildEnded(u8),
}

/// A run in progress.
struct Run {
    watcher: Watcher,
    model: Model,
    front: Front,
    pace: Pace,
    snapshot: Snapshot,
    suspects: HashSet<Cookie>,
    followed_at: Instant,
}

/// Watches until the time is up, a signal comes, the target or the command ends. Returns how, and the last snapshot.
///
/// # Errors
/// The kernel's ring cannot be polled, or the output cannot be written (a reader that went away is no error).
pub async fn watch(
    watcher: Watcher,
    model: Model,
    front: Front,
    plan: &Plan,
    child: Option<Child>,
) -> Result<(Ending, Snapshot)> {
    let interval_ns = u64::try_from(plan.interval.as_nanos()).unwrap_or(u64::MAX);
    let mut run = Run {
        watcher,
        model,
        front,
        pace: Pace::new(interval_ns, clock::now_ns()),
        snapshot: Snapshot::default(),
        suspects: HashSet::new(),
        followed_at: Instant::now(),
    };
    let started = Instant::now();
    let result = run.until_end(plan, child, started).await;
    let ended = match result {
        Ok(ending) => run.finish(started.elapsed()).map(|()| ending),
        Err(error) => Err(error),
    };
    match ended {
        Ok(ending) => Ok((ending, run.snapshot)),
        // Whoever read the lines has seen enough.
        Err(error) if is_broken_pipe(&error) => Ok((Ending::Own(Exit::Success), run.snapshot)),
        Err(error) => Err(error),
    }
}

impl Run {
    async fn until_end(&mut self, plan: &Plan, mut child: Option<Child>, started: Instant) -> Result<Ending> {
        // SAFETY: an OwnedFd always gives the same descriptor, and closes it only when dropped.
        let ring = unsafe { AsyncFd::register(self.watcher.events_fd()?) }
            .map_err(io::Error::from)
            .context("polling the kernel's event ring")?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hangup = signal(SignalKind::hangup())?;
        let mut changes = self.look();
        if let Front::Lines(lines) = &mut self.front {
            lines.ready(&self.snapshot, &self.watcher.describe())?;
        }
        if let Some(child) = &child {
            child.signal(Signal::CONT);
        }
        loop {
            let whole = self.pace.tick(clock::now_ns());
            self.show(&changes, whole)?;
            if plan.until_stalled && self.model.stalled() > 0 {
                return Ok(Ending::Own(Exit::Stalled));
            }
            if plan.run_for.is_some_and(|run_for| started.elapsed() >= run_for) {
                return Ok(Ending::Own(Exit::Success));
            }
            self.follow();
            if child.is_none() && !self.watcher.target_exists() {
                return Ok(Ending::Own(Exit::Success));
            }
            let wait = self.rest(plan, started);
            let woken = tokio::select! {
                () = tokio::time::sleep(wait) => Woken::Clock,
                ready = ring.readable() => { ready?.clear_ready(); Woken::Ring }
                _ = interrupt.recv() => Woken::Signal(Signal::INT),
                _ = terminate.recv() => Woken::Signal(Signal::TERM),
                _ = hangup.recv() => Woken::Signal(Signal::HUP),
                code = ended(child.as_mut()) => Woken::ChildEnded(code?),
            };
            match woken {
                Woken::Clock => changes = self.look(),
                Woken::Ring => changes = if self.drain() { self.look() } else { Vec::new() },
                Woken::ChildEnded(code) => return Ok(Ending::Command(code)),
                Woken::Signal(signal) => match &child {
                    // The command decides what a signal means; h2watch ends when it does.
                    Some(child) => {
                        child.signal(signal);
                        changes = Vec::new();
                    }
                    None => return Ok(Ending::Own(Exit::Success)),
                },
            }
        }
    }

    /// Takes everything from the ring. True when it cannot wait for the next look.
    fn drain(&mut self) -> bool {
        let mut urgent = false;
        while let Some(notice) = self.watcher.next_notice() {
            urgent |= matches!(notice, Notice::Stalled(_) | Notice::Stirred);
        }
        urgent
    }

    /// Samples and judges.
    fn look(&mut self) -> Vec<Change> {
        self.drain();
        let suspects = &self.suspects;
        let sample = self.watcher.sample(&|id| suspects.contains(&id));
        let (mut snapshot, changes) = self.model.observe(&sample);
        snapshot.degradations = self.watcher.degradations();
        self.snapshot = snapshot;
        self.suspects = self.model.suspects().collect();
        changes
    }

    fn show(&mut self, changes: &[Change], whole: bool) -> Result<()> {
        match &mut self.front {
            Front::Lines(lines) => lines.tick(&self.snapshot, changes, whole),
            Front::Quiet => Ok(()),
        }
    }

    /// Keeps up with processes that come and go.
    fn follow(&mut self) {
        if self.followed_at.elapsed() < FOLLOW_EVERY {
            return;
        }
        self.followed_at = Instant::now();
        self.watcher.forget_ended();
        if self.watcher.target_grows() {
            // The first call succeeded; what fails now is noted by the watcher.
            let _ = self.watcher.follow(false);
        }
    }

    /// How long to sleep; arms the kernel's ring where that is longer than a stall may take.
    fn rest(&mut self, plan: &Plan, started: Instant) -> Duration {
        let opened = self.snapshot.connections.iter().map(|c| c.reading.streams.opened).sum();
        let looked_ns = self.snapshot.now_ns;
        let rest =
            self.pace.rest(looked_ns, opened, self.model.deadline(), self.model.shortest_stall_after_ns());
        if rest.arm {
            self.watcher.arm();
        }
        let wait = Duration::from_nanos(rest.until_ns.saturating_sub(clock::now_ns()));
        match plan.run_for {
            Some(run_for) => wait.min(run_for.saturating_sub(started.elapsed())),
            None => wait,
        }
    }

    /// The last look, and the summary.
    fn finish(&mut self, duration: Duration) -> Result<()> {
        let changes = self.look();
        self.show(&changes, true)?;
        if let Front::Lines(lines) = &mut self.front {
            lines.summary(&self.snapshot, duration)?;
        }
        Ok(())
    }
}

/// The exit code of the command, when it ends; never without one.
async fn ended(child: Option<&mut Child>) -> Result<u8> {
    match child {
        Some(child) => child.wait().await.map(shell_code),
        None => std::future::pending().await,
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
