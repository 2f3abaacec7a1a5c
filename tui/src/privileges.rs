//! Which capabilities are needed for what, and giving up the others. Capabilities belong to threads: see [`drop_all_but`].

use anyhow::{Context, Result, bail};
use caps::{CapSet, Capability, CapsHashSet};
use std::fs;

use crate::probe::may_open_events;

/// Something that h2watch still has to do after it attached. Maps, rings and links that are open need nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duty {
    /// Look into maps by system call. Kernels before 5.19 want CAP_BPF for it even with an open map, when
    /// `kernel.unprivileged_bpf_disabled` is set; reading a mapped array or ring never does.
    ReadMaps,
    /// Find the sockets and network namespaces of processes, whoever owns them.
    FindSockets,
    /// Attach uprobes to processes that start later: look at their executables and sockets, whoever owns them.
    AttachProcesses,
    /// The same where uprobes are perf events and the kernel asks for more, see [`uprobes_need_admin`].
    AttachUprobes,
    /// Attach to cgroups that appear later (`cgroup_skb` asks for CAP_NET_ADMIN at attachment).
    AttachCgroups,
    /// Read the sockets of other network namespaces (`setns`).
    EnterNamespaces,
    /// `SOCK_DESTROY`.
    Reset,
}

impl Duty {
    /// What the kernel asks for.
    #[must_use]
    pub fn capabilities(self) -> &'static [Capability] {
        match self {
            Self::ReadMaps => &[Capability::CAP_BPF],
            Self::FindSockets => &[Capability::CAP_SYS_PTRACE, Capability::CAP_DAC_READ_SEARCH],
            Self::AttachProcesses => &[
                Capability::CAP_BPF,
                Capability::CAP_PERFMON,
                // /proc/PID/{exe,fd,maps,root} of processes of other users.
                Capability::CAP_SYS_PTRACE,
                Capability::CAP_DAC_READ_SEARCH,
            ],
            Self::AttachUprobes => &[Capability::CAP_SYS_ADMIN],
            Self::AttachCgroups => &[Capability::CAP_BPF, Capability::CAP_NET_ADMIN],
            Self::EnterNamespaces => &[Capability::CAP_SYS_ADMIN, Capability::CAP_SYS_PTRACE],
            Self::Reset => &[Capability::CAP_NET_ADMIN],
        }
    }
}

/// Whether looking into maps by system call is a duty of its own on this kernel (major, minor). Since 5.19 (commit c8644cd0efe7)
/// an open map is enough, even with `kernel.unprivileged_bpf_disabled`.
#[must_use]
pub fn map_calls_need_capability(kernel: (u32, u32)) -> bool {
    kernel < (5, 19)
}

/// Whether uprobes that are perf events ask for CAP_SYS_ADMIN. CAP_PERFMON was enough from Linux 5.8 (commit c9e0924e5c2b) to 6.15; 6.16 took that back
/// (commit ba677dbe77af, in the stable kernels too), because a uprobe in the middle of an instruction can break any program.
///
/// # Errors
/// The rights of this thread cannot be read or changed.
pub fn uprobes_need_admin() -> Result<bool> {
    let admin = Capability::CAP_SYS_ADMIN;
    let held = caps::has_cap(None, CapSet::Effective, admin).context("cannot read the capabilities")?;
    if held {
        caps::drop(None, CapSet::Effective, admin).context("cannot lower CAP_SYS_ADMIN")?;
    }
    let allowed = may_open_events();
    if held {
        caps::raise(None, CapSet::Effective, admin).context("cannot raise CAP_SYS_ADMIN again")?;
    }
    Ok(!allowed)
}

/// What several duties need together.
#[must_use]
pub fn needed(duties: &[Duty]) -> CapsHashSet {
    duties.iter().flat_map(|duty| duty.capabilities()).copied().collect()
}

/// What this thread holds, for `doctor`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Sorted names, as in `capabilities(7)`.
    pub effective: Vec<String>,
    pub permitted: Vec<String>,
    /// What a program that it executes could regain.
    pub bounding: Vec<String>,
    pub no_new_privileges: bool,
}

/// Reads what this thread holds.
///
/// # Errors
/// When /proc cannot be read.
pub fn held() -> Result<Held> {
    let names = |set| -> Result<Vec<String>> {
        let read = caps::read(None, set).context("cannot read the capabilities of this thread")?;
        let mut names: Vec<String> = read.iter().map(ToString::to_string).collect();
        names.sort();
        Ok(names)
    };
    Ok(Held {
        effective: names(CapSet::Effective)?,
        permitted: names(CapSet::Permitted)?,
        bounding: names(CapSet::Bounding)?,
        no_new_privileges: rustix::thread::no_new_privs().context("cannot read no_new_privs")?,
    })
}

/// Gives up every capability that is not in `keep`, for good: this thread cannot regain them, nor can what it executes.
/// Only the calling thread is changed, and the threads that it starts afterwards: call it before any thread that outlives
/// the attaching is started, and check with [`threads_beyond`].
///
/// # Errors
/// When the kernel refuses; what was given up until then stays given up.
pub fn drop_all_but(keep: &CapsHashSet) -> Result<Held> {
    // First, while CAP_SETPCAP is there: the bounding set limits what an executed program gets. Without CAP_SETPCAP it
    // cannot be changed, and does not matter: no_new_privs keeps executed programs from gaining anything.
    if caps::has_cap(None, CapSet::Effective, Capability::CAP_SETPCAP).unwrap_or(false) {
        for capability in caps::runtime::thread_all_supported().difference(keep) {
            caps::drop(None, CapSet::Bounding, *capability)
                .with_context(|| format!("cannot take {capability} out of the bounding set"))?;
        }
    }
    rustix::thread::set_no_new_privs(true).context("cannot set no_new_privs")?;
    caps::clear(None, CapSet::Ambient).context("cannot clear the ambient capabilities")?;
    caps::clear(None, CapSet::Inheritable).context("cannot clear the inheritable capabilities")?;
    for set in [CapSet::Effective, CapSet::Permitted] {
        let present =
            caps::read(None, set).with_context(|| format!("cannot read the {set:?} capabilities"))?;
        let kept: CapsHashSet = present.intersection(keep).copied().collect();
        caps::set(None, set, &kept).with_context(|| format!("cannot reduce the {set:?} capabilities"))?;
    }
    held()
}

/// Threads of this process that hold more than `keep`: ids and names. Empty is what it should be.
///
/// # Errors
/// When /proc cannot be read.
pub fn threads_beyond(keep: &CapsHashSet) -> Result<Vec<String>> {
    let keep_mask: u64 = keep.iter().map(Capability::bitmask).fold(0, |mask, bit| mask | bit);
    let mut beyond = Vec::new();
    for entry in fs::read_dir("/proc/self/task").context("cannot list the threads of h2watch")? {
        let path = entry?.path();
        // A thread may end meanwhile.
        let Ok(status) = fs::read_to_string(path.join("status")) else { continue };
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let Some(permitted) = field("CapPrm:") else { bail!("{}: no CapPrm line", path.display()) };
        let mask = u64::from_str_radix(permitted, 16).context("CapPrm is not a hexadecimal number")?;
        if mask & !keep_mask != 0 {
            let id = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            beyond.push(format!("{id} ({})", field("Name:").unwrap_or("?")));
        }
    }
    Ok(beyond)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn only_old_kernels_ask_for_a_capability_to_read_open_maps() {
        assert!(map_calls_need_capability((5, 10)) && map_calls_need_capability((5, 18)));
        assert!(!map_calls_need_capability((5, 19)) && !map_calls_need_capability((6, 1)));
    }

    #[test]
    fn reset_alone_needs_net_admin_and_watching_needs_nothing() {
        assert_eq!(needed(&[Duty::Reset]), CapsHashSet::from([Capability::CAP_NET_ADMIN]));
        assert!(needed(&[]).is_empty());
        assert!(!needed(&[Duty::AttachProcesses, Duty::ReadMaps]).contains(&Capability::CAP_NET_ADMIN));
    }

    #[test]
    fn asking_what_uprobes_need_changes_nothing() {
        let before = held().unwrap();
        let admin = before.effective.iter().any(|name| name == "CAP_SYS_ADMIN");
        let needed = uprobes_need_admin().unwrap();
        assert_eq!(held().unwrap(), before);
        // With it, they are allowed in any case.
        assert!(!admin || may_open_events(), "{needed}");
    }

    /// The test below runs this one in a process of its own: what is given up does not come back.
    #[test]
    #[ignore = "gives up the rights of its process; started by the test below"]
    fn child_gives_up_its_rights() {
        let kept = caps::read(None, CapSet::Permitted).unwrap().contains(&Capability::CAP_NET_ADMIN);
        std::thread::spawn(move || {
            let keep = needed(&[Duty::Reset]);
            let held = drop_all_but(&keep).unwrap();
            let expected: &[&str] = if kept { &["CAP_NET_ADMIN"] } else { &[] };
            assert_eq!(held.effective, expected);
            assert_eq!(held.permitted, expected);
            assert!(held.no_new_privileges);
            if kept {
                assert_eq!(held.bounding, expected);
            }
            // The harness's own threads are not this one's children, and are found.
            assert_eq!(threads_beyond(&keep).unwrap().is_empty(), !kept);
            assert!(caps::raise(None, CapSet::Effective, Capability::CAP_SYS_ADMIN).is_err());
            assert!(!may_open_events(), "neither CAP_PERFMON nor CAP_SYS_ADMIN is left");
            let again = drop_all_but(&CapsHashSet::new()).unwrap();
            assert!(again.effective.is_empty() && again.permitted.is_empty());
            // Root that executes a program would get everything back without the bounding set.
            let status = Command::new("cat").arg("/proc/self/status").output().unwrap();
            let status = String::from_utf8(status.stdout).unwrap();
            let effective = status.lines().find_map(|l| l.strip_prefix("CapEff:\t")).unwrap();
            let left = u64::from_str_radix(effective, 16).unwrap();
            assert_eq!(left & !Capability::CAP_NET_ADMIN.bitmask(), 0, "{effective}");
        })
        .join()
        .unwrap();
    }

    #[test]
    fn rights_are_given_up_for_good() {
        let name = "privileges::tests::child_gives_up_its_rights";
        let test = std::env::current_exe().unwrap();
        let output = Command::new(test).args(["--ignored", "--exact", name]).output().unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && printed.contains("1 passed"), "{printed}");
    }
}
