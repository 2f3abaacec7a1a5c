//! Recordings: samples in a file, to be shown again, attached to a bug report, or tested with.
//!
//! A recording holds what the probe read and nothing that was concluded from it: replayed, it goes through the same model
//! and rules as the live samples did. It holds no payload, because samples hold none. The format is documented in
//! `docs/recording.md`: gzip over lines of JSON.
//!
//! * `Writer`, `Reader`: the file. `Anonymiser`: names and addresses replaced by pseudonyms.
//! * `Capture`: a file for each stall, with what came before it.
//! * `Replay`: the samples at their times, faster, or all at once.

mod anonymise;
mod capture;
mod error;
mod header;
mod mirror;
mod patch;
mod reader;
mod replay;
#[cfg(test)]
mod tests;
mod wire;
mod writer;

pub use anonymise::Anonymiser;
pub use capture::{Capture, Limits};
pub use error::ReadError;
pub use header::Header;
pub use reader::Reader;
pub use replay::{Replay, Speed};
pub use writer::Writer;

/// Version of the format. Raised when an older h2watch would misread the file; new fields alone do not raise it.
pub const VERSION: u32 = 1;
