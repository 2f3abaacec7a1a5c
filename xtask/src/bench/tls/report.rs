//! From measurements to the section `tls` of `docs/overhead.md`.

use std::fmt::Write as _;

use super::super::report::{Measured, columns, median};
use super::Depth;
use super::clients::Client;
use super::hit::Place;

#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) clients: Vec<(Client, Depth, Measured)>,
    /// Nanoseconds of one call.
    pub(super) calls: Vec<(Place, f64)>,
}

impl Figures {
    fn of(&self, client: Client, depth: Depth) -> Vec<Measured> {
        let of = self.clients.iter().filter(|(c, d, _)| *c == client && *d == depth);
        of.map(|(_, _, measured)| *measured).collect()
    }

    fn call_ns(&self, place: Place) -> f64 {
        median(self.calls.iter().filter(|(of, _)| *of == place).map(|(_, ns)| *ns).collect())
    }
}

pub(super) fn text(figures: &Figures, rounds: usize) -> String {
    let mut text = format!(
        "## TLS\n\n\
         `cargo xtask bench --tls --rounds {rounds}`: clients with 4 connections of 16 streams each against a Go server, 1 KiB \
         answers, TLS 1.3 on loopback, each client in a cgroup of its own that h2watch watches at each depth of `--tls`. \
         Medians of {rounds} rounds; a ratio is the median of the ratios within a round. In each round every depth runs once, in an order \
         that changes from round to round. CPU is the time that the whole \
         machine worked (server and h2watch included).\n\n\
         | client | depth | requests/s | ratio | CPU s | ratio |\n|---|---|---:|---:|---:|---:|\n"
    );
    for client in Client::ALL {
        for depth in Depth::ALL {
            let columns = columns(&figures.of(client, depth), &figures.of(client, Depth::Unwatched));
            _ = writeln!(text, "| {} | {} | {columns} |", client.name(), depth.name());
        }
    }
    text += "\n### A call of a probed function\n\n\
         Python's ssl module writes 100 bytes to itself in memory and reads them: `SSL_write_ex` and `SSL_read_ex`, each with \
         a probe at its entry and one at its return (frames). Nothing leaves the process, and the bytes are no HTTP/2, so this \
         is the probe without the walk.\n\n\
         | probes | ns per call | more than without |\n|---|---:|---:|\n";
    for place in Place::ALL {
        let ns = figures.call_ns(place);
        _ = writeln!(text, "| {} | {ns:.0} | {:.0} |", place.name(), ns - figures.call_ns(Place::None));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_against_unwatched_and_calls_against_no_probe() {
        let measured = |requests_per_second, cpu_seconds| Measured { requests_per_second, cpu_seconds };
        let figures = Figures {
            clients: vec![
                (Client::Go, Depth::Unwatched, measured(1000.0, 2.0)),
                (Client::Go, Depth::Frames, measured(900.0, 2.2)),
            ],
            calls: vec![(Place::None, 500.0), (Place::Chosen, 1500.0)],
        };
        let text = text(&figures, 1);
        assert!(text.contains("| Go 1.27 | frames | 900 | 0.900 | 2.20 | 1.100 |"), "{text}");
        assert!(text.contains("| where h2watch probes | 1500 | 1000 |"), "{text}");
    }
}
