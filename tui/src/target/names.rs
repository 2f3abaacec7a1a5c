//! Regular expressions of process names, for `--comm` and `--exclude`.

use regex::Regex;

/// What the kernel keeps of a process name (TASK_COMM_LEN without the zero at the end).
const MAX_NAME_BYTES: usize = 15;

/// Process names: all that a regular expression matches whole.
#[derive(Clone, Debug)]
pub struct Names {
    whole: Regex,
    text: String,
}

impl Names {
    /// For clap.
    ///
    /// # Errors
    /// No regular expression, or one that can match no name that Linux keeps.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("is empty: give a process name or a regular expression of names".to_owned());
        }
        let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_:/@ ".contains(&b));
        if plain && text.len() > MAX_NAME_BYTES {
            return Err(format!(
                "Linux keeps {MAX_NAME_BYTES} bytes of a process name, so this matches none: write {:?}",
                &text[..MAX_NAME_BYTES]
            ));
        }
        // By itself first: an error must show what was typed, and `a)(b` must not get through because of the parentheses.
        Regex::new(text)
            .and_then(|_| Regex::new(&format!("^(?:{text})$")))
            .map(|whole| Self { whole, text: text.to_owned() })
            .map_err(|error| format!("no regular expression of process names: {error}"))
    }

    /// Whether this is one of the names.
    #[must_use]
    pub fn matches(&self, comm: &str) -> bool {
        self.whole.is_match(comm)
    }
}

impl std::fmt::Display for Names {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_whole() {
        let names = Names::parse("orders-api|pay.*").unwrap();
        for (comm, matches) in
            [("orders-api", true), ("orders-api2", false), ("xorders-api", false), ("payments", true)]
        {
            assert_eq!(names.matches(comm), matches, "{comm}");
        }
        assert!(Names::parse("node.js").unwrap().matches("node.js"));
        assert!(Names::parse("a-very-long-.*").unwrap().matches("a-very-long-nam"));
    }

    #[test]
    fn what_can_match_nothing_is_refused_in_words() {
        for (text, words) in [
            ("", "is empty"),
            ("a(", "unclosed group"),
            ("a)(b", "unopened group"),
            ("a-name-that-is-long", "write \"a-name-that-is-\""),
        ] {
            let error = Names::parse(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
