//! The HTTP side in a thread of its own, without any capability: a hole in it cannot attach, trace or reset anything by
//! itself. Its runtime is its own too, so that no crowd of scrapers delays the probe loop.

use super::route::WriteConnections;
use super::{Exporter, HttpLimits, serve};
use crate::privileges;
use anyhow::{Context, Result};
use caps::CapsHashSet;
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc;
use std::thread::JoinHandle;
use tokio::sync::oneshot;

/// The running HTTP side. Dropping it ends the server and waits for it.
#[derive(Debug)]
pub struct HttpThread {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl HttpThread {
    /// Binds, gives up every right in a new thread, and serves from there.
    ///
    /// # Errors
    /// When the address cannot be bound, or rights cannot be given up: then nothing is served.
    pub fn start(
        address: SocketAddr,
        exporter: Exporter,
        write_connections: Box<WriteConnections>,
        limits: HttpLimits,
    ) -> Result<Self> {
        let listener = TcpListener::bind(address).with_context(|| {
            format!("--listen {address}: cannot bind: is another h2watch running, or the port taken?")
        })?;
        listener.set_nonblocking(true).context("cannot make the listener non-blocking")?;
        let address = listener.local_addr().context("cannot read the address of the listener")?;
        let (stop, stopped) = oneshot::channel();
        let (ready, started) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("h2watch-http".to_owned())
            .spawn(move || match prepare(listener) {
                Ok((runtime, listener)) => {
                    let _ = ready.send(Ok(()));
                    let stopped = async {
                        let _ = stopped.await;
                    };
                    runtime.block_on(serve(listener, exporter, write_connections, limits, stopped));
                }
                Err(error) => {
                    let _ = ready.send(Err(error));
                }
            })
            .context("cannot start the thread of the HTTP side")?;
        started.recv().context("the thread of the HTTP side ended at once")??;
        Ok(Self { address, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens: the real port when 0 was asked for.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for HttpThread {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn prepare(listener: TcpListener) -> Result<(tokio::runtime::Runtime, tokio::net::TcpListener)> {
    privileges::drop_all_but(&CapsHashSet::new()).context("the HTTP side could not give up its rights")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime of the HTTP side")?;
    let listener = {
        let _inside = runtime.enter();
        tokio::net::TcpListener::from_std(listener).context("cannot use the listener")?
    };
    Ok((runtime, listener))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::LabelLimits;
    use std::io::{Read, Write};
    use std::net::TcpStream;

    #[test]
    fn the_http_thread_holds_nothing_and_ends_when_dropped() {
        let exporter = Exporter::new(LabelLimits::default());
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let limits = HttpLimits::default();
        let http = HttpThread::start(any, exporter, Box::new(|_| String::new()), limits).unwrap();
        let mut stream = TcpStream::connect(http.address()).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"));

        let mut permitted = Vec::new();
        for task in std::fs::read_dir("/proc/self/task").unwrap().flatten() {
            let status = std::fs::read_to_string(task.path().join("status")).unwrap_or_default();
            if status.starts_with("Name:\th2watch-http\n") {
                permitted
                    .extend(status.lines().filter_map(|l| l.strip_prefix("CapPrm:\t").map(str::to_owned)));
            }
        }
        assert_eq!(permitted, ["0000000000000000"]);
        let address = http.address();
        drop(http);
        assert!(TcpStream::connect(address).is_err());
    }
}
