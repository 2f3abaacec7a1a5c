//! Debian packages: which ones, which are missing, and how they are installed. A package is not missing where its program is
//! already there from somewhere else (a newer Node.js, another JRE).

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{checkout, command};

/// A package, and the program it is wanted for (none: a library, only dpkg knows).
pub(super) struct Need(&'static str, Option<&'static str>);

pub(super) const CLIENTS: [Need; 17] = [
    Need("nghttp2-client", Some("h2load")),
    Need("nghttp2-server", Some("nghttpd")),
    Need("curl", Some("curl")),
    Need("wget2", Some("wget2")),
    Need("nodejs", Some("node")),
    // `java File.java` compiles first.
    Need("default-jdk-headless", Some("javac")),
    Need("gnutls-bin", Some("gnutls-cli")),
    Need("openssl", Some("openssl")),
    Need("nftables", Some("nft")),
    Need("iproute2", Some("ip")),
    Need("procps", Some("sysctl")),
    Need("util-linux", Some("unshare")),
    Need("tcpdump", Some("tcpdump")),
    Need("bpftool", Some("bpftool")),
    Need("tmux", Some("tmux")),
    Need("python3-venv", None),
    Need("python3", Some("python3")),
];

pub(super) const VM: [Need; 6] = [
    Need("qemu-system-x86", Some("qemu-system-x86_64")),
    Need("busybox-static", None),
    Need("cpio", Some("cpio")),
    Need("kmod", Some("modprobe")),
    Need("xz-utils", Some("xz")),
    Need("debian-archive-keyring", None),
];

pub(super) const BENCH: [Need; 4] = [
    Need("nghttp2-client", Some("h2load")),
    Need("nghttp2-server", Some("nghttpd")),
    Need("tcpdump", Some("tcpdump")),
    Need("bpftool", Some("bpftool")),
];

pub(super) const DEPLOY: [Need; 6] = [
    Need("prometheus", Some("promtool")),
    Need("prometheus-alertmanager", Some("prometheus-alertmanager")),
    Need("systemd", Some("systemd-analyze")),
    Need("chromium", Some("chromium")),
    Need("python3-venv", None),
    Need("python3", Some("python3")),
];

/// The compiler with its precompiled `core`, and what linking bpf-linker needs.
pub(super) const BPF: [Need; 9] = [
    Need("rustc-web", None),
    Need("rust-web-clippy", None),
    Need("cargo-web", None),
    Need("libstd-rust-web-dev-bpf", None),
    Need("llvm-22-dev", None),
    Need("libpolly-22-dev", None),
    Need("zlib1g-dev", None),
    Need("libzstd-dev", None),
    Need("g++", Some("g++")),
];

pub(super) fn install(needs: &[Need]) -> Result<()> {
    let missing: Vec<&str> = needs.iter().filter(|need| !need.is_met()).map(|need| need.0).collect();
    let what = format!("{} Debian packages", needs.len());
    super::step(&what, missing.is_empty(), || apt_install(&missing))
}

impl Need {
    fn is_met(&self) -> bool {
        self.1.is_some_and(is_program) || is_installed(self.0)
    }
}

/// Also where only root's PATH looks.
fn is_program(name: &str) -> bool {
    checkout::program(name).is_some()
        || ["/usr/sbin", "/sbin"].iter().any(|folder| Path::new(folder).join(name).exists())
}

fn is_installed(package: &str) -> bool {
    let status =
        command::output(Command::new("dpkg-query").args(["-W", "-f", "${db:Status-Abbrev}", package]));
    status.is_ok_and(|status| status.starts_with("ii"))
}

fn apt_install(missing: &[&str]) -> Result<()> {
    let by_hand = format!("apt-get install --no-install-recommends {}", missing.join(" "));
    if checkout::program("apt-get").is_none() {
        bail!(
            "missing, and this is no Debian: install what these Debian packages hold: {}",
            missing.join(" ")
        );
    }
    // SAFETY: geteuid has no arguments and cannot fail.
    if unsafe { libc::geteuid() } != 0 {
        bail!("missing packages; as root: {by_hand}");
    }
    command::quietly(apt_get().args(["-qq", "update"]))
        .context("the package lists could not be brought up to date")?;
    command::quietly(apt_get().args(["-qq", "install", "--no-install-recommends"]).args(missing))
        .with_context(|| format!("these packages are for Debian 12 or newer; by hand: {by_hand}"))
}

/// apt-get that asks nothing, and waits where another apt is at work.
fn apt_get() -> Command {
    let mut apt_get = Command::new("apt-get");
    apt_get.env("DEBIAN_FRONTEND", "noninteractive").args(["-y", "-o", "DPkg::Lock::Timeout=300"]);
    apt_get
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_there_is_enough_and_an_invented_package_is_not_installed() {
        assert!(Need("h2watch-no-such-package", Some("sh")).is_met());
        assert!(!Need("h2watch-no-such-package", Some("h2watch-no-such-program")).is_met());
        assert!(!Need("h2watch-no-such-package", None).is_met());
    }
}
