//! What lies over the screen: the help, and the question before a reset.

use super::super::state::{UiState, find};
use super::text::{fact, wrap};
use crate::human::{counted, peer, process, span};
use crate::model::sample::{Cookie, View};
use crate::model::snapshot::{Connection, Snapshot};
use crate::verdict::State;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, BorderType, Clear, Paragraph};

/// Keys and words of the screen.
const KEYS: [(&str, &str); 9] = [
    ("j k ↑ ↓ g G", "select, or scroll; pgup and pgdn too"),
    ("enter, esc", "all facts of the selected connection, and back"),
    ("/", "filter: words in process, peer, cause, view, container"),
    ("p, space", "pause: the screen stands still, the watch goes on"),
    ("r", "reset the selected connection; asks first"),
    ("c", "coverage: what is seen of which process, losses, limits"),
    ("o", "what the watched command printed"),
    ("u", "demo: unplug the link, plug it in again"),
    ("q, ctrl-c", "quit"),
];
const WORDS: [(&str, &str); 7] = [
    ("unanswered", "streams opened since the peer was last heard; 37r: TLS records"),
    ("silence", "time since the first of them was opened"),
    ("!! !  ?", "stalled; stalled, but the peer lives; waiting: too early to say"),
    ("damage", "streams opened while stalled: requests that went nowhere"),
    ("flight", "streams opened and not finished; ~ approximate: frames were missed"),
    ("view", "frames: both ways; streams: sent only; records: no streams"),
    ("-", "cannot be known in this view, or did not happen"),
];

pub(super) fn help(frame: &mut Frame<'_>, area: Rect, ui: &UiState) {
    let row = |(name, text): &(&'static str, &'static str)| {
        Line::from(vec![Span::styled(format!(" {name:<12}"), ui.theme.key), Span::raw(*text)])
    };
    let mut lines: Vec<_> = KEYS.iter().map(row).collect();
    lines.push(Line::raw(""));
    lines.extend(WORDS.iter().map(row));
    show(frame, area, " help ", lines, 78, ui.theme.strong);
}

/// The evidence is live: when the connection recovers while one reads, the question says so.
pub(super) fn confirm_reset(
    frame: &mut Frame<'_>,
    area: Rect,
    snapshot: &Snapshot,
    ui: &UiState,
    id: Cookie,
) {
    let width = area.width.min(76);
    let inner = usize::from(width.saturating_sub(2));
    let lines = match find(snapshot, id) {
        Some(connection) => question(connection, snapshot, ui, inner),
        None => vec![
            Line::raw(" It is closed already: there is nothing left to reset."),
            Line::raw(""),
            Line::styled(" n goes back", ui.theme.key),
        ],
    };
    show(frame, area, " reset this connection? ", lines, width, ui.theme.critical);
}

fn question(connection: &Connection, snapshot: &Snapshot, ui: &UiState, width: usize) -> Vec<Line<'static>> {
    let theme = &ui.theme;
    let reading = &connection.reading;
    let name = format!(" {} → {}", process(&reading.owner.comm, reading.owner.pid), peer(reading));
    let mut lines = vec![Line::styled(name, theme.strong), Line::raw("")];
    let style = theme.verdict(&connection.verdict);
    if connection.verdict.state != State::Stalled {
        let text = " It is NOT stalled: its streams would be lost for nothing.";
        lines.push(Line::styled(text, theme.critical));
    }
    let evidence = wrap(&connection.verdict.evidence, width.saturating_sub(2));
    lines.extend(evidence.into_iter().map(|text| Line::styled(format!(" {text}"), style)));
    if let Some(since_ns) = connection.stalled_since_ns {
        let text = format!("for {}", span(snapshot.now_ns.saturating_sub(since_ns)));
        lines.extend(fact(theme, "stalled", &text, Style::new(), width));
    }
    let lost = match reading.view {
        View::Records => "all its streams fail at once; how many is not known".to_owned(),
        _ => {
            let about = if reading.streams.approximate { "about " } else { "" };
            format!("{about}{} in flight fail at once", counted(reading.streams.in_flight, "stream"))
        }
    };
    lines.extend(fact(
        theme,
        "then",
        &format!("{lost}; the client opens a new connection"),
        Style::new(),
        width,
    ));
    lines.push(Line::raw(""));
    lines.push(Line::from(vec![
        Span::styled(" y ", theme.key),
        Span::raw("reset it   "),
        Span::styled("n ", theme.key),
        Span::raw("leave it alone"),
    ]));
    lines
}

fn show(frame: &mut Frame<'_>, area: Rect, title: &str, lines: Vec<Line<'_>>, width: u16, style: Style) {
    let height = u16::try_from(lines.len()).unwrap_or(u16::MAX).saturating_add(2).min(area.height);
    let width = width.min(area.width);
    let left = area.x + (area.width - width) / 2;
    let top = area.y + (area.height - height) / 2;
    let place = Rect::new(left, top, width, height);
    frame.render_widget(Clear, place);
    let block = Block::bordered().border_type(BorderType::Rounded).title(title).border_style(style);
    frame.render_widget(Paragraph::new(lines).block(block), place);
}
