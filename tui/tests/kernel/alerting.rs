//! From an unplugged connection to a page: a real Prometheus scrapes the real exporter every second, evaluates the rules of
//! deploy/, and a real Alertmanager calls a webhook. Debian packages prometheus and prometheus-alertmanager.

mod pager;

use crate::support::cgroup::Cgroup;
use crate::support::exporter::Exporter;
use crate::support::link::Link;
use crate::support::netns::Cable;
use crate::support::programs::{Program, role};
use crate::support::{servers, take_turns, wait_until};
use pager::{Pager, Webhook};
use serde_json::Value;
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

/// What may come on top of a rule's `for`: h2watch's own threshold, a scrape, an evaluation, the way to the webhook.
const SLACK: Duration = Duration::from_secs(5);
/// For the end of an alert, once h2watch sees frames again.
const RESOLVES: Duration = Duration::from_secs(10);
/// A dead path is tried again ever more rarely: half a minute after the cut it takes up to half a minute more.
const RETRANSMITTED: Duration = Duration::from_secs(60);

const DROP_ALL: &str = "table inet dead {
  chain arriving { type filter hook input priority 0; meta l4proto tcp drop; }
}";

/// `for` of the rules in deploy/prometheus/h2watch.rules.yml.
const BLACKHOLED: (&str, Duration) = ("H2ConnectionBlackholed", Duration::from_secs(30));
const SILENT_PEER: (&str, Duration) = ("H2SilentPeer", Duration::from_secs(60));

#[test]
#[ignore = "needs Prometheus and Alertmanager, takes two minutes: cargo xtask accept deploy"]
fn unplugged_connections_page_in_time_and_resolve() {
    let _turn = take_turns();
    // One connection over a cable that will lose everything, one over a proxy that will stop copying.
    let (cable, cgroup) = (Cable::new(), Cgroup::new("alerting"));
    let far = cable.server.v4;
    let far =
        servers::start_on(cable.server.inside(move || TcpListener::bind((far, 0)).expect("a free port")));
    let link = Link::to(servers::start());
    let _over_cable = client(&cgroup, far, &cable.client.enter());
    let _over_link = client(&cgroup, link.address, &[]);
    let exporter = Exporter::start(&["--cgroup", cgroup.path().to_str().unwrap()]);
    exporter.wait_for("h2watch_connections", &[], |open| open == 2.0);
    let mut hook = Webhook::start();
    let pager = Pager::start(exporter.address(), hook.address);
    assert_eq!(hook.calls(), Vec::<Value>::new(), "no alert while all is well");

    let unplugged = Instant::now();
    cable.server.nft(DROP_ALL);
    link.unplug();
    let page = raised(&mut hook, BLACKHOLED, unplugged);
    assert_labels(&page, &exporter, far, "black_hole");
    // The pools go on feeding them, and that pages too.
    hook.wait_for("H2PoolFeedingDeadConnection", "firing", Duration::from_secs(60));
    cable.server.nft("delete table inet dead");
    resolved(&mut hook, &exporter, BLACKHOLED.0, far);

    let page = raised(&mut hook, SILENT_PEER, unplugged);
    assert_labels(&page, &exporter, link.address, "silent_peer");
    assert!(pager.exemplars().contains("\"connection_id\""), "scraped as OpenMetrics");
    pager::lint(&exporter.metrics().0);
    link.plug_in();
    resolved(&mut hook, &exporter, SILENT_PEER.0, link.address);
}

/// A request each 100 ms, cancelled after a second: the pool of the bug.
fn client(cgroup: &Cgroup, server: SocketAddr, enter: &[String]) -> Program {
    let arguments = ["100", "1000", "/bytes/10", &server.to_string()].map(str::to_owned);
    let words = [enter, &role("steady", &arguments)].concat();
    let mut client = Program::start_with(&words, |command| cgroup.start_inside(command));
    client.hear("CONNECTED ");
    client
}

fn raised(hook: &mut Webhook, (name, pending): (&str, Duration), unplugged: Instant) -> Value {
    let page = hook.wait_for(name, "firing", pending + Duration::from_secs(60));
    let after = unplugged.elapsed();
    println!("{name}: raised {after:.1?} after the link was unplugged (for: {pending:?})");
    assert!(after >= pending && after <= pending + SLACK, "{name}: raised after {after:?}");
    page
}

fn assert_labels(page: &Value, exporter: &Exporter, server: SocketAddr, cause: &str) {
    let labels = &page["labels"];
    let program = std::env::current_exe().expect("this program has a path");
    let name: String = program.file_name().expect("a file").to_string_lossy().chars().take(15).collect();
    assert_eq!(labels["comm"], name.as_str());
    assert_eq!(labels["destination"], server.ip().to_string());
    assert_eq!(labels["cause"], cause);
    assert_eq!(labels["severity"], "critical");
    assert_eq!(labels["job"], "h2watch");
    assert_eq!(labels["instance"], exporter.address().to_string());
    let runbook = page["annotations"]["runbook_url"].as_str().expect("a runbook");
    assert!(runbook.ends_with(&format!("docs/verdicts.md#{cause}")), "{runbook}");
}

/// The connection recovers, then the alert goes.
fn resolved(hook: &mut Webhook, exporter: &Exporter, name: &str, server: SocketAddr) {
    let destination = format!("destination=\"{}\"", server.ip());
    wait_until(RETRANSMITTED, &format!("frames from {server} again"), || {
        let stalled = exporter.metrics().sum("h2watch_stalled_connections", &[&destination]);
        (stalled == 0.0).then_some(())
    });
    let heard = Instant::now();
    hook.wait_for(name, "resolved", RESOLVES);
    println!("{name}: resolved {:.1?} after frames came again", heard.elapsed());
}
