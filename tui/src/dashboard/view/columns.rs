//! The table's columns: what is in a cell, and which columns a terminal of some width has room for.

use super::text::cell;
use crate::human::{byte_rate, peer, plain, rate, short_count, span, span_us};
use crate::model::sample::{Nanos, View};
use crate::model::snapshot::Connection;
use crate::verdict::{Cause, Severity, State};
use unicode_width::UnicodeWidthStr;

/// A column. The order here is the order on the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    Mark,
    State,
    Silence,
    Unanswered,
    Damage,
    Remote,
    Process,
    View,
    InFlight,
    Rtt,
    Streams,
    Age,
    Received,
    Sent,
    Evidence,
}

use Column::{
    Age, Damage, Evidence, InFlight, Mark, Process, Received, Remote, Rtt, Sent, Silence,
    State as StateColumn, Streams, Unanswered, View as ViewColumn,
};

/// What every terminal gets.
const ALWAYS: [Column; 7] = [Mark, StateColumn, Silence, Unanswered, Damage, Remote, Process];
/// What is added while there is room, most useful first.
const OPTIONAL: [Column; 8] = [InFlight, ViewColumn, Rtt, Streams, Evidence, Age, Received, Sent];
/// Names are cut to this before a column of numbers is left out, on narrow and on wide terminals.
const NAME_MIN: usize = 15;
const NAME_MIN_WIDE: usize = 26;
/// From this width on there is room to spare.
const WIDE: usize = 120;
const EVIDENCE_MIN: usize = 36;

impl Column {
    pub(super) fn title(self) -> &'static str {
        match self {
            Mark => "",
            StateColumn => "STATE",
            Silence => "SILENCE",
            Unanswered => "UNANSW",
            Damage => "DAMAGE",
            Remote => "REMOTE",
            Process => "PROCESS",
            ViewColumn => "VIEW",
            InFlight => "FLIGHT",
            Rtt => "RTT",
            Age => "AGE",
            Streams => "STREAMS",
            Sent => "SENT",
            Received => "RECEIVED",
            Evidence => "EVIDENCE",
        }
    }

    pub(super) fn right(self) -> bool {
        !matches!(self, Mark | StateColumn | Remote | Process | ViewColumn | Evidence)
    }

    /// Width of the columns whose content has a bound.
    fn fixed_width(self) -> Option<usize> {
        Some(match self {
            Mark => 3,
            Silence | ViewColumn | Streams => 7,
            Unanswered | Damage | InFlight | Rtt | Age => 6,
            Sent | Received => 10,
            StateColumn | Remote | Process | Evidence => return None,
        })
    }

    /// The cell's text. `-`: the view cannot know, or there is nothing to tell.
    pub(super) fn text(self, connection: &Connection, now_ns: Nanos) -> String {
        let reading = &connection.reading;
        let streams = |n: u64| if reading.view == View::Records { None } else { Some(short_count(n)) };
        let known = match self {
            Mark => Some(mark(connection).to_owned()),
            StateColumn => Some(state(connection).to_owned()),
            Silence => connection.silence_ns(now_ns).map(span),
            Unanswered => streams(reading.streams.unanswered)
                .or_else(|| Some(format!("{}r", short_count(reading.unanswered_records)))),
            Damage => streams(connection.damage),
            Remote => Some(peer(reading)),
            // The number first: what is cut is the name.
            Process => Some(format!("{} {}", reading.owner.pid, plain(&reading.owner.comm))),
            ViewColumn => {
                Some(if resyncing(connection) { "resync" } else { reading.view.as_str() }.to_owned())
            }
            InFlight => streams(reading.streams.in_flight)
                .map(|n| if reading.streams.approximate { format!("~{n}") } else { n }),
            Rtt => reading.tcp.map(|tcp| span_us(tcp.rtt_us)),
            Age => Some(span(now_ns.saturating_sub(reading.opened_ns))),
            Streams => streams(0).map(|_| rate(connection.streams_per_s)),
            Sent => Some(byte_rate(connection.bytes_sent_per_s)),
            Received => Some(byte_rate(connection.bytes_received_per_s)),
            Evidence => Some(plain(&connection.verdict.evidence).into_owned()),
        };
        known.unwrap_or_else(|| "-".to_owned())
    }
}

fn resyncing(connection: &Connection) -> bool {
    connection.reading.sent.resyncing || connection.reading.received.resyncing
}

/// What tells the severity without colour.
fn mark(connection: &Connection) -> &'static str {
    match (connection.verdict.state, connection.verdict.severity) {
        (State::Stalled, Severity::Warning) => " ! ",
        (State::Stalled, _) => " !!",
        (State::Waiting, _) => " ? ",
        // Narrow terminals have no column that says so otherwise.
        _ if resyncing(connection) || connection.reading.streams.approximate => " ~ ",
        (State::Healthy | State::Idle, _) => "   ",
    }
}

/// The cause says more than the word `stalled`.
pub(super) fn state(connection: &Connection) -> &'static str {
    connection.verdict.cause.map_or(connection.verdict.state.as_str(), Cause::as_str)
}

/// Which columns, and how wide.
pub(super) struct Layout {
    pub(super) columns: Vec<(Column, usize)>,
    pub(super) gap: usize,
}

impl Layout {
    pub(super) fn new(connections: &[&Connection], now_ns: Nanos, width: usize) -> Self {
        let (gap, name_min) = if width >= WIDE { (2, NAME_MIN_WIDE) } else { (1, NAME_MIN) };
        let widest = |column: Column| {
            let cells = connections.iter().map(|connection| column.text(connection, now_ns).width());
            cells.max().unwrap_or(0).max(column.title().len())
        };
        let least = |column: Column| match column {
            Evidence => EVIDENCE_MIN,
            Remote | Process => widest(column).min(name_min),
            _ => column.fixed_width().unwrap_or_else(|| widest(column)),
        };
        let mut chosen: Vec<(Column, usize)> = ALWAYS.map(|column| (column, least(column))).into();
        // Neither the mark nor the last column needs a whole gap.
        let spare = gap + gap - 1;
        let mut room =
            (width + spare).saturating_sub(chosen.iter().map(|(_, width)| width + gap).sum::<usize>());
        for column in OPTIONAL {
            let least = least(column);
            if least + gap > room {
                break;
            }
            room -= least + gap;
            chosen.push((column, least));
        }
        // What is left goes to names, then to the evidence.
        for grown in [Remote, Process, Evidence] {
            for (column, width) in &mut chosen {
                if *column == grown {
                    let more = widest(grown).saturating_sub(*width).min(room);
                    *width += more;
                    room -= more;
                }
            }
        }
        chosen.sort_by_key(|(column, _)| *column as usize);
        Self { columns: chosen, gap }
    }

    /// One row of the table as text, cell by cell.
    pub(super) fn cells(&self, text: impl Fn(Column) -> String) -> Vec<(Column, String)> {
        let gap = " ".repeat(self.gap);
        let cells = self.columns.iter().map(|(column, width)| {
            // The mark leans on its word.
            let gap = if *column == Mark { " " } else { &gap };
            (*column, cell(&text(*column), *width, column.right()) + gap)
        });
        cells.collect()
    }
}
