//! Real traffic to look at: a client pool, servers, and a link that can be unplugged. All of it on loopback.
//!
//! ```text
//! child process (own pid, own cgroup, watched)          this process (not watched)
//!   pool: HTTP/2 clients, prior knowledge  ── TCP ──>  link (copies bytes, or not)  ── TCP ──>  server
//! ```
//!
//! The client is a process of its own so that the probe sees it the way it sees anybody's. Servers and links are here, on a
//! thread of their own: the link's sockets are clients of the servers, and in the watched cgroup they would be watched too.
//!
//! What is deliberately absent: anything that knows about probes. `script` decides what happens when, from changes that the
//! model reports; whoever runs the demo carries it out.

mod counts;
mod destination;
mod far_end;
mod link;
mod narration;
mod pool;
mod process;
mod script;
mod server;
mod traffic;

pub use counts::Counts;
pub use destination::{Destination, Load};
pub use process::run as run_process;
pub use script::{Action, Plan, Script};
pub use traffic::{SUBCOMMAND, Traffic};

/// The demo, recorded from real sockets by the real probe, for where rights or kernel do not allow the live one.
/// `tests/demo_recording.rs` made it.
pub const RECORDING: &[u8] = include_bytes!("recording.h2w");
