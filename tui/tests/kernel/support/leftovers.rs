//! BPF objects of h2watch in the kernel: those that a process holds, and those that nobody holds any more.

use super::{tools, wait_until};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

/// Kinds of objects as bpftool calls them, and the word before their number in `/proc/PID/fdinfo`.
const KINDS: [(&str, &str); 3] = [("prog", "prog_id:"), ("link", "link_id:"), ("map", "map_id:")];
/// The kernel frees objects after a grace period; removing uprobes takes longer.
const FREED_WITHIN: Duration = Duration::from_secs(20);

/// Numbers of the programs, links and maps that a process holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Held([BTreeSet<u32>; 3]);

/// Numbers behind `word` in what the kernel tells of the descriptors of a process (or `self`); none when it has ended.
pub(crate) fn held(process: &str, word: &str) -> BTreeSet<u32> {
    descriptors(process)
        .iter()
        .flat_map(|info| info.lines())
        .filter_map(|line| line.strip_prefix(word)?.trim().parse().ok())
        .collect()
}

fn descriptors(process: &str) -> Vec<String> {
    let Ok(infos) = fs::read_dir(format!("/proc/{process}/fdinfo")) else { return Vec::new() };
    infos.flatten().filter_map(|info| fs::read_to_string(info.path()).ok()).collect()
}

impl Held {
    pub(crate) fn by(pid: u32) -> Self {
        Self(KINDS.map(|(_, word)| held(&pid.to_string(), word)))
    }

    /// Number of links to uprobes.
    pub(crate) fn uprobes(pid: u32) -> usize {
        // Over perf events before Linux 6.10.
        let kinds = ["uprobe_multi", "perf"];
        let is_uprobe = |info: &&String| {
            let kind = info.lines().find_map(|line| line.strip_prefix("link_type:"));
            kind.is_some_and(|kind| kinds.contains(&kind.trim()))
        };
        descriptors(&pid.to_string()).iter().filter(is_uprobe).count()
    }

    /// Waits until the kernel has none of them any more.
    pub(crate) fn wait_until_freed(&self) {
        wait_until(FREED_WITHIN, &format!("{self:?} leave the kernel"), || {
            self.shown().is_empty().then_some(())
        });
    }

    /// Nothing of it can be found in a BPF file system, where it would outlive its process.
    pub(crate) fn assert_not_pinned(&self) {
        let shown = self.shown();
        assert_eq!(shown.len(), self.0.iter().map(BTreeSet::len).sum::<usize>(), "bpftool shows all of it");
        for object in shown {
            assert!(object["pinned"].as_array().is_none_or(Vec::is_empty), "{object}");
        }
    }

    /// What bpftool shows of those that exist.
    fn shown(&self) -> Vec<Value> {
        let of_kind = |((kind, _), ids): ((&str, &str), &BTreeSet<u32>)| {
            let mut objects = show(kind);
            objects.retain(|object| number(object).is_some_and(|id| ids.contains(&id)));
            objects
        };
        KINDS.into_iter().zip(&self.0).flat_map(of_kind).collect()
    }
}

fn number(object: &Value) -> Option<u32> {
    u32::try_from(object["id"].as_u64()?).ok()
}

fn show(kind: &str) -> Vec<Value> {
    let shown = tools::run("bpftool", &["-j", "--bpffs", kind, "show"]);
    match serde_json::from_str(&shown) {
        Ok(Value::Array(objects)) => objects,
        _ if shown.trim().is_empty() => Vec::new(),
        _ => panic!("bpftool {kind} show: {shown}"),
    }
}

/// Asserts that the kernel has no program of h2watch's object which no process holds: pinned, or attached without a link.
/// Programs of another h2watch that runs are held by it.
pub(crate) fn assert_no_orphans() {
    let names = program_names();
    let orphans = || {
        let shown = show("prog");
        let processes = fs::read_dir("/proc").expect("/proc is mounted").flatten();
        let is_held: BTreeSet<u32> =
            processes.flat_map(|process| held(&process.file_name().to_string_lossy(), "prog_id:")).collect();
        let is_orphan = |program: &Value| {
            names.contains(program["name"].as_str().unwrap_or_default())
                && number(program).is_some_and(|id| !is_held.contains(&id))
        };
        shown.into_iter().filter(is_orphan).map(|program| program.to_string()).collect::<Vec<_>>()
    };
    // Another one may be ending just now.
    wait_until(FREED_WITHIN, "programs that nobody holds leave the kernel", || {
        orphans().is_empty().then_some(())
    });
}

/// Names of the programs in the object, as long as the kernel keeps them.
fn program_names() -> BTreeSet<String> {
    let object = aya_obj::Object::parse(&tools::probe_object()).expect("a BPF object");
    object.programs.keys().map(|name| name.chars().take(15).collect()).collect()
}
