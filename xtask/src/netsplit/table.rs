//! What the runs measured, as lines, a table and JSON.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::Variant;

/// One run.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) variant: Variant,
    /// What the client printed.
    pub(crate) result: Value,
    /// What h2watch wrote.
    pub(crate) lines: Vec<Value>,
    pub(crate) stall_after: String,
}

impl Row {
    /// Lines of resets that were done.
    fn resets(&self) -> impl Iterator<Item = &Value> {
        resets(&self.lines)
    }

    /// Requests that were under way at each unplug.
    pub(crate) fn in_flight(&self) -> Vec<u64> {
        let unplugs = self.result["unplugs"].as_array().map_or(&[][..], Vec::as_slice);
        unplugs.iter().filter_map(|unplug| unplug["in_flight"].as_u64()).collect()
    }

    /// Resets of connections that were never unplugged: there must be none.
    pub(crate) fn wrong_resets(&self) -> usize {
        let unplugs = self.result["unplugs"].as_array().map_or(&[][..], Vec::as_slice);
        let dead: BTreeSet<&str> =
            unplugs.iter().filter_map(|u| u["dead"].as_array()).flatten().filter_map(Value::as_str).collect();
        self.resets()
            .filter(|r| r["connection"]["local"].as_str().is_none_or(|local| !dead.contains(local)))
            .count()
    }

    /// Microseconds from the threshold to the kernel's answer, ascending.
    pub(crate) fn latencies_us(&self) -> Vec<u64> {
        let mut all: Vec<u64> = self.resets().filter_map(|line| line["latency_us"].as_u64()).collect();
        all.sort_unstable();
        all
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "watched": self.variant.watched,
            "stall_after": self.stall_after,
            "client": self.result,
            "resets": self.resets().count(),
            "wrong_resets": self.wrong_resets(),
            "latencies_us": self.latencies_us(),
        })
    }

    fn cells(&self) -> [String; 8] {
        let number = |key: &str| self.result[key].to_string();
        let text = |key: &str| self.result[key].as_str().unwrap_or("?").to_owned();
        let in_flight: Vec<String> = self.in_flight().iter().map(ToString::to_string).collect();
        let watched = |cell: String| if self.variant.watched { cell } else { "-".to_owned() };
        [
            text("go"),
            text("protocol"),
            if self.variant.watched { format!("--stall-after {}", self.stall_after) } else { "-".to_owned() },
            number("failures"),
            number("failures_on_healthy_connections"),
            in_flight.join(", "),
            watched(format!("{} ({} wrong)", self.resets().count(), self.wrong_resets())),
            watched(format!("{:?}", self.latencies_us())),
        ]
    }
}

/// Those of them that are resets which were done.
pub(super) fn resets(lines: &[Value]) -> impl Iterator<Item = &Value> {
    lines.iter().filter(|line| line["type"] == "reset" && line["result"] == "done")
}

const HEADINGS: [&str; 8] = [
    "client",
    "protocol",
    "h2watch",
    "lost requests",
    "of them on healthy connections",
    "in flight at each unplug",
    "resets",
    "threshold to reset, us",
];

/// One run on one line.
pub(crate) fn row(row: &Row) -> String {
    HEADINGS
        .iter()
        .zip(row.cells())
        .map(|(name, cell)| format!("{name}: {cell}"))
        .collect::<Vec<_>>()
        .join("; ")
}

/// All runs as a Markdown table.
pub(crate) fn markdown(rows: &[Row]) -> String {
    let mut out = format!("| {} |\n|{}\n", HEADINGS.join(" | "), "---|".repeat(HEADINGS.len()));
    for row in rows {
        out.push_str(&format!("| {} |\n", row.cells().join(" | ")));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reset_of_a_connection_that_was_not_unplugged_is_wrong() {
        let reset = |local: &str, result: &str| json!({"type": "reset", "result": result, "latency_us": 700, "connection": {"local": local}});
        let row = Row {
            variant: Variant { http1: false, watched: true },
            result: json!({"go": "go1", "protocol": "h2", "failures": 3, "unplugs": [{"dead": ["1.1.1.1:1"], "in_flight": 1}]}),
            lines: vec![
                reset("1.1.1.1:1", "done"),
                reset("1.1.1.1:2", "done"),
                reset("1.1.1.1:3", "refused"),
            ],
            stall_after: "8ms".to_owned(),
        };
        assert_eq!(row.wrong_resets(), 1);
        assert_eq!(row.latencies_us(), vec![700, 700]);
        assert!(markdown(&[row]).contains("2 (1 wrong)"));
    }
}
