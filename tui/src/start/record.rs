//! `h2watch record`: a watch that is written down.

use std::cell::RefCell;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use anyhow::{Context, Result};

use super::{policy, watch};
use crate::cli::Record;
use crate::record::{Capture, Header, Limits, Writer};
use crate::run::{Ending, Keep, NextFile, Recorder, Signals};

pub(super) async fn record(signals: Signals, args: &Record) -> Result<Ending> {
    let made = Rc::default();
    let recorder = || recorder(args, &made);
    let ending = watch::watch_target(signals, &args.watch, &args.command, Some(&recorder)).await?;
    // By now the terminal is given back.
    tell(&made.borrow())?;
    Ok(ending)
}

/// Files that were made, for the last line.
type Made = Rc<RefCell<Vec<PathBuf>>>;

fn recorder(args: &Record, made: &Made) -> Result<Recorder> {
    let header = Header::here(policy(args.watch.thresholds), args.anonymise);
    let path = args.recording.clone();
    let keep = if args.incidents {
        let limits = Limits { before: args.incident_before, after: args.incident_after, ..Limits::default() };
        let made = Rc::clone(made);
        let next: NextFile = Box::new(move |_| {
            let (file, path) = next_file(&path)?;
            made.borrow_mut().push(path);
            Ok(BufWriter::new(file))
        });
        Keep::Incidents(Box::new(Capture::new(limits, header, next)))
    } else {
        let file = File::create_new(&path)
            .with_context(|| format!("making the recording {} (none is overwritten)", path.display()))?;
        let writer = Writer::new(BufWriter::new(file), &header).context("writing the recording")?;
        made.borrow_mut().push(path);
        Keep::All(Box::new(writer))
    };
    Ok(Recorder::new(keep, args.anonymise))
}

/// `incident.h2w` becomes `incident-1.h2w`, or the first number that is free.
fn next_file(path: &Path) -> io::Result<(File, PathBuf)> {
    let end = path.extension().map_or_else(|| "h2w".into(), OsString::from);
    for n in 1u32.. {
        let mut name = path.file_stem().unwrap_or_default().to_owned();
        name.push(format!("-{n}."));
        name.push(&end);
        let numbered = path.with_file_name(name);
        match File::create_new(&numbered) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => {
                return Err(io::Error::new(error.kind(), format!("{}: {error}", numbered.display())));
            }
            Ok(file) => return Ok((file, numbered)),
        }
    }
    Err(io::Error::other("every number is taken"))
}

/// To standard error: lines on standard output are of connections.
fn tell(made: &[PathBuf]) -> Result<()> {
    let mut stderr = io::stderr();
    if made.is_empty() {
        writeln!(stderr, "h2watch: nothing stalled, nothing was recorded")?;
    }
    for path in made {
        writeln!(stderr, "h2watch: recorded; show it with `h2watch replay {}`", path.display())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn incidents_are_numbered_and_none_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let next = |name: &str| next_file(&folder.path().join(name)).map(|(_, path)| path);
        assert_eq!(next("a.h2w").unwrap(), folder.path().join("a-1.h2w"));
        assert_eq!(next("a.h2w").unwrap(), folder.path().join("a-2.h2w"));
        assert_eq!(next("b.1.rec").unwrap(), folder.path().join("b.1-1.rec"));
        assert_eq!(next("c").unwrap(), folder.path().join("c-1.h2w"));
        assert!(next("none/a.h2w").unwrap_err().to_string().contains("none/a-1.h2w"));
    }
}
