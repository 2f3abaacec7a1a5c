//! TLS connections through their lives: clients that are there before h2watch, that come while it runs, that load their TLS
//! library late, that become another program; that stall; and processes that make attaching hard.

mod clients;
mod hostile;
mod pickup;
mod running;
mod several;
mod stall;
