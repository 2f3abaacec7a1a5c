//! The lines on top: what is watched, how it is, what was missed. Always visible.

use super::super::state::{Banner, UiState};
use super::text::ends;
use crate::human::{byte_rate, count, counted, fit, plain, rate, time_of_day};
use crate::model::snapshot::{Connection, Snapshot};
use crate::verdict::{Severity, State};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

/// Title and totals, then the banner and the limits where there are any.
pub(super) fn height(snapshot: &Snapshot, ui: &UiState) -> u16 {
    2 + u16::from(ui.banner != Banner::None) + u16::from(!snapshot.degradations.is_empty())
}

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, snapshot: &Snapshot, ui: &UiState) {
    let width = usize::from(area.width);
    let mut lines = Vec::new();
    lines.extend(banner(ui, width));
    lines.push(title(snapshot, ui, width));
    lines.push(totals(snapshot, ui, width));
    lines.extend(limits(snapshot, ui, width));
    for (line, row) in lines.into_iter().zip(area.rows()) {
        frame.render_widget(line, row);
    }
}

fn banner<'a>(ui: &UiState, width: usize) -> Option<Line<'a>> {
    let text = match &ui.banner {
        Banner::None => return None,
        Banner::Recording(name) => {
            format!(" RECORDING  {}: this happened before, nothing here is live", plain(name))
        }
        Banner::Demo { unplugged: false } => " DEMO  press u to unplug the link".to_owned(),
        Banner::Demo { unplugged: true } => {
            " DEMO  the link is UNPLUGGED: press u to plug it in again".to_owned()
        }
    };
    Some(Line::styled(format!("{:<width$}", fit(&text, width)), ui.theme.banner))
}

fn title<'a>(snapshot: &Snapshot, ui: &UiState, width: usize) -> Line<'a> {
    let theme = &ui.theme;
    let left = vec![Span::styled(" h2watch  ", theme.strong), Span::raw(format!("{} ", plain(&ui.watching)))];
    let mut right = Vec::new();
    if ui.paused {
        right.push(Span::styled(" PAUSED ", theme.banner));
        right.push(Span::raw("  "));
    }
    right.push(Span::styled(format!("{} UTC ", time_of_day(snapshot.unix_ns, false)), theme.quiet));
    ends(left, right, width)
}

/// `2 stalled  1 waiting  5 healthy  12 idle   157/s streams ...   damage 33   losses 0`
fn totals<'a>(snapshot: &Snapshot, ui: &UiState, width: usize) -> Line<'a> {
    let theme = &ui.theme;
    let news = |n: u64, style: Style| if n > 0 { style } else { theme.quiet };
    let mut left = vec![Span::raw(" ")];
    if snapshot.connections.is_empty() {
        left.push(Span::styled("no connections  ", theme.quiet));
    }
    for (state, style) in [
        (State::Stalled, stall_style(snapshot, ui)),
        (State::Waiting, theme.waiting),
        (State::Healthy, theme.healthy),
        (State::Idle, theme.quiet),
    ] {
        // States that no connection is in are left out: the word `stalled` is on the screen only when it is true.
        let n = snapshot.connections.iter().filter(|c| c.verdict.state == state).count() as u64;
        if n > 0 {
            left.push(Span::styled(format!("{} {}", count(n), state.as_str()), style));
            left.push(Span::raw("  "));
        }
    }
    let (damage, losses) = (snapshot.totals.damage, snapshot.losses.total());
    let right = vec![
        Span::styled(format!("damage {}", count(damage)), news(damage, theme.warning)),
        Span::raw("  "),
        Span::styled(format!("losses {} ", count(losses)), news(losses, theme.critical)),
    ];
    let mut room = width.saturating_sub(left.iter().chain(&right).map(Span::width).sum());
    for text in rates(snapshot) {
        // Half a number is none.
        if text.len() + 2 > room {
            break;
        }
        room -= text.len() + 2;
        left.push(Span::styled(text + "  ", theme.quiet));
    }
    ends(left, right, width)
}

/// What is also worth knowing, most useful first.
fn rates(snapshot: &Snapshot) -> [String; 5] {
    let sum = |of: fn(&Connection) -> f64| snapshot.connections.iter().map(of).sum();
    [
        format!("{} streams", rate(sum(|c| c.streams_per_s))),
        format!("{} sent", byte_rate(sum(|c| c.bytes_sent_per_s))),
        format!("{} received", byte_rate(sum(|c| c.bytes_received_per_s))),
        format!("{} in all", counted(snapshot.totals.streams_opened, "stream")),
        format!("{} closed", counted(snapshot.totals.connections_closed, "connection")),
    ]
}

/// The style of the worst stall.
fn stall_style(snapshot: &Snapshot, ui: &UiState) -> Style {
    let critical =
        |c: &Connection| c.verdict.state == State::Stalled && c.verdict.severity != Severity::Warning;
    if snapshot.connections.iter().any(critical) { ui.theme.critical } else { ui.theme.warning }
}

/// The first limit of this run; all of them are on the coverage screen.
fn limits<'a>(snapshot: &Snapshot, ui: &UiState, width: usize) -> Option<Line<'a>> {
    let first = snapshot.degradations.first()?;
    let others = snapshot.degradations.len() - 1;
    let more = if others > 0 { format!(" (+{others}: c) ") } else { " (c) ".to_owned() };
    let left = vec![Span::styled(" limited: ", ui.theme.warning), Span::raw(plain(first).into_owned())];
    Some(ends(left, vec![Span::styled(more, ui.theme.key)], width))
}
