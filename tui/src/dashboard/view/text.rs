//! Text on the screen: wrapping, labelled facts, alignment. No meaning.

use super::super::state::UiState;
use super::super::theme::Theme;
use crate::human::{fit, plain};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr;

/// Columns of a label, its gap included.
pub(super) const LABEL: usize = 12;

/// `text` in lines of at most `width` columns, broken between words; a word that is longer is cut.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in plain(text).split_whitespace() {
        if !line.is_empty() && line.width() + 1 + word.width() > width {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&fit(word, width));
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

/// A label and its text, which goes on below itself.
pub(super) fn fact(theme: &Theme, label: &str, text: &str, style: Style, width: usize) -> Vec<Line<'static>> {
    wrap(text, width.saturating_sub(LABEL + 2))
        .into_iter()
        .enumerate()
        .map(|(i, part)| {
            let label = if i == 0 { label } else { "" };
            Line::from(vec![
                Span::styled(format!(" {label:<LABEL$}"), theme.quiet),
                Span::styled(part, style),
            ])
        })
        .collect()
}

/// `text` in exactly `width` columns: cut with an ellipsis, or filled on the left or on the right.
pub(super) fn cell(text: &str, width: usize, right: bool) -> String {
    let text = fit(text, width);
    let space = " ".repeat(width.saturating_sub(text.width()));
    if right { format!("{space}{text}") } else { format!("{text}{space}") }
}

/// One line with a left and a right part; the left one gives way.
pub(super) fn ends<'a>(left: Vec<Span<'a>>, right: Vec<Span<'a>>, width: usize) -> Line<'a> {
    let right_width: usize = right.iter().map(Span::width).sum();
    let mut room = width.saturating_sub(right_width);
    let mut spans = Vec::new();
    for span in left {
        let shown = fit(&span.content, room).into_owned();
        room -= shown.width().min(room);
        spans.push(Span::styled(shown, span.style));
    }
    spans.push(Span::raw(" ".repeat(room)));
    spans.extend(right);
    Line::from(spans)
}

/// Text in the lower right corner of an area.
pub(super) fn corner(frame: &mut Frame<'_>, area: Rect, text: &str, style: Style) {
    let width = u16::try_from(text.width()).unwrap_or(u16::MAX).min(area.width);
    if area.height > 0 {
        let place = Rect::new(area.right() - width, area.bottom() - 1, width, 1);
        frame.render_widget(Line::styled(text.to_owned(), style), place);
    }
}

/// What the COMMAND printed.
pub(super) fn output(ui: &UiState, width: usize) -> Vec<Line<'_>> {
    let printed = ui.output.as_deref().unwrap_or_default();
    if printed.is_empty() {
        return vec![Line::styled(" the command has printed nothing yet", ui.theme.quiet)];
    }
    let line = |text: &String| Line::raw(fit(&plain(&text.replace('\t', "    ")), width).into_owned());
    printed.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_broken_between_words_and_long_words_are_cut() {
        assert_eq!(wrap("peer ACKed 0.2 s ago", 10), ["peer ACKed", "0.2 s ago"]);
        assert_eq!(wrap("abcdefghijkl m", 5), ["abcd…", "m"]);
        assert!(wrap("", 5).is_empty());
    }

    #[test]
    fn cells_have_their_width_in_columns() {
        assert_eq!(cell("日本", 6, false), "日本  ");
        assert_eq!(cell("日本語", 5, false), "日本…");
        assert_eq!(cell("日本語", 4, true), " 日…");
        assert_eq!(cell("7", 4, true), "   7");
    }

    #[test]
    fn the_left_end_gives_way() {
        let line = ends(vec![Span::raw("a long left part")], vec![Span::raw("right")], 12);
        assert_eq!(line.to_string(), "a long…right");
    }
}
