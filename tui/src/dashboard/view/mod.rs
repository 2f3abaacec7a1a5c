//! From a snapshot and the state of the screen to a frame. Nothing in here changes anything.

mod columns;
mod coverage;
mod detail;
mod facts;
mod footer;
mod frames;
mod header;
mod overlay;
mod table;
mod text;
mod why;

use super::state::{Overlay, Screen, UiState};
use crate::model::snapshot::Snapshot;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::Line;

/// Draws everything.
pub fn draw(frame: &mut Frame<'_>, snapshot: &Snapshot, ui: &UiState) {
    let [head, body, foot] = areas(frame.area(), snapshot, ui);
    header::draw(frame, head, snapshot, ui);
    match ui.screen {
        Screen::Connections => {
            let [rows, reasons] = table_areas(body);
            table::draw(frame, rows, snapshot, ui);
            why::draw(frame, reasons, snapshot, ui);
        }
        _ => page_of_lines(frame, body, snapshot, ui),
    }
    footer::draw(frame, foot, snapshot, ui);
    match ui.overlay {
        Overlay::None => {}
        Overlay::Help => overlay::help(frame, body, ui),
        Overlay::ConfirmReset(id) => overlay::confirm_reset(frame, body, snapshot, ui, id),
    }
}

/// Rows that a page has: for the keys that turn pages.
pub(super) fn page(snapshot: &Snapshot, ui: &UiState) -> usize {
    let [_, body, _] = areas(Rect::new(0, 0, ui.size.0, ui.size.1), snapshot, ui);
    let rows = match ui.screen {
        Screen::Connections => table_areas(body)[0].height.saturating_sub(1),
        _ => body.height,
    };
    usize::from(rows)
}

/// Lines that the present screen has: scrolling ends there.
pub(super) fn length(snapshot: &Snapshot, ui: &UiState) -> usize {
    lines(snapshot, ui, ui.size.0).len()
}

fn areas(area: Rect, snapshot: &Snapshot, ui: &UiState) -> [Rect; 3] {
    let head = Constraint::Length(header::height(snapshot, ui));
    Layout::vertical([head, Constraint::Min(0), Constraint::Length(1)]).areas(area)
}

/// The table, and below it why the selected row is what it is, where there is room for both.
fn table_areas(body: Rect) -> [Rect; 2] {
    let reasons = if body.height >= 12 { why::HEIGHT } else { 0 };
    Layout::vertical([Constraint::Min(0), Constraint::Length(reasons)]).areas(body)
}

/// The screens that are lists of lines.
fn lines<'a>(snapshot: &'a Snapshot, ui: &'a UiState, width: u16) -> Vec<Line<'a>> {
    let width = usize::from(width);
    match ui.screen {
        Screen::Detail(id) => detail::lines(snapshot, ui, id, width),
        Screen::Coverage => coverage::lines(snapshot, ui, width),
        Screen::Output => text::output(ui, width),
        Screen::Connections => Vec::new(),
    }
}

fn page_of_lines(frame: &mut Frame<'_>, area: Rect, snapshot: &Snapshot, ui: &UiState) {
    let lines = lines(snapshot, ui, area.width);
    let height = usize::from(area.height);
    let first = ui.scroll.min(lines.len().saturating_sub(height));
    let below = lines.len().saturating_sub(first + height);
    for (line, row) in lines.into_iter().skip(first).zip(area.rows()) {
        frame.render_widget(line, row);
    }
    if below > 0 {
        text::corner(frame, area, &format!(" {below} more below "), ui.theme.key);
    }
}
