//! Coverage of one process: which TLS library it has, what can be seen of it, why not more, and where to probe.
//!
//! One file is analysed once, however many processes map it. Nothing is attached here.

mod hint;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use object::Architecture;

use super::elf::{Elf, Image};
use super::libraries::{self, Identity, MappedFile};
use super::placement::{Cost, Place};
use super::{go, gopclntab, openssl};
use crate::model::sample::{Library, View};
use hint::hint;

/// Names of the kernel programs that probe points belong to (`probe-ebpf/src/tls`).
pub mod program {
    /// Entry of a write `(object, buffer, length)` that returns its count.
    pub const WRITE: &str = "tls_write";
    /// Entry of a write that stores its count through its fourth argument.
    pub const WRITE_EX: &str = "tls_write_ex";
    /// Likewise, fifth argument (`ssl_write_internal` of OpenSSL 3.3 and newer).
    pub const WRITE_EX_FIFTH: &str = "tls_write_ex_fifth";
    /// Return of any of them.
    pub const WRITE_DONE: &str = "tls_write_done";
    pub const READ: &str = "tls_read";
    pub const READ_EX: &str = "tls_read_ex";
    pub const READ_EX_FIFTH: &str = "tls_read_ex_fifth";
    pub const READ_DONE: &str = "tls_read_done";
    /// Entry of the function that frees the object.
    pub const FREE: &str = "tls_free";
    /// In Go's `Conn.Write`, behind the stack check.
    pub const GO_WRITE: &str = "go_write";
    /// In Go's `Conn.Read`, at the call that copies plaintext out.
    pub const GO_READ: &str = "go_read";
}

/// How deep to look into TLS (`--tls`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Depth {
    /// As deep as the budget allows (`Cost::is_within_budget`).
    #[default]
    Auto,
    Records,
    Streams,
    Frames,
}

/// A probe point of a file, not yet of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Point {
    pub(super) program: &'static str,
    pub(super) file_offset: u64,
    pub(super) on_return: bool,
    pub(super) cost: Cost,
    pub(super) place: String,
}

impl Point {
    pub(super) fn new(elf: &Elf<'_>, program: &'static str, place: &Place, function: &str) -> Result<Self> {
        let file_offset = elf.file_offset(place.address).context("the place is not in executable code")?;
        let text = format!("{function} {}", place.why);
        Ok(Self { program, file_offset, on_return: false, cost: place.cost, place: text })
    }
}

/// Probe points of a file by purpose; an error is the reason why there are none.
#[derive(Debug)]
pub(super) struct Points {
    pub(super) write: Result<Vec<Point>>,
    pub(super) read: Result<Vec<Point>>,
    pub(super) free: Result<Vec<Point>>,
    /// Go: where `Conn.Read` keeps its receiver at the copy, bytes above the stack pointer.
    pub(super) copy: Option<u32>,
}

/// Where one kernel program is attached in one process.
#[derive(Clone, Debug)]
pub struct ProbePoint {
    pub program: &'static str,
    pub library: Library,
    /// Go: bytes above the stack pointer where `Conn.Read` keeps its receiver, else 0.
    pub go_receiver_offset: u32,
    /// The very file that was analysed, kept open: attach through `MappedFile::probe_path`.
    pub file: MappedFile,
    pub file_offset: u64,
    /// The program runs when the function returns.
    pub on_return: bool,
    pub cost: Cost,
    /// In words, for `doctor -v`.
    pub place: String,
}

/// What can be seen of one process.
#[derive(Clone, Debug)]
pub struct Coverage {
    pub pid: u32,
    /// Tells the process from a later one with the same id; `changed` compares.
    pub start_time_ticks: u64,
    pub library: Option<Library>,
    pub view: View,
    /// In words: library, version, symbols, or the reason for less.
    pub reason: String,
    pub points: Vec<ProbePoint>,
}

impl Coverage {
    /// Nothing but records, for this reason.
    #[must_use]
    pub fn none(pid: u32, reason: String) -> Self {
        Self { pid, start_time_ticks: 0, library: None, view: View::Records, reason, points: Vec::new() }
    }

    /// What is not any more as it was analysed, in words. A process that ended and has no successor matters to nobody.
    #[must_use]
    pub fn changed(&self) -> Option<String> {
        if libraries::start_time_ticks(self.pid).is_ok_and(|start| start != self.start_time_ticks) {
            return Some("another process has its number now".to_owned());
        }
        let other =
            |point: &&ProbePoint| point.file.identity_now().is_none_or(|now| now != point.file.identity);
        let changed = self.points.iter().find(other)?;
        Some(format!("{} was changed while it was analysed", changed.file.path))
    }

    /// Nothing of it is to be probed.
    #[must_use]
    pub fn refused(self, reason: &str) -> Self {
        Self { view: View::Records, reason: format!("{}; {reason}", self.reason), points: Vec::new(), ..self }
    }
}

/// What is known of one file.
#[derive(Debug)]
struct FilePlan {
    library: Library,
    version: Option<String>,
    points: Points,
}

#[derive(Debug)]
enum Analysis {
    Tls(Arc<FilePlan>),
    /// No TLS functions here; a hint at what else it is, for people.
    Other(Option<&'static str>),
    Unreadable(String),
}

/// Makes coverages and remembers what it learned of files.
#[derive(Debug, Default)]
pub struct Planner {
    files: HashMap<Identity, Analysis>,
}

impl Planner {
    /// Looks at process `pid`. Never fails: what went wrong is the coverage's reason.
    pub fn plan(&mut self, pid: u32, depth: Depth) -> Coverage {
        let start_time_ticks = match libraries::start_time_ticks(pid) {
            Ok(start) => start,
            Err(error) => return Coverage::none(pid, format!("{error:#}")),
        };
        let executables = match libraries::executables(pid) {
            Ok(executables) => executables,
            Err(error) => return Coverage { start_time_ticks, ..Coverage::none(pid, format!("{error:#}")) },
        };
        let mut merged = Merge { hints: executables.refused, ..Merge::default() };
        for file in &executables.files {
            match self.analyse(file) {
                Analysis::Tls(plan) => merged.add(file, plan, depth, &executables.files),
                Analysis::Other(Some(hint)) => merged.hints.push(format!("{}: {hint}", file.name())),
                Analysis::Other(None) => {}
                Analysis::Unreadable(why) => merged.hints.push(format!("{}: {why}", file.name())),
            }
        }
        merged.coverage(pid, start_time_ticks)
    }

    /// Looks at a process that does not run `program` yet: at that file, and at the host's TLS libraries, which it may load.
    /// Probing a file that it never maps costs nothing.
    pub fn anticipate(&mut self, pid: u32, depth: Depth, program: &Path) -> Coverage {
        let mut merged = Merge::default();
        let paths: Vec<PathBuf> = [program.to_owned()].into_iter().chain(libraries::of_host()).collect();
        let files = libraries::by_path(&paths);
        for file in &files {
            if let Analysis::Tls(plan) = self.analyse(file) {
                let plan = Arc::clone(plan);
                merged.add(file, &plan, depth, &files);
            }
        }
        let start_time_ticks = libraries::start_time_ticks(pid).unwrap_or_default();
        merged.coverage(pid, start_time_ticks)
    }

    /// Analyses the host's TLS libraries, before the first process that maps one is waiting for it.
    pub fn prepare(&mut self) {
        for file in libraries::by_path(&libraries::of_host()) {
            self.analyse(&file);
        }
    }

    fn analyse(&mut self, file: &MappedFile) -> &Analysis {
        self.files.entry(file.identity).or_insert_with(|| match analyse(file) {
            Ok(analysis) => analysis,
            Err(error) => Analysis::Unreadable(format!("{error:#}")),
        })
    }
}

fn analyse(file: &MappedFile) -> Result<Analysis> {
    let image = Image::from_file(&file.file)?;
    analyse_image(&image, file.name())
}

/// A library that mentions none of these has nothing to probe.
const SYMBOLS: [&str; 3] = ["SSL_write\0", "gnutls_record_send\0", "crypto/tls.(*Conn).Write\0"];

fn analyse_image(image: &Image, name: &str) -> Result<Analysis> {
    if name.contains(".so") && !SYMBOLS.iter().any(|symbol| image.mentions(symbol)) {
        return Ok(Analysis::Other(hint(None, name)));
    }
    let elf = image.elf()?;
    if !matches!(elf.architecture(), Architecture::X86_64 | Architecture::Aarch64) {
        return Ok(Analysis::Other(Some("an architecture without probes")));
    }
    if let Some(points) = go::points(&elf)? {
        let version = gopclntab::version(&elf);
        return Ok(Analysis::Tls(Arc::new(FilePlan { library: Library::Go, version, points })));
    }
    if let Some((library, points)) = openssl::points(&elf)? {
        return Ok(Analysis::Tls(Arc::new(FilePlan {
            library,
            version: library_version(&elf, library),
            points,
        })));
    }
    Ok(Analysis::Other(hint(Some(&elf), name)))
}

/// The version that the library's own text tells ("OpenSSL 3.0.19 27 Jan 2026"); `libssl.so` has none, `libcrypto.so` does.
fn library_version(elf: &Elf<'_>, library: Library) -> Option<String> {
    let needles: &[&str] = match library {
        Library::OpenSsl => &["OpenSSL 3.", "OpenSSL 1."],
        Library::GnuTls => &["Enabled GnuTLS "],
        Library::BoringSsl | Library::Go => &[],
    };
    // "OpenSSL 3.0 legacy provider" is not a version.
    let numbered = |text: &String| text.split(' ').any(|word| word.split('.').count() >= 3);
    let text = needles.iter().find_map(|needle| elf.texts_with(needle).find(numbered))?;
    Some(text.trim_start_matches("Enabled ").trim_end_matches(" logging...").to_owned())
}

/// Collects what all files of a process give.
#[derive(Default)]
struct Merge {
    library: Option<Library>,
    view: View,
    reasons: Vec<String>,
    hints: Vec<String>,
    points: Vec<ProbePoint>,
}

impl Merge {
    fn add(&mut self, file: &MappedFile, plan: &FilePlan, depth: Depth, all: &[MappedFile]) {
        let version = plan.version.clone().or_else(|| companion_version(plan.library, all));
        let version = version.unwrap_or_else(|| name(plan.library).to_owned());
        let what = format!("{version} in {}{}", file.path, if file.deleted { " (deleted)" } else { "" });
        let (view, why) = decide(&plan.points, depth);
        if self.library.is_none() || view > self.view {
            (self.library, self.view) = (Some(plan.library), view);
        }
        self.reasons.push(format!("{what}: {why}"));
        if view == View::Records {
            return;
        }
        let none = Vec::new();
        // Attached in this order, to a process that runs meanwhile: an answer that is read before reads are probed would leave its
        // stream in flight for ever, and an object that is freed before that is probed would be taken for the next one at its address.
        let chosen = [
            Some(&plan.points.free),
            (view == View::Frames).then_some(&plan.points.read),
            Some(&plan.points.write),
        ];
        for point in chosen.into_iter().flatten().flat_map(|points| points.as_ref().unwrap_or(&none)) {
            self.points.push(ProbePoint {
                program: point.program,
                library: plan.library,
                go_receiver_offset: plan.points.copy.unwrap_or(0),
                file: file.clone(),
                file_offset: point.file_offset,
                on_return: point.on_return,
                cost: point.cost,
                place: point.place.clone(),
            });
        }
    }

    fn coverage(self, pid: u32, start_time_ticks: u64) -> Coverage {
        let mut sentences = self.reasons;
        if sentences.is_empty() && self.hints.is_empty() {
            sentences.push("no TLS library with symbols was found".to_owned());
        }
        sentences.extend(self.hints);
        Coverage {
            library: self.library,
            view: if self.library.is_some() { self.view } else { View::Records },
            reason: sentences.join("; "),
            points: self.points,
            pid,
            start_time_ticks,
        }
    }
}

fn name(library: Library) -> &'static str {
    match library {
        Library::OpenSsl => "OpenSSL",
        Library::Go => "Go crypto/tls",
        Library::GnuTls => "GnuTLS",
        Library::BoringSsl => "BoringSSL",
    }
}

/// `libssl.so` is versioned by the `libcrypto.so` beside it.
fn companion_version(library: Library, all: &[MappedFile]) -> Option<String> {
    let crypto =
        all.iter().find(|file| library == Library::OpenSsl && file.name().starts_with("libcrypto"))?;
    let image = Image::from_file(&crypto.file).ok()?;
    library_version(&image.elf().ok()?, library)
}

/// The view that the points allow at this depth, and why this one.
fn decide(points: &Points, depth: Depth) -> (View, String) {
    let write = match (&points.write, depth) {
        (_, Depth::Records) => return (View::Records, "records were asked for".to_owned()),
        (Err(error), _) => return (View::Records, format!("writes cannot be probed: {error:#}")),
        (Ok(write), _) => dearest(write),
    };
    let auto = depth == Depth::Auto;
    if auto && !write.is_within_budget() {
        let why =
            format!("writes would cost {}, more than auto allows (--tls streams does it)", write.words());
        return (View::Records, why);
    }
    let writes = format!("writes cost {}", write.words());
    match &points.read {
        _ if depth == Depth::Streams => (View::Streams, writes),
        Err(error) => (View::Streams, format!("{writes}; reads cannot be probed: {error:#}")),
        Ok(read) => {
            let read = dearest(read);
            if auto && !read.is_within_budget() {
                let words = read.words();
                let why = format!(
                    "{writes}; reads would cost {words}, more than auto allows (--tls frames does it)"
                );
                return (View::Streams, why);
            }
            let same = read == write;
            let why = if same {
                format!("writes and reads cost {}", write.words())
            } else {
                format!("{writes}, reads {}", read.words())
            };
            (View::Frames, why)
        }
    }
}

/// The cost of the dearest of these points.
fn dearest(points: &[Point]) -> Cost {
    points.iter().map(|point| point.cost).max().unwrap_or(Cost::Emulated)
}

#[cfg(test)]
mod tests;
