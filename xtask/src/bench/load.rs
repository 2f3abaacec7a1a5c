//! The load: nghttpd answers, h2load asks. Neither is h2watch's own, and neither knows that it is watched.

use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::cgroup::Cgroup;
use crate::{checkout, command, say};

/// The body of an answer: one frame of the size of many API answers.
const BODY_BYTES: usize = 1024;
const CONNECTIONS: &str = "4";

pub(super) struct Load {
    pub(super) port: u16,
    pub(super) streams: u32,
    pub(super) requests: u32,
}

impl Load {
    /// Requests per second; every one must succeed.
    pub(super) fn run(&self, cgroup: &Cgroup) -> Result<f64> {
        self.run_some(self.requests, cgroup)
    }

    /// A fifth of it, not measured.
    pub(super) fn warm_up(&self, cgroup: &Cgroup) -> Result<()> {
        // h2load wants at least one request for each connection.
        self.run_some((self.requests / 5).max(4), cgroup).map(drop)
    }

    fn run_some(&self, requests: u32, cgroup: &Cgroup) -> Result<f64> {
        let mut h2load = Command::new("h2load");
        h2load.args(["-n", &requests.to_string(), "-c", CONNECTIONS, "-m", &self.streams.to_string()]);
        h2load.arg(format!("http://127.0.0.1:{}/body", self.port));
        cgroup.hold(&mut h2load)?;
        let said = command::output(&mut h2load)?;
        rate_of_all(&said, requests)
    }
}

/// Requests per second that h2load printed; every one must have succeeded.
pub(super) fn rate_of_all(said: &str, requests: u32) -> Result<f64> {
    let result =
        finished(said).with_context(|| format!("h2load printed something else than expected:\n{said}"))?;
    ensure!(result.succeeded == u64::from(requests), "h2load: {} of {requests} succeeded", result.succeeded);
    Ok(result.requests_per_second)
}

struct Finished {
    requests_per_second: f64,
    succeeded: u64,
}

/// `finished in 1.54s, 129654.32 req/s, 8.26MB/s` and `requests: 200000 total, ..., 200000 succeeded, 0 failed, ...`
fn finished(said: &str) -> Option<Finished> {
    let figures = |start: &str| said.lines().find_map(|line| line.strip_prefix(start));
    let rate = figures("finished in ")?.split(", ").find_map(|part| part.strip_suffix(" req/s"))?;
    let succeeded = figures("requests: ")?.split(", ").find_map(|part| part.strip_suffix(" succeeded"))?;
    Some(Finished { requests_per_second: rate.parse().ok()?, succeeded: succeeded.parse().ok()? })
}

pub(super) struct Server {
    child: Child,
    port: u16,
}

impl Server {
    /// Outside the watched cgroup: only the client's side is to pay for watching.
    pub(super) fn start() -> Result<Self> {
        let folder = checkout::cache("bench");
        std::fs::create_dir_all(&folder).context("cannot make .cache/bench")?;
        std::fs::write(folder.join("body"), vec![b'x'; BODY_BYTES]).context("cannot write the body")?;
        // nghttpd takes no port 0; a free one is free until somebody is faster, which the check below notices.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut nghttpd = Command::new("nghttpd");
        nghttpd.args(["--no-tls", "--address=127.0.0.1", "--htdocs"]).arg(&folder).arg(port.to_string());
        let child = nghttpd.stdout(Stdio::null()).spawn().context("cannot start nghttpd")?;
        let mut server = Self { child, port };
        server.wait_until_it_listens()?;
        Ok(server)
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    fn wait_until_it_listens(&mut self) -> Result<()> {
        let until = Instant::now() + Duration::from_secs(10);
        loop {
            if let Some(status) = self.child.try_wait()? {
                bail!("nghttpd ended at once ({status})");
            }
            match TcpStream::connect(("127.0.0.1", self.port)) {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == ErrorKind::ConnectionRefused && Instant::now() < until => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                Err(error) => return Err(error).context("nghttpd does not listen"),
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait()) {
            say::complaint(&format!("nghttpd could not be ended: {error}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_and_the_successes_are_read() {
        let said = "starting benchmark...\n\nfinished in 1.54s, 129654.32 req/s, 8.26MB/s\n\
            requests: 200000 total, 200000 started, 200000 done, 199999 succeeded, 1 failed, 0 errored, 0 timeout\n";
        let finished = finished(said).unwrap();
        assert!((finished.requests_per_second - 129_654.32).abs() < 0.001);
        assert_eq!(finished.succeeded, 199_999);
        assert!(super::finished("nothing").is_none());
    }
}
