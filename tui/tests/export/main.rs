//! The exporter as a scraper, a person and an attacker meet it: fed with made-up snapshots, asked over real sockets.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on must end, also in the functions it shares"
)]

mod browser;
mod client;
mod dashboard;
mod deploy;
mod docs;
mod families;
mod hostile;
mod limits;
mod manifest;
mod page;
mod promtool;
mod scrape;
mod synthetic;
