//! The exporter as a scraper, a person and an attacker meet it: fed with made-up snapshots, asked over real sockets.

mod client;
mod hostile;
mod scrape;
mod synthetic;
