//! What h2watch attaches is gone when it is gone, however it ends.

use crate::support::cgroup::{self, Cgroup};
use crate::support::programs::Program;
use crate::support::tools;
use crate::support::watch::Watch;
use rustix::process::Signal;
use std::time::Duration;

const NONE: [u64; 0] = [];
const SOON: Duration = Duration::from_secs(20);

/// Attaches to a cgroup, ends h2watch with `end`, and looks for what it attached.
fn nothing_is_left(end: impl FnOnce(Watch)) {
    let cgroup = Cgroup::new("left");
    let _member = Program::start_with(&["sleep".to_owned(), "60".to_owned()], |c| cgroup.start_inside(c));
    assert_eq!(cgroup.attached_programs(), NONE, "a new cgroup has no programs");
    let path = cgroup.path().to_string_lossy().into_owned();
    let watch = Watch::start(&["--cgroup", &path]);
    let attached = cgroup.attached_programs();
    assert!(attached.len() >= 4, "ingress, egress, connect4 and connect6 are attached: {attached:?}");
    end(watch);
    assert_eq!(cgroup.attached_programs(), NONE, "programs are still attached");
    cgroup::wait_until_freed(&attached);
}

#[test]
fn nothing_is_left_attached_after_sigterm() {
    nothing_is_left(|watch| assert_eq!(watch.stop().status.code(), Some(0)));
}

#[test]
fn nothing_is_left_attached_after_sigint() {
    nothing_is_left(|watch| {
        watch.signal(Signal::INT);
        assert_eq!(watch.end(SOON).status.code(), Some(0));
    });
}

#[test]
fn nothing_is_left_attached_after_sigkill() {
    nothing_is_left(|watch| {
        watch.signal(Signal::KILL);
        let ended = watch.end(SOON);
        assert!(!ended.status.success());
    });
}

#[test]
fn nothing_is_left_attached_after_for() {
    let cgroup = Cgroup::new("for");
    let path = cgroup.path().to_string_lossy().into_owned();
    let watch = Watch::start(&["--cgroup", &path, "--for", "1s"]);
    let attached = cgroup.attached_programs();
    let ended = watch.end(SOON);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.errors);
    ended.summary();
    assert_eq!(cgroup.attached_programs(), NONE);
    cgroup::wait_until_freed(&attached);
}

/// Nothing of it is pinned in the BPF file system either.
#[test]
fn nothing_is_pinned() {
    let shown = tools::run("bpftool", &["prog", "show", "--bpffs"]);
    assert!(!shown.contains("pinned /sys/fs/bpf/h2watch"), "{shown}");
}
