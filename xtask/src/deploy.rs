//! `cargo xtask deploy-check`: is everything in `deploy/` right, in the judgement of the programs that will read it?
//!
//! promtool reads the rules and the metrics, systemd the unit, the Kubernetes schemas the manifest, Chromium the exporter's page.
//! What they need is set up first. A page through a real Prometheus and Alertmanager takes minutes: `cargo xtask accept deploy`.
//! Docker is not asked: an image build needs a daemon and a network.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::setup::{self, Part, deploy::KUBERNETES_VALIDATE, deploy::kubernetes_validate};
use crate::{checkout, command, say};

/// `systemd-analyze security` rates from 0 (locked up) to 10. The unit is at 2.7: what is left are the capabilities that are
/// its purpose, and the network. More means that somebody has opened something.
const MAX_EXPOSURE: f64 = 3.0;

/// Runs every check; the first failure ends it.
pub(crate) fn run() -> Result<()> {
    setup::require(Part::Deploy)?;
    let deploy = checkout::root().join("deploy");
    rules(&deploy.join("prometheus"))?;
    unit(&deploy.join("systemd/h2watch.service"))?;
    manifest(&deploy.join("kubernetes/h2watch.yaml"))?;
    exporter()
}

fn rules(folder: &Path) -> Result<()> {
    let promtool = needed("promtool", "prometheus")?;
    command::quietly(Command::new(&promtool).args(["check", "rules"]).arg(folder.join("h2watch.rules.yml")))?;
    say::line("promtool check rules: good");
    command::quietly(Command::new(&promtool).args(["test", "rules"]).arg(folder.join("h2watch.test.yml")))?;
    say::line("promtool test rules: good");
    Ok(())
}

/// The unit names the installed binary, which need not exist here: the check reads a copy that starts something that does.
fn unit(file: &Path) -> Result<()> {
    let systemd_analyze = needed("systemd-analyze", "systemd")?;
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let binary = "ExecStart=/usr/local/bin/h2watch ";
    if !text.contains(binary) {
        bail!("{}: no line starts with {binary}", file.display());
    }
    let folder = checkout::cache("deploy");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let copy = folder.join("h2watch.service");
    fs::write(&copy, text.replace(binary, "ExecStart=/bin/true "))
        .with_context(|| format!("cannot write {}", copy.display()))?;

    let verify = Command::new(&systemd_analyze).arg("verify").arg(&copy).output();
    let verify = verify.context("cannot start systemd-analyze")?;
    let complaints = about(&String::from_utf8_lossy(&verify.stderr), "h2watch");
    if !verify.status.success() || !complaints.is_empty() {
        bail!("systemd-analyze verify {}: {complaints}", file.display());
    }
    say::line("systemd-analyze verify: good");

    let report =
        command::output(Command::new(&systemd_analyze).args(["security", "--offline=true"]).arg(&copy))?;
    let level = exposure(&report).context("systemd-analyze security told no overall exposure level")?;
    if level > MAX_EXPOSURE {
        bail!("systemd-analyze security: exposure {level}, more than {MAX_EXPOSURE}:\n{report}");
    }
    say::line(&format!("systemd-analyze security: exposure {level}, at most {MAX_EXPOSURE} wanted"));
    Ok(())
}

/// Complaints about other units of this host are not ours.
fn about(complaints: &str, word: &str) -> String {
    complaints.lines().filter(|line| line.contains(word)).collect::<Vec<_>>().join("\n")
}

fn exposure(report: &str) -> Option<f64> {
    let line = report.lines().find(|line| line.contains("Overall exposure level"))?;
    line.split_once(": ")?.1.split_whitespace().next()?.parse().ok()
}

fn manifest(file: &Path) -> Result<()> {
    command::quietly(Command::new(kubernetes_validate()).arg("--strict").arg(file))?;
    say::line(&format!("{KUBERNETES_VALIDATE} --strict: good"));
    Ok(())
}

/// The exporter's tests that need other people's programs and take seconds: the linter and the browser, by the paths of their modules.
const TESTS: [&str; 2] = ["promtool::", "browser::"];

fn exporter() -> Result<()> {
    let tests = |options: &[&str]| {
        let mut cargo = command::cargo();
        cargo.args(["test", "--quiet", "--package", "h2watch", "--test", "export", "--", "--ignored"]);
        cargo.args(options).args(TESTS);
        cargo
    };
    // A filter that matches nothing is no error for libtest.
    let unmatched = unmatched(&command::output(&mut tests(&["--list"]))?);
    if !unmatched.is_empty() {
        bail!("no ignored test of the exporter is in {}", unmatched.join(", "));
    }
    command::run(&mut tests(&[]))?;
    say::line("promtool check metrics, the queries of the dashboard, and the page in Chromium: good");
    Ok(())
}

/// The modules of which libtest lists no test.
fn unmatched(listed: &str) -> Vec<&'static str> {
    let names: Vec<&str> = listed.lines().filter_map(|line| line.strip_suffix(": test")).collect();
    TESTS.into_iter().filter(|module| !names.iter().any(|name| name.starts_with(module))).collect()
}

fn needed(program: &str, package: &str) -> Result<PathBuf> {
    checkout::program(program)
        .with_context(|| format!("{program} is missing: install the Debian package {package}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_without_tests_is_noticed() {
        assert!(unmatched("promtool::lint: test\nbrowser::fits: test\n").is_empty());
        assert_eq!(unmatched("promtool::lint: test\n\n1 test, 0 benchmarks\n"), ["browser::"]);
        assert_eq!(unmatched("page::of_browser::x: test\n"), TESTS);
    }

    #[test]
    fn the_exposure_is_read_from_the_last_line() {
        let report = "✗ PrivateNetwork=  Service has access to the host's network  0.5\n\n\
                      → Overall exposure level for h2watch.service: 2.7 OK 🙂\n";
        assert_eq!(exposure(report), Some(2.7));
        assert_eq!(exposure("nothing"), None);
    }

    #[test]
    fn complaints_about_other_units_are_not_ours() {
        assert_eq!(
            about("a.service: bad\n/x/h2watch.service:7: bad", "h2watch"),
            "/x/h2watch.service:7: bad"
        );
    }
}
