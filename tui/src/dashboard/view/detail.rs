//! Everything that is known of one connection: the verdict first, then the facts it was made from.

use super::super::state::{UiState, find};
use super::text::{ends, fact, wrap};
use super::{columns, facts, frames};
use crate::human::{peer, process, span};
use crate::model::sample::Cookie;
use crate::model::snapshot::{Connection, Snapshot};
use crate::verdict::State;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

pub(super) fn lines(snapshot: &Snapshot, ui: &UiState, id: Cookie, width: usize) -> Vec<Line<'static>> {
    let Some(connection) = find(snapshot, id) else {
        return gone(ui, id);
    };
    let mut lines = vec![title(connection, snapshot, ui, width), rule(ui, width)];
    lines.extend(verdict(connection, ui, width));
    lines.push(rule(ui, width));
    let words = |(label, text): (&str, String)| fact(&ui.theme, label, &text, Style::new(), width);
    lines.extend(facts::live(connection, snapshot.now_ns).into_iter().flat_map(words));
    lines.extend(frames::lines(&connection.reading, &ui.theme, width));
    lines.extend(facts::identity(connection, snapshot).into_iter().flat_map(words));
    lines
}

fn title(connection: &Connection, snapshot: &Snapshot, ui: &UiState, width: usize) -> Line<'static> {
    let reading = &connection.reading;
    let style = ui.theme.verdict(&connection.verdict);
    let stalled_ns = connection.stalled_since_ns.map(|since| snapshot.now_ns.saturating_sub(since));
    let lasting = stalled_ns.map(|span_ns| format!(" for {}", span(span_ns))).unwrap_or_default();
    let name = format!(" {} → {}", process(&reading.owner.comm, reading.owner.pid), peer(reading));
    let state = match connection.verdict.cause {
        Some(_) => format!("stalled: {}{lasting} ", columns::state(connection)),
        None => format!("{} ", columns::state(connection)),
    };
    ends(vec![Span::styled(name, ui.theme.strong)], vec![Span::styled(state, style)], width)
}

fn verdict(connection: &Connection, ui: &UiState, width: usize) -> Vec<Line<'static>> {
    let verdict = &connection.verdict;
    let style = ui.theme.verdict(verdict);
    let mut lines: Vec<_> = wrap(&verdict.evidence, width.saturating_sub(2))
        .into_iter()
        .map(|text| Line::styled(format!(" {text}"), style))
        .collect();
    if let Some(text) = &verdict.gives_up {
        lines.extend(fact(&ui.theme, "gives up", text, ui.theme.strong, width));
    } else if verdict.state == State::Stalled {
        lines.extend(fact(&ui.theme, "gives up", "cannot be told from here", ui.theme.quiet, width));
    }
    if let Some(text) = &verdict.advice {
        lines.extend(fact(&ui.theme, "fix", text, ui.theme.strong, width));
    }
    lines
}

fn rule(ui: &UiState, width: usize) -> Line<'static> {
    Line::styled("─".repeat(width), ui.theme.quiet)
}

fn gone(ui: &UiState, id: Cookie) -> Vec<Line<'static>> {
    vec![
        Line::raw(""),
        Line::styled(format!(" The connection {id} is closed."), ui.theme.strong),
        Line::styled(" esc goes back to the open ones.", ui.theme.quiet),
    ]
}
