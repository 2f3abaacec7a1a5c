//! The measured parts of docs/reset.md: between two marks each, written by the commands that measure them.

use anyhow::{Context, Result};

use crate::{checkout, say};

/// Replaces what is between the marks of this part.
pub(super) fn write(part: &str, text: &str) -> Result<()> {
    let file = checkout::root().join("docs/reset.md");
    let before = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let after =
        replaced(&before, part, text).with_context(|| format!("no part `{part}` in {}", file.display()))?;
    std::fs::write(&file, after).with_context(|| format!("cannot write {}", file.display()))?;
    say::line(&format!("written: {}, part {part}", file.display()));
    Ok(())
}

fn replaced(document: &str, part: &str, text: &str) -> Option<String> {
    let (begin, end) = (format!("<!-- measured: {part} -->\n"), "<!-- end -->");
    let (before, rest) = document.split_once(&begin)?;
    let (_, after) = rest.split_once(end)?;
    Some(format!("{before}{begin}\n{}\n\n{end}{after}", text.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_part_between_its_marks_is_replaced() {
        let document = "a\n<!-- measured: x -->\nold\n<!-- end -->\nb\n<!-- measured: y -->\n<!-- end -->\n";
        let expected =
            "a\n<!-- measured: x -->\n\nnew\n\n<!-- end -->\nb\n<!-- measured: y -->\n<!-- end -->\n";
        assert_eq!(replaced(document, "x", "new\n").as_deref(), Some(expected));
        assert_eq!(replaced(document, "z", "new"), None);
    }
}
