//! The live table: a row per connection, most severe first.

use super::super::state::UiState;
use super::columns::{Column, Layout};
use crate::model::sample::Nanos;
use crate::model::snapshot::{Connection, Snapshot};
use crate::verdict::State;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, snapshot: &Snapshot, ui: &UiState) {
    let rows = ui.rows(snapshot);
    let Some((selected, _)) = ui.selection(&rows) else {
        return nothing(frame, area, snapshot, ui);
    };
    let layout = Layout::new(&rows, snapshot.now_ns, usize::from(area.width));
    let mut lines = vec![head(&layout, ui)];
    let height = usize::from(area.height).saturating_sub(1);
    let first = first_row(selected, rows.len(), height);
    for (i, connection) in rows.iter().enumerate().skip(first).take(height) {
        lines.push(row(&layout, connection, snapshot.now_ns, i == selected, ui));
    }
    for (line, place) in lines.into_iter().zip(area.rows()) {
        frame.render_widget(line, place);
    }
    let below = rows.len().saturating_sub(first + height);
    if below > 0 {
        super::text::corner(frame, area, &format!(" {below} more below "), ui.theme.key);
    }
}

/// The first row shown: the selected one stays in the middle where it can.
fn first_row(selected: usize, rows: usize, height: usize) -> usize {
    selected.saturating_sub(height / 2).min(rows.saturating_sub(height))
}

fn head<'a>(layout: &Layout, ui: &UiState) -> Line<'a> {
    let cells = layout.cells(|column| column.title().to_owned());
    Line::styled(cells.into_iter().map(|(_, text)| text).collect::<String>(), ui.theme.column_head)
}

fn row<'a>(
    layout: &Layout,
    connection: &Connection,
    now_ns: Nanos,
    selected: bool,
    ui: &UiState,
) -> Line<'a> {
    let theme = &ui.theme;
    let verdict = theme.verdict(&connection.verdict);
    let stalled = connection.verdict.state == State::Stalled;
    let spans = layout.cells(|column| column.text(connection, now_ns)).into_iter().map(|(column, text)| {
        let nothing = matches!(text.trim(), "-" | "0" | "0r");
        let style = match column {
            Column::Mark | Column::State => verdict,
            Column::Silence | Column::Unanswered | Column::Damage if stalled && !nothing => verdict,
            _ if nothing || connection.verdict.state == State::Idle => theme.quiet,
            _ => Style::new(),
        };
        // On the selected row one look has to be enough: no style of a cell may fight with the bar.
        Span::styled(text, if selected { Style::new() } else { style })
    });
    let mut spans: Vec<_> = spans.collect();
    if selected {
        if let Some(mark) = spans.first_mut() {
            mark.content = mark.content.replacen(' ', ">", 1).into();
        }
        let width = layout.columns.iter().map(|(_, width)| width + layout.gap).sum::<usize>();
        spans.push(Span::raw(" ".repeat(width)));
    }
    Line::from(spans).style(if selected { verdict.patch(theme.selected) } else { Style::new() })
}

/// An empty table says why it is empty.
fn nothing(frame: &mut Frame<'_>, area: Rect, snapshot: &Snapshot, ui: &UiState) {
    let theme = &ui.theme;
    let lines = if snapshot.connections.is_empty() {
        vec![
            Line::styled("no HTTP/2 client connection", theme.strong),
            Line::raw(""),
            Line::styled("A connection appears with the first bytes that it sends.", theme.quiet),
            Line::styled("c shows what can be seen of which process.", theme.quiet),
        ]
    } else {
        vec![
            Line::styled(format!("no connection matches \"{}\"", ui.filter), theme.strong),
            Line::raw(""),
            Line::styled("esc clears the filter.", theme.quiet),
        ]
    };
    let top = area.height.saturating_sub(4) / 2;
    for (line, place) in lines.into_iter().zip(area.rows().skip(usize::from(top))) {
        frame.render_widget(line.centered(), place);
    }
}

#[cfg(test)]
mod tests {
    use super::first_row;

    #[test]
    fn the_selected_row_is_always_visible() {
        for rows in 1..40_usize {
            for height in 1..20_usize {
                for selected in 0..rows {
                    let first = first_row(selected, rows, height);
                    assert!((first..first + height).contains(&selected), "{selected} of {rows} in {height}");
                }
            }
        }
    }
}
