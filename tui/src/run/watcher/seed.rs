//! Connections that were open before the probe was attached: taken in, and verified a while later.

use std::collections::BTreeSet;

use super::Watcher;
use crate::diag::{Socket, open_clients};
use crate::model::sample::Nanos;
use crate::probe::Seeded;
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
            if !self.seed_one(pid, client.socket, now_ns) {
                self.turned_away += 1;
            }
            self.owner(pid);
        }
    }

    /// False when there is no place: it waits for one.
    fn seed_one(&mut self, pid: u32, socket: Socket, now_ns: Nanos) -> bool {
        match self.probe.seed(&socket, pid, now_ns) {
            Seeded::Taken(_) => self.seeded.push((pid, socket)),
            Seeded::Known => {}
            Seeded::NoPlace => {
                self.waiting.push((pid, socket));
                return false;
            }
        }
        true
    }

    /// Takes in connections for which there was no place before, as far as there are places now.
    pub(super) fn seed_waiting(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let now_ns = clock::now_ns();
        let mut waiting = std::mem::take(&mut self.waiting);
        let ended: BTreeSet<u32> =
            waiting.iter().map(|(pid, _)| *pid).filter(|&pid| !process::exists(pid)).collect();
        waiting.retain(|(pid, _)| !ended.contains(pid));
        while self.probe.has_place() {
            let Some((pid, socket)) = waiting.pop() else { break };
            if !self.has_ended(pid, &socket) && !self.seed_one(pid, socket, now_ns) {
                break;
            }
        }
        self.waiting.append(&mut waiting);
    }

    /// A connection may be closed between the kernel's list and the moment at which it is watched: then nobody would ever say that
    /// it ended. What has an owner some time after it was taken in is told by the kernel when it ends.
    pub(super) fn verify_seeded(&mut self) {
        for (pid, socket) in std::mem::take(&mut self.seeded) {
            if self.has_ended(pid, &socket) {
                self.probe.forget_connection(socket.cookie);
            }
        }
    }

    /// True when no process has the socket any more.
    fn has_ended(&mut self, pid: u32, socket: &Socket) -> bool {
        let diag = self.namespaces.of_pid(pid);
        match diag.and_then(|diag| diag.again(socket)) {
            Ok(now) => now.is_none_or(|now| now.inode == 0),
            Err(_) => !process::exists(pid),
        }
    }
}
