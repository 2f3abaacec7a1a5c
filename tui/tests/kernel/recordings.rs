//! Makes the recordings of the faults anew, for the verdict tests that need no rights (`tui/tests/fault_recordings.rs`).

use crate::faults::catalogue::FAULTS;
use crate::faults::run::Watched;
use crate::support::take_turns;
use std::path::Path;

/// As root: `cargo test -p h2watch --test kernel recordings:: -- --ignored --nocapture`.
#[test]
#[ignore = "overwrites the recordings of the faults"]
fn make_the_recordings_of_faults() {
    let _turn = take_turns();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings");
    std::fs::create_dir_all(&folder).expect("the sources can be written");
    for (i, fault) in FAULTS.into_iter().enumerate() {
        let clients: Vec<_> = fault.clients.iter().filter(|client| client.is_quick_with(&fault)).collect();
        let client = *clients[i % clients.len()];
        let file = folder.join(format!("{}.h2w", fault.name.replace([',', ' '], "_").replace("__", "_")));
        let _ = std::fs::remove_file(&file);
        let watched = Watched::recording(&file);
        let outcome = watched.run(fault, client);
        watched.stop();
        println!("{} ({}): {}", file.display(), client.name(), outcome.evidence);
        assert!(outcome.is_right() && outcome.in_time(), "{outcome:#?}");
    }
}
