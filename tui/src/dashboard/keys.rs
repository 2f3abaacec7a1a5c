//! What a key means. A key changes the state of the screen, or asks the run loop for an effect; it does nothing itself.

use super::state::{Banner, Message, Overlay, Screen, UiState, find};
use super::view;
use crate::model::sample::Cookie;
use crate::model::snapshot::Snapshot;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// What the terminal reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    Key(KeyEvent),
    /// Columns and rows.
    Resize(u16, u16),
}

/// What the run loop has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    Quit,
    /// The user saw the evidence and said yes. It is judged again before anything is done.
    Reset(Cookie),
    /// Demo: unplug the link, or plug it in again.
    Unplug,
}

impl UiState {
    /// Takes one input. `snapshot` is the one on the screen.
    #[must_use]
    pub fn handle(&mut self, input: Input, snapshot: &Snapshot) -> Vec<Effect> {
        let key = match input {
            Input::Resize(columns, rows) => {
                self.size = (columns, rows);
                return Vec::new();
            }
            Input::Key(key) => key,
        };
        self.message = None;
        if key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL) {
            return vec![Effect::Quit];
        }
        if self.filter_editing {
            self.edit_filter(key);
            return Vec::new();
        }
        match self.overlay {
            Overlay::Help => {
                self.overlay = Overlay::None;
                Vec::new()
            }
            Overlay::ConfirmReset(id) => self.answer(key, id, snapshot),
            Overlay::None => self.command(key, snapshot),
        }
    }

    fn edit_filter(&mut self, key: KeyEvent) {
        match key.code {
            KeyCode::Enter => self.filter_editing = false,
            KeyCode::Esc => {
                self.filter.clear();
                self.filter_editing = false;
            }
            KeyCode::Backspace => {
                self.filter.pop();
            }
            KeyCode::Char('u') if key.modifiers.contains(KeyModifiers::CONTROL) => self.filter.clear(),
            KeyCode::Char(c) if !key.modifiers.contains(KeyModifiers::CONTROL) => self.filter.push(c),
            _ => {}
        }
    }

    /// Only `y` is a yes: enter is too easily pressed twice.
    fn answer(&mut self, key: KeyEvent, id: Cookie, snapshot: &Snapshot) -> Vec<Effect> {
        match key.code {
            KeyCode::Char('y') if find(snapshot, id).is_some() => {
                self.overlay = Overlay::None;
                vec![Effect::Reset(id)]
            }
            KeyCode::Char('n' | 'q') | KeyCode::Esc => {
                self.overlay = Overlay::None;
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    fn command(&mut self, key: KeyEvent, snapshot: &Snapshot) -> Vec<Effect> {
        match key.code {
            KeyCode::Char('q') => return vec![Effect::Quit],
            KeyCode::Char('u') if matches!(self.banner, Banner::Demo { .. }) => {
                return vec![Effect::Unplug];
            }
            KeyCode::Char('?') => self.overlay = Overlay::Help,
            KeyCode::Char('p' | ' ') => self.paused = !self.paused,
            KeyCode::Char('r') => self.ask_reset(snapshot),
            KeyCode::Char('c') => self.toggle(Screen::Coverage),
            KeyCode::Char('o') if self.output.is_some() => self.toggle(Screen::Output),
            KeyCode::Esc | KeyCode::Backspace => self.back(),
            _ if self.screen == Screen::Connections => self.move_selection(key, snapshot),
            KeyCode::Enter => self.back(),
            _ => self.move_page(key, snapshot),
        }
        Vec::new()
    }

    fn toggle(&mut self, screen: Screen) {
        self.screen = if self.screen == screen { Screen::Connections } else { screen };
        // What a command printed last is what one wants to see; drawing stops at the end.
        self.scroll = if self.screen == Screen::Output { usize::MAX } else { 0 };
    }

    /// One step back: from a screen to the table, from a filtered table to the whole.
    fn back(&mut self) {
        if self.screen == Screen::Connections {
            self.filter.clear();
        }
        self.screen = Screen::Connections;
    }

    fn ask_reset(&mut self, snapshot: &Snapshot) {
        let Some(id) = self.selected_id(snapshot) else { return };
        let text = match self.banner {
            Banner::Recording(_) => "this is a recording: there is nothing to reset",
            _ if self.reset_allowed => {
                self.overlay = Overlay::ConfirmReset(id);
                return;
            }
            _ => "resets are off: start h2watch with --reset=confirm to allow them",
        };
        self.message = Some(Message { text: text.to_owned(), bad: true });
    }

    fn move_selection(&mut self, key: KeyEvent, snapshot: &Snapshot) {
        let rows = self.rows(snapshot);
        let Some((row, connection)) = self.selection(&rows) else {
            self.filter_editing = key.code == KeyCode::Char('/');
            return;
        };
        let page = view::page(snapshot, self);
        match key.code {
            KeyCode::Char('j') | KeyCode::Down => self.select(row + 1, &rows),
            KeyCode::Char('k') | KeyCode::Up => self.select(row.saturating_sub(1), &rows),
            KeyCode::Char('g') | KeyCode::Home => self.select(0, &rows),
            KeyCode::Char('G') | KeyCode::End => self.select(usize::MAX, &rows),
            KeyCode::PageDown => self.select(row + page, &rows),
            KeyCode::PageUp => self.select(row.saturating_sub(page), &rows),
            KeyCode::Char('/') => self.filter_editing = true,
            KeyCode::Enter => {
                self.select(row, &rows);
                self.screen = Screen::Detail(connection.reading.id);
                self.scroll = 0;
            }
            _ => {}
        }
    }

    fn move_page(&mut self, key: KeyEvent, snapshot: &Snapshot) {
        let page = view::page(snapshot, self);
        let last = view::length(snapshot, self).saturating_sub(page);
        let scroll = self.scroll.min(last);
        self.scroll = match key.code {
            KeyCode::Char('j') | KeyCode::Down => scroll + 1,
            KeyCode::Char('k') | KeyCode::Up => scroll.saturating_sub(1),
            KeyCode::Char('g') | KeyCode::Home => 0,
            KeyCode::Char('G') | KeyCode::End => last,
            KeyCode::PageDown => scroll + page,
            KeyCode::PageUp => scroll.saturating_sub(page),
            _ => scroll,
        }
        .min(last);
        if self.screen == Screen::Output && self.scroll == last {
            // At its end the output is followed as it grows.
            self.scroll = usize::MAX;
        }
    }
}
