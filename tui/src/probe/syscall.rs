//! The system calls of links and of uprobe programs: `bpf(2)` and `perf_event_open(2)`, as far as they are needed here
//! (`linux/bpf.h`, `linux/perf_event.h`).

use std::ffi::CString;
use std::fs;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use anyhow::{Context, Result};

use super::refusal;

const BPF_PROG_LOAD: libc::c_long = 5;
const BPF_BTF_LOAD: libc::c_long = 18;
const BPF_LINK_CREATE: libc::c_long = 28;
const BPF_PROG_TYPE_KPROBE: u32 = 2;
const BPF_PERF_EVENT: u32 = 41;
const BPF_TRACE_UPROBE_MULTI: u32 = 48;
const BPF_F_UPROBE_MULTI_RETURN: u32 = 1;
const PERF_FLAG_FD_CLOEXEC: libc::c_ulong = 1 << 3;

/// One place in one process, and what the program gets to know of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target<'a> {
    pub(super) pid: u32,
    pub(super) file: &'a Path,
    pub(super) offset: u64,
    pub(super) cookie: u64,
}

#[repr(C)]
#[derive(Default)]
struct BtfLoad {
    btf: u64,
    log: u64,
    size: u32,
    log_size: u32,
    log_level: u32,
    pad: u32,
}

#[repr(C)]
#[derive(Default)]
struct ProgramLoad {
    kind: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
    ifindex: u32,
    expected_attach_type: u32,
    btf_fd: u32,
    func_info_record_size: u32,
    func_info: u64,
    func_info_count: u32,
    line_info_record_size: u32,
    line_info: u64,
    line_info_count: u32,
    pad: u32,
}

/// A link to a cgroup has no cookie: it stays 0.
#[repr(C)]
#[derive(Default)]
struct SimpleLink {
    program_fd: u32,
    target_fd: u32,
    attach_type: u32,
    flags: u32,
    cookie: u64,
}

#[repr(C)]
#[derive(Default)]
struct MultiLink {
    program_fd: u32,
    target_fd: u32,
    attach_type: u32,
    flags: u32,
    path: u64,
    offsets: u64,
    reference_counter_offsets: u64,
    cookies: u64,
    count: u32,
    multi_flags: u32,
    pid: u32,
    pad: u32,
}

/// `struct perf_event_attr`, as long as its second version.
#[repr(C)]
#[derive(Default)]
struct PerfEvent {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup: u32,
    breakpoint: u32,
    path: u64,
    offset: u64,
}

fn bpf<T>(command: libc::c_long, attributes: &T) -> io::Result<OwnedFd> {
    // SAFETY: `attributes` is a structure of the command's layout, whose pointers the callers keep alive.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attributes), size_of::<T>()) };
    owned(fd)
}

fn owned(fd: libc::c_long) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a descriptor that the kernel has just made for this process.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

fn address<T>(of: &[T]) -> u64 {
    of.as_ptr().addr() as u64
}

fn fd_number(fd: &OwnedFd) -> u32 {
    fd.as_raw_fd().cast_unsigned()
}

pub(super) fn load_btf(bytes: &[u8]) -> io::Result<OwnedFd> {
    bpf(BPF_BTF_LOAD, &BtfLoad { btf: address(bytes), size: bytes.len() as u32, ..BtfLoad::default() })
}

/// Loads a relocated program. On refusal the error is the last line of the verifier that tells something.
pub(super) fn load(
    name: &str,
    program: &aya_obj::Program,
    function: &aya_obj::Function,
    btf: Option<&OwnedFd>,
    multi: bool,
) -> Result<OwnedFd> {
    let func_info = function.func_info.func_info_bytes();
    let mut attributes = ProgramLoad {
        kind: BPF_PROG_TYPE_KPROBE,
        instruction_count: function.instructions.len() as u32,
        instructions: address(&function.instructions),
        license: address(program.license.as_bytes_with_nul()),
        expected_attach_type: if multi { BPF_TRACE_UPROBE_MULTI } else { 0 },
        ..ProgramLoad::default()
    };
    let length = name.len().min(15);
    attributes.name[..length].copy_from_slice(&name.as_bytes()[..length]);
    if let Some(btf) = btf {
        attributes.btf_fd = fd_number(btf);
        attributes.func_info_record_size = function.func_info_rec_size as u32;
        attributes.func_info = address(&func_info);
        attributes.func_info_count = (func_info.len() / function.func_info_rec_size.max(1)) as u32;
    }
    let mut tried = bpf(BPF_PROG_LOAD, &attributes);
    // The verifier breaks off when a signal is waiting.
    for _ in 0..10 {
        if tried.as_ref().is_err_and(|error| error.raw_os_error() == Some(libc::EAGAIN)) {
            tried = bpf(BPF_PROG_LOAD, &attributes);
        }
    }
    let error = match tried {
        Ok(program) => return Ok(program),
        Err(error) => error,
    };
    let mut log = vec![0u8; 1 << 20];
    (attributes.log_level, attributes.log_size, attributes.log) =
        (1, log.len() as u32, log.as_mut_ptr().addr() as u64);
    let _ = bpf(BPF_PROG_LOAD, &attributes);
    let log = String::from_utf8_lossy(&log);
    Err(anyhow::anyhow!("{error}; {}", refusal::telling(log.trim_end_matches('\0'))))
}

/// A link of Linux 6.6: detached by closing it, without a lock of the whole kernel.
pub(super) fn multi_link(program: &OwnedFd, on_return: bool, target: &Target<'_>) -> Result<OwnedFd> {
    let path = CString::new(target.file.as_os_str().as_bytes())?;
    let (offsets, cookies) = ([target.offset], [target.cookie]);
    let link = MultiLink {
        program_fd: fd_number(program),
        attach_type: BPF_TRACE_UPROBE_MULTI,
        path: address(path.as_bytes_with_nul()),
        offsets: address(&offsets),
        cookies: address(&cookies),
        count: 1,
        multi_flags: if on_return { BPF_F_UPROBE_MULTI_RETURN } else { 0 },
        pid: target.pid,
        ..MultiLink::default()
    };
    bpf(BPF_LINK_CREATE, &link).context("making a uprobe_multi link")
}

/// Where a program hangs at a cgroup, by number (`enum bpf_attach_type`).
#[derive(Clone, Copy, Debug)]
pub(super) enum CgroupHook {
    Ingress = 0,
    Egress = 1,
    Connect4 = 10,
    Connect6 = 11,
    SockRelease = 34,
}

/// A link of Linux 5.7 to a cgroup: detached by closing it.
pub(super) fn cgroup_link(
    program: BorrowedFd<'_>,
    cgroup: BorrowedFd<'_>,
    hook: CgroupHook,
) -> io::Result<OwnedFd> {
    let number = |fd: BorrowedFd<'_>| fd.as_raw_fd().cast_unsigned();
    let link = SimpleLink {
        program_fd: number(program),
        target_fd: number(cgroup),
        attach_type: hook as u32,
        ..SimpleLink::default()
    };
    bpf(BPF_LINK_CREATE, &link)
}

/// True when the kernel has detached a link to a cgroup: the cgroup was removed, and its last socket is gone.
pub(super) fn is_detached(link: &OwnedFd) -> bool {
    told_of(link, "cgroup_id:") == Some(0)
}

/// A link of Linux 5.15, over a perf event.
pub(super) fn perf_link(program: &OwnedFd, on_return: bool, target: &Target<'_>) -> Result<OwnedFd> {
    let event = open_event(on_return, target)?;
    let link = SimpleLink {
        program_fd: fd_number(program),
        target_fd: fd_number(&event),
        attach_type: BPF_PERF_EVENT,
        flags: 0,
        cookie: target.cookie,
    };
    bpf(BPF_LINK_CREATE, &link).context("making a perf event link")
}

fn open_event(on_return: bool, target: &Target<'_>) -> Result<OwnedFd> {
    const SOURCE: &str = "/sys/bus/event_source/devices/uprobe";
    let number = |text: &str| text.trim().trim_start_matches("config:").parse::<u32>();
    let read = |file: &str| {
        fs::read_to_string(format!("{SOURCE}/{file}")).with_context(|| format!("{SOURCE}/{file}"))
    };
    let kind = number(&read("type")?)?;
    let config = if on_return { 1u64 << number(&read("format/retprobe")?)? } else { 0 };
    let path = CString::new(target.file.as_os_str().as_bytes())?;
    let event = PerfEvent {
        kind,
        size: size_of::<PerfEvent>() as u32,
        config,
        path: address(path.as_bytes_with_nul()),
        offset: target.offset,
        ..PerfEvent::default()
    };
    let (pid, any_cpu, no_group) = (target.pid.cast_signed(), -1i32, -1i32);
    // SAFETY: `event` has the size that it says, and its path outlives the call.
    let event = unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            &raw const event,
            pid,
            any_cpu,
            no_group,
            PERF_FLAG_FD_CLOEXEC,
        )
    };
    owned(event).context("perf_event_open")
}

/// Whether the kernel lets this thread attach uprobes as perf events. It is asked, with a file that does not exist: it looks at
/// the rights first. Where it has no such events, attaching will say so.
#[must_use]
pub fn may_open_events() -> bool {
    let nowhere = Target { pid: 0, file: Path::new("/proc/self/no-such-file"), offset: 0, cookie: 0 };
    let opened = open_event(false, &nowhere);
    debug_assert!(opened.is_err(), "there is no such file");
    let error = opened.err().and_then(|error| error.downcast_ref::<io::Error>()?.raw_os_error());
    !matches!(error, Some(libc::EACCES | libc::EPERM))
}

/// Nanoseconds and runs of a program; both 0 unless the kernel measures programs.
pub(super) fn cost(program: &OwnedFd) -> Option<(u64, u64)> {
    Some((told_of(program, "run_time_ns:")?, told_of(program, "run_cnt:")?))
}

/// A number that the kernel tells of a descriptor of this process.
fn told_of(fd: &OwnedFd, name: &str) -> Option<u64> {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.as_raw_fd())).ok()?;
    info.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sizes that the kernel's headers give these parts of `union bpf_attr` and `PERF_ATTR_SIZE_VER1`.
    #[test]
    fn layouts_are_the_kernels() {
        assert_eq!(size_of::<PerfEvent>(), 72);
        assert_eq!(std::mem::offset_of!(ProgramLoad, expected_attach_type), 68);
        assert_eq!(std::mem::offset_of!(ProgramLoad, func_info), 80);
        assert_eq!(std::mem::offset_of!(MultiLink, pid), 56);
        assert_eq!(std::mem::offset_of!(SimpleLink, cookie), 16);
        assert_eq!(std::mem::offset_of!(BtfLoad, log_level), 24);
    }
}
