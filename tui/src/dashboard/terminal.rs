//! The terminal while the dashboard is on it: alternate screen and raw mode, given back on drop, on error and on panic.

use super::keys::Input;
use super::state::UiState;
use super::view;
use crate::model::snapshot::Snapshot;
use anyhow::{Context, Result};
use crossterm::cursor::Show;
use crossterm::event::{Event, EventStream, KeyEventKind};
use crossterm::execute;
use crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode, is_raw_mode_enabled,
};
use futures::{Stream, StreamExt};
use ratatui::backend::CrosstermBackend;
use std::io::{self, Stdout, stdout};
use std::pin::Pin;
use std::sync::Once;
use std::task::{Poll, ready};

/// The screen. Whoever holds it draws; dropping it gives the user's screen back.
#[derive(Debug)]
pub struct Terminal {
    inner: ratatui::Terminal<CrosstermBackend<Stdout>>,
}

impl Terminal {
    /// Takes the terminal over, and sees to it that a panic gives it back before its message is printed.
    pub fn open() -> Result<Self> {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let next = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                give_back();
                next(panic);
            }));
        });
        let inner = take_over().inspect_err(|_| give_back()).context(
            "cannot take over the terminal for the dashboard: use --output table or --output json instead",
        )?;
        Ok(Self { inner })
    }

    /// Columns and rows.
    pub fn size(&self) -> Result<(u16, u16)> {
        let size = self.inner.size().context("cannot read the size of the terminal")?;
        Ok((size.width, size.height))
    }

    /// Draws one frame.
    pub fn draw(&mut self, snapshot: &Snapshot, ui: &UiState) -> Result<()> {
        self.inner
            .draw(|frame| view::draw(frame, snapshot, ui))
            .context("cannot draw on the terminal: was it closed?")?;
        Ok(())
    }

    /// Keys and size changes. Needs a tokio runtime.
    #[must_use]
    pub fn inputs(&self) -> Inputs {
        Inputs { events: EventStream::new() }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        give_back();
    }
}

fn take_over() -> io::Result<ratatui::Terminal<CrosstermBackend<Stdout>>> {
    enable_raw_mode()?;
    execute!(stdout(), EnterAlternateScreen)?;
    ratatui::Terminal::new(CrosstermBackend::new(stdout()))
}

/// Does nothing when the terminal is the user's already. `ratatui::restore` leaves the alternate screen each time, which also
/// restores the cursor's position: what was printed after the first time, such as a panic's message, would be overwritten.
fn give_back() {
    if is_raw_mode_enabled().unwrap_or(false) {
        // A failure cannot be told: the place to tell it is the terminal.
        let _ = disable_raw_mode();
        let _ = execute!(stdout(), LeaveAlternateScreen, Show);
    }
}

/// A stream of [`Input`]. It ends when the terminal is closed.
#[derive(Debug)]
pub struct Inputs {
    events: EventStream,
}

impl Stream for Inputs {
    type Item = Input;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut std::task::Context<'_>) -> Poll<Option<Input>> {
        loop {
            return Poll::Ready(match ready!(self.events.poll_next_unpin(context)) {
                Some(Ok(Event::Key(key))) if key.kind != KeyEventKind::Release => Some(Input::Key(key)),
                Some(Ok(Event::Resize(columns, rows))) => Some(Input::Resize(columns, rows)),
                Some(Ok(_)) => continue,
                Some(Err(_)) | None => None,
            });
        }
    }
}
