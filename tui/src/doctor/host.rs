//! What this host allows.

use std::time::Duration;

use super::{Finding, Level};
use crate::diag::Namespaces;
use crate::kernel;
use crate::privileges;
use crate::probe::{Object, Probe, Scope, Setup, may_attach_uprobes, provenance};
use crate::reset::kill;
use crate::target::cgroup::{Hierarchy, OwnCgroup};

/// What watching needs, see `capabilities(7)`.
const NEEDED: [&str; 4] = ["CAP_BPF", "CAP_NET_ADMIN", "CAP_PERFMON", "CAP_SYS_PTRACE"];

/// The first kernel with `bpf_loop`, by which plaintext is walked. `bpf_get_attach_cookie` came with 5.15.
const TLS_SINCE: (u32, u32) = (5, 17);

/// All checks, in the order in which watching needs them.
pub(super) fn examine() -> Vec<Finding> {
    let rights = rights();
    let may_watch = rights.level == Level::Pass;
    let mut findings = vec![kernel(), rights, uprobes(may_watch)];
    match Hierarchy::find_mount() {
        Ok(hierarchy) => {
            findings.push(Finding::pass("cgroup v2", format!("mounted at {}", hierarchy.mount().display())));
            findings.extend(probe(&hierarchy, may_watch));
        }
        Err(error) => findings.push(Finding::fail("cgroup v2", "not mounted", format!("{error:#}"))),
    }
    findings.push(sockets());
    findings.push(lockdown());
    findings
}

fn kernel() -> Finding {
    let uname = rustix::system::uname();
    let release = uname.release().to_string_lossy().into_owned();
    let text = format!("Linux {release} on {}", uname.machine().to_string_lossy());
    match kernel::version_of(&release) {
        Some(version) if version < (5, 10) => Finding::fail(
            "kernel",
            text,
            "Linux 5.10 is the oldest that h2watch supports: see docs/requirements.md",
        ),
        _ => Finding::pass("kernel", text),
    }
}

fn rights() -> Finding {
    let held = match privileges::held() {
        Ok(held) => held,
        Err(error) => return Finding::fail("rights", format!("{error:#}"), "run it as root"),
    };
    let missing: Vec<&str> = NEEDED
        .into_iter()
        .filter(|name| !held.effective.iter().any(|capability| capability == name))
        .collect();
    let details = vec![
        format!("effective: {}", list(&held.effective)),
        format!("permitted: {}", list(&held.permitted)),
        format!("bounding: {}", list(&held.bounding)),
        format!("no_new_privs: {}", if held.no_new_privileges { "yes" } else { "no" }),
    ];
    if missing.is_empty() {
        return Finding::pass("rights", format!("{} are held", NEEDED.join(", "))).with_details(details);
    }
    Finding::fail("rights", format!("{} missing", missing.join(", ")), "run it with sudo")
        .with_details(details)
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(" ") }
}

/// Whether what the first check found missing is all that is missing is not known then.
fn uprobes(may_watch: bool) -> Finding {
    if !may_watch {
        return Finding::warn("uprobes", "not tried without the rights above", "run it with sudo");
    }
    if may_attach_uprobes() {
        return Finding::pass("uprobes", "TLS libraries can be looked into with the rights that are held");
    }
    Finding::warn(
        "uprobes",
        "this kernel does not allow them with the rights that are held: TLS connections are seen as records only",
        "give it CAP_SYS_ADMIN, which stable kernels before 6.10 want since July 2025, or run it as root",
    )
}

/// Loads the probe and attaches it to a cgroup without processes.
fn probe(hierarchy: &Hierarchy, may_watch: bool) -> Vec<Finding> {
    let object = match Object::find() {
        Ok(object) => object,
        Err(error) => return vec![Finding::fail("probe", format!("{error:#}"), "use an unmodified release")],
    };
    let setup = Setup {
        max_connections: 8,
        scope: Scope::Cgroup,
        ring_after: Duration::from_secs(3),
        ring_min_streams: 2,
        tls: true,
    };
    let mut probe = match Probe::load(&object, &setup) {
        Ok(probe) => probe,
        Err(error) => {
            let advice = if may_watch {
                "H2WATCH_VERIFIER_LOG=1 shows the verifier's whole log; please report it"
            } else {
                "it needs the rights above"
            };
            return vec![Finding::fail("probe", format!("{error:#}"), advice)];
        }
    };
    let details = provenance().lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect();
    let loaded = Finding::pass("probe", format!("the object ({}) is accepted by this kernel", object.source));
    let mut findings = vec![loaded.with_details(details)];
    findings.push(tls_programs(&probe));
    for degradation in probe.degradations() {
        findings.push(Finding::warn(degradation.part, degradation.sentence.clone(), degradation.advice));
    }
    findings.push(match OwnCgroup::create(hierarchy) {
        Ok(cgroup) => match probe.attach(cgroup.path()) {
            Ok(()) => Finding::pass("attach", "cgroup_skb, connect and sock_release hooks attach"),
            Err(error) => Finding::fail("attach", format!("{error:#}"), "is another program attached exclusively?"),
        },
        // In a container, and for the user of a service. What is there already can be watched all the same.
        Err(error) => Finding::warn(
            "attach",
            format!("not tried: {error:#}"),
            "`-- COMMAND` and this check need a cgroup hierarchy that can be written to; --pid, --comm, --cgroup, --all do not",
        ),
    });
    findings
}

/// All of them, whichever library they are for: a process whose programs are refused later is seen as records only.
fn tls_programs(probe: &Probe) -> Finding {
    let Some(refused) = probe.uprobes().prepare().first().map(|error| format!("{error:#}")) else {
        return Finding::pass("tls probes", "all programs for TLS libraries are accepted by this kernel");
    };
    let advice = match kernel::version() {
        Some(version) if version < TLS_SINCE => {
            "the programs for TLS libraries need Linux 5.17: TLS connections are seen as records only"
        }
        _ => {
            "connections of such clients are seen as records only; H2WATCH_VERIFIER_LOG=1 shows more, please report it"
        }
    };
    Finding::warn("tls probes", refused, advice)
}

/// sock_diag, and SOCK_DESTROY on a socket of our own.
fn sockets() -> Finding {
    let mut namespaces = Namespaces::default();
    let own = std::process::id();
    if let Err(error) = namespaces.of_pid(own) {
        let advice =
            "without sock_diag causes cannot be told and open connections are not found: CONFIG_INET_DIAG";
        return Finding::warn("sock_diag", format!("{error:#}"), advice);
    }
    match kill::check(&mut namespaces, &[own]) {
        Ok(()) => Finding::pass("sock_diag", "TCP facts can be read and sockets can be reset (SOCK_DESTROY)"),
        Err(error) => Finding::warn(
            "reset",
            format!("{error:#}"),
            "--reset needs CAP_NET_ADMIN and CONFIG_INET_DIAG_DESTROY",
        ),
    }
}

fn lockdown() -> Finding {
    let text = std::fs::read_to_string("/sys/kernel/security/lockdown").unwrap_or_default();
    let mode = text.split_whitespace().find_map(|word| word.strip_prefix('[')?.strip_suffix(']'));
    match mode {
        Some("confidentiality") => Finding::warn(
            "lockdown",
            "confidentiality: the kernel lets no program read a process's memory",
            "TLS connections are seen as records only",
        ),
        Some(mode) => Finding::pass("lockdown", format!("{mode}: no limit for h2watch")),
        None => Finding::pass("lockdown", "not in force, or securityfs is not mounted"),
    }
}
