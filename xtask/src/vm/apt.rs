//! An apt of our own for kernels: lists and packages below `.cache/vm/apt`, several Debian releases at once, nothing of the
//! system's configuration read or changed. Signatures are checked as always.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::{checkout, command};

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// Small suites that together hold every series in use (5.10, 6.1, 6.12, the newest).
const SUITES: [&str; 4] = [
    "debian-security bullseye-security",
    "debian-security bookworm-security",
    "debian-security trixie-security",
    "debian trixie-backports",
];
const LISTS_LAST: Duration = Duration::from_secs(24 * 3600);

pub(super) struct Apt {
    configuration: PathBuf,
}

impl Apt {
    /// With package lists not older than a day.
    pub(super) fn ready() -> Result<Self> {
        let home = checkout::cache("vm/apt");
        for folder in [
            "etc/apt.conf.d",
            "etc/preferences.d",
            "etc/sources.list.d",
            "lists/partial",
            "cache/archives/partial",
        ] {
            fs::create_dir_all(home.join(folder))
                .with_context(|| format!("cannot make {}/{folder}", home.display()))?;
        }
        let apt = Self { configuration: home.join("apt.conf") };
        let updated = home.join("updated");
        let age =
            fs::metadata(&updated).and_then(|meta| meta.modified()).ok().and_then(|time| time.elapsed().ok());
        if age.is_some_and(|age| age < LISTS_LAST) {
            return Ok(apt);
        }
        fs::write(home.join("status"), "")?;
        fs::write(&apt.configuration, configuration(&home))?;
        fs::write(home.join("etc/sources.list"), sources(&mirror()?))?;
        command::quietly(apt.command("apt-get").args(["-qq", "update"]))
            .context("reading Debian's lists of kernels")?;
        fs::write(&updated, "").context("cannot note the update")?;
        Ok(apt)
    }

    pub(super) fn package_names(&self) -> Result<Vec<String>> {
        let names = command::output(self.command("apt-cache").args(["pkgnames", "linux-"]))?;
        Ok(names.lines().map(str::to_owned).collect())
    }

    /// Unpacks a package into a folder.
    pub(super) fn unpack(&self, package: &str, folder: &Path) -> Result<()> {
        let download = checkout::cache("vm/download").join(package);
        fs::create_dir_all(&download).with_context(|| format!("cannot make {}", download.display()))?;
        command::quietly(self.command("apt-get").current_dir(&download).args(["-qq", "download", package]))?;
        for file in fs::read_dir(&download)? {
            command::quietly(Command::new("dpkg").arg("-x").arg(file?.path()).arg(folder))?;
        }
        fs::remove_dir_all(&download).context("cannot remove a download")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("APT_CONFIG", &self.configuration);
        command
    }
}

/// The mirror that this machine's apt uses.
fn mirror() -> Result<String> {
    let listed = command::output(Command::new("apt-get").args(["indextargets", "--format", "$(REPO_URI)"]))
        .context(
        "kernels come from Debian's packages; elsewhere give images: -k NAME=/path/to/vmlinuz",
    )?;
    let mirror = listed.lines().find_map(|line| line.trim_end_matches('/').strip_suffix("/debian"));
    mirror
        .map(str::to_owned)
        .context("apt has no source that ends in /debian: give images with -k NAME=/path/to/vmlinuz")
}

fn sources(mirror: &str) -> String {
    let line = |suite: &&str| {
        let (archive, name) = suite.split_once(' ').unwrap_or((suite, ""));
        format!("deb [signed-by={KEYRING}] {mirror}/{archive} {name} main\n")
    };
    SUITES.iter().map(line).collect()
}

fn configuration(home: &Path) -> String {
    let home = home.display();
    format!(
        "Dir::Etc \"{home}/etc\";\nDir::State \"{home}\";\nDir::State::lists \"{home}/lists\";\n\
         Dir::State::status \"{home}/status\";\nDir::Cache \"{home}/cache\";\nAPT::Architecture \"amd64\";\n\
         APT::Architectures {{ \"amd64\"; }};\nAPT::Sandbox::User \"\";\nAcquire::Languages \"none\";\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_suite_is_signed_and_comes_from_the_mirror() {
        let sources = sources("http://mirror.example");
        assert_eq!(sources.lines().count(), SUITES.len());
        assert!(
            sources
                .lines()
                .all(|line| line.contains("signed-by=") && line.contains("http://mirror.example/debian"))
        );
    }
}
