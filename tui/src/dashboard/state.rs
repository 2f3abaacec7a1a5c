//! What the screen remembers between two frames: which screen, which connection, which filter. No facts about connections:
//! those come with each snapshot.

use super::theme::Theme;
use crate::model::sample::{Cookie, View};
use crate::model::snapshot::{Connection, Snapshot};
use crate::verdict::State;
use std::cmp::Reverse;

/// What fills the screen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Screen {
    #[default]
    Connections,
    /// One connection, by its id: rows move, it does not.
    Detail(Cookie),
    /// Processes, losses and limits.
    Coverage,
    /// What the COMMAND printed.
    Output,
}

/// What lies over it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Overlay {
    #[default]
    None,
    Help,
    /// "Really reset this one?"
    ConfirmReset(Cookie),
}

/// A line that is always visible while what is on the screen is not simply live.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Banner {
    #[default]
    None,
    /// A recording is played; its name.
    Recording(String),
    /// The demo, and whether its link is unplugged now.
    Demo { unplugged: bool },
}

/// Something that the run loop has to say, e.g. the outcome of a reset. The next key clears it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub text: String,
    /// It did not go well.
    pub bad: bool,
}

/// State of the screen.
#[derive(Clone, Debug)]
pub struct UiState {
    pub theme: Theme,
    /// What is watched, in words.
    pub watching: String,
    pub banner: Banner,
    pub message: Option<Message>,
    /// `r` asks; else it explains how to allow it.
    pub reset_allowed: bool,
    /// Lines that the COMMAND printed; `None` without a COMMAND.
    pub output: Option<Vec<String>>,
    pub(super) screen: Screen,
    pub(super) overlay: Overlay,
    pub(super) paused: bool,
    /// Lower case words, all of which a row must contain.
    pub(super) filter: String,
    pub(super) filter_editing: bool,
    pub(super) selected: Option<Cookie>,
    /// Where the selected row was: its neighbour is selected when it goes.
    pub(super) selected_row: usize,
    /// First line of screens longer than the terminal. Drawing never scrolls past the end.
    pub(super) scroll: usize,
    /// Columns and rows of the terminal.
    pub(super) size: (u16, u16),
}

impl UiState {
    /// The first screen. `size`: columns and rows.
    #[must_use]
    pub fn new(theme: Theme, watching: impl Into<String>, size: (u16, u16)) -> Self {
        Self {
            theme,
            watching: watching.into(),
            banner: Banner::None,
            message: None,
            reset_allowed: false,
            output: None,
            screen: Screen::default(),
            overlay: Overlay::default(),
            paused: false,
            filter: String::new(),
            filter_editing: false,
            selected: None,
            selected_row: 0,
            scroll: 0,
            size,
        }
    }

    /// While paused the run loop goes on drawing the snapshot that it drew last.
    #[must_use]
    pub fn paused(&self) -> bool {
        self.paused
    }

    /// The connection that the user looks at: worth a look at its TCP facts although nothing is wrong with it.
    #[must_use]
    pub fn selected_id(&self, snapshot: &Snapshot) -> Option<Cookie> {
        match (self.overlay, self.screen) {
            (Overlay::ConfirmReset(id), _) | (_, Screen::Detail(id)) => Some(id),
            _ => self.selection(&self.rows(snapshot)).map(|(_, connection)| connection.reading.id),
        }
    }

    /// The connections that pass the filter: stalled ones first, most severe first, then the oldest first. Other states
    /// do not count: they change with every request, and rows that jump cannot be read.
    pub(super) fn rows<'a>(&self, snapshot: &'a Snapshot) -> Vec<&'a Connection> {
        let words: Vec<_> = self.filter.split_whitespace().map(str::to_lowercase).collect();
        let mut rows: Vec<_> =
            snapshot.connections.iter().filter(|connection| matches(connection, &words)).collect();
        rows.sort_by_key(|connection| {
            let verdict = &connection.verdict;
            let stalled = (verdict.state == State::Stalled).then_some(verdict.severity);
            (Reverse(stalled), connection.reading.opened_ns)
        });
        rows
    }

    /// The selected row and its connection. Nothing selected yet: the first, which is the most severe.
    pub(super) fn selection<'a>(&self, rows: &[&'a Connection]) -> Option<(usize, &'a Connection)> {
        let row = self
            .selected
            .and_then(|id| rows.iter().position(|connection| connection.reading.id == id))
            .unwrap_or_else(|| self.selected_row.min(rows.len().saturating_sub(1)));
        rows.get(row).map(|connection| (row, *connection))
    }

    /// Selects a row; the selection then follows its connection.
    pub(super) fn select(&mut self, row: usize, rows: &[&Connection]) {
        let row = row.min(rows.len().saturating_sub(1));
        self.selected_row = row;
        self.selected = rows.get(row).map(|connection| connection.reading.id);
    }
}

/// Every word occurs somewhere in what names the connection.
fn matches(connection: &Connection, words: &[String]) -> bool {
    if words.is_empty() {
        return true;
    }
    let reading = &connection.reading;
    let name = reading.tls.as_ref().and_then(|tls| tls.server_name.as_deref()).unwrap_or_default();
    let cause = connection.verdict.cause.map_or("", crate::verdict::Cause::as_str);
    let library = reading.library.map_or("", crate::model::sample::Library::as_str);
    let container = reading.owner.container.as_deref().unwrap_or_default();
    let text = format!(
        "{} {} {} {} {name} {} {cause} {} {library} {container} {}",
        reading.owner.comm,
        reading.owner.pid,
        reading.local,
        reading.remote,
        connection.verdict.state.as_str(),
        View::as_str(reading.view),
        reading.owner.cgroup,
    )
    .to_lowercase();
    words.iter().all(|word| text.contains(word))
}

/// Finds a connection of a snapshot by its id.
pub(super) fn find(snapshot: &Snapshot, id: Cookie) -> Option<&Connection> {
    snapshot.connections.iter().find(|connection| connection.reading.id == id)
}
