//! The child process of the demo: the pool, and nothing else.
//!
//! Its standard input says when to begin (a line) and when to end (end of file, so it never outlives whoever started it,
//! however that one ended); its standard output is a line of counts every now and then and one at the end.

use super::counts::{Counts, Tally};
use super::destination::Destination;
use super::pool;
use anyhow::{Context, Result};
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader, Lines, Stdin};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Time between two reports.
const REPORT_EVERY: Duration = Duration::from_millis(200);
/// Name of the process, as tables show it.
const COMM: &std::ffi::CStr = c"demo-client";

/// Runs the pool of `h2watch demo-traffic DESTINATION...`. Must be called on the process's first thread, whose name is the
/// process's.
///
/// # Errors
/// No runtime, or the reader of the reports is gone.
pub fn run(destinations: &[Destination]) -> Result<()> {
    rustix::thread::set_name(COMM).context("cannot name the process")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(serve_orders(destinations));
    // A read of standard input may still be under way on tokio's blocking thread; it must not hold up the end.
    runtime.shutdown_background();
    outcome
}

async fn serve_orders(destinations: &[Destination]) -> Result<()> {
    let mut orders = BufReader::new(tokio::io::stdin()).lines();
    if orders.next_line().await?.is_none() {
        return Ok(());
    }
    let tally = Arc::new(Tally::default());
    let (stop, stopped) = watch::channel(false);
    let mut pool = JoinSet::new();
    for &destination in destinations {
        pool.spawn(pool::drive(destination, Arc::clone(&tally), stopped.clone()));
    }
    report_until_end(&mut orders, &tally).await?;
    stop.send_replace(true);
    while pool.join_next().await.is_some() {}
    report(tally.counts())
}

async fn report_until_end(orders: &mut Lines<BufReader<Stdin>>, tally: &Tally) -> Result<()> {
    let mut clock = tokio::time::interval(REPORT_EVERY);
    loop {
        tokio::select! {
            order = orders.next_line() => if order?.is_none() { return Ok(()) },
            _ = clock.tick() => report(tally.counts())?,
        }
    }
}

fn report(counts: Counts) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{counts}")?;
    Ok(out.flush()?)
}
