//! `--on-stall` and `--on-recover`: commands of the user's, started when a connection stalls or recovers.
//!
//! Never through a shell; the incident comes as JSON on stdin and, for the simplest scripts, as a few environment
//! variables. Bounded in number and time. What they do and print is theirs: only failures are reported.

mod run;

use crate::model::snapshot::Connection;
use std::ffi::OsString;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};

/// What calls for a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Event {
    Stall,
    Recover,
}

impl Event {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Event::Stall => "stall",
            Event::Recover => "recover",
        }
    }

    fn option(self) -> &'static str {
        match self {
            Event::Stall => "--on-stall",
            Event::Recover => "--on-recover",
        }
    }
}

/// A program and its arguments, as they were typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    pub program: OsString,
    pub arguments: Vec<OsString>,
}

impl Command {
    /// The words of the option; `None` when there are none.
    #[must_use]
    pub fn of(words: &[OsString]) -> Option<Self> {
        let (program, arguments) = words.split_first()?;
        Some(Self { program: program.clone(), arguments: arguments.to_vec() })
    }
}

/// What is run, and how much of it at most.
#[derive(Clone, Debug)]
pub struct Options {
    pub on_stall: Option<Command>,
    pub on_recover: Option<Command>,
    /// Commands that may run at the same time; further incidents meanwhile are reported and start none.
    pub at_once: usize,
    /// A command that takes longer is ended, with everything it started.
    pub timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        // A pager or a webhook takes a second or two; a hundred connections that stall at once are one incident.
        Self { on_stall: None, on_recover: None, at_once: 4, timeout: Duration::from_secs(10) }
    }
}

/// Why a command did not do its work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    NotStarted(String),
    /// Its exit status and the first lines of its stderr.
    Failed {
        status: String,
        stderr: String,
    },
    TimedOut(Duration),
    TooMany(usize),
}

/// A command that failed, to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub event: Event,
    pub program: OsString,
    pub problem: Problem,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: ", self.event.option(), self.program.display())?;
        match &self.problem {
            Problem::NotStarted(error) => write!(f, "cannot start it: {error}"),
            Problem::Failed { status, stderr } if stderr.is_empty() => write!(f, "{status}"),
            Problem::Failed { status, stderr } => write!(f, "{status}: {stderr}"),
            Problem::TimedOut(timeout) => {
                write!(f, "ended after {} s (--hook-timeout)", timeout.as_secs_f64())
            }
            Problem::TooMany(n) => write!(f, "not started: {n} commands are running already (--hook-limit)"),
        }
    }
}

/// Starts the commands. Needs a tokio runtime around it.
#[derive(Debug)]
pub struct Hooks {
    options: Options,
    places: Arc<Semaphore>,
    failures: mpsc::UnboundedSender<Failure>,
}

impl Hooks {
    /// The receiver gets every failure; it ends when the hooks are gone and the last command has ended.
    #[must_use]
    pub fn new(options: Options) -> (Self, mpsc::UnboundedReceiver<Failure>) {
        let (failures, receiver) = mpsc::unbounded_channel();
        let places = Arc::new(Semaphore::new(options.at_once));
        (Self { options, places, failures }, receiver)
    }

    /// Starts the command for this event, if there is one, and returns at once. `json`: the incident's line.
    pub fn start(&self, event: Event, connection: &Connection, json: &str) {
        let command = match event {
            Event::Stall => &self.options.on_stall,
            Event::Recover => &self.options.on_recover,
        };
        let Some(command) = command.clone() else { return };
        let failures = self.failures.clone();
        let failed = move |program, problem| {
            // Nobody listens any more: h2watch ends.
            let _ = failures.send(Failure { event, program, problem });
        };
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            failed(command.program, Problem::TooMany(self.options.at_once));
            return;
        };
        let timeout = self.options.timeout;
        let variables = variables(event, connection);
        let input = format!("{json}\n");
        tokio::spawn(async move {
            if let Err(problem) = run::run(&command, &variables, input.as_bytes(), timeout).await {
                failed(command.program, problem);
            }
            drop(place);
        });
    }

    /// Waits until no command runs; each of them ends within its timeout.
    pub async fn finish(self) {
        let all = u32::try_from(self.options.at_once).unwrap_or(u32::MAX);
        // It is never closed, so this cannot fail.
        let _ = self.places.acquire_many(all).await;
    }
}

/// What a shell script needs without parsing JSON.
fn variables(event: Event, connection: &Connection) -> Vec<(&'static str, String)> {
    let reading = &connection.reading;
    vec![
        ("H2WATCH_EVENT", event.as_str().to_owned()),
        ("H2WATCH_CAUSE", connection.verdict.cause.map_or("", |cause| cause.as_str()).to_owned()),
        ("H2WATCH_EVIDENCE", connection.verdict.evidence.clone()),
        ("H2WATCH_ID", reading.id.to_string()),
        ("H2WATCH_PID", reading.owner.pid.to_string()),
        ("H2WATCH_COMM", reading.owner.comm.clone()),
        ("H2WATCH_LOCAL", reading.local.to_string()),
        ("H2WATCH_REMOTE", reading.remote.to_string()),
    ]
}

#[cfg(test)]
mod tests;
