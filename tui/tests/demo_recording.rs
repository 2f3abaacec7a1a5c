//! The recording of the demo that is bundled: how it was made, and that it still says what it said.

#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use h2watch::demo::{RECORDING, Traffic};
use h2watch::model::Model;
use h2watch::model::snapshot::Change;
use h2watch::record::{Anonymiser, Header, Reader, Writer};
use h2watch::run::{Settings, Wanted, Watcher};
use h2watch::target::Target;
use h2watch::target::cgroup::{Hierarchy, OwnCgroup};
use h2watch::tls::Depth;
use h2watch::verdict::{Cause, Policy, Thresholds};
use std::path::Path;
use std::time::Duration;

/// What happened, as (connection, what).
fn told(recording: &[u8]) -> Vec<(u64, String)> {
    let reader = Reader::new(recording).unwrap();
    let mut model = Model::new(reader.header().policy);
    let mut told = Vec::new();
    for sample in reader {
        for change in model.observe(&sample.unwrap()).1 {
            match change {
                Change::Stalled(c) => told.push((c.reading.id, c.verdict.cause.unwrap().as_str().to_owned())),
                // The cause may become known a little later.
                Change::Sharpened(c) => {
                    told.last_mut().unwrap().1 = c.verdict.cause.unwrap().as_str().to_owned();
                }
                Change::Recovered { connection, .. } => {
                    told.push((connection.reading.id, "recovered".to_owned()));
                }
                _ => {}
            }
        }
    }
    told
}

/// Real sockets, recorded by a real probe: the one that was unplugged is flagged, the four others are not.
#[test]
fn the_bundled_recording_shows_one_stall_and_its_end() {
    let told = told(RECORDING);
    let [(stalled, cause), (recovered, end)] = &told[..] else { panic!("{told:?}") };
    assert_eq!(stalled, recovered);
    assert_eq!((cause.as_str(), end.as_str()), (Cause::SilentPeer.as_str(), "recovered"));
}

/// Makes it anew (as root): `cargo test -p h2watch --test demo_recording -- --ignored`.
#[tokio::test]
#[ignore = "overwrites the bundled recording"]
async fn make_the_bundled_recording() {
    let thresholds = Thresholds::default();
    let hierarchy = Hierarchy::find_mount().unwrap();
    let cgroup = OwnCgroup::create(&hierarchy).unwrap();
    let target = Target::Cgroup(cgroup.path().to_owned());
    let settings = Settings {
        max_connections: 64,
        stall_after: thresholds.stall_after,
        min_streams: 2,
        tls: Depth::Records,
        no_uprobes: false,
        exclude: None,
    };
    let mut watcher = Watcher::start(target, hierarchy, &settings).unwrap();
    let mut traffic =
        Traffic::spawn_program(Path::new(env!("CARGO_BIN_EXE_h2watch")), Some(cgroup.path())).unwrap();
    traffic.begin().await.unwrap();

    let header = Header::here(Policy::from(thresholds), true);
    let suspects = Model::new(Policy::from(thresholds)).suspects();
    let wanted = Wanted { asked: None, suspects: Some(&suspects) };
    let (mut writer, mut anonymiser) = (Writer::new(Vec::new(), &header).unwrap(), Anonymiser::default());
    let mut clock = tokio::time::interval(Duration::from_millis(250));
    for tick in 0..44 {
        clock.tick().await;
        match tick {
            12 => traffic.unplug(),
            34 => traffic.plug(),
            _ => {}
        }
        while watcher.next_notice().is_some() {}
        writer.sample(&anonymiser.sample(&watcher.sample(&wanted))).unwrap();
    }
    traffic.end().await.unwrap();
    while watcher.next_notice().is_some() {}
    writer.sample(&anonymiser.sample(&watcher.sample(&wanted))).unwrap();
    let recording = writer.finish().unwrap();
    assert_eq!(told(&recording).len(), 2, "{:?}", told(&recording));
    std::fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/demo/recording.h2w"), recording).unwrap();
}
