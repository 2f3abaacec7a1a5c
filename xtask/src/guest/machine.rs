//! What a distribution's init would do, as far as h2watch needs it: file systems, the loopback interface, a port to talk to,
//! and the end.

use std::ffi::CString;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;

use anyhow::{Context, Result};

const MOUNTS: [(&str, &str); 6] = [
    ("proc", "/proc"),
    ("sysfs", "/sys"),
    ("devtmpfs", "/dev"),
    ("tmpfs", "/tmp"),
    ("cgroup2", "/sys/fs/cgroup"),
    ("bpf", "/sys/fs/bpf"),
];

pub(super) fn prepare() -> Result<()> {
    for (kind, folder) in MOUNTS {
        mount(kind, folder).with_context(|| format!("mounting {kind} on {folder}"))?;
    }
    talk_to("/dev/ttyS1")?;
    // Absent in some kernels; h2watch has to do without as well.
    if fs::exists("/sys/kernel/tracing").unwrap_or(false) {
        mount("tracefs", "/sys/kernel/tracing").context("mounting tracefs")?;
    }
    modules()?;
    loopback_up().context("bringing up lo")
}

pub(super) fn kernel_version() -> String {
    fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned()
}

pub(super) fn switch_off() -> ! {
    // SAFETY: both take no memory of ours; as the first process reboot() does not return, and returning would panic the
    // kernel, which ends the machine as well.
    unsafe {
        libc::sync();
        libc::reboot(libc::RB_POWER_OFF);
    }
    loop {
        std::thread::park();
    }
}

fn mount(kind: &str, folder: &str) -> Result<()> {
    let (kind, folder) = (CString::new(kind)?, CString::new(folder)?);
    // SAFETY: three NUL-terminated strings that outlive the call; no options.
    let status = unsafe { libc::mount(kind.as_ptr(), folder.as_ptr(), kind.as_ptr(), 0, std::ptr::null()) };
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error().into()) }
}

/// Loads what came with the kernel, in the order of the names.
fn modules() -> Result<()> {
    let mut files: Vec<_> =
        fs::read_dir("/modules").context("reading /modules")?.flatten().map(|entry| entry.path()).collect();
    files.sort();
    for path in files {
        let file = fs::File::open(&path)?;
        // SAFETY: an open descriptor, an empty NUL-terminated string of parameters, no flags.
        let status = unsafe { libc::syscall(libc::SYS_finit_module, file.as_raw_fd(), c"".as_ptr(), 0) };
        if status != 0 {
            return Err(io::Error::last_os_error()).with_context(|| format!("loading {}", path.display()));
        }
    }
    Ok(())
}

/// Everything printed from here on, by this process and its children, goes to that port.
fn talk_to(port: &str) -> Result<()> {
    let file =
        OpenOptions::new().read(true).write(true).open(port).with_context(|| format!("opening {port}"))?;
    for descriptor in 0..=2 {
        // SAFETY: both descriptors belong to this process; dup2 replaces the standard one.
        if unsafe { libc::dup2(file.as_raw_fd(), descriptor) } < 0 {
            return Err(io::Error::last_os_error()).context("redirecting output");
        }
    }
    Ok(())
}

fn loopback_up() -> Result<()> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0")?;
    // SAFETY: ifreq is plain data for which zero is a valid value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: SIOCSIFFLAGS reads one ifreq, which lives through the call.
    let status = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) };
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error().into()) }
}
