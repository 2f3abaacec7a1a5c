//! Which container, pod and unit a process belongs to, read from its cgroup path alone: no runtime's socket, no API.
//!
//! Knows the paths of Docker, containerd and CRI-O under Kubernetes, Podman and systemd, with the systemd and the cgroupfs
//! driver, in cgroup v1 and v2. A path that fits none gives nothing: never a guess.

/// What a cgroup path tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// 64 hex digits.
    pub container: Option<String>,
    /// In the form of the Kubernetes API, with dashes.
    pub pod_uid: Option<String>,
    /// Innermost systemd service or scope that is not a container's own.
    pub unit: Option<String>,
}

impl Identity {
    /// Reads a path such as `/proc/PID/cgroup` shows it, or one below the cgroup mount.
    #[must_use]
    pub fn of_cgroup(path: &str) -> Self {
        let mut identity = Self::default();
        for segment in path.split('/').filter(|segment| !segment.is_empty()) {
            if let Some(container) = container_id(segment) {
                // Docker in a container: the innermost is the one that the process knows.
                identity.container = Some(container.to_owned());
            } else if let Some(pod_uid) = pod_uid(segment) {
                identity.pod_uid = Some(pod_uid);
            } else if is_unit(segment) {
                identity.unit = Some(unescape(segment));
            }
        }
        identity
    }
}

/// `<id>`, `docker-<id>.scope`, `cri-containerd-<id>.scope`, `crio-<id>`, `libpod-<id>.scope`, and with the cgroupfs driver of
/// containerd `kubepods-...:cri-containerd:<id>`. CRI-O's and Podman's `-conmon-` siblings hold the monitor, not the container.
fn container_id(segment: &str) -> Option<&str> {
    let name = segment.strip_suffix(".scope").unwrap_or(segment);
    let (prefix, id) = match name.rsplit_once(['-', ':']) {
        Some((prefix, id)) => (prefix, id),
        None => ("", name),
    };
    let whole = id.len() == 64 && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    (whole && !prefix.ends_with("conmon")).then_some(id)
}

/// `pod<uid>` (cgroupfs driver) or `kubepods[-class]-pod<uid>.slice`, where systemd wants `_` for `-`.
fn pod_uid(segment: &str) -> Option<String> {
    let name = match segment.strip_suffix(".slice") {
        Some(name) => name.strip_prefix("kubepods")?.rsplit_once("-pod")?.1,
        None => segment.strip_prefix("pod")?,
    };
    let uid = name.replace('_', "-");
    // A UUID, or the 32 hex digits of a static pod (the hash of its manifest).
    let hex = uid.bytes().filter(u8::is_ascii_hexdigit).count();
    let dashes = uid.bytes().filter(|b| *b == b'-').count();
    let uuid = dashes == 4 && hex == 32 && uid.len() == 36;
    (uuid || (hex == 32 && uid.len() == 32)).then_some(uid)
}

fn is_unit(segment: &str) -> bool {
    // init.scope is systemd itself; it would hide the service of a nested manager.
    (segment.ends_with(".service") || segment.ends_with(".scope")) && segment != "init.scope"
}

/// systemd escapes what a file name may not hold as `\xNN`.
fn unescape(unit: &str) -> String {
    let mut bytes = Vec::with_capacity(unit.len());
    let mut rest = unit.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = match rest {
            [b'\\', b'x', high, low, ..] => hex_byte(*high, *low),
            _ => None,
        };
        bytes.push(hex.unwrap_or(*first));
        rest = if hex.is_some() { &rest[4..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex_byte(high: u8, low: u8) -> Option<u8> {
    let digit = |b: u8| char::from(b).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    const POD: &str = "6b8e2a0c-3f4d-4f6e-9d1c-0a1b2c3d4e5f";

    /// Path (`ID`, `POD` and `P_OD` stand for the ids), container, pod, unit.
    const TABLE: &[(&str, bool, bool, Option<&str>)] = &[
        ("/", false, false, None),
        ("", false, false, None),
        ("/system.slice/nginx.service", false, false, Some("nginx.service")),
        ("/system.slice/system-getty.slice/getty@tty1.service", false, false, Some("getty@tty1.service")),
        ("/user.slice/user-1000.slice/session-3.scope", false, false, Some("session-3.scope")),
        (
            "/user.slice/user-1000.slice/user@1000.service/app.slice/app-a\\x2db.scope",
            false,
            false,
            Some("app-a-b.scope"),
        ),
        // Docker: cgroupfs driver, systemd driver, and dockerd's own unit stays out of it.
        ("/docker/ID", true, false, None),
        ("/system.slice/docker-ID.scope", true, false, None),
        ("/system.slice/docker-ID.scope/init.scope", true, false, None),
        ("/docker/ID/system.slice/nginx.service", true, false, Some("nginx.service")),
        // Kubernetes, containerd.
        (
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podP_OD.slice/cri-containerd-ID.scope",
            true,
            true,
            None,
        ),
        ("/kubepods.slice/kubepods-podP_OD.slice/cri-containerd-ID.scope", true, true, None),
        ("/kubepods/besteffort/podPOD/ID", true, true, None),
        (
            "/system.slice/containerd.service/kubepods-burstable-podP_OD.slice:cri-containerd:ID",
            true,
            false,
            Some("containerd.service"),
        ),
        // kind: the node is a container itself.
        ("/docker/ID/kubelet.slice/kubelet-kubepods.slice/x/podPOD/ID", true, true, None),
        // CRI-O, and its monitor.
        ("/kubepods.slice/kubepods-podP_OD.slice/crio-ID.scope", true, true, None),
        (
            "/kubepods.slice/kubepods-podP_OD.slice/crio-conmon-ID.scope",
            false,
            true,
            Some("crio-conmon-ID.scope"),
        ),
        // Podman, rootless and as a unit.
        ("/machine.slice/libpod-ID.scope/container", true, false, None),
        (
            "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope",
            true,
            false,
            Some("user@1000.service"),
        ),
        ("/machine.slice/libpod-conmon-ID.scope", false, false, Some("libpod-conmon-ID.scope")),
        // Not ids: too short, upper case, a pod that is none.
        ("/docker/0123456789ab", false, false, None),
        ("/kubepods/podnotauid/x", false, false, None),
        ("/podman/podcast.service", false, false, Some("podcast.service")),
    ];

    #[test]
    fn paths_of_every_runtime() {
        for (path, container, pod, unit) in TABLE {
            let real =
                |s: &str| s.replace("P_OD", &POD.replace('-', "_")).replace("POD", POD).replace("ID", ID);
            let expected = Identity {
                container: container.then(|| ID.to_owned()),
                pod_uid: pod.then(|| POD.to_owned()),
                unit: unit.map(real),
            };
            assert_eq!(Identity::of_cgroup(&real(path)), expected, "{path}");
        }
    }

    #[test]
    fn a_static_pod_has_a_hash() {
        let path = "/kubepods.slice/kubepods-pod0123456789abcdef0123456789abcdef.slice";
        let pod_uid = Identity::of_cgroup(path).pod_uid;
        assert_eq!(pod_uid.as_deref(), Some("0123456789abcdef0123456789abcdef"));
    }

    #[test]
    fn broken_escapes_are_kept() {
        assert_eq!(unescape("a\\x2"), "a\\x2");
        assert_eq!(unescape("a\\xzz\\"), "a\\xzz\\");
    }
}
