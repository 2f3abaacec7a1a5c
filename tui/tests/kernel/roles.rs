//! What this test binary does when a test starts it as a process of its own: a server, or a client of the h2 crate.
//! `play` is no test; without a role it does nothing.

mod churn;
mod mixed;
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
        "server" => server(),
        "churn" => churn::play(&arguments),
        "mixed" => mixed::play(&arguments),
        "quiet" => quiet::play(&arguments),
        "steady" => steady::play(&arguments),
        "exit" => std::process::exit(arguments[0].parse().expect("an exit status")),
        _ => {}
    }
}

fn server() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    println!("\nSERVING {}", listener.local_addr().expect("a bound socket"));
    crate::support::servers::serve(listener);
}
