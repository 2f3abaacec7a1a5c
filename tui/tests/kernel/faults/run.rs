//! One run of one fault: h2watch with its default settings watches the client, the fault strikes, and what h2watch says is
//! noted.

use super::catalogue::{Client, Fault};
use crate::support::compare::number;
use crate::support::now_ns;
use crate::support::watch::{Watch, text};
use serde_json::Value;
use std::time::Duration;

/// A cause may become sharper, but not later than this.
const SETTLES: Duration = Duration::from_secs(3);
const SOON: Duration = Duration::from_secs(30);

/// What h2watch said.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) fault: Fault,
    pub(crate) client: Client,
    /// Causes in the order in which they were said; empty: no stall was reported.
    pub(crate) causes: Vec<String>,
    /// From the strike to the first stall line.
    pub(crate) after_s: Option<f64>,
    pub(crate) evidence: String,
}

impl Outcome {
    /// The cause that stayed.
    pub(crate) fn said(&self) -> &str {
        self.causes.last().map_or("no stall", String::as_str)
    }

    pub(crate) fn is_right(&self) -> bool {
        self.said() == self.fault.cause && self.evidence.contains(self.fault.says)
    }

    pub(crate) fn in_time(&self) -> bool {
        self.after_s.is_some_and(|s| s <= self.fault.within.as_secs_f64())
    }
}

impl std::fmt::Debug for Fault {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(self.name)
    }
}

pub(crate) fn run(fault: Fault, client: Client) -> Outcome {
    let world = (fault.set_up)(client);
    let watch = Watch::run(&[], &world.client);
    watch.wait_until_ready();
    watch.wait_for_word(SOON, "CONNECTED");
    watch.wait_for(SOON, "snapshot of a warm connection", |line| is_warm(line, world.warm));
    let struck_ns = match world.strikes_itself {
        Some(word) => watch.wait_for_word(SOON, word).parse().expect("nanoseconds"),
        None => {
            (world.strike)();
            now_ns()
        }
    };
    let mut causes = Vec::new();
    let mut outcome = Outcome { fault, client, causes: Vec::new(), after_s: None, evidence: String::new() };
    let mut until_ns = struck_ns + (fault.within + SOON / 3).as_nanos() as u64;
    let mut seen = 0;
    while now_ns() < until_ns {
        for line in watch.lines_from(seen) {
            seen += 1;
            let kind = text(&line.content["type"]);
            if kind != "stall" && kind != "sharpen" {
                continue;
            }
            if outcome.after_s.is_none() {
                outcome.after_s = Some((line.at_ns as f64 - struck_ns as f64) / 1e9);
                until_ns = line.at_ns + SETTLES.as_nanos() as u64;
            }
            causes.push(text(&line.content["connection"]["cause"]));
            outcome.evidence = text(&line.content["connection"]["evidence"]);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    if causes.is_empty() {
        let last = watch.lines_from(0).into_iter().rev().find(|line| line.content["type"] == "snapshot");
        outcome.evidence = last.map_or_else(String::new, |line| line.content.to_string());
    }
    drop(watch.stop());
    drop(world.parts);
    Outcome { causes, ..outcome }
}

fn is_warm(line: &Value, streams: u64) -> bool {
    let connections = line["connections"].as_array();
    connections.is_some_and(|all| all.first().is_some_and(|c| number(c, "streams_opened") >= streams))
}
