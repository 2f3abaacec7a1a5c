//! Exposition formats: which one a scraper wants, and OpenMetrics rewritten as Prometheus text for those who do not know it.
//!
//! The metrics library writes OpenMetrics 1.0 only. The older format names counters with `_total` in HELP and TYPE, has no
//! `info` type, no exemplars, and takes `# UNIT` and `# EOF` for comments.

use std::fmt::Write as _;

/// How metrics are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    OpenMetrics,
    /// Prometheus text format 0.0.4.
    PrometheusText,
}

impl Format {
    /// Decides by the `Accept` header. Without one, or with one that names neither: Prometheus text, which everything reads.
    #[must_use]
    pub fn negotiate(accept: Option<&str>) -> Self {
        let weight = |media_type: &str| {
            accept
                .unwrap_or_default()
                .split(',')
                .filter_map(|range| {
                    let mut parts = range.split(';').map(str::trim);
                    let name = parts.next()?;
                    let version_1 =
                        |p: &str| p.strip_prefix("version=").is_none_or(|v| v.starts_with(['0', '1']));
                    let params: Vec<&str> = parts.collect();
                    let fits = name.eq_ignore_ascii_case(media_type) && params.iter().all(|p| version_1(p));
                    fits.then(|| {
                        params.iter().find_map(|p| p.strip_prefix("q=")?.parse().ok()).unwrap_or(1.0_f64)
                    })
                })
                .fold(0.0, f64::max)
        };
        let open_metrics = weight("application/openmetrics-text");
        if open_metrics > 0.0 && open_metrics >= weight("text/plain") {
            Self::OpenMetrics
        } else {
            Self::PrometheusText
        }
    }

    /// Value of `Content-Type`.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::PrometheusText => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// Rewrites an OpenMetrics exposition as Prometheus text 0.0.4.
pub(super) fn prometheus_text(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len());
    let mut lines = open_metrics.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            // TYPE follows HELP and decides how both are spelled.
            let kind = lines.peek().and_then(|next| next.rsplit(' ').next()).unwrap_or_default();
            let (name, words) = help.split_once(' ').unwrap_or((help, ""));
            let (suffix, kind) = match kind {
                "counter" => ("_total", "counter"),
                "info" => ("_info", "gauge"),
                "unknown" => ("", "untyped"),
                kind => ("", kind),
            };
            let _ = writeln!(text, "# HELP {name}{suffix} {words}\n# TYPE {name}{suffix} {kind}");
        } else if !line.starts_with('#') {
            text.push_str(without_exemplar(line));
            text.push('\n');
        }
    }
    text
}

/// Cuts ` # {...} value`, which can only start after the labels: a label value may contain the same characters.
fn without_exemplar(sample: &str) -> &str {
    let labels_end = end_of_labels(sample);
    match sample[labels_end..].find(" # {") {
        Some(at) => &sample[..labels_end + at],
        None => sample,
    }
}

fn end_of_labels(sample: &str) -> usize {
    let Some(start) = sample.find('{').filter(|at| !sample[..*at].contains(' ')) else { return 0 };
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in sample.bytes().enumerate().skip(start) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'}' if !quoted => return at + 1,
            _ => {}
        }
    }
    sample.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prometheus_gets_open_metrics_and_a_browser_gets_text() {
        let prometheus = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                          text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        assert_eq!(Format::negotiate(Some(prometheus)), Format::OpenMetrics);
        assert_eq!(Format::negotiate(Some("text/html,*/*;q=0.8")), Format::PrometheusText);
        assert_eq!(Format::negotiate(None), Format::PrometheusText);
        let refused = "application/openmetrics-text;q=0, text/plain";
        assert_eq!(Format::negotiate(Some(refused)), Format::PrometheusText);
        let less = "application/openmetrics-text;q=0.2, text/plain;q=0.9";
        assert_eq!(Format::negotiate(Some(less)), Format::PrometheusText);
        assert_eq!(Format::negotiate(Some(";;,=,q=,\u{7f}")), Format::PrometheusText);
    }

    #[test]
    fn open_metrics_becomes_prometheus_text() {
        let open_metrics = "# HELP a_seconds Time\n# TYPE a_seconds counter\n# UNIT a_seconds seconds\n\
                            a_seconds_total{x=\"1\"} 4 # {id=\"7\"} 2 1700000000.5\n\
                            # HELP b Build\n# TYPE b info\nb_info{v=\"1\"} 1\n# EOF\n";
        let text = "# HELP a_seconds_total Time\n# TYPE a_seconds_total counter\na_seconds_total{x=\"1\"} 4\n\
                    # HELP b_info Build\n# TYPE b_info gauge\nb_info{v=\"1\"} 1\n";
        assert_eq!(prometheus_text(open_metrics), text);
    }

    #[test]
    fn a_label_value_that_looks_like_an_exemplar_is_kept() {
        let sample = r#"a_total{x="} # {\" # {"} 4 # {id="7"} 2"#;
        assert_eq!(without_exemplar(sample), r#"a_total{x="} # {\" # {"} 4"#);
        assert_eq!(without_exemplar("a 4"), "a 4");
    }
}
