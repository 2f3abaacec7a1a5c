//! What can be seen of a process's TLS, and where to look: pure user-space side, nothing is attached here.
//!
//! ```text
//! libraries ── which executable files of a process speak TLS (through its own mount namespace)
//!     └─ elf, gopclntab ── where their functions are       └─ placement ── at which instruction a probe is cheap and safe
//!                                plan ── coverage of one process: library, view, reason, probe points
//! hello ── what a handshake shows in the clear             h2 ── whether a TLS connection carries HTTP/2, by evidence
//! ```
//!
//! Invariant: a probe point is either proven by decoding the function that it is in, or it is not made. Every "no" is a
//! sentence in the coverage.

pub mod elf;
mod go;
pub mod gopclntab;
pub mod h2;
pub mod hello;
pub mod libraries;
mod openssl;
pub mod placement;
pub mod plan;

pub use plan::{Coverage, Depth, Planner, ProbePoint};
