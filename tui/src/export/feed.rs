//! Between the run loop, which may look a thousand times a second, and the exporter, which needs one snapshot per interval:
//! changes of the looks between are kept until then, so that no closed connection's last counters are lost.

use super::Exporter;
use crate::model::snapshot::{Change, Snapshot};
use std::sync::Arc;

/// Feeds an exporter.
#[derive(Debug)]
pub struct Feed {
    exporter: Exporter,
    pending: Vec<Change>,
}

impl Feed {
    #[must_use]
    pub fn new(exporter: Exporter) -> Self {
        Self { exporter, pending: Vec::new() }
    }

    /// One look. `whole`: an interval is over. Shared, because copying 100,000 connections four times a second is work.
    pub fn tick(&mut self, snapshot: &Arc<Snapshot>, changes: &[Change], whole: bool) {
        let wanted = changes.iter().filter(|change| {
            matches!(change, Change::Stalled(_) | Change::Recovered { .. } | Change::Closed(_))
        });
        self.pending.extend(wanted.cloned());
        if whole {
            self.exporter.observe(Arc::clone(snapshot), &self.pending);
            self.pending.clear();
        }
    }

    #[must_use]
    pub fn exporter(&self) -> &Exporter {
        &self.exporter
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::{Format, LabelLimits};

    #[test]
    fn changes_between_intervals_are_kept_until_the_next_one() {
        let mut feed = Feed::new(Exporter::new(LabelLimits::default()));
        let connection = crate::export::aggregate::tests::short_lived(1);
        let snapshot = Arc::new(Snapshot { now_ns: 2_000_000_000, ..Snapshot::default() });
        let opened =
            "h2watch_connections_opened_total{comm=\"client\",container=\"\",destination=\"127.0.0.1\"} 1";
        let shown = |feed: &Feed| {
            String::from_utf8_lossy(&feed.exporter().render(Format::PrometheusText)).contains(opened)
        };
        feed.tick(&snapshot, &[Change::Closed(Box::new(connection))], false);
        assert!(!shown(&feed));
        feed.tick(&snapshot, &[], true);
        assert!(shown(&feed));
        feed.tick(&snapshot, &[], true);
        assert!(shown(&feed), "counted once");
    }
}
