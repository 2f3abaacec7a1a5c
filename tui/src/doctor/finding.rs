//! One line of the check-up.

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Pass,
    /// A part of the job cannot be done.
    Warn,
    /// Nothing can be watched.
    Fail,
}

impl Level {
    fn word(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Warn => "WARN",
            Self::Fail => "FAIL",
        }
    }

    /// The last line.
    pub(super) fn sentence(self) -> &'static str {
        match self {
            Self::Pass => "Everything that h2watch does can be done here.",
            Self::Warn => "h2watch works here, with the limits above.",
            Self::Fail => "Nothing can be watched before the failures above are mended.",
        }
    }
}

/// What was found, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub level: Level,
    /// What was looked at.
    pub subject: &'static str,
    pub text: String,
    /// What to do; empty when there is nothing to be done.
    pub advice: String,
    /// For `-v`.
    pub details: Vec<String>,
}

impl Finding {
    pub(super) fn pass(subject: &'static str, text: impl Into<String>) -> Self {
        Self { level: Level::Pass, subject, text: text.into(), advice: String::new(), details: Vec::new() }
    }

    pub(super) fn warn(subject: &'static str, text: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { level: Level::Warn, advice: advice.into(), ..Self::pass(subject, text) }
    }

    pub(super) fn fail(subject: &'static str, text: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { level: Level::Fail, advice: advice.into(), ..Self::pass(subject, text) }
    }

    pub(super) fn with_details(mut self, details: Vec<String>) -> Self {
        self.details = details;
        self
    }

    /// Lines for a person.
    pub(super) fn render(&self, verbose: bool) -> String {
        let mut text = format!("{}  {:<12} {}", self.level.word(), self.subject, self.text);
        if !self.advice.is_empty() {
            text.push_str(&format!("\n                   -> {}", self.advice));
        }
        if verbose {
            for detail in &self.details {
                text.push_str(&format!("\n                   {detail}"));
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_to_do_and_details_are_for_those_who_ask() {
        let finding =
            Finding::fail("cgroup v2", "not mounted", "mount it").with_details(vec!["detail".into()]);
        assert_eq!(finding.render(false), "FAIL  cgroup v2    not mounted\n                   -> mount it");
        assert!(finding.render(true).ends_with("detail"));
    }
}
