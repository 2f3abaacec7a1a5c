//! `probe-ebpf/prebuilt/PROVENANCE`: which tools made the committed objects, and their sha256, as `key = value` lines.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::toolchain::Toolchain;

const HEAD: &str = "# What built the objects beside this file. Written by `cargo xtask probe`, read by `cargo xtask probe --check`.\n";

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Provenance(BTreeMap<String, String>);

impl Provenance {
    pub(super) fn of(toolchain: &Toolchain) -> Self {
        Self(toolchain.versions().into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    }

    pub(super) fn read(file: &Path) -> Result<Self> {
        let text = fs::read_to_string(file)
            .with_context(|| format!("cannot read {}: `cargo xtask probe` writes it", file.display()))?;
        Self::parse(&text).with_context(|| format!("in {}", file.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        let mut values = BTreeMap::new();
        for line in text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
            let Some((key, value)) = line.split_once(" = ") else { bail!("not `key = value`: {line}") };
            values.insert(key.to_owned(), value.to_owned());
        }
        Ok(Self(values))
    }

    pub(super) fn set(&mut self, key: &str, value: &str) {
        self.0.insert(key.to_owned(), value.to_owned());
    }

    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// One sentence per tool that is not the recorded one; empty where the bytes have to be equal.
    pub(super) fn differences(&self, installed: &[(&str, String)]) -> Vec<String> {
        let differs = |(key, now): &(&str, String)| {
            let recorded = self.get(key).unwrap_or("nothing");
            (recorded != now).then(|| format!("{key}: recorded `{recorded}`, installed `{now}`"))
        };
        installed.iter().filter_map(differs).collect()
    }

    fn text(&self) -> String {
        self.0.iter().fold(HEAD.to_owned(), |text, (key, value)| format!("{text}{key} = {value}\n"))
    }

    pub(super) fn write(&self, file: &Path) -> Result<()> {
        fs::write(file, self.text()).with_context(|| format!("cannot write {}", file.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Provenance {
        Provenance::parse("# head\nrustc = rustc 1.96.0 (x)\n\nsha256.x86_64 = 00ff\n").unwrap()
    }

    #[test]
    fn what_is_written_is_read_back() {
        assert_eq!(Provenance::parse(&sample().text()).unwrap(), sample());
        assert_eq!(sample().get("rustc"), Some("rustc 1.96.0 (x)"));
    }

    #[test]
    fn a_tool_that_moved_on_is_named_with_both_versions() {
        assert!(sample().differences(&[("rustc", "rustc 1.96.0 (x)".to_owned())]).is_empty());
        let moved = sample().differences(&[("rustc", "rustc 1.97.0".to_owned())]);
        assert_eq!(moved, ["rustc: recorded `rustc 1.96.0 (x)`, installed `rustc 1.97.0`"]);
        assert_eq!(sample().differences(&[("cargo", "1".to_owned())]).len(), 1);
    }

    #[test]
    fn a_line_without_a_value_is_refused() {
        assert!(Provenance::parse("rustc\n").is_err());
    }
}
