//! The exporter as a scraper, a person and an attacker meet it: fed with made-up snapshots, asked over real sockets.

mod alerting;
mod client;
mod deploy;
mod docs;
mod hostile;
mod page;
mod promtool;
mod scrape;
mod synthetic;
