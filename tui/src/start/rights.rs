//! Which rights a service keeps after it attached. What a duty needs is in `privileges`; here is who has which duty.

use anyhow::{Context, Result, bail};

use crate::kernel;
use crate::privileges::{
    Duty, drop_all_but, map_calls_need_capability, needed, threads_beyond, uprobes_need_admin,
};
use crate::probe::are_multi_links;
use crate::reset::policy::Mode;
use crate::run::Watcher;
use crate::tls::Depth;

/// The most careful answer for a kernel whose release is no number.
const UNKNOWN_KERNEL: (u32, u32) = (0, 0);

/// What is left to do after attaching.
#[derive(Clone, Copy, Debug)]
struct Situation {
    /// Major and minor.
    kernel: (u32, u32),
    tls: Depth,
    /// Uprobes are not to be had for less than CAP_SYS_ADMIN.
    uprobes_need_admin: bool,
    reset: Mode,
    /// Cgroups may have to be attached later.
    more_cgroups: bool,
    other_namespaces: bool,
}

/// Gives up every right that watching on does not need, and checks that no thread has kept one.
///
/// # Errors
/// The kernel refuses, or a thread holds more.
pub(super) fn reduce(watcher: &Watcher, tls: Depth, reset: Mode) -> Result<()> {
    let situation = Situation {
        kernel: kernel::version().unwrap_or(UNKNOWN_KERNEL),
        tls,
        uprobes_need_admin: !are_multi_links() && uprobes_need_admin()?,
        reset,
        more_cgroups: watcher.attaches_later(),
        other_namespaces: watcher.is_in_other_namespaces()?,
    };
    let keep = needed(&duties(situation));
    drop_all_but(&keep).context("the rights that are no longer needed could not be given up")?;
    let beyond = threads_beyond(&keep)?;
    if !beyond.is_empty() {
        bail!(
            "threads that were started too early hold rights that h2watch gave up ({}): this is a bug",
            beyond.join(", ")
        );
    }
    Ok(())
}

fn duties(situation: Situation) -> Vec<Duty> {
    let duties = [
        (Duty::FindSockets, true),
        (Duty::ReadMaps, map_calls_need_capability(situation.kernel)),
        (Duty::AttachProcesses, situation.tls != Depth::Records),
        (Duty::AttachUprobes, situation.tls != Depth::Records && situation.uprobes_need_admin),
        (Duty::AttachCgroups, situation.more_cgroups),
        (Duty::EnterNamespaces, situation.other_namespaces),
        (Duty::Reset, matches!(situation.reset, Mode::Auto | Mode::Confirm)),
    ];
    duties.into_iter().filter_map(|(duty, is_there)| is_there.then_some(duty)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use caps::Capability::{
        CAP_BPF, CAP_DAC_READ_SEARCH, CAP_NET_ADMIN, CAP_PERFMON, CAP_SYS_ADMIN, CAP_SYS_PTRACE,
    };

    const LEAST: Situation = Situation {
        kernel: (6, 1),
        tls: Depth::Records,
        uprobes_need_admin: true,
        reset: Mode::Off,
        more_cgroups: false,
        other_namespaces: false,
    };

    #[test]
    fn each_right_is_kept_for_a_reason_only() {
        let find = [CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH];
        for (situation, more) in [
            (LEAST, &[][..]),
            (Situation { reset: Mode::DryRun, ..LEAST }, &[]),
            (Situation { reset: Mode::Auto, ..LEAST }, &[CAP_NET_ADMIN]),
            (Situation { tls: Depth::Auto, ..LEAST }, &[CAP_BPF, CAP_PERFMON, CAP_SYS_ADMIN]),
            (Situation { tls: Depth::Auto, uprobes_need_admin: false, ..LEAST }, &[CAP_BPF, CAP_PERFMON]),
            (Situation { kernel: (5, 10), ..LEAST }, &[CAP_BPF]),
            (Situation { kernel: UNKNOWN_KERNEL, ..LEAST }, &[CAP_BPF]),
            (Situation { more_cgroups: true, ..LEAST }, &[CAP_BPF, CAP_NET_ADMIN]),
            (Situation { other_namespaces: true, ..LEAST }, &[CAP_SYS_ADMIN]),
        ] {
            let expected = find.iter().chain(more).copied().collect();
            assert_eq!(needed(&duties(situation)), expected, "{situation:?}");
        }
    }
}
