//! What is seen and what is not: limits of this run, losses, and each process with the reason for its view.

use super::super::state::UiState;
use super::text::{cell, fact};
use crate::human::{count, plain, process};
use crate::model::sample::Library;
use crate::model::snapshot::Snapshot;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr;

pub(super) fn lines(snapshot: &Snapshot, ui: &UiState, width: usize) -> Vec<Line<'static>> {
    let mut lines = vec![Line::styled(" What is seen, what is not, and why", ui.theme.strong), Line::raw("")];
    lines.extend(limits(snapshot, ui, width));
    lines.extend(losses(snapshot, ui, width));
    lines.push(Line::raw(""));
    lines.extend(processes(snapshot, ui, width));
    lines
}

fn limits(snapshot: &Snapshot, ui: &UiState, width: usize) -> Vec<Line<'static>> {
    if snapshot.degradations.is_empty() {
        return fact(&ui.theme, "limits", "none: this run can do everything", Style::new(), width);
    }
    let reasons = snapshot.degradations.iter().enumerate();
    reasons
        .flat_map(|(i, reason)| {
            fact(&ui.theme, if i == 0 { "limits" } else { "" }, reason, ui.theme.warning, width)
        })
        .collect()
}

fn losses(snapshot: &Snapshot, ui: &UiState, width: usize) -> Vec<Line<'static>> {
    if snapshot.losses.total() == 0 {
        return fact(&ui.theme, "losses", "none: nothing was missed", Style::new(), width);
    }
    let lost = snapshot.losses.in_words().into_iter().filter(|(n, _)| *n > 0).enumerate();
    lost.flat_map(|(i, (n, what))| {
        let text = format!("{what}: {}", count(n));
        fact(&ui.theme, if i == 0 { "losses" } else { "" }, &text, ui.theme.critical, width)
    })
    .collect()
}

/// Process, library, view and the reason, which goes on below itself.
fn processes(snapshot: &Snapshot, ui: &UiState, width: usize) -> Vec<Line<'static>> {
    if snapshot.processes.is_empty() {
        return fact(&ui.theme, "processes", "no process with TLS connections is known", Style::new(), width);
    }
    let name = |p: &crate::model::sample::Process| process(&p.comm, p.pid);
    let names = snapshot.processes.iter().map(|process| name(process).width());
    let name_width = names.max().unwrap_or(0).clamp(7, 24);
    let left = name_width + 23;
    let head = format!(" {:<name_width$}  {:<9}  {:<7}  {}", "PROCESS", "LIBRARY", "VIEW", "REASON");
    let mut lines = vec![Line::styled(head, ui.theme.column_head)];
    for process in &snapshot.processes {
        let library = process.library.map_or("-", Library::as_str);
        let view = process.view.as_str();
        let start = format!(" {}  {library:<9}  {view:<7}  ", cell(&name(process), name_width, false));
        for (i, text) in
            super::text::wrap(&plain(&process.reason), width.saturating_sub(left + 1)).into_iter().enumerate()
        {
            let start = if i == 0 { start.clone() } else { " ".repeat(start.width()) };
            lines.push(Line::from(vec![Span::raw(start), Span::styled(text, ui.theme.quiet)]));
        }
    }
    lines
}
