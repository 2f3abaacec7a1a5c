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

use core::mem::offset_of;

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

/// Raised with every change to the meaning of a field in this crate. The object carries it with `ABI`, and the loader refuses
/// an object with another one.
pub const ABI_VERSION: u32 = 8;

/// What the object and user space must agree on: the version, and the layout of everything that both touch. A type that grew
/// without its version being raised is refused all the same.
pub const ABI: [u32; 10] = [
    ABI_VERSION,
    size_of::<slot::Slot>() as u32,
    offset_of!(slot::Slot, sent_lanes) as u32,
    offset_of!(slot::Slot, received_lanes) as u32,
    offset_of!(slot::Connection, sent) as u32,
    offset_of!(slot::Connection, streams) as u32,
    size_of::<direction::Direction>() as u32,
    offset_of!(direction::Direction, records) as u32,
    size_of::<settings::Settings>() as u32,
    size_of::<event::Event>() as u32,
];
