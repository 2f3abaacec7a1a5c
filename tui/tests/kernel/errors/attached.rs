//! What h2watch attaches is gone when it is gone, however it ends.

use crate::support::cgroup::Cgroup;
use crate::support::leftovers::{Held, assert_no_orphans};
use crate::support::programs::Program;
use crate::support::watch::Watch;
use crate::support::{tools, wait_until};
use rustix::process::Signal;
use std::time::Duration;

const NONE: [u64; 0] = [];
const SOON: Duration = Duration::from_secs(20);

/// Attaches to a cgroup and to the TLS library of a process in it, with `options`, ends h2watch with `end`, and looks for all
/// that it loaded and attached.
fn nothing_is_left(options: &[&str], end: impl FnOnce(Watch)) {
    let cgroup = Cgroup::new("left");
    let python = tools::python().to_string_lossy().into_owned();
    let words = [&python, "-c", "import ssl, time; print('UP', flush=True); time.sleep(60)"];
    let mut client = Program::start_with(&words.map(str::to_owned), |c| cgroup.start_inside(c));
    client.hear("UP");
    assert_eq!(cgroup.attached_programs(), NONE, "a new cgroup has no programs");
    let path = cgroup.path().to_string_lossy().into_owned();
    let watch = Watch::start(&[&["--cgroup", path.as_str()], options].concat());
    wait_until(SOON, "uprobes are attached", || (Held::uprobes(watch.pid()) >= 2).then_some(()));
    let attached = cgroup.attached_programs();
    assert_eq!(
        attached.len(),
        5,
        "ingress, egress, connect4, connect6 and release are attached: {attached:?}"
    );
    let held = Held::by(watch.pid());
    held.assert_not_pinned();
    end(watch);
    assert_eq!(cgroup.attached_programs(), NONE, "programs are still attached");
    held.wait_until_freed();
    assert_no_orphans();
}

#[test]
fn nothing_is_left_attached_after_sigterm() {
    nothing_is_left(&[], |watch| assert_eq!(watch.stop().status.code(), Some(0)));
}

#[test]
fn nothing_is_left_attached_after_sigint() {
    nothing_is_left(&[], |watch| {
        watch.signal(Signal::INT);
        assert_eq!(watch.end(SOON).status.code(), Some(0));
    });
}

#[test]
fn nothing_is_left_attached_after_sigkill() {
    nothing_is_left(&[], |watch| {
        watch.signal(Signal::KILL);
        let ended = watch.end(SOON);
        assert!(!ended.status.success());
    });
}

#[test]
fn nothing_is_left_attached_after_for() {
    nothing_is_left(&["--for", "5s"], |watch| {
        let ended = watch.end(SOON);
        assert_eq!(ended.status.code(), Some(0), "{}", ended.errors);
        ended.summary();
    });
}
