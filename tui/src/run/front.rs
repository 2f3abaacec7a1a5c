//! Who sees what is found: a person at a terminal, a reader of lines, or only the caller.

use std::time::Duration;

use anyhow::Result;
use futures::StreamExt as _;

use super::Lines;
use super::companions::Aside;
use crate::dashboard::{Banner, Effect, Input, Inputs, Message, Terminal, UiState};
use crate::model::sample::Cookie;
use crate::model::snapshot::{Change, Connection, Snapshot};
use crate::reset::Report;
use crate::reset::latency::Latency;

/// The output of a run.
#[derive(Debug)]
pub enum Front {
    Lines(Lines),
    Screen(Box<Screen>),
    /// Nobody but the caller, at the end (`check`).
    Quiet,
}

/// The dashboard on the terminal.
#[derive(Debug)]
pub struct Screen {
    terminal: Terminal,
    inputs: Inputs,
    pub ui: UiState,
    /// What is on the screen: the last snapshot, or an older one while paused.
    shown: Snapshot,
    /// Lines of the COMMAND that were too many to keep.
    forgotten: u64,
}

/// Lines of a COMMAND's output that are kept under the dashboard.
const OUTPUT_LINES: usize = 10_000;

impl Screen {
    /// Takes over the terminal. `ui` is made from its size.
    ///
    /// # Errors
    /// There is no terminal.
    pub fn open(ui: impl FnOnce((u16, u16)) -> UiState) -> Result<Self> {
        let terminal = Terminal::open()?;
        let ui = ui(terminal.size()?);
        Ok(Self { inputs: terminal.inputs(), terminal, ui, shown: Snapshot::default(), forgotten: 0 })
    }

    /// Keeps a line of the COMMAND, and forgets the oldest one when there are too many.
    fn keep_output(&mut self, line: String) {
        let lines = self.ui.output.get_or_insert_default();
        if lines.len() >= OUTPUT_LINES {
            lines.remove(0);
            self.forgotten += 1;
        }
        lines.push(line);
    }

    /// Gives the terminal back and returns what the COMMAND printed, with a word on what was not kept, and what failed last.
    #[must_use]
    pub fn into_output(self) -> Vec<String> {
        let mut lines = self.ui.output.unwrap_or_default();
        if self.forgotten > 0 {
            lines.insert(
                0,
                format!("h2watch: the first {} lines were not kept (-o FILE keeps all)", self.forgotten),
            );
        }
        lines
    }

    fn show(&mut self, snapshot: &Snapshot) -> Result<()> {
        if !self.ui.paused() {
            self.shown = snapshot.clone();
        }
        self.terminal.draw(&self.shown, &self.ui)
    }
}

impl Front {
    /// From here on nothing is missed.
    pub(super) fn ready(&mut self, snapshot: &Snapshot, watching: &str) -> Result<()> {
        match self {
            Self::Lines(lines) => lines.ready(snapshot, watching),
            Self::Screen(screen) => screen.show(snapshot),
            Self::Quiet => Ok(()),
        }
    }

    /// Shows changes at once, and the whole state when it is time for it.
    pub(super) fn tick(&mut self, snapshot: &Snapshot, changes: &[Change], whole: bool) -> Result<()> {
        match self {
            Self::Lines(lines) => lines.tick(snapshot, changes, whole),
            Self::Screen(screen) if whole || !changes.is_empty() => screen.show(snapshot),
            Self::Screen(_) | Self::Quiet => Ok(()),
        }
    }

    /// Shows a decision about a reset.
    pub(super) fn reset(&mut self, snapshot: &Snapshot, report: &Report) -> Result<()> {
        match self {
            Self::Lines(lines) => lines.reset(snapshot, report),
            Self::Screen(screen) => {
                screen.ui.message = Some(Message::from(report));
                screen.show(snapshot)
            }
            Self::Quiet => Ok(()),
        }
    }

    /// Prints sentences of the demo, where a person reads them.
    pub(super) fn say(&mut self, line: &str) -> Result<()> {
        match self {
            Self::Lines(lines) => lines.say(line),
            Self::Screen(_) | Self::Quiet => Ok(()),
        }
    }

    /// Shows what is not about a connection.
    pub(super) fn aside(&mut self, snapshot: &Snapshot, aside: Aside) -> Result<()> {
        match (self, aside) {
            (Self::Screen(screen), Aside::Output(line)) => {
                screen.keep_output(line);
                Ok(())
            }
            (Self::Screen(screen), Aside::Failure(text)) => {
                screen.ui.message = Some(Message { text, bad: true });
                screen.show(snapshot)
            }
            (Self::Lines(_) | Self::Quiet, Aside::Failure(text)) => warn(&text),
            (Self::Lines(_) | Self::Quiet, Aside::Output(_)) => Ok(()),
        }
    }

    /// What would have been an aside, when the run is over: a screen prints it after it has given the terminal back.
    pub(super) fn last_failure(&mut self, text: &str) -> Result<()> {
        match self {
            Self::Screen(screen) => {
                screen.keep_output(format!("h2watch: {text}"));
                Ok(())
            }
            Self::Lines(_) | Self::Quiet => warn(text),
        }
    }

    /// The demo's link was unplugged or plugged in.
    pub(super) fn unplugged(&mut self, snapshot: &Snapshot, unplugged: bool) -> Result<()> {
        let Self::Screen(screen) = self else { return Ok(()) };
        screen.ui.banner = Banner::Demo { unplugged };
        screen.show(snapshot)
    }

    /// The last line.
    pub(super) fn summary(
        &mut self,
        snapshot: &Snapshot,
        duration: Duration,
        latency: Option<&Latency>,
    ) -> Result<()> {
        match self {
            Self::Lines(lines) => lines.summary(snapshot, duration, latency),
            Self::Screen(_) | Self::Quiet => Ok(()),
        }
    }

    /// The next key; never without a screen. `None`: the terminal was closed.
    pub(super) async fn input(&mut self) -> Option<Input> {
        match self {
            Self::Screen(screen) => screen.inputs.next().await,
            Self::Lines(_) | Self::Quiet => std::future::pending().await,
        }
    }

    /// What a key asks for; the screen is drawn again.
    pub(super) fn handle(&mut self, input: Input, snapshot: &Snapshot) -> Result<Vec<Effect>> {
        let Self::Screen(screen) = self else { return Ok(Vec::new()) };
        let effects = screen.ui.handle(input, &screen.shown);
        screen.show(snapshot)?;
        Ok(effects)
    }

    /// True while a person keeps the screen from changing.
    pub(super) fn paused(&self) -> bool {
        matches!(self, Self::Screen(screen) if screen.ui.paused())
    }

    /// Says something on the screen; false where there is none.
    pub(super) fn note(&mut self, snapshot: &Snapshot, message: Message) -> Result<bool> {
        let Self::Screen(screen) = self else { return Ok(false) };
        screen.ui.message = Some(message);
        screen.show(snapshot)?;
        Ok(true)
    }

    /// A connection as it is on the screen, which may be older than the last look.
    pub(super) fn shown(&self, id: Cookie) -> Option<&Connection> {
        let Self::Screen(screen) = self else { return None };
        screen.shown.connections.iter().find(|connection| connection.reading.id == id)
    }

    /// The connection that a person looks at.
    pub(super) fn selected(&self) -> Option<Cookie> {
        match self {
            Self::Screen(screen) => screen.ui.selected_id(&screen.shown),
            Self::Lines(_) | Self::Quiet => None,
        }
    }
}

/// To standard error: it belongs to no line that programs read.
fn warn(text: &str) -> Result<()> {
    use std::io::Write as _;
    writeln!(std::io::stderr(), "h2watch: {text}")?;
    Ok(())
}
