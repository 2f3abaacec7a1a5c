//! Below the table: why the selected connection is what it is, when that ends, and what would fix it.

use super::super::state::UiState;
use super::facts;
use super::text::{fact, wrap};
use crate::human::{fit, peer, process};
use crate::model::snapshot::Snapshot;
use crate::verdict::State;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Line;

/// A rule, three lines of evidence, the end, the fix.
pub(super) const HEIGHT: u16 = 6;

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, snapshot: &Snapshot, ui: &UiState) {
    let rows = ui.rows(snapshot);
    let Some((_, connection)) = ui.selection(&rows) else { return };
    let (reading, verdict) = (&connection.reading, &connection.verdict);
    let width = usize::from(area.width);
    let name = format!("── {} → {} ", process(&reading.owner.comm, reading.owner.pid), peer(reading));
    let mut lines = vec![Line::styled(format!("{:─<width$}", fit(&name, width)), ui.theme.quiet)];
    let style = ui.theme.verdict(verdict);
    let evidence = wrap(&verdict.evidence, width.saturating_sub(2));
    lines.extend(evidence.into_iter().take(3).map(|text| Line::styled(format!(" {text}"), style)));
    if verdict.state != State::Stalled {
        // Nothing has to be explained: then the first facts are worth more than an empty place.
        for (label, text) in facts::live(connection, snapshot.now_ns).into_iter().take(2) {
            lines.extend(fact(&ui.theme, label, &text, Style::new(), width));
        }
    }
    if let Some(text) = &verdict.gives_up {
        lines.extend(fact(&ui.theme, "gives up", text, ui.theme.strong, width));
    }
    if let Some(text) = &verdict.advice {
        lines.extend(fact(&ui.theme, "fix", text, ui.theme.strong, width));
    }
    for (line, row) in lines.into_iter().zip(area.rows()) {
        frame.render_widget(line, row);
    }
}
