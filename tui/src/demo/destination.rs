//! Where the pool sends what: `LOAD@ADDRESS`, as an argument of the child process.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

/// What one connection of the pool carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// A request per interval, whatever became of the ones before: users do not wait for each other.
    Requests { every: Duration },
    /// One stream that is answered at once and then mostly quiet: a watch, a subscription. It must not be flagged.
    Events,
    /// One request, then an idle connection. It must not be flagged.
    Once,
}

/// One connection of the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Destination {
    pub load: Load,
    pub address: SocketAddr,
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.load {
            Load::Requests { every } => write!(f, "every-{}ms@{}", every.as_millis(), self.address),
            Load::Events => write!(f, "events@{}", self.address),
            Load::Once => write!(f, "once@{}", self.address),
        }
    }
}

impl FromStr for Destination {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wanted =
            || format!("{text:?} is not LOAD@ADDRESS:PORT with a LOAD of every-<N>ms, events or once");
        let (load, address) = text.split_once('@').ok_or_else(wanted)?;
        let load = match load {
            "events" => Load::Events,
            "once" => Load::Once,
            load => {
                let digits =
                    load.strip_prefix("every-").and_then(|l| l.strip_suffix("ms")).ok_or_else(wanted)?;
                let every = digits.parse().ok().filter(|&ms| ms > 0).ok_or_else(wanted)?;
                Load::Requests { every: Duration::from_millis(every) }
            }
        };
        Ok(Self { load, address: address.parse().map_err(|_| wanted())? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_reads_back() {
        for text in ["every-20ms@127.0.2.1:80", "events@127.0.2.2:8080", "once@[::1]:443"] {
            assert_eq!(text.parse::<Destination>().map(|d| d.to_string()), Ok(text.to_owned()));
        }
        for bad in ["127.0.0.1:80", "every-0ms@127.0.0.1:80", "every-20@127.0.0.1:80", "once@localhost:80"] {
            assert!(bad.parse::<Destination>().is_err(), "{bad:?}");
        }
    }
}
