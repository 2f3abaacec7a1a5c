//! Connections that were open before the probe was attached: taken in, and verified a while later.

use super::Watcher;
use crate::diag::open_clients;
use crate::run::clock;
use crate::target::process;

impl Watcher {
    /// Takes in connections that were open before the probe was attached.
    pub(super) fn seed(&mut self) {
        let new: Vec<u32> = self.pids().into_iter().filter(|&pid| self.followed.insert(pid)).collect();
        if new.is_empty() {
            return;
        }
        let now_ns = clock::now_ns();
        let (clients, errors) = open_clients(&mut self.namespaces, &new);
        // A process that ended between the list and the look is no loss.
        let alive = new.iter().filter(|&&pid| process::exists(pid)).count();
        if alive == new.len() {
            errors.iter().for_each(|error| self.miss(format!("{error:#}")));
        }
        for client in clients {
            let Some(&pid) = client.pids.first() else { continue };
            // Watched and closed meanwhile: its slot has the last word.
            if self.probe.remembers(client.socket.cookie) {
                continue;
            }
            if self.probe.seed(&client.socket, pid, now_ns).is_some() {
                self.seeded.push((pid, client.socket));
            }
            self.owner(pid);
        }
    }

    /// A connection may be closed between the kernel's list and the moment at which it is watched: then nobody would ever say that
    /// it ended. What has an owner some time after it was taken in is told by the kernel when it ends.
    pub(super) fn verify_seeded(&mut self) {
        for (pid, socket) in std::mem::take(&mut self.seeded) {
            let diag = self.namespaces.of_pid(pid);
            let now = diag.and_then(|diag| diag.socket(socket.cookie, socket.local, socket.remote));
            let ended = match now {
                Ok(now) => now.is_none_or(|now| now.inode == 0),
                Err(_) => !process::exists(pid),
            };
            if ended {
                self.probe.forget_connection(socket.cookie);
            }
        }
    }
}
