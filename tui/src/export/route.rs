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

/// A thousand scrapers at once cost one rendering and one buffer.
const SHARE_METRICS_FOR: Duration = Duration::from_millis(50);

/// Bodies of one kind that slow readers may hold at the same time. `/connections` can be many megabytes.
const MAX_COPIES: usize = 4;

/// Same-origin only, no script at all: the page needs neither.
const CONTENT_SECURITY_POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'";

/// What answers requests.
pub(super) struct Router {
    exporter: Exporter,
    write_connections: Box<WriteConnections>,
    connections: Shared<()>,
    share_connections_for: Duration,
    metrics: Shared<Format>,
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Router").finish_non_exhaustive()
    }
}

impl Router {
    pub(super) fn new(
        exporter: Exporter,
        write_connections: Box<WriteConnections>,
        share_connections_for: Duration,
    ) -> Self {
        let (connections, metrics) = (Shared::default(), Shared::default());
        Self { exporter, write_connections, connections, share_connections_for, metrics }
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
        let body = self.metrics.get(format, SHARE_METRICS_FOR, || self.exporter.render(format));
        answer(StatusCode::OK, format.content_type(), body)
    }

    fn healthz(&self) -> Response<Full<Bytes>> {
        match self.stale() {
            None => text(StatusCode::OK, "ok\n"),
            Some(words) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{words}\n")),
        }
    }

    fn connections(&self) -> Response<Full<Bytes>> {
        let body = self.connections.get((), self.share_connections_for, || match self.exporter.snapshot() {
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

/// The bodies that are given out: the newest of its kind to everyone who asks soon enough, then a new one. As long as clients
/// still read `MAX_COPIES` of them there is no new one, and the newest serves for longer. So readers who take their time hold a
/// number of copies that does not depend on their own, and `write_timeout` says for how long at most.
#[derive(Debug)]
struct Shared<K>(Mutex<Vec<Body<K>>>);

#[derive(Debug)]
struct Body<K> {
    kind: K,
    made: Instant,
    bytes: Bytes,
}

impl<K> Default for Shared<K> {
    fn default() -> Self {
        Self(Mutex::new(Vec::new()))
    }
}

impl<K: PartialEq> Shared<K> {
    fn get(&self, kind: K, keep: Duration, make: impl FnOnce() -> Bytes) -> Bytes {
        let mut bodies = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        bodies.retain(|body| body.made.elapsed() < keep || !body.bytes.is_unique());
        // In the order in which they were made.
        let mut newest_first = bodies.iter().rev().filter(|body| body.kind == kind);
        if let Some(newest) = newest_first.next()
            && (newest.made.elapsed() < keep || newest_first.count() + 1 >= MAX_COPIES)
        {
            return newest.bytes.clone();
        }
        let bytes = make();
        bodies.push(Body { kind, made: Instant::now(), bytes: bytes.clone() });
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::LabelLimits;
    use http_body_util::BodyExt as _;

    #[tokio::test]
    async fn a_loop_that_is_stuck_is_told_by_its_health_and_on_the_page() {
        let exporter = Exporter::new(LabelLimits::default());
        let router = Router::new(exporter.clone(), Box::new(|_| String::new()), Duration::ZERO);
        let ask = async |path: &str| {
            let response = router.answer(&Method::GET, path, &HeaderMap::new());
            let (status, body) = (response.status().as_u16(), response.into_body().collect().await);
            (status, String::from_utf8(body.unwrap().to_bytes().to_vec()).unwrap())
        };
        exporter.observe(Snapshot::default().into(), &[]);
        exporter.last_observed(STALE_AFTER - Duration::from_secs(1));
        assert_eq!(ask("/healthz").await, (200, "ok\n".to_owned()));
        assert!(!ask("/").await.1.contains("role=alert"));
        exporter.last_observed(STALE_AFTER + Duration::from_secs(1));
        let words = "the probe was last read 11 s ago";
        assert_eq!(ask("/healthz").await, (503, format!("{words}\n")));
        assert!(ask("/").await.1.contains(&format!("role=alert>{words}<")));
        exporter.observe(Snapshot::default().into(), &[]);
        assert_eq!(ask("/healthz").await.0, 200, "it goes on");
    }

    #[test]
    fn readers_who_take_their_time_hold_few_copies_and_block_nobody() {
        let shared = Shared::default();
        let mut made = 0;
        let mut ask = |kind| {
            shared.get(kind, Duration::ZERO, || {
                made += 1;
                vec![b'x'; made].into()
            })
        };
        let mut held: Vec<Bytes> = (0..100).map(|_| ask("slow")).collect();
        assert_eq!(held.last().unwrap().len(), MAX_COPIES, "the newest one is given out again");
        assert_eq!(ask("other").len(), MAX_COPIES + 1, "another kind has copies of its own");
        // One of them is read to its end: there is room for what is new.
        held.remove(0);
        assert_eq!(ask("slow").len(), MAX_COPIES + 2);
    }
}
