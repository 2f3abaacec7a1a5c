//! What there is of the target, now and later.

use anyhow::Result;

use super::Watcher;
use crate::diag::Netns;
use crate::target::identity::Identity;
use crate::target::{Target, process};

impl Watcher {
    /// Attaches to the cgroups that hold the target now, and selects its processes. What fails is kept in `refused` until the next
    /// call.
    ///
    /// # Errors
    /// The first failure, when what the user named cannot be watched. Of processes that are looked for by name, some may fail.
    pub(super) fn attach(&mut self) -> Result<()> {
        let by_name = matches!(self.target, Target::Named(_));
        let mut failures = Vec::new();
        if self.target.processes().is_some() {
            for pid in self.pids() {
                failures.extend(self.probe.watch_process(pid).err().filter(|_| process::exists(pid)));
            }
        }
        let (cgroups, invisible) = self.target.cgroups(&self.hierarchy);
        failures.extend(invisible);
        let mut attached = false;
        for cgroup in &cgroups {
            match self.probe.attach(cgroup) {
                Ok(()) => attached = true,
                // Whoever was in it has ended.
                Err(_) if by_name && !cgroup.exists() => {}
                Err(error) => failures.push(error),
            }
        }
        let again = if self.target_grows() { "; it is tried again" } else { "" };
        self.refused = failures.iter().map(|error| format!("not watched: {error:#}{again}")).collect();
        match failures.into_iter().next() {
            Some(error) if !(by_name && attached) => Err(error),
            _ => Ok(()),
        }
    }

    /// Looks at the processes, and takes in what they have open.
    pub(super) fn take_in(&mut self) {
        self.look_at_processes();
        self.seed();
    }

    /// The processes that are watched now.
    #[must_use]
    pub fn pids(&self) -> Vec<u32> {
        let mut pids = match &self.target {
            Target::Cgroup(directory) => process::in_cgroup(directory),
            other => other.processes().unwrap_or_default(),
        };
        if self.exclude.is_some() {
            pids.retain(|&pid| process::comm(pid).is_none_or(|comm| !self.excludes(&comm)));
        }
        pids
    }

    /// True while something of the target is there.
    #[must_use]
    pub fn target_exists(&self) -> bool {
        match &self.target {
            Target::Processes(pids) => pids.iter().any(|&pid| process::exists(pid)),
            Target::Named(_) | Target::Cgroup(_) => true,
        }
    }

    /// True for targets whose processes come and go.
    #[must_use]
    pub fn target_grows(&self) -> bool {
        !matches!(self.target, Target::Processes(_))
    }

    /// True when cgroups may have to be attached later: processes that are looked for by name are in others then, and a
    /// systemd unit that is restarted gets a new cgroup of the same name.
    #[must_use]
    pub fn attaches_later(&self) -> bool {
        match &self.target {
            Target::Processes(_) => false,
            Target::Named(_) => true,
            Target::Cgroup(directory) => {
                let identity = Identity::of_cgroup(&directory.to_string_lossy());
                identity.unit.is_some() && identity.container.is_none()
            }
        }
    }

    /// True when a process of the target is in another network namespace than h2watch, or may come to be: the whole host.
    ///
    /// # Errors
    /// /proc cannot be read.
    pub fn is_in_other_namespaces(&self) -> Result<bool> {
        if matches!(&self.target, Target::Cgroup(directory) if directory == self.hierarchy.mount()) {
            return Ok(true);
        }
        let own = Netns::own()?.id();
        // One that ended meanwhile is in none.
        Ok(self.pids().into_iter().any(|pid| self.namespaces.id_of(pid).is_ok_and(|id| id != own)))
    }

    /// In words.
    #[must_use]
    pub fn describe(&self) -> String {
        self.target.describe()
    }
}
