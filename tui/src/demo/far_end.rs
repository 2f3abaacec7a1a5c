//! The servers and the links before them, on a thread of their own: drawing the dashboard must not slow a server down.

use super::{link, server};
use anyhow::{Context, Result};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::mpsc::Sender;
use tokio::sync::{oneshot, watch};

/// Runs until it is dropped.
#[derive(Debug)]
pub(super) struct FarEnd {
    /// Where clients connect to, one for each server.
    pub(super) addresses: Vec<SocketAddr>,
    /// One plug for each address.
    plugs: Vec<watch::Sender<bool>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// One server and its link.
type Route = (TcpListener, TcpListener, watch::Receiver<bool>);

impl FarEnd {
    /// Starts `count` servers, each behind its own link.
    pub(super) fn start(count: u8) -> Result<Self> {
        let mut routes: Vec<Route> = Vec::new();
        let (mut addresses, mut plugs) = (Vec::new(), Vec::new());
        for n in 1..=count {
            // A host address for each, so that a table of destinations looks like one.
            let (server, link) = (bind(Ipv4Addr::new(127, 0, 3, n))?, bind(Ipv4Addr::new(127, 0, 2, n))?);
            let (plug, plugged) = watch::channel(true);
            addresses.push(link.local_addr()?);
            plugs.push(plug);
            routes.push((server, link, plugged));
        }
        let (stop, stopped) = oneshot::channel();
        let (report, started) = std::sync::mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("demo-far-end".into())
            .spawn(move || serve_until(routes, stopped, &report))?;
        let far_end = Self { addresses, plugs, stop: Some(stop), thread: Some(thread) };
        started
            .recv()
            .context("the demo's server thread ended at once")?
            .context("cannot start the demo's servers")?;
        Ok(far_end)
    }

    /// Plugs the link at `index` in, or unplugs it.
    pub(super) fn set_plugged(&self, index: usize, plugged: bool) {
        if let Some(plug) = self.plugs.get(index) {
            plug.send_replace(plugged);
        }
    }

    /// Whether the link at `index` copies.
    pub(super) fn is_plugged(&self, index: usize) -> bool {
        self.plugs.get(index).is_some_and(|plug| *plug.borrow())
    }
}

impl Drop for FarEnd {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn bind(address: Ipv4Addr) -> Result<TcpListener> {
    let listener = TcpListener::bind((address, 0)).with_context(|| {
        format!("cannot listen on {address}: the demo needs the loopback interface to be up")
    })?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Body of the thread. Reports whether the routes could be started, then serves until `stopped` is dropped.
fn serve_until(routes: Vec<Route>, stopped: oneshot::Receiver<()>, report: &Sender<io::Result<()>>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = runtime.map(|runtime| {
        runtime.block_on(async move {
            let started = routes.into_iter().try_for_each(start_route);
            let serving = started.is_ok();
            let _ = report.send(started);
            if serving {
                let _ = stopped.await;
            }
        });
        // Dropping the runtime drops every task and so every socket.
    });
    if let Err(error) = outcome {
        let _ = report.send(Err(error));
    }
}

fn start_route((server, link, plugged): Route) -> io::Result<()> {
    let address = server.local_addr()?;
    tokio::spawn(server::serve(tokio::net::TcpListener::from_std(server)?));
    tokio::spawn(link::run(tokio::net::TcpListener::from_std(link)?, address, plugged));
    Ok(())
}
