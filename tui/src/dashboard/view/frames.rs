//! Frames by type, sent and received, or TLS records where there are no frames. Types that never came are left out.

use super::super::theme::Theme;
use super::text::LABEL;
use crate::human::count;
use crate::model::sample::{Frames, Reading, Records};
use ratatui::text::{Line, Span};

/// A name with what was sent and received; `None`: the view cannot know.
type Kind = (&'static str, Option<u64>, Option<u64>);

const GAP: usize = 2;

pub(super) fn lines(reading: &Reading, theme: &Theme, width: usize) -> Vec<Line<'static>> {
    let frames = kinds(reading.sent.frames.as_ref(), reading.received.frames.as_ref(), frame_counts);
    let records = kinds(reading.sent.records.as_ref(), reading.received.records.as_ref(), record_counts);
    let mut lines = block("frames", &frames, theme, width);
    lines.extend(block("records", &records, theme, width));
    lines
}

fn frame_counts(frames: &Frames) -> Vec<(&'static str, u64)> {
    vec![
        ("all", frames.total()),
        ("HEADERS", frames.headers),
        ("DATA", frames.data),
        ("RST_STREAM", frames.rst_stream),
        ("WINDOW_UPDATE", frames.window_update),
        ("SETTINGS", frames.settings),
        ("PING", frames.ping),
        ("GOAWAY", frames.goaway),
        ("CONTINUATION", frames.continuation),
        ("PRIORITY", frames.priority),
        ("PUSH_PROMISE", frames.push_promise),
        ("other", frames.unknown),
    ]
}

fn record_counts(records: &Records) -> Vec<(&'static str, u64)> {
    vec![("application", records.application), ("handshake", records.handshake), ("alert", records.alert)]
}

/// The types of which there is any, in either direction.
fn kinds<T>(sent: Option<&T>, received: Option<&T>, counts: fn(&T) -> Vec<(&'static str, u64)>) -> Vec<Kind> {
    let (sent, received) = (sent.map(counts), received.map(counts));
    let Some(names) = sent.as_ref().or(received.as_ref()) else { return Vec::new() };
    let of = |side: &Option<Vec<(&str, u64)>>, i: usize| side.as_ref().map(|counts| counts[i].1);
    let all = names.iter().enumerate().map(|(i, (name, _))| (*name, of(&sent, i), of(&received, i)));
    all.filter(|(_, sent, received)| sent.unwrap_or(0) + received.unwrap_or(0) > 0).collect()
}

/// Names above numbers, as many blocks as the width asks for.
fn block(label: &str, kinds: &[Kind], theme: &Theme, width: usize) -> Vec<Line<'static>> {
    let cells: Vec<[String; 3]> = kinds
        .iter()
        .map(|(name, sent, received)| {
            let number = |n: &Option<u64>| n.map_or("-".to_owned(), count);
            [(*name).to_owned(), number(sent), number(received)]
        })
        .collect();
    let mut lines = Vec::new();
    let mut rest = cells.as_slice();
    while !rest.is_empty() {
        let mut room = width.saturating_sub(LABEL + 1);
        let fitting = rest.iter().take_while(|cell| {
            let needs = column_width(cell) + GAP;
            let fits = needs <= room;
            room = room.saturating_sub(needs);
            fits
        });
        let (now, later) = rest.split_at(fitting.count().max(1));
        let labels = [if lines.is_empty() { label } else { "" }, "  sent", "  received"];
        for (i, label) in labels.into_iter().enumerate() {
            let text: String =
                now.iter().map(|cell| format!("{:>1$}{2:GAP$}", cell[i], column_width(cell), "")).collect();
            let style = if i == 0 { theme.quiet } else { ratatui::style::Style::new() };
            lines.push(Line::from(vec![
                Span::styled(format!(" {label:<LABEL$}"), theme.quiet),
                Span::styled(text.trim_end().to_owned(), style),
            ]));
        }
        rest = later;
    }
    lines
}

fn column_width(cell: &[String; 3]) -> usize {
    cell.iter().map(String::len).max().unwrap_or(0)
}
