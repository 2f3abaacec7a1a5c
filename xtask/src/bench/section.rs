//! `docs/overhead.md` has a section for each benchmark; each is written by itself and leaves the others as they are.

use std::path::Path;

use anyhow::{Context, Result};

const TITLE: &str = "# What watching costs\n\nMeasured by `cargo xtask bench` and `cargo xtask bench --tls`, which write their \
    sections of this file. The figures are of one machine, the ratios are what to look at.\n";

/// Puts `text` in the place of the section of this name, or at the end.
pub(super) fn write(file: &Path, name: &str, text: &str) -> Result<()> {
    let old = match std::fs::read_to_string(file) {
        Ok(old) => old,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => TITLE.to_owned(),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", file.display())),
    };
    std::fs::write(file, replaced(&old, name, text))
        .with_context(|| format!("cannot write {}", file.display()))
}

fn replaced(old: &str, name: &str, text: &str) -> String {
    let (begin, end) = (format!("<!-- {name}: written by xtask -->\n"), format!("<!-- end of {name} -->\n"));
    let section = format!("{begin}{}\n{end}", text.trim_end());
    let place = old.find(&begin).zip(old.find(&end)).filter(|(from, to)| from < to);
    match place {
        Some((from, to)) => format!("{}{section}{}", &old[..from], &old[to + end.len()..]),
        None => format!("{}\n\n{section}", old.trim_end()),
    }
}

#[cfg(test)]
mod tests {
    use super::replaced;

    #[test]
    fn a_section_is_replaced_and_the_others_stay() {
        let one = replaced("# Title\n", "h2c", "first");
        let both = replaced(&one, "tls", "second");
        let again = replaced(&both, "h2c", "third");
        assert!(both.contains("first") && both.contains("second"));
        assert!(again.contains("third") && again.contains("second") && !again.contains("first"), "{again}");
        assert!(again.find("third") < again.find("second"));
        assert_eq!(replaced(&again, "h2c", "third"), again);
    }
}
