//! Which answer a request gets. No sockets here.

use super::format::Format;
use super::{Exporter, page};
use crate::model::snapshot::Snapshot;
use bytes::Bytes;
use http::header::{ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use http_body_util::Full;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Writes `/connections`: the JSON of `json`, which this module does not name.
pub type WriteConnections = dyn Fn(&Snapshot) -> String + Send + Sync;

/// The probe loop counts as stuck when it gave nothing for this long: 40 intervals of 250 ms.
pub const STALE_AFTER: Duration = Duration::from_secs(10);

/// All connections as JSON can be many megabytes: one copy serves everyone who asks within this time.
const SHARE_FOR: Duration = Duration::from_secs(1);

/// Same-origin only, no script at all: the page needs neither.
const CONTENT_SECURITY_POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'";

/// What answers requests.
pub(super) struct Router {
    exporter: Exporter,
    write_connections: Box<WriteConnections>,
    connections: Shared<()>,
    metrics: Shared<Format>,
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Router").finish_non_exhaustive()
    }
}

impl Router {
    pub(super) fn new(exporter: Exporter, write_connections: Box<WriteConnections>) -> Self {
        Self { exporter, write_connections, connections: Shared::default(), metrics: Shared::default() }
    }

    pub(super) fn exporter(&self) -> &Exporter {
        &self.exporter
    }

    pub(super) fn answer(&self, method: &Method, path: &str, headers: &HeaderMap) -> Response<Full<Bytes>> {
        // A closed set: the path of a stranger must not become a label value.
        let (route, response) = match path {
            _ if method != Method::GET && method != Method::HEAD => ("other", not_allowed()),
            "/metrics" => ("/metrics", self.metrics(headers)),
            "/healthz" => ("/healthz", self.healthz()),
            "/connections" => ("/connections", self.connections()),
            "/" => ("/", self.page()),
            _ => (
                "other",
                text(StatusCode::NOT_FOUND, "not found: try /, /metrics, /connections or /healthz\n"),
            ),
        };
        self.exporter.count_request(route, response.status().as_str());
        response
    }

    fn metrics(&self, headers: &HeaderMap) -> Response<Full<Bytes>> {
        let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
        let format = Format::negotiate(accept);
        // A thousand scrapers at once cost one rendering and one buffer.
        let body = self.metrics.get(format, Duration::from_millis(50), || self.exporter.render(format));
        answer(StatusCode::OK, format.content_type(), body)
    }

    fn healthz(&self) -> Response<Full<Bytes>> {
        match self.stale() {
            None => text(StatusCode::OK, "ok\n"),
            Some(words) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{words}\n")),
        }
    }

    fn connections(&self) -> Response<Full<Bytes>> {
        let body = self.connections.get((), SHARE_FOR, || match self.exporter.snapshot() {
            Some(snapshot) => (self.write_connections)(&snapshot).into(),
            None => (self.write_connections)(&Snapshot::default()).into(),
        });
        answer(StatusCode::OK, "application/json", body)
    }

    fn page(&self) -> Response<Full<Bytes>> {
        let html = page::render(self.exporter.snapshot().as_deref(), self.stale().as_deref());
        let mut response = answer(StatusCode::OK, "text/html; charset=utf-8", html.into());
        let policy = HeaderValue::from_static(CONTENT_SECURITY_POLICY);
        response.headers_mut().insert("content-security-policy", policy);
        response
    }

    /// In words, why what is shown is not the present; `None` when it is.
    fn stale(&self) -> Option<String> {
        match self.exporter.age() {
            None => Some("the probe has not been read yet".to_owned()),
            Some(age) if age > STALE_AFTER => {
                Some(format!("the probe was last read {} s ago", age.as_secs()))
            }
            Some(_) => None,
        }
    }
}

fn not_allowed() -> Response<Full<Bytes>> {
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    response
}

fn text(status: StatusCode, words: impl Into<Bytes>) -> Response<Full<Bytes>> {
    answer(status, "text/plain; charset=utf-8", words.into())
}

fn answer(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    response
}

/// The last body of each kind, for everyone who asks soon enough.
#[derive(Debug)]
struct Shared<K>(Mutex<Vec<(K, Instant, Bytes)>>);

impl<K> Default for Shared<K> {
    fn default() -> Self {
        Self(Mutex::new(Vec::new()))
    }
}

impl<K: PartialEq> Shared<K> {
    fn get(&self, kind: K, keep: Duration, make: impl FnOnce() -> Bytes) -> Bytes {
        let mut bodies = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        bodies.retain(|(_, at, _)| at.elapsed() < keep);
        if let Some((_, _, body)) = bodies.iter().find(|(k, _, _)| *k == kind) {
            return body.clone();
        }
        let body = make();
        bodies.push((kind, Instant::now(), body.clone()));
        body
    }
}
