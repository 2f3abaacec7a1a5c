//! The cgroups that the programs are attached to, each by links of its own.
//!
//! A program that is attached to a cgroup runs for those inside it as well. Attached to both it would see each segment twice,
//! and take the second one for a retransmission.

use std::collections::HashMap;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::syscall;

/// Which cgroup it is: one that is made under the name of another that was removed is not that one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    fn of(folder: &Path) -> Option<Self> {
        let metadata = fs::metadata(folder).ok()?;
        Some(Self { device: metadata.dev(), inode: metadata.ino() })
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Cgroups(HashMap<Identity, Attached>);

#[derive(Debug)]
struct Attached {
    path: PathBuf,
    /// Closing them detaches.
    links: Vec<OwnedFd>,
}

impl Cgroups {
    /// True when the programs run for this cgroup: they are attached to it, or to one around it.
    pub(super) fn cover(&self, cgroup: &Path) -> bool {
        cgroup.ancestors().filter_map(Identity::of).any(|around| self.0.contains_key(&around))
    }

    /// Keeps the links to a cgroup, and closes those to cgroups inside it: only now, so that no segment is missed between.
    pub(super) fn add(&mut self, cgroup: &Path, links: Vec<OwnedFd>) -> Result<()> {
        let identity =
            Identity::of(cgroup).with_context(|| format!("the cgroup {} is gone", cgroup.display()))?;
        self.0.retain(|_, inner| !inner.path.starts_with(cgroup));
        self.0.insert(identity, Attached { path: cgroup.to_owned(), links });
        Ok(())
    }

    /// Closes links that hold on to nothing any more. A cgroup that was removed is not gone while sockets of it are open: its
    /// processes may have been moved before.
    pub(super) fn forget_removed(&mut self) {
        self.0.retain(|_, attached| !attached.links.iter().all(syscall::is_detached));
    }

    /// True when there is anything to watch. A cgroup that was removed takes its programs with it.
    pub(super) fn any_exists(&self) -> bool {
        self.0.iter().any(|(&identity, attached)| Identity::of(&attached.path) == Some(identity))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attached_to(cgroup: &Path) -> Cgroups {
        let mut cgroups = Cgroups::default();
        cgroups.add(cgroup, Vec::new()).unwrap();
        cgroups
    }

    #[test]
    fn a_folder_that_was_made_anew_is_not_the_one_that_was_attached() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("unit.service");
        fs::create_dir(&path).unwrap();
        let mut cgroups = attached_to(&path);
        assert!(cgroups.any_exists() && cgroups.cover(&path));
        fs::remove_dir(&path).unwrap();
        assert!(!cgroups.any_exists() && !cgroups.cover(&path));
        // Both exist, so that the second one cannot get the first one's number.
        fs::create_dir(&path).unwrap();
        let again = root.path().join("again.service");
        fs::create_dir(&again).unwrap();
        cgroups.add(&path, Vec::new()).unwrap();
        fs::remove_dir(&path).unwrap();
        fs::rename(&again, &path).unwrap();
        assert!(!cgroups.any_exists() && !cgroups.cover(&path));
        assert!(!Cgroups::default().any_exists());
    }

    #[test]
    fn what_is_inside_is_covered_and_given_up() {
        let root = tempfile::tempdir().unwrap();
        let (outer, beside) = (root.path().join("outer"), root.path().join("outer-not"));
        let inner = outer.join("inner");
        for folder in [&outer, &beside, &inner] {
            fs::create_dir(folder).unwrap();
        }
        let mut cgroups = attached_to(&inner);
        cgroups.add(&beside, Vec::new()).unwrap();
        assert!(!cgroups.cover(&outer));
        cgroups.add(&outer, Vec::new()).unwrap();
        assert!(cgroups.cover(&outer) && cgroups.cover(&inner) && cgroups.cover(&beside));
        let mut kept: Vec<_> = cgroups.0.values().map(|attached| attached.path.clone()).collect();
        kept.sort();
        assert_eq!(kept, [outer, beside]);
    }
}
