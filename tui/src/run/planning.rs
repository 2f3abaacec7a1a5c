//! Analysing programs and libraries beside the loop: a large one takes a tenth of a second, and no stall may wait for that.

use std::collections::HashMap;
use std::sync::mpsc::{Sender, channel};

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::tls::{Coverage, Depth, Planner};

/// The thread that plans, and what it was asked for.
#[derive(Debug)]
pub(super) struct Planning {
    requests: Sender<u32>,
    coverages: UnboundedReceiver<Coverage>,
    /// Processes that it has not answered for, and which files they had mapped.
    pending: HashMap<u32, u64>,
}

impl Planning {
    /// Starts the thread. It ends when this is dropped. It has the rights of the thread that starts it.
    pub(super) fn start(depth: Depth) -> Option<Self> {
        let (requests, wanted) = channel::<u32>();
        let (answers, coverages) = unbounded_channel();
        let work = move || {
            let mut planner = Planner::default();
            while let Ok(pid) = wanted.recv() {
                if answers.send(planner.plan(pid, depth)).is_err() {
                    return;
                }
            }
        };
        // Without a thread the caller plans by itself.
        std::thread::Builder::new().name("h2watch-plan".to_owned()).spawn(work).ok()?;
        Some(Self { requests, coverages, pending: HashMap::new() })
    }

    /// Asks for a process, once until it is answered.
    pub(super) fn ask(&mut self, pid: u32, mapped: u64) {
        if self.pending.insert(pid, mapped).is_none() {
            // The thread lives as long as this.
            let _ = self.requests.send(pid);
        }
    }

    /// The next answer, and which files the process had mapped when it was asked for.
    pub(super) async fn next(&mut self) -> Option<(Coverage, u64)> {
        let coverage = self.coverages.recv().await?;
        let mapped = self.pending.remove(&coverage.pid).unwrap_or_default();
        Some((coverage, mapped))
    }
}
