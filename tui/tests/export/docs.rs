//! docs/metrics.md says what the code does.

use std::path::Path;

#[test]
fn the_page_of_metrics_is_the_one_that_the_code_writes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
    let generated = h2watch::export::markdown();
    if std::env::var_os("H2WATCH_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &generated).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == generated, "docs/metrics.md is out of date: run the tests with H2WATCH_BLESS=1");
}
