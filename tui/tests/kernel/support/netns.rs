//! Network namespaces of a test's own: a client's and a server's, with a cable between them that can lose segments.

use super::tools::{self, run};
use std::fs::File;
use std::net::IpAddr;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// Two namespaces and the veth pair between them; removed at the end.
#[derive(Debug)]
pub(crate) struct Cable {
    pub(crate) client: Namespace,
    pub(crate) server: Namespace,
}

/// A named network namespace.
#[derive(Debug)]
pub(crate) struct Namespace {
    name: String,
    pub(crate) v4: IpAddr,
    pub(crate) v6: IpAddr,
}

impl Cable {
    pub(crate) fn new() -> Self {
        let (client, server) = Namespace::pair();
        run(
            "ip",
            &[
                "-n",
                &client.name,
                "link",
                "add",
                "eth0",
                "type",
                "veth",
                "peer",
                "eth0",
                "netns",
                &server.name,
            ],
        );
        for end in [&client, &server] {
            end.plug_in("eth0");
        }
        Self { client, server }
    }

    /// From now on, on connections that are not open yet, each segment travels by itself, as on every real network. A veth pair hands
    /// over what was written at once in one piece, which begins and ends with a frame: its loss cuts no frame in two.
    pub(crate) fn one_segment_at_a_time(&self) {
        for end in [&self.client, &self.server] {
            run("ip", &["-n", &end.name, "link", "set", "dev", "eth0", "gso_max_segs", "1"]);
        }
    }

    /// Loses `percent` of what reaches either end. What the client's end hands out has passed the client's hooks by then, and
    /// what it does not get never reaches them: as on a lossy path. Not where a segment leaves: there the sender is told, and
    /// sends it again before anything else.
    pub(crate) fn lose(&self, percent: u32) {
        let rules = format!(
            "table inet lossy {{
               chain arriving {{ type filter hook input priority 0; meta l4proto tcp numgen random mod 100 < {percent} drop; }}
             }}"
        );
        self.server.nft(&rules);
        self.client.nft(&rules);
    }

    /// From now on nothing is lost.
    pub(crate) fn lose_nothing(&self) {
        self.server.nft("delete table inet lossy");
        self.client.nft("delete table inet lossy");
    }
}

impl Namespace {
    /// A client's and a server's, with nothing between them.
    pub(super) fn pair() -> (Self, Self) {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        tools::require_root();
        let id = format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        (Self::new(format!("h2w-client-{id}"), 1), Self::new(format!("h2w-server-{id}"), 2))
    }

    pub(crate) fn new(name: String, host: u8) -> Self {
        run("ip", &["netns", "add", &name]);
        run("ip", &["-n", &name, "link", "set", "lo", "up"]);
        let v4 = IpAddr::from([10, 97, 0, host]);
        let v6 = IpAddr::from([0xfd97, 0, 0, 0, 0, 0, 0, u16::from(host)]);
        Self { name, v4, v6 }
    }

    /// Gives the device its addresses.
    pub(super) fn plug_in(&self, device: &str) {
        let on = |args: &[&str]| run("ip", &[&["-n", &self.name], args].concat());
        on(&["address", "add", &format!("{}/24", self.v4), "dev", device]);
        on(&["address", "add", &format!("{}/64", self.v6), "dev", device, "nodad"]);
        on(&["link", "set", device, "up"]);
    }

    /// Loads nft rules into this namespace.
    pub(crate) fn nft(&self, rules: &str) {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), rules).expect("a temporary file");
        let rules = file.path().to_str().expect("an ASCII path");
        run("ip", &["netns", "exec", &self.name, "nft", "-f", rules]);
    }

    /// Runs `work` on a thread inside this namespace. Sockets that it makes stay in the namespace.
    pub(crate) fn inside<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let namespace = self.file();
        let thread = std::thread::spawn(move || {
            let kind = rustix::thread::LinkNameSpaceType::Network;
            rustix::thread::move_into_link_name_space(std::os::fd::AsFd::as_fd(&namespace), Some(kind))
                .expect("entering a network namespace needs root");
            work()
        });
        thread.join().expect("the work in the namespace succeeds")
    }

    /// Words before a command that make it run inside this namespace.
    pub(crate) fn enter(&self) -> Vec<String> {
        vec!["nsenter".into(), format!("--net=/run/netns/{}", self.name), "--".into()]
    }

    /// Makes `command` start inside this namespace.
    pub(crate) fn start_inside(&self, command: &mut Command) {
        use std::os::unix::process::CommandExt;
        let namespace = self.file();
        // SAFETY: between fork and exec only this one system call is made.
        unsafe {
            command.pre_exec(move || {
                let kind = rustix::thread::LinkNameSpaceType::Network;
                rustix::thread::move_into_link_name_space(std::os::fd::AsFd::as_fd(&namespace), Some(kind))?;
                Ok(())
            });
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    fn file(&self) -> File {
        File::open(format!("/run/netns/{}", self.name)).expect("the namespace exists")
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new(tools::program("ip")).args(["netns", "delete", &self.name]).status();
    }
}
