//! Cgroups that come later: some refuse, some are gone soon. What can be watched is watched, and nothing is kept for the others.

use crate::support::cgroup::Cgroup;
use crate::support::exporter::{Exporter, get};
use crate::support::programs::Named;
use crate::support::watch::{self, Watch};
use crate::support::{tools, wait_until};
use serde_json::Value;
use std::fs;
use std::process::Command;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);
/// Two walkers, connect4, connect6 and release.
const PROGRAMS: usize = 5;

fn wait_until_attached(cgroup: &Cgroup) {
    wait_until(SOON, "the cgroup is attached", || {
        (cgroup.attached_programs().len() == PROGRAMS).then_some(())
    });
}

/// Attaches the program exclusively, or detaches it.
fn exclusively(what: &str, cgroup: &Cgroup, program: u64) {
    let path = cgroup.path().to_str().expect("an ASCII path");
    tools::run("bpftool", &["cgroup", what, path, "connect4", "id", &program.to_string()]);
}

/// A cgroup with a program that was attached exclusively takes no other one in that place.
#[test]
fn a_cgroup_that_refuses_is_said_and_tried_again_beside_the_others() {
    let [first, refusing, last] = ["first", "refusing", "last"].map(Cgroup::new);
    let named = Named::new();
    let _in_first = named.sleep(|c| first.start_inside(c));
    let exporter = Exporter::start(&["--comm", &named.name, "--interval", "200ms"]);
    let limits = || exporter.metrics().sum("h2watch_degradations", &[]);
    let limits_before = limits();
    let connect4 = program_at(&first, "connect4");
    exclusively("attach", &refusing, connect4);

    let _in_refusing = named.sleep(|c| refusing.start_inside(c));
    exporter.wait_for("h2watch_degradations", &[], |limits| limits == limits_before + 1.0);
    let page = get(exporter.address(), "/").expect("the exporter answers");
    let path = refusing.path().to_str().expect("an ASCII path");
    assert!(page.contains(path), "{path} is not on the page: {page}");
    let log = exporter.log();
    assert!(log.lines().any(|line| line.contains("limit") && line.contains(path)), "{log}");
    assert_eq!(refusing.attached_programs(), [connect4], "half of it stayed attached");
    assert_check_cannot_tell(&named, path);
    let _in_last = named.sleep(|c| last.start_inside(c));
    wait_until_attached(&last);

    exclusively("detach", &refusing, connect4);
    wait_until_attached(&refusing);
    exporter.wait_for("h2watch_degradations", &[], |limits| limits == limits_before);
}

/// What is not watched may be stalled.
fn assert_check_cannot_tell(named: &Named, path: &str) {
    let output = Command::new(env!("CARGO_BIN_EXE_h2watch"))
        .args(["check", "--comm", &named.name, "--stall-after", "100ms", "--output", "json"])
        .output()
        .expect("h2watch starts");
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let line: Value = serde_json::from_slice(&output.stdout).expect("one line of JSON");
    let unclear = line["unclear"].as_array().expect("a list");
    assert!(unclear.len() == 1 && unclear[0].to_string().contains(path), "{line}");
}

/// The number of the program that hangs in one place of a cgroup.
fn program_at(cgroup: &Cgroup, place: &str) -> u64 {
    let path = cgroup.path().to_str().expect("an ASCII path");
    let shown = tools::run("bpftool", &["-j", "cgroup", "show", path]);
    let shown: Value = serde_json::from_str(&shown).expect("bpftool prints JSON");
    let found = shown.as_array().into_iter().flatten().find(|program| program["name"] == place);
    found.and_then(|program| program["id"].as_u64()).unwrap_or_else(|| panic!("no {place} in {shown}"))
}

/// A service that is restarted, or a job for each task, is in a new cgroup each time. All at once they need more descriptors than
/// the limit that h2watch was started with.
#[test]
fn no_descriptors_are_kept_of_cgroups_that_are_gone() {
    const CGROUPS: usize = 20;
    const LIMIT: usize = 64;
    let named = Named::new();
    let command = watch::command(&["--comm", &named.name, "--interval", "200ms"]);
    let watch = Watch::spawn(watch::with_descriptors(command, LIMIT as u64));
    watch.wait_until_ready();
    let links = || cgroup_links(watch.pid());
    assert_eq!(links(), 0);
    {
        let cgroups: Vec<Cgroup> = (0..CGROUPS).map(|_| Cgroup::new("short")).collect();
        let _members: Vec<_> = cgroups.iter().map(|cgroup| named.sleep(|c| cgroup.start_inside(c))).collect();
        cgroups.iter().for_each(wait_until_attached);
        assert_eq!(links(), CGROUPS * PROGRAMS);
        assert!(links() > LIMIT, "{} descriptors need no higher limit", links());
    }
    wait_until(SOON, "the links are closed", || (links() == 0).then_some(()));
}

/// Descriptors of a process that are links to cgroups, also to those that are gone.
fn cgroup_links(pid: u32) -> usize {
    let infos = fs::read_dir(format!("/proc/{pid}/fdinfo")).expect("h2watch runs").flatten();
    infos
        .filter_map(|info| fs::read_to_string(info.path()).ok())
        .filter(|info| info.contains("cgroup_id:"))
        .count()
}
