//! The last line: a message, the filter being typed, or the keys that work now.

use super::super::state::{Overlay, Screen, UiState};
use super::text::ends;
use crate::human::{fit, plain};
use crate::model::snapshot::Snapshot;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, snapshot: &Snapshot, ui: &UiState) {
    let width = usize::from(area.width);
    let line = if let Some(message) = &ui.message {
        let style = if message.bad { ui.theme.critical } else { ui.theme.healthy };
        Line::styled(format!(" {}", fit(&plain(&message.text), width.saturating_sub(2))), style)
    } else if ui.filter_editing {
        let left = vec![Span::styled(" / ", ui.theme.key), Span::raw(ui.filter.clone()), Span::raw("▏")];
        let right = Span::styled("enter keeps, esc clears ", ui.theme.quiet);
        ends(left, vec![right], width)
    } else {
        keys(snapshot, ui, width)
    };
    frame.render_widget(line, area);
}

fn keys<'a>(snapshot: &Snapshot, ui: &UiState, width: usize) -> Line<'a> {
    let filtered = if ui.filter.is_empty() || ui.screen != Screen::Connections {
        Vec::new()
    } else {
        let (shown, all) = (ui.rows(snapshot).len(), snapshot.connections.len());
        let text = format!(" {shown} of {all} match \"{}\" ", fit(&ui.filter, 16));
        vec![Span::styled(text, ui.theme.waiting)]
    };
    // Half a hint is none: those that do not fit are left to the help.
    let mut room = width.saturating_sub(1 + filtered.iter().map(Span::width).sum::<usize>());
    let mut spans = vec![Span::raw(" ")];
    for (key, what) in hints(ui) {
        let text = format!(" {what}");
        let needs = key.len() + text.len();
        if needs > room {
            break;
        }
        room = room.saturating_sub(needs + 2);
        spans.push(Span::styled(key, ui.theme.key));
        spans.push(Span::styled(text + "  ", ui.theme.quiet));
    }
    ends(spans, filtered, width)
}

fn hints(ui: &UiState) -> Vec<(&'static str, &'static str)> {
    let pause = ("p", if ui.paused { "resume" } else { "pause" });
    match (ui.overlay, ui.screen) {
        (Overlay::Help, _) => vec![("any key", "closes this")],
        (Overlay::ConfirmReset(_), _) => vec![("y", "reset"), ("n", "leave it alone")],
        (_, Screen::Connections) => {
            let mut hints = vec![("q", "quit"), ("?", "help"), ("jk", "move"), ("enter", "detail"), pause];
            hints.extend(ui.output.is_some().then_some(("o", "output")));
            hints.extend([("/", "filter"), ("r", "reset"), ("c", "coverage")]);
            hints
        }
        (_, Screen::Detail(_)) => {
            vec![("esc", "back"), ("jk", "scroll"), ("r", "reset"), pause, ("?", "help"), ("q", "quit")]
        }
        _ => vec![("esc", "back"), ("jk", "scroll"), ("g G", "ends"), pause, ("?", "help"), ("q", "quit")],
    }
}
