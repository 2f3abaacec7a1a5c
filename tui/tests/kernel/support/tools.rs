//! Where the programs are that tests use, and a clear sentence when one is missing. Installs nothing itself.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Go versions that `cargo xtask setup` puts below `.cache/go`.
pub(crate) const GO: &str = "1.27.3";
pub(crate) const OLD_GO: &str = "1.21.13";
/// Only where `cargo xtask accept tls` runs.
pub(crate) const OLDEST_GO: &str = "1.19.8";

/// Checks what no test can do without. Called by everything that starts h2watch.
pub(crate) fn require_root() {
    let effective_uid = rustix::process::geteuid().as_raw();
    assert_eq!(
        effective_uid, 0,
        "these tests load kernel programs: run them as root (the README's test command does)"
    );
}

/// Finds `name` on the PATH.
pub(crate) fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
        .unwrap_or_else(|| panic!("`{name}` is not installed: run `cargo xtask setup`"))
}

/// The folder with the workspace's Cargo.toml.
pub(crate) fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package is a folder of the workspace")
}

/// The kernel programs under test: another object where h2watch itself is told to load another one (`cargo xtask probe --check`).
pub(crate) fn probe_object() -> Vec<u8> {
    let committed = format!("probe-ebpf/prebuilt/h2watch-probe.{}.o", std::env::consts::ARCH);
    let file = std::env::var_os("H2WATCH_PROBE").map_or_else(|| workspace().join(committed), PathBuf::from);
    std::fs::read(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
}

/// A client program's source, `tui/tests/clients/NAME`.
pub(crate) fn client_source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(name)
}

/// Python with h2, hyperframe and httpx.
pub(crate) fn python() -> PathBuf {
    from_cache("venv/bin/python")
}

/// `libssl` of a wheel that bundles OpenSSL of this version.
pub(crate) fn wheel_libssl(version: &str) -> PathBuf {
    let folder = from_cache(&format!("openssl-{version}/psycopg2_binary.libs"));
    let files = std::fs::read_dir(&folder).expect("a folder of the wheel").flatten().map(|file| file.path());
    let is_libssl =
        |file: &PathBuf| file.file_name().is_some_and(|n| n.to_string_lossy().starts_with("libssl"));
    files.into_iter().find(is_libssl).unwrap_or_else(|| panic!("no libssl in {}", folder.display()))
}

/// A client with rustls, stripped.
pub(crate) fn rustls_client() -> PathBuf {
    from_cache("rustls/debug/h2watch-rustls-client")
}

fn from_cache(relative: &str) -> PathBuf {
    let file = workspace().join(".cache").join(relative);
    assert!(file.exists(), "{} is missing: run `cargo xtask setup`", file.display());
    file
}

/// The Go client, built once per run of the tests (Go's own cache makes that quick).
pub(crate) fn go_client() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(build_go_client).clone()
}

fn build_go_client() -> PathBuf {
    go_build("go", "go-client", &[])
}

/// Builds the Go program in `clients/SOURCE` as `.cache/NAME`.
pub(crate) fn go_build(source: &str, name: &str, options: &[&str]) -> PathBuf {
    go_build_with(GO, source, name, options)
}

/// The same with another version of Go. With cgo where the C compiler links it.
pub(crate) fn go_build_with(version: &str, source: &str, name: &str, options: &[&str]) -> PathBuf {
    let by_c = options.iter().any(|option| option.contains("-linkmode=external"));
    let go = from_cache(&format!("go/{version}/bin/go"));
    let cache = workspace().join(".cache");
    let output = cache.join(name);
    let built = Command::new(&go)
        .current_dir(client_source(source))
        .args(["build", "-trimpath"])
        .args(options)
        .arg("-o")
        .arg(&output)
        .arg(".")
        .env("GOCACHE", cache.join("go-build"))
        .env("GOPATH", cache.join("go-path"))
        .env("GOFLAGS", "-mod=mod")
        .env("GOPROXY", "off")
        .env("GOTOOLCHAIN", "local")
        .env("CGO_ENABLED", if by_c { "1" } else { "0" })
        .env_remove("GOROOT")
        .output()
        .unwrap_or_else(|e| panic!("{}: {e}: run `cargo xtask setup`", go.display()));
    assert!(built.status.success(), "go build: {}", String::from_utf8_lossy(&built.stderr));
    output
}

/// Runs a program to its end; its output when it succeeded.
pub(crate) fn run(name: &str, args: &[&str]) -> String {
    let output = Command::new(program(name)).args(args).output().unwrap_or_else(|e| panic!("{name}: {e}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} {}: {}: {errors}", args.join(" "), output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}
