//! What would fix it in this client. The client is guessed from its TLS library and its process name, and said to be guessed.

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
    Other,
}

impl Client {
    /// Every client, in the order of the documentation.
    pub const ALL: [Client; 9] = [
        Client::Go,
        Client::Grpc,
        Client::Java,
        Client::Node,
        Client::Python,
        Client::Curl,
        Client::DotNet,
        Client::Envoy,
        Client::Other,
    ];

    /// Its name, and what it was guessed from.
    #[must_use]
    pub fn guess(reading: &Reading) -> Client {
        if reading.library == Some(Library::Go) {
            return Client::Go;
        }
        let comm = reading.owner.comm.as_str();
        match comm {
            "java" => Client::Java,
            "node" | "nodejs" | "MainThread" => Client::Node,
            "curl" => Client::Curl,
            "dotnet" => Client::DotNet,
            "envoy" => Client::Envoy,
            _ if comm.starts_with("python")
                || comm.starts_with("uvicorn")
                || comm.starts_with("gunicorn") =>
            {
                Client::Python
            }
            _ if comm.starts_with("grpc") => Client::Grpc,
            "kubelet" | "containerd" | "dockerd" | "prometheus" | "etcd" => Client::Go,
            _ => Client::Other,
        }
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

/// The advice for a stall.
#[must_use]
pub fn sentence(cause: Cause, reading: &Reading) -> String {
    if let Some(text) = for_cause(cause) {
        return text.to_owned();
    }
    match Client::guess(reading) {
        Client::Other => Client::Other.keepalive().to_owned(),
        client => {
            let by = if reading.library == Some(Library::Go) { "TLS library" } else { "name" };
            format!("{} (guessed from its {by}): {}", client.name(), client.keepalive())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::staged::Staged;

    #[test]
    fn a_guess_is_said_to_be_one() {
        let mut reading = Staged::h2c(1, 0).reading;
        reading.owner.comm = "node".to_owned();
        let text = sentence(Cause::SilentPeer, &reading);
        assert!(text.starts_with("Node (guessed from its name): "), "{text}");
        reading.library = Some(Library::Go);
        assert!(
            sentence(Cause::SilentPeer, &reading)
                .starts_with("Go (guessed from its TLS library): set ReadIdle")
        );
        reading.library = None;
        reading.owner.comm = "frobnicator".to_owned();
        assert!(sentence(Cause::BlackHole, &reading).starts_with("Turn on its HTTP/2 PING keepalive"));
    }

    #[test]
    fn a_cause_that_pings_do_not_cure_says_so() {
        let reading = Staged::h2c(1, 0).reading;
        assert!(sentence(Cause::HungServer, &reading).contains("does not help"));
    }
}
