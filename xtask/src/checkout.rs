//! Where things are: the checkout, and the git-ignored `.cache` that keeps everything xtask downloads or builds for itself.

use std::path::{Path, PathBuf};

/// The top folder of this checkout.
pub(crate) fn root() -> &'static Path {
    // This crate's own folder, recorded by the compiler, is `<checkout>/xtask`.
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

/// A path under `.cache`. Nothing there is committed; removing it costs only time.
pub(crate) fn cache(inside: &str) -> PathBuf {
    root().join(".cache").join(inside)
}

/// Cargo's own home: registry sources and installed programs.
pub(crate) fn cargo_home() -> PathBuf {
    let at_home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/root".into())).join(".cargo");
    std::env::var_os("CARGO_HOME").map_or_else(at_home, PathBuf::from)
}

/// The first program of this name on PATH, among cargo's installed programs, or among xtask's own.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([cargo_home().join("bin"), cache("tools/bin")])
        .map(|folder| folder.join(name))
        .find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_is_the_workspace() {
        assert!(root().join("Cargo.toml").is_file());
        assert!(root().join("xtask/Cargo.toml").is_file());
    }

    #[test]
    fn a_program_on_the_path_is_found_and_an_invented_one_is_not() {
        assert!(program("sh").is_some());
        assert!(program("h2watch-no-such-program").is_none());
    }
}
