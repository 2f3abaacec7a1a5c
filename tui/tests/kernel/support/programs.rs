//! Command lines of the programs that tests start: the clients of `tui/tests/clients`, and this test binary in one of its
//! roles (see `roles`).

use super::tools;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// A program from the PATH with arguments.
pub(crate) fn installed(name: &str, arguments: &[&str]) -> Vec<String> {
    let name = tools::program(name).to_string_lossy().into_owned();
    std::iter::once(name).chain(arguments.iter().map(|&a| a.to_owned())).collect()
}

/// This test binary as `role` with `arguments`.
pub(crate) fn role(role: &str, arguments: &[String]) -> Vec<String> {
    role_of(&std::env::current_exe().expect("this program has a path"), role, arguments)
}

/// A link to this test binary: the kernel takes a process's name from the file that is executed.
pub(crate) fn link_named(name: &str, folder: &Path) -> PathBuf {
    let link = folder.join(name);
    std::os::unix::fs::symlink(std::env::current_exe().expect("this program has a path"), &link)
        .expect("a link");
    link
}

/// Likewise, through a link.
pub(crate) fn role_of(program: &Path, role: &str, arguments: &[String]) -> Vec<String> {
    let this = program.to_string_lossy().into_owned();
    let settings = [
        format!("{}={role}", crate::roles::ROLE),
        format!("{}={}", crate::roles::ARGUMENTS, arguments.join(" ")),
    ];
    let mut all = installed("env", &[]);
    all.extend(settings);
    all.extend([this, "roles::play".into(), "--exact".into(), "--ignored".into(), "--nocapture".into()]);
    all
}

/// What h2watch says to a user who has no rights at all.
pub(crate) fn h2watch_as_nobody(arguments: &[&str]) -> Output {
    // A copy: the folder that it was built in may be root's.
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).expect("our folder");
    let h2watch = folder.path().join("h2watch");
    std::fs::copy(env!("CARGO_BIN_EXE_h2watch"), &h2watch).expect("a copy");
    Command::new(tools::program("setpriv"))
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"])
        .arg(&h2watch)
        .args(arguments)
        .current_dir("/")
        .output()
        .expect("setpriv starts")
}

/// A process name of this test run's own, for `--comm`, and links to programs that give their processes that name.
#[derive(Debug)]
pub(crate) struct Named {
    pub(crate) name: String,
    folder: tempfile::TempDir,
}

impl Named {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("h2w{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        Self { name, folder: tempfile::tempdir().expect("a temporary folder") }
    }

    /// `words` with the name for the program that `position` is the place of.
    pub(crate) fn program(&self, mut words: Vec<String>, position: usize) -> Vec<String> {
        let link = self.folder.path().join(&self.name);
        if !link.is_symlink() {
            std::os::unix::fs::symlink(&words[position], &link).expect("a symbolic link");
        }
        assert_eq!(link.read_link().ok(), Some(words[position].clone().into()), "a name is of one program");
        words[position] = link.to_string_lossy().into_owned();
        words
    }

    /// A process of that name which does nothing.
    pub(crate) fn sleep(&self, prepare: impl FnOnce(&mut Command)) -> Program {
        Program::start_with(&self.program(installed("sleep", &["600"]), 0), prepare)
    }
}

/// A child process that is killed when dropped.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) child: Child,
    output: BufReader<std::process::ChildStdout>,
}

impl Program {
    pub(crate) fn start(words: &[String]) -> Self {
        Self::start_with(words, |_| {})
    }

    pub(crate) fn start_with(words: &[String], prepare: impl FnOnce(&mut Command)) -> Self {
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).stdin(Stdio::piped()).stdout(Stdio::piped());
        prepare(&mut command);
        let mut child = command.spawn().unwrap_or_else(|e| panic!("{}: {e}", words[0]));
        let output = BufReader::new(child.stdout.take().expect("piped"));
        Self { child, output }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Says one line to the program.
    pub(crate) fn tell(&mut self, line: &str) {
        use std::io::Write;
        let input = self.child.stdin.as_mut().expect("piped");
        writeln!(input, "{line}").and_then(|()| input.flush()).expect("the program reads its input");
    }

    /// What follows `word` on the next line that has it.
    pub(crate) fn hear(&mut self, word: &str) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            let n = self.output.read_line(&mut line).expect("the program prints text");
            assert!(n > 0, "the program ended without saying `{word}`");
            if let Some((_, rest)) = line.split_once(word) {
                return rest.trim().to_owned();
            }
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An HTTP/2 server in a process of its own, which can be stopped with SIGSTOP.
pub(crate) fn server() -> (Program, SocketAddr) {
    server_on("127.0.0.1:0")
}

/// The same on a known address.
pub(crate) fn server_on(address: &str) -> (Program, SocketAddr) {
    let mut program = Program::start(&role("server", &[address.to_owned()]));
    let address = program.hear("SERVING ").parse().expect("an address");
    (program, address)
}
