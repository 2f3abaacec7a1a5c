//! HTTP/2 frame headers (RFC 9113, section 4.1) and the rules by which one is recognised.

mod frame;
mod plausible;

pub use frame::{FrameHeader, Kind, flags};
pub use plausible::{Bounds, plausible};

/// The client connection preface (RFC 9113, section 3.4) is 24 bytes and begins with these three; no HTTP/1 method does.
pub const PREFACE_START: [u8; 3] = *b"PRI";
/// Length of the whole preface in bytes.
pub const PREFACE_LEN: u32 = 24;
/// Length of a frame header in bytes.
pub const HEADER_LEN: u32 = 9;
