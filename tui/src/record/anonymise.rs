//! Pseudonyms for what names somebody: addresses, processes, cgroups, containers, server names.
//!
//! Stable within one recording: the same name is the same pseudonym everywhere in it. Kept: times, counters, ports, socket
//! cookies, process ids, loopback addresses, and of the names of well-known client programs what advice depends on.

use crate::model::sample::{Owner, Process, Reading, Sample, TlsFacts};
use crate::verdict::advice::Client;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Names remembered of each kind. Further ones share a pseudonym: less telling, and bounded.
const REMEMBERED: usize = 65_536;
/// Names of public tools, besides those that advice depends on.
const TOOLS: [&str; 5] = ["demo-client", "deno", "grpcurl", "h2load", "nghttp"];

/// Replaces names. One for each recording.
#[derive(Debug, Default)]
pub struct Anonymiser {
    addresses: Numbered<IpAddr>,
    names: Numbered<String>,
}

/// Gives each key a number, in order of appearance, from 1 on.
#[derive(Debug)]
struct Numbered<K>(HashMap<K, u32>);

impl<K> Default for Numbered<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: std::hash::Hash + Eq> Numbered<K> {
    fn number(&mut self, key: K) -> u32 {
        let next = self.0.len() as u32 + 1;
        if self.0.len() >= REMEMBERED {
            return self.0.get(&key).copied().unwrap_or(next);
        }
        *self.0.entry(key).or_insert(next)
    }
}

impl Anonymiser {
    /// The sample under pseudonyms.
    #[must_use]
    pub fn sample(&mut self, sample: &Sample) -> Sample {
        let readings = sample.readings.iter().map(|reading| self.reading(reading)).collect();
        let processes = sample.processes.iter().map(|process| self.process(process)).collect();
        Sample { readings, processes, ..*sample }
    }

    fn reading(&mut self, reading: &Reading) -> Reading {
        Reading {
            owner: self.owner(&reading.owner),
            local: self.socket_address(reading.local),
            remote: self.socket_address(reading.remote),
            tls: reading.tls.as_ref().map(|tls| self.tls(tls)),
            ..reading.clone()
        }
    }

    fn owner(&mut self, owner: &Owner) -> Owner {
        Owner {
            pid: owner.pid,
            comm: self.comm(&owner.comm),
            cgroup: self.name("/cgroup-", "", &owner.cgroup),
            // The form of a container id is kept: outputs shorten it.
            container: owner
                .container
                .as_ref()
                .map(|id| format!("{:064x}", self.names.number(format!("container {id}")))),
            pod_uid: owner.pod_uid.as_deref().map(|uid| self.name("pod-", "", uid)),
            unit: owner.unit.as_deref().map(|unit| self.name("unit-", ".service", unit)),
        }
    }

    fn process(&mut self, process: &Process) -> Process {
        // The reason is a sentence with paths in it.
        let reason = if process.reason.is_empty() { String::new() } else { "(anonymised)".to_owned() };
        Process { comm: self.comm(&process.comm), reason, ..process.clone() }
    }

    fn tls(&mut self, tls: &TlsFacts) -> TlsFacts {
        let mut evidence = tls.http2_evidence.clone();
        let server_name = tls.server_name.as_deref().map(|name| {
            let pseudonym = self.name("server-", ".example", name);
            if !name.is_empty() {
                evidence = evidence.replace(name, &pseudonym);
            }
            pseudonym
        });
        TlsFacts { server_name, http2_evidence: evidence, ..tls.clone() }
    }

    fn comm(&mut self, comm: &str) -> String {
        if TOOLS.contains(&comm) {
            return comm.to_owned();
        }
        match Client::by_name(comm) {
            // "python3.11" is nobody's own name.
            Some((_, told)) if comm[told.len()..].chars().all(|c| c.is_ascii_digit() || c == '.') => {
                comm.to_owned()
            }
            // The beginning decides the advice; what follows may name somebody.
            Some((_, told)) => self.name(&format!("{}-", told.trim_end_matches('-')), "", comm),
            None => self.name("process-", "", comm),
        }
    }

    fn name(&mut self, before: &str, after: &str, name: &str) -> String {
        if name.is_empty() {
            return String::new();
        }
        format!("{before}{}{after}", self.names.number(format!("{before}{name}")))
    }

    fn socket_address(&mut self, address: SocketAddr) -> SocketAddr {
        SocketAddr::new(self.address(address.ip()), address.port())
    }

    fn address(&mut self, address: IpAddr) -> IpAddr {
        if address.is_loopback() || address.is_unspecified() {
            return address;
        }
        let n = self.addresses.number(address);
        match address {
            IpAddr::V4(_) => documentation_v4(n),
            IpAddr::V6(_) => documentation_v6(n),
        }
    }
}

/// RFC 5737: three networks for documentation. Where they end, RFC 2544's benchmark network 198.18.0.0/15 goes on.
fn documentation_v4(n: u32) -> IpAddr {
    let host = ((n - 1) % 254 + 1) as u8;
    let address = match (n - 1) / 254 {
        0 => Ipv4Addr::new(192, 0, 2, host),
        1 => Ipv4Addr::new(198, 51, 100, host),
        2 => Ipv4Addr::new(203, 0, 113, host),
        _ => Ipv4Addr::from(u32::from(Ipv4Addr::new(198, 18, 0, 0)) + n % (1 << 17)),
    };
    address.into()
}

/// RFC 3849.
fn documentation_v6(n: u32) -> IpAddr {
    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, (n >> 16) as u16, n as u16).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::staged::Staged;
    use std::collections::HashSet;

    fn telling() -> Sample {
        let mut staged = Staged::records(1, 0);
        let r = &mut staged.reading;
        r.local = "10.1.2.3:40000".parse().unwrap();
        r.remote = "[fd00::17]:443".parse().unwrap();
        r.owner = Owner {
            pid: 42,
            comm: "secretd".into(),
            cgroup: "/secret.slice".into(),
            container: Some("5ec4e7".into()),
            pod_uid: Some("secret-pod".into()),
            unit: Some("secret.service".into()),
        };
        r.tls = Some(TlsFacts {
            server_name: Some("secret.corp".into()),
            http2_evidence: "secret.corp offers h2".into(),
            ..TlsFacts::default()
        });
        let mut sample = staged.sample();
        sample.processes = vec![Process {
            comm: "secretd".into(),
            reason: "/opt/secret/libssl.so".into(),
            ..Process::default()
        }];
        sample
    }

    #[test]
    fn nothing_telling_is_left_and_the_same_name_stays_the_same() {
        let mut anonymiser = Anonymiser::default();
        let hidden = anonymiser.sample(&telling());
        let text = format!("{hidden:?}");
        for told in ["secret", "5ec4e7", "10.1.2.3", "fd00::17"] {
            assert!(!text.contains(told), "{told} in {text}");
        }
        assert_eq!(anonymiser.sample(&telling()), hidden);
        assert_eq!(hidden.readings[0].owner.comm, hidden.processes[0].comm);
        assert_eq!(hidden.readings[0].remote.port(), 443);
        assert_eq!(hidden.readings[0].sent, telling().readings[0].sent);
    }

    #[test]
    fn loopback_and_well_known_programs_stay() {
        let mut sample = telling();
        sample.readings[0].remote = "127.0.2.1:80".parse().unwrap();
        sample.readings[0].owner.comm = "node".into();
        let hidden = Anonymiser::default().sample(&sample);
        assert_eq!(hidden.readings[0].remote, sample.readings[0].remote);
        assert_eq!(hidden.readings[0].owner.comm, "node");
    }

    /// A replay must give the advice that the live run gave.
    #[test]
    fn what_advice_depends_on_is_kept_and_no_more() {
        let mut anonymiser = Anonymiser::default();
        for comm in ["nodejs", "MainThread", "kubelet", "containerd", "dockerd", "prometheus", "etcd", "java"]
        {
            assert_eq!(anonymiser.comm(comm), comm);
        }
        for comm in ["python", "python3", "python3.11", "gunicorn", "uvicorn"] {
            assert_eq!(anonymiser.comm(comm), comm);
        }
        for (comm, hidden) in [
            ("gunicorn: secre", "gunicorn-1"),
            ("grpc-secret", "grpc-2"),
            ("tokio-secret-w", "tokio-3"),
            ("grpc-secret", "grpc-2"),
            ("secretd", "process-4"),
        ] {
            assert_eq!(anonymiser.comm(comm), hidden);
            let client = |comm| Client::by_name(comm).map(|(client, _)| client);
            assert_eq!(client(hidden), client(comm), "{comm}");
        }
    }

    #[test]
    fn different_addresses_stay_different() {
        let mut anonymiser = Anonymiser::default();
        let pseudonyms: HashSet<IpAddr> =
            (0..5000).map(|n| anonymiser.address(Ipv4Addr::from(0x0a00_0000 + n).into())).collect();
        assert_eq!(pseudonyms.len(), 5000);
        // Bounded, whatever comes.
        (0..100_000).for_each(|n| {
            let _ = anonymiser.address(Ipv4Addr::from(0x0b00_0000 + n).into());
        });
        assert_eq!(anonymiser.addresses.0.len(), REMEMBERED);
    }
}
