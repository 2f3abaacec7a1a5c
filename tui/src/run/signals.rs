//! Signals that end a run. Registered before anything is made that has to be undone (a cgroup, the terminal's screen): from
//! then on they are only noted, until the loop takes them.

use anyhow::{Context, Result};
use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};

/// The registered signals.
#[derive(Debug)]
pub struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
    /// A core file of h2watch helps nobody, and a terminal in raw mode and a cgroup that stays are in everybody's way.
    quit: tokio::signal::unix::Signal,
}

impl Signals {
    /// Registers them.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn register() -> Result<Self> {
        let of = |kind| signal(kind).context("registering for signals");
        Ok(Self {
            interrupt: of(SignalKind::interrupt())?,
            terminate: of(SignalKind::terminate())?,
            hangup: of(SignalKind::hangup())?,
            quit: of(SignalKind::quit())?,
        })
    }

    /// The next one.
    pub(super) async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::INT,
            _ = self.terminate.recv() => Signal::TERM,
            _ = self.hangup.recv() => Signal::HUP,
            _ = self.quit.recv() => Signal::QUIT,
        }
    }
}
