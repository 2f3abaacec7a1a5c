//! The contract between the kernel programs (`probe-ebpf`) and user space (`h2watch`).
//!
//! Two things live here and nowhere else:
//! * the `repr(C)` types of every map and ring buffer record, with their sizes asserted;
//! * the code that reads HTTP/2 frame headers and TLS record headers out of a byte stream. It is pure and `no_std`: the
//!   kernel program, the unit tests and the fuzzer run the same functions.
//!
//! What is deliberately absent: HPACK, header values, bodies. Nothing in this crate keeps a byte of a frame's payload
//! except the fixed protocol fields of SETTINGS, RST_STREAM, GOAWAY and WINDOW_UPDATE (RFC 9113, section 6).
//!
//! Reading order: `slot`, `direction`, `streams` (what is kept), `event`, `settings`, `loss` (what else crosses), then
//! `http2` (frame headers), `lane` (one contiguous byte stream), `order` (TCP sequence order), `account` (what a frame
//! means for the connection), `walk` (a whole segment, from its TCP header to its last frame).
#![cfg_attr(not(any(test, feature = "user")), no_std)]

pub mod account;
pub mod direction;
pub mod event;
pub mod http2;
pub mod lane;
pub mod loss;
pub mod order;
#[cfg(feature = "user")]
mod pod;
pub mod settings;
pub mod slot;
pub mod streams;
pub mod tls;
pub mod walk;

/// Raised with every change to a type or to the meaning of a field in this crate. The object carries it (`settings`), and
/// the loader refuses an object with another one.
pub const ABI_VERSION: u32 = 1;
