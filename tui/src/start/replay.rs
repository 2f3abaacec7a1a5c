//! `h2watch replay`: a recording, shown again.

use std::fs::File;

use anyhow::{Context, Result};

use super::{front, ui};
use crate::cli::{OutputArgs, Replay};
use crate::dashboard::Banner;
use crate::record::{Reader, Speed};
use crate::run::{Ending, Front, Show, Signals, replay};

pub(super) async fn replay_file(signals: Signals, args: &Replay) -> Result<Ending> {
    let path = &args.recording;
    let shown = path.display();
    let file = File::open(path).with_context(|| format!("opening the recording {shown}"))?;
    let recording = Reader::new(file).with_context(|| shown.to_string())?;
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    let front = recorded_front(&name, &args.output)?;
    // A person watches; a program wants it all.
    let usual = if matches!(front, Front::Screen(_)) { Speed::Times(1.0) } else { Speed::AtOnce };
    let show = Show { name, speed: args.speed.unwrap_or(usual), run_for: None, notes: Vec::new() };
    replay(signals, recording, show, front).await
}

/// An output that says what it shows.
pub(super) fn recorded_front(name: &str, output: &OutputArgs) -> Result<Front> {
    front(output, |size| {
        let mut ui = ui(name.to_owned(), size);
        ui.banner = Banner::Recording(name.to_owned());
        ui
    })
}
