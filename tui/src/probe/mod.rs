//! The kernel side, loaded: the only module that names aya.
//!
//! `object` is what is loaded, `attach` how, `cgroups` where to; `slots` and `events` are the two ways in which facts come back,
//! `connections` says whose slot is whose, `read` turns one into a `Reading`; `uprobe` loads and attaches what looks into TLS
//! libraries. Everything is held by file descriptors of this process: when it ends, however it ends, the kernel removes it all.

mod attach;
mod cgroups;
mod connections;
mod events;
mod health;
mod log;
mod object;
mod read;
mod refusal;
mod slots;
mod syscall;
mod tls;
mod uprobe;

pub use attach::{Degradation, Probe, Scope, Setup};
pub use connections::Seeded;
pub use events::{HelloPiece, Notice};
pub use health::ProgramState;
pub use object::{Object, provenance};
pub use slots::SlotId;
pub use syscall::may_open_events;
pub use tls::{Attached, GoClaim, GoProof};
pub use uprobe::{Links, Uprobes, are_multi_links, may_attach_uprobes};
