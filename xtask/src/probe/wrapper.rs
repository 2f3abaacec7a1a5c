//! xtask as cargo's `RUSTC_WRAPPER`, during the probe's build only.
//!
//! Cargo derives `-C metadata` of a path dependency from its absolute path (probe-common is outside probe-ebpf's own
//! workspace), rustc derives symbol names from that, and the linker orders functions by name. So these two crates get a
//! constant there; without it every folder gave other bytes.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Set for the build, so that xtask knows what it was started as.
pub(super) const MARK: &str = "H2WATCH_XTASK_WRAPS_RUSTC";
const OUR_CRATES: [&str; 2] = ["probe_common", "h2watch_probe"];

/// Does nothing in an ordinary start; as the wrapper it becomes rustc and returns only if that fails.
pub(crate) fn become_rustc_if_asked() -> Option<std::io::Error> {
    std::env::var_os(MARK)?;
    let mut words = std::env::args_os().skip(1);
    let rustc = words.next()?;
    Some(Command::new(rustc).args(with_constant_metadata(words.collect())).exec())
}

fn with_constant_metadata(mut words: Vec<OsString>) -> Vec<OsString> {
    let ours = words
        .windows(2)
        .any(|pair| pair[0] == "--crate-name" && OUR_CRATES.iter().any(|name| pair[1] == *name));
    if ours {
        for word in &mut words {
            if word.to_string_lossy().starts_with("metadata=") {
                *word = "metadata=h2watch".into();
            }
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(line: &str) -> String {
        let words = with_constant_metadata(line.split(' ').map(OsString::from).collect());
        words.join(" ".as_ref()).into_string().unwrap()
    }

    #[test]
    fn only_our_own_crates_lose_the_path_in_their_metadata() {
        assert_eq!(
            after("--crate-name probe_common -C metadata=ab12"),
            "--crate-name probe_common -C metadata=h2watch"
        );
        let foreign = "--crate-name aya_ebpf -C metadata=ab12 -C extra-filename=-1";
        assert_eq!(after(foreign), foreign);
    }
}
