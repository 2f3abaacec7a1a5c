//! What keeps the machine busy beside the experiment: h2load on a server of its own, in the client's cgroup, so that its segments
//! pass the same kernel programs.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::experiment::{Cgroup, Ended, first_line, path, reader};

pub(super) struct Beside {
    h2load: Ended,
    _server: Ended,
}

impl Beside {
    pub(super) fn start(program: &Path, cgroup: &Cgroup, folder: &Path) -> Result<Self> {
        let mut serve = Command::new(program);
        serve.args(["serve", "-control", path(&folder.join("beside"))?]);
        serve.args(["-authority", path(&folder.join("beside.pem"))?]);
        let serve = serve.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut server = Ended(serve.context("the server of h2load")?);
        let address = first_line(&mut reader(&mut server.0)?)?;
        let mut h2load = cgroup.enter();
        // Longer than any run: it is ended with it.
        h2load.args(["h2load", "-D", "3600", "-c", "4", "-m", "16", &format!("https://{address}/")]);
        let h2load = h2load.stdout(Stdio::null()).spawn().context("cannot start h2load")?;
        Ok(Self { h2load: Ended(h2load), _server: server })
    }

    /// It must have run all the time.
    pub(super) fn end(mut self) -> Result<()> {
        match self.h2load.0.try_wait()? {
            Some(status) => bail!("h2load ended before the run did ({status})"),
            None => Ok(()),
        }
    }
}
