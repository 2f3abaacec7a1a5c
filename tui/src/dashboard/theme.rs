//! Every style of the screen. Colour never carries a meaning alone: each state also has a word and a mark.

use crate::verdict::{Severity, State, Verdict};
use ratatui::style::{Color, Modifier, Style};

/// One style per meaning, not per widget.
#[derive(Clone, Copy, Debug)]
pub struct Theme {
    pub critical: Style,
    pub warning: Style,
    pub waiting: Style,
    pub healthy: Style,
    /// Labels, idle rows and everything that is there but not news.
    pub quiet: Style,
    pub strong: Style,
    pub selected: Style,
    pub column_head: Style,
    pub banner: Style,
    /// Keys in the help and the last line.
    pub key: Style,
}

impl Theme {
    /// The sixteen colours that every terminal has, so that the user's own palette decides how they look.
    #[must_use]
    pub fn colour() -> Self {
        let plain = Style::new();
        Self {
            critical: plain.fg(Color::LightRed).add_modifier(Modifier::BOLD),
            warning: plain.fg(Color::Yellow).add_modifier(Modifier::BOLD),
            waiting: plain.fg(Color::Yellow),
            healthy: plain.fg(Color::Green),
            quiet: plain.fg(Color::DarkGray),
            strong: plain.add_modifier(Modifier::BOLD),
            selected: plain.add_modifier(Modifier::REVERSED),
            column_head: plain.fg(Color::Cyan),
            banner: plain.fg(Color::Black).bg(Color::Yellow).add_modifier(Modifier::BOLD),
            key: plain.fg(Color::Cyan),
        }
    }

    /// `NO_COLOR` (<https://no-color.org>): attributes only.
    #[must_use]
    pub fn without_colour() -> Self {
        let plain = Style::new();
        let bold = plain.add_modifier(Modifier::BOLD);
        Self {
            critical: bold,
            warning: bold,
            waiting: plain,
            healthy: plain,
            quiet: plain.add_modifier(Modifier::DIM),
            strong: bold,
            selected: plain.add_modifier(Modifier::REVERSED),
            column_head: plain.add_modifier(Modifier::UNDERLINED),
            banner: plain.add_modifier(Modifier::REVERSED),
            key: bold,
        }
    }

    /// `no_color`: the environment has a `NO_COLOR` that is not empty.
    #[must_use]
    pub fn new(no_color: bool) -> Self {
        if no_color { Self::without_colour() } else { Self::colour() }
    }

    /// Style of a verdict's word.
    #[must_use]
    pub(super) fn verdict(&self, verdict: &Verdict) -> Style {
        match (verdict.state, verdict.severity) {
            (State::Stalled, Severity::Critical | Severity::None) => self.critical,
            (State::Stalled, Severity::Warning) => self.warning,
            (State::Waiting, _) => self.waiting,
            (State::Healthy, _) => self.healthy,
            (State::Idle, _) => self.quiet,
        }
    }
}
