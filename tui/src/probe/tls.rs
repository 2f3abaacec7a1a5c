//! Probes at the TLS boundary of processes: loaded once, attached to each process by itself.
//!
//! Attached is what `tls::plan` proved, through the very file that it analysed, and to one process at a time: other
//! processes that map the same library never notice.

use std::collections::HashSet;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use aya::maps::HashMap;
use probe_common::slot::{PLAIN_FRAMES, PLAIN_OTHER};
use probe_common::tls::{LIBRARY_BORINGSSL, LIBRARY_GNUTLS, LIBRARY_GO, LIBRARY_OPENSSL, Object, ObjectKey};

use super::attach::Probe;
use super::syscall::Target;
use super::uprobe::{Links, Uprobes};
use crate::model::sample::Library;
use crate::tls::{Coverage, ProbePoint};

/// What is attached in one process. Dropping it detaches that, which takes a tenth of a second: not in the loop.
#[derive(Debug, Default)]
pub struct Attached {
    links: Links,
    done: HashSet<Place>,
}

/// Device, inode and offset, which is how the kernel knows a place, and the program there. Not the file's whole identity: a
/// link to it that is removed changes that, and a place that is probed twice counts twice.
type Place = (u64, u64, u64, &'static str);

impl Attached {
    /// Attaches the points of `coverage` that are not attached yet.
    ///
    /// # Errors
    /// The kernel refuses a program or a point; what was attached before stays.
    pub fn attach(&mut self, uprobes: &Uprobes, coverage: &Coverage) -> Result<()> {
        for point in &coverage.points {
            let file = point.file.identity;
            let what = (file.device, file.inode, point.file_offset, point.program);
            if !self.done.contains(&what) {
                self.links.push(attach_point(uprobes, coverage.pid, point)?);
                self.done.insert(what);
            }
        }
        Ok(())
    }

    /// Number of probe points.
    #[must_use]
    pub fn len(&self) -> usize {
        self.done.len()
    }

    /// True when nothing is attached.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.done.is_empty()
    }

    /// What detaches when it is dropped.
    #[must_use]
    pub fn into_links(self) -> Links {
        self.links
    }
}

fn attach_point(uprobes: &Uprobes, pid: u32, point: &ProbePoint) -> Result<std::os::fd::OwnedFd> {
    ensure!(pid != 0, "process 0 cannot be probed");
    let library = match point.library {
        Library::OpenSsl => LIBRARY_OPENSSL,
        Library::Go => LIBRARY_GO,
        Library::GnuTls => LIBRARY_GNUTLS,
        Library::BoringSsl => LIBRARY_BORINGSSL,
    };
    let cookie = u64::from(library) | u64::from(point.go_receiver_offset) << 32;
    let file = point.file.probe_path();
    let target = Target { pid, file: &file, offset: point.file_offset, cookie };
    uprobes
        .attach(point.program, &target)
        .with_context(|| format!("attaching {} to process {pid}, {}", point.program, point.place))
}

/// A Go connection and the file descriptor that it claims to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GoClaim {
    pub pid: u32,
    pub object: u64,
    pub descriptor: i32,
}

/// What became of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GoProof {
    Proven,
    /// No open socket has that descriptor: the program wraps its connections, or has closed this one.
    Wrapped,
    /// A socket that is not watched: the accepted one of a server.
    Unwatched,
}

impl Probe {
    /// The programs that look into TLS libraries, for any thread.
    #[must_use]
    pub fn uprobes(&self) -> Arc<Uprobes> {
        Arc::clone(&self.uprobes)
    }

    /// Follows a claim: the descriptor must be a socket of that process that is watched as its own.
    ///
    /// # Errors
    /// The kernel cannot be asked, or told.
    pub fn prove_go(&mut self, claim: &GoClaim) -> Result<GoProof> {
        use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
        let pid = i32::try_from(claim.pid).ok().and_then(Pid::from_raw).context("not a process id")?;
        let process = pidfd_open(pid, PidfdFlags::empty()).context("the process has ended")?;
        let cookie = match pidfd_getfd(&process, claim.descriptor, PidfdGetfdFlags::empty()) {
            Ok(socket) => rustix::net::sockopt::socket_cookie(&socket).ok(),
            Err(rustix::io::Errno::BADF) => None,
            Err(error) => return Err(error).context("a descriptor of the process cannot be had"),
        };
        let Some(cookie) = cookie else { return Ok(GoProof::Wrapped) };
        let owner = self.connections.get(&cookie, 0).ok().and_then(|slot| self.slots.read(slot));
        if owner.is_none_or(|slot| slot.connection.tgid != claim.pid) {
            return Ok(GoProof::Unwatched);
        }
        let mut descriptors: HashMap<_, ObjectKey, u64> =
            HashMap::try_from(self.bpf.map_mut("TLS_DESCRIPTORS").context("no map TLS_DESCRIPTORS")?)?;
        let key = ObjectKey { address: claim.object, tgid: claim.pid, pad: 0 };
        descriptors.insert(key, cookie, 0).context("noting the proof")?;
        Ok(GoProof::Proven)
    }

    /// Lets go of the TLS objects of processes that ended. A process that is killed frees nothing, and one with its number would
    /// inherit them.
    ///
    /// # Errors
    /// The maps cannot be read.
    pub fn forget_objects(&mut self, pids: &[u32]) -> Result<()> {
        fn forget<V: aya::Pod>(map: Option<&mut aya::maps::Map>, pids: &[u32]) -> Result<()> {
            let mut map: HashMap<_, ObjectKey, V> = HashMap::try_from(map.context("no such map")?)?;
            let gone: Vec<ObjectKey> =
                map.keys().filter_map(Result::ok).filter(|key| pids.contains(&key.tgid)).collect();
            for key in gone {
                // It may have been pushed out meanwhile.
                let _ = map.remove(&key);
            }
            Ok(())
        }
        if pids.is_empty() {
            return Ok(());
        }
        forget::<Object>(self.bpf.map_mut("TLS_OBJECTS"), pids)?;
        forget::<u64>(self.bpf.map_mut("TLS_DESCRIPTORS"), pids)
    }

    /// Whether what the client wrote to its TLS library is HTTP/2; `None` while that is not known.
    #[must_use]
    pub fn is_plaintext_http2(&self, slot: super::SlotId) -> Option<bool> {
        match self.slots.read_plain_used(slot) {
            PLAIN_FRAMES => Some(true),
            PLAIN_OTHER => Some(false),
            _ => None,
        }
    }

    /// Payload lengths of the first application data records of a connection, sent and received.
    #[must_use]
    pub fn first_records(&self, slot: super::SlotId) -> (Vec<u16>, Vec<u16>) {
        let lengths = |all: &[u16]| all.iter().copied().take_while(|&length| length != 0).collect();
        self.slots.read(slot).map_or_else(Default::default, |slot| {
            (lengths(&slot.connection.sent_first_records), lengths(&slot.connection.received_first_records))
        })
    }
}
