//! Does this machine run what wants to run? A thread that sleeps a little again and again notes when it was left waiting,
//! so that a latency can be told from a machine that was busy with something else.

use super::now_ns;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const BEAT: Duration = Duration::from_millis(2);
/// Waiting longer than this after a beat is noted.
const LATE_NS: u64 = 20_000_000;

#[derive(Clone, Debug, Default)]
pub(crate) struct Pulse(Arc<Mutex<Vec<(u64, u64)>>>);

impl Pulse {
    /// Beats until it is dropped.
    pub(crate) fn start() -> Self {
        let pulse = Self::default();
        let gaps = Arc::downgrade(&pulse.0);
        std::thread::spawn(move || {
            let mut last_ns = now_ns();
            while let Some(gaps) = gaps.upgrade() {
                std::thread::sleep(BEAT);
                let beat_ns = now_ns();
                if beat_ns - last_ns > LATE_NS {
                    gaps.lock().unwrap().push((last_ns, beat_ns));
                }
                last_ns = beat_ns;
            }
        });
        pulse
    }

    /// How long this machine let a thread wait between these two moments, at the longest.
    pub(crate) fn longest_gap(&self, from_ns: u64, to_ns: u64) -> Duration {
        let gaps = self.0.lock().unwrap();
        let inside = gaps.iter().filter(|(start, end)| *end > from_ns && *start < to_ns);
        Duration::from_nanos(inside.map(|(start, end)| end - start).max().unwrap_or(0))
    }
}
