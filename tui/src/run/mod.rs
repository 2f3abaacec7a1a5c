//! The one loop: the kernel's events, the clock and signals in; samples, verdicts and outputs out.

mod alarm;
mod beat;
mod clock;
mod companions;
mod coverage;
mod ending;
mod front;
mod lines;
mod pace;
mod planning;
mod playhead;
mod recorder;
mod replay;
mod resets;
mod signals;
mod story;
mod timely;
mod watch;
mod watcher;

pub use companions::Companions;
pub use ending::Ending;
pub use front::{Front, Screen};
pub use lines::{Form, Lines};
pub use recorder::{Keep, NextFile, Recorder, RecordingFile};
pub use replay::{Show, replay};
pub use resets::Resets;
pub use signals::Signals;
pub use story::Story;
pub use timely::{SHORT_THRESHOLD, be_timely};
pub use watch::{Plan, watch};
pub use watcher::{Settings, Wanted, Watcher};
