//! A recording in place of a watch: the same model, rules and outputs. No probe is loaded and no right is needed.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::alarm::Alarm;
use super::front::Front;
use super::playhead::Playhead;
use super::watch::is_broken_pipe;
use super::{Ending, Signals, clock};
use crate::dashboard::{Effect, Input, Message};
use crate::exit::Exit;
use crate::model::Model;
use crate::model::sample::{Nanos, Sample};
use crate::model::snapshot::Snapshot;
use crate::record::{ReadError, Reader, Replay, Speed};

/// Recorded time between two whole states, a little less than the usual interval: samples are never exactly on time.
const WHOLE_EVERY_NS: Nanos = 200_000_000;

/// How to show it.
#[derive(Clone, Debug)]
pub struct Show {
    /// Name of the recording, on every screen and line.
    pub name: String,
    pub speed: Speed,
    pub run_for: Option<Duration>,
    /// What the reader has to know of it, in sentences.
    pub notes: Vec<String>,
}

/// A recording in progress.
struct Player<I> {
    signals: Signals,
    front: Front,
    show: Show,
    watching: String,
    model: Model,
    samples: Replay<I>,
    head: Playhead,
    snapshot: Snapshot,
    /// Recorded time of the first sample.
    first_ns: Option<Nanos>,
    whole_ns: Nanos,
}

/// Why the playing ended.
enum End {
    /// Somebody wanted it, or the time is up.
    Asked,
    /// There is nothing more.
    Over,
    /// What follows cannot be read.
    Unreadable(ReadError),
}

/// Plays a recording to its end. On the dashboard its last state stays until a person quits.
///
/// # Errors
/// It holds nothing, or cannot be read to its end (what comes before is shown); the output cannot be written.
pub async fn replay<R: Read>(
    signals: Signals,
    recording: Reader<R>,
    show: Show,
    front: Front,
) -> Result<Ending> {
    let header = recording.header();
    let watching = format!("recording {} (h2watch {}, Linux {})", show.name, header.h2watch, header.kernel);
    let mut player = Player {
        signals,
        front,
        show: show.clone(),
        watching,
        model: Model::new(header.policy),
        samples: Replay::new(recording, show.speed),
        head: Playhead::new(clock::now_ns()),
        snapshot: Snapshot::default(),
        first_ns: None,
        whole_ns: 0,
    };
    match player.play().await {
        Err(error) if !is_broken_pipe(&error) => Err(error),
        _ => Ok(Ending::Own(Exit::Success)),
    }
}

impl<I: Iterator<Item = Result<Sample, ReadError>>> Player<I> {
    async fn play(&mut self) -> Result<()> {
        let end = self.until_end().await?;
        if let Some(first_ns) = self.first_ns {
            if self.whole_ns != self.snapshot.now_ns {
                self.front.tick(&self.snapshot, &[], true)?;
            }
            let recorded = Duration::from_nanos(self.snapshot.now_ns.saturating_sub(first_ns));
            self.front.summary(&self.snapshot, recorded, None)?;
        }
        match end {
            End::Asked => Ok(()),
            End::Over if self.first_ns.is_none() => {
                bail!("{}: the recording holds no sample", self.show.name)
            }
            End::Over => self.stay("this is the end of the recording", false).await,
            End::Unreadable(error) => {
                self.stay(&error.to_string(), true).await?;
                Err(error).with_context(|| self.show.name.clone())
            }
        }
    }

    async fn until_end(&mut self) -> Result<End> {
        let alarm = Alarm::new()?;
        loop {
            let elapsed = self.head.elapsed(clock::now_ns());
            if self.show.run_for.is_some_and(|run_for| elapsed >= run_for) {
                return Ok(End::Asked);
            }
            if !self.front.paused() {
                match self.samples.due(elapsed) {
                    Some(Ok(sample)) => self.look(&sample)?,
                    Some(Err(error)) => return Ok(End::Unreadable(error)),
                    None => {}
                }
            }
            let Some(next) = self.samples.due_at() else { return Ok(End::Over) };
            let next_ns = self.head.reaches_ns(self.show.run_for.map_or(next, |end| end.min(next)));
            tokio::select! {
                rung = sleep(&alarm, next_ns) => rung?,
                input = self.front.input() => if self.act(input)? { return Ok(End::Asked) },
                _ = self.signals.next() => return Ok(End::Asked),
            }
        }
    }

    /// Judges a sample and shows it.
    fn look(&mut self, sample: &Sample) -> Result<()> {
        let (mut snapshot, changes) = self.model.observe(sample);
        snapshot.degradations.clone_from(&self.show.notes);
        snapshot.recording = Some(Arc::from(self.show.name.as_str()));
        self.snapshot = snapshot;
        let now_ns = self.snapshot.now_ns;
        if self.first_ns.is_none() {
            self.first_ns = Some(now_ns);
            self.whole_ns = now_ns;
            self.front.ready(&self.snapshot, &self.watching)?;
        }
        let whole = now_ns >= self.whole_ns.saturating_add(WHOLE_EVERY_NS);
        if whole {
            self.whole_ns = now_ns;
        }
        self.front.tick(&self.snapshot, &changes, whole)
    }

    /// Carries out what a key asks for; true to end.
    fn act(&mut self, input: Option<Input>) -> Result<bool> {
        let Some(input) = input else { return Ok(true) };
        let effects = self.front.handle(input, &self.snapshot)?;
        self.head.hold(self.front.paused(), clock::now_ns());
        // There is nothing to reset and nothing to unplug.
        Ok(effects.contains(&Effect::Quit))
    }

    /// Leaves the last screen to the person before it, with this sentence.
    async fn stay(&mut self, text: &str, bad: bool) -> Result<()> {
        let message = Message { text: format!("{text}: q quits"), bad };
        if !self.front.note(&self.snapshot, message)? {
            return Ok(());
        }
        loop {
            tokio::select! {
                input = self.front.input() => if self.act(input)? { return Ok(()) },
                _ = self.signals.next() => return Ok(()),
            }
        }
    }
}

/// Until then; for ever without a time.
async fn sleep(alarm: &Alarm, until_ns: Option<Nanos>) -> Result<()> {
    match until_ns {
        Some(until_ns) => alarm.at(until_ns).await,
        None => std::future::pending().await,
    }
}
