//! How many connections are served at once, and who has to go when there are more. A newcomer waits for a place; when the
//! oldest connection has had its time, it is cut. So a scrape, which takes milliseconds, gets through a crowd of clients that
//! only sit there.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;
use tokio::time::Instant;

#[derive(Debug)]
pub(super) struct Places {
    free: Arc<Semaphore>,
    /// Oldest first.
    taken: VecDeque<(Instant, AbortHandle)>,
    /// A connection is safe from being cut for this long.
    grace: Duration,
}

impl Places {
    pub(super) fn new(max: usize, grace: Duration) -> Self {
        Self { free: Arc::new(Semaphore::new(max)), taken: VecDeque::new(), grace }
    }

    /// Waits for a place. The count is of the connections that were cut for it.
    pub(super) async fn take(&mut self) -> (Option<OwnedSemaphorePermit>, u64) {
        self.taken.retain(|(_, handle)| !handle.is_finished());
        let mut cut = 0;
        loop {
            let free = Arc::clone(&self.free).acquire_owned();
            let Some((since, _)) = self.taken.front() else { return (free.await.ok(), cut) };
            tokio::select! {
                biased;
                permit = free => return (permit.ok(), cut),
                () = tokio::time::sleep_until(*since + self.grace) => {}
            }
            if let Some((_, oldest)) = self.taken.pop_front() {
                cut += u64::from(!oldest.is_finished());
                oldest.abort();
            }
        }
    }

    pub(super) fn taken_by(&mut self, handle: AbortHandle) {
        self.taken.push_back((Instant::now(), handle));
    }
}
