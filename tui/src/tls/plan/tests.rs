//! Resolving and placing on the real files of this host, and on damaged copies of them.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::hint::{BORINGSSL, RUSTLS, is_boringssl_source, is_rustls_source};
use super::*;

mod damage;
mod depth;

fn tls(bytes: Vec<u8>) -> Result<FilePlan> {
    match analyse_image(&Image::from_bytes(bytes), "program")? {
        Analysis::Tls(plan) => Ok(Arc::into_inner(plan).unwrap()),
        Analysis::Other(hint) => anyhow::bail!("no TLS: {hint:?}"),
        Analysis::Unreadable(why) => anyhow::bail!(why),
    }
}

/// A library of this host, or `None` where it is not installed.
fn host_library(name: &str) -> Option<Vec<u8>> {
    let folders = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"];
    folders.iter().find_map(|folder| std::fs::read(Path::new(folder).join(name)).ok())
}

fn programs(points: &Result<Vec<Point>>) -> Vec<&'static str> {
    points.as_ref().unwrap().iter().map(|point| point.program).collect()
}

#[test]
fn openssl_is_probed_cheaply_with_both_halves_at_one_place() {
    let Some(bytes) = host_library("libssl.so.3") else { return };
    let plan = tls(bytes).unwrap();
    assert_eq!(plan.library, Library::OpenSsl);
    for points in [&plan.points.write, &plan.points.read] {
        let points = points.as_ref().unwrap();
        assert!(points.iter().all(|point| point.cost == Cost::Emulated), "{points:#?}");
        for pair in points.chunks(2) {
            assert_eq!(pair[0].file_offset, pair[1].file_offset);
            assert_eq!((pair[0].on_return, pair[1].on_return), (false, true));
        }
    }
    assert_eq!(programs(&plan.points.free), [program::FREE]);
}

#[test]
fn gnutls_is_found_with_its_version() {
    let Some(bytes) = host_library("libgnutls.so.30") else { return };
    let plan = tls(bytes).unwrap();
    assert_eq!(plan.library, Library::GnuTls);
    assert!(plan.version.unwrap().starts_with("GnuTLS 3."));
    assert_eq!(programs(&plan.points.write), [program::WRITE, program::WRITE_DONE]);
    assert_eq!(programs(&plan.points.read), [program::READ, program::READ_DONE]);
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts `program`, which prints a line when it has loaded everything and then waits for its stdin.
fn start(program: &Path, arguments: &[&str]) -> Option<Running> {
    use std::io::BufRead;
    let mut command = Command::new(program);
    let mut child = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
    let mut line = String::new();
    std::io::BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (line.trim() == "ready").then_some(Running(child))
}

const PYTHON: &str = "import ssl, sys; print('ready', flush=True); sys.stdin.read()";

#[test]
fn a_running_python_has_its_library_version_and_view() {
    let Some(python) = start(Path::new("python3"), &["-c", PYTHON]) else { return };
    let coverage = Planner::default().plan(python.0.id(), Depth::Frames);
    assert_eq!(
        (coverage.library, coverage.view),
        (Some(Library::OpenSsl), View::Frames),
        "{}",
        coverage.reason
    );
    assert!(
        coverage.reason.contains("OpenSSL ") && coverage.reason.contains("libssl"),
        "{}",
        coverage.reason
    );
    let streams = Planner::default().plan(python.0.id(), Depth::Streams);
    assert_eq!(streams.view, View::Streams);
    assert!(streams.points.iter().all(|point| !point.program.starts_with("tls_read")));
    let records = Planner::default().plan(python.0.id(), Depth::Records);
    assert!(records.view == View::Records && records.points.is_empty());
}

#[test]
fn a_process_without_tls_and_one_that_ended_have_a_reason() {
    let mut cat = Running(Command::new("cat").stdin(Stdio::piped()).spawn().unwrap());
    let pid = cat.0.id();
    let mut planner = Planner::default();
    let coverage = planner.plan(pid, Depth::Auto);
    assert_eq!(
        (coverage.view, coverage.reason.as_str()),
        (View::Records, "no TLS library with symbols was found")
    );
    cat.0.kill().unwrap();
    cat.0.wait().unwrap();
    assert_eq!(planner.plan(pid, Depth::Auto).reason, format!("process {pid} has ended"));
}

/// The words that libraries are known by are in this very program.
#[test]
fn a_program_that_only_names_libraries_has_none() {
    let own = Image::from_bytes(std::fs::read("/proc/self/exe").unwrap());
    let elf = own.elf().unwrap();
    for word in [RUSTLS, BORINGSSL] {
        assert!(elf.texts_with(word).next().is_some(), "{word} is here");
    }
    assert_eq!(hint(Some(&elf), "h2watch"), None);
}

#[test]
fn libraries_are_known_by_paths_of_their_sources() {
    // Put together here: written out they would be in this program, and it would be taken for one with these libraries.
    let rustls = |rest: &str| is_rustls_source(&format!("{RUSTLS}{rest}"));
    assert!(rustls("0.23.46/src/conn.rs and more"));
    assert!(!rustls("/src/") && !rustls("native-certs-0.8.1/src/lib.rs"));
    let boringssl = |rest: &str| is_boringssl_source(&format!("{BORINGSSL}{rest}"));
    assert!(boringssl("lib.cc") && boringssl("x509.ccOUT"));
    assert!(!boringssl("lib.c") && !boringssl(" is .cc"));
}

/// A program whose file is deleted, or replaced by another one at the same path, is still analysed as what runs.
#[test]
fn a_replaced_program_is_read_as_it_runs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cat");
    std::fs::copy("/bin/cat", &path).unwrap();
    let cat = Running(Command::new(&path).stdin(Stdio::piped()).spawn().unwrap());
    // `spawn` returns during `execve`, before the new program is mapped.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    let mapped = || {
        let files = libraries::executables(cat.0.id()).unwrap().files;
        files.into_iter().find(|file| file.path == path.to_str().unwrap())
    };
    while mapped().is_none() {
        assert!(std::time::Instant::now() < deadline, "the copy of cat never appeared in its maps");
        std::thread::yield_now();
    }
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, b"something else").unwrap();
    let program = mapped().unwrap();
    assert!(program.deleted);
    assert_eq!(std::fs::read(program.probe_path()).unwrap(), std::fs::read("/bin/cat").unwrap());
}

/// The path of the host's libssl, where it is installed.
fn host_libssl() -> Option<PathBuf> {
    libraries::of_host().into_iter().find(|path| path.ends_with("libssl.so.3"))
}

/// A library that was replaced on disk while it is mapped, and one that only the process's mount namespace has at its path.
#[test]
fn a_library_is_the_one_that_the_process_has_mapped() {
    let Some(libssl) = host_libssl() else { return };
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("libssl.so.3");
    std::fs::copy(&libssl, &own).unwrap();
    let library = |path: &Path| std::fs::metadata(path).unwrap().ino();
    let inode = library(&own);
    let script = "import ctypes, sys; ctypes.CDLL(sys.argv[1]); print('ready', flush=True); sys.stdin.read()";
    let mapped = start(Path::new("python3"), &["-c", script, own.to_str().unwrap()]).unwrap();
    // Another mount namespace, where the copy is at the path of the host's library.
    let shell = format!("mount --bind {} {} && exec python3 -c \"$1\" $2", own.display(), libssl.display());
    let words = ["--mount", "sh", "-c", &shell, "sh", script, libssl.to_str().unwrap()];
    let elsewhere = start(Path::new("unshare"), &words).unwrap();
    assert_ne!(library(&libssl), inode, "nothing of it is seen here");
    std::fs::rename(&own, folder.path().join("moved")).unwrap();
    std::fs::remove_file(folder.path().join("moved")).unwrap();
    std::fs::write(&own, "something else").unwrap();
    for process in [&mapped, &elsewhere] {
        let coverage = Planner::default().plan(process.0.id(), Depth::Auto);
        assert_eq!(coverage.view, View::Frames, "{}", coverage.reason);
        assert!(
            coverage.points.iter().all(|point| point.file.identity.inode == inode),
            "{}",
            coverage.reason
        );
    }
}

/// Between analysis and attaching a library may be written anew, and a process may end and leave its number to another one.
#[test]
fn what_changed_since_it_was_analysed_is_told() {
    let Some(bytes) = host_library("libssl.so.3") else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("libssl.so.3");
    std::fs::write(&path, &bytes).unwrap();
    let coverage = Planner::default().anticipate(std::process::id(), Depth::Frames, &path);
    let copy = |point: &&ProbePoint| point.file.path == path.to_str().unwrap();
    assert!(coverage.points.iter().any(|point| copy(&point)) && coverage.changed().is_none());
    let another = Coverage { start_time_ticks: coverage.start_time_ticks + 1, ..coverage.clone() };
    assert_eq!(another.changed().unwrap(), "another process has its number now");
    std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    let changed = coverage.changed().unwrap();
    assert_eq!(changed, format!("{} was changed while it was analysed", path.display()));
    let refused = coverage.refused(&changed);
    assert!(refused.points.is_empty() && refused.view == View::Records && refused.reason.ends_with(&changed));
}

const GO_VERSIONS: [&str; 2] = ["1.21.13", "1.27.3"];
const GO_BUILDS: [&str; 5] = ["plain", "stripped", "pie", "external", "external-pie"];

/// A Go program that `cargo xtask setup` built for the tests.
fn go_program(build: &str, version: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.cache/go/programs");
    let file = folder.join(format!("{build}-{version}"));
    std::fs::read(&file)
        .unwrap_or_else(|error| panic!("{}: {error}: run `cargo xtask setup`", file.display()))
}

#[test]
fn go_programs_resolve_however_they_were_built() {
    for (version, build) in GO_VERSIONS.iter().flat_map(|version| GO_BUILDS.map(|build| (version, build))) {
        let name = format!("{build}-{version}");
        let plan = tls(go_program(build, version)).unwrap_or_else(|error| panic!("{name}: {error:#}"));
        assert_eq!(plan.library, Library::Go, "{name}");
        assert_eq!(plan.version.as_deref(), Some(format!("go{version}").as_str()), "{name}");
        assert_eq!(programs(&plan.points.write), [program::GO_WRITE], "{name}");
        assert_eq!(programs(&plan.points.read), [program::GO_READ], "{name}");
        let points = [plan.points.write.unwrap(), plan.points.read.unwrap()].concat();
        assert!(
            points.iter().all(|point| point.cost == Cost::Emulated && !point.on_return),
            "{name}: {points:#?}"
        );
        assert!(plan.points.copy.is_some_and(|offset| offset >= 16), "{name}: {:?}", plan.points.copy);
    }
}

/// Built for aarch64, and resolved and placed like any other.
#[test]
fn go_programs_for_aarch64_resolve() {
    for version in GO_VERSIONS {
        let plan = tls(go_program("arm64", version)).unwrap_or_else(|error| panic!("{version}: {error:#}"));
        assert_eq!((plan.library, plan.version), (Library::Go, Some(format!("go{version}"))));
        let (write, read) = (plan.points.write.unwrap(), plan.points.read.unwrap());
        // Behind the stack check a frame is made; the call of memmove is a branch.
        assert_eq!((write[0].program, write[0].cost), (program::GO_WRITE, Cost::Unmeasured), "{write:#?}");
        assert_eq!((read[0].program, read[0].cost), (program::GO_READ, Cost::Emulated), "{read:#?}");
        assert!(plan.points.copy.is_some_and(|offset| offset >= 16), "{version}: {:?}", plan.points.copy);
    }
}

#[test]
fn go_1_17_for_aarch64_is_refused() {
    let mut bytes = go_program("arm64", "1.21.13");
    let table = damage::section(&bytes, ".gopclntab").start;
    bytes[table..table + 4].copy_from_slice(&0xffff_fffa_u32.to_le_bytes());
    let refused = tls(bytes).unwrap_err().to_string();
    assert!(refused.contains("on the stack on aarch64"), "{refused}");
}
