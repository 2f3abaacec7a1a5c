//! What this test binary does when a test starts it as a process of its own: a server, or a client of the h2 crate.
//! `play` is no test; without a role it does nothing.

mod caller;
mod careless;
mod churn;
mod crowd;
pub(crate) mod drain;
mod mixed;
mod patient;
mod pooled;
mod quiet;
mod steady;

use std::net::TcpListener;

/// Environment variable with the role's name.
pub(crate) const ROLE: &str = "H2WATCH_TEST_ROLE";
/// Environment variable with the role's arguments, separated by spaces.
pub(crate) const ARGUMENTS: &str = "H2WATCH_TEST_ARGUMENTS";

#[test]
#[ignore = "a role that other tests start as a process"]
fn play() {
    let arguments = std::env::var(ARGUMENTS).unwrap_or_default();
    let arguments: Vec<&str> = arguments.split_whitespace().collect();
    match std::env::var(ROLE).unwrap_or_default().as_str() {
        "server" => server(arguments[0]),
        "caller" => caller::play(&arguments),
        "careless" => careless::play(&arguments),
        "drain" => drain::play(&arguments),
        "churn" => churn::play(&arguments),
        "crowd" => crowd::play(&arguments),
        "mixed" => mixed::play(&arguments),
        "patient" => patient::play(&arguments),
        "pooled" => pooled::play(&arguments),
        "quiet" => quiet::play(&arguments),
        "steady" => steady::play(&arguments),
        _ => {}
    }
}

/// Raises the limit of open files, where it is lower.
fn allow_descriptors(wanted: u64) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_some_and(|current| current < wanted) {
        let maximum = maximum.map(|maximum| maximum.max(wanted));
        setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum }).expect("root may");
    }
}

fn server(address: &str) {
    allow_descriptors(16_384);
    let listener = TcpListener::bind(address).expect("a free port");
    println!("\nSERVING {}", listener.local_addr().expect("a bound socket"));
    crate::support::servers::serve(listener);
}
