//! Prometheus exporter: aggregate series that page for the right connection, and a page for the person who was paged.
//!
//! Reads snapshots and changes, never maps, and judges nothing. The HTTP side is `server`, run in a thread of its own without
//! any capability (`thread`). Per-connection facts are in `/connections`, in exemplars and on the page; never in labels.

mod aggregate;
mod bound;
mod document;
mod encode;
mod exporter;
mod feed;
mod format;
mod group;
mod health;
mod labels;
mod limit;
pub mod metrics;
mod page;
mod places;
mod route;
mod server;
mod thread;
mod write_deadline;

pub use aggregate::LabelLimits;
pub use bound::{MAX_PROGRAMS, series_at_most};
pub use document::markdown;
pub use exporter::{Exporter, ResetResult};
pub use feed::Feed;
pub use format::Format;
pub use health::{Health, ProgramRun};
pub use route::{STALE_AFTER, WriteConnections};
pub use server::{DEFAULT_LISTEN, HttpLimits, serve};
pub use thread::HttpThread;

/// Nanoseconds as the seconds that Prometheus wants.
#[expect(
    clippy::cast_precision_loss,
    reason = "2^53 ns are 104 days, beyond that a microsecond does not matter"
)]
fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}
