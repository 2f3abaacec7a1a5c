//! The architecture's invariants about names, held by reading the sources: who may name what.

#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::path::{Path, PathBuf};

/// A word that only some folders or files of `src` may name.
struct Rule {
    /// As it stands in the code: a path's first segment, or a derive.
    names: &'static [&'static str],
    only_in: &'static [&'static str],
}

const RULES: &[Rule] = &[
    Rule { names: &["aya", "aya_log", "aya_obj"], only_in: &["probe/"] },
    Rule { names: &["ratatui", "crossterm"], only_in: &["dashboard/"] },
    Rule { names: &["Serialize", "Deserialize", "serde"], only_in: &["json/", "export/", "record/"] },
    Rule { names: &["flate2"], only_in: &["record/"] },
    Rule { names: &["h2", "http"], only_in: &["demo/", "export/"] },
];

/// Folders without I/O and clocks, and what they must not name.
const PURE: &[&str] = &["model/", "verdict/"];
const IMPURE: &[&str] = &[
    "std::fs",
    "std::io",
    "TcpStream",
    "UdpSocket",
    "std::process",
    "std::env",
    "std::thread",
    "SystemTime",
    "Instant",
    "tokio",
    "rustix",
    "libc",
    "crate::probe",
    "crate::diag",
    "crate::run",
    "crate::target",
    "crate::dashboard",
    "crate::json",
    "crate::export",
    "crate::record",
    "crate::reset",
];
/// Outputs read snapshots, never the probe.
const OUTPUTS: &[&str] = &["dashboard/", "json/", "table.rs", "hooks/"];
const SOURCES: &[&str] = &["crate::probe", "crate::diag", "crate::target"];

/// Every source file with its path below `src` and its code: no comments, no tests.
fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
                sources.push((name, code(&std::fs::read_to_string(&path).unwrap())));
            }
        }
    }
    let test_modules: Vec<String> =
        sources.iter().flat_map(|(file, code)| test_modules(file, code)).collect();
    sources.retain(|(file, _)| !test_modules.iter().any(|module| file.starts_with(module)));
    assert!(sources.len() > 30, "only {} files: is this the right folder?", sources.len());
    sources
}

/// Modules that only tests have: `file` declares them behind `#[cfg(test)]`. As `folder/name.rs` and `folder/name/`.
fn test_modules(file: &str, code: &str) -> Vec<String> {
    let folder = file.strip_suffix("mod.rs").unwrap_or_default();
    code.split("#[cfg(test)]\n")
        .skip(1)
        .filter_map(|after| after.lines().next()?.rsplit_once("mod ")?.1.strip_suffix(';'))
        .flat_map(|name| [format!("{folder}{name}.rs"), format!("{folder}{name}/")])
        .collect()
}

/// What is compiled into the program: up to the tests at the end of a file, without comments.
fn code(text: &str) -> String {
    let program = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let program = program.split("#[cfg(test)]\npub(super) mod tests {").next().unwrap_or_default();
    program.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// Whether `code` names `name` as a path's first segment, in a `use`, or in a derive.
fn names(code: &str, name: &str) -> bool {
    code.match_indices(name).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = &code[at + name.len()..];
        let begins = before.is_none_or(|c| !c.is_alphanumeric() && !"_:.\"`".contains(c));
        let in_derive =
            code[..at].rsplit('\n').next().is_some_and(|line| line.trim_start().starts_with("#[derive("));
        let qualified = after.starts_with("::");
        let used = code[..at].ends_with("use ") && after.starts_with(';');
        begins && (qualified || used || in_derive)
    })
}

fn inside(file: &str, places: &[&str]) -> bool {
    places.iter().any(|place| file == *place || (place.ends_with('/') && file.starts_with(place)))
}

/// Each rule's word must also be found where it is allowed: a rule that matches nothing holds nothing.
#[test]
fn only_its_own_layer_names_a_library() {
    let sources = sources();
    for rule in RULES {
        let found: Vec<&str> = sources
            .iter()
            .filter(|(_, code)| rule.names.iter().any(|name| names(code, name)))
            .map(|(file, _)| file.as_str())
            .collect();
        let outside: Vec<_> = found.iter().filter(|file| !inside(file, rule.only_in)).collect();
        assert!(
            outside.is_empty(),
            "only {:?} may name {:?}, but so does {outside:?}",
            rule.only_in,
            rule.names
        );
        assert!(!found.is_empty(), "nobody names {:?}: the rule is out of date", rule.names);
    }
}

#[test]
fn model_and_verdict_do_no_io_and_know_no_clock() {
    forbid(PURE, IMPURE);
}

#[test]
fn outputs_do_not_look_at_sources() {
    forbid(OUTPUTS, SOURCES);
}

fn forbid(places: &[&str], words: &[&str]) {
    let sources = sources();
    let files: Vec<_> = sources.iter().filter(|(file, _)| inside(file, places)).collect();
    assert!(!files.is_empty(), "there is nothing in {places:?}");
    for (file, code) in files {
        for word in words {
            assert!(!mentions(code, word), "{file} names {word}, which {places:?} must not");
        }
    }
}

/// Whether `code` has `word`, not as a part of a longer one, nor as the beginning of a text.
fn mentions(code: &str, word: &str) -> bool {
    let part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '"');
    code.match_indices(word)
        .any(|(at, _)| !part(code[..at].chars().next_back()) && !part(code[at + word.len()..].chars().next()))
}

#[test]
fn the_reader_of_names_reads() {
    assert!(mentions("use std::io::Read;", "std::io") && mentions("Instant::now()", "Instant"));
    assert!(!mentions("(\"tokio-\")", "tokio") && mentions("tokio::spawn", "tokio"));
    assert!(!mentions("libcurl", "libc") && !mentions("std::iox", "std::io"));
    assert!(names("use aya::Ebpf;", "aya"));
    assert!(names("let x: Vec<aya::Ebpf>", "aya"));
    assert!(names("use http;", "http"));
    assert!(names("    #[derive(Clone, Serialize)]", "Serialize"));
    assert_eq!(test_modules("a/mod.rs", "#[cfg(test)]\npub mod b;\nmod c;"), ["a/b.rs", "a/b/"]);
    assert!(!names("use aya_log::X;", "aya"));
    assert!(!names("\"https://x\" http2::flags crate::http::y", "http"));
    assert!(!names("the aya crate", "aya"));
    assert_eq!(code("a\n// b\n    //! c\nd\n#[cfg(test)]\nmod tests {\nuse aya;\n}"), "a\nd");
}
