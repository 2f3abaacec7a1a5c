//! What the systemd unit and the DaemonSet give the exporter: these rights and no others. That they are enough and that each of them
//! is needed is for the kernel tests.

use crate::deploy::deploy;
use h2watch::cli::{Cli, Mode};

/// Values of a setting of the unit, in the order in which they are there.
fn setting(name: &str) -> Vec<String> {
    let unit = deploy("systemd/h2watch.service");
    let lines = unit.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    lines.flat_map(str::split_whitespace).map(str::to_owned).collect()
}

fn manifest() -> String {
    let text = deploy("kubernetes/h2watch.yaml");
    text.split("---\n").find(|part| part.contains("\nkind: DaemonSet\n")).expect("a DaemonSet").to_owned()
}

/// What is below the only line `key` of a YAML document, without comments: each line with its indentation relative to the first.
fn below(yaml: &str, key: &str) -> Vec<String> {
    let lines = yaml.lines().filter(|line| !line.trim_start().starts_with('#'));
    let lines: Vec<(usize, &str)> =
        lines.map(|line| (line.len() - line.trim_start().len(), line.trim())).collect();
    let at: Vec<usize> = (0..lines.len()).filter(|&n| lines[n].1 == key).collect();
    assert_eq!(at.len(), 1, "{key}");
    let block = lines[at[0] + 1..].iter().take_while(|(indent, _)| *indent > lines[at[0]].0);
    let block: Vec<_> = block.collect();
    block.iter().map(|(indent, line)| " ".repeat(indent - block[0].0) + line).collect()
}

fn has(yaml: &str, wanted: &str) -> bool {
    yaml.lines().any(|line| line.trim() == wanted)
}

#[test]
fn the_unit_gives_its_capabilities_and_no_way_to_others() {
    let ambient = setting("AmbientCapabilities");
    assert_eq!(ambient, setting("CapabilityBoundingSet"));
    assert!(ambient.iter().all(|name| name.starts_with("CAP_")), "{ambient:?}");
    assert!(!ambient.contains(&"CAP_SYS_ADMIN".to_owned()), "nearly root");
    assert_eq!(setting("NoNewPrivileges"), ["yes"]);
    assert_eq!(setting("DynamicUser"), ["yes"], "nobody's user");
    assert!(setting("User").is_empty());
    // Each is explained.
    let unit = deploy("systemd/h2watch.service");
    for name in &ambient {
        assert!(unit.lines().any(|line| line.starts_with(&format!("# {name} "))), "{name} has no reason");
    }
}

/// The unit's, and the one that pods need because each has a network namespace of its own.
#[test]
fn the_daemon_set_adds_setns_to_the_capabilities_of_the_unit() {
    let mut wanted = vec!["drop: [\"ALL\"]".to_owned(), "add:".to_owned()];
    let short = |name: &String| format!("  - {}", name.strip_prefix("CAP_").unwrap());
    wanted.extend(setting("AmbientCapabilities").iter().map(short));
    wanted.push("  - SYS_ADMIN".to_owned());
    let manifest = manifest();
    assert_eq!(below(&manifest, "capabilities:"), wanted);
    let reason = manifest.split("- SYS_ADMIN").next().unwrap().lines().rev().nth(1).unwrap();
    assert!(reason.contains("# setns into the network namespaces of pods"), "{reason}");
}

#[test]
fn the_daemon_set_is_not_privileged_and_sees_processes_and_cgroups() {
    let manifest = manifest();
    for line in [
        "privileged: false",
        "allowPrivilegeEscalation: false",
        "readOnlyRootFilesystem: true",
        "hostPID: true",
        "automountServiceAccountToken: false",
    ] {
        assert!(has(&manifest, line), "no {line}");
    }
    for line in ["privileged: true", "hostNetwork: true", "hostIPC: true", "type: Unconfined"] {
        // AppArmor's default forbids looking at processes of other containers; nothing else is unconfined.
        let allowed = usize::from(line == "type: Unconfined");
        assert_eq!(manifest.lines().filter(|l| l.trim() == line).count(), allowed, "{line}");
    }
    assert_eq!(below(&manifest, "seccompProfile:"), ["type: RuntimeDefault"]);
    // The cgroups of the node, where h2watch looks for them, and nothing else of the node.
    let mount = ["- name: cgroup", "  mountPath: /sys/fs/cgroup", "  readOnly: true"];
    assert_eq!(below(&manifest, "volumeMounts:"), mount);
    let volume = ["- name: cgroup", "  hostPath:", "    path: /sys/fs/cgroup", "    type: Directory"];
    assert_eq!(below(&manifest, "volumes:"), volume);
}

#[test]
fn all_of_them_run_the_exporter_for_the_whole_host() {
    let unit = setting("ExecStart").join(" ");
    let manifest = manifest();
    let listed = |text: &str, start: &str| {
        let list = text.lines().find_map(|line| line.trim().strip_prefix(start)).expect(start).to_owned();
        serde_json::from_str::<Vec<String>>(&list).unwrap()
    };
    for words in [
        unit.split(' ').skip(1).map(str::to_owned).collect(),
        listed(&manifest, "args: "),
        listed(&deploy("Dockerfile"), "CMD "),
    ] {
        let typed = [vec!["h2watch".to_owned()], words].concat();
        let cli = <Cli as clap::Parser>::try_parse_from(&typed).unwrap();
        let Some(Mode::Export(export)) = cli.mode else { panic!("not the exporter: {typed:?}") };
        assert!(export.selector.all, "{typed:?}");
        assert_eq!(export.listen.port(), h2watch::export::DEFAULT_LISTEN.port(), "{typed:?}");
    }
}
