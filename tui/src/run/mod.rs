//! The one loop: the kernel's events, the clock and signals in; samples, verdicts and outputs out.

pub mod check;
mod clock;
mod ending;
mod lines;
mod pace;
mod watch;
mod watcher;

pub use ending::Ending;
pub use lines::{Form, Lines};
pub use watch::{Front, Plan, watch};
pub use watcher::{Settings, Watcher};
