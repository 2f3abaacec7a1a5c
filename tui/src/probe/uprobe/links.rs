//! Links that detach what they hold when they are dropped.

use std::os::fd::OwnedFd;

/// Threads that remove links at once. Each removal waits for a grace period, and they wait for the same one.
const AT_ONCE: usize = 32;

/// Links of one or many processes.
#[derive(Debug, Default)]
pub struct Links(Vec<OwnedFd>);

impl Links {
    pub(in crate::probe) fn push(&mut self, link: OwnedFd) {
        self.0.push(link);
    }

    /// These as well.
    pub fn append(&mut self, other: &mut Self) {
        self.0.append(&mut other.0);
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        let count = self.0.len();
        if count < 2 {
            return;
        }
        let share = count.div_ceil(count.min(AT_ONCE));
        std::thread::scope(|scope| {
            while !self.0.is_empty() {
                let some = self.0.split_off(self.0.len().saturating_sub(share));
                // Without a thread the closure is dropped, and its links with it: then one after the other.
                let _ = std::thread::Builder::new().spawn_scoped(scope, move || drop(some));
            }
        });
    }
}
