//! The page for a person: what is stalled, with evidence, then the rest. Rendered here, no script, refreshed by the browser,
//! readable on a phone. It shows at most `MAX_ROWS` connections; all of them are in `/connections`.

use super::labels;
use crate::model::sample::{Reading, View};
use crate::model::snapshot::{Connection, Snapshot};
use crate::verdict::{Severity, State};
use std::fmt::{self, Display, Write as _};

/// More rows help nobody who reads them on a phone.
const MAX_ROWS: usize = 200;

/// Text that may hold anything, as HTML text or attribute value.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                // Bidirectional overrides and other controls could make a line read as something else.
                c if c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') => {
                    write!(f, "\u{fffd}")?;
                }
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

const STYLE: &str = include_str!("page.css");

/// The whole page. `stale`: in words, when the snapshot is not fresh.
pub(super) fn render(snapshot: Option<&Snapshot>, stale: Option<&str>) -> String {
    let mut html = String::with_capacity(16 * 1024);
    // Writing into a String cannot fail.
    let _ = write(&mut html, snapshot, stale);
    html
}

fn write(html: &mut String, snapshot: Option<&Snapshot>, stale: Option<&str>) -> fmt::Result {
    let stalled = snapshot.map_or(0, stalled);
    let title = if stalled > 0 { format!("{stalled} stalled · h2watch") } else { "h2watch".to_owned() };
    writeln!(
        html,
        "<!doctype html>\n<html lang=en><head><meta charset=utf-8><title>{title}</title>\
         <meta name=viewport content=\"width=device-width, initial-scale=1\">\
         <meta http-equiv=refresh content=5><style>{STYLE}</style></head><body>\n<h1>h2watch</h1>"
    )?;
    if let Some(words) = stale {
        writeln!(html, "<p class=stale role=alert>{}</p>", Escaped(words))?;
    }
    if let Some(snapshot) = snapshot {
        summary(html, snapshot, stalled)?;
        let (bad, rest): (Vec<_>, Vec<_>) =
            snapshot.connections.iter().partition(|c| c.verdict.state == State::Stalled);
        for connection in bad.iter().take(MAX_ROWS) {
            card(html, connection, snapshot)?;
        }
        table(html, &rest[..rest.len().min(MAX_ROWS.saturating_sub(bad.len()))], snapshot)?;
        if snapshot.connections.len() > MAX_ROWS {
            let more = snapshot.connections.len() - MAX_ROWS;
            writeln!(html, "<p>{more} more connections are in <a href=/connections>/connections</a>.</p>")?;
        }
        limits(html, snapshot)?;
    }
    html.write_str(
        "<footer><a href=/metrics>/metrics</a> <a href=/connections>/connections</a> <a href=/healthz>/healthz</a></footer>\n\
         </body></html>\n",
    )
}

fn stalled(snapshot: &Snapshot) -> usize {
    snapshot.connections.iter().filter(|c| c.verdict.state == State::Stalled).count()
}

fn summary(html: &mut String, snapshot: &Snapshot, stalled: usize) -> fmt::Result {
    let class = if stalled > 0 { "bad" } else { "good" };
    let lost = snapshot.losses.total();
    writeln!(
        html,
        "<ul class=summary><li class={class}><b>{stalled}</b> stalled<li><b>{}</b> connections<li><b>{}</b> streams lost to \
         dead connections<li class={}><b>{lost}</b> events lost</ul>",
        snapshot.connections.len(),
        snapshot.totals.damage,
        if lost > 0 { "bad" } else { "quiet" },
    )
}

fn card(html: &mut String, connection: &Connection, snapshot: &Snapshot) -> fmt::Result {
    let (reading, verdict) = (&connection.reading, &connection.verdict);
    let class = if verdict.severity == Severity::Warning { "warning" } else { "critical" };
    let cause = verdict.cause.map_or("unknown", |cause| cause.as_str());
    write!(
        html,
        "<article class={class}><h2><span class=cause>{cause}</span> {} <span class=arrow>→</span> {}</h2><p>{}</p>",
        Escaped(&who(reading)),
        Escaped(&labels::destination(reading)),
        Escaped(&verdict.evidence),
    )?;
    for (what, words) in [("The kernel gives up", &verdict.gives_up), ("Fix", &verdict.advice)] {
        if let Some(words) = words {
            write!(html, "<p class=more>{what}: {}</p>", Escaped(words))?;
        }
    }
    let since = connection.stalled_since_ns.map_or(0, |since| snapshot.now_ns.saturating_sub(since));
    write!(
        html,
        "<dl><dt>stalled for<dd>{}<dt>streams lost<dd>{}<dt>in flight<dd>{}<dt>seen as<dd>{}<dt>address<dd>{} → {}<dt>id<dd>{}",
        age(since),
        connection.damage,
        in_flight(reading),
        reading.view.as_str(),
        reading.local,
        reading.remote,
        reading.id,
    )?;
    let owner = &reading.owner;
    for (name, value) in [("container", &owner.container), ("pod", &owner.pod_uid), ("unit", &owner.unit)] {
        if let Some(value) = value {
            write!(html, "<dt>{name}<dd>{}", Escaped(value))?;
        }
    }
    html.write_str("</dl></article>\n")
}

fn table(html: &mut String, connections: &[&Connection], snapshot: &Snapshot) -> fmt::Result {
    if connections.is_empty() {
        return Ok(());
    }
    html.write_str("<table><thead><tr><th>process<th>destination<th>state<th class=n>in flight<th class=n>silence<th>seen as</thead>\n")?;
    for connection in connections {
        let reading = &connection.reading;
        writeln!(
            html,
            "<tr><td>{}<td>{}<td>{}<td class=n data-l=\"in flight \">{}<td class=n data-l=\"silence \">{}<td>{} {}",
            Escaped(&who(reading)),
            Escaped(&labels::destination(reading)),
            connection.verdict.state.as_str(),
            in_flight(reading),
            connection.silence_ns(snapshot.now_ns).map_or("–".to_owned(), age),
            reading.transport.as_str(),
            reading.view.as_str(),
        )?;
    }
    html.write_str("</table>\n")
}

fn limits(html: &mut String, snapshot: &Snapshot) -> fmt::Result {
    for words in &snapshot.degradations {
        writeln!(html, "<p class=limit>{}</p>", Escaped(words))?;
    }
    Ok(())
}

fn who(reading: &Reading) -> String {
    let name = if reading.owner.comm.is_empty() { "?" } else { &reading.owner.comm };
    format!("{name} ({})", reading.owner.pid)
}

/// An exact number only where the view can know it.
fn in_flight(reading: &Reading) -> String {
    match reading.view {
        View::Records => "–".to_owned(),
        _ if reading.streams.approximate => format!("~{}", reading.streams.in_flight),
        _ => reading.streams.in_flight.to_string(),
    }
}

fn age(nanos: u64) -> String {
    let seconds = nanos / 1_000_000_000;
    match seconds {
        0..10 => format!("{:.1} s", super::seconds(nanos)),
        10..120 => format!("{seconds} s"),
        120..7200 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_become_markup() {
        let hostile = "<img src=x onerror=alert(1)>&\"'\u{202e}\u{0}";
        let shown = Escaped(hostile).to_string();
        assert_eq!(shown, "&lt;img src=x onerror=alert(1)&gt;&amp;&quot;&#39;\u{fffd}\u{fffd}");
    }

    #[test]
    fn ages_are_read_at_a_glance() {
        for (seconds, words) in [(0, "0.0 s"), (12, "12 s"), (125, "2 min 5 s"), (7500, "2 h 5 min")] {
            assert_eq!(age(seconds * 1_000_000_000), words);
        }
    }

    #[test]
    fn nothing_seen_yet_is_a_page_too() {
        let html = render(None, Some("the probe has not been read yet"));
        assert!(html.contains("has not been read yet") && html.ends_with("</html>\n"));
    }
}
