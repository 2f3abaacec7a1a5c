//! What a run with h2watch has to reach: it fails otherwise.

use anyhow::{Result, bail};

use super::table::Row;

/// At most twice what was in flight at each unplug is lost, and no connection is reset that was not unplugged.
pub(super) fn judge(rows: &[Row]) -> Result<()> {
    let broken: Vec<String> = rows.iter().filter(|row| row.variant.watched).filter_map(broken).collect();
    if broken.is_empty() { Ok(()) } else { bail!("{}", broken.join("; ")) }
}

fn broken(row: &Row) -> Option<String> {
    let name = row.result["go"].as_str().unwrap_or("?");
    let wrong = row.wrong_resets();
    if wrong > 0 {
        return Some(format!("{name}: {wrong} resets of connections that were not unplugged"));
    }
    let number = |value: &serde_json::Value| value.as_u64().unwrap_or(u64::MAX);
    let (lost, in_flight) = (number(&row.result["failures"]), row.in_flight());
    let allowed = 2 * in_flight.iter().sum::<u64>();
    if in_flight.is_empty() || lost > allowed {
        return Some(format!("{name}: {lost} requests lost, {allowed} allowed"));
    }
    // One request at a time: what a loss costs later is in the sum.
    let each = row.result["unplugs"].as_array().map_or(&[][..], Vec::as_slice).iter().zip(&in_flight);
    let over = each
        .filter(|(_, at_once)| **at_once > 1)
        .find(|(unplug, at_once)| number(&unplug["failures"]) > 2 * **at_once);
    over.map(|(unplug, at_once)| {
        format!("{name}: {} requests lost at an unplug with {at_once} in flight", unplug["failures"])
    })
}

#[cfg(test)]
mod tests {
    use super::super::Variant;
    use super::*;
    use serde_json::json;

    fn row(failures: u64, in_flight: u64, reset: &str) -> Row {
        Row {
            variant: Variant { http1: false, watched: true },
            result: json!({"go": "go1", "failures": failures,
                "unplugs": [{"dead": ["1.1.1.1:1"], "in_flight": in_flight, "failures": failures}]}),
            lines: vec![json!({"type": "reset", "result": "done", "connection": {"local": reset}})],
            stall_after: "8ms".to_owned(),
        }
    }

    #[test]
    fn too_many_losses_and_wrong_resets_fail() {
        assert!(judge(&[row(2, 1, "1.1.1.1:1"), row(100, 50, "1.1.1.1:1")]).is_ok());
        for (bad, words) in [
            (row(3, 1, "1.1.1.1:1"), "3 requests lost, 2 allowed"),
            (row(101, 50, "1.1.1.1:1"), "101 requests lost"),
            (row(1, 1, "1.1.1.1:2"), "1 resets of connections that were not unplugged"),
        ] {
            assert!(judge(&[bad]).unwrap_err().to_string().contains(words), "{words}");
        }
    }
}
