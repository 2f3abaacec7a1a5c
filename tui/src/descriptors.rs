//! How many files h2watch may have open: a link to a cgroup is a descriptor, and there are five for each cgroup.

use std::io;
use std::sync::OnceLock;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What h2watch was started with.
static BEFORE: OnceLock<Rlimit> = OnceLock::new();

/// That limit; `None` before it was raised.
#[must_use]
pub fn before() -> Option<&'static Rlimit> {
    BEFORE.get()
}

/// Raises the limit of this process to the most that it may have. The usual 1024 is as low as it is for programs that use
/// select(2), which h2watch does not.
pub fn allow_most() {
    let before = BEFORE.get_or_init(|| getrlimit(Resource::Nofile));
    // Less than before is never asked for, and with less than wished for h2watch says what it could not open.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: before.maximum, maximum: before.maximum });
}

/// Gives a child the limit that h2watch was started with: it may be one of those programs. Async-signal-safe.
///
/// # Errors
/// The kernel refuses it.
pub fn give_back() -> io::Result<()> {
    before().map_or(Ok(()), |before| Ok(setrlimit(Resource::Nofile, *before)?))
}
