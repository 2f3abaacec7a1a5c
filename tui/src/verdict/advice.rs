//! What would fix it in this client. The client is guessed from its program, its TLS library and its process name, and said to
//! be guessed.

use super::Cause;
use crate::model::sample::{Library, Reading};

/// A client implementation, with its own keepalive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    Go,
    Java,
    Node,
    Python,
    Curl,
    DotNet,
    Envoy,
    Grpc,
    Hyper,
    Other,
}

/// How a process name tells a client.
#[derive(Clone, Copy, Debug)]
enum Name {
    Whole(&'static str),
    Beginning(&'static str),
}

/// Process names that tell a client. Recordings under pseudonyms keep them, because advice depends on them.
const NAMES: [(Name, Client); 18] = [
    (Name::Whole("java"), Client::Java),
    (Name::Whole("node"), Client::Node),
    (Name::Whole("nodejs"), Client::Node),
    (Name::Whole("MainThread"), Client::Node),
    (Name::Whole("curl"), Client::Curl),
    (Name::Whole("dotnet"), Client::DotNet),
    (Name::Whole("envoy"), Client::Envoy),
    (Name::Beginning("python"), Client::Python),
    (Name::Beginning("uvicorn"), Client::Python),
    (Name::Beginning("gunicorn"), Client::Python),
    (Name::Beginning("grpc"), Client::Grpc),
    (Name::Whole("kubelet"), Client::Go),
    (Name::Whole("containerd"), Client::Go),
    (Name::Whole("dockerd"), Client::Go),
    (Name::Whole("prometheus"), Client::Go),
    (Name::Whole("etcd"), Client::Go),
    // Threads of the runtime: the name of a process that ended before it was looked at.
    (Name::Beginning("tokio-"), Client::Hyper),
    (Name::Beginning("hyper-"), Client::Hyper),
];

impl Client {
    /// Every client, in the order of the documentation.
    pub const ALL: [Client; 10] = [
        Client::Go,
        Client::Grpc,
        Client::Hyper,
        Client::Java,
        Client::Node,
        Client::Python,
        Client::Curl,
        Client::DotNet,
        Client::Envoy,
        Client::Other,
    ];

    /// The client, and what it was guessed from. `program`: the TLS library found in its process, whatever the connection uses;
    /// Go's is in every Go program that speaks HTTP.
    #[must_use]
    pub fn guess(reading: &Reading, program: Option<Library>) -> (Client, &'static str) {
        if reading.library == Some(Library::Go) {
            return (Client::Go, "TLS library");
        }
        if program == Some(Library::Go) {
            return (Client::Go, "program");
        }
        let by_name = Self::by_name(&reading.owner.comm);
        (by_name.map_or(Client::Other, |(client, _)| client), "name")
    }

    /// The client that a process name tells, and the part of the name that tells it.
    #[must_use]
    pub fn by_name(comm: &str) -> Option<(Client, &'static str)> {
        NAMES.iter().find_map(|&(name, client)| match name {
            Name::Whole(whole) => (comm == whole).then_some((client, whole)),
            Name::Beginning(beginning) => comm.starts_with(beginning).then_some((client, beginning)),
        })
    }

    /// The heading of its advice.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Client::Go => "Go",
            Client::Java => "Java",
            Client::Node => "Node",
            Client::Python => "Python",
            Client::Curl => "curl",
            Client::DotNet => ".NET",
            Client::Envoy => "Envoy",
            Client::Grpc => "gRPC",
            Client::Hyper => "hyper",
            Client::Other => "other clients",
        }
    }

    /// What makes it notice a connection on which nothing comes.
    #[must_use]
    pub fn keepalive(self) -> &'static str {
        match self {
            Client::Go => {
                "set ReadIdleTimeout (say 15s) and PingTimeout on http2.Transport, or SendPingTimeout in \
                 http.HTTP2Config (Go 1.24); with gRPC, keepalive.ClientParameters"
            }
            Client::Java => "OkHttp: pingInterval; gRPC: keepAliveTime and keepAliveWithoutCalls",
            Client::Node => {
                "call session.ping() on a timer and session.destroy() when no answer comes; grpc-js: \
                 grpc.keepalive_time_ms"
            }
            Client::Python => {
                "httpx and h2 send no PINGs by themselves: close the client after timeouts; grpcio: \
                 grpc.keepalive_time_ms and grpc.keepalive_timeout_ms"
            }
            Client::Curl => {
                "the tool: --max-time, or --speed-limit with --speed-time; libcurl: curl_easy_upkeep with \
                 CURLOPT_UPKEEP_INTERVAL_MS sends PINGs"
            }
            Client::DotNet => "set KeepAlivePingDelay and KeepAlivePingTimeout on SocketsHttpHandler",
            Client::Envoy => "set connection_keepalive (interval, timeout) in http2_protocol_options",
            Client::Grpc => {
                "set grpc.keepalive_time_ms and grpc.keepalive_timeout_ms (off by default in clients)"
            }
            Client::Hyper => {
                "set http2_keep_alive_interval and http2_keep_alive_timeout on the client (reqwest and tonic have them too), and \
                 http2_keep_alive_while_idle"
            }
            Client::Other => {
                "Turn on its HTTP/2 PING keepalive: Go ReadIdleTimeout, gRPC keepalive, OkHttp pingInterval, hyper \
                 http2_keep_alive_interval, .NET KeepAlivePingDelay"
            }
        }
    }
}

/// What would fix a cause, whatever the client is; `None` where the client's keepalive is the answer.
#[must_use]
pub fn for_cause(cause: Cause) -> Option<&'static str> {
    match cause {
        Cause::BlackHole | Cause::SilentPeer | Cause::Unknown => None,
        Cause::HungServer => Some(
            "PING keepalive does not help here, the peer answers PINGs: let the client close the connection after a few \
             timeouts in a row, and look at the server or proxy behind it",
        ),
        Cause::PeerWindowClosed => Some(
            "Look at the peer: it does not read; in the client, a write timeout that closes the connection is the way \
             out, because the kernel goes on probing for as long as the peer acknowledges",
        ),
        Cause::FlowControl => Some(
            "Look at the server: it reads no request bodies or grants no window; in the client, a timeout on writing the \
             body frees the caller",
        ),
        Cause::GoawayIgnored => Some(
            "Upgrade or fix the client: after GOAWAY it must open its streams on another connection (RFC 9113, section \
             6.8)",
        ),
        Cause::ReaderBlocked => Some(
            "Look at this process: what reads the connection is blocked, often by one response body that nobody reads or \
             by a full queue",
        ),
    }
}

/// The advice for a stall; `program` as for `Client::guess`.
#[must_use]
pub fn sentence(cause: Cause, reading: &Reading, program: Option<Library>) -> String {
    if let Some(text) = for_cause(cause) {
        return text.to_owned();
    }
    match Client::guess(reading, program) {
        (Client::Other, _) => Client::Other.keepalive().to_owned(),
        (client, by) => format!("{} (guessed from its {by}): {}", client.name(), client.keepalive()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::staged::Staged;

    #[test]
    fn a_guess_is_said_to_be_one() {
        let mut reading = Staged::h2c(1, 0).reading;
        let begins = |reading: &Reading, program, beginning: &str| {
            let text = sentence(Cause::SilentPeer, reading, program);
            assert!(text.starts_with(beginning), "{text}");
        };
        reading.owner.comm = "node".to_owned();
        begins(&reading, None, "Node (guessed from its name): ");
        begins(&reading, Some(Library::OpenSsl), "Node (guessed from its name): ");
        reading.library = Some(Library::Go);
        begins(&reading, None, "Go (guessed from its TLS library): set ReadIdle");
        reading.library = None;
        reading.owner.comm = "frobnicator".to_owned();
        begins(&reading, None, "Turn on its HTTP/2 PING keepalive");
        // Without TLS on this connection: what is known of its process tells all the same.
        begins(&reading, Some(Library::Go), "Go (guessed from its program): set ReadIdle");
        reading.owner.comm = "tokio-runtime-w".to_owned();
        begins(&reading, None, "hyper (guessed from its name): set http2_keep_alive_interval");
    }

    #[test]
    fn a_cause_that_pings_do_not_cure_says_so() {
        let reading = Staged::h2c(1, 0).reading;
        assert!(sentence(Cause::HungServer, &reading, None).contains("does not help"));
    }
}
